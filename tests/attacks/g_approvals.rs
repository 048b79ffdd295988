//! G, and F9: a request that several people have to approve.

use serde_json::json;

use super::{denies, passes};
use crate::support::ask::{Ask, signing};
use crate::support::relay::Relay;
use crate::support::signer::Signer;
use proof_messenger_relay::denial::Code;
use proof_messenger_relay::envoy::client::Answer;
use proof_messenger_relay::signer::Signing;
use proof_messenger_relay::timestamp::Timestamp;

const COVER: &[&str] = &["@method", "@target-uri", "content-digest"];
const LARGE: &[u8] = br#"{"amount":20000}"#;
/// A clerk submits, two managers approve.
const APPROVED: &str = "policies:
  - name: approved
    match: {}
    proof: {max_age: 60s, clock_skew: 0s, roles: [clerk]}
    approvals: [{role: manager, count: 2, max_age: 1h}]";

fn person(name: &str, role: &str) -> Signer {
    Signer::ed25519(name).with(json!({"roles": [role]}))
}

/// A clerk and two managers.
fn people() -> [Signer; 3] {
    [person("alice", "clerk"), person("mona", "manager"), person("mike", "manager")]
}

fn request() -> Ask {
    Ask::post("/transfers/7", LARGE)
}

/// The request with the signatures of all of these over what each of them saw.
fn joined(seen: &[Ask]) -> Ask {
    ["signature-input", "signature"].into_iter().fold(request(), |request, name| {
        let members: Vec<String> = seen.iter().map(|ask| ask.value(name)).collect();
        request.header(name, members.join(", "))
    })
}

fn signed(signer: &Signer) -> Ask {
    request().signed(signer)
}

/// What a client is told of missing approvals: how many, and nothing of whose they are.
fn tells(answer: &Answer, needed: usize, given: usize) {
    let told = format!("needs {needed} approvals by different people, and has {given}");
    assert!(answer.body.contains(&told), "{answer:?}");
    for secret in ["manager", "clerk", "mona", "mike", "alice"] {
        assert!(!answer.body.contains(secret), "{answer:?}");
    }
}

#[tokio::test]
async fn f9_one_key_under_two_ids() {
    let [alice, mona, mike] = people();
    // Mike's key once more, as somebody else's.
    let double =
        Signer { id: "double".to_owned(), ..person("mike", "manager") }.with(json!({"sub": "double"}));
    // And somebody with a key of their own besides.
    let other = person("other", "manager").with(json!({"sub": "double"}));
    let relay = Relay::start(APPROVED, &[&alice, &mona, &mike, &double, &other]).await;
    for two in [[&mike, &double], [&mike, &other], [&double, &other]] {
        let answer = denies(
            &relay,
            &joined(&[signed(&alice), signed(two[0]), signed(two[1])]),
            "approvals-insufficient",
        )
        .await;
        tells(&answer, 2, 1);
    }
    passes(&relay, &joined(&[signed(&alice), signed(&mona), signed(&double)])).await;
    passes(&relay, &joined(&[signed(&alice), signed(&mona), signed(&mike)])).await;
}

#[tokio::test]
async fn f9_one_person_with_two_keys() {
    let [alice, mona, mike] = people();
    let phone = Signer::p256("phone").with(json!({"sub": "mike", "roles": ["manager"]}));
    let relay = Relay::start(APPROVED, &[&alice, &mona, &mike, &phone]).await;
    let twice = joined(&[signed(&alice), signed(&mike), signed(&phone)]);
    tells(&denies(&relay, &twice, "approvals-insufficient").await, 2, 1);
    let labelled = |label: &str| request().signed_as(&mike, &signing(label, COVER));
    let twice = joined(&[signed(&alice), labelled("a"), labelled("b")]);
    denies(&relay, &twice, "approvals-insufficient").await;
    passes(&relay, &joined(&[signed(&alice), signed(&mona), signed(&phone)])).await;
}

#[tokio::test]
async fn g6_approvals_of_different_things() {
    let [alice, mona, mike] = people();
    let relay = Relay::start(APPROVED, &[&alice, &mona, &mike]).await;
    let mut elsewhere = request();
    elsewhere.authority = "test.bank.example".to_owned();
    for seen in [
        Ask::post("/transfers/7", br#"{"amount":10}"#),
        Ask::post("/transfers/8", LARGE),
        Ask { method: "PUT".to_owned(), ..request() },
        elsewhere,
    ] {
        let approved = joined(&[signed(&alice), signed(&mona), seen.signed(&mike)]);
        denies(&relay, &approved, "signature-invalid").await;
    }
    for little in [&COVER[..2], &COVER[1..], &["@method", "content-digest"], &["content-digest"]] {
        let approval = request().signed_as(&mike, &signing("mike", little));
        denies(&relay, &joined(&[signed(&alice), signed(&mona), approval]), "component-uncovered").await;
    }
    // One digest cannot be that of two bodies.
    let honest = joined(&[signed(&alice), signed(&mona), signed(&mike)]);
    let smaller = Ask { body: Some(br#"{"amount":10000}"#.to_vec()), ..honest.clone() };
    denies(&relay, &smaller, "digest-mismatch").await;
    passes(&relay, &honest).await;
}

#[tokio::test]
async fn g6_approvals_of_different_transactions() {
    let [alice, mona, mike] = people();
    let settings = APPROVED.replace("roles:", "cover: ['@method', '@target-uri', idempotency-key], roles:");
    let relay = Relay::start(&settings, &[&alice, &mona, &mike]).await;
    let seen = |signer: &Signer, key: &str, cover: &[&str]| {
        request().header("idempotency-key", key).signed_as(signer, &signing(&signer.id, cover))
    };
    let cover = [COVER, &["idempotency-key"]].concat();
    let sent = |approval: Ask| {
        joined(&[seen(&alice, "1", &cover), seen(&mona, "1", &cover), approval])
            .header("idempotency-key", "1")
    };
    denies(&relay, &sent(seen(&mike, "2", &cover)), "signature-invalid").await;
    denies(&relay, &sent(seen(&mike, "1", COVER)), "component-uncovered").await;
    passes(&relay, &sent(seen(&mike, "1", &cover))).await;
}

#[tokio::test]
async fn g7_submitter_who_approves() {
    let (boss, mona) =
        (Signer::ed25519("boss").with(json!({"roles": ["clerk", "manager"]})), person("mona", "manager"));
    let phone = Signer::p256("phone").with(json!({"sub": "boss", "roles": ["clerk", "manager"]}));
    let [alice, ..] = people();
    let everybody = [&alice, &boss, &phone, &mona];
    let excluded = Relay::start(&format!("{APPROVED}\n    submitter: excluded"), &everybody).await;
    let counted = Relay::start(APPROVED, &everybody).await;
    // Neither by one signature nor by two.
    for seen in [vec![signed(&boss), signed(&mona)], vec![signed(&boss), signed(&phone), signed(&mona)]] {
        let answer = denies(&excluded, &joined(&seen), "approvals-insufficient").await;
        assert!(answer.body.contains("none of them by the submitter, and has 1"), "{answer:?}");
        passes(&counted, &joined(&seen)).await;
    }
    // What another submits may be approved.
    passes(&excluded, &joined(&[signed(&alice), signed(&boss), signed(&mona)])).await;
}

fn made(signer: &Signer, ago: u64, nonce: &str) -> Ask {
    let then = Timestamp::from_unix_seconds(crate::support::relay::START - ago);
    let signing =
        Signing { created: Some(then), nonce: Some(nonce.to_owned()), ..signing(&signer.id, COVER) };
    request().signed_as(signer, &signing)
}

#[tokio::test]
async fn g8_approval_after_its_time() {
    let [alice, mona, mike] = people();
    let relay = Relay::start(APPROVED, &[&alice, &mona, &mike]).await;
    let approved = |clerk: u64, manager: u64| {
        joined(&[made(&alice, clerk, "a"), made(&mona, 0, "m"), made(&mike, manager, "n")])
    };
    denies(&relay, &approved(0, 3601), "proof-too-old").await;
    // A fresh approval is no fresh submission.
    denies(&relay, &approved(61, 0), "proof-too-old").await;
    passes(&relay, &approved(60, 3600)).await;
}

#[tokio::test]
async fn g8_approval_of_one_kind_after_its_time() {
    let [alice, mona, mike] = people();
    let settings = "policies:
  - name: approved
    match: {}
    proof: {max_age: 60s, clock_skew: 0s}
    approvals: [{role: manager, max_age: 1h}, {role: clerk, max_age: 5m}]";
    let relay = Relay::start(settings, &[&alice, &mona, &mike]).await;
    // The clerk's approval is as old as a manager's may be.
    let late = joined(&[made(&alice, 301, "a"), made(&mona, 0, "m")]);
    denies(&relay, &late, "approvals-insufficient").await;
    passes(&relay, &joined(&[made(&alice, 300, "a"), made(&mona, 0, "m")])).await;
}

#[tokio::test]
async fn g8_approval_used_again() {
    let [alice, mona, mike] = people();
    let relay = Relay::start(APPROVED, &[&alice, &mona, &mike]).await;
    let approval = made(&mike, 1800, "approved once");
    passes(&relay, &joined(&[signed(&alice), signed(&mona), approval.clone()])).await;
    // The same amount once more, of which Mike knows nothing; and another amount.
    denies(&relay, &joined(&[signed(&alice), signed(&mona), approval.clone()]), "replayed").await;
    let other = Ask::post("/transfers/7", br#"{"amount":99}"#);
    let seen = [other.clone().signed(&alice), other.clone().signed(&mona), approval];
    let moved = ["signature-input", "signature"].into_iter().fold(other, |moved, name| {
        let members: Vec<String> = seen.iter().map(|ask| ask.value(name)).collect();
        moved.header(name, members.join(", "))
    });
    let answer = denies(&relay, &moved, "signature-invalid").await;
    assert!(answer.body.contains("the signature mike is not one of this request"), "{answer:?}");
    passes(&relay, &joined(&[signed(&alice), signed(&mona), signed(&mike)])).await;
}

/// An approval of a request that was denied is still good for it.
#[tokio::test]
async fn g8_approval_of_a_denied_request() {
    let [alice, mona, mike] = people();
    let relay = Relay::start(APPROVED, &[&alice, &mona, &mike]).await;
    let (submission, approval) = (signed(&alice), signed(&mona));
    let early = joined(&[submission.clone(), approval.clone()]);
    denies(&relay, &early, "approvals-insufficient").await;
    passes(&relay, &joined(&[submission, approval, signed(&mike)])).await;
}

#[tokio::test]
async fn g9_approval_for_another_application() {
    let [alice, mona, _] = people();
    let settings = "policies:
  - name: approved
    match: {hosts: [bank.example]}
    proof: {tag: transfer}
    approvals: [{role: manager, tag: transfer-approval}]";
    let relay = Relay::start(settings, &[&alice, &mona]).await;
    let tagged = |ask: Ask, signer: &Signer, tag: &str| {
        ask.signed_as(signer, &Signing { tag: Some(tag.to_owned()), ..signing(&signer.id, COVER) })
    };
    let submission = || tagged(request(), &alice, "transfer");
    for tag in ["loan-approval", "transfer", "Transfer-Approval"] {
        let other = joined(&[submission(), tagged(request(), &mona, tag)]);
        denies(&relay, &other, "approvals-insufficient").await;
    }
    // The right tag, for another authority.
    let mut elsewhere = request();
    elsewhere.authority = "loans.example".to_owned();
    let other = joined(&[submission(), tagged(elsewhere.clone(), &mona, "transfer-approval")]);
    denies(&relay, &other, "signature-invalid").await;
    let mut all_elsewhere = joined(&[
        tagged(elsewhere.clone(), &alice, "transfer"),
        tagged(elsewhere, &mona, "transfer-approval"),
    ]);
    all_elsewhere.authority = "loans.example".to_owned();
    denies(&relay, &all_elsewhere, "no-policy").await;
    passes(&relay, &joined(&[submission(), tagged(request(), &mona, "transfer-approval")])).await;
}

/// Whatever keeps a threshold from being judged denies, and never leaves the request to what asks for less.
#[tokio::test]
async fn g10_threshold_that_cannot_be_judged() {
    let [alice, mona, mike] = people();
    let settings = "policies:
  - name: large
    match: {}
    when: body.amount > 10000
    approvals: [{role: manager, count: 2}]
  - {name: small, match: {}}
  - {name: open, match: {}, proof: none}";
    let relay = Relay::start(settings, &[&alice, &mona, &mike]).await;
    for (body, code) in [
        (r#"{"amount":"20000"}"#, Code::ConditionFailed),
        (r#"{"amount":null}"#, Code::ConditionFailed),
        (r#"{"sum":20000}"#, Code::ConditionFailed),
        ("amount=20000", Code::ConditionFailed),
        (r#"{"amount":1,"amount":20000}"#, Code::BodyAmbiguous),
        (r#"{"amount":1e400}"#, Code::BodyAmbiguous),
        (r#"{"amount":9007199254740993}"#, Code::BodyAmbiguous),
        (r#"{"amount":20000}"#, Code::ApprovalsInsufficient),
    ] {
        let signed = Ask::post("/transfers/7", body.as_bytes()).signed(&alice);
        let answer = denies(&relay, &signed, code.as_str()).await;
        assert_eq!(answer.metadata["policy"], "large", "{answer:?}");
    }
    let answer = passes(&relay, &Ask::post("/transfers/7", br#"{"amount":10000}"#).signed(&alice)).await;
    assert_eq!(answer.metadata["policy"], "small");
    let answer = passes(&relay, &joined(&[signed(&mona), signed(&mike)])).await;
    assert_eq!(answer.metadata["policy"], "large");
}

#[tokio::test]
async fn g10_nobody_in_the_trust_store() {
    let [alice, mona, mike] = people();
    let approved = || joined(&[signed(&alice), signed(&mona), signed(&mike)]);
    let empty = Relay::start(APPROVED, &[]).await;
    denies(&empty, &approved(), "key-unknown").await;
    // Everybody is known, and nobody has the role any more.
    let plain = [Signer::ed25519("alice"), Signer::ed25519("mona"), Signer::ed25519("mike")];
    let demoted = Relay::start(APPROVED, &[&alice, &plain[1], &plain[2]]).await;
    tells(&denies(&demoted, &approved(), "approvals-insufficient").await, 2, 0);
    let relay = Relay::start(APPROVED, &[&alice, &mona, &mike]).await;
    passes(&relay, &approved()).await;
}

#[tokio::test]
async fn g11_some_of_the_approvals() {
    let [alice, mona, mike] = people();
    let relay = Relay::start(APPROVED, &[&alice, &mona, &mike]).await;
    let alone = denies(&relay, &joined(&[signed(&alice)]), "approvals-insufficient").await;
    tells(&alone, 2, 0);
    let one = denies(&relay, &joined(&[signed(&alice), signed(&mona)]), "approvals-insufficient").await;
    tells(&one, 2, 1);
    // They travel in one request: two halves are no whole.
    denies(&relay, &joined(&[signed(&alice), signed(&mike)]), "approvals-insufficient").await;
    // Another proof would help, so the client is told what to sign.
    assert!(one.headers.iter().any(|(name, _)| name == "accept-signature"), "{one:?}");
    passes(&relay, &joined(&[signed(&alice), signed(&mona), signed(&mike)])).await;
}
