//! Proofs, made from compact ranges alone.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::range::{Shape, joined};
use super::{CompactRange, Hash};

/// The audit path of the leaf `i` in the tree of `n` leaves (RFC 6962 §2.1.1), from the leaves before it, `[0, i)`, and
/// the ones after it, `[i + 1, n)`. From other ranges it is a proof of nothing.
#[must_use]
pub fn inclusion_proof(before: &CompactRange, after: &CompactRange) -> Vec<Hash> {
    siblings(0, before.hashes(), after)
}

/// The proof that the tree of `n` leaves begins with the one of `m` leaves (RFC 6962 §2.1.2), from the leaves of the old
/// tree, `[0, m)`, and the ones since, `[m, n)`. Empty where nothing came since, and where the old tree is empty: then
/// there is nothing to prove. From other ranges it is a proof of nothing.
#[must_use]
pub fn consistency_proof(old: &CompactRange, since: &CompactRange) -> Vec<Hash> {
    let Some((last, before)) = old.hashes().split_last() else { return Vec::new() };
    if since.hashes().is_empty() {
        return Vec::new();
    }
    // The last subtree of the old tree is one of the new tree too, and the proof is its audit path. Where it is the whole
    // old tree, the verifier has its root already.
    let mut proof = if before.is_empty() { Vec::new() } else { vec![*last] };
    proof.extend(siblings(old.end().trailing_zeros(), before, since));
    proof
}

/// The siblings on the way to the root, for the subtree of 2^`level` leaves that lies between `before` and `after`.
fn siblings(level: u32, before: &[Hash], after: &CompactRange) -> Vec<Hash> {
    let Shape { rising, falling, height } = after.shape();
    let (mut left, mut right) = (before.iter().rev(), after.hashes().iter());
    let mut path = Vec::new();
    // Up to where the tree ends on the right, each sibling is a full subtree of either side.
    for level in level..height {
        path.extend(if rising >> level & 1 == 1 { right.next() } else { left.next() });
    }
    // There the sibling is all that is left on the right.
    if falling != 0 {
        path.extend(joined(right.as_slice()));
    }
    path.extend(left);
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::merkle::{leaf_hash, node_hash};

    /// PATH(m, D[n]) of RFC 6962 §2.1.1.
    fn path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
        if leaves.len() == 1 {
            return Vec::new();
        }
        let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
        let (mut proof, sibling) =
            if m < left.len() { (path(m, left), right) } else { (path(m - left.len(), right), left) };
        proof.push(root(sibling));
        proof
    }

    /// SUBPROOF(m, D[n], b) of RFC 6962 §2.1.2.
    fn subproof(m: usize, leaves: &[Hash], known: bool) -> Vec<Hash> {
        if m == leaves.len() {
            return if known { Vec::new() } else { vec![root(leaves)] };
        }
        let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
        let (mut proof, sibling) = if m <= left.len() {
            (subproof(m, left, known), right)
        } else {
            (subproof(m - left.len(), right, false), left)
        };
        proof.push(root(sibling));
        proof
    }

    fn root(leaves: &[Hash]) -> Hash {
        if let [leaf] = leaves {
            return *leaf;
        }
        let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
        node_hash(&root(left), &root(right))
    }

    fn range(leaves: &[Hash], begin: usize, end: usize) -> CompactRange {
        let mut range = CompactRange::starting_at(begin as u64);
        leaves[begin..end].iter().for_each(|leaf| range.push(*leaf));
        range
    }

    #[test]
    fn proofs_are_those_of_the_recursion() {
        let leaves: Vec<Hash> = (0..70_u8).map(|n| leaf_hash(&[n])).collect();
        for n in 1..=leaves.len() {
            let tree = &leaves[..n];
            assert_eq!(range(tree, 0, n).root(), root(tree), "{n}");
            for m in 0..n {
                let proof = inclusion_proof(&range(tree, 0, m), &range(tree, m + 1, n));
                assert_eq!(proof, path(m, tree), "leaf {m} of {n}");
            }
            for m in 1..=n {
                let proof = consistency_proof(&range(tree, 0, m), &range(tree, m, n));
                assert_eq!(proof, subproof(m, tree, true), "{m} to {n}");
            }
            assert_eq!(consistency_proof(&range(tree, 0, 0), &range(tree, 0, n)), [] as [Hash; 0]);
        }
    }

    #[test]
    fn other_ranges_do_no_harm() {
        let ends = [0, 1, 2, 5, u64::MAX - 1, u64::MAX];
        for begin in ends {
            for end in ends {
                let other = CompactRange::starting_at(begin);
                let _ = inclusion_proof(&CompactRange::starting_at(end), &other);
                let _ = consistency_proof(&CompactRange::starting_at(end), &other);
            }
        }
    }
}
