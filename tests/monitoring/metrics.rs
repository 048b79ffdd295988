//! Metrics are a contract: dashboards and alerts rely on names and labels.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;

use crate::support::ask::Ask;
use crate::support::golden::assert_golden;
use crate::support::program::Serving;
use crate::support::recording::{Recording, ask, connect};
use crate::support::relay::{Relay, admin, ask_admin};
use crate::support::signer::Signer;

const POLICIES: &str = "admin: 127.0.0.1:0
policies:
  - {name: watched, match: {path: /watched}, mode: observe}
  - {name: open, match: {methods: [GET], path: /open}, proof: none}
  - {name: signed, match: {methods: [POST]}}";

async fn text(relay: &Relay) -> String {
    let answer = admin(relay, "GET", "/metrics").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    answer.text()
}

/// The value of the line that begins like this.
fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

async fn decide(relay: &Relay, ask: &Ask) {
    crate::support::ask::ask(relay, ask.check_request()).await;
}

#[tokio::test]
async fn checks_are_counted_by_what_became_of_them() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(POLICIES, &[&alice]).await;
    let signed = Ask::post("/transfers/7", b"{}").signed(&alice);
    for ask in [&signed, &signed, &Ask::post("/transfers/7", b"{}"), &Ask::get("/open"), &Ask::get("/open")] {
        decide(&relay, ask).await;
    }
    decide(&relay, &Ask::get("/watched")).await;
    decide(&relay, &Ask::get("/elsewhere")).await;
    let text = text(&relay).await;
    for (labels, times) in [
        (r#"decision="allow",code="none",policy="signed""#, 1.0),
        (r#"decision="deny",code="replayed",policy="signed""#, 1.0),
        (r#"decision="deny",code="proof-missing",policy="signed""#, 1.0),
        (r#"decision="allow",code="none",policy="open""#, 2.0),
        (r#"decision="observe",code="proof-missing",policy="watched""#, 1.0),
        (r#"decision="deny",code="no-policy",policy="none""#, 1.0),
    ] {
        assert_eq!(value(&text, &format!("proof_messenger_checks_total{{{labels}}}")), Some(times), "{text}");
    }
    let observed = r#"proof_messenger_observed_total{policy="watched",code="proof-missing"}"#;
    assert_eq!(value(&text, observed), Some(1.0));
    assert_eq!(value(&text, "proof_messenger_check_duration_seconds_count"), Some(7.0));
    assert_eq!(value(&text, r#"proof_messenger_stage_duration_seconds_count{stage="claim"}"#), Some(2.0));
    for (name, expected) in
        [("policies", 3.0), ("trust_store_keys", 1.0), ("replay_entries", 1.0), ("ready", 1.0)]
    {
        assert_eq!(value(&text, &format!("proof_messenger_{name}")), Some(expected), "{name}");
    }
}

/// Whatever clients send, there are no more series than policies and codes.
#[tokio::test]
async fn clients_make_no_series() {
    let mallory = Signer::ed25519("mallory");
    let relay = Relay::start(POLICIES, &[]).await;
    let series = |text: &str| -> BTreeSet<String> {
        text.lines().filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
    };
    let known = [Ask::get("/x"), Ask::post("/x", b""), Ask::post("/x", b"").signed(&mallory)];
    for ask in &known {
        decide(&relay, ask).await;
    }
    let before = series(&text(&relay).await);
    for number in 0..100 {
        let mut forged =
            Ask::post(&format!("/x-{number}"), b"").signed(&Signer::ed25519(&format!("m{number}")));
        forged.authority = format!("{number}.example");
        decide(&relay, &forged).await;
        decide(&relay, &Ask::new(&format!("M{number}"), &format!("/{number}"))).await;
    }
    assert_eq!(series(&text(&relay).await), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_check_is_missed_when_many_come_at_once() {
    let relay = Arc::new(Relay::start(POLICIES, &[]).await);
    let asking = (0..64).map(|_| {
        let relay = Arc::clone(&relay);
        tokio::spawn(async move {
            for _ in 0..10 {
                decide(&relay, &Ask::get("/open")).await;
            }
        })
    });
    for asking in asking.collect::<Vec<_>>() {
        asking.await.unwrap();
    }
    let text = text(&relay).await;
    let allowed = r#"proof_messenger_checks_total{decision="allow",code="none",policy="open"}"#;
    assert_eq!(value(&text, allowed), Some(640.0));
    assert_eq!(value(&text, "proof_messenger_checks_in_flight"), Some(0.0));
}

/// What there is, with its type, its help and its labels. Every metric stands in the README.
#[tokio::test(flavor = "multi_thread")]
async fn names_types_and_labels_are_what_is_documented() {
    let policies = json!([
        {"name": "watched", "match": {"path": "/watched"}, "mode": "observe"},
        {"name": "open", "match": {}, "proof": "none"},
    ]);
    let recording = Recording::new(&json!({"file": "evidence.jsonl"}), &policies, &[]);
    recording.set("admin", json!("127.0.0.1:0"));
    // Nobody publishes there.
    recording.set("keys", json!([{"file": "people.jwks.json"}, {"url": "http://127.0.0.1:9/keys.json"}]));
    let relay = Serving::start(recording.serve());
    let mut client = connect(&relay.address).await;
    for path in ["/open", "/watched"] {
        ask(&mut client, &Ask::get(path)).await.unwrap();
    }
    let address = relay.listening["admin"].as_str().unwrap().parse().unwrap();
    let text = ask_admin(address, "GET", "/metrics").await.text();
    let mut found = BTreeSet::new();
    for line in text.lines() {
        match line.strip_prefix("# ") {
            Some(about) => {
                found.insert(about.to_owned());
            }
            None => {
                let series = line.rsplit_once(' ').unwrap().0;
                let (name, labels) = series.split_once('{').unwrap_or((series, ""));
                let labels: Vec<&str> = labels
                    .trim_end_matches('}')
                    .split(',')
                    .filter_map(|label| Some(label.split_once('=')?.0))
                    .collect();
                found.insert(format!("LABELS {name} {}", labels.join(",")));
            }
        }
    }
    let listed: String = found.iter().map(|line| format!("{}\n", line.trim_end())).collect();
    assert_golden("tests/golden/metrics.txt", listed.as_bytes());
    assert_eq!(value(&text, "proof_messenger_evidence_size"), Some(3.0));
    assert_eq!(value(&text, "proof_messenger_evidence_records_total"), Some(3.0));

    let readme = include_str!("../../README.md");
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `")?.split(['`', '{']).next());
    let documented: BTreeSet<&str> = rows
        .filter(|name| ["proof_messenger_", "process_"].iter().any(|prefix| name.starts_with(prefix)))
        .collect();
    let names = known();
    assert_eq!(documented, names.iter().map(|(name, _)| name.as_str()).collect());
}

/// Every metric with its type, as the contract has them.
pub fn known() -> Vec<(String, String)> {
    let golden = include_str!("../golden/metrics.txt");
    let types = golden.lines().filter_map(|line| line.strip_prefix("TYPE ")?.split_once(' '));
    types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}
