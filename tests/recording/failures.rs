//! What cannot be recorded does not pass.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use proof_messenger_relay::signer::Signing;
use proof_messenger_relay::timestamp::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::support::ask::{Ask, code, signing};
use crate::support::program::{Serving, stderr};
use crate::support::receipts::parts;
use crate::support::recording::{Recording, ask, connect};
use crate::support::signer::Signer;

fn open_policies() -> Value {
    json!([
        {"name": "news", "match": {"path": "/news/{*rest}"}, "proof": "none", "evidence": "best_effort"},
        {"name": "rates", "match": {"methods": ["GET"]}, "proof": "none"},
    ])
}

fn rates() -> Ask {
    Ask::get("/rates/eur")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_denies_until_there_is_room_again() {
    let recording = Recording::new(&json!({"file": "evidence.jsonl"}), &open_policies(), &[]);
    // A limit on the size of files is a disk that is full there. The signal that comes with it must not end the relay.
    let mut relay = Serving::start(recording.serve_after("ulimit -S -f 8"));
    let mut client = connect(&relay.address).await;
    let mut passed = 0;
    let denied = loop {
        let answer = ask(&mut client, &rates()).await.unwrap();
        if !code(&answer).is_empty() {
            break answer;
        }
        passed += 1;
        assert!(passed < 100);
    };
    assert_eq!((code(&denied), denied.status), ("evidence-unavailable", 503));
    let still = ask(&mut client, &rates()).await.unwrap();
    assert_eq!(code(&still), "evidence-unavailable");
    // A denial needs no record to be one.
    let refused = ask(&mut client, &Ask::new("DELETE", "/rates/eur")).await.unwrap();
    assert_eq!(code(&refused), "no-policy");
    // The operator chose that the news pass all the same, and whoever reads the answer is told.
    let news = ask(&mut client, &Ask::get("/news/today")).await.unwrap();
    assert_eq!((code(&news), news.metadata["evidence"].as_str()), ("", "missing"));
    assert!(news.headers.iter().any(|(name, value)| name == "x-proof-evidence" && value == "missing"));

    let pid = relay.id().to_string();
    let room = std::process::Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status();
    if !room.is_ok_and(|status| status.success()) {
        eprintln!("PRLIMIT IS MISSING: that the relay goes on when there is room again was not tried.");
        return;
    }
    assert_eq!(code(&ask(&mut client, &rates()).await.unwrap()), "");
    relay.stop();
    recording.is_sound(&["evidence.jsonl"]);
    let records = recording.records("evidence.jsonl");
    let allowed = records.iter().filter(|record| record["decision"] == "allow").count();
    assert_eq!(allowed, passed + 1);
    let lost: Vec<&Value> = records.iter().filter(|record| record["type"] == "lost").collect();
    assert_eq!(lost.len(), 1);
    assert_eq!((&lost[0]["allowed"], &lost[0]["denied"]), (&json!(1), &json!(3)));
}

/// A header can be put there by anybody who reaches the backend. A receipt can not.
#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_says_that_there_is_no_record() {
    let alice = Signer::ed25519("alice");
    let policies =
        json!([{"name": "news", "match": {}, "evidence": "best_effort", "receipt": {"audience": "news"}}]);
    let recording = Recording::new(&json!({"file": "evidence.jsonl"}), &policies, &[&alice]);
    recording.set("receipts", json!({"issuer": "relay.bank.example"}));
    recording.set("admin", json!("127.0.0.1:0"));
    let relay = Serving::start(recording.serve_after("ulimit -S -f 8"));
    let mut client = connect(&relay.address).await;
    let mut told = Vec::new();
    while told.last() != Some(&json!("missing")) {
        let created = Some(SystemClock.now());
        let signing = Signing { created, ..signing("sig", &["@method", "@target-uri"]) };
        let answer = ask(&mut client, &Ask::get("/news/today").signed_as(&alice, &signing)).await.unwrap();
        assert_eq!(code(&answer), "");
        let receipt = answer.headers.iter().find(|(name, _)| name == "x-proof-receipt").unwrap();
        told.push(parts(&receipt.1).1["evidence"].take());
        assert!(told.len() < 100);
    }
    assert_eq!(told[0], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_that_nobody_reads_any_more_denies() {
    let recording = Recording::new(&json!({"stdout": true}), &open_policies(), &[]);
    let mut command = recording.serve();
    command.stdout(Stdio::piped());
    let mut relay = Serving::start(command);
    let mut client = connect(&relay.address).await;
    assert_eq!(code(&ask(&mut client, &rates()).await.unwrap()), "");
    let mut lines = BufReader::new(relay.take_stdout()).lines();
    let first: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(first["evidence"]["type"], "start");
    drop(lines);
    let denied = ask(&mut client, &rates()).await.unwrap();
    assert_eq!((code(&denied), denied.status), ("evidence-unavailable", 503));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_that_nobody_reads_fast_enough_denies() {
    let recording = Recording::new(&json!({"stdout": true}), &open_policies(), &[]);
    let mut command = recording.serve();
    command.stdout(Stdio::piped());
    let relay = Serving::start(command);
    let mut client = connect(&relay.address).await;
    // A pipe takes some 64 KiB; a record has 400 bytes and more.
    let long = Ask::get(&format!("/rates/{}", "x".repeat(4000)));
    let denied = loop {
        let answer = ask(&mut client, &long).await.unwrap();
        if !code(&answer).is_empty() {
            break answer;
        }
    };
    assert_eq!(code(&denied), "evidence-unavailable");
}

#[test]
fn a_log_that_can_not_be_written_keeps_the_relay_from_starting() {
    let expected = [
        (json!({"file": "."}), "", "Is a directory"),
        (json!({"file": "missing/evidence.jsonl"}), "", "No such file or directory"),
        (json!({"stdout": true}), "exec >/dev/full", "No space left on device"),
        (json!({"stdout": true}), "exec >&-", "the records would be lost"),
        (json!({"file": "/dev/null"}), "", "expected a regular file"),
    ];
    for (evidence, before, message) in expected {
        let recording = Recording::new(&evidence, &open_policies(), &[]);
        let before = if before.is_empty() { "true" } else { before };
        let output = recording.serve_after(before).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{evidence} {before}: {said}");
        assert!(said.contains(message), "{evidence} {before}: {said}");
    }
}
