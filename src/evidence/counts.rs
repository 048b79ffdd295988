//! What a log has done so far, for whoever watches it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Counted where it happens, read by others.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub written: AtomicU64,
    pub failures: AtomicU64,
    pub lost_allowed: AtomicU64,
    pub lost_denied: AtomicU64,
    pub sealed_at: AtomicU64,
    pub size: AtomicU64,
    pub failing: AtomicBool,
}

/// A reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Records that wait to be written.
    pub waiting: usize,
    /// Records that this process wrote.
    pub written: u64,
    /// Times that lines could not be written, or not in time.
    pub failures: u64,
    /// Allowed without a record.
    pub lost_allowed: u64,
    /// Denied without a record.
    pub lost_denied: u64,
    /// When the last checkpoint was written, in seconds since 1970.
    pub sealed_at: u64,
    /// Records in the log.
    pub size: u64,
    /// Whether the last lines could not be written, or not in time.
    pub failing: bool,
}

impl Counters {
    /// Lines could not be written, or not in time. Returns whether that was known.
    pub(super) fn failed(&self) -> bool {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.failing.swap(true, Ordering::Relaxed)
    }

    /// Lines were written. Returns whether that is news.
    pub(super) fn succeeded(&self) -> bool {
        self.is_failing() && self.failing.swap(false, Ordering::Relaxed)
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    pub(super) fn read(&self, waiting: usize) -> Counts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            waiting,
            written: of(&self.written),
            failures: of(&self.failures),
            lost_allowed: of(&self.lost_allowed),
            lost_denied: of(&self.lost_denied),
            sealed_at: of(&self.sealed_at),
            size: of(&self.size),
            failing: self.is_failing(),
        }
    }
}
