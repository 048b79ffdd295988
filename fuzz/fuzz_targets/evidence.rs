//! Notes, checkpoints, verifier keys and proofs about one record: what is read is written again as it was, and what
//! verifies was signed.
//!
//! One key is known, and nobody here has its private half. One proof is known that it stands for: the seed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proof_messenger_relay::evidence::checkpoint::Checkpoint;
use proof_messenger_relay::evidence::merkle::leaf_hash;
use proof_messenger_relay::evidence::note::{Note, VerifierKey};
use proof_messenger_relay::evidence::tlog_proof::TlogProof;

// tests/properties/seeds.rs writes all of them, and shows that the proof verifies.
const KEY: &str = include_str!("../seeds/evidence/key");
const PROOF: &str = include_str!("../seeds/evidence/proof");
const RECORD: &[u8] = b"a record";

fuzz_target!(|data: &[u8]| {
    let log: VerifierKey = KEY.parse().expect("a verifier key");
    let known: TlogProof = PROOF.parse().expect("a proof");
    if let Ok(note) = Note::parse(data) {
        assert_eq!(note.to_string().as_bytes(), data);
        if note.verify(std::slice::from_ref(&log)).is_ok() {
            assert!(known.checkpoint.starts_with(&format!("{}\n", note.text())), "{note}");
        }
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(checkpoint) = text.parse::<Checkpoint>() {
        assert_eq!(checkpoint.to_string(), text);
    }
    if let Ok(key) = text.parse::<VerifierKey>() {
        assert_eq!(key.to_string(), text);
    }
    if let Ok(proof) = text.parse::<TlogProof>() {
        assert_eq!(proof.to_string(), text);
        if proof.verify(&leaf_hash(RECORD), &log).is_ok() {
            assert_eq!((proof.index, &proof.hashes), (known.index, &known.hashes), "{text}");
        }
    }
});
