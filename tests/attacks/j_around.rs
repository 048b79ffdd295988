//! J: around the verifier.

use std::sync::Arc;

use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use proof_messenger_relay::envoy::client::{Answer, answer};
use proof_messenger_relay::replay::MemoryStore;
use serde_json::Value;

use super::{SIGNED, denies, passes};
use crate::support::ask::{Ask, ask, code, http, respond, signing};
use crate::support::receipts::{self, KeyFiles};
use crate::support::relay::{Relay, TestClock};
use crate::support::service::Service;
use crate::support::signer::Signer;

#[tokio::test]
async fn j1_no_signature_at_all() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let answer = denies(&relay, &Ask::post("/transfers/7?a", b"{}"), "proof-missing").await;
    assert_eq!(answer.status, 401);
    let header =
        |name: &str| answer.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let wanted = "sig=(\"@method\" \"@target-uri\" \"content-digest\");created;keyid";
    assert_eq!(header("accept-signature"), Some(wanted));
    assert_eq!(header("want-content-digest"), Some("sha-256=10, sha-512=5"));
    // Other kinds of authority are none here.
    let bearer = Ask::post("/transfers/7", b"{}").header("authorization", "Signature keyId=\"alice\"");
    denies(&relay, &bearer, "proof-missing").await;
    let underscored = Ask::get("/").signed(&alice);
    let (input, signature) = (underscored.value("signature-input"), underscored.value("signature"));
    let underscored = Ask::get("/").header("signature_input", input).header("signature", signature);
    denies(&relay, &underscored, "proof-malformed").await;
    passes(&relay, &Ask::post("/transfers/7?a", b"{}").signed(&alice)).await;
}

#[tokio::test]
async fn j2_no_policy_matches() {
    let alice = Signer::ed25519("alice");
    let settings = "policies:
  - {name: transfers, match: {hosts: [bank.example], methods: [POST], path: '/transfers/{account}'}}
  - {name: routed, proof: none}";
    let relay = Relay::start(settings, &[&alice]).await;
    for path in
        ["/transfers", "/transfers/", "/transfers/7/", "/transfers/7/8", "/Transfers/7", "/transfer/7", "/"]
    {
        denies(&relay, &Ask::post(path, b"{}").signed(&alice), "no-policy").await;
    }
    denies(&relay, &Ask::get("/transfers/7").signed(&alice), "no-policy").await;
    let mut elsewhere = Ask::post("/transfers/7", b"{}");
    elsewhere.authority = "bank.example.evil.example".to_owned();
    denies(&relay, &elsewhere.signed(&alice), "no-policy").await;
    passes(&relay, &Ask::post("/transfers/7", b"{}").signed(&alice)).await;
    let empty = Relay::start("policies: []", &[&alice]).await;
    denies(&empty, &Ask::get("/").signed(&alice), "no-policy").await;
}

#[tokio::test]
async fn j2_route_that_names_a_policy() {
    let alice = Signer::ed25519("alice");
    let settings = "policies:
  - {name: transfers, match: {path: /transfers}}
  - {name: open, match: {path: /open}, proof: none}
  - {name: routed, proof: none}
  - {name: everything, match: {}, proof: none}";
    let relay = Relay::start(settings, &[&alice]).await;
    let routed = |path: &str, policy: &str| Ask { policy: Some(policy.to_owned()), ..Ask::get(path) };
    // Neither does a named policy match more than it says, nor does another step in for it.
    for (path, policy) in
        [("/transfers", "open"), ("/other", "open"), ("/open", "transfers"), ("/open", ""), ("/open", "Open")]
    {
        denies(&relay, &routed(path, policy), "no-policy").await;
    }
    denies(&relay, &routed("/transfers", "transfers"), "proof-missing").await;
    denies(&relay, &routed("//open", "routed"), "path-ambiguous").await;
    passes(&relay, &routed("/open", "open")).await;
    passes(&relay, &routed("/anything", "routed")).await;
    // The choice is the route's. A header of that name is the client's.
    denies(&relay, &Ask::get("/transfers").header("proof-policy", "open"), "proof-missing").await;
}

#[tokio::test]
async fn j3_policy_chosen_by_something_else_than_was_signed() {
    let alice = Signer::ed25519("alice");
    let settings = "policies:
  - {name: open, match: {hosts: [open.example], path: /open}, proof: none}
  - {name: signed, match: {}}";
    let relay = Relay::start(settings, &[&alice]).await;
    let misleading = |ask: Ask| {
        ["x-original-url", "x-rewrite-url", "x-envoy-original-path", "x-forwarded-uri", "x-forwarded-path"]
            .into_iter()
            .fold(ask, |ask, name| ask.header(name, "/open"))
            .header("x-forwarded-host", "open.example")
            .header("x-http-method-override", "OPTIONS")
            .header("forwarded", "host=open.example")
    };
    denies(&relay, &misleading(Ask::get("/transfers")), "proof-missing").await;
    passes(&relay, &misleading(Ask::get("/transfers").signed(&alice))).await;
    let mut open = Ask::get("/open");
    open.authority = "OPEN.example:443".to_owned();
    passes(&relay, &open).await;
}

/// The policy is chosen by the host and path that the signature has to hold for.
#[tokio::test]
async fn j3_request_signed_for_another_host_or_path() {
    let alice = Signer::ed25519("alice");
    let settings = "policies:
  - {name: strict, match: {hosts: [bank.example], path: '/transfers/{account}'}, proof: {roles: [manager]}}
  - {name: test, match: {hosts: [test.bank.example]}}
  - {name: lines, match: {hosts: [bank.example], path: '/transfers/{account}/lines'}}
  - {name: low, match: {path: '/small/{account}'}, when: 'path.account != \"7\" && request.host == \"bank.example\"'}";
    let relay = Relay::start(settings, &[&alice]).await;
    let signed_for = |host: &str, path: &str| {
        let mut ask = Ask::get(path);
        ask.authority = host.to_owned();
        ask.signed(&alice)
    };
    let sent_to = |ask: &Ask, host: &str, path: &str| Ask {
        authority: host.to_owned(),
        target: path.to_owned(),
        ..ask.clone()
    };
    // Signed for where the clerk may sign, and sent to where they may not; and the other way round.
    let honest = signed_for("test.bank.example", "/transfers/7");
    denies(&relay, &sent_to(&honest, "bank.example", "/transfers/7"), "signature-invalid").await;
    let line = signed_for("bank.example", "/transfers/7/lines");
    denies(&relay, &sent_to(&line, "bank.example", "/transfers/7"), "signature-invalid").await;
    let strict = signed_for("bank.example", "/transfers/7");
    denies(&relay, &strict, "signer-not-permitted").await;
    denies(&relay, &sent_to(&strict, "test.bank.example", "/transfers/7"), "signature-invalid").await;
    denies(&relay, &sent_to(&strict, "bank.example", "/transfers/7/lines"), "signature-invalid").await;
    // The same resource in another spelling falls under the same policy, and is not what was signed.
    for path in ["/%74ransfers/7", "/transfers/%37"] {
        denies(&relay, &signed_for("bank.example", path), "signer-not-permitted").await;
        denies(&relay, &sent_to(&strict, "bank.example", path), "signature-invalid").await;
    }
    for host in ["BANK.example", "bank.example:443"] {
        denies(&relay, &sent_to(&strict, host, "/transfers/7"), "signer-not-permitted").await;
    }
    // A condition sees what the match saw.
    denies(&relay, &signed_for("bank.example", "/small/%37"), "no-policy").await;
    denies(&relay, &signed_for("other.example", "/small/8"), "no-policy").await;
    let low = signed_for("bank.example", "/small/8");
    denies(&relay, &sent_to(&low, "bank.example", "/small/9"), "signature-invalid").await;
    // A host beside the authority is no second opinion.
    denies(&relay, &low.clone().header("host", "test.bank.example"), "request-malformed").await;
    for ask in [honest, line, low] {
        passes(&relay, &ask).await;
    }
}

/// Where the name ends in front of the proxy, every such host has one name outside: the policy is chosen by the host.
#[tokio::test]
async fn j3_name_outside_of_another_policy() {
    let alice = Signer::ed25519("alice");
    let settings = "policies:
  - name: strict
    match: {hosts: [strict.internal]}
    external: {scheme: https, authority: bank.example}
    proof: {roles: [manager]}
  - {name: others, match: {hosts: [bank.example, other.internal]}}";
    let relay = Relay::start(settings, &[&alice]).await;
    let signed = Ask::get("/").signed(&alice);
    let inside =
        |ask: &Ask, host: &str| Ask { authority: host.to_owned(), scheme: "http".to_owned(), ..ask.clone() };
    denies(&relay, &inside(&signed, "strict.internal"), "signer-not-permitted").await;
    denies(&relay, &inside(&signed, "other.internal"), "signature-invalid").await;
    denies(
        &relay,
        &inside(&signed, "strict.internal").header("x-forwarded-host", "other.internal"),
        "signer-not-permitted",
    )
    .await;
    passes(&relay, &signed).await;
}

#[tokio::test]
async fn j4_check_that_is_not_about_http() {
    let relay = Relay::start("policies: [{name: open, match: {}, proof: none}]", &[]).await;
    let no_http = CheckRequest { attributes: Some(AttributeContext::default()) };
    for check in [CheckRequest::default(), no_http] {
        assert_eq!(respond(&relay, check).await.unwrap_err().code(), tonic::Code::InvalidArgument);
    }
    let mut nothing = Ask::get("/").check_request();
    *http(&mut nothing) = Default::default();
    assert_eq!(code(&ask(&relay, nothing).await), "request-malformed");
    passes(&relay, &Ask::get("/")).await;
}

#[tokio::test]
async fn j4_check_too_large_to_be_read() {
    let relay = Relay::start("policies: [{name: open, match: {}, proof: none}]", &[]).await;
    let huge = Ask::post("/", &vec![0; 2 * 1024 * 1024]).check_request();
    assert_eq!(respond(&relay, huge).await.unwrap_err().code(), tonic::Code::OutOfRange);
    passes(&relay, &Ask::get("/")).await;
}

#[tokio::test]
async fn j4_more_checks_than_places() {
    let alice = Signer::ed25519("alice");
    let service = |places, mode: &str| {
        let settings = format!("policies: [{{name: signed, match: {{}}, mode: {mode}}}]");
        Service::new(&settings, &[&alice], TestClock::new(), Arc::new(MemoryStore::new(10)), places)
    };
    // A client can cause this, so it is a denial: an error could switch the check off.
    for mode in ["enforce", "observe"] {
        let response = service(0, mode).respond(&Ask::get("/").signed(&alice)).await.unwrap();
        assert!(matches!(response.http_response, Some(HttpResponse::DeniedResponse(_))));
        let answer = answer(response);
        assert_eq!((code(&answer), answer.status, answer.allowed), ("overloaded", 503, false));
    }
    let answer = answer(service(1, "enforce").respond(&Ask::get("/").signed(&alice)).await.unwrap());
    assert!(answer.allowed);
}

/// What finds no place is refused before it waits: a backlog would hold bodies, and be answered too late.
#[tokio::test]
async fn j4_more_checks_at_once_than_places() {
    let alice = Signer::ed25519("alice");
    let settings = "policies: [{name: signed, match: {}}]";
    let store = Arc::new(MemoryStore::new(100));
    let service = Arc::new(Service::new(settings, &[&alice], TestClock::new(), store, 4));
    let mut checks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (service, check) = (Arc::clone(&service), Ask::get("/").signed(&alice).check_request());
        checks.spawn(async move { answer(service.respond(check).await.unwrap()).allowed });
    }
    let allowed = checks.join_all().await.into_iter().filter(|allowed| *allowed).count();
    assert_eq!(allowed, 4);
}

/// Their bodies are counted too.
#[tokio::test]
async fn j4_more_bytes_at_once_than_there_is_room_for() {
    let alice = Signer::ed25519("alice");
    let settings = "limits: {in_flight_bytes: 100000}\npolicies: [{name: signed, match: {}}]";
    let relay = Relay::start(settings, &[&alice]).await;
    passes(&relay, &Ask::post("/", &[0; 50_000]).signed(&alice)).await;
    let answer = denies(&relay, &Ask::post("/", &[0; 100_000]).signed(&alice), "overloaded").await;
    assert_eq!(answer.status, 503);
}

#[tokio::test]
async fn j4_observed_request() {
    let alice = Signer::ed25519("alice");
    let settings = "replay: {memory: {capacity: 1}}\npolicies: [{name: observed, match: {}, mode: observe}]";
    let relay = Relay::start(settings, &[&alice]).await;
    let honest = Ask::get("/").signed(&alice);
    passes(&relay, &honest).await;
    // It passes, and is not marked as verified.
    for (request, expected) in [
        (honest.clone(), "replayed"),
        (Ask::get("/"), "proof-missing"),
        (Ask::get("/").signed(&alice), "replay-store-unavailable"),
        (Ask::get("/").header("upgrade", "websocket"), "upgrade-refused"),
    ] {
        let answer = ask(&relay, request.check_request()).await;
        assert_eq!((code(&answer), answer.allowed), (expected, true), "{answer:?}");
        assert!(answer.headers.contains(&("x-proof-status".to_owned(), "observed".to_owned())), "{answer:?}");
        assert!(!answer.headers.iter().any(|(name, _)| name == "x-proof-subject"), "{answer:?}");
        assert_eq!(answer.metadata["decision"], "observe");
    }
    // What falls under no policy is not observed but denied.
    denies(&relay, &Ask::get("//"), "path-ambiguous").await;
    denies(&relay, &Ask::get("/").header("content-length", "x"), "request-malformed").await;
}

#[tokio::test]
async fn j7_what_a_denial_tells() {
    let alice = Signer::ed25519("alice").with(serde_json::json!({"sub": "somebody", "roles": ["auditor"]}));
    let policies = "policies: [{name: hidden-policy, match: {}, proof: {roles: [manager]}}]";
    let refused = [
        (Ask::get("/"), "proof-missing"),
        (Ask::get("/").signed(&Signer::ed25519("mallory")), "key-unknown"),
        (Ask::get("/").signed(&alice), "signer-not-permitted"),
        (Ask::get("//"), "path-ambiguous"),
        (Ask::post("/", b"{}").signed_as(&alice, &signing("a", &["@method"])), "component-uncovered"),
    ];
    let detailed = Relay::start(policies, &[&alice]).await;
    for (request, expected) in &refused {
        let answer = denies(&detailed, request, expected).await;
        let problem: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(
            (&problem["code"], &problem["status"]),
            (&Value::from(*expected), &Value::from(answer.status))
        );
        assert_eq!(problem["id"], answer.metadata["id"]);
        // Neither who holds which key and role, nor the names of policies, nor a signature base.
        for secret in ["somebody", "auditor", "manager", "hidden-policy", "@signature-params"] {
            assert!(!answer.body.contains(secret), "{answer:?}");
        }
    }
    let opaque = Relay::start(&format!("denials: opaque\n{policies}"), &[&alice]).await;
    for (request, expected) in refused {
        let answer = ask(&opaque, request.check_request()).await;
        let id = &answer.metadata["id"];
        let body =
            format!("{{\"type\":\"about:blank\",\"title\":\"Forbidden\",\"status\":403,\"id\":\"{id}\"}}");
        assert_eq!((answer.status, &answer.body), (403, &body));
        let names: Vec<&str> = answer.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["content-type", "cache-control"]);
        // The operator's logs still tell why.
        assert_eq!(code(&answer), expected);
    }
}

#[tokio::test]
async fn j7_opaque_denial_of_what_the_servers_did() {
    let alice = Signer::ed25519("alice");
    let settings = format!("denials: opaque\nreplay: {{memory: {{capacity: 1}}}}\n{SIGNED}");
    let relay = Relay::start(&settings, &[&alice]).await;
    passes(&relay, &Ask::get("/").signed(&alice)).await;
    for (request, expected) in [
        (Ask::get("/").signed(&alice), "replay-store-unavailable"),
        (Ask::new("POST", "/").signed(&alice), "body-unavailable"),
    ] {
        let answer = ask(&relay, request.check_request()).await;
        assert_eq!((code(&answer), answer.status, answer.allowed), (expected, 503, false));
        assert!(!answer.body.contains(expected), "{answer:?}");
    }
}

/// A client that sends a receipt of its own, or a captured one, gets none past the proxy.
#[tokio::test]
async fn j10_receipt_of_the_clients() {
    let alice = Signer::ed25519("alice");
    let files = KeyFiles::new();
    let policies = "[{name: open, match: {path: /open}, proof: none},
        {name: observed, match: {path: /observed}, mode: observe, receipt: {audience: payments}},
        {name: without, match: {path: /without}},
        {name: signed, match: {path: /}, receipt: {audience: payments}}]";
    let settings = receipts::settings(&[files.private("receipts-1")], policies);
    let relay = Relay::start(&settings, &[&alice]).await;
    let receipt = |answer: &Answer| {
        let found: Vec<_> = answer.headers.iter().filter(|(name, _)| name == "x-proof-receipt").collect();
        assert!(found.len() < 2, "{answer:?}");
        found.first().map(|(_, value)| value.clone())
    };
    let captured = receipt(&passes(&relay, &Ask::get("/").signed(&alice)).await).unwrap();
    let names = ["x-proof-receipt", "x_proof_receipt", "x-proof_receipt"];
    let with_it = |ask: Ask| names.iter().fold(ask, |ask, name| ask.header(name, captured.as_str()));
    for request in [Ask::get("/open"), Ask::get("/observed"), Ask::get("/without").signed(&alice)] {
        let answer = ask(&relay, with_it(request).check_request()).await;
        assert_eq!((answer.allowed, receipt(&answer)), (true, None), "{answer:?}");
        for name in names {
            assert!(answer.removed.contains(&name.to_owned()), "{name}: {answer:?}");
        }
    }
    // Where there is one of the relay's, it stands in its place.
    let answer = passes(&relay, &with_it(Ask::get("/").signed(&alice))).await;
    assert_ne!(receipt(&answer).unwrap(), captured);
    assert!(!answer.removed.contains(&"x-proof-receipt".to_owned()), "{answer:?}");
    assert!(answer.removed.contains(&"x_proof_receipt".to_owned()), "{answer:?}");
    // It is nobody's proof, and a denial says nothing of it.
    let answer = denies(&relay, &with_it(Ask::get("/")), "proof-missing").await;
    assert_eq!(receipt(&answer), None);
}

/// What somebody who goes around the proxy could send on: it is for this request, this backend and this minute only.
#[tokio::test]
async fn j10_captured_receipt() {
    let alice = Signer::ed25519("alice");
    let files = KeyFiles::new();
    let policies = "[{name: ledger, match: {hosts: [ledger.example]}, receipt: {audience: ledger}},
        {name: payments, match: {}, receipt: {audience: payments}}]";
    let settings = receipts::settings(&[files.private("receipts-1")], policies);
    let relay = Relay::start(&settings, &[&alice]).await;
    let receipts_key = receipts::key("receipts-1").public();
    let request = Ask::post("/transfers/7", b"{}");
    let changed: [(&str, Ask); 6] = [
        ("jti", request.clone()),
        ("htm", Ask { method: "PUT".to_owned(), ..request.clone() }),
        ("htu", Ask { target: "/transfers/8".to_owned(), ..request.clone() }),
        ("htu", Ask { target: "/transfers/7?to=mallory".to_owned(), ..request.clone() }),
        ("content_digest", Ask::post("/transfers/7", b"{\"amount\":1}")),
        ("aud", Ask { authority: "ledger.example".to_owned(), ..request.clone() }),
    ];
    let claims = async |request: Ask| {
        let answer = passes(&relay, &request.signed(&alice)).await;
        let (_, receipt) = answer.headers.iter().find(|(name, _)| name == "x-proof-receipt").unwrap();
        receipts::claims(receipt, &receipts_key)
    };
    let captured = claims(request).await;
    assert_eq!(captured["exp"].as_i64().unwrap() - captured["iat"].as_i64().unwrap(), 60);
    for (claim, request) in changed {
        let other = claims(request).await;
        assert_ne!(other[claim], captured[claim], "{claim}: {other}");
    }
}
