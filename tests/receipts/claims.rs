//! What a receipt says, and who gets one.

use serde_json::{Value, json};

use super::receipt;
use crate::support::ask::{Ask, ask};
use crate::support::golden::assert_golden;
use crate::support::receipts::{KeyFiles, claims, key, parts, settings};
use crate::support::relay::{Relay, START};
use crate::support::signer::Signer;

const RECEIPT: &str = "receipt: {audience: payments}";

async fn relay(policy: &str, signers: &[&Signer]) -> Relay {
    let files = KeyFiles::new();
    let policies = format!("[{{name: transfers, match: {{}}, {policy}}}]");
    Relay::start(&settings(&[files.private("receipts-1")], &policies), signers).await
}

async fn claims_of(relay: &Relay, request: &Ask) -> Value {
    let answer = request.of(relay).await;
    claims(receipt(&answer).unwrap_or_else(|| panic!("{answer:?}")), &key("receipts-1").public())
}

/// Backends rely on these.
#[tokio::test]
async fn the_claims_are_those_of_the_request() {
    let (alice, bob) = (Signer::ed25519("alice"), Signer::p256("bob"));
    let files = KeyFiles::new();
    let policies = format!(
        "[{{name: transfers, match: {{hosts: [inside.example]}},
            external: {{scheme: https, authority: bank.example}}, {RECEIPT}}}]"
    );
    let relay = Relay::start(&settings(&[files.private("receipts-1")], &policies), &[&alice, &bob]).await;
    let signed = Ask::post("/transfers/7?on=monday", b"{\"amount\":100}").signed(&alice).signed(&bob);
    let inside = Ask { scheme: "http".to_owned(), authority: "inside.example".to_owned(), ..signed };
    let answer = inside.of(&relay).await;
    let receipt = receipt(&answer).unwrap_or_else(|| panic!("{answer:?}"));
    claims(receipt, &key("receipts-1").public());
    let (header, mut claims) = parts(receipt);
    assert_eq!(claims["jti"], answer.metadata["id"].as_str());
    claims["jti"] = json!("00000000-0000-7000-8000-000000000000");
    let shown = format!("{:#}\n", json!({"header": header, "claims": claims}));
    assert_golden("tests/golden/receipt.json", shown.as_bytes());
    // Envoy takes 60 KiB of headers.
    assert!(receipt.len() < 1200, "{} bytes", receipt.len());
}

#[tokio::test]
async fn it_is_over_after_its_lifetime() {
    let alice = Signer::ed25519("alice");
    let files = KeyFiles::new();
    let settings =
        settings(&[files.private("receipts-1")], &format!("[{{name: a, match: {{}}, {RECEIPT}}}]"))
            .replace("receipts:\n", "receipts:\n  lifetime: 5m\n");
    let relay = Relay::start(&settings, &[&alice]).await;
    relay.clock.advance(10);
    let claims = claims_of(&relay, &Ask::get("/").signed(&alice)).await;
    assert_eq!((&claims["iat"], &claims["exp"]), (&json!(START + 10), &json!(START + 310)));
    assert_eq!(claims["proofs"][0]["created"], START);
}

#[tokio::test]
async fn the_digest_is_that_of_the_body() {
    let alice = Signer::ed25519("alice");
    let strict = relay(RECEIPT, &[&alice]).await;
    let body = b"{\"amount\":100}";
    let digest = proof_messenger_relay::signer::content_digest(body);
    let post = || Ask::post("/", body);
    assert_eq!(claims_of(&strict, &post().signed(&alice)).await["content_digest"], digest);
    // What nobody has compared with the body is left out.
    let more = format!("md5=:AAAA:;a=1, {digest};checked=?0, other=5");
    let ask = post().replace("content-digest", more.replace(", other=5", ", x=:AAAA:")).signed(&alice);
    assert_eq!(claims_of(&strict, &ask).await["content_digest"], digest);
    let both = format!("{}, {digest}", sha512(body));
    let ask = post().replace("content-digest", both.clone()).signed(&alice);
    assert_eq!(claims_of(&strict, &ask).await["content_digest"], both);
    // No body, no digest.
    assert_eq!(claims_of(&strict, &Ask::get("/").signed(&alice)).await.get("content_digest"), None);

    // Where a body may go unsigned, the receipt still says which one it was.
    let free = relay(&format!("proof: {{body: free}}, {RECEIPT}"), &[&alice]).await;
    let unsigned = post().without("content-digest").signed_covering(&alice, &["@method", "@target-uri"]);
    assert_eq!(claims_of(&free, &unsigned).await["content_digest"], digest);
}

fn sha512(body: &[u8]) -> String {
    use base64ct::{Base64, Encoding as _};
    format!("sha-512=:{}:", Base64::encode_string(&proof_messenger_relay::crypto::sha512(body)))
}

/// Only a proof that was verified, was enough and is now used up gets one.
#[tokio::test]
async fn nothing_but_a_verified_request_gets_one() {
    let alice = Signer::ed25519("alice");
    let files = KeyFiles::new();
    let policies = format!(
        "[{{name: without, match: {{path: /without}}}},
          {{name: open, match: {{path: /open}}, proof: none}},
          {{name: observing, match: {{path: /observed}}, mode: observe, {RECEIPT}}},
          {{name: signed, match: {{}}, {RECEIPT}}}]"
    );
    let policies = policies.replace("{name: signed, match: {}", "{name: signed, match: {path: /signed}");
    let relay = Relay::start(&settings(&[files.private("receipts-1")], &policies), &[&alice]).await;
    let observed = Ask::get("/observed").signed(&alice);
    let signed = Ask::get("/signed").signed(&alice);
    for (request, status, has_receipt) in [
        (&signed, "verified", true),
        (&signed, "denied", false), // again
        (&Ask::get("/signed"), "denied", false),
        (&Ask::get("/without").signed(&alice), "verified", false),
        (&Ask::get("/open").signed(&alice), "unsigned", false),
        (&observed, "verified", true),
        (&observed, "observed", false), // again
        (&Ask::get("/observed"), "observed", false),
    ] {
        let answer = ask(&relay, request.check_request()).await;
        let found = answer.headers.iter().find(|(name, _)| name == "x-proof-status");
        let found = found.map_or("denied", |(_, value)| value);
        assert_eq!((found, receipt(&answer).is_some()), (status, has_receipt), "{answer:?}");
    }
}
