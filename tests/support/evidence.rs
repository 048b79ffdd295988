//! Logs of evidence, as a relay writes them, and what the checker says of them.

use std::fmt::Write as _;
use std::sync::Arc;

use base64ct::{Base64, Encoding as _};
use proof_messenger_relay::crypto::{Algorithm, PrivateKey, sha256};
use proof_messenger_relay::evidence::check::{Checker, Place, Report, Settings};
use proof_messenger_relay::evidence::checkpoint::Checkpoint;
use proof_messenger_relay::evidence::line::{checkpoint_line, record_line};
use proof_messenger_relay::evidence::merkle::{CompactRange, leaf_hash};
use proof_messenger_relay::evidence::note::{Note, Signer as NoteSigner, VerifierKey};
use proof_messenger_relay::evidence::redaction::placeholder;
use proof_messenger_relay::evidence::stream::Values;
use proof_messenger_relay::keys::{public_jwk, thumbprint};
use serde_json::{Value, json};

use super::ask::Ask;
use super::signer::Signer;

pub const ORIGIN: &str = "bank.example/relay";

/// The key of a log with that name.
pub fn log_key(name: &str) -> NoteSigner {
    let key = PrivateKey::from_bytes(Algorithm::Ed25519, &sha256(format!("log {name}").as_bytes())).unwrap();
    NoteSigner::new(name, key).unwrap()
}

/// Writes a log.
pub struct LogWriter {
    pub signer: NoteSigner,
    pub origin: String,
    pub tree: CompactRange,
    pub lines: Vec<String>,
    /// The note of the newest checkpoint.
    pub newest: String,
}

impl LogWriter {
    pub fn new(origin: &str, signer: NoteSigner) -> Self {
        let (tree, lines) = (CompactRange::starting_at(0), Vec::new());
        Self { signer, origin: origin.to_owned(), tree, lines, newest: String::new() }
    }

    /// Writes a record. Members that all records have are added.
    pub fn record(&mut self, mut record: Value) {
        let number = self.tree.end();
        let members = json!({
            "log": self.origin, "instance": "relay-1", "version": "0.1.0", "config": "c0".repeat(32),
            "time": format!("2026-01-31T09:{:02}:{:02}.{number:06}Z", number / 60 % 60, number % 60),
        });
        for (name, value) in members.as_object().unwrap() {
            record.as_object_mut().unwrap().entry(name).or_insert(value.clone());
        }
        let evidence = serde_json_canonicalizer::to_vec(&record).unwrap();
        let hash = leaf_hash(&evidence);
        let mut line = Vec::new();
        record_line(&mut line, &evidence, &hash, number);
        self.tree.push(hash);
        self.lines.push(String::from_utf8(line).unwrap());
    }

    pub fn checkpoint(&mut self) {
        let checkpoint = Checkpoint::new(&self.origin, self.tree.end(), self.tree.root()).unwrap();
        let text = checkpoint.to_string();
        let signature = self.signer.sign(&text);
        self.newest = Note::new(text, vec![signature]).unwrap().to_string();
        let mut line = Vec::new();
        checkpoint_line(&mut line, &self.newest, Some(self.tree.hashes()));
        self.lines.push(String::from_utf8(line).unwrap());
    }

    /// A log with every kind of record, and a checkpoint after every so many.
    pub fn filled(origin: &str, records: u64, every: u64) -> Self {
        let mut log = Self::new(origin, log_key(ORIGIN));
        for number in 0..records {
            log.record(sample(number));
            if (number + 1).is_multiple_of(every) {
                log.checkpoint();
            }
        }
        if !records.is_multiple_of(every) {
            log.checkpoint();
        }
        log
    }

    pub fn text(&self) -> String {
        self.lines.concat()
    }
}

/// The UUID of the decision with that number.
pub fn id(number: u64) -> String {
    format!("019c1234-5678-7abc-8def-{number:012x}")
}

/// A record of some kind: most are plain allowed ones.
pub fn sample(number: u64) -> Value {
    let (alice, bob) = (Signer::ed25519("alice"), Signer::p256("bob"));
    let ask = Ask::post(&format!("/transfers/{number}"), br#"{"amount": 25}"#);
    let decision = |decision: &str, proofs: Value| {
        json!({
            "type": "decision", "id": id(number), "decision": decision, "policy": "transfers", "proofs": proofs,
            "request": {
                "method": "POST", "scheme": "https", "authority": "bank.example",
                "path": format!("/transfers/{number}"), "source_address": "10.0.0.1:4711",
            },
        })
    };
    if number == 0 {
        return json!({"type": "start", "keys": ["ab".repeat(32)]});
    }
    match number % 10 {
        3 => {
            let proofs = json!([proof(&ask, &alice, &[]), proof(&ask, &bob, &[])]);
            let mut record = decision("allow", proofs);
            record["approvals"] =
                json!([{"role": "clerk", "label": "alice"}, {"role": "manager", "label": "bob"}]);
            record["condition"] = json!("held");
            record
        }
        5 => {
            let mut false_proof = proof(&ask, &alice, &[]);
            false_proof["signature"] = json!(Base64::encode_string(&[7; 64]));
            false_proof["verified"] = json!(false);
            let mut record = decision("deny", json!([false_proof]));
            record["code"] = json!("signature-invalid");
            record["detail"] = json!("the signature \"alice\" is not one of this request by the named key");
            record["particulars"] = json!("key alice of alice");
            record["presented"] =
                json!({"signature": "alice=:BwcH:", "signature_input": "alice=(\"@method\")"});
            record
        }
        7 => {
            let mut record = decision("observe", json!([]));
            record["code"] = json!("proof-missing");
            record["detail"] = json!("a proof is required: Müller, \u{1f600}\u{7f}");
            record
        }
        8 => {
            let ask = ask.header("authorization", "Bearer secret");
            decision("allow", json!([proof(&ask, &alice, &["authorization"])]))
        }
        9 if number % 100 == 49 => json!({
            "type": "lost", "allowed": 3, "denied": 4,
            "since": "2026-01-31T09:00:00.000000Z", "until": "2026-01-31T09:00:01.000000Z",
        }),
        _ => decision("allow", json!([proof(&ask, &alice, &[])])),
    }
}

/// The proof of this signer, with the values of these fields redacted.
pub fn proof(ask: &Ask, signer: &Signer, redacted: &[&str]) -> Value {
    let mut cover = vec!["@method", "@target-uri", "content-digest"];
    cover.extend(redacted);
    let signing = super::ask::signing(&signer.id, &cover);
    // The same log each time, so that golden files can show it.
    let signing = proof_messenger_relay::signer::Signing { nonce: None, ..signing };
    let signed = ask.clone().signed_as(signer, &signing);
    let member = |name: &str| signed.value(name).split_once('=').unwrap().1.to_owned();
    let (input, signature) = (member("signature-input"), member("signature"));
    let mut base = String::new();
    for component in cover {
        let value = match component {
            "@method" => ask.method.clone(),
            "@target-uri" => format!("{}://{}{}", ask.scheme, ask.authority, ask.target),
            name if redacted.contains(&name) => placeholder(&ask.value(name)),
            name => ask.value(name),
        };
        writeln!(base, "\"{component}\": {value}").unwrap();
    }
    write!(base, "\"@signature-params\": {input}").unwrap();
    let mut proof = json!({
        "label": signer.id, "base": base, "signature": signature.trim_matches(':'), "verified": true,
        "key": {
            "jwk": public_jwk(&signer.key.public()), "kid": signer.id, "sub": signer.id,
            "roles": [if signer.id == "bob" { "manager" } else { "clerk" }],
            "thumbprint": thumbprint(&signer.key.public()),
        },
    });
    if !redacted.is_empty() {
        proof["redacted"] = json!(redacted);
    }
    proof
}

/// What a check goes by, with the key of the log.
pub fn settings() -> Settings {
    let keys: Vec<VerifierKey> = vec![log_key(ORIGIN).verifier().clone()];
    Settings { keys, ..Settings::default() }
}

/// Without signatures in the records, which take most of the time.
pub fn lean() -> Settings {
    Settings { without_proofs: true, ..settings() }
}

/// Checks a log, with checkpoints that were kept elsewhere.
pub fn check(log: impl AsRef<[u8]>, settings: Settings, kept: &[&str]) -> Report {
    check_files(&[("log", log.as_ref())], settings, kept)
}

/// Checks a log that may begin with this checkpoint.
pub fn check_from(begin: &str, log: impl AsRef<[u8]>, kept: &[&str]) -> Report {
    let mut checker = Checker::new(settings());
    checker.begin(begin, Place { file: Arc::from("begin"), line: 1 });
    checked(checker, &[("log", log.as_ref())], kept)
}

pub fn check_files(files: &[(&str, &[u8])], settings: Settings, kept: &[&str]) -> Report {
    checked(Checker::new(settings), files, kept)
}

fn checked(mut checker: Checker, files: &[(&str, &[u8])], kept: &[&str]) -> Report {
    for note in kept {
        checker.keep(note, Place { file: Arc::from("kept"), line: 1 });
    }
    for (name, log) in files {
        let file = Arc::from(*name);
        let mut values = Values::new(*log);
        while values.next(|piece| checker.take(&file, &piece)).unwrap().is_some() {}
    }
    checker.finish()
}
