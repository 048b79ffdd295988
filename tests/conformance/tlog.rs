//! Notes and checkpoints: the vectors of the Go ecosystem and of C2SP.

use base64ct::{Base64, Encoding as _};
use proof_messenger_relay::crypto::{Algorithm, PrivateKey};
use proof_messenger_relay::evidence::checkpoint::Checkpoint;
use proof_messenger_relay::evidence::merkle::{CompactRange, leaf_hash};
use proof_messenger_relay::evidence::note::{
    KeyKind, Note, Signer, Unverified, VerifierKey, VerifierKeyError,
};
use serde::Deserialize;

use super::{from_base64, from_hex, vectors};

#[derive(Deserialize)]
struct SignedNotes {
    notes: Vec<SignedNote>,
}

#[derive(Deserialize)]
struct SignedNote {
    id: String,
    vkeys: Vec<String>,
    note: Option<String>,
    note_base64: Option<String>,
    note_parts: Option<Repeated>,
    text: Option<String>,
    signatures: Option<Vec<SignatureLine>>,
    expect: String,
    signer_key: Option<String>,
}

#[derive(Deserialize)]
struct Repeated {
    text: String,
    signature_line: String,
    repeat: usize,
}

#[derive(Deserialize)]
struct SignatureLine {
    name: String,
    key_hash: String,
    verified: Option<bool>,
}

impl SignedNote {
    fn bytes(&self) -> Vec<u8> {
        match (&self.note, &self.note_base64, &self.note_parts) {
            (Some(note), None, None) => note.clone().into_bytes(),
            (None, Some(base64), None) => from_base64(base64),
            (None, None, Some(parts)) => {
                format!("{}{}", parts.text, parts.signature_line.repeat(parts.repeat)).into_bytes()
            }
            _ => panic!("{}: expected one note", self.id),
        }
    }
}

/// One note differs on purpose: P-256 keys of certificate transparency (type 0x05) are none of a log here, so their
/// verifier key is refused.
#[test]
fn signed_notes() {
    let Some(SignedNotes { notes }) = vectors("tlog/signed-notes.json") else { return };
    assert_eq!(notes.len(), 28);
    let mut resigned = 0;
    for case in &notes {
        let (id, note) = (&case.id, Note::parse(&case.bytes()));
        let keys: Result<Vec<VerifierKey>, _> = case.vkeys.iter().map(|key| key.parse()).collect();
        if id == "rfc6962-sth-rome" {
            assert_eq!(keys, Err(VerifierKeyError::Kind(5)), "{id}");
            assert!(note.is_ok(), "{id}");
            continue;
        }
        let keys = keys.unwrap_or_else(|error| panic!("{id}: {error}"));
        for (key, text) in keys.iter().zip(&case.vkeys) {
            assert_eq!(key.to_string(), *text, "{id}");
        }
        match case.expect.as_str() {
            "malformed" => {
                // Upstream takes a signature of the wrong length for malformed; here it is one that does not verify.
                let refused = match note {
                    Err(_) => true,
                    Ok(note) => matches!(note.verify(&keys), Err(Unverified::BadSignature(_))),
                };
                assert!(refused, "{id}");
                continue;
            }
            "valid" => assert!(note.as_ref().unwrap().verify(&keys).is_ok(), "{id}"),
            "invalid" => assert!(
                matches!(note.as_ref().unwrap().verify(&keys), Err(Unverified::BadSignature(_))),
                "{id}"
            ),
            "no-known-key" => {
                assert_eq!(note.as_ref().unwrap().verify(&keys), Err(Unverified::NoKnownKey), "{id}");
            }
            other => panic!("{id}: {other}"),
        }
        let note = note.unwrap();
        assert_eq!(note.to_string().as_bytes(), case.bytes(), "{id}");
        assert_eq!(note.text(), case.text.as_deref().unwrap(), "{id}");
        for (line, expected) in note.signatures().iter().zip(case.signatures.as_ref().unwrap()) {
            assert_eq!(
                (line.name(), format!("{:08x}", line.id())),
                (&*expected.name, expected.key_hash.clone())
            );
            let key = keys.iter().find(|key| key.made(line));
            let verified = key.map(|key| key.verify(note.text(), line).is_ok());
            assert_eq!(verified, expected.verified, "{id}");
        }
        if let Some(signer) = &case.signer_key {
            assert_eq!(signer_of(signer).sign(note.text()), note.signatures()[0], "{id}");
            resigned += 1;
        }
    }
    assert_eq!(resigned, 1);
    let cosigned = notes.iter().filter(|case| case.id.starts_with("cosignature-v1"));
    assert_eq!(cosigned.inspect(|case| check_cosignature(case)).count(), 3);
}

fn check_cosignature(case: &SignedNote) {
    let note = Note::parse(&case.bytes()).unwrap();
    let keys = [case.vkeys[0].parse::<VerifierKey>().unwrap()];
    assert_eq!(keys[0].kind(), KeyKind::Cosignature);
    let verified = note.verify(&keys).unwrap();
    // 2025-12-31T00:00:00Z, as all three say.
    assert_eq!(verified[0].timestamp, Some(1_767_139_200), "{}", case.id);
}

/// The signer key of Go's `sumdb/note`: `PRIVATE+KEY+NAME+ID+` and base64.
fn signer_of(text: &str) -> Signer {
    let parts: Vec<&str> = text.splitn(5, '+').collect();
    let key = from_base64(parts[4]);
    assert_eq!((parts[0], parts[1], key[0]), ("PRIVATE", "KEY", 1));
    let signer =
        Signer::new(parts[2], PrivateKey::from_bytes(Algorithm::Ed25519, &key[1..]).unwrap()).unwrap();
    assert_eq!(format!("{:08x}", signer.verifier().id()), parts[3]);
    signer
}

#[derive(Deserialize)]
struct Bodies {
    cases: Vec<Body>,
}

#[derive(Deserialize)]
struct Body {
    desc: String,
    body: String,
    expect: String,
    origin: Option<String>,
    size: Option<u64>,
    extension: String,
}

/// `transparency-dev/formats` takes root hashes of any length, and empty extension lines. C2SP forbids the latter, and
/// the tree here is one of SHA-256: such bodies are refused. With a root of 32 bytes, those that C2SP allows are read.
#[test]
fn checkpoint_bodies() {
    let Some(Bodies { cases }) = vectors("tlog/checkpoint-bodies.json") else { return };
    assert_eq!(cases.len(), 15);
    let mut read = 0;
    for case in &cases {
        let whole = case.body.parse::<Checkpoint>();
        if case.expect == "error" {
            assert!(whole.is_err(), "{}", case.desc);
            continue;
        }
        let root = case.body.lines().nth(2).unwrap();
        let of_32_bytes = from_base64(root).len() == 32;
        assert_eq!(whole.is_ok(), of_32_bytes, "{}", case.desc);
        let body = case.body.replacen(root, &Base64::encode_string(&[7; 32]), 1);
        match body.parse::<Checkpoint>() {
            Ok(checkpoint) => {
                assert_eq!(Some(checkpoint.origin()), case.origin.as_deref(), "{}", case.desc);
                assert_eq!(Some(checkpoint.size()), case.size, "{}", case.desc);
                let extension: String =
                    checkpoint.extensions().iter().flat_map(|line| [line, "\n"]).collect();
                assert_eq!(extension, case.extension, "{}", case.desc);
                assert_eq!(checkpoint.to_string(), body, "{}", case.desc);
                read += 1;
            }
            Err(_) => assert!(case.extension.starts_with('\n'), "{}", case.desc),
        }
    }
    assert_eq!(read, 5);
}

#[derive(Deserialize)]
struct Log {
    origin: String,
    vkey: String,
    signer_key: String,
    entries_text: Vec<String>,
    leaf_hashes_hex: Vec<String>,
    checkpoints: Vec<SignedCheckpoint>,
}

#[derive(Deserialize)]
struct SignedCheckpoint {
    size: u64,
    root_base64: String,
    note: String,
}

/// A log that Tessera wrote: its entries give its roots, and signing them again gives its notes, byte for byte.
#[test]
fn a_log_of_tessera() {
    let Some(log) = vectors::<Log>("tlog/tessera-log.json") else { return };
    assert_eq!((log.entries_text.len(), log.checkpoints.len()), (15, 16));
    let key: VerifierKey = log.vkey.parse().unwrap();
    let signer = signer_of(&log.signer_key);
    assert_eq!(*signer.verifier(), key);
    let mut tree = CompactRange::starting_at(0);
    let mut entries = log.entries_text.iter().zip(&log.leaf_hashes_hex);
    for expected in &log.checkpoints {
        let checkpoint = Checkpoint::new(&log.origin, tree.end(), tree.root()).unwrap();
        assert_eq!(checkpoint.size(), expected.size);
        assert_eq!(Base64::encode_string(checkpoint.root()), expected.root_base64);
        let text = checkpoint.to_string();
        let note = Note::new(text.clone(), vec![signer.sign(&text)]).unwrap();
        assert_eq!(note.to_string(), expected.note);
        let read = Note::parse(expected.note.as_bytes()).unwrap();
        assert!(read.verify(std::slice::from_ref(&key)).is_ok());
        assert_eq!(read.text().parse(), Ok(checkpoint));
        if let Some((entry, hash)) = entries.next() {
            assert_eq!(leaf_hash(entry.as_bytes()).as_slice(), from_hex(hash));
            tree.push(leaf_hash(entry.as_bytes()));
        }
    }
}
