//! What a third party needs to check a decision again, years later, without trusting anybody here.
//!
//! `docs/evidence.md` has the format. Records are leaves of a Merkle tree (RFC 6962); signed checkpoints (C2SP
//! tlog-checkpoint) seal it.

pub mod check;
pub mod checkpoint;
pub mod line;
pub mod merkle;
pub mod note;
pub mod record;
pub mod sealed;
pub mod stream;
pub mod tlog_proof;
