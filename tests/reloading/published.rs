//! Keys that are published at a URL.

use proof_messenger_relay::timestamp::{Clock as _, SystemClock};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::Reloading;
use crate::support::LOOK_AGAIN;
use crate::support::ask::Ask;
use crate::support::publisher::Publisher;
use crate::support::recording::ask;
use crate::support::signer::{Signer, trust_store};

/// A relay whose keys are published; `of_source` are settings of that source.
async fn start(publisher: &Publisher, of_source: &Value) -> Reloading {
    let mut source = json!({"url": publisher.url(), "refresh": "24h", "cooldown": "0s"});
    source.as_object_mut().unwrap().extend(of_source.as_object().unwrap().clone());
    let settings = json!({
        "listen": "127.0.0.1:0",
        "keys": [{"file": "people.jwks.json"}, source],
        "policies": [{"name": "one", "match": {}}],
    });
    Reloading::start(&settings, &[&Signer::ed25519("zoe")]).await
}

/// A relay that has fetched the key of alice, which is published.
async fn with_alice(of_source: &Value) -> (Signer, Publisher, Reloading) {
    let alice = Signer::ed25519("alice");
    let publisher = Publisher::start(&published(&[&alice])).await;
    let mut relay = start(&publisher, of_source).await;
    relay.until(&alice, "one").await;
    (alice, publisher, relay)
}

fn published(signers: &[&Signer]) -> String {
    trust_store(signers).to_string()
}

impl Reloading {
    /// Asks until the answer is this.
    async fn until(&mut self, signer: &Signer, decision: &str) {
        for _ in 0..1000 {
            if self.decides(signer).await == decision {
                return;
            }
            sleep(LOOK_AGAIN).await;
        }
        panic!("{} is not decided as {decision}: {}", signer.id, self.decides(signer).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_nobody_knows_has_the_keys_fetched() {
    let bob = Signer::p256("bob");
    let (alice, publisher, mut relay) = with_alice(&json!({})).await;
    assert_eq!(relay.decides(&Signer::ed25519("zoe")).await, "one");
    publisher.publish(200, &published(&[&alice, &bob]));
    relay.until(&bob, "one").await;
    assert_eq!(relay.outcome()["key_changes"], "added alice");
    assert_eq!(relay.outcome()["key_changes"], "added bob");
    // Taken out again.
    publisher.publish(200, &published(&[&bob]));
    assert_eq!(relay.decides(&Signer::ed25519("nobody")).await, "key-unknown");
    relay.until(&alice, "key-unknown").await;
}

/// Whoever publishes no key any more has withdrawn them all.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_set_takes_the_last_key_out() {
    let (alice, publisher, mut relay) = with_alice(&json!({})).await;
    // One of which nothing can be used says nothing of the others.
    publisher.publish(200, r#"{"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}"#);
    assert_eq!(relay.decides(&Signer::ed25519("nobody")).await, "key-unknown");
    publisher.publish(200, r#"{"keys": []}"#);
    assert_eq!(relay.decides(&Signer::ed25519("nobody")).await, "key-unknown");
    relay.until(&alice, "key-unknown").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unchanged_is_asked_for_by_its_tag() {
    let (alice, publisher, mut relay) = with_alice(&json!({})).await;
    while publisher.state().answers.len() < 3 {
        relay.decides(&Signer::ed25519("nobody")).await;
    }
    assert_eq!(publisher.state().answers[..3], [200, 304, 304]);
    assert_eq!(relay.decides(&alice).await, "one");
}

/// F12: however many keys a client makes up, there is one request, and then none before the time.
#[tokio::test(flavor = "multi_thread")]
async fn f12_a_flood_of_unknown_keys_makes_one_request() {
    let (_, publisher, mut relay) = with_alice(&json!({"cooldown": "1h"})).await;
    for number in 0..200 {
        assert_eq!(relay.decides(&Signer::ed25519(&format!("nobody-{number}"))).await, "key-unknown");
    }
    assert_eq!(publisher.state().answers, [200]);
}

/// F11: what the message says about where its key is, is never followed, and neither is a redirect.
#[tokio::test(flavor = "multi_thread")]
async fn f11_nothing_but_the_operators_url_is_asked() {
    let mallory = Publisher::start(&published(&[])).await;
    let (alice, publisher, mut relay) = with_alice(&json!({})).await;
    let mut forged = Signer::ed25519("mallory");
    forged.id = mallory.url();
    assert_eq!(relay.decides(&forged).await, "key-unknown");
    publisher.publish(302, &published(&[&forged]));
    while publisher.state().answers.iter().filter(|status| **status == 302).count() < 2 {
        assert_eq!(relay.decides(&forged).await, "key-unknown");
    }
    assert!(mallory.state().answers.is_empty());
    assert_eq!(relay.decides(&alice).await, "one");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_key_set_leaves_the_last_good_one() {
    let (alice, publisher, mut relay) = with_alice(&json!({})).await;
    let private = json!({"keys": [alice.private_jwk()]}).to_string();
    let long = published(&[&alice]) + &" ".repeat(5 * 1024 * 1024);
    for (status, text) in [(500, ""), (200, "<html>"), (200, &private), (200, &long), (404, "")] {
        publisher.publish(status, text);
        let before = publisher.state().answers.len();
        while publisher.state().answers.len() < before + 2 {
            relay.decides(&Signer::ed25519("nobody")).await;
        }
        assert_eq!(relay.decides(&alice).await, "one", "{status} {:.20}", text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_nobody_confirms_go_out_of_force() {
    let (alice, publisher, mut relay) = with_alice(&json!({"max_stale": "1s"})).await;
    publisher.publish(503, "");
    // It is asked for, fails, and is tried again and again.
    assert_eq!(relay.decides(&Signer::ed25519("nobody")).await, "key-unknown");
    relay.until(&alice, "key-unknown").await;
    publisher.publish(200, &published(&[&alice]));
    relay.until(&alice, "one").await;
}

/// Whoever publishes speaks for nobody else, where the operator says so.
#[tokio::test(flavor = "multi_thread")]
async fn the_operator_says_whose_the_keys_are() {
    let partner = Signer::ed25519("partner-key").with(json!({"sub": "alice", "roles": ["manager"]}));
    let kinds = json!({"keys": [partner.public_jwk(), {"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}).to_string();
    let publisher = Publisher::start(&kinds).await;
    let mut relay = start(&publisher, &json!({"subject": "partner", "roles": ["payer"]})).await;
    relay.until(&partner, "one").await;
    let mut request = Ask::get("/");
    request.created = SystemClock.now();
    let answer = ask(&mut relay.client, &request.signed(&partner)).await.unwrap();
    assert!(answer.headers.contains(&("x-proof-subject".to_owned(), "partner".to_owned())), "{answer:?}");
}

/// A publisher that takes the name of a key of the files is left out, and keeps nothing else out.
#[tokio::test(flavor = "multi_thread")]
async fn a_published_key_takes_nobodys_name() {
    let (alice, mut usurper) = (Signer::ed25519("alice"), Signer::ed25519("usurper"));
    usurper.id = "zoe".to_owned();
    let publisher = Publisher::start(&published(&[&alice, &usurper])).await;
    let mut relay = start(&publisher, &json!({})).await;
    loop {
        let line = relay.relay.next_line();
        if line["remark"]
            .as_str()
            .unwrap_or_default()
            .contains("the key id \"zoe\" stands already at people.jwks.json: keys[0]")
        {
            break;
        }
    }
    assert_eq!(relay.decides(&usurper).await, "signature-invalid");
    assert_eq!(relay.decides(&alice).await, "key-unknown");
    relay.write_keys(&[&Signer::ed25519("yves")]);
    relay.until(&Signer::ed25519("yves"), "one").await;
    relay.until(&usurper, "one").await;
}

/// Nor the name of a key that another one publishes, though it stands behind in the settings.
#[tokio::test(flavor = "multi_thread")]
async fn a_published_key_takes_no_name_of_another_publisher() {
    let (alice, bob, mut usurper) =
        (Signer::ed25519("alice"), Signer::ed25519("bob"), Signer::ed25519("mallory"));
    usurper.id = "bob".to_owned();
    let (first, second) =
        (Publisher::start(&published(&[&alice])).await, Publisher::start(&published(&[&bob])).await);
    let source = |publisher: &Publisher| json!({"url": publisher.url(), "refresh": "24h", "cooldown": "0s"});
    let settings = json!({
        "listen": "127.0.0.1:0",
        "keys": [{"file": "people.jwks.json"}, source(&first), source(&second)],
        "policies": [{"name": "one", "match": {}}],
    });
    let mut relay = Reloading::start(&settings, &[&Signer::ed25519("zoe")]).await;
    relay.until(&alice, "one").await;
    relay.until(&bob, "one").await;
    first.publish(200, &published(&[&alice, &usurper]));
    assert_eq!(relay.decides(&Signer::ed25519("nobody")).await, "key-unknown");
    // All that the usurper publishes is left out.
    relay.until(&alice, "key-unknown").await;
    assert_eq!(relay.decides(&bob).await, "one");
    assert_eq!(relay.decides(&usurper).await, "signature-invalid");
}
