//! What a log has to remember of its tree to prove to a witness that it only grew.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::evidence::merkle::{CompactRange, Hash, consistency_proof};
use crate::evidence::note::Note;

/// A checkpoint that waits to be cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Submission {
    /// The signed checkpoint.
    pub(super) checkpoint: Note,
    /// Its tree.
    pub(super) tree: CompactRange,
    /// The leaves since the checkpoint that was submitted before.
    pub(super) since: CompactRange,
}

impl Submission {
    /// How many leaves the tree has.
    pub(super) const fn size(&self) -> u64 {
        self.tree.end()
    }

    /// This one instead of an older one that still waits.
    pub(super) fn instead_of(mut self, older: Self) -> Self {
        let mut since = older.since;
        // Where they do not fit, the proof will be asked for.
        if since.extend(&self.since) {
            self.since = since;
        }
        self
    }
}

/// How far a witness has come: the tree that it cosigned last, and the leaves since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Progress {
    old: CompactRange,
    since: CompactRange,
}

impl Progress {
    /// Of a witness that cosigned nothing yet, as far as is known. If it did, it will say so.
    pub(super) const fn unknown() -> Self {
        Self { old: CompactRange::starting_at(0), since: CompactRange::starting_at(0) }
    }

    /// Takes the leaves up to a checkpoint.
    pub(super) fn advance(&mut self, submission: &Submission) {
        let mut tree = self.old.clone();
        let known =
            self.since.extend(&submission.since) && tree.extend(&self.since) && tree == submission.tree;
        if !known {
            // A proof from here would be false, and the witness would take the log for a fork. It will say where it
            // stands, and be given a proof from there.
            *self = Self::unknown();
            self.since = submission.tree.clone();
        }
    }

    /// The size that the witness cosigned last, and the proof from there to the leaves taken last.
    pub(super) fn proof(&self) -> (u64, Vec<Hash>) {
        (self.old.end(), consistency_proof(&self.old, &self.since))
    }

    /// The witness cosigned the checkpoint whose leaves were taken last.
    pub(super) fn cosigned(&mut self, submission: &Submission) {
        self.old = submission.tree.clone();
        self.since = CompactRange::starting_at(submission.size());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{Algorithm, PrivateKey};
    use crate::evidence::merkle::{leaf_hash, verify_consistency};
    use crate::evidence::note::Signer;

    fn range(begin: u64, end: u64) -> CompactRange {
        let mut range = CompactRange::starting_at(begin);
        (begin..end).for_each(|index| range.push(leaf_hash(&index.to_be_bytes())));
        range
    }

    fn submission(begin: u64, end: u64) -> Submission {
        let key = PrivateKey::from_bytes(Algorithm::Ed25519, &[1; 32]).unwrap();
        let text = format!("log\n{end}\n");
        let signature = Signer::new("log", key).unwrap().sign(&text);
        let checkpoint = Note::new(text, vec![signature]).unwrap();
        Submission { checkpoint, tree: range(0, end), since: range(begin, end) }
    }

    fn proves(progress: &Progress, from: u64, to: u64) {
        let (old, proof) = progress.proof();
        assert_eq!(old, from);
        let (old_root, new_root) = (range(0, from).root(), range(0, to).root());
        assert_eq!(verify_consistency(from, to, &proof, &old_root, &new_root), Ok(()));
    }

    #[test]
    fn proofs_begin_where_the_witness_stands() {
        let mut progress = Progress::unknown();
        progress.advance(&submission(0, 5));
        assert_eq!(progress.proof(), (0, vec![]));
        progress.cosigned(&submission(0, 5));
        progress.advance(&submission(5, 9));
        proves(&progress, 5, 9);
        // That one failed, and two more came before the next try.
        progress.advance(&submission(10, 30).instead_of(submission(9, 10)));
        proves(&progress, 5, 30);
        progress.cosigned(&submission(10, 30));
        progress.advance(&submission(30, 31));
        proves(&progress, 30, 31);
    }

    #[test]
    fn a_log_that_begins_late_has_nothing_to_prove() {
        let mut progress = Progress::unknown();
        progress.advance(&submission(100, 120));
        assert_eq!(progress.proof(), (0, vec![]));
        progress.cosigned(&submission(100, 120));
        progress.advance(&submission(120, 121));
        proves(&progress, 120, 121);
    }

    #[test]
    fn a_gap_is_noticed() {
        let mut progress = Progress::unknown();
        progress.advance(&submission(0, 5));
        progress.cosigned(&submission(0, 5));
        progress.advance(&submission(6, 9));
        assert_eq!(progress.proof(), (0, vec![]));
        progress.cosigned(&submission(0, 9));
        // As many leaves, but others.
        let other = CompactRange::restored(9, 11, vec![[0; 32]; 2]).unwrap();
        let wrong = Submission { since: other, ..submission(9, 11) };
        progress.advance(&wrong);
        assert_eq!(progress.proof(), (0, vec![]));
    }
}
