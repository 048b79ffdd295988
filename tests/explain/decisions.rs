//! Whatever the request: explain decides as the server does.

use proof_messenger_relay::timestamp::Timestamp;
use proptest::prelude::*;

use super::{relay, story_of};
use crate::support::ask::{Ask, code, signing};
use crate::support::service::Blocking;
use crate::support::signer::Signer;

const POLICIES: &str = r#"
policies:
  - {name: public, match: {methods: [GET], path: "/rates/{*rest}"}, proof: none}
  - {name: large, match: {methods: [POST]}, when: "body.amount > 100", proof: {roles: [clerk]}, approvals: [{role: boss}]}
  - {name: alices, match: {path: "/alice/{*rest}"}, when: "signers.exists(s, s.subject == 'alice')"}
  - {name: tagged, match: {path: "/tagged"}, proof: {tag: t, require: [nonce]}, protect: [x-tenant]}
  - {name: observed, match: {path: "/observed"}, mode: observe}
  - {name: external, match: {hosts: [loose.example]}, external: {scheme: https, authority: bank.example}}
  - {name: by-route}
  - {name: all, match: {methods: [GET, POST]}}
"#;

fn ask() -> impl Strategy<Value = Ask> {
    let target = prop::sample::select(vec![
        "/rates/eur",
        "/alice/1",
        "/tagged",
        "/observed",
        "/other?a=b",
        "//",
        "/a/../b",
        "/a;b",
    ]);
    let body = prop::sample::select(vec![
        None,
        Some("{\"amount\":1}"),
        Some("{\"amount\":1000}"),
        Some("{\"a\":"),
        Some(""),
    ]);
    let host = prop::sample::select(vec!["bank.example", "loose.example", "BANK.example:443"]);
    let policy = prop::sample::select(vec![None, None, None, Some("by-route"), Some("none"), Some("public")]);
    ("GET|POST|PUT", "https?", target, host, body, policy, any::<bool>()).prop_map(
        |(method, scheme, target, host, body, policy, tenant)| {
            let mut ask = match body {
                Some(body) => Ask::post(target, body.as_bytes()),
                None => Ask::get(target).header("content-length", "0"),
            };
            ask.method = method;
            ask.scheme = scheme;
            ask.authority = host.to_owned();
            ask.policy = policy.map(str::to_owned);
            if tenant { ask.header("x-tenant", "b") } else { ask }
        },
    )
}

/// A signer, what is covered, how old it is, and a tag.
type Signature = (usize, Option<&'static [&'static str]>, i64, bool);

fn signature() -> impl Strategy<Value = Signature> {
    let cover = prop::sample::select(vec![&["@method"][..], &["x-tenant", "@method", "@target-uri"]]);
    let age = prop_oneof![4 => 0..60_i64, 1 => -40..400_i64];
    let signer = prop_oneof![4 => 0..2_usize, 1 => 2..4_usize];
    (signer, prop::option::weighted(0.2, cover), age, any::<bool>())
}

fn signed(ask: Ask, signers: &[Signer], label: &str, (signer, cover, age, tag): Signature) -> Ask {
    let whole: &[&str] = if ask.body.is_some() {
        &["@method", "@target-uri", "content-digest"]
    } else {
        &["@method", "@target-uri"]
    };
    let has = |name: &&&str| name.starts_with('@') || ask.headers.iter().any(|(known, _)| known == **name);
    let cover: Vec<&str> = cover.unwrap_or(whole).iter().filter(has).copied().collect();
    let mut signing = signing(label, &cover);
    let created = ask.created.unix_seconds() - age;
    signing.created = Some(Timestamp::from_unix_seconds(created.try_into().unwrap()));
    signing.tag = tag.then(|| "t".to_owned());
    ask.signed_as(&signers[signer], &signing)
}

/// What happens to the request on its way.
fn damaged(mut ask: Ask, damage: usize) -> Ask {
    match damage {
        0 => ask.authority = "other.example".to_owned(),
        1 => ask.body.iter_mut().flatten().for_each(|byte| *byte = byte.to_ascii_uppercase()),
        2 => ask = ask.header("signature", "%"),
        _ => {}
    }
    ask
}

#[test]
fn explain_says_what_the_server_says() {
    let signers = [
        Signer::ed25519("alice").with(serde_json::json!({"roles": ["clerk", "boss"]})),
        Signer::p256("bob").with(serde_json::json!({"roles": ["boss"]})),
        Signer::ed25519("carol").with(serde_json::json!({"revoked_at": 1})),
        Signer::ed25519("mallory"),
    ];
    let known = [&signers[0], &signers[1], &signers[2]];
    let seen = std::cell::RefCell::new(std::collections::BTreeSet::new());
    proptest!(ProptestConfig::with_cases(256), |(
        ask in ask(), one in prop::option::weighted(0.8, signature()), two in prop::option::weighted(0.3, signature()), damage in 0..15_usize,
    )| {
        let mut ask = ask;
        for (label, signature) in [("one", one), ("two", two)] {
            if let Some(signature) = signature {
                ask = signed(ask, &signers, label, signature);
            }
        }
        let check = damaged(ask, damage).check_request();
        let answer = Blocking::new(POLICIES, &known).ask(check.clone());
        let story = story_of(&relay(POLICIES, &known), &check, None);
        let decision = &story.decision;
        seen.borrow_mut().insert(decision.code.unwrap_or_default());
        prop_assert_eq!(decision.allowed, answer.allowed);
        prop_assert_eq!(decision.code.unwrap_or_default(), code(&answer));
        prop_assert_eq!(i32::from(decision.status), answer.status);
        prop_assert_eq!(decision.policy.as_deref(), answer.metadata.get("policy").map(String::as_str));
        // The steps agree with the end: what failed is among them, and nothing failed where nothing was wrong.
        let checks = story.checks.iter().chain(story.proofs.iter().filter(|proof| proof.counts).flat_map(|proof| &proof.checks));
        let checks = checks.chain(story.digest.iter().map(|digest| &digest.check));
        let checks = checks.chain(story.approvals.iter().map(|approvals| &approvals.check));
        let failed: Vec<_> = checks.filter_map(|check| check.code.filter(|_| check.outcome == super::Outcome::Failed)).collect();
        match decision.code {
            Some("no-policy" | "request-malformed") => {}
            Some(_) if story.policies.iter().any(|tried| tried.problem.is_some()) => {}
            Some(code) => prop_assert!(failed.contains(&code), "{}: {:?}", code, story),
            None => prop_assert!(failed.is_empty(), "{:?}", story),
        }
        let _ = proof_messenger_relay::explain::Text(&story).to_string();
    }); // Else all of it says little.
    assert!(seen.borrow().contains("") && seen.borrow().len() > 10, "{seen:?}");
}
