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
