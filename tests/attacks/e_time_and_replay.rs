//! E: proofs that are too old, too young, or used before.

use std::sync::Arc;

use proof_messenger_relay::signer::Signing;
use proof_messenger_relay::timestamp::Timestamp;

use super::{SIGNED, denies, passes};
use crate::support::ask::{Ask, add_line, ask, code, http, now, signing};
use crate::support::relay::{Relay, START};
use crate::support::signer::Signer;

const COVER: &[&str] = &["@method", "@target-uri"];

fn at(seconds: u64) -> Option<Timestamp> {
    Some(Timestamp::from_unix_seconds(seconds))
}

/// A GET that alice signed, with what the test says instead of the usual.
fn signed(alice: &Signer, change: impl FnOnce(&mut Signing)) -> Ask {
    let mut signing = signing("alice", COVER);
    change(&mut signing);
    Ask::get("/").signed_as(alice, &signing)
}

#[tokio::test]
async fn e1_created_missing_too_long_ago_or_ahead() {
    let alice = Signer::ed25519("alice");
    let settings = "policies: [{name: signed, match: {}, proof: {max_age: 60s, clock_skew: 5s}}]";
    let relay = Relay::start(settings, &[&alice]).await;
    let created = |seconds| signed(&alice, |signing| signing.created = at(seconds));
    denies(&relay, &signed(&alice, |signing| signing.created = None), "proof-malformed").await;
    denies(&relay, &created(START - 66), "proof-too-old").await;
    denies(&relay, &created(0), "proof-too-old").await;
    denies(&relay, &created(START + 6), "proof-from-future").await;
    denies(&relay, &created(999_999_999_999_999), "proof-from-future").await;
    passes(&relay, &created(START - 65)).await;
    passes(&relay, &created(START + 5)).await;
}

#[tokio::test]
async fn e2_expires_missing_passed_or_too_generous() {
    let alice = Signer::ed25519("alice");
    let settings =
        "policies: [{name: signed, match: {}, proof: {require: [expires], max_age: 60s, clock_skew: 5s}}]";
    let relay = Relay::start(settings, &[&alice]).await;
    let lasting = |created, expires| {
        signed(&alice, |signing| (signing.created, signing.expires) = (at(created), at(expires)))
    };
    denies(&relay, &signed(&alice, |_| ()), "proof-malformed").await;
    // No skew is granted: the time is the signer's own last word.
    denies(&relay, &lasting(START - 10, START - 1), "proof-expired").await;
    // A longer life than the policy's is worth no more than that.
    denies(&relay, &lasting(START - 66, START + 1_000_000), "proof-too-old").await;
    passes(&relay, &lasting(START - 10, START)).await;
    passes(&relay, &lasting(START - 10, 999_999_999_999_999)).await;
    for expires in [START - 10, START - 11, 0] {
        // A signer would not write it either.
        let params = format!("(\"@method\");created={};expires={expires};keyid=\"alice\"", START - 10);
        denies(&relay, &Ask::get("/").signed_over(&alice, &params, &[]), "proof-malformed").await;
    }
}

#[tokio::test]
async fn e3_date_is_no_time_of_a_proof() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let cover = ["@method", "@target-uri", "date"];
    let dated = |created: Option<Timestamp>, date: &str| {
        let signing = Signing { created, ..signing("alice", &cover) };
        Ask::get("/").header("date", date).signed_as(&alice, &signing)
    };
    let (now, long_ago) = ("Tue, 14 Nov 2023 22:13:20 GMT", "Mon, 14 Nov 2022 22:13:20 GMT");
    denies(&relay, &dated(None, now), "proof-malformed").await;
    denies(&relay, &dated(at(START - 1000), now), "proof-too-old").await;
    passes(&relay, &dated(at(START), long_ago)).await;
}

#[tokio::test]
async fn e5_nonce_that_is_none() {
    let alice = Signer::ed25519("alice");
    let settings = "policies:
  - {name: required, match: {path: /}, proof: {require: [nonce]}}
  - {name: signed, match: {}}";
    let relay = Relay::start(settings, &[&alice]).await;
    let with = |nonce: &str| signed(&alice, |signing| signing.nonce = Some(nonce.to_owned()));
    denies(&relay, &signed(&alice, |signing| signing.nonce = None), "proof-malformed").await;
    denies(&relay, &with("fifteen bytes.."), "proof-malformed").await;
    passes(&relay, &with("sixteen bytes...")).await;
    passes(&relay, &with(&"n".repeat(256))).await;
    let honest = Ask::get("/any").signed_as(&alice, &signing("alice", COVER));
    let long = "n".repeat(257);
    for nonce in ["\"\"", "nonce", "1", "?1", ":AAAA:", &format!("\"{long}\"")] {
        let member = honest.value("signature-input");
        let (before, _) = member.split_once("nonce=").unwrap();
        let other = honest.clone().replace("signature-input", format!("{before}nonce={nonce}"));
        denies(&relay, &other, "proof-malformed").await;
    }
    passes(&relay, &honest).await;
}

#[tokio::test]
async fn e6_nonce_used_a_second_time() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let honest = Ask::post("/", b"{}").signed(&alice);
    passes(&relay, &honest).await;
    let answer = denies(&relay, &honest, "replayed").await;
    assert_eq!(answer.status, 409);
    denies(&relay, honest.merged_check_request(), "replayed").await;
    // What the proof does not cover makes no other request of it.
    denies(&relay, &honest.clone().header("x-request-id", "another"), "replayed").await;
    let relabelled =
        honest.clone().rewrite("signature-input", "alice=", "b=").rewrite("signature", "alice=", "b=");
    denies(&relay, &relabelled, "replayed").await;
    // The nonce counts, not what it stands beside.
    let nonce = || Some("a nonce for two requests".to_owned());
    passes(&relay, &signed(&alice, |signing| signing.nonce = nonce())).await;
    let other = Signing { nonce: nonce(), ..signing("alice", COVER) };
    denies(&relay, &Ask::get("/other").signed_as(&alice, &other), "replayed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn e6_one_of_many_at_once_wins() {
    let alice = Signer::ed25519("alice");
    let relay = Arc::new(Relay::start(SIGNED, &[&alice]).await);
    for nonce in [Some("a nonce for all of them".to_owned()), None] {
        let honest = signed(&alice, |signing| signing.nonce = nonce);
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let (relay, check) = (Arc::clone(&relay), honest.check_request());
            asking.spawn(async move { code(&ask(&relay, check).await).to_owned() });
        }
        let codes = asking.join_all().await;
        assert_eq!(codes.iter().filter(|code| code.is_empty()).count(), 1, "{codes:?}");
        assert_eq!(codes.iter().filter(|code| *code == "replayed").count(), 49, "{codes:?}");
    }
}

#[tokio::test]
async fn e6_one_used_proof_of_two_spoils_both() {
    let (alice, bob) = (Signer::ed25519("alice"), Signer::ed25519("bob"));
    let relay = Relay::start(SIGNED, &[&alice, &bob]).await;
    let (by_alice, by_bob) = (Ask::get("/").signed(&alice), Ask::get("/").signed(&bob));
    let joined = |one: &Ask, other: &Ask| {
        let names = ["signature-input", "signature"];
        names.into_iter().fold(one.clone(), |both, name| both.header(name, other.value(name)))
    };
    passes(&relay, &by_alice).await;
    denies(&relay, &joined(&by_alice, &by_bob), "replayed").await;
    denies(&relay, &joined(&by_bob, &by_alice), "replayed").await;
    // Bob's was not used up with it.
    passes(&relay, &by_bob).await;
}

#[tokio::test]
async fn e7_forged_message_with_the_nonce_of_another() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let honest = Ask::post("/", b"{}").signed(&alice);
    let mut other_target = honest.clone();
    other_target.target = "/other".to_owned();
    denies(&relay, &other_target, "signature-invalid").await;
    let mut other_body = honest.clone();
    other_body.body = Some(b"[]".to_vec());
    denies(&relay, &other_body, "digest-mismatch").await;
    passes(&relay, &honest).await;
}

/// Which policy let it through does not matter: the more patient one must not take it again.
#[tokio::test]
async fn e9_used_proof_under_a_more_patient_policy() {
    let alice = Signer::ed25519("alice");
    let settings = r#"policies:
  - {name: patient, proof: {max_age: 1h, clock_skew: 0s}}
  - {name: strict, match: {}, proof: {max_age: 60s, clock_skew: 0s}}"#;
    let relay = Relay::start(settings, &[&alice]).await;
    let strict = Ask::get("/").signed(&alice);
    let mut patient = strict.clone();
    patient.policy = Some("patient".to_owned());
    passes(&relay, &strict).await;
    for _ in 0..59 {
        denies(&relay, &patient, "replayed").await;
        relay.clock.advance(60);
    }
    denies(&relay, &patient, "replayed").await;
}

/// Used while policies accepted proofs for a minute, and forgotten: an operator who is more patient from now on revives none.
#[tokio::test]
async fn e9_used_proof_after_max_age_was_raised() {
    let alice = Signer::ed25519("alice");
    let policy = |max_age| {
        format!("policies: [{{name: signed, match: {{}}, proof: {{max_age: {max_age}, clock_skew: 0s}}}}]")
    };
    let relay = Relay::start(&policy("1m"), &[&alice]).await;
    let (used, unused) = (Ask::get("/1").signed(&alice), Ask::get("/2").signed(&alice));
    passes(&relay, &used).await;
    relay.clock.advance(30);
    relay.change(&policy("1h")).await;
    denies(&relay, &used, "replayed").await;
    // What was signed before is good for as long as it was going to be.
    passes(&relay, &unused).await;
    relay.clock.advance(31);
    let fresh = signed(&alice, |signing| signing.created = at(START + 61));
    denies(&relay, &used, "proof-too-old").await;
    relay.clock.advance(600);
    denies(&relay, &used, "proof-too-old").await;
    passes(&relay, &fresh).await;
    denies(&relay, &fresh, "replayed").await;
    // Impatience for a while makes nothing forgotten.
    relay.change(&policy("1m")).await;
    relay.clock.advance(120);
    relay.change(&policy("1h")).await;
    denies(&relay, &fresh, "replayed").await;
}

/// A clock that is set back makes a proof look fresh again, not new.
#[tokio::test]
async fn e9_used_proof_after_the_clock_was_set_back() {
    let alice = Signer::ed25519("alice");
    let settings = "policies: [{name: signed, match: {}, proof: {max_age: 60s, clock_skew: 0s}}]";
    let relay = Relay::start(settings, &[&alice]).await;
    let honest = Ask::get("/").signed(&alice);
    passes(&relay, &honest).await;
    relay.clock.advance(100);
    let mut later = signing("alice", &["@method", "@target-uri"]);
    later.created = Some(now(&relay));
    // So many that every part of the store is looked at.
    for _ in 0..600 {
        later.nonce = Some(proof_messenger_relay::signer::nonce().unwrap());
        let check = Ask::get("/").signed_as(&alice, &later).check_request();
        assert!(crate::support::ask::ask(&relay, check).await.allowed);
    }
    relay.clock.set_back(45);
    denies(&relay, &honest, "replayed").await;
}

#[tokio::test]
async fn e9_used_proof_is_remembered_as_long_as_it_is_fresh() {
    let alice = Signer::ed25519("alice");
    let settings = "policies: [{name: signed, match: {}, proof: {max_age: 60s, clock_skew: 5s}}]";
    let relay = Relay::start(settings, &[&alice]).await;
    // From the earliest moment at which it is accepted to the last.
    let honest = signed(&alice, |signing| signing.created = at(START + 5));
    let old = signed(&alice, |signing| signing.created = at(START - 60));
    let brief = signed(&alice, |signing| signing.expires = at(START + 20));
    for (ask, last) in [(&old, START + 5), (&brief, START + 20), (&honest, START + 70)] {
        passes(&relay, ask).await;
        for _ in now(&relay).unix_seconds().unsigned_abs()..=last {
            denies(&relay, ask, "replayed").await;
            relay.clock.advance(1);
        }
        let code = if last == START + 20 { "proof-expired" } else { "proof-too-old" };
        denies(&relay, ask, code).await;
    }
    // A minute later, should the clock be set back, the nonce may be used again: with a new proof.
    relay.clock.advance(60);
    let nonce = honest.value("signature-input").split('"').nth(7).unwrap().to_owned();
    let again = signed(&alice, |signing| {
        signing.created = at(START + 131);
        signing.nonce = Some(nonce);
    });
    passes(&relay, &again).await;
    denies(&relay, &again, "replayed").await;
}

#[tokio::test]
async fn e10_proxy_that_asks_twice_about_one_request() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let honest = Ask::get("/").signed(&alice);
    let with_id = |id: &str| {
        let mut check = honest.check_request();
        http(&mut check).id = id.to_owned();
        check
    };
    passes(&relay, with_id("1234567890")).await;
    passes(&relay, with_id("1234567890")).await;
    denies(&relay, with_id("987654321"), "replayed").await;
    denies(&relay, with_id(""), "replayed").await;
    // A header is the client's to choose.
    let mut copied = honest.check_request();
    add_line(&mut copied, "x-request-id", "1234567890");
    denies(&relay, copied, "replayed").await;
    relay.clock.advance(6);
    denies(&relay, with_id("1234567890"), "replayed").await;
}

#[tokio::test]
async fn e10_proxy_that_gives_no_id() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let honest = Ask::get("/").signed(&alice);
    passes(&relay, &honest).await;
    let mut with_id = honest.check_request();
    http(&mut with_id).id = "1".to_owned();
    denies(&relay, with_id, "replayed").await;
    denies(&relay, &honest, "replayed").await;
}

#[tokio::test]
async fn e11_same_nonce_under_another_key() {
    let (alice, bob) = (Signer::ed25519("alice"), Signer::ed25519("bob"));
    let relay = Relay::start(SIGNED, &[&alice, &bob]).await;
    let nonce = |signer: &Signer| {
        let nonce = Some("a nonce that both of them drew".to_owned());
        Ask::get("/").signed_as(signer, &Signing { nonce, ..signing("sig", COVER) })
    };
    passes(&relay, &nonce(&alice)).await;
    passes(&relay, &nonce(&bob)).await;
    denies(&relay, &nonce(&alice), "replayed").await;
}

#[tokio::test]
async fn e12_proof_without_a_nonce() {
    for alice in [Signer::ed25519("alice"), Signer::p256("alice")] {
        let relay = Relay::start(SIGNED, &[&alice]).await;
        let without = || signed(&alice, |signing| signing.nonce = None);
        passes(&relay, &without()).await;
        denies(&relay, &without(), "replayed").await;
        let later = signed(&alice, |signing| (signing.nonce, signing.created) = (None, at(START + 1)));
        passes(&relay, &later).await;
    }
}

#[tokio::test]
async fn e13_denied_request_sent_again() {
    let alice = Signer::ed25519("alice").with(serde_json::json!({"roles": ["clerk"]}));
    let settings = "policies:
  - {name: managers, match: {hosts: [managers.example]}, proof: {cover: ['@method', '@path'], roles: [manager]}}
  - {name: clerks, match: {}, proof: {cover: ['@method', '@path'], roles: [clerk]}, protect: [x-tenant]}";
    let relay = Relay::start(settings, &[&alice]).await;
    let honest = Ask::get("/").signed_as(&alice, &signing("alice", &["@method", "@path"]));
    let mut elsewhere = honest.clone();
    elsewhere.authority = "managers.example".to_owned();
    denies(&relay, &elsewhere, "signer-not-permitted").await;
    denies(&relay, &honest.clone().header("x-tenant", "a"), "field-uncovered").await;
    passes(&relay, &honest).await;
    denies(&relay, &honest, "replayed").await;
}
