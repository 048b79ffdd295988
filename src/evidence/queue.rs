//! Between the checks, which wait for their records, and whoever writes them.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::decided::Losses;
use super::merkle::Hash;
use super::note::Note;

/// Records that wait to be written take so many bytes at most. It is what a slow disk costs in memory.
const CAPACITY: usize = 8 * 1024 * 1024;

/// Where the disk is waited for, so long it is waited for company first, and for so much of it: a wait for the disk costs
/// as much for one record as for many.
const GATHERING: Duration = Duration::from_micros(500);
const COMPANY: usize = 8;

/// Why a decision has no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    #[error("the log cannot be written: an earlier line says why")]
    Failed,
    #[error("too many records wait to be written")]
    Full,
    #[error("the record was not written in time")]
    Slow,
    #[error("the log is closed")]
    Closed,
}

/// A record that waits to be written.
pub(super) struct Entry {
    /// Its canonical form.
    pub evidence: Vec<u8>,
    pub hash: Hash,
    /// Told what came of it.
    pub done: oneshot::Sender<Result<(), Unavailable>>,
}

/// What there is to write.
#[derive(Default)]
pub(super) struct Work {
    pub entries: Vec<Entry>,
    /// What was answered without a record since the last time.
    pub losses: Option<Losses>,
    /// Checkpoints that came back from witnesses.
    pub cosigned: Vec<Note>,
    /// A checkpoint is due.
    pub due: bool,
    /// Nothing comes after this.
    pub last: bool,
}

impl Work {
    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.cosigned.is_empty() && !self.due && !self.last
    }
}

/// The queue.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    work: Work,
    bytes: usize,
}

impl Queue {
    /// Adds a record.
    pub(super) fn push(&self, entry: Entry) -> Result<(), Unavailable> {
        let mut waiting = self.lock();
        if waiting.work.last {
            return Err(Unavailable::Closed);
        }
        let bytes = waiting.bytes.saturating_add(entry.evidence.len());
        if bytes > CAPACITY {
            return Err(Unavailable::Full);
        }
        waiting.bytes = bytes;
        waiting.work.entries.push(entry);
        Ok(())
    }

    /// Wakes the thread, for what waits.
    pub(super) fn wake(&self) {
        // Under the lock: between its look at the queue and its sleep the thread would not hear it.
        let _waiting = self.lock();
        self.changed.notify_one();
    }

    /// Asks the thread for a checkpoint.
    pub(super) fn is_due(&self) {
        self.lock().work.due = true;
        self.changed.notify_one();
    }

    /// How many records wait.
    pub(super) fn waiting(&self) -> usize {
        self.lock().work.entries.len()
    }

    /// What there is to write now.
    pub(super) fn take_now(&self) -> Work {
        Self::taken(&mut self.lock())
    }

    /// Adds what was answered without a record. It is written with the next one.
    pub(super) fn lose(&self, losses: Losses) {
        let known = &mut self.lock().work.losses;
        *known = Some(match known.take() {
            Some(known) => known.and(losses),
            None => losses,
        });
    }

    /// Adds a checkpoint that came back from a witness.
    pub(super) fn cosigned(&self, note: Note) {
        self.lock().work.cosigned.push(note);
        self.changed.notify_one();
    }

    /// Takes no more records. Those that wait are written.
    pub(super) fn close(&self) {
        self.lock().work.last = true;
        self.changed.notify_one();
    }

    /// Waits for something to write, or until then; a little longer for more of it, if that is asked for.
    pub(super) fn take(&self, until: Instant, gather: bool) -> Work {
        let mut waiting = self.lock();
        while waiting.work.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            (waiting, _) = self.changed.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner);
        }
        let alone = (1..COMPANY).contains(&waiting.work.entries.len()) && !waiting.work.last;
        if gather && alone {
            drop(waiting);
            std::thread::sleep(GATHERING);
            waiting = self.lock();
        }
        Self::taken(&mut waiting)
    }

    fn taken(waiting: &mut Waiting) -> Work {
        waiting.bytes = 0;
        let last = waiting.work.last;
        let work = std::mem::take(&mut waiting.work);
        waiting.work.last = last;
        work
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
