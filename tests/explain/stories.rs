//! Each step of a decision, as it is told.

use proof_messenger_relay::explain::{Outcome, Text, TriedOutcome};
use serde_json::json;

use super::{check, failed, story};
use crate::support::ask::{Ask, signing};
use crate::support::relay::START;
use crate::support::signer::Signer;

#[test]
fn policies_that_do_not_match_say_why_with_pattern_and_value() {
    let settings = r#"policies:
      - {name: one, match: {methods: [POST, PUT], path: "/a/{b}", hosts: ["*.bank.example:8443"]}}
      - {name: two, match: {path: "/rates/{*rest}", hosts: [bank.example]}}
      - {name: three}"#;
    let told = story(settings, &[], &Ask::get("/a/"));
    assert_eq!((told.decision.code, told.decision.policy.as_deref()), (Some("no-policy"), None));
    let reasons: Vec<Vec<(&str, &str, &str)>> = told
        .policies
        .iter()
        .map(|tried| {
            let mismatches = tried.mismatches.iter();
            mismatches.map(|found| (&*found.property, &*found.expected, &*found.found)).collect()
        })
        .collect();
    assert_eq!(
        reasons,
        [
            vec![
                ("method", "POST, PUT", "GET"),
                ("path", "/a/{b}", "/a/"),
                ("host", "*.bank.example:8443", "bank.example")
            ],
            vec![("path", "/rates/{*rest}", "/a/")],
            vec![("route", "one that names three", "no name")],
        ]
    );
    let text = Text(&told).to_string();
    assert!(text.contains("· two: does not match: path is /a/, not /rates/{*rest}\n"), "{text}");
}

#[test]
fn a_thousand_policies_are_a_few_lines_and_the_nearest_are_among_them() {
    let far: String = (0..1000)
        .map(|at| format!("  - {{name: far{at}, match: {{methods: [PUT], path: \"/far/{at}\"}}}}\n"))
        .collect();
    let settings = format!(
        "policies:\n{far}  - {{name: near, match: {{methods: [POST], path: /rates}}}}\n  - {{name: all, match: {{}}}}\n"
    );
    let told = story(&settings, &[], &Ask::get("/rates"));
    assert_eq!((told.policies.len(), told.decision.policy.as_deref()), (1002, Some("all")));
    let text = Text(&told).to_string();
    assert!(text.lines().count() < 60, "{text}");
    assert!(text.contains("· near: does not match: method is GET, not POST"), "{text}");
    assert!(text.contains("· and 993 policies more that do not match"), "{text}");
    assert!(text.contains("✓ all: matches, and decides"), "{text}");
}

#[test]
fn a_route_leaves_one_policy() {
    let settings = "policies: [{name: all, match: {}}, {name: mine}]";
    let mut ask = Ask::get("/");
    for (name, tried, policy) in [("mine", 1, Some("mine")), ("none", 0, None)] {
        ask.policy = Some(name.to_owned());
        let told = story(settings, &[], &ask);
        assert_eq!((told.policies.len(), told.decision.policy.as_deref()), (tried, policy));
        assert!(Text(&told).to_string().contains(&format!("the route names \"{name}\"")));
    }
}

#[test]
fn a_policy_that_observes_leaves_the_decision_to_one_that_enforces() {
    let settings = "policies:
      - {name: apart, match: {}, mode: observe, when: 'request.method == \"PUT\"'}
      - {name: strict, match: {}, mode: observe}
      - {name: stricter, match: {}, mode: observe, proof: {roles: [manager]}}
      - {name: open, match: {}, proof: none}";
    let told = story(settings, &[], &Ask::get("/"));
    let outcomes: Vec<_> = told.policies.iter().map(|tried| tried.outcome).collect();
    let (no, seen, yes) = (TriedOutcome::ConditionFalse, TriedOutcome::Observes, TriedOutcome::Decides);
    assert_eq!(outcomes, [no, seen, seen, yes]);
    let text = Text(&told).to_string();
    for line in [
        "strict: only observes: would deny with proof-missing",
        "stricter: only observes: not asked, after strict",
        "✓ open: matches, and decides",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let settings = "policies:
      - {name: open, match: {}, mode: observe, proof: none}
      - {name: strict, match: {}}";
    let told = story(settings, &[], &Ask::get("/"));
    assert_eq!(told.decision.code, Some("proof-missing"));
    let text = Text(&told).to_string();
    assert!(text.contains("open: only observes: another policy decides"), "{text}");
}

#[test]
fn conditions_are_false_or_fail_at_a_place() {
    let settings = r#"policies:
      - {name: large, match: {}, when: "body.amount > 100"}
      - {name: euros, match: {}, when: "body.currency == 'EUR'"}
      - {name: all, match: {}}"#;
    let told = story(settings, &[], &Ask::post("/", b"{\"amount\":1}"));
    let outcomes: Vec<_> = told.policies.iter().map(|tried| tried.outcome).collect();
    assert_eq!(outcomes, [TriedOutcome::ConditionFalse, TriedOutcome::ConditionFailed]);
    assert_eq!(told.decision.code, Some("condition-failed"));
    let text = Text(&told).to_string();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("· large: its condition is false: body.amount > 100"), "{text}");
    assert!(
        text.contains("✗ euros: the policy's condition cannot be evaluated: there is no currency"),
        "{text}"
    );
    assert!(text.contains("(line 1, column 5 of the condition)"), "{text}");
}

#[test]
fn a_condition_about_signers_is_told_of_when_they_are_known() {
    let settings = r#"policies:
      - {name: alices, match: {}, when: "signers.exists(s, s.subject == 'alice')"}
      - {name: bobs, match: {}, when: "signers.exists(s, s.subject == 'bob')"}"#;
    let bob = Signer::ed25519("bob");
    let told = story(settings, &[&bob], &Ask::get("/").signed(&bob));
    assert_eq!(told.policies[0].outcome, TriedOutcome::ConditionFalse);
    assert_eq!((told.decision.decision, told.decision.policy.as_deref()), ("allowed", Some("bobs")));
    assert!(check(&told.checks, "condition").text.starts_with("holds for these signers"));
    // Before that it cannot be said.
    let told = story(settings, &[], &Ask::get("/").signed(&bob));
    assert_eq!((told.decision.code, told.decision.policy.as_deref()), (Some("key-unknown"), Some("alices")));
    assert_eq!(check(&told.checks, "condition").outcome, Outcome::Skipped);
}

#[test]
fn approvals_say_who_fills_which_role_and_how_many_are_missing() {
    let settings = "policies: [{name: two, match: {}, submitter: excluded,
        approvals: [{role: clerk}, {role: boss, count: 2}]}]";
    let roles = |name: &str, roles: &[&str]| Signer::ed25519(name).with(json!({ "roles": roles }));
    let (alice, bob, carol) =
        (roles("alice", &["clerk"]), roles("bob", &["clerk", "boss"]), roles("carol", &[]));
    let ask = Ask::get("/").signed(&carol).signed(&bob).signed(&alice);
    let told = story(settings, &[&alice, &bob, &carol], &ask);
    assert_eq!(told.decision.code, Some("approvals-insufficient"));
    let approvals = told.approvals.as_ref().unwrap();
    assert_eq!((approvals.needed, approvals.missing, approvals.submitter_may_approve), (3, 1, false));
    let places: Vec<_> =
        approvals.places.iter().map(|place| (place.role.as_deref(), place.subject.as_deref())).collect();
    assert_eq!(places, [(Some("clerk"), Some("alice")), (Some("boss"), Some("bob")), (Some("boss"), None)]);
    let serves: Vec<_> = told.proofs.iter().map(|proof| proof.serves_as.clone()).collect();
    assert_eq!(serves[0], ["submission"]);
    assert!(serves[1].contains(&"approval"));
    let text = Text(&told).to_string();
    assert!(text.contains("approvals: 3 needed, 1 missing"), "{text}");
    assert!(text.contains("✓ clerk: alice, by the proof alice"), "{text}");
    assert!(text.contains("✗ boss: nobody"), "{text}");
}

#[test]
fn every_check_of_a_proof_is_told_of_also_behind_the_first_that_fails() {
    let settings = "policies: [{name: all, match: {}, proof: {cover: ['@method', '@authority', 'x-tenant'],
        require: [nonce, expires], max_age: 60s}, protect: [x-tenant]}]";
    let carol = Signer::ed25519("carol").with(json!({"revoked_at": 1_600_000_000, "exp": 1_700_000_100}));
    let mut ask = Ask::post("/a?b=c", b"{}").header("x-tenant", "t");
    ask.created = proof_messenger_relay::timestamp::Timestamp::from_unix_seconds(START - 1000);
    let mut signing = signing("sig", &["@method"]);
    signing.created = Some(ask.created);
    signing.nonce = None;
    let mut ask = ask.signed_as(&carol, &signing);
    ask.body = Some(b"{1".to_vec());
    let told = story(settings, &[&carol], &ask);
    let proof = &told.proofs[0];
    assert_eq!(
        failed(proof),
        [
            "key-revoked",
            "component-uncovered",
            "component-uncovered",
            "component-uncovered",
            "component-uncovered",
            "proof-malformed",
            "proof-malformed",
            "proof-too-old"
        ]
    );
    assert_eq!(told.decision.code, Some("component-uncovered"));
    // What is good all the same is told too.
    assert_eq!((proof.verifies, check(&proof.checks, "signature").outcome), (Some(true), Outcome::Passed));
    let key = &check(&proof.checks, "key").text;
    assert!(
        key.contains("revoked from 2020-09-13T12:26:40Z") && key.contains("valid until 2023-11-14"),
        "{key}"
    );
    let times = &check(&proof.checks, "freshness").text;
    assert!(times.contains("created 1000 s ago, max_age 60 s, clock_skew 30 s"), "{times}");
    let digest = told.digest.as_ref().unwrap();
    assert_eq!((digest.check.code, digest.body_bytes), (Some("digest-mismatch"), Some(2)));
    assert_ne!(Some(&digest.digests[0].stated), digest.digests[0].computed.as_ref());
    assert_eq!(check(&told.checks, "protected fields").code, Some("field-uncovered"));
}

#[test]
fn proofs_that_do_not_count_say_why() {
    let (alice, bob) = (Signer::ed25519("alice"), Signer::ed25519("bob"));
    let settings = "policies: [{name: all, match: {}, proof: {tag: transfer}}]";
    let mut tagged = signing("a", &["@method", "@target-uri"]);
    tagged.tag = Some("transfer".to_owned());
    let ask = Ask::get("/").signed(&bob).signed_as(&alice, &tagged);
    let told = story(settings, &[&alice, &bob], &ask);
    assert_eq!(told.decision.decision, "allowed");
    assert_eq!((told.proofs[0].counts, told.proofs[1].counts), (false, true));
    assert!(check(&told.proofs[0].checks, "counts").text.contains("the tag transfer"));
    let told = story(settings, &[&alice, &bob], &Ask::get("/").signed(&bob));
    assert_eq!(
        (told.decision.code, check(&told.checks, "proofs").code),
        (Some("tag-mismatch"), Some("tag-mismatch"))
    );
}

#[test]
fn what_cannot_be_read_is_told() {
    let ask = Ask::get("/").header("signature-input", "sig=()").header("signature", "%");
    let told = story("policies: [{name: all, match: {}}]", &[], &ask);
    assert_eq!(check(&told.checks, "proofs").code, Some("proof-malformed"));
    let told = story("policies: [{name: all, match: {}}]", &[], &Ask::get("/a//b"));
    assert_eq!(
        (told.decision.code, check(&told.checks, "path").code),
        (Some("path-ambiguous"), Some("path-ambiguous"))
    );
    let ask = Ask::get("/").header("content-length", "x");
    let told = story("policies: [{name: all, match: {}}]", &[], &ask);
    assert_eq!((told.decision.code, told.request.method.as_str()), (Some("request-malformed"), ""));
}

#[test]
fn open_policies_and_observing_ones_are_told_as_such() {
    let settings = "policies: [{name: open, match: {methods: [GET]}, proof: none, protect: [x-tenant], protect_by: removing},
        {name: seen, match: {}, mode: observe}]";
    let told = story(settings, &[], &Ask::get("/").header("x-tenant", "t"));
    assert_eq!((told.decision.decision, told.decision.status), ("allowed", 200));
    assert_eq!(check(&told.checks, "protected fields").text, "removed on the way to the backend: x-tenant");
    let told = story(settings, &[], &Ask::post("/", b"{}"));
    let decision = &told.decision;
    assert_eq!(
        (decision.decision, decision.allowed, decision.status, decision.code),
        ("observed", true, 200, Some("proof-missing"))
    );
    assert!(Text(&told).to_string().contains("the policy only observes"));
}

#[test]
fn nothing_in_a_request_moves_the_cursor() {
    let alice = Signer::ed25519("alice");
    let mut ask = Ask::get("/").signed(&alice);
    ask.policy = Some("\u{1b}[2Jnone\n\u{202e}".to_owned());
    let text = Text(&story("policies: []", &[], &ask)).to_string();
    assert!(!text.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'), "{text:?}");
}
