//! Proofs about one record: the vectors of `transparency-dev/formats`, and proofs about the log of Tessera.

use proof_messenger_relay::evidence::checkpoint::Checkpoint;
use proof_messenger_relay::evidence::merkle::Hash;
use proof_messenger_relay::evidence::note::NoteError;
use proof_messenger_relay::evidence::tlog_proof::{TlogProof, TlogProofError, Unproven};
use serde::Deserialize;

use super::{from_base64, from_hex, vectors};

#[derive(Deserialize)]
struct TlogProofs {
    encode: Vec<Encoded>,
    malformed: Vec<Malformed>,
    malformed_by_spec: Vec<Malformed>,
    complete: Vec<Complete>,
    complete_negative: Vec<Negative>,
}

#[derive(Deserialize)]
struct Encoded {
    name: String,
    index: u64,
    hashes_b64: Vec<String>,
    checkpoint: String,
    extra_b64: Option<String>,
    encoded: String,
}

#[derive(Deserialize)]
struct Malformed {
    name: String,
    proof: String,
}

#[derive(Deserialize)]
struct Complete {
    leaf_hash_hex: String,
    index: u64,
    tree_size: u64,
    vkey: String,
    proof: String,
}

#[derive(Deserialize)]
struct Negative {
    base: usize,
    change: String,
    proof: String,
}

#[test]
fn proofs_about_one_record() {
    let Some(vectors) = vectors::<TlogProofs>("tlog/tlog-proof.json") else { return };
    assert_eq!((vectors.encode.len(), vectors.complete.len(), vectors.complete_negative.len()), (3, 7, 4));
    for case in vectors.encode {
        let hashes = case.hashes_b64.iter().map(|hash| from_base64(hash).try_into().unwrap()).collect();
        let extra = case.extra_b64.as_deref().map(from_base64);
        let proof = TlogProof { extra, index: case.index, hashes, checkpoint: case.checkpoint };
        assert_eq!(proof.to_string(), case.encoded, "{}", case.name);
        assert_eq!(case.encoded.parse(), Ok(proof), "{}", case.name);
    }
    assert_eq!((vectors.malformed.len(), vectors.malformed_by_spec.len()), (7, 1));
    for case in vectors.malformed.iter().chain(&vectors.malformed_by_spec) {
        let expected = match case.name.as_str() {
            "missing header" => TlogProofError::Header,
            "invalid extra data encoding" => TlogProofError::Extra,
            "invalid hash base64" | "incorrect hash length" => TlogProofError::Hash(1),
            _ => TlogProofError::Index,
        };
        assert_eq!(case.proof.parse::<TlogProof>(), Err(expected), "{}", case.name);
    }
    let verified = |text: &str, case: &Complete| -> Result<Checkpoint, Unproven> {
        let leaf: Hash = from_hex(&case.leaf_hash_hex).try_into().unwrap();
        let proof: TlogProof = text.parse().unwrap();
        assert_eq!(proof.to_string(), text);
        proof.verify(&leaf, &case.vkey.parse().unwrap())
    };
    for case in &vectors.complete {
        assert_eq!(verified(&case.proof, case).unwrap().size(), case.tree_size, "{}", case.index);
    }
    for case in &vectors.complete_negative {
        let refused = verified(&case.proof, &vectors.complete[case.base]);
        assert!(matches!(refused, Err(Unproven::Inclusion(_))), "{}", case.change);
    }
    let unsigned = vectors.complete[0].proof.replace("\n— ", "\n");
    let proof: TlogProof = unsigned.parse().unwrap();
    let refused = proof.verify(&[0; 32], &vectors.complete[0].vkey.parse().unwrap());
    assert!(matches!(refused, Err(Unproven::Note(NoteError::Signature(..)))), "{refused:?}");
}
