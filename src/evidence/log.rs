//! A log as it grows: the tree in memory, and the lines that go out.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::checkpoint::{Checkpoint, CheckpointError};
use super::line::{checkpoint_line, record_line};
use super::merkle::{CompactRange, Hash};
use super::note::{Note, NoteError, Signer};

/// A log: of all its records it keeps less than 64 hashes.
pub struct Log {
    signer: Signer,
    origin: Box<str>,
    tree: CompactRange,
    sealed: u64,
}

/// Why a checkpoint cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("{0}")]
    Checkpoint(#[from] CheckpointError),
    #[error("{0}")]
    Note(#[from] NoteError),
}

/// A checkpoint that was written.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// The signed note.
    pub note: Note,
    /// The tree that it is of.
    pub tree: CompactRange,
}

impl Log {
    /// A log that goes on from a tree; of its records `sealed` are covered by a checkpoint.
    #[must_use]
    pub const fn new(signer: Signer, origin: Box<str>, tree: CompactRange, sealed: u64) -> Self {
        Self { signer, origin, tree, sealed }
    }

    /// Names the log in its records and checkpoints.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// How many records it has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.tree.end()
    }

    /// How many records no checkpoint covers.
    #[must_use]
    pub const fn unsealed(&self) -> u64 {
        self.tree.end().saturating_sub(self.sealed)
    }

    /// Begins to write. Nothing of it counts before [`Batch::commit`].
    #[must_use]
    pub fn batch(&mut self) -> Batch<'_> {
        let (tree, sealed) = (self.tree.clone(), self.sealed);
        Batch { log: self, tree, sealed, lines: Vec::new(), leaves: Vec::new() }
    }
}

/// Lines that are written together, or not at all.
pub struct Batch<'l> {
    log: &'l mut Log,
    tree: CompactRange,
    sealed: u64,
    lines: Vec<u8>,
    leaves: Vec<Hash>,
}

impl Batch<'_> {
    /// The lines so far.
    #[must_use]
    pub fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// How many records no checkpoint covers.
    #[must_use]
    pub const fn unsealed(&self) -> u64 {
        self.tree.end().saturating_sub(self.sealed)
    }

    /// Adds a record, by its canonical form and its leaf hash.
    pub fn record(&mut self, evidence: &[u8], hash: &Hash) {
        record_line(&mut self.lines, evidence, hash, self.tree.end());
        self.tree.push(*hash);
        self.leaves.push(*hash);
    }

    /// Adds a checkpoint over all records so far.
    ///
    /// # Errors
    /// When the origin is not one, which the start of the log has ruled out.
    pub fn seal(&mut self) -> Result<Sealed, SealError> {
        let text = Checkpoint::new(&self.log.origin, self.tree.end(), self.tree.root())?.to_string();
        let signature = self.log.signer.sign(&text);
        let note = Note::new(text, vec![signature])?;
        checkpoint_line(&mut self.lines, &note.to_string(), Some(self.tree.hashes()));
        self.sealed = self.tree.end();
        Ok(Sealed { note, tree: self.tree.clone() })
    }

    /// Adds a checkpoint that is in the log already, with signatures of witnesses.
    pub fn cosigned(&mut self, note: &Note) {
        checkpoint_line(&mut self.lines, &note.to_string(), None);
    }

    /// The lines are written: the log has grown by these leaves.
    pub fn commit(self) -> Vec<Hash> {
        self.log.tree = self.tree;
        self.log.sealed = self.sealed;
        self.leaves
    }
}
