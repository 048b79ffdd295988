//! Trees and proofs of RFC 6962: the vectors of `transparency-dev/merkle`.

use proof_messenger_relay::crypto::sha256;
use proof_messenger_relay::evidence::merkle::{
    BadProof, CompactRange, Hash, consistency_proof, inclusion_proof, leaf_hash, node_hash,
    verify_consistency, verify_inclusion,
};
use serde::Deserialize;

use super::{from_base64, from_hex, vectors};

#[derive(Deserialize)]
struct Tree {
    hasher: Vec<Hashed>,
    leaf_inputs_hex: Vec<String>,
    node_hashes_by_level_hex: Vec<Vec<String>>,
    root_by_size_hex: Vec<String>,
    inclusion_proofs: Vec<TreeInclusion>,
    consistency_proofs: Vec<TreeConsistency>,
}

#[derive(Deserialize)]
struct Hashed {
    hex: String,
}

#[derive(Deserialize)]
struct TreeInclusion {
    leaf_index: usize,
    tree_size: usize,
    leaf_hash_hex: String,
    root_hex: String,
    proof_hex: Vec<String>,
}

#[derive(Deserialize)]
struct TreeConsistency {
    size1: usize,
    size2: usize,
    root1_hex: String,
    root2_hex: String,
    proof_hex: Vec<String>,
}

fn hash(hex: &str) -> Hash {
    from_hex(hex).try_into().unwrap()
}

fn hashes(hex: &[String]) -> Vec<Hash> {
    hex.iter().map(|hex| hash(hex)).collect()
}

#[test]
fn the_tree_of_eight_leaves() {
    let Some(tree) = vectors::<Tree>("tlog/rfc6962-tree.json") else { return };
    let ascii = |text: &str| -> Hash {
        // The node's children are no hashes, but the bytes before them and the function are the same.
        sha256(&[b"\x01".as_slice(), text.as_bytes()].concat())
    };
    let hasher =
        [CompactRange::starting_at(0).root(), leaf_hash(b""), leaf_hash(b"L123456"), ascii("N123N456")];
    assert_eq!(hasher.to_vec(), tree.hasher.iter().map(|case| hash(&case.hex)).collect::<Vec<_>>());

    let leaves: Vec<Hash> = tree.leaf_inputs_hex.iter().map(|hex| leaf_hash(&from_hex(hex))).collect();
    let mut level = leaves.clone();
    for expected in &tree.node_hashes_by_level_hex {
        assert_eq!(level, hashes(expected));
        level = level.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
    }
    let range = |begin: usize, end: usize| {
        let mut range = CompactRange::starting_at(begin as u64);
        leaves[begin..end].iter().for_each(|leaf| range.push(*leaf));
        range
    };
    assert_eq!(tree.root_by_size_hex.len(), 9);
    for (size, root) in tree.root_by_size_hex.iter().enumerate() {
        assert_eq!(range(0, size).root(), hash(root), "{size}");
    }
    assert_eq!((tree.inclusion_proofs.len(), tree.consistency_proofs.len()), (36, 36));
    for case in &tree.inclusion_proofs {
        let (index, size) = (case.leaf_index, case.tree_size);
        let proof = inclusion_proof(&range(0, index), &range(index + 1, size));
        assert_eq!(proof, hashes(&case.proof_hex), "leaf {index} of {size}");
        let (leaf, root) = (hash(&case.leaf_hash_hex), hash(&case.root_hex));
        assert_eq!(verify_inclusion(index as u64, size as u64, &leaf, &proof, &root), Ok(()));
    }
    for case in &tree.consistency_proofs {
        let (old, new) = (case.size1, case.size2);
        let proof = consistency_proof(&range(0, old), &range(old, new));
        assert_eq!(proof, hashes(&case.proof_hex), "{old} to {new}");
        let (old_root, new_root) = (hash(&case.root1_hex), hash(&case.root2_hex));
        assert_eq!(verify_consistency(old as u64, new as u64, &proof, &old_root, &new_root), Ok(()));
    }
}

#[derive(Deserialize)]
struct Cases<T> {
    cases: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inclusion {
    file: String,
    leaf_idx: u64,
    tree_size: u64,
    root: String,
    leaf_hash: String,
    proof: Option<Vec<String>>,
    want_err: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Consistency {
    file: String,
    size1: u64,
    size2: u64,
    root1: String,
    root2: String,
    proof: Option<Vec<String>>,
    want_err: bool,
}

/// Upstream takes slices for hashes. Those of another length than 32 bytes cannot even be said here.
fn hash_of(base64: &str) -> Option<Hash> {
    from_base64(base64).try_into().ok()
}

fn proof_of(proof: Option<&Vec<String>>) -> Option<Vec<Hash>> {
    proof.into_iter().flatten().map(|hash| hash_of(hash)).collect()
}

#[test]
fn inclusion_proofs() {
    let Some(Cases::<Inclusion> { cases }) = vectors("tlog/inclusion-proofs.json") else { return };
    assert_eq!(cases.len(), 98);
    let mut verified = 0;
    for case in &cases {
        let holds = (|| {
            let (leaf, root) = (hash_of(&case.leaf_hash)?, hash_of(&case.root)?);
            let proof = proof_of(case.proof.as_ref())?;
            verify_inclusion(case.leaf_idx, case.tree_size, &leaf, &proof, &root).ok()
        })();
        assert_eq!(holds.is_none(), case.want_err, "{}", case.file);
        verified += usize::from(holds.is_some());
    }
    assert_eq!(verified, 6);
}

/// Some roots are "don't care 1" and the like: any hashes will do, equal where those are.
fn any_hash(base64: &str) -> Hash {
    hash_of(base64).unwrap_or_else(|| sha256(&from_base64(base64)))
}

/// As upstream, every proof from the empty tree is refused: it says nothing about the new tree.
#[test]
fn consistency_proofs() {
    let Some(Cases::<Consistency> { cases }) = vectors("tlog/consistency-proofs.json") else { return };
    assert_eq!(cases.len(), 98);
    let mut verified = 0;
    for case in &cases {
        let holds = (|| {
            let (old, new) = (any_hash(&case.root1), any_hash(&case.root2));
            let proof = proof_of(case.proof.as_ref())?;
            verify_consistency(case.size1, case.size2, &proof, &old, &new).ok()
        })();
        assert_eq!(holds.is_none(), case.want_err, "{}", case.file);
        verified += usize::from(holds.is_some());
    }
    assert_eq!(verified, 6);
    let empty = CompactRange::starting_at(0).root();
    assert_eq!(verify_consistency(0, 0, &[], &empty, &empty), Err(BadProof::FromNothing));
}
