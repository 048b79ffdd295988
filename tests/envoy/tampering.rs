//! A signed request that somebody changed on its way, and paths that two servers could read differently.

use super::{EVERYTHING, alice, get, post};
use crate::support::ask::Ask;
use crate::support::client;
use crate::support::envoy::EnvoySetup;
use crate::support::gateway::{Gateway, PROTOCOLS, assert_refused};

#[tokio::test]
async fn what_was_signed_cannot_be_changed() {
    let gateway = Gateway::start(EVERYTHING, &[&alice()]).await;
    let cover = &["@method", "@target-uri", "content-digest", "x-account"];
    let signed =
        || post("/transfers?to=bob&amount=12", b"{}").header("x-account", "7").signed_over(&alice(), cover);
    let elsewhere = |authority: &str| Ask { authority: authority.to_owned(), ..signed() };
    let to = |target: &str| Ask { target: target.to_owned(), ..signed() };
    let tampered = [
        ("another query", to("/transfers?to=eve&amount=12"), "signature-invalid"),
        ("a longer query", to("/transfers?to=bob&amount=12&to=eve"), "signature-invalid"),
        ("the query in another order", to("/transfers?amount=12&to=bob"), "signature-invalid"),
        ("the query in another spelling", to("/transfers?to=b%6Fb&amount=12"), "signature-invalid"),
        ("no query", to("/transfers"), "signature-invalid"),
        ("another path", to("/payments?to=bob&amount=12"), "signature-invalid"),
        ("another spelling of the path", to("/%74ransfers?to=bob&amount=12"), "signature-invalid"),
        ("another host", elsewhere("evil.example"), "signature-invalid"),
        ("another port", elsewhere("bank.example:8443"), "signature-invalid"),
        (
            "another host, and the signed one where proxies put it",
            elsewhere("evil.example").header("x-forwarded-host", "bank.example"),
            "signature-invalid",
        ),
        ("another method", Ask { method: "PUT".to_owned(), ..signed() }, "signature-invalid"),
        ("another header value", signed().replace("x-account", "8"), "signature-invalid"),
        ("a second header line", signed().header("x-account", "8"), "signature-invalid"),
        ("no such header", signed().without("x-account"), "component-missing"),
        (
            "the signature of another request",
            signed().replace("signature", get("/").signed(&alice()).value("signature")),
            "signature-invalid",
        ),
        ("no signature", signed().without("signature"), "proof-malformed"),
        ("no signature input", signed().without("signature-input"), "proof-malformed"),
    ];
    for protocol in PROTOCOLS {
        for (what, ask, code) in &tampered {
            let answer = gateway.send(protocol, ask).await;
            assert_eq!(answer.json()["code"], *code, "{protocol:?}, {what}: {}", answer.text());
            assert_refused(&answer, 401, code);
        }
    }
    gateway.assert_untouched();
    for protocol in PROTOCOLS {
        let answer = gateway.send(protocol, &signed()).await;
        assert_eq!(answer.status, 200, "as it was signed: {}", answer.text());
    }
}

#[tokio::test]
async fn the_scheme_cannot_be_changed() {
    let gateway = Gateway::start(EVERYTHING, &[&alice()]).await;
    let signed = get("/transfers").signed(&alice());
    let pretending = signed.clone().header("x-forwarded-proto", "https");
    let other = Ask { scheme: "https".to_owned(), ..signed.clone() };
    assert_refused(&gateway.http2(&other).await, 401, "signature-invalid");
    let answer = gateway.http1(&pretending).await;
    assert_eq!(answer.status, 200, "a header of the client's does not change it: {}", answer.text());
}

/// RFC 9112 §3.2.2: the target counts, and `Host` does not.
#[tokio::test]
async fn an_absolute_target_counts_instead_of_host() {
    let gateway = Gateway::start(EVERYTHING, &[&alice()]).await;
    let signed = || get("/transfers").signed(&alice());
    let send = |host: &str, target: &str| {
        let ask = Ask { authority: host.to_owned(), target: target.to_owned(), ..signed() };
        ask.http1()
    };
    let answer =
        client::http1(gateway.address(), &send("bank.example", "http://evil.example/transfers")).await;
    assert_refused(&answer, 401, "signature-invalid");
    gateway.assert_untouched();
    let answer =
        client::http1(gateway.address(), &send("evil.example", "http://bank.example/transfers")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(gateway.last_received().header("host"), ["bank.example"]);
}

#[tokio::test]
async fn two_hosts_are_none() {
    let gateway = Gateway::start(EVERYTHING, &[&alice()]).await;
    let ask = get("/transfers").signed(&alice()).header("host", "evil.example");
    let answer = gateway.http1(&ask).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    gateway.assert_untouched();
}

/// Each of them is `/admin`, or no path at all, to some server.
const AMBIGUOUS: &[&str] = &[
    "//admin",
    "/public//admin",
    "/public/../admin",
    "/public/./admin",
    "/public/..",
    "/public/%2e%2e/admin",
    "/public/.%2E/admin",
    "/public%2fadmin",
    "/public/..%2Fadmin",
    "/public%5cadmin",
    "/public\\..\\admin",
    "/public/..;/admin",
    "/public;v=1/admin",
    "/admin%00.png",
    "/admin%",
    "/admin%4",
    "/admin%zz",
    "/admin#top",
    "/caf\u{e9}",
];

#[tokio::test]
async fn ambiguous_paths_never_reach_the_backend() {
    let settings =
        "policies: [{name: public, match: {path: '/public/{*rest}'}, proof: none}, {name: rest, match: {}}]";
    for raw_headers in [true, false] {
        let gateway =
            Gateway::start_with(settings, &[&alice()], |setup| setup.raw_headers = raw_headers).await;
        for path in AMBIGUOUS {
            let ask = get(path);
            let ask = if path.is_ascii() { ask.signed(&alice()) } else { ask };
            let answer = gateway.http1(&ask).await;
            assert_eq!(answer.status, 400, "{path}: {}", answer.text());
            // What no client library sends over HTTP/2, ours cannot either.
            if hyper::Uri::try_from(format!("http://bank.example{path}")).is_ok() && !path.contains('#') {
                let answer = gateway.http2(&ask).await;
                assert_eq!(answer.status, 400, "{path} over HTTP/2: {}", answer.text());
            }
        }
        gateway.assert_untouched();
        for path in ["/transfers/%41%7e", "/a.b/..c/.d", "/public/", "/a/?x=//../%2f"] {
            let answer = gateway.http1(&get(path).signed(&alice())).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert_eq!(gateway.last_received().target, path, "it is left as it was signed");
        }
    }
}

/// The reason why the first routes of envoy.yaml stand first.
#[tokio::test]
async fn a_route_that_is_exempt_from_the_relay_is_no_way_around_it() {
    let gateway =
        Gateway::start_with(EVERYTHING, &[&alice()], |setup| setup.edits.push(EnvoySetup::exempt_route()))
            .await;
    // A parameter that belongs to `public` leads nowhere else.
    let leading_out = |path: &&&str| path.starts_with("/public") && !path.starts_with("/public;");
    for path in AMBIGUOUS.iter().filter(leading_out) {
        let answer = gateway.http1(&get(path)).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
    }
    gateway.assert_untouched();
    let asked = gateway.envoy.stat("cluster.relay.upstream_rq_total").await;
    let answer = gateway.http1(&get("/public/rates")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(gateway.envoy.stat("cluster.relay.upstream_rq_total").await, asked, "it is exempt");
}
