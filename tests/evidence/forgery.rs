//! Whoever knows how the checker works, and has not the log's key.

use base64ct::{Base64, Encoding as _};
use proof_messenger_relay::evidence::check::{Report, Settings, Span, What};
use proof_messenger_relay::evidence::line::{Line, checkpoint_line, record_line};
use proof_messenger_relay::evidence::merkle::leaf_hash;
use proof_messenger_relay::evidence::note::{Cosigner, Note};
use serde_json::{Value, json};

use crate::support::ask::Ask;
use crate::support::evidence::{LogWriter, ORIGIN, check, check_from, log_key, proof, sample, settings};
use crate::support::signer::Signer;

fn found(report: &Report) -> Vec<(What, Option<Span>)> {
    report.findings.iter().map(|finding| (finding.what, finding.records)).collect()
}

fn whats(report: &Report) -> Vec<What> {
    let mut whats: Vec<What> = report.findings.iter().map(|finding| finding.what).collect();
    whats.sort();
    whats
}

fn at(index: u64) -> Option<Span> {
    Some(Span::of(index))
}

/// A log of 40 records with a checkpoint after each 20: record 7 is on line 8, the first checkpoint on line 21.
fn log() -> LogWriter {
    LogWriter::filled(ORIGIN, 40, 20)
}

fn evidence(line: &str) -> Value {
    serde_json::from_str::<Value>(line).unwrap()["evidence"].take()
}

/// A line with this record, and the hash that goes with it.
fn sealed_again(record: &Value, index: u64) -> String {
    let evidence = serde_json_canonicalizer::to_vec(record).unwrap();
    let mut line = Vec::new();
    record_line(&mut line, &evidence, &leaf_hash(&evidence), index);
    String::from_utf8(line).unwrap()
}

#[test]
fn content_that_is_changed_with_its_hash_is_narrowed_down_to_a_piece_of_the_tree() {
    let mut log = log();
    let mut record = evidence(&log.lines[6]);
    record["policy"] = json!("rates");
    log.lines[6] = sealed_again(&record, 6);
    let report = check(log.text(), settings(), &[]);
    // 20 records are trees of 16 and of 4.
    assert_eq!(found(&report), [(What::NotConfirmed, Some(Span { first: 0, last: 15 }))]);

    // One that contradicts itself as well is the likely one.
    record["proofs"][0]["base"] = json!("\"@signature-params\": ();keyid=\"alice\"");
    log.lines[6] = sealed_again(&record, 6);
    let report = check(log.text(), settings(), &[]);
    let not_confirmed = report.findings.iter().find(|finding| finding.what == What::NotConfirmed).unwrap();
    assert!(not_confirmed.text.contains("most likely 6"), "{}", not_confirmed.text);
}

#[test]
fn a_record_signed_away_to_another_key_is_another_record() {
    let mut log = log();
    let mallory = Signer::ed25519("alice");
    let other = Signer::ed25519("mallory");
    let ask = Ask::post("/transfers/6", br#"{"amount": 25}"#);
    let forged = proof(&ask, &Signer { id: mallory.id.clone(), key: other.key, members: json!({}) }, &[]);
    let mut record = evidence(&log.lines[6]);
    record["proofs"][0] = forged;
    log.lines[6] = log.lines[6].replace(
        &serde_json_canonicalizer::to_string(&evidence(&log.lines[6])).unwrap(),
        &serde_json_canonicalizer::to_string(&record).unwrap(),
    );
    // By itself the record is flawless.
    assert_eq!(found(&check(log.text(), settings(), &[])), [(What::Changed, at(6))]);
}

#[test]
fn what_stands_beside_a_record_is_told_from_its_content() {
    let lines = log().lines;
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut lines = lines.clone();
        let mut line: Value = serde_json::from_str(&lines[6]).unwrap();
        change(&mut line);
        lines[6] = format!("{line}\n");
        found(&check(lines.concat(), settings(), &[]))
    };
    let other = Base64::encode_string(&[7; 32]);
    assert_eq!(changed(&|line| line["hash"] = json!(other)), [(What::HashChanged, at(6))]);
    assert_eq!(changed(&|line| line["hash"] = json!(7)), [(What::HashChanged, at(6))]);
    assert_eq!(changed(&|line| line["index"] = json!(9)), [(What::IndexChanged, at(6))]);
    assert_eq!(changed(&|line| line["index"] = json!(39)), [(What::IndexChanged, at(6))]);
    assert_eq!(changed(&|line| line["index"] = json!(4_000_000_000_u64)), [(What::IndexChanged, at(6))]);
    assert_eq!(changed(&|line| line["index"] = json!("6")), [(What::IndexChanged, at(6))]);
    assert_eq!(changed(&|line| line["evidence"]["detail"] = json!("x")), [(What::Changed, at(6))]);
    let both = changed(&|line| {
        line["index"] = json!(70);
        line["hash"] = json!(other);
    });
    assert_eq!(both, [(What::HashChanged, at(6)), (What::IndexChanged, at(6))]);
}

#[test]
fn records_that_exchanged_their_indices_too_are_put_back() {
    let mut log = log();
    log.lines.swap(4, 9);
    log.lines[4] = log.lines[4].replace("\"index\":9}", "\"index\":4}");
    log.lines[9] = log.lines[9].replace("\"index\":4}", "\"index\":9}");
    let report = check(log.text(), settings(), &[]);
    let found: Vec<(What, Option<Span>)> =
        found(&report).into_iter().filter(|(what, _)| *what == What::IndexChanged).collect();
    assert_eq!(found, [(What::IndexChanged, at(9)), (What::IndexChanged, at(4))]);
}

#[test]
fn records_that_go_with_their_checkpoint_are_missing_all_the_same() {
    let mut log = LogWriter::filled(ORIGIN, 60, 20);
    // Records 30 to 39 and the checkpoint behind them.
    log.lines.drain(31..42);
    let report = check(log.text(), settings(), &[]);
    let missing: Vec<_> = found(&report).into_iter().filter(|(what, _)| *what == What::Missing).collect();
    assert_eq!(
        missing,
        [
            (What::Missing, Some(Span { first: 30, last: 31 })),
            (What::Missing, Some(Span { first: 32, last: 39 }))
        ]
    );
    // Without the checkpoint alone, nothing is wrong.
    let mut log = LogWriter::filled(ORIGIN, 60, 20);
    log.lines.remove(41);
    assert_eq!(found(&check(log.text(), settings(), &[])), []);
}

#[test]
fn records_of_another_log_belong_to_that_log() {
    let stranger = LogWriter::filled("other.example", 40, 20);
    let mut mixed = log();
    mixed.lines.insert(10, stranger.lines[10].clone());
    let report = check(mixed.text(), settings(), &[]);
    assert_eq!(found(&report), [(What::UnknownLog, None)]);
    assert_eq!(report.findings[0].places[0].line, 11);

    // Two whole logs of one key, line by line.
    let other = LogWriter::filled(&format!("{ORIGIN}/019c1234"), 40, 20);
    let lines: String = log().lines.iter().zip(&other.lines).flat_map(|(a, b)| [a.as_str(), b]).collect();
    let report = check(lines, settings(), &[]);
    assert_eq!(found(&report), []);
    assert_eq!(report.logs.len(), 2);

    // The same record in the log of the same key, with the hash that it has there.
    let mut log = log();
    log.lines.insert(10, sealed_again(&evidence(&other.lines[10]), 10));
    assert!(!check(log.text(), settings(), &[]).findings.is_empty());
}

#[test]
fn a_record_that_was_put_in_is_one_that_the_tree_does_not_know() {
    let mut log = log();
    let mut record = evidence(&log.lines[6]);
    record["policy"] = json!("rates");
    log.lines.insert(6, sealed_again(&record, 6));
    let report = check(log.text(), settings(), &[]);
    assert_eq!(found(&report), [(What::Inserted, at(6))]);
    let lines: Vec<u64> = report.findings[0].places.iter().map(|place| place.line).collect();
    assert_eq!(lines, [7, 8]);
}

#[test]
fn only_the_logs_key_makes_checkpoints() {
    let mut log = log();
    let forger = LogWriter::filled(ORIGIN, 20, 20);
    let forged = forger.newest.replace(ORIGIN, "mallory.example");
    let mut by_another_key = LogWriter::new(ORIGIN, log_key("other.example"));
    by_another_key.record(sample(0));
    by_another_key.checkpoint();
    for note in [&forged, &by_another_key.newest, &forger.newest.replace("\n20\n", "\n19\n"), "no note"] {
        let mut line = Vec::new();
        checkpoint_line(&mut line, note, None);
        let mut lines = log.lines.clone();
        lines[20] = String::from_utf8(line).unwrap();
        let report = check(lines.concat(), settings(), &[]);
        assert_eq!(found(&report), [(What::Checkpoint, None)], "{note}");
        assert_eq!((report.findings[0].places[0].line, report.logs[0].sealed), (21, 40), "{note}");
    }
    // A range of something else does not lead the check astray.
    let Line::Checkpoint(first) = Line::read(log.lines[20].trim_end()).unwrap() else { panic!() };
    let mut line = Vec::new();
    checkpoint_line(&mut line, &first.note, Some(&[[7; 32], [8; 32]]));
    log.lines[20] = String::from_utf8(line).unwrap();
    assert_eq!(found(&check(log.text(), settings(), &[])), [(What::Range, None)]);
}

#[test]
fn two_histories_under_one_key_contradict_each_other() {
    let mut fork = LogWriter::new(ORIGIN, log_key(ORIGIN));
    (0..20).for_each(|number| fork.record(sample(number + 1)));
    fork.checkpoint();
    // Kept elsewhere.
    assert_eq!(found(&check(log().text(), settings(), &[&fork.newest])), [(What::OtherTree, None)]);
    // In the log itself.
    let mut log = log();
    log.lines.push(fork.lines.last().unwrap().clone());
    assert_eq!(found(&check(log.text(), settings(), &[])), [(What::OtherTree, None)]);
}

/// Whoever can delete, and cannot sign, leaves no more of a log than suits them.
#[test]
fn a_log_that_begins_late_is_no_sound_log() {
    let log = log();
    let first = checkpoint_at(&log, 20);
    let late = [(What::BeginsLate, Some(Span { first: 0, last: 19 }))];
    assert_eq!(found(&check(log.lines[20..].concat(), settings(), &[])), late);
    // What was kept is newer: it says nothing of what is not there.
    assert_eq!(found(&check(log.lines[20..].concat(), settings(), &[&log.newest])), late);
    // What was kept is older.
    let report = check(log.lines[41..].concat(), settings(), &[&first]);
    assert_eq!(whats(&report), [What::BeginsLate, What::NotCompared]);
    // Nothing but the last checkpoint.
    let all = [(What::BeginsLate, Some(Span { first: 0, last: 39 }))];
    assert_eq!(found(&check(&log.lines[41], settings(), &[])), all);
    // That there were records is no reason that there are none.
    assert_eq!(found(&check(&log.lines[41], settings(), &[&log.newest])), all);
    assert_eq!(found(&check(log.lines[20..].concat(), settings(), &[&first])), late);
    // It may begin with what the files before it ended with, and with nothing else.
    assert_eq!(found(&check_from(&first, log.lines[20..].concat(), &[&first, &log.newest])), []);
    assert_eq!(found(&check_from(&log.newest, &log.lines[41], &[&log.newest])), []);
    assert_eq!(found(&check_from(&first, &log.lines[41], &[&log.newest])), all);
    // Another history under the same key begins there.
    let mut fork = LogWriter::new(ORIGIN, log_key(ORIGIN));
    (0..20).for_each(|number| fork.record(sample(number + 1)));
    fork.checkpoint();
    let report = check(&fork.lines[20], settings(), &[&first]);
    assert_eq!(whats(&report), [What::OtherTree, What::BeginsLate]);
}

/// The note of the checkpoint on that line.
fn checkpoint_at(log: &LogWriter, line: usize) -> String {
    let Line::Checkpoint(line) = Line::read(log.lines[line].trim_end()).unwrap() else { panic!() };
    line.note.into_owned()
}

#[test]
fn every_log_of_a_key_needs_a_checkpoint_of_it() {
    let mut both = log();
    let invented = LogWriter::filled(&format!("{ORIGIN}/019c1234"), 20, 20);
    both.lines.extend_from_slice(&invented.lines[..20]);
    let report = check(both.text(), settings(), &[]);
    assert_eq!(found(&report), [(What::Unsealed, None)]);
    assert_eq!(report.findings[0].log.as_deref(), Some("bank.example/relay/019c1234"));
}

/// This takes minutes where each log is compared with what all the others left over.
#[test]
fn many_invented_logs_cost_no_more_than_their_lines() {
    let mut log = LogWriter::new(ORIGIN, log_key(ORIGIN));
    for number in 0..20_000 {
        log.record(json!({"type": "start", "keys": [], "log": format!("{ORIGIN}/{number}")}));
    }
    let report = check(log.text(), settings(), &[]);
    // Each of them has no checkpoint, and all but the first have a gap before their record.
    let findings = (report.findings.len(), report.more_findings);
    assert_eq!((report.logs.len(), findings), (20_000, (10_000, 29_999)));
}

#[test]
fn a_key_speaks_for_no_log_that_has_a_key_of_its_own() {
    let mut forged = LogWriter::new(ORIGIN, log_key("bank.example"));
    forged.record(sample(0));
    forged.checkpoint();
    let own = log_key(ORIGIN).verifier().clone();
    let above = log_key("bank.example").verifier().clone();
    let both = Settings { keys: vec![above, own], ..Settings::default() };
    assert_eq!(whats(&check(forged.text(), both, &[])), [What::Checkpoint, What::Unsealed]);
}

#[test]
fn every_witness_must_have_cosigned() {
    let witness = |name: &str| {
        let seed = proof_messenger_relay::crypto::sha256(name.as_bytes());
        let algorithm = proof_messenger_relay::crypto::Algorithm::Ed25519;
        let key = proof_messenger_relay::crypto::PrivateKey::from_bytes(algorithm, &seed).unwrap();
        Cosigner::new(name, key).unwrap()
    };
    let (first, second) = (witness("witness.example/1"), witness("witness.example/2"));
    let mut log = log();
    let note = Note::parse(log.newest.as_bytes()).unwrap();
    let cosignature = first.cosign(note.text(), 1_800_000_000);
    let mut line = Vec::new();
    checkpoint_line(&mut line, &note.with(cosignature).unwrap().to_string(), None);
    log.record(sample(40));
    // It stands there once more, after later records.
    log.lines.push(String::from_utf8(line).unwrap());
    let asked = |witnesses: &[&Cosigner]| Settings {
        witnesses: witnesses.iter().map(|witness| witness.verifier().clone()).collect(),
        ..settings()
    };
    let report = check(log.text(), asked(&[&first]), &[]);
    assert_eq!(found(&report), []);
    let cosigned = &report.logs[0].cosigned[0];
    assert_eq!((cosigned.size, cosigned.timestamp), (40, Some(1_800_000_000)));
    assert_eq!(found(&check(log.text(), asked(&[&first, &second]), &[])), [(What::NotCosigned, None)]);
    // Another key of the same name is another witness.
    let key = proof_messenger_relay::crypto::PrivateKey::from_bytes(
        proof_messenger_relay::crypto::Algorithm::Ed25519,
        &[8; 32],
    );
    let namesake = Cosigner::new("witness.example/1", key.unwrap()).unwrap();
    assert_eq!(found(&check(log.text(), asked(&[&first, &namesake]), &[])), [(What::NotCosigned, None)]);
    // One that was kept elsewhere counts too.
    let note = Note::parse(log.newest.as_bytes()).unwrap();
    let cosignature = second.cosign(note.text(), 1_800_000_001);
    let kept = note.with(cosignature).unwrap().to_string();
    assert_eq!(found(&check(log.text(), asked(&[&first, &second]), &[&kept])), []);
}

/// Whoever holds the log's key wrote another history, and put a checkpoint of the old one behind it that a witness had cosigned.
#[test]
fn what_a_witness_cosigned_of_another_history_does_not_count() {
    let key = proof_messenger_relay::crypto::PrivateKey::from_bytes(
        proof_messenger_relay::crypto::Algorithm::Ed25519,
        &[9; 32],
    );
    let witness = Cosigner::new("witness.example/1", key.unwrap()).unwrap();
    let note = Note::parse(log().newest.as_bytes()).unwrap();
    let cosignature = witness.cosign(note.text(), 1_800_000_000);
    let mut line = Vec::new();
    checkpoint_line(&mut line, &note.with(cosignature).unwrap().to_string(), None);
    let mut forged = LogWriter::new(ORIGIN, log_key(ORIGIN));
    (1000..1060).for_each(|number| forged.record(sample(number)));
    forged.checkpoint();
    forged.lines.push(String::from_utf8(line).unwrap());
    let asked = Settings { witnesses: vec![witness.verifier().clone()], ..settings() };
    let report = check(forged.text(), asked.clone(), &[]);
    assert_eq!(found(&report), [(What::NotCosigned, None)]);
    assert!(report.logs[0].cosigned.is_empty());
    let report = check(forged.text(), Settings { any_order: true, ..asked }, &[]);
    assert_ne!(report.findings, []);
}

#[test]
fn a_sealed_record_that_contradicts_itself_is_a_finding() {
    let alice = Signer::ed25519("alice");
    let ask = Ask::post("/transfers/1", b"{}");
    let allowed = |change: &dyn Fn(&mut Value)| {
        let mut record = sample(1);
        record["proofs"] = json!([proof(&ask, &alice, &[])]);
        change(&mut record);
        let mut log = LogWriter::new(ORIGIN, log_key(ORIGIN));
        log.record(record);
        log.checkpoint();
        let report = check(log.text(), settings(), &[]);
        assert!(report.findings.iter().all(|finding| finding.what == What::Proof), "{:?}", report.findings);
        report.findings.first().map(|finding| finding.text.clone()).unwrap_or_default()
    };
    assert_eq!(allowed(&|_| ()), "");
    for (change, expected) in [
        (
            (&|record: &mut Value| record["proofs"][0]["verified"] = json!(false)) as &dyn Fn(&mut Value),
            "it allows, with a proof that is not verified",
        ),
        (
            &|record| record["proofs"][0]["signature"] = json!(Base64::encode_string(&[7; 64])),
            "the proof alice: the signature does not verify, and the record says that it does",
        ),
        (
            &|record| record["proofs"][0]["signature"] = json!("!"),
            "the proof alice: the signature is not base64",
        ),
        (
            &|record| record["proofs"][0]["key"]["thumbprint"] = json!("x"),
            "the proof alice: the thumbprint is not the one of the key",
        ),
        (
            &|record| record["proofs"][0]["key"]["kid"] = json!("bob"),
            "the proof alice: the base names another key than bob",
        ),
        (
            &|record| record["proofs"][0]["redacted"] = json!(["@method"]),
            "the proof alice: the value of @method is not replaced by its hash",
        ),
        (
            &|record| record["proofs"][0]["redacted"] = json!(["cookie"]),
            "the proof alice: the value of cookie is not replaced by its hash",
        ),
        (
            &|record| record["approvals"] = json!([{"label": "bob"}]),
            "an approval is the proof bob, which is not there",
        ),
        (
            &|record| record["approvals"] = json!([{"label": "alice"}, {"label": "alice"}]),
            "alice approves twice",
        ),
        (
            &|record| record["approvals"] = json!([{"label": "alice", "role": "manager"}]),
            "the proof alice approves as manager, a role that its key has not",
        ),
        (
            &|record| record["proofs"] = json!([record["proofs"][0], record["proofs"][0]]),
            "two proofs have the label alice",
        ),
        (
            &|record| record["request"]["path"] = json!("/transfers/2"),
            "the proof alice: the base has another \"@target-uri\" than the request",
        ),
        (
            &|record| record["request"]["method"] = json!("PUT"),
            "the proof alice: the base has another \"@method\" than the request",
        ),
        (
            &|record| drop(record.as_object_mut().unwrap().remove("request")),
            "the proof alice: there is no request that it could be of",
        ),
        (
            &|record| {
                let base = record["proofs"][0]["base"].as_str().unwrap();
                record["proofs"][0]["base"] = json!(base.replacen("\"@method\": POST\n", "", 1));
            },
            "the proof alice: the base does not have \"@method\" where it says so",
        ),
        (
            &|record| {
                let base = record["proofs"][0]["base"].as_str().unwrap();
                let more = base.replacen("\"@signature-params\"", "\"x\": 1\n\"@signature-params\"", 1);
                record["proofs"][0]["base"] = json!(more);
            },
            "the proof alice: the base has lines that it does not name",
        ),
        (&|record| record["code"] = json!("proof-missing"), "it allows, with a code of a denial"),
        (&|record| record["decision"] = json!("deny"), "it does not say why not"),
    ] {
        assert_eq!(allowed(change), expected);
    }
}

#[test]
fn a_proof_that_was_allowed_twice_is_remarked_on() {
    let mut log = LogWriter::new(ORIGIN, log_key(ORIGIN));
    (1..=2).for_each(|number| log.record(sample(number)));
    log.record(sample(2));
    // A denial of it is what it should be.
    let mut denied = sample(1);
    denied["decision"] = json!("deny");
    denied["code"] = json!("proof-replayed");
    log.record(denied);
    log.checkpoint();
    let report = check(log.text(), settings(), &[]);
    assert_eq!(found(&report), []);
    let remarks: Vec<_> = report.remarks.iter().map(|remark| (remark.what, remark.records)).collect();
    assert_eq!(remarks, [(What::Repeated, at(2))]);
}

#[test]
fn records_of_a_later_version_are_sealed_like_others() {
    let mut log = LogWriter::new(ORIGIN, log_key(ORIGIN));
    log.record(json!({"type": "passkey", "deep": {"list": [1, true, "x"]}}));
    log.checkpoint();
    let report = check(log.text(), settings(), &[]);
    assert_eq!(found(&report), []);
    assert_eq!(report.remarks[0].what, What::NotUnderstood);
    let changed = log.text().replace("\"x\"", "\"y\"");
    assert_eq!(found(&check(changed, settings(), &[])), [(What::Changed, at(0))]);
    for unreadable in ["\"x\",\"x\":{\"a\":1,\"a\":2}", "1.5", "null", "9007199254740993", "\"\\ud800\""] {
        let changed = log.text().replace("\"x\"", unreadable);
        let report = check(changed, settings(), &[]);
        assert_eq!(found(&report), [(What::Unreadable, at(0))], "{unreadable}");
        assert_eq!(report.logs[0].sealed, 1);
    }
}

#[test]
fn what_is_no_log_is_no_sound_log() {
    for nothing in ["", "\n\n", "{}\n", "\u{0}\u{1}\u{fffd}", "[1, 2]", "{\"evidence\":7}\n"] {
        let report = check(nothing, settings(), &[]);
        assert!(report.findings.iter().any(|finding| finding.what == What::Unsealed), "{nothing:?}");
    }
}
