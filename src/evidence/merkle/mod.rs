//! Merkle trees of RFC 6962 with SHA-256: hashes, proofs, and what a log keeps of its tree.
//!
//! A log that only grows needs none of its old nodes: a [`CompactRange`] is all that it takes to go on, to know the root,
//! and, together with the range of the leaves that came since, to prove that the tree only grew.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod proof;
mod range;
mod verify;

pub use proof::{consistency_proof, inclusion_proof};
pub use range::CompactRange;
pub use verify::{BadProof, verify_consistency, verify_inclusion};

use crate::crypto::sha256;

/// The hash of a leaf or of a node: SHA-256.
pub type Hash = [u8; 32];

/// The hash of a leaf with this content (RFC 6962 §2.1): SHA-256 over a zero byte and the content.
#[must_use]
pub fn leaf_hash(data: &[u8]) -> Hash {
    let mut input = Vec::with_capacity(data.len().saturating_add(1));
    input.push(0);
    input.extend_from_slice(data);
    sha256(&input)
}

/// The hash of a node with these children (RFC 6962 §2.1): SHA-256 over the byte 1 and both hashes.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut input = Vec::with_capacity(65);
    input.push(1);
    input.extend_from_slice(left);
    input.extend_from_slice(right);
    sha256(&input)
}
