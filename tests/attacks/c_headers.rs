//! C: header values on their way through a proxy that joins, replaces and adds.

use super::{SIGNED, denies, passes};
use crate::support::ask::{Ask, add_line, ask, http, remove_lines, signing};
use crate::support::relay::Relay;
use crate::support::signer::Signer;

/// A GET that alice signed with that header covered, once for each line.
fn covering(alice: &Signer, name: &str, lines: &[&str]) -> Ask {
    let ask = lines.iter().fold(Ask::get("/"), |ask, line| ask.header(name, *line));
    ask.signed_as(alice, &signing("alice", &["@method", "@target-uri", name]))
}

#[tokio::test]
async fn c1_lines_are_stripped_and_joined() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    // RFC 9421 §2.1.
    let lines = [
        "\"@method\": GET",
        "\"@target-uri\": https://bank.example/",
        "\"cache-control\": max-age=60, must-revalidate",
        "\"x-empty\": ",
        "\"x-ows\": Leading and trailing whitespace.",
        "\"x-list\": , a, ",
    ];
    let params = "(\"@method\" \"@target-uri\" \"cache-control\" \"x-empty\" \"x-ows\" \"x-list\")\
                  ;created=1700000000;keyid=\"alice\"";
    let honest = Ask::get("/")
        .header("cache-control", "max-age=60")
        .header("x-empty", " ")
        .header("x-ows", " \t Leading and trailing whitespace.\t ")
        .header("x-list", "")
        .header("x-list", " a")
        .header("cache-control", "   must-revalidate")
        .header("x-list", "\t")
        .signed_over(&alice, params, &lines);
    let more = honest.clone().header("cache-control", "public");
    denies(&relay, &more, "signature-invalid").await;
    denies(
        &relay,
        &honest.clone().replace("x-ows", "Leading  and trailing whitespace."),
        "signature-invalid",
    )
    .await;
    passes(&relay, &honest).await;
}

#[tokio::test]
async fn c2_comma_where_the_proxy_joins() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    for lines in [&["a,b"][..], &["a", "b"], &["a, b,c"], &["a, b", "c"], &["a,"], &[",a"], &["a,\tb"]] {
        let honest = covering(&alice, "x-note", lines);
        let answer = denies(&relay, honest.merged_check_request(), "component-missing").await;
        assert!(answer.body.contains("encode_raw_headers"), "{answer:?}");
        passes(&relay, &honest).await;
    }
    let date = covering(&alice, "date", &["Tue, 20 Apr 2021 02:07:55 GMT"]);
    passes(&relay, date.merged_check_request()).await;
    // To a structured field it makes no difference.
    let list = Ask::get("/").header("accept-ch", "a").header("accept-ch", "b");
    let list = list.signed_as(&alice, &signing("alice", &["@method", "@target-uri", "accept-ch;sf"]));
    passes(&relay, list.merged_check_request()).await;
}

#[tokio::test]
async fn c3_one_line_split_into_two() {
    let alice = Signer::ed25519("alice");
    let settings = "policies:
  - {name: protecting, match: {path: /protecting}, protect: [x-tenant]}
  - {name: signed, match: {}}";
    let relay = Relay::start(settings, &[&alice]).await;
    for name in ["content-type", "authorization", "date", "cookie", "idempotency-key", "user-agent", "origin"]
    {
        // The same base, and a backend that reads only the first line sees another message.
        let honest = covering(&alice, name, &["a, b"]);
        let split = honest.clone().replace(name, "a").header(name, "b");
        denies(&relay, &split, "component-missing").await;
        denies(&relay, split.merged_check_request(), "component-missing").await;
        passes(&relay, &honest).await;
    }
    let cover = ["@method", "@target-uri", "x-tenant"];
    let honest =
        Ask::get("/protecting").header("x-tenant", "a, b").signed_as(&alice, &signing("alice", &cover));
    let split = honest.clone().replace("x-tenant", "a").header("x-tenant", "b");
    denies(&relay, &split, "field-uncovered").await;
    denies(&relay, split.merged_check_request(), "component-missing").await;
    passes(&relay, &honest).await;
}

#[tokio::test]
async fn c3_structured_list_split_into_two_lines() {
    let alice = Signer::ed25519("alice");
    let settings = "policies: [{name: signed, match: {}, protect: [accept-ch]}]";
    let relay = Relay::start(settings, &[&alice]).await;
    let cover = ["@method", "@target-uri", "accept-ch;sf"];
    let honest =
        Ask::get("/").header("accept-ch", "deny, admin").signed_as(&alice, &signing("alice", &cover));
    let split = honest.clone().replace("accept-ch", "deny").header("accept-ch", "admin");
    denies(&relay, &split, "field-uncovered").await;
    // Without raw headers any comma may be a joint.
    let answer = denies(&relay, split.merged_check_request(), "field-uncovered").await;
    assert!(answer.body.contains("encode_raw_headers"), "{answer:?}");
    denies(&relay, honest.merged_check_request(), "field-uncovered").await;
    passes(&relay, &honest).await;
}

/// Over HTTP/2 a line may begin with a space, and Envoy keeps it: joined, `a` and ` b` look like one line `a, b`.
#[tokio::test]
async fn c3_second_line_that_begins_with_a_space() {
    let alice = Signer::ed25519("alice");
    let settings = "policies:
  - {name: protecting, match: {path: /protecting}, protect: [x-tenant]}
  - {name: signed, match: {}}";
    let relay = Relay::start(settings, &[&alice]).await;
    for (path, name, code) in
        [("/protecting", "x-tenant", "field-uncovered"), ("/", "idempotency-key", "component-missing")]
    {
        let honest = Ask::get(path).header(name, "a, b");
        let honest = honest.signed_as(&alice, &signing("alice", &["@method", "@target-uri", name]));
        let split = honest.clone().replace(name, "a").header(name, " b");
        denies(&relay, &split, code).await;
        denies(&relay, split.merged_check_request(), code).await;
        passes(&relay, &honest).await;
    }
}

/// A backend that turns `-` and `_` into one would take the unsigned field for the signed one.
#[tokio::test]
async fn c10_twin_of_a_required_field() {
    let alice = Signer::ed25519("alice");
    let settings =
        r#"policies: [{name: signed, match: {}, proof: {cover: ["@method", "@target-uri", x-tenant]}}]"#;
    let relay = Relay::start(settings, &[&alice]).await;
    let cover = ["@method", "@target-uri", "x-tenant"];
    let honest = Ask::get("/").header("x-tenant", "7").signed_as(&alice, &signing("alice", &cover));
    denies(&relay, &honest.clone().header("x_tenant", "8"), "field-uncovered").await;
    passes(&relay, &honest).await;
}

/// Some frameworks take another method or path from these. The policy was chosen by the request line.
#[tokio::test]
async fn c8_header_that_overrides_the_request_line() {
    let alice = Signer::ed25519("alice");
    let settings = "policies:
  - {name: open, match: {path: /open}, proof: none}
  - name: named
    match: {path: /named}
    protect: [x-http-method-override, x-original-url, x_method.override]
  - {name: signed, match: {}}";
    let relay = Relay::start(settings, &[&alice]).await;
    for name in ["x-http-method-override", "x-original-url", "x_method.override"] {
        for honest in [Ask::get("/open"), Ask::get("/").signed(&alice)] {
            let answer = ask(&relay, honest.header(name, "DELETE").check_request()).await;
            assert!(answer.allowed && answer.removed == [name], "{answer:?}");
        }
        // Whoever signs a POST can sign that it is to be a DELETE.
        let signed = |path| {
            let signing = signing("alice", &["@method", "@target-uri", name]);
            Ask::get(path).header(name, "DELETE").signed_as(&alice, &signing)
        };
        let answer = ask(&relay, signed("/").check_request()).await;
        assert!(answer.allowed && answer.removed == [name], "{answer:?}");
        let answer = ask(&relay, signed("/named").check_request()).await;
        assert!(answer.allowed && answer.removed.is_empty(), "{answer:?}");
    }
}

#[tokio::test]
async fn c4_folded_line() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    // Envoy refuses it already. Should it come through, it is not unfolded here.
    let honest = covering(&alice, "x-note", &["obsolete line folding."]);
    for fold in ["\r\n ", "\n ", "\r\n\t"] {
        let mut check = honest.check_request();
        remove_lines(&mut check, "x-note");
        add_line(&mut check, "x-note", format!("obsolete{fold}line folding."));
        denies(&relay, check, "request-malformed").await;
    }
    passes(&relay, &honest).await;
}

#[tokio::test]
async fn c5_byte_that_the_proxy_replaced() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let honest = covering(&alice, "x-note", &["a!b"]);
    // Envoy shows `a!b` for both.
    for value in [b"a!b", b"a\xffb"] {
        let shown = honest.clone().replace("x-note", *value).merged_check_request();
        let answer = denies(&relay, shown, "component-missing").await;
        assert!(answer.body.contains("encode_raw_headers"), "{answer:?}");
    }
    let member = Ask::get("/").header("x-note", "a=\"!\"");
    let member = member.signed_as(&alice, &signing("alice", &["@method", "@target-uri", "x-note;key=\"a\""]));
    denies(&relay, member.merged_check_request(), "component-missing").await;
    let path = Ask::get("/a!b").signed(&alice);
    denies(&relay, path.merged_check_request(), "path-ambiguous").await;
    passes(&relay, &path).await;
    denies(&relay, &honest.clone().replace("x-note", *b"a\xffb"), "component-missing").await;
    passes(&relay, &honest).await;
    passes(&relay, covering(&alice, "x-note", &["ab"]).merged_check_request()).await;
}

#[tokio::test]
async fn c5b_bytes_that_are_not_ascii() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let lines = ["\"@method\": GET", "\"@target-uri\": https://bank.example/", "\"x-note\": caf\u{e9}"];
    let params = "(\"@method\" \"@target-uri\" \"x-note\");created=1700000000;keyid=\"alice\"";
    let signed = Ask::get("/").header("x-note", "caf\u{e9}").signed_over(&alice, params, &lines);
    denies(&relay, &signed, "component-missing").await;
    let bytes = signing("alice", &["@method", "@target-uri", "x-note;bs"]);
    passes(&relay, &Ask::get("/").header("x-note", *b"caf\xe9").signed_as(&alice, &bytes)).await;
}

#[tokio::test]
async fn c6_empty_value() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let honest = covering(&alice, "x-note", &[""]);
    denies(&relay, &honest.clone().replace("x-note", "a"), "signature-invalid").await;
    denies(&relay, &honest.clone().header("x-note", ""), "signature-invalid").await;
    denies(&relay, &honest.clone().without("x-note"), "component-missing").await;
    passes(&relay, &honest).await;
    passes(&relay, covering(&alice, "x-note", &[""]).merged_check_request()).await;
}

#[tokio::test]
async fn c7_lines_that_cannot_be_joined() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let cookies =
        || Ask::get("/").header("set-cookie", "a=1; Expires=Wed, 1 Jan").header("set-cookie", "b=2");
    let lines = [
        "\"@method\": GET",
        "\"@target-uri\": https://bank.example/",
        "\"set-cookie\": a=1; Expires=Wed, 1 Jan, b=2",
    ];
    let params = "(\"@method\" \"@target-uri\" \"set-cookie\");created=1700000000;keyid=\"alice\"";
    denies(&relay, &cookies().signed_over(&alice, params, &lines), "component-missing").await;
    let bytes = signing("alice", &["@method", "@target-uri", "set-cookie;bs"]);
    passes(&relay, &cookies().signed_as(&alice, &bytes)).await;
}

#[tokio::test]
async fn c8_headers_that_proxies_change() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    for name in ["connection", "te", "x-forwarded-for", "via", "date"] {
        let honest = covering(&alice, name, &["trailers"]);
        denies(&relay, &honest.clone().replace(name, "other"), "signature-invalid").await;
        passes(&relay, &honest).await;
    }
}

#[tokio::test]
async fn c9_check_that_contradicts_itself() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let honest = Ask::get("/accounts").signed(&alice);
    let mut both = honest.check_request();
    http(&mut both).headers = http(&mut honest.merged_check_request()).headers.clone();
    denies(&relay, both, "request-malformed").await;
    let mut one_more = honest.check_request();
    http(&mut one_more).headers.insert("x-note".to_owned(), String::new());
    denies(&relay, one_more, "request-malformed").await;
    for (name, value) in
        [(":method", "DELETE"), (":path", "/admin"), (":authority", "evil.example"), (":scheme", "http")]
    {
        let mut replaced = honest.check_request();
        remove_lines(&mut replaced, name);
        add_line(&mut replaced, name, value);
        denies(&relay, replaced, "request-malformed").await;
        let mut added = honest.check_request();
        add_line(&mut added, name, value);
        denies(&relay, added, "request-malformed").await;
        let mut merged = honest.merged_check_request();
        http(&mut merged).headers.insert(name.to_owned(), value.to_owned());
        denies(&relay, merged, "request-malformed").await;
    }
    for (name, value) in
        [(":method", "GET"), (":status", "200"), (":", ""), (":unknown", "a"), ("X-Upper", "a"), ("", "a")]
    {
        let mut added = honest.check_request();
        add_line(&mut added, name, value);
        denies(&relay, added, "request-malformed").await;
    }
    let mut twofold = honest.check_request();
    http(&mut twofold).header_map.as_mut().unwrap().headers[0].value = "GET".to_owned();
    denies(&relay, twofold, "request-malformed").await;
    passes(&relay, &honest).await;
}

#[tokio::test]
async fn c10_names_that_are_the_relays_own() {
    let alice = Signer::ed25519("alice");
    let settings = "policies:
  - {name: open, match: {path: /open}, proof: none}
  - {name: observed, match: {path: /observed}, mode: observe}
  - {name: signed, match: {path: /accounts}}";
    let relay = Relay::start(settings, &[&alice]).await;
    let own = [
        "x-proof-status",
        "x-proof-subject",
        "x-proof-key-id",
        "x-proof-policy",
        "x-proof-id",
        "x-proof-receipt",
    ];
    let twins = [
        "x_proof_status",
        "x-proof_subject",
        "x_proof-key-id",
        "x-proof-anything",
        "x-proof-",
        "x.proof.status",
        "x!proof~id",
    ];
    let spoofed = |ask: Ask| own.iter().chain(&twins).fold(ask, |ask, name| ask.header(name, "mallory"));
    for (request, status) in [
        (Ask::get("/accounts").signed(&alice), "verified"),
        (Ask::get("/open"), "unsigned"),
        (Ask::get("/observed"), "observed"),
    ] {
        let answer = ask(&relay, (&spoofed(request)).into()).await;
        assert!(answer.allowed, "{answer:?}");
        let set = |name: &str| answer.headers.iter().filter(|(known, _)| known == name).count();
        for name in own.iter().chain(&twins) {
            // Envoy removes after it sets: a name in both lists would be gone.
            let removed = answer.removed.iter().filter(|known| known == name).count();
            assert_eq!(set(name) + removed, 1, "{name}: {answer:?}");
        }
        assert!(answer.headers.contains(&("x-proof-status".to_owned(), status.to_owned())), "{answer:?}");
        assert!(!answer.headers.iter().any(|(_, value)| value.contains("mallory")), "{answer:?}");
        assert_eq!(set("x-proof-subject") > 0, status == "verified", "{answer:?}");
    }
    passes(&relay, &Ask::get("/accounts").header("x-proofs", "a").signed(&alice)).await;
}

#[tokio::test]
async fn c11_names_that_come_back_in_the_answer() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let hostile = "mallory\\\"; evil=\\\\<script>";
    let honest = Ask::get("/accounts").signed(&alice);
    let label = honest.clone().rewrite("signature-input", "alice=", "*evil.-_*=");
    let label = label.rewrite("signature", "alice=", "*evil.-_*=");
    let answer = passes(&relay, &label).await;
    assert!(!answer.headers.iter().any(|(_, value)| value.contains("evil")), "{answer:?}");
    for (old, new) in [
        ("keyid=\"alice\"", format!("keyid=\"{hostile}\"")),
        ("\"@method\"", format!("\"{hostile}\"")),
        ("created=", format!("alg=\"{hostile}\";created=")),
    ] {
        let answer = ask(&relay, (&honest.clone().rewrite("signature-input", old, &new)).into()).await;
        assert!(!answer.allowed);
        assert!(!answer.headers.iter().any(|(_, value)| value.contains("evil")), "{answer:?}");
        let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(problem["status"], 401);
    }
}
