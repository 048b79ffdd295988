//! G: several signatures on one request.

use proof_messenger_relay::signer::Signing;
use serde_json::json;

use super::{SIGNED, denies, passes};
use crate::support::ask::{Ask, signing};
use crate::support::relay::Relay;
use crate::support::signer::Signer;

const COVER: &[&str] = &["@method", "@target-uri"];
const TAGGED: &str = "policies: [{name: tagged, match: {}, proof: {tag: transfer}}]";

fn tagged(label: &str, tag: &str) -> Signing {
    Signing { tag: Some(tag.to_owned()), ..signing(label, COVER) }
}

/// The same request with one signature more.
fn joined(one: &Ask, other: &Ask) -> Ask {
    ["signature-input", "signature"]
        .into_iter()
        .fold(one.clone(), |both, name| both.header(name, other.value(name)))
}

/// A request with the signature of another.
fn broken(signer: &Signer, signing: &Signing) -> Ask {
    let other = Ask::get("/another").signed_as(signer, signing);
    Ask { target: "/".to_owned(), ..other }
}

#[tokio::test]
async fn g1_label_that_claims_a_role() {
    let clerk = Signer::ed25519("clerk").with(json!({"roles": ["clerk"]}));
    let manager = Signer::ed25519("manager").with(json!({"roles": ["manager"]}));
    let settings = "policies: [{name: managers, match: {}, proof: {roles: [manager]}}]";
    let relay = Relay::start(settings, &[&clerk, &manager]).await;
    let labelled = |signer: &Signer, label: &str| Ask::get("/").signed_as(signer, &signing(label, COVER));
    for label in ["manager", "transfer", "sig1"] {
        denies(&relay, &labelled(&clerk, label), "signer-not-permitted").await;
    }
    let answer = passes(&relay, &labelled(&manager, "clerk")).await;
    assert!(answer.headers.contains(&("x-proof-subject".to_owned(), "manager".to_owned())), "{answer:?}");
    // Nor does a label stand in for a tag.
    let relay = Relay::start(TAGGED, &[&manager]).await;
    denies(&relay, &labelled(&manager, "transfer"), "tag-mismatch").await;
}

#[tokio::test]
async fn g2_two_with_the_tag_and_one_of_them_invalid() {
    let (alice, bob) = (Signer::ed25519("alice"), Signer::ed25519("bob"));
    let relay = Relay::start(TAGGED, &[&alice, &bob]).await;
    let honest = || Ask::get("/").signed_as(&alice, &tagged("a", "transfer"));
    let forged = broken(&bob, &tagged("b", "transfer"));
    denies(&relay, &joined(&honest(), &forged), "signature-invalid").await;
    denies(&relay, &joined(&forged, &honest()), "signature-invalid").await;
    let mallory = broken(&Signer::ed25519("mallory"), &tagged("m", "transfer"));
    denies(&relay, &joined(&honest(), &mallory), "key-unknown").await;
    let unreadable = honest().rewrite("signature-input", "a=(", "m=();tag=\"transfer\", a=(");
    denies(&relay, &unreadable, "proof-malformed").await;
    passes(&relay, &joined(&honest(), &Ask::get("/").signed_as(&bob, &tagged("b", "transfer")))).await;
    passes(&relay, &honest()).await;
}

#[tokio::test]
async fn g2_tag_in_another_spelling() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(TAGGED, &[&alice]).await;
    for tag in ["Transfer", "transfer ", "", "transfers", "transfer,x"] {
        denies(&relay, &Ask::get("/").signed_as(&alice, &tagged("a", tag)), "tag-mismatch").await;
    }
    let honest = Ask::get("/").signed_as(&alice, &tagged("a", "transfer"));
    for tag in [";tag=transfer", ";tag", ";tag=\"other\"", ""] {
        let retagged = honest.clone().rewrite("signature-input", ";tag=\"transfer\"", tag);
        denies(&relay, &retagged, "tag-mismatch").await;
    }
    // An untagged proof that is given the tag is not the one that was signed.
    let untagged =
        Ask::get("/").signed(&alice).rewrite("signature-input", ";keyid", ";tag=\"transfer\";keyid");
    denies(&relay, &untagged, "signature-invalid").await;
    passes(&relay, &honest).await;
}

#[tokio::test]
async fn g3_result_of_the_last_one() {
    let (alice, bob) = (Signer::ed25519("alice"), Signer::ed25519("bob"));
    let relay = Relay::start(SIGNED, &[&alice, &bob]).await;
    let valid = |label: &str| Ask::get("/").signed_as(&alice, &signing(label, COVER));
    let invalid = broken(&bob, &signing("b", COVER));
    for ask in [
        joined(&invalid, &valid("a")),
        joined(&valid("a"), &invalid),
        joined(&joined(&valid("a"), &invalid), &valid("c")),
    ] {
        denies(&relay, &ask, "signature-invalid").await;
    }
    // The same with what each covers.
    let little = Ask::get("/").signed_as(&bob, &signing("b", &["@method"]));
    denies(&relay, &joined(&valid("a"), &little), "component-uncovered").await;
    denies(&relay, &joined(&little, &valid("a")), "component-uncovered").await;
    passes(&relay, &joined(&valid("a"), &valid("c"))).await;
}

#[tokio::test]
async fn g4_signatures_of_no_concern() {
    let (alice, mallory) = (Signer::ed25519("alice"), Signer::ed25519("mallory"));
    let relay = Relay::start(TAGGED, &[&alice]).await;
    let honest = || Ask::get("/").signed_as(&alice, &tagged("a", "transfer"));
    for foreign in [
        broken(&mallory, &tagged("m", "other")),
        broken(&mallory, &signing("m", COVER)),
        Ask::get("/").header("signature-input", "m").header("signature", "m"),
        Ask::get("/").header("signature-input", "m=(\"@nope\");created=-1").header("signature", "m=\"\""),
    ] {
        let answer = passes(&relay, &joined(&honest(), &foreign)).await;
        assert!(answer.headers.contains(&("x-proof-key-id".to_owned(), "alice".to_owned())), "{answer:?}");
        passes(&relay, &joined(&foreign, &honest())).await;
    }
    // There is an end to it, and a second label of the same name is nobody's own.
    let crowd: Vec<String> = (0..16).map(|at| format!("m{at}=()")).collect();
    denies(&relay, &honest().header("signature-input", crowd.join(", ")), "proof-malformed").await;
    passes(&relay, &honest().header("signature-input", crowd[1..].join(", "))).await;
    denies(&relay, &joined(&honest(), &broken(&mallory, &tagged("a", "other"))), "proof-malformed").await;
}

#[tokio::test]
async fn g5_signature_over_another_signature_only() {
    let (alice, bob) = (Signer::ed25519("alice"), Signer::ed25519("bob"));
    let settings = "policies:
  - {name: tagged, match: {path: /tagged}, proof: {tag: countersigned}}
  - {name: signed, match: {}}";
    let relay = Relay::start(settings, &[&alice, &bob]).await;
    let over = |path: &str, cover: &[&str]| {
        let signing = Signing { tag: Some("countersigned".to_owned()), ..signing("bob", cover) };
        Ask::get(path).signed(&alice).signed_as(&bob, &signing)
    };
    for path in ["/", "/tagged"] {
        denies(&relay, &over(path, &["signature;key=\"alice\""]), "component-uncovered").await;
        let input = ["signature;key=\"alice\"", "signature-input;key=\"alice\""];
        denies(&relay, &over(path, &input), "component-uncovered").await;
        let both = ["@method", "@target-uri", "signature;key=\"alice\""];
        let honest = over(path, &both);
        // What was countersigned cannot be exchanged for another signature, or left out.
        let signatures = honest.value("signature");
        let (first, second) = signatures.split_once(", ").unwrap();
        let other = Ask::get(path).signed(&alice).value("signature");
        denies(&relay, &honest.clone().rewrite("signature", first, &other), "signature-invalid").await;
        let alone = honest.clone().replace("signature", second);
        let code = if path == "/" { "proof-malformed" } else { "component-missing" };
        denies(&relay, &alone, code).await;
        passes(&relay, &honest).await;
    }
}

/// One captured signature under many labels would cost a check for each of them.
#[tokio::test]
async fn g4_one_signature_under_two_labels() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let honest = Ask::get("/").signed(&alice);
    let copied = ["signature-input", "signature"].into_iter().fold(honest.clone(), |copied, name| {
        let value = copied.value(name);
        copied.replace(name, format!("{value}, {}", value.replacen("alice=", "copy=", 1)))
    });
    denies(&relay, &copied, "proof-malformed").await;
    passes(&relay, &honest).await;
}
