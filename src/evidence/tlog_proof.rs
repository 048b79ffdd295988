//! Proofs about one record that need nothing but a verifier key (C2SP tlog-proof).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding as _};

use super::checkpoint::{Checkpoint, CheckpointError, decimal, hash};
use super::merkle::{BadProof, Hash, verify_inclusion};
use super::note::{Note, NoteError, Unverified, VerifierKey};

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// How many hashes a proof may have: a tree of less than 2^64 leaves is not higher.
const MAX_HASHES: usize = 64;

/// The place of a record in a log, and everything that shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// What the application needs besides. Nothing authenticates it.
    pub extra: Option<Vec<u8>>,
    /// The place of the leaf, from 0.
    pub index: u64,
    /// The audit path (RFC 6962 §2.1.1).
    pub hashes: Vec<Hash>,
    /// The signed checkpoint, as the log wrote it.
    pub checkpoint: String,
}

/// Why a text is no proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TlogProofError {
    #[error("expected the first line to be {HEADER}")]
    Header,
    #[error("expected the extra data to be base64")]
    Extra,
    #[error("expected a line with the index: a number without leading zeros, below 2^64")]
    Index,
    #[error("expected hash {0} to be the base64 of 32 bytes")]
    Hash(usize),
    #[error("expected {MAX_HASHES} hashes at most")]
    TooManyHashes,
    #[error("expected an empty line and a checkpoint behind the hashes")]
    Checkpoint,
}

/// Why a proof shows nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    #[error("the checkpoint: {0}")]
    Note(#[from] NoteError),
    #[error("the checkpoint: {0}")]
    Unverified(#[from] Unverified),
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    #[error("{0}")]
    Inclusion(#[from] BadProof),
}

impl TlogProof {
    /// The checkpoint, signed by the log, of the tree that has this leaf at [`Self::index`]. Whether its origin is the log
    /// that is meant, and which witnesses cosigned it, is left to see.
    ///
    /// # Errors
    /// When the log did not sign the checkpoint, or its tree has another leaf there.
    pub fn verify(&self, leaf: &Hash, log: &VerifierKey) -> Result<Checkpoint, Unproven> {
        let note = Note::parse(self.checkpoint.as_bytes())?;
        note.verify(std::slice::from_ref(log))?;
        let checkpoint: Checkpoint = note.text().parse()?;
        verify_inclusion(self.index, checkpoint.size(), leaf, &self.hashes, checkpoint.root())?;
        Ok(checkpoint)
    }
}

impl FromStr for TlogProof {
    type Err = TlogProofError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (header, mut rest) = text.split_once('\n').ok_or(TlogProofError::Header)?;
        if header != HEADER {
            return Err(TlogProofError::Header);
        }
        let mut extra = None;
        if let Some(line) = rest.strip_prefix("extra ") {
            let (base64, after) = line.split_once('\n').ok_or(TlogProofError::Extra)?;
            extra = Some(Base64::decode_vec(base64).map_err(|_| TlogProofError::Extra)?);
            rest = after;
        }
        let index = rest.strip_prefix("index ").ok_or(TlogProofError::Index)?;
        let (index, mut rest) = index.split_once('\n').ok_or(TlogProofError::Index)?;
        let index = decimal(index).ok_or(TlogProofError::Index)?;
        let mut hashes = Vec::new();
        loop {
            let (line, after) = rest.split_once('\n').ok_or(TlogProofError::Checkpoint)?;
            rest = after;
            if line.is_empty() {
                break;
            }
            if hashes.len() == MAX_HASHES {
                return Err(TlogProofError::TooManyHashes);
            }
            hashes.push(hash(line).ok_or(TlogProofError::Hash(hashes.len().saturating_add(1)))?);
        }
        if rest.is_empty() {
            return Err(TlogProofError::Checkpoint);
        }
        Ok(Self { extra, index, hashes, checkpoint: rest.to_owned() })
    }
}

/// The proof as it is written.
impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", Base64::encode_string(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{}", Base64::encode_string(hash)))?;
        write!(f, "\n{}", self.checkpoint)
    }
}
