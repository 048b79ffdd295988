//! A signed request that somebody changed on its way.

use super::{EVERYTHING, alice, get, post};
use crate::support::ask::Ask;
use crate::support::client;
use crate::support::gateway::{Gateway, PROTOCOLS, assert_refused};

#[tokio::test]
async fn what_was_signed_cannot_be_changed() {
    let gateway = Gateway::start(EVERYTHING, &[&alice()]).await;
    let cover = &["@method", "@target-uri", "content-digest", "x-account"];
    let signed = || {
        post("/transfers?to=bob&amount=12", b"{}").header("x-account", "7").signed_covering(&alice(), cover)
    };
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
