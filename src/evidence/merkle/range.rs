//! The roots of the full subtrees that a run of leaves consists of.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::{Hash, node_hash};
use crate::crypto::sha256;

/// The leaves `[begin, end)` of a tree, by the roots of the largest full subtrees that they consist of: at most 128
/// hashes, from left to right.
///
/// A subtree of 2^n leaves is full where it begins at a multiple of 2^n. From `begin` on the subtrees get larger up to the
/// point where both ends are parted, and then smaller again. It is the compact range of `transparency-dev/merkle`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactRange {
    begin: u64,
    end: u64,
    hashes: Vec<Hash>,
}

impl CompactRange {
    /// No leaves, before the one with the index `begin`.
    #[must_use]
    pub const fn starting_at(begin: u64) -> Self {
        Self { begin, end: begin, hashes: Vec::new() }
    }

    /// A range from its [`Self::hashes`], or nothing where the leaves `[begin, end)` consist of another number of subtrees.
    #[must_use]
    pub fn restored(begin: u64, end: u64, hashes: Vec<Hash>) -> Option<Self> {
        if begin > end {
            return None;
        }
        let Shape { rising, falling, .. } = Shape::of(begin, end);
        let expected = u64::from(rising.count_ones()) + u64::from(falling.count_ones());
        (u64::try_from(hashes.len()) == Ok(expected)).then_some(Self { begin, end, hashes })
    }

    /// Takes the hash of one more leaf. A tree has no more than 2^64 - 1 leaves: a range up to there stays as it is.
    pub fn push(&mut self, leaf: Hash) {
        if let Some(end) = self.end.checked_add(1) {
            self.push_subtree(leaf, 1);
            self.end = end;
        }
    }

    /// Takes the leaves of the range that follows: the one that begins where this one ends. From any other one it takes
    /// nothing, and says `false`.
    #[must_use]
    pub fn extend(&mut self, next: &Self) -> bool {
        if next.begin != self.end {
            return false;
        }
        let Shape { rising, falling, .. } = next.shape();
        let sizes = (0..u64::BITS).map(|n| 1 << n);
        let sizes = sizes.clone().filter(|n| rising & n != 0).chain(sizes.rev().filter(|n| falling & n != 0));
        for (leaves, hash) in sizes.zip(&next.hashes) {
            self.push_subtree(*hash, leaves);
            self.end += leaves;
        }
        true
    }

    /// Takes a full subtree of so many leaves, which begins where this range ends.
    fn push_subtree(&mut self, root: Hash, mut leaves: u64) {
        let (mut hash, mut first) = (root, self.end);
        // A right child whose sibling lies in the range makes their parent a full subtree.
        while first & leaves != 0 && first - leaves >= self.begin {
            let Some(sibling) = self.hashes.pop() else { break };
            hash = node_hash(&sibling, &hash);
            first -= leaves;
            leaves <<= 1;
        }
        self.hashes.push(hash);
    }

    /// The index of the first leaf.
    #[must_use]
    pub const fn begin(&self) -> u64 {
        self.begin
    }

    /// The index behind the last leaf: the size of the tree, where the range begins at 0.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// The roots of the subtrees, from left to right.
    #[must_use]
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// The root of the tree (RFC 6962 §2.1), where the range begins at 0: other ranges have none, and the hash is one of
    /// nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        joined(&self.hashes).unwrap_or_else(|| sha256(&[]))
    }

    pub(super) fn shape(&self) -> Shape {
        Shape::of(self.begin, self.end)
    }
}

/// The node over subtrees that get smaller from left to right, if there are any.
pub(super) fn joined(hashes: &[Hash]) -> Option<Hash> {
    hashes.iter().rev().copied().reduce(|right, left| node_hash(&left, &right))
}

/// Which subtrees a range consists of: a bit for each, its value the number of leaves.
pub(super) struct Shape {
    /// The ones that get larger, so from the lowest bit to the highest.
    pub(super) rising: u64,
    /// The ones that get smaller after them.
    pub(super) falling: u64,
    /// Of the subtree with 2^n leaves that the rising ones fill up: n.
    pub(super) height: u32,
}

impl Shape {
    fn of(begin: u64, end: u64) -> Self {
        // From 0 on, nothing has to be filled up.
        let Some(before) = begin.checked_sub(1) else {
            return Self { rising: 0, falling: end, height: u64::BITS };
        };
        // The highest bit in which the leaf before the range and the one after it differ: there their ways from the root
        // part. They differ, since before < begin <= end.
        let height = (before ^ end).checked_ilog2().unwrap_or(0);
        let below = (1 << height) - 1;
        Self { rising: !before & below, falling: end & below, height }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::merkle::leaf_hash;

    fn range(begin: u64, end: u64) -> CompactRange {
        let mut range = CompactRange::starting_at(begin);
        (begin..end).for_each(|index| range.push(leaf_hash(&index.to_be_bytes())));
        range
    }

    /// The definition: the largest subtree that is aligned and fits, and then the rest.
    fn sizes(mut begin: u64, end: u64) -> Vec<u64> {
        let mut sizes = Vec::new();
        while begin < end {
            let aligned = (0..63)
                .map(|n| 1 << n)
                .rev()
                .find(|n| begin.is_multiple_of(*n) && end - begin >= *n)
                .unwrap();
            sizes.push(aligned);
            begin += aligned;
        }
        sizes
    }

    #[test]
    fn a_range_consists_of_the_largest_full_subtrees() {
        for begin in 0..40 {
            for end in begin..80 {
                let range = range(begin, end);
                let Shape { rising, falling, .. } = range.shape();
                let bits = |of: u64| (0..64).map(|n| 1 << n).filter(move |bit| of & bit != 0);
                let shape: Vec<u64> =
                    bits(rising).chain(bits(falling).collect::<Vec<_>>().into_iter().rev()).collect();
                assert_eq!(shape, sizes(begin, end), "[{begin}, {end})");
                assert_eq!(range.hashes().len(), shape.len(), "[{begin}, {end})");
            }
        }
    }

    #[test]
    fn a_range_goes_on_from_its_hashes() {
        let mut restored = CompactRange::restored(3, 21, range(3, 21).hashes().to_vec()).unwrap();
        restored.push(leaf_hash(&21_u64.to_be_bytes()));
        assert_eq!(restored, range(3, 22));
    }

    #[test]
    fn a_range_and_the_one_that_follows_are_one() {
        for begin in 0..20 {
            for middle in begin..40 {
                for end in middle..60 {
                    let mut whole = range(begin, middle);
                    assert!(whole.extend(&range(middle, end)));
                    assert_eq!(whole, range(begin, end), "[{begin}, {middle}) and [{middle}, {end})");
                }
            }
        }
        let mut range = range(0, 5);
        assert!(!range.extend(&CompactRange::starting_at(6)));
        assert_eq!(range.end(), 5);
    }

    #[test]
    fn hashes_of_another_number_are_no_range() {
        assert_eq!(CompactRange::restored(0, 5, vec![[0; 32]; 3]), None);
        assert_eq!(CompactRange::restored(0, 5, vec![[0; 32]; 1]), None);
        assert_eq!(CompactRange::restored(6, 5, vec![]), None);
        assert!(CompactRange::restored(0, 0, vec![]).is_some());
        assert!(CompactRange::restored(0, u64::MAX, vec![[0; 32]; 64]).is_some());
    }

    #[test]
    fn the_largest_tree_is_full() {
        let mut range = CompactRange::restored(0, u64::MAX - 1, vec![[0; 32]; 63]).unwrap();
        range.push([1; 32]);
        assert_eq!((range.end(), range.hashes().len()), (u64::MAX, 64));
        let full = range.clone();
        range.push([2; 32]);
        assert_eq!(range, full);

        let mut late = CompactRange::starting_at(u64::MAX - 2);
        (0..5).for_each(|_| late.push([3; 32]));
        assert_eq!((late.begin(), late.end(), late.hashes().len()), (u64::MAX - 2, u64::MAX, 2));
    }
}
