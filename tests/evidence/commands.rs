//! The commands, as somebody with a log in hand uses them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use proof_messenger_relay::crypto::{Algorithm, PrivateKey};
use proof_messenger_relay::evidence::note::Cosigner;
use proof_messenger_relay::evidence::tlog_proof::TlogProof;
use serde_json::Value;
use signed_note::{Note as TheirNote, StandardVerifier, VerifierList};

use crate::support::evidence::{LogWriter, ORIGIN, id, log_key};
use crate::support::golden::assert_golden;
use crate::support::program::{program, run, stderr, stdout};

/// A folder with a log of 30 records and its verifier key.
fn folder() -> (tempfile::TempDir, LogWriter) {
    let folder = tempfile::tempdir().unwrap();
    let log = LogWriter::filled(ORIGIN, 30, 10);
    fs::write(folder.path().join("evidence.jsonl"), log.text()).unwrap();
    let key = log.signer.verifier().to_string();
    fs::write(folder.path().join("log.vkey"), format!("# the log's key\n{key}\n")).unwrap();
    (folder, log)
}

fn evidence(folder: &Path, arguments: &[&str]) -> Output {
    run(folder, &[&["evidence"], arguments].concat())
}

#[track_caller]
fn assert_exit(output: &Output, code: i32, message: &str) {
    assert_eq!(output.status.code(), Some(code), "{}{}", stdout(output), stderr(output));
    assert!(stderr(output).contains(message), "{}", stderr(output));
}

#[test]
fn a_sound_log_is_summed_up() {
    let (folder, log) = folder();
    fs::write(folder.path().join("kept.txt"), &log.newest).unwrap();
    let arguments = ["verify", "--key", "log.vkey", "--checkpoint", "kept.txt", "evidence.jsonl"];
    let verified = evidence(folder.path(), &arguments);
    assert_exit(&verified, 0, "");
    assert_golden("tests/golden/evidence-sound.txt", &verified.stdout);
    let json = evidence(folder.path(), &[&arguments[..], &["--json"]].concat());
    assert_golden("tests/golden/evidence-sound.json", &json.stdout);
    // The checkpoint may be a line of the log as well.
    fs::write(folder.path().join("kept.txt"), log.lines.last().unwrap()).unwrap();
    assert_exit(&evidence(folder.path(), &arguments), 0, "");
}

#[test]
fn what_was_done_to_a_log_is_listed() {
    let (folder, mut log) = folder();
    log.lines[1] = log.lines[1].replace("10.0.0.1", "10.0.0.2");
    log.lines.swap(3, 5);
    let copy = log.lines[7].clone();
    log.lines.insert(9, copy);
    log.lines.remove(14);
    log.lines[20] = log.lines[20].replace("{\"evidence\"", "{ \"evidence\"");
    log.lines.push("\u{1b}[2J\n".to_owned());
    fs::write(folder.path().join("evidence.jsonl"), log.text()).unwrap();
    let verified = evidence(folder.path(), &["verify", "--key", "log.vkey", "evidence.jsonl"]);
    assert_exit(&verified, 1, "");
    assert_golden("tests/golden/evidence-tampered.txt", &verified.stdout);
}

#[test]
fn the_story_of_a_decision_is_told() {
    let (folder, _) = folder();
    for (name, arguments) in
        [("allowed", &["3"][..]), ("denied", &["5"]), ("redacted", &["8"]), ("start", &["0"])]
    {
        let shown =
            evidence(folder.path(), &[&["show", "--key", "log.vkey", "evidence.jsonl"], arguments].concat());
        assert_exit(&shown, 0, "");
        assert_golden(&format!("tests/golden/evidence-story-{name}.txt"), &shown.stdout);
    }
    let by_id = evidence(folder.path(), &["show", "--json", "--key", "log.vkey", "evidence.jsonl", &id(3)]);
    let shown: Value = serde_json::from_str(&stdout(&by_id)).unwrap();
    assert_eq!((&shown["index"], &shown["checkpoint"]["state"]), (&3.into(), &"verified".into()));
    assert_eq!(shown["proofs"][1]["state"], "verified");
}

#[test]
fn values_that_are_not_shown_can_be_supplied() {
    let (folder, _) = folder();
    let show = |value: &str| {
        let arguments = ["show", "--json", "--key", "log.vkey", "--value", value, "evidence.jsonl", "8"];
        let shown = evidence(folder.path(), &arguments);
        let story: Value = serde_json::from_str(&stdout(&shown)).unwrap();
        (shown.status.code(), story["proofs"][0]["state"].as_str().unwrap().to_owned())
    };
    assert_eq!(show("Authorization: Bearer secret"), (Some(0), "verified-with-values".to_owned()));
    assert_eq!(show("authorization: Bearer guess"), (Some(1), "other-value".to_owned()));
    assert_eq!(show("cookie: a=b"), (Some(0), "not-checkable".to_owned()));
}

#[test]
fn a_proof_needs_no_log() {
    let (folder, log) = folder();
    let proof = evidence(folder.path(), &["prove", "--key", "log.vkey", "evidence.jsonl", &id(13)]);
    assert_exit(&proof, 0, "");
    assert_golden("tests/golden/evidence-proof.txt", &proof.stdout);
    fs::write(folder.path().join("proof.txt"), &proof.stdout).unwrap();
    let vkey = log.signer.verifier().to_string();
    let checked = evidence(folder.path(), &["check-proof", "--key", &vkey, "proof.txt"]);
    assert_exit(&checked, 0, "");
    assert_golden("tests/golden/evidence-proven.txt", &checked.stdout);
    let json = evidence(folder.path(), &["check-proof", "--json", "--key", &vkey, "proof.txt"]);
    let json: Value = serde_json::from_str(&stdout(&json)).unwrap();
    assert_eq!((&json["size"], &json["record"]["id"]), (&20.into(), &id(13).into()));

    // Others read it the same way.
    let proof: TlogProof = stdout(&proof).parse().unwrap();
    let verifiers = VerifierList::new(vec![Box::new(StandardVerifier::new(&vkey).unwrap())]);
    let note = TheirNote::from_bytes(proof.checkpoint.as_bytes()).unwrap();
    let (verified, _) = note.verify(&verifiers).unwrap();
    assert_eq!(verified.len(), 1);
    let checkpoint = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
    let hashes: Vec<tlog_tiles::Hash> = proof.hashes.iter().map(|hash| tlog_tiles::Hash(*hash)).collect();
    let leaf = tlog_tiles::record_hash(proof.extra.as_ref().unwrap());
    tlog_tiles::check_record(&hashes, checkpoint.size(), *checkpoint.hash(), proof.index, leaf).unwrap();
}

#[test]
fn a_proof_of_anything_else_is_refused() {
    let (folder, _) = folder();
    let proof = stdout(&evidence(folder.path(), &["prove", "--key", "log.vkey", "evidence.jsonl", "13"]));
    let refused = |text: &str, key: &str, message: &str| {
        fs::write(folder.path().join("proof.txt"), text).unwrap();
        let checked = evidence(folder.path(), &["check-proof", "--key", key, "proof.txt"]);
        assert_exit(&checked, 1, message);
        assert_eq!(stdout(&checked), "");
    };
    refused(&proof.replace("index 13", "index 14"), "log.vkey", "not proven");
    refused("", "log.vkey", "not proven");
    let extra = proof.lines().nth(1).unwrap();
    refused(&proof.replace(&format!("{extra}\n"), ""), "log.vkey", "no record in it");
    refused(&proof.replace(extra, "extra e30="), "log.vkey", "not proven");
    let other = log_key("other.example").verifier().to_string();
    refused(&proof, &other, "not proven");
    let asked = |witness: &str| {
        evidence(folder.path(), &["check-proof", "--key", "log.vkey", "--witness", witness, "proof.txt"])
    };
    let key = PrivateKey::from_bytes(Algorithm::Ed25519, &[9; 32]).unwrap();
    let witness = Cosigner::new("witness.example/1", key).unwrap().verifier().to_string();
    assert_exit(&asked(&witness), 1, "cosignatures");
    // The log is no witness of itself.
    assert_exit(&asked("log.vkey"), 64, "expected the key of a witness (type 0x04)");
}

/// Anybody who can write the file can put a record with the id of another one into it.
#[test]
fn the_story_is_that_of_the_record_that_was_sealed() {
    let (folder, mut log) = folder();
    let mut forger = LogWriter::new(ORIGIN, log_key(ORIGIN));
    (0..13).for_each(|number| forger.record(crate::support::evidence::sample(number)));
    let mut forged = crate::support::evidence::sample(13);
    forged["policy"] = Value::from("forged");
    forger.record(forged);
    log.lines.insert(0, forger.lines[13].clone());
    fs::write(folder.path().join("evidence.jsonl"), log.text()).unwrap();
    for name in [&*id(13), "13"] {
        let told = evidence(folder.path(), &["show", "--key", "log.vkey", "evidence.jsonl", name]);
        assert_exit(&told, 1, "another record of that name stands at evidence.jsonl:1");
        assert!(stdout(&told).contains("policy         transfers"), "{}", stdout(&told));
        let proven = evidence(folder.path(), &["prove", "--key", "log.vkey", "evidence.jsonl", name]);
        assert_exit(&proven, 0, "");
    }
}

#[test]
fn what_cannot_be_proven_is_said() {
    let (folder, mut log) = folder();
    let missing = evidence(folder.path(), &["prove", "--key", "log.vkey", "evidence.jsonl", "no-such-id"]);
    assert_exit(&missing, 1, "there is no record no-such-id");
    log.record(crate::support::evidence::sample(31));
    fs::write(folder.path().join("evidence.jsonl"), log.text()).unwrap();
    let uncovered = evidence(folder.path(), &["prove", "--key", "log.vkey", "evidence.jsonl", "30"]);
    assert_exit(&uncovered, 1, "no checkpoint");
    log.lines.remove(4);
    fs::write(folder.path().join("evidence.jsonl"), log.text()).unwrap();
    let gap = evidence(folder.path(), &["prove", "--key", "log.vkey", "evidence.jsonl", "7"]);
    assert_exit(&gap, 1, "missing");
}

#[test]
fn wrong_usage_is_no_finding() {
    let (folder, _) = folder();
    let (binary, empty) = (folder.path().join("binary"), folder.path().join("empty"));
    fs::write(&binary, (0..=u8::MAX).cycle().take(100_000).collect::<Vec<u8>>()).unwrap();
    fs::write(&empty, "").unwrap();
    let verify = |arguments: &[&str]| evidence(folder.path(), &[&["verify"], arguments].concat());
    assert_exit(&verify(&["evidence.jsonl"]), 64, "keys new --use evidence");
    assert_exit(&verify(&["--key", "missing.vkey", "evidence.jsonl"]), 64, "missing.vkey");
    assert_exit(&verify(&["--key", "a+b+c", "evidence.jsonl"]), 64, "a+b+c");
    assert_exit(&verify(&["--key", "empty", "evidence.jsonl"]), 64, "NAME+ID+KEY");
    assert_exit(&verify(&["--key", "log.vkey", "missing.jsonl"]), 64, "missing.jsonl");
    assert_exit(&verify(&["--key", "log.vkey"]), 64, "FILE");
    assert_exit(&verify(&["--key", "log.vkey", "."]), 64, "folder");
    assert_exit(&verify(&["--key", "log.vkey", "empty"]), 1, "");
    let binary = verify(&["--key", "log.vkey", "binary"]);
    assert_exit(&binary, 1, "");
    assert!(stdout(&binary).lines().all(|line| line.chars().all(|c| c.is_ascii_graphic() || c == ' ')));
    assert_exit(&evidence(folder.path(), &["prove", "--key", "log.vkey", "evidence.jsonl"]), 64, "");
    assert_exit(&evidence(folder.path(), &["show", "evidence.jsonl", "0"]), 0, "");
    // Wherever the options stand.
    assert_exit(&evidence(folder.path(), &["show", "evidence.jsonl", "--key", "log.vkey", "0"]), 0, "");
}

#[test]
fn output_that_nobody_takes_ends_the_command_and_is_no_panic() {
    let (folder, _) = folder();
    let shown = |stdout: std::process::Stdio| {
        let mut command = program(folder.path(), &["evidence", "show", "evidence.jsonl", "0"]);
        let output = command.stdout(stdout).stderr(std::process::Stdio::piped()).spawn().unwrap();
        let output = output.wait_with_output().unwrap();
        (output.status.code(), stderr(&output))
    };
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(shown(writer.into()), (Some(141), String::new()));
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (code, said) = shown(full.into());
    assert_eq!(code, Some(74), "{said}");
    assert!(said.starts_with("standard output: "), "{said}");
}

#[test]
fn what_a_record_says_steers_no_terminal() {
    let (folder, mut log) = folder();
    let hostile = "a\u{9b}2J\u{202e}b";
    log.record(serde_json::json!({"type": "start", "keys": [], "instance": hostile}));
    log.checkpoint();
    fs::write(folder.path().join("evidence.jsonl"), log.text()).unwrap();
    let shown = |json: &[&str]| {
        stdout(&evidence(
            folder.path(),
            &[&["show", "--key", "log.vkey"], json, &["evidence.jsonl", "30"]].concat(),
        ))
    };
    let (text, json) = (shown(&[]), shown(&["--json"]));
    assert!(!text.contains(['\u{9b}', '\u{202e}']) && text.contains("a\\u{9b}2J"), "{text}");
    assert!(!json.contains(['\u{9b}', '\u{202e}']), "{json}");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["record"]["instance"], hostile);
}

#[test]
fn a_line_without_an_end_takes_no_memory() {
    let (folder, _) = folder();
    // One string, much longer than the memory that there is.
    let script = "(printf '{\"evidence\":\"'; head -c 250000000 /dev/zero | tr '\\0' x) | \
                  (ulimit -v 200000; exec \"$0\" evidence verify --key log.vkey -)";
    let program = env!("CARGO_BIN_EXE_proof-messenger-relay");
    let verified =
        Command::new("bash").args(["-c", script, program]).current_dir(folder.path()).output().unwrap();
    assert_eq!(verified.status.code(), Some(1), "{}", stderr(&verified));
    assert!(stdout(&verified).contains("unreadable"), "{}", stdout(&verified));
}

#[test]
fn a_checker_written_from_the_document_alone_agrees() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let setup = Command::new(root.join("tests/clients/setup")).output().unwrap();
    assert!(setup.status.success(), "{}", stderr(&setup));
    let (folder, mut log) = folder();
    let check = |text: &str| {
        fs::write(folder.path().join("evidence.jsonl"), text).unwrap();
        let key = log_key(ORIGIN).verifier().to_string();
        Command::new(root.join("target/clients/venv/bin/python"))
            .arg(root.join("examples/evidence/check.py"))
            .args([&key, "evidence.jsonl"])
            .current_dir(folder.path())
            .output()
            .unwrap()
    };
    let sound = check(&log.text());
    assert_exit(&sound, 0, "");
    assert_eq!(stdout(&sound), "30 records, 30 of them sealed, 0 problems\n");
    let newer = check(&log.lines[21..].concat());
    assert_exit(&newer, 0, "");

    let changed = check(&log.text().replace("10.0.0.1:4711\",\"stream", "10.0.0.2").replacen(
        "/transfers/4",
        "/transfers/5",
        1,
    ));
    assert_exit(&changed, 1, "");
    assert!(
        stdout(&changed).contains("line 5: the hash is not the one of the record"),
        "{}",
        stdout(&changed)
    );
    log.lines.remove(4);
    let missing = check(&log.text());
    assert!(stdout(&missing).contains("line 5: expected record 4, but found 5"), "{}", stdout(&missing));
}
