//! How many checks may be in flight, and how much they may hold.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a check holds beside its message, roughly.
const OVERHEAD_BYTES: usize = 4 * 1024;
/// Bytes are counted in pieces of this size, since a semaphore counts to 2³² at most.
const PIECE_BYTES: usize = 1024;

/// Places for checks. One that finds none is refused at once: a queue would hold memory, and answer too late.
#[derive(Debug)]
pub struct Admission {
    checks: Arc<Semaphore>,
    pieces: Arc<Semaphore>,
    limit: usize,
}

/// A place. It is free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    _check: OwnedSemaphorePermit,
    _pieces: OwnedSemaphorePermit,
}

impl Admission {
    /// So many checks at once, whose messages have so many bytes together.
    #[must_use]
    pub fn new(checks: usize, bytes: usize) -> Self {
        let most = Semaphore::MAX_PERMITS;
        let limit = checks.min(most);
        Self {
            limit,
            checks: Arc::new(Semaphore::new(limit)),
            pieces: Arc::new(Semaphore::new((bytes / PIECE_BYTES).min(most))),
        }
    }

    /// How many there may be at once.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// How many there are.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.limit.saturating_sub(self.checks.available_permits())
    }

    /// A place for a message of so many bytes, if there is one now.
    #[must_use]
    pub fn admit(&self, bytes: usize) -> Option<Place> {
        let pieces = u32::try_from(bytes.saturating_add(OVERHEAD_BYTES) / PIECE_BYTES).ok()?;
        let check = Arc::clone(&self.checks).try_acquire_owned().ok()?;
        let pieces = Arc::clone(&self.pieces).try_acquire_many_owned(pieces).ok()?;
        Some(Place { _check: check, _pieces: pieces })
    }
}
