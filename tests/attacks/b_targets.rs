//! B: method, authority, path and query, as several parties read them.

use super::{SIGNED, denies, passes};
use crate::support::ask::{Ask, add_line, http, signing};
use crate::support::relay::Relay;
use crate::support::signer::Signer;

#[tokio::test]
async fn b7_query_beside_a_covered_path() {
    let alice = Signer::ed25519("alice");
    let settings = "policies:
  - {name: free, match: {path: /free}, proof: {cover: ['@method', '@path'], query: free}}
  - {name: bound, match: {}, proof: {cover: ['@method', '@path']}}";
    let relay = Relay::start(settings, &[&alice]).await;
    let signed = |target: &str, cover: &[&str]| Ask::get(target).signed_as(&alice, &signing("alice", cover));
    let path_only = ["@method", "@path"];
    for query in ["?amount=1", "?", "??", "?a?b"] {
        let mut attacked = signed("/bound", &path_only);
        attacked.target.push_str(query);
        denies(&relay, &attacked, "component-uncovered").await;
        let param = ["@method", "@path", "@query-param;name=\"amount\""];
        denies(&relay, &signed("/bound?amount=1", &param), "component-uncovered").await;
        let target = format!("/bound{query}");
        for whole in ["@query", "@target-uri", "@request-target"] {
            passes(&relay, &signed(&target, &["@method", "@path", whole])).await;
        }
    }
    passes(&relay, &signed("/bound", &path_only)).await;
    let mut free = signed("/free", &path_only);
    free.target.push_str("?page=2");
    passes(&relay, &free).await;
}

#[tokio::test]
async fn b8_query_parameter_twice() {
    let alice = Signer::ed25519("alice");
    let settings = "policies:
  - {name: signed, match: {}, proof: {cover: ['@path', '@query-param;name=\"to\"'], query: free}}";
    let relay = Relay::start(settings, &[&alice]).await;
    let signed = || {
        let signing = signing("alice", &["@path", "@query-param;name=\"to\""]);
        Ask::get("/pay?to=alice").signed_as(&alice, &signing)
    };
    let honest = signed();
    for second in ["&to=mallory", "&%74o=mallory", "&to", "&to=", "&to=alice", "&&to=mallory", "&%74%6F=x"] {
        let mut attacked = honest.clone();
        attacked.target.push_str(second);
        denies(&relay, &attacked, "component-missing").await;
    }
    for other in ["&TO=mallory", "&to%00=mallory", "&to%20=mallory", "&to[]=mallory"] {
        let mut other_name = signed();
        other_name.target.push_str(other);
        passes(&relay, &other_name).await;
    }
    passes(&relay, &honest).await;
    let mut absent = honest.clone();
    absent.target = "/pay".to_owned();
    denies(&relay, &absent, "component-missing").await;
}

#[tokio::test]
async fn b9_query_parameter_is_encoded_again() {
    let alice = Signer::ed25519("alice");
    let settings = "policies: [{name: signed, match: {}, proof: {cover: ['@path'], query: free}}]";
    let relay = Relay::start(settings, &[&alice]).await;
    // RFC 9421 §2.2.8.
    let lines = [
        "\"@path\": /parameters",
        "\"@query-param\";name=\"var\": this%20is%20a%20big%0Amultiline%20value",
        "\"@query-param\";name=\"bar\": with%20plus%20whitespace",
        "\"@query-param\";name=\"fa%C3%A7ade%22%3A%20\": something",
    ];
    let params = "(\"@path\" \"@query-param\";name=\"var\" \"@query-param\";name=\"bar\" \
                  \"@query-param\";name=\"fa%C3%A7ade%22%3A%20\");created=1700000000;keyid=\"alice\"";
    let query = "?var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace&fa%C3%A7ade%22%3A%20=something";
    let ask = |query: &str| {
        let ask = Ask::get(&format!("/parameters{query}"));
        ask.signed_over(&alice, &params.replace(");", &format!(");nonce=\"{}\";", query.len())), &lines)
    };
    passes(&relay, &ask(query)).await;
    passes(&relay, &ask(&query.replace('+', "%20"))).await;
    denies(&relay, &ask(&query.replace("with+", "with%2B")), "signature-invalid").await;
    denies(&relay, &ask(&query.replace("bar=", "Bar=")), "component-missing").await;
    // What is not UTF-8 decodes to one and the same character.
    denies(&relay, &ask(&query.replace("something", "%ff")), "component-missing").await;
    // A name is written as it is encoded.
    let decoded = ask(query).rewrite("signature-input", "name=\"bar\"", "name=\"b%61r\"");
    denies(&relay, &decoded, "component-missing").await;
}

#[tokio::test]
async fn b10_query_parameter_also_in_the_form() {
    let alice = Signer::ed25519("alice");
    let settings = "policies:
  - {name: signed, match: {}, proof: {cover: ['@method', '@path', '@query-param;name=\"to\"'], query: free}}";
    let relay = Relay::start(settings, &[&alice]).await;
    let cover = ["@method", "@path", "@query-param;name=\"to\"", "content-digest"];
    let form = |cover| {
        let ask = Ask::post("/pay?to=alice", b"to=mallory");
        let ask = ask.header("content-type", "application/x-www-form-urlencoded");
        ask.signed_as(&alice, &signing("alice", cover))
    };
    denies(&relay, &form(&cover[..3]), "component-uncovered").await;
    passes(&relay, &form(&cover)).await;
}

#[tokio::test]
async fn b11_scheme_comes_from_the_configuration() {
    let alice = Signer::ed25519("alice");
    let settings = "policies:
  - {name: external, match: {path: /external}, external: {scheme: https}}
  - {name: seen, match: {}}";
    let relay = Relay::start(settings, &[&alice]).await;
    for (path, code) in [("/external", ""), ("/seen", "signature-invalid")] {
        let mut ask = Ask::get(path).signed(&alice);
        ask.scheme = "http".to_owned();
        for name in ["x-forwarded-proto", "x-forwarded-scheme", "forwarded"] {
            ask = ask.header(name, if name == "forwarded" { "proto=https" } else { "https" });
        }
        if code.is_empty() {
            passes(&relay, &ask).await
        } else {
            denies(&relay, &ask, code).await
        };
    }
    // Nor may a client sign `http` where the world says `https`.
    let mut downgraded = Ask::get("/external");
    downgraded.scheme = "http".to_owned();
    denies(&relay, &downgraded.signed(&alice), "signature-invalid").await;
    let mut unknown = Ask::get("/seen");
    unknown.scheme = "javascript".to_owned();
    denies(&relay, &unknown.signed(&alice), "request-malformed").await;
}

#[tokio::test]
async fn b12_target_uri_without_its_path() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let honest = Ask::get("/pay/alice").signed(&alice);
    for target in
        ["/pay/mallory", "/pay", "/pay/alice/", "/pay/alice?", "/pay/alice?x", "/pay/%61lice", "/pay/Alice"]
    {
        let mut attacked = honest.clone();
        attacked.target = target.to_owned();
        denies(&relay, &attacked, "signature-invalid").await;
    }
    passes(&relay, &honest).await;
}

#[tokio::test]
async fn b13_authority_in_another_spelling() {
    let alice = Signer::ed25519("alice");
    let settings = "policies: [{name: signed, match: {hosts: [bank.example, '[2001:db8::1]']}}]";
    let relay = Relay::start(settings, &[&alice]).await;
    let at = |signed: &str, asked: &str| {
        let mut ask = Ask::get("/");
        ask.authority = signed.to_owned();
        let mut ask = ask.signed(&alice);
        ask.authority = asked.to_owned();
        ask
    };
    // RFC 9421 §2.2.3: lower case, and without the scheme's own port.
    for (signed, asked) in [
        ("bank.example", "BANK.example"),
        ("bank.example", "bank.example:443"),
        ("bank.example:8443", "Bank.Example:8443"),
        ("[2001:db8::1]", "[2001:DB8::1]:443"),
    ] {
        passes(&relay, &at(signed, asked)).await;
    }
    for other in ["bank.example:80", "bank.example:8443"] {
        denies(&relay, &at("bank.example", other), "signature-invalid").await;
    }
    // To many backends it is the host without its dot.
    denies(&relay, &at("bank.example.", "bank.example."), "request-malformed").await;
    for elsewhere in ["evil.example", "sub.bank.example", "xbank.example", "[2001:db8::2]"] {
        denies(&relay, &at(elsewhere, elsewhere), "no-policy").await;
    }
    for impossible in [
        "",
        "bank.example,evil.example",
        "user@bank.example",
        "bank.example:",
        "bank.example:x",
        "bank.example:99999",
        "bank%2eexample",
        "bank.example/",
        "2001:db8::1",
        "[2001:db8::1",
        "[2001:db8::1%25eth0]",
        "[bank.example]",
        "bank.example bank.example",
        "bank.example:443:443",
        "b\u{e4}nk.example",
    ] {
        let mut ask = Ask::get("/").signed(&alice);
        ask.authority = impossible.to_owned();
        denies(&relay, &ask, "request-malformed").await;
    }
}

#[tokio::test]
async fn b13_host_beside_authority() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    // HTTP/2 can carry both (RFC 9113 §8.3.1), and some backends read Host.
    let mut check = Ask::get("/").signed(&alice).check_request();
    add_line(&mut check, "host", "evil.example");
    denies(&relay, check, "request-malformed").await;
    let twice = Ask::get("/").signed(&alice).header("host", "bank.example").header("host", "evil.example");
    denies(&relay, &twice, "request-malformed").await;
    denies(&relay, twice.merged_check_request(), "request-malformed").await;
    passes(&relay, &Ask::get("/").signed(&alice).header("host", "bank.example")).await;
}

#[tokio::test]
async fn b13_authority_behind_a_proxy_that_ends_tls() {
    let alice = Signer::ed25519("alice");
    let settings = "policies:
  - name: named
    match: {path: /named, hosts: [internal]}
    external: {scheme: https, authority: bank.example}
  - {name: https, match: {}, external: {scheme: https}}";
    let relay = Relay::start(settings, &[&alice]).await;
    let asked = |path: &str, signed: &str, asked: &str| {
        let mut ask = Ask::get(path);
        ask.authority = signed.to_owned();
        let mut ask = ask.signed(&alice);
        (ask.scheme, ask.authority) = ("http".to_owned(), asked.to_owned());
        ask
    };
    passes(&relay, &asked("/named", "bank.example", "internal:8080")).await;
    denies(&relay, &asked("/named", "internal:8080", "internal:8080"), "signature-invalid").await;
    // The port that goes without saying is that of the scheme which clients use.
    passes(&relay, &asked("/", "bank.example", "bank.example:443")).await;
    denies(&relay, &asked("/", "bank.example", "bank.example:80"), "signature-invalid").await;
}

/// A port in other words is refused, and one that the scheme implies is the same with and without.
#[tokio::test]
async fn b13_port_in_another_spelling() {
    let alice = Signer::ed25519("alice");
    let settings = "policies:
  - {name: signed, match: {hosts: ['bank.example:443']}}
  - {name: open, match: {}, proof: none}";
    let relay = Relay::start(settings, &[&alice]).await;
    for authority in ["bank.example", "bank.example:443", "BANK.example"] {
        let mut ask = Ask::get("/");
        ask.authority = authority.to_owned();
        denies(&relay, &ask, "proof-missing").await;
        passes(&relay, &ask.signed(&alice)).await;
    }
    let mut ask = Ask::get("/");
    ask.authority = "bank.example:0443".to_owned();
    denies(&relay, &ask, "request-malformed").await;
}

#[tokio::test]
async fn b14_request_target_exists_in_http1_only() {
    let alice = Signer::ed25519("alice");
    let settings = "policies: [{name: signed, match: {}, proof: {cover: ['@method', '@request-target']}}]";
    let relay = Relay::start(settings, &[&alice]).await;
    let honest =
        Ask::get("/accounts?a").signed_as(&alice, &signing("alice", &["@method", "@request-target"]));
    for protocol in ["HTTP/2", "HTTP/3", ""] {
        let mut check = honest.check_request();
        http(&mut check).protocol = protocol.to_owned();
        denies(&relay, check, "component-missing").await;
    }
    passes(&relay, &honest).await;
}

#[tokio::test]
async fn b15_method_in_another_case() {
    let alice = Signer::ed25519("alice");
    let settings =
        "policies: [{name: posts, match: {methods: [POST], path: /posts}}, {name: any, match: {path: /any}}]";
    let relay = Relay::start(settings, &[&alice]).await;
    let mut posted = Ask::new("post", "/any").header("content-length", "0").signed(&alice);
    posted.method = "POST".to_owned();
    denies(&relay, &posted, "signature-invalid").await;
    let lower = Ask::new("post", "/posts").header("content-length", "0").signed(&alice);
    denies(&relay, &lower, "request-malformed").await;
    passes(&relay, &Ask::new("POST", "/posts").header("content-length", "0").signed(&alice)).await;
}

#[tokio::test]
async fn b22_path_that_two_servers_read_differently() {
    let alice = Signer::ed25519("alice");
    let settings = "policies:
  - {name: admin, match: {path: '/admin/{*rest}'}}
  - {name: open, match: {path: '/{*rest}'}, proof: none}";
    let relay = Relay::start(settings, &[&alice]).await;
    for path in [
        "//admin/x",
        "/a//admin/x",
        "/./admin/x",
        "/a/../admin/x",
        "/a/%2e%2e/admin/x",
        "/a/.%2E/admin/x",
        "/admin%2fx",
        "/admin%2Fx",
        "/admin%5cx",
        "/a\\..\\admin",
        "/admin;v=1/x",
        "/admin%3bx",
        "/..;/admin/x",
        "/a%00",
        "/a%0a",
        "/a%7f",
        "/a%",
        "/a%2",
        "/a%zz",
        "/a%u0061",
        "/a#b",
        "/a?b#c",
        "/a b",
        "/\u{e4}",
        "a",
        "*",
        "",
        "?a",
        "http://bank.example/admin/x",
        "/a/..",
        "/a/.",
        "/.",
        "/..",
        "/%2e",
        "/a/%252e%252e/admin",
        "/a%252fb",
        "/a/%c0%af",
    ] {
        denies(&relay, &Ask::get(path), "path-ambiguous").await;
        let signed = Ask::get(path).signed_as(&alice, &signing("alice", &["@method"]));
        denies(&relay, &signed, "path-ambiguous").await;
    }
    // What everybody decodes alike is compared decoded, and signed as it came.
    for spelled in ["/%61dmin/x", "/adm%69n/x", "/admin/%78"] {
        denies(&relay, &Ask::get(spelled), "proof-missing").await;
        passes(&relay, &Ask::get(spelled).signed(&alice)).await;
    }
    passes(&relay, &Ask::get("/a/.b/..c/d.?x=/../y")).await;
}
