//! D: bodies in an encoding that says something else to somebody else.

use proof_messenger_relay::signer::content_digest;

use super::{SIGNED, denies, passes};
use crate::support::ask::{Ask, http, signing};
use crate::support::relay::Relay;
use crate::support::signer::Signer;

const BODY: &[u8] = b"to=alice&amount=7";

#[tokio::test]
async fn d11_body_as_text() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let as_text = |ask: &Ask| {
        let mut check = ask.check_request();
        let http = http(&mut check);
        http.body = String::from_utf8(std::mem::take(&mut http.raw_body)).unwrap();
        check
    };
    // Envoy puts a `!` in place of each byte that is not UTF-8.
    let answer = denies(&relay, as_text(&Ask::post("/", b"a!b").signed(&alice)), "body-unavailable").await;
    assert!(answer.body.contains("pack_as_bytes"), "{answer:?}");
    let mut both = Ask::post("/", BODY).signed(&alice).check_request();
    http(&mut both).body = String::from_utf8(BODY.to_vec()).unwrap();
    denies(&relay, both, "request-malformed").await;
    passes(&relay, as_text(&Ask::post("/", BODY).signed(&alice))).await;
    passes(&relay, as_text(&Ask::post("/", "caf\u{e9}".as_bytes()).signed(&alice))).await;
    passes(&relay, &Ask::post("/", b"a!b\xff").signed(&alice)).await;
}

#[tokio::test]
async fn d12_digest_of_the_decoded_body() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let encoded = b"\x1f\x8b these bytes travel";
    let cover = ["@method", "@target-uri", "content-digest", "content-encoding"];
    let sent = |digest: String| {
        let ask =
            Ask::post("/", encoded).header("content-encoding", "gzip").replace("content-digest", digest);
        ask.signed_as(&alice, &signing("alice", &cover))
    };
    denies(&relay, &sent(content_digest(BODY)), "digest-mismatch").await;
    passes(&relay, &sent(content_digest(encoded))).await;
    // Repr-Digest is about the decoded form (RFC 9530 §3), and no stand-in.
    let cover = ["@method", "@target-uri", "repr-digest"];
    let repr = Ask::post("/", BODY).without("content-digest").header("repr-digest", content_digest(BODY));
    denies(&relay, &repr.signed_as(&alice, &signing("alice", &cover)), "digest-missing").await;
}

#[tokio::test]
async fn d13_content_type_not_covered() {
    let alice = Signer::ed25519("alice");
    let settings = "policies:
  - {name: covering, match: {path: /covering}, proof: {cover: ['@method', '@target-uri', content-type]}}
  - {name: protecting, match: {path: /protecting}, protect: [content-type]}";
    let relay = Relay::start(settings, &[&alice]).await;
    for (path, code) in [("/covering", "component-uncovered"), ("/protecting", "field-uncovered")] {
        let ask = || Ask::post(path, BODY).header("content-type", "application/json");
        denies(&relay, &ask().signed(&alice), code).await;
        let cover = ["@method", "@target-uri", "content-digest", "content-type"];
        let honest = ask().signed_as(&alice, &signing("alice", &cover));
        let form = "application/x-www-form-urlencoded";
        denies(&relay, &honest.clone().replace("content-type", form), "signature-invalid").await;
        passes(&relay, &honest).await;
    }
}

/// A body that is JSON and a form is two amounts. Where a condition looks into it, what it is called has to be proven, and
/// has to be what the condition takes it for.
#[tokio::test]
async fn d13_content_type_of_a_body_that_a_condition_looks_into() {
    let alice = Signer::ed25519("alice");
    let settings = r#"policies:
  - name: large
    match: {}
    when: body.amount > 10000
    proof: {cover: ['@method', '@target-uri', content-type]}
    approvals: [{role: manager}]
  - name: small
    match: {}
    proof: {cover: ['@method', '@target-uri', content-type]}"#;
    let relay = Relay::start(settings, &[&alice]).await;
    let cover = ["@method", "@target-uri", "content-digest", "content-type"];
    let ask = || Ask::post("/", br#"{"amount":1,"note":"&amount=20000&"}"#);
    let called = |media_type: &str| ask().header("content-type", media_type);
    let signed = |ask: Ask| ask.signed_as(&alice, &signing("alice", &cover));
    let honest = signed(called("application/json"));
    // Whoever is on the way calls it something else, or nothing, or two things.
    let form = "application/x-www-form-urlencoded";
    denies(&relay, &honest.clone().replace("content-type", form), "condition-failed").await;
    denies(&relay, &honest.clone().without("content-type"), "component-missing").await;
    denies(&relay, &honest.clone().header("content-type", form), "body-ambiguous").await;
    denies(&relay, &called("application/json").signed(&alice), "component-uncovered").await;
    // So does the signer.
    denies(&relay, &signed(called(form)), "condition-failed").await;
    passes(&relay, &honest).await;
    // What is large is large by any name.
    let large = Ask::post("/", br#"{"amount":20000}"#).header("content-type", "application/json");
    denies(&relay, &signed(large), "approvals-insufficient").await;
}

#[tokio::test]
async fn d14_digest_of_the_older_kind() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let older = content_digest(BODY).replace("sha-256=:", "SHA-256=").trim_end_matches(':').to_owned();
    let cover = ["@method", "@target-uri", "digest"];
    let ask = Ask::post("/", BODY).without("content-digest").header("digest", older);
    denies(&relay, &ask.signed_as(&alice, &signing("alice", &cover)), "digest-missing").await;
    passes(&relay, &Ask::post("/", BODY).signed(&alice)).await;
}
