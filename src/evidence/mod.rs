//! What a third party needs to check a decision again, years later, without trusting anybody here.
//!
//! `docs/evidence.md` has the format. Records are leaves of a Merkle tree (RFC 6962); signed checkpoints (C2SP
//! tlog-checkpoint) seal it. The parts in the order of a record's way:
//!
//! ```text
//! decided ─▶ recorder ─▶ queue ─▶ writer ─▶ log ─▶ appender     outlet ─▶ file, standard output, witnesses
//! decision    waits      what     all of    tree,   the only     checkpoints
//! to record              waits    it        lines   fsync
//! ```
//!
//! What others wrote is read by [`stream`] and judged by [`check`].

pub mod appender;
pub mod check;
pub mod checkpoint;
mod counts;
pub mod decided;
pub mod file;
pub mod line;
pub mod log;
pub mod merkle;
pub mod note;
pub mod outlet;
mod queue;
pub mod record;
pub mod recorder;
pub mod redaction;
pub mod sealed;
pub mod stream;
pub mod tlog_proof;
pub mod witness;
mod writer;

pub use counts::Counts;
pub use queue::Unavailable;
pub use writer::{Durability, Pace};
