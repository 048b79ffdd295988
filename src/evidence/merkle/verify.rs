//! Whether a proof holds: the algorithms of RFC 9162 §2.1.3.2 and §2.1.4.2, which has the proofs of RFC 6962.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::{Hash, node_hash};

/// The proof does not show what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadProof {
    #[error("the tree of {size} leaves has no leaf {index}")]
    NoSuchLeaf { index: u64, size: u64 },
    #[error("the tree of {new} leaves cannot have grown out of one of {old}")]
    Shrunk { old: u64, new: u64 },
    #[error("a proof from the empty tree proves nothing about the new one")]
    FromNothing,
    #[error("the proof has {found} hashes, which is not what these sizes take")]
    Length { found: usize },
    #[error("the proof leads to another root hash")]
    Root,
    #[error("the proof starts from another root hash than that of the old tree")]
    OldRoot,
}

/// Checks that the tree of `size` leaves with this root has this leaf at `index`.
///
/// # Errors
/// When the proof shows anything else.
pub fn verify_inclusion(
    index: u64,
    size: u64,
    leaf: &Hash,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), BadProof> {
    if index >= size {
        return Err(BadProof::NoSuchLeaf { index, size });
    }
    let mut way = Way { node: index, last: size - 1 };
    let mut hash = *leaf;
    for sibling in proof {
        hash = match way.up().ok_or(BadProof::Length { found: proof.len() })? {
            Side::Left => node_hash(sibling, &hash),
            Side::Right => node_hash(&hash, sibling),
        };
    }
    if way.last != 0 {
        return Err(BadProof::Length { found: proof.len() });
    }
    if hash == *root { Ok(()) } else { Err(BadProof::Root) }
}

/// Checks that the tree of `new_size` leaves begins with the one of `old_size` leaves.
///
/// A proof from the empty tree is refused, as `transparency-dev/merkle` refuses it: every tree begins with nothing.
///
/// # Errors
/// When the proof shows anything else.
pub fn verify_consistency(
    old_size: u64,
    new_size: u64,
    proof: &[Hash],
    old_root: &Hash,
    new_root: &Hash,
) -> Result<(), BadProof> {
    let length = BadProof::Length { found: proof.len() };
    if old_size > new_size {
        return Err(BadProof::Shrunk { old: old_size, new: new_size });
    }
    if old_size == 0 {
        return Err(BadProof::FromNothing);
    }
    if old_size == new_size {
        return match proof {
            [] if old_root == new_root => Ok(()),
            [] => Err(BadProof::Root),
            _ => Err(length),
        };
    }
    // The last full subtree of the old tree: the proof begins with its root, unless it is the whole old tree.
    let level = old_size.trailing_zeros();
    let mut way = Way { node: (old_size - 1) >> level, last: (new_size - 1) >> level };
    let (first, rest) =
        if old_size.is_power_of_two() { (old_root, proof) } else { proof.split_first().ok_or(length)? };
    let (mut old, mut new) = (*first, *first);
    for sibling in rest {
        match way.up().ok_or(length)? {
            Side::Left => {
                old = node_hash(sibling, &old);
                new = node_hash(sibling, &new);
            }
            // It came later than the old tree.
            Side::Right => new = node_hash(&new, sibling),
        }
    }
    if way.last != 0 {
        return Err(length);
    }
    if old != *old_root {
        return Err(BadProof::OldRoot);
    }
    if new == *new_root { Ok(()) } else { Err(BadProof::Root) }
}

/// The way from a node to the root: its place at its level, and that of the last node there.
struct Way {
    node: u64,
    last: u64,
}

/// Where the sibling stands.
enum Side {
    Left,
    Right,
}

impl Way {
    /// Goes up to the parent, or nowhere from the root.
    fn up(&mut self) -> Option<Side> {
        if self.last == 0 {
            return None;
        }
        // The last node at a level has no sibling on its right, and none at all up to where it is a right child.
        let side = if self.node == self.last {
            let alone = self.node.trailing_zeros();
            self.node >>= alone;
            self.last >>= alone;
            Side::Left
        } else if self.node & 1 == 1 {
            Side::Left
        } else {
            Side::Right
        };
        self.node >>= 1;
        self.last >>= 1;
        Some(side)
    }
}
