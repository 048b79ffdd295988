//! A log belongs to one relay, and goes on where it ended.

use std::fs::{self, OpenOptions};
use std::io::Write as _;

use base64ct::{Base64, Encoding as _};
use serde_json::{Value, json};

use crate::support::ask::{Ask, code};
use crate::support::program::{Serving, run, stderr, stdout};
use crate::support::recording::{Recording, ask, connect, records};

fn recording(evidence: &Value) -> Recording {
    Recording::new(evidence, &json!([{"name": "rates", "match": {}, "proof": "none"}]), &[])
}

/// The line with the hash of its content, and this index.
fn resealed(line: &str, index: usize) -> String {
    let mut line: Value = serde_json::from_str(line).unwrap();
    let evidence = serde_json_canonicalizer::to_vec(&line["evidence"]).unwrap();
    let hash = proof_messenger_relay::evidence::merkle::leaf_hash(&evidence);
    line["hash"] = json!(Base64::encode_string(&hash));
    line["index"] = json!(index);
    format!("{}\n", serde_json_canonicalizer::to_string(&line).unwrap())
}

async fn allow(relay: &Serving, times: usize) {
    let mut client = connect(&relay.address).await;
    for _ in 0..times {
        assert_eq!(code(&ask(&mut client, &Ask::get("/rates/eur")).await.unwrap()), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_last_line_is_set_aside_and_reported() {
    let recording = recording(&json!({"file": "evidence.jsonl"}));
    let relay = Serving::start(recording.serve());
    allow(&relay, 3).await;
    drop(relay);
    let path = recording.path("evidence.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    let line = whole.lines().last().unwrap();
    // The crash came at any byte of a line.
    for end in [1, 15, line.len() / 2, line.len()] {
        let before = fs::read_to_string(&path).unwrap();
        let torn = &line[..end];
        OpenOptions::new().append(true).open(&path).unwrap().write_all(torn.as_bytes()).unwrap();
        drop(Serving::start(recording.serve()));
        let after = fs::read_to_string(&path).unwrap();
        let start = &records(&after[before.len()..])[0];
        assert!(after.starts_with(&before));
        assert_eq!(start["set_aside"]["bytes"], end);
        assert!(
            fs::read_to_string(recording.path("evidence.jsonl.torn"))
                .unwrap()
                .ends_with(&format!("{torn}\n"))
        );
    }
    recording.is_sound(&["evidence.jsonl"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_changed_or_cut_off_is_not_gone_on_with() {
    let recording = recording(&json!({"file": "evidence.jsonl", "checkpoint": {"file": "checkpoint.txt"}}));
    let mut relay = Serving::start(recording.serve());
    allow(&relay, 3).await;
    relay.stop();
    let path = recording.path("evidence.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let refused = |text: &str, message: &str| {
        fs::write(&path, text).unwrap();
        let output = recording.serve().output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(message), "{message}: {said}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    };
    refused("", "the log was cut off");
    refused(&lines[..2].concat(), "the log was cut off");
    // Behind the last checkpoint.
    refused(&lines[..4].concat().replace("/rates/eur", "/rates/usd"), "its hash is another");
    refused(&[lines[0], lines[1], lines[3]].concat(), "its index is another");
    refused(&[lines[0], lines[1], "{}\n"].concat(), "it is no record");
    refused(
        &lines[..4].concat().replace("{\"evidence\"", "{ \"evidence\""),
        "it is not written as this relay writes it",
    );
    let other = resealed(&lines[2].replace("bank.example/relay-1", "bank.example/relay-2"), 1);
    refused(&[lines[0], lines[1], &other].concat(), "it is of another log");
    // Without its checkpoints and with a record more, so that nothing in the file tells.
    let records: Vec<String> = lines
        .iter()
        .filter(|line| line.starts_with("{\"evidence\""))
        .map(|line| (*line).to_owned())
        .collect();
    let changed = records.iter().chain(records.last()).enumerate();
    let changed: String =
        changed.map(|(index, line)| resealed(&line.replace("/rates/eur", "/rates/usd"), index)).collect();
    refused(&changed, "have another root: the log was changed");
    let note = whole.replace("bank.example/relay-1\\n", "bank.example/relay-2\\n");
    refused(&note, "not one of this key");
    fs::write(&path, &whole).unwrap();
    fs::remove_file(recording.path("evidence.jwk.json")).unwrap();
    let other = ["keys", "new", "--use", "evidence", "--name", "bank.example/relay-1"];
    run(recording.folder(), &[&other[..], &["--private", "evidence.jwk.json"]].concat());
    refused(&whole, "it holds no checkpoint that this key signed");
    // A pipe that nobody writes to.
    fs::remove_file(recording.path("checkpoint.txt")).unwrap();
    mkfifo(&recording.path("checkpoint.txt"));
    refused(&whole, "expected a regular file");
}

fn mkfifo(path: &std::path::Path) {
    rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::from(0o600)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_moved_where_it_should_not_go() {
    let recording = recording(&json!({"file": "evidence.jsonl"}));
    let mut relay = Serving::start(recording.serve());
    relay.stop();
    let (log, torn) = (recording.path("evidence.jsonl"), recording.path("evidence.jsonl.torn"));
    let whole = fs::read_to_string(&log).unwrap();
    let refused = |text: String, message: &str| {
        fs::write(&log, &text).unwrap();
        let output = recording.serve().output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
        assert_eq!(fs::read_to_string(&log).unwrap(), text);
    };
    // A log that is not gone on with stays as it is.
    refused(format!("{whole}{{}}\n{{\"evid"), "it is no record");
    assert!(!torn.exists());
    mkfifo(&torn);
    refused(format!("{whole}{{\"evid"), "cannot be moved to evidence.jsonl.torn: ");
    fs::remove_file(&torn).unwrap();
    fs::write(recording.path("other"), "").unwrap();
    std::os::unix::fs::symlink(recording.path("other"), &torn).unwrap();
    refused(format!("{whole}{{\"evid"), "cannot be moved to evidence.jsonl.torn: ");
    assert_eq!(fs::read_to_string(recording.path("other")).unwrap(), "");
}

/// What stands behind the last checkpoint may be what a crash left, or what somebody wrote there while the relay was stopped.
#[tokio::test(flavor = "multi_thread")]
async fn records_that_nothing_sealed_are_taken_up_and_counted() {
    let recording = recording(&json!({"file": "evidence.jsonl"}));
    let relay = Serving::start(recording.serve());
    allow(&relay, 3).await;
    drop(relay);
    let mut relay = Serving::start(recording.serve());
    relay.stop();
    let mut relay = Serving::start(recording.serve());
    relay.stop();
    let starts = recording.records("evidence.jsonl").into_iter().filter(|record| record["type"] == "start");
    let taken_up: Vec<Value> = starts.map(|start| start["taken_up"].clone()).collect();
    // The first start was sealed at once; of the second everything was.
    assert_eq!(taken_up, [Value::Null, json!(3), Value::Null]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_file_that_is_gone_is_missed() {
    let recording = recording(&json!({"file": "evidence.jsonl", "checkpoint": {"file": "checkpoint.txt"}}));
    let misses = || {
        let mut relay = Serving::start(recording.serve());
        relay.stop();
        relay.said.iter().any(|line| line.to_string().contains("checkpoint.txt is missing"))
    };
    assert!(!misses() && !misses());
    fs::remove_file(recording.path("checkpoint.txt")).unwrap();
    assert!(misses() && !misses());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_relay_writes_a_file() {
    let recording = recording(&json!({"file": "evidence.jsonl"}));
    let _first = Serving::start(recording.serve());
    let second = recording.serve().output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(stderr(&second).contains("another process writes it"), "{}", stderr(&second));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_moved_away_is_sealed_and_the_log_goes_on_in_a_new_one() {
    let recording = recording(&json!({"file": "evidence.jsonl", "durability": "synced"}));
    let mut relay = Serving::start(recording.serve());
    allow(&relay, 3).await;
    fs::rename(recording.path("evidence.jsonl"), recording.path("older.jsonl")).unwrap();
    // It looks once a second.
    while !recording.path("evidence.jsonl").exists() {
        allow(&relay, 1).await;
    }
    allow(&relay, 2).await;
    relay.stop();
    let older = recording.records("older.jsonl").len();
    let newer = recording.records("evidence.jsonl").len();
    assert!(older >= 4 && newer >= 3, "{older} {newer}");
    recording.is_sound(&["older.jsonl", "evidence.jsonl"]);
    // Alone, the newer one needs what the older one ended with.
    let alone = recording.verify(&["evidence.jsonl"]);
    assert_eq!(alone.status.code(), Some(1));
    assert!(stdout(&alone).contains("begins-late: "), "{}", stdout(&alone));
    let older = fs::read_to_string(recording.path("older.jsonl")).unwrap();
    fs::write(recording.path("older.txt"), older.lines().last().unwrap()).unwrap();
    recording.is_sound(&["--begins-with", "older.txt", "evidence.jsonl"]);
    // The next start needs the new one only.
    fs::remove_file(recording.path("older.jsonl")).unwrap();
    let mut relay = Serving::start(recording.serve());
    allow(&relay, 1).await;
    relay.stop();
    recording.is_sound(&["--begins-with", "older.txt", "evidence.jsonl"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_seals_everything_and_no_start_forgets_anything() {
    let recording = recording(&json!({"file": "evidence.jsonl", "checkpoint": {"file": "checkpoint.txt"}}));
    for start in 1..=3 {
        let mut relay = Serving::start(recording.serve());
        allow(&relay, 5).await;
        assert!(relay.stop().success());
        let checkpoint = fs::read_to_string(recording.path("checkpoint.txt")).unwrap();
        assert_eq!(checkpoint.lines().nth(1), Some(&*(start * 6).to_string()));
    }
    recording.is_sound(&["--checkpoint", "checkpoint.txt", "evidence.jsonl"]);
}
