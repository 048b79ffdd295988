//! F: keys that are not the signer's, and algorithms that are not the key's.

use proof_messenger_relay::config::Config;
use proof_messenger_relay::keys::parse_jwk_set;
use proof_messenger_relay::server::Server;
use proof_messenger_relay::signer::Signing;
use proof_messenger_relay::timestamp::Timestamp;
use serde_json::{Value, json};

use super::{SIGNED, denies, passes};
use crate::support::ask::{Ask, signing};
use crate::support::relay::{Relay, START, TestClock};
use crate::support::signer::Signer;

const COVER: &[&str] = &["@method", "@target-uri"];

#[tokio::test]
async fn f1_alg_that_is_not_the_keys() {
    for (alice, right) in
        [(Signer::ed25519("alice"), "ed25519"), (Signer::p256("alice"), "ecdsa-p256-sha256")]
    {
        let relay = Relay::start(SIGNED, &[&alice]).await;
        let with = |alg: &str| {
            let signing = Signing { alg: Some(alg.to_owned()), ..signing("alice", COVER) };
            Ask::get("/").signed_as(&alice, &signing)
        };
        for alg in [
            "ed25519",
            "ecdsa-p256-sha256",
            "ecdsa-p384-sha384",
            "rsa-v1_5-sha256",
            "rsa-pss-sha512",
            "hmac-sha256",
            "Ed25519",
            "EdDSA",
            "ES256",
            "none",
            "",
            "ed25519 ",
        ] {
            if alg != right {
                denies(&relay, &with(alg), "algorithm-mismatch").await;
            }
        }
        let token = with(right).rewrite("signature-input", &format!("\"{right}\""), right);
        denies(&relay, &token, "proof-malformed").await;
        passes(&relay, &with(right)).await;
    }
}

#[tokio::test]
async fn f2_algorithm_chosen_by_the_message() {
    // Both sign as alice, each in the other's algorithm. The trust store knows one of them.
    let (one, other) = (Signer::ed25519("alice"), Signer::p256("alice"));
    for (known, forger, alg) in [(&one, &other, "ecdsa-p256-sha256"), (&other, &one, "ed25519")] {
        let relay = Relay::start(SIGNED, &[known]).await;
        denies(&relay, &Ask::get("/").signed(forger), "signature-invalid").await;
        let named = Signing { alg: Some(alg.to_owned()), ..signing("alice", COVER) };
        denies(&relay, &Ask::get("/").signed_as(forger, &named), "algorithm-mismatch").await;
        passes(&relay, &Ask::get("/").signed(known)).await;
    }
}

#[tokio::test]
async fn f3_key_that_is_no_signature_key() {
    let relay = Relay::start(SIGNED, &[]).await;
    denies(&relay, &Ask::get("/").signed(&Signer::ed25519("alice")), "key-unknown").await;
    for key in [
        json!({"kty": "oct", "k": "AAAA"}),
        json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}),
        json!({"kty": "OKP", "crv": "X25519", "x": "AAAA"}),
        json!({"kty": "OKP", "crv": "Ed448", "x": "AAAA"}),
        json!({"kty": "EC", "crv": "P-384", "x": "AAAA", "y": "AAAA"}),
    ] {
        refused_at_load(key).await;
    }
}

/// A trust store with this key, which has an id and an owner, is refused as a whole.
async fn refused_at_load(mut key: Value) {
    key["kid"] = json!("mallory");
    key["sub"] = json!("mallory");
    let set = json!({"keys": [Signer::ed25519("alice").public_jwk(), key]}).to_string();
    assert!(matches!(&parse_jwk_set(set.as_bytes()).unwrap()[..], [Ok(_), Err(_)]), "{set}");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("keys.json"), &set).unwrap();
    let settings = "listen: 127.0.0.1:0\nkeys: [{file: keys.json}]";
    let config = Config::parse(settings, "test", folder.path()).unwrap();
    let error = Server::bind(config, TestClock::new()).await.err().unwrap().to_string();
    assert!(error.contains("keys.json: keys[1]: "), "{error}");
}

#[tokio::test]
async fn f7_keyid_unknown_or_missing() {
    let (alice, mallory) = (Signer::ed25519("alice"), Signer::ed25519("mallory"));
    let relay = Relay::start(SIGNED, &[&alice]).await;
    denies(&relay, &Ask::get("/").signed(&mallory), "key-unknown").await;
    // "Try all keys" would find alice's.
    let lines = ["\"@method\": GET", "\"@target-uri\": https://bank.example/"];
    let unnamed =
        Ask::get("/").signed_over(&alice, "(\"@method\" \"@target-uri\");created=1700000000", &lines);
    denies(&relay, &unnamed, "proof-malformed").await;
    let honest = Ask::get("/").signed(&alice);
    for other in
        ["Alice", "alice ", " alice", "alic", "alicee", "", "*", "%61lice", "alice,alice", "../alice"]
    {
        let renamed =
            honest.clone().rewrite("signature-input", "keyid=\"alice\"", &format!("keyid=\"{other}\""));
        denies(&relay, &renamed, "key-unknown").await;
    }
    for mistyped in ["keyid=alice", "keyid", "keyid=1", "keyid=:AAAA:"] {
        let mistyped = honest.clone().rewrite("signature-input", "keyid=\"alice\"", mistyped);
        denies(&relay, &mistyped, "proof-malformed").await;
    }
    passes(&relay, &honest).await;
}

#[tokio::test]
async fn f8_key_for_something_else() {
    let clerk = Signer::ed25519("clerk").with(json!({"roles": ["clerk"]}));
    let nobody = Signer::ed25519("nobody");
    let twofold = Signer::ed25519("twofold").with(json!({"roles": ["auditor", "manager"]}));
    let settings = "policies:
  - {name: managers, match: {path: /managers}, proof: {roles: [manager, director]}}
  - {name: any, match: {}}";
    let relay = Relay::start(settings, &[&clerk, &nobody, &twofold]).await;
    for signer in [&clerk, &nobody] {
        denies(&relay, &Ask::get("/managers").signed(signer), "signer-not-permitted").await;
        passes(&relay, &Ask::get("/any").signed(signer)).await;
    }
    // Every signer holds a role. One who does cannot lend it to another.
    denies(&relay, &Ask::get("/managers").signed(&twofold).signed(&clerk), "signer-not-permitted").await;
    passes(&relay, &Ask::get("/managers").signed(&twofold)).await;
}

#[tokio::test]
async fn f9_one_key_under_two_ids() {
    // The same key with the same owner, as a rotation might leave it.
    let alice = Signer::ed25519("alice");
    let alias = Signer { id: "alias".to_owned(), ..Signer::ed25519("alice") };
    let relay = Relay::start(SIGNED, &[&alice, &alias]).await;
    let honest = Ask::get("/").signed(&alice);
    passes(&relay, &honest).await;
    // The id is part of what was signed, so the other one makes no second proof of it.
    let renamed = honest.clone().rewrite("signature-input", "keyid=\"alice\"", "keyid=\"alias\"");
    denies(&relay, &renamed, "signature-invalid").await;
    passes(&relay, &Ask::get("/").signed(&alias)).await;
}

#[tokio::test]
async fn f10_key_revoked_or_outside_its_validity() {
    let member =
        |name: &str, seconds: u64| Signer::ed25519("alice").with(json!({name: seconds, "sub": "somebody"}));
    for (alice, code) in [
        (member("revoked_at", START), "key-revoked"),
        (member("revoked_at", 0), "key-revoked"),
        (member("exp", START), "key-not-valid-now"),
        (member("nbf", START + 1), "key-not-valid-now"),
        // Valid now, and not when it signed.
        (member("nbf", START - 9), "key-not-valid-now"),
        (member("nbf", START - 10), ""),
        (member("exp", START + 1), ""),
        (member("revoked_at", START + 1), ""),
    ] {
        let relay = Relay::start(SIGNED, &[&alice]).await;
        let mut signing = signing("alice", COVER);
        signing.created = Some(Timestamp::from_unix_seconds(START - 10));
        let ask = Ask::get("/").signed_as(&alice, &signing);
        if code.is_empty() {
            passes(&relay, &ask).await;
        } else {
            // Whose key it is stays in the log.
            let answer = denies(&relay, &ask, code).await;
            assert!(!answer.body.contains("somebody"), "{answer:?}");
        }
    }
    // A proof dated ahead, to the time after the key's end.
    let alice = member("exp", START + 10);
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let mut ahead = signing("alice", COVER);
    ahead.created = Some(Timestamp::from_unix_seconds(START + 10));
    denies(&relay, &Ask::get("/").signed_as(&alice, &ahead), "key-not-valid-now").await;
    passes(&relay, &Ask::get("/").signed(&alice)).await;
    // A date that cannot be read would keep a revoked key alive.
    for date in [json!("1700000000"), json!(1.5), json!(-1), json!(null), json!(true)] {
        for name in ["revoked_at", "exp", "nbf"] {
            let mut key = Signer::ed25519("mallory").public_jwk();
            key[name] = date.clone();
            refused_at_load(key).await;
        }
    }
}

#[tokio::test]
async fn f11_keyid_that_points_somewhere() {
    let alice = Signer::ed25519("alice");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys.jwks.json", listener.local_addr().unwrap());
    let named = Signer { id: "https://bank.example/keys#1".to_owned(), ..Signer::ed25519("named") };
    let relay = Relay::start(SIGNED, &[&alice, &named]).await;
    let honest = Ask::get("/").signed(&alice);
    for keyid in
        [url.as_str(), "/etc/passwd", "keys.jwks.json", "file:///dev/zero", "data:application/json,{}"]
    {
        let pointing =
            honest.clone().rewrite("signature-input", "keyid=\"alice\"", &format!("keyid=\"{keyid}\""));
        denies(&relay, &pointing, "key-unknown").await;
        let jku = honest.clone().rewrite("signature-input", ";keyid", &format!(";jku=\"{keyid}\";keyid"));
        denies(&relay, &jku, "signature-invalid").await;
    }
    // Nobody came to fetch it.
    let visit =
        std::future::poll_fn(|context| std::task::Poll::Ready(listener.poll_accept(context).is_ready()));
    assert!(!visit.await);
    // An id may look like an address. It is a name all the same.
    passes(&relay, &Ask::get("/").signed_as(&named, &signing("sig", COVER))).await;
    passes(&relay, &honest).await;
}

#[tokio::test]
async fn f12_many_unknown_keyids() {
    let alice = Signer::ed25519("alice");
    let relay =
        Relay::start("replay: {memory: {capacity: 1}}\npolicies: [{name: signed, match: {}}]", &[&alice])
            .await;
    let honest = Ask::get("/").signed(&alice);
    for at in 0..100 {
        let flood =
            honest.clone().rewrite("signature-input", "keyid=\"alice\"", &format!("keyid=\"alice{at}\""));
        denies(&relay, &flood, "key-unknown").await;
    }
    // None of them took the one place in the store.
    passes(&relay, &honest).await;
}
