//! The threads that ask witnesses, beside the one that writes the log.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::client::Witness;
use super::exchange::{Cosigned, WitnessError};
use super::progress::{Progress, Submission};
use crate::evidence::merkle::{CompactRange, Hash};
use crate::evidence::note::Note;

/// How long to wait after a failure. The time doubles with each one after it, up to [`MAX_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(1);
const MAX_WAIT: Duration = Duration::from_secs(5 * 60);

/// What came of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The name of the witness's key.
    pub witness: String,
    /// How many leaves the submitted tree has.
    pub size: u64,
    pub result: Result<Cosigned, WitnessError>,
}

/// Proves, from the log itself, that its tree of the second size begins with that of the first.
type Prove = dyn Fn(u64, u64) -> io::Result<Vec<Hash>> + Send + Sync;

type Tell = dyn Fn(Report) + Send + Sync;

/// Witnesses that are asked while the log goes on, each on a thread of its own, so that none waits for another.
///
/// Each is asked about the newest checkpoint only, and again until it cosigns that or a newer one: after a failure, later
/// and later. When this value is dropped, a checkpoint that a witness was not asked about yet is still submitted once, and
/// the threads are waited for: as long as a few requests may take.
pub struct Witnesses {
    /// The leaves since the last checkpoint.
    since: CompactRange,
    asked: Vec<(Arc<Slot>, Option<JoinHandle<()>>)>,
}

impl Witnesses {
    /// Starts to ask about a log that has `size` leaves.
    ///
    /// A witness that stands at another size than is known here is offered the proof that `prove` makes, from a smaller
    /// size to a larger one. `tell` is told what comes of each submission. Both are called on threads of their own.
    ///
    /// # Errors
    /// When the system starts no more threads.
    pub fn start(
        size: u64,
        witnesses: Vec<Witness>,
        prove: impl Fn(u64, u64) -> io::Result<Vec<Hash>> + Send + Sync + 'static,
        tell: impl Fn(Report) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let (prove, tell): (Arc<Prove>, Arc<Tell>) = (Arc::new(prove), Arc::new(tell));
        let mut started = Self { since: CompactRange::starting_at(size), asked: Vec::new() };
        for witness in witnesses {
            let slot = Arc::new(Slot::default());
            let (waiting, prove, tell) = (Arc::clone(&slot), Arc::clone(&prove), Arc::clone(&tell));
            let thread = std::thread::Builder::new().name("witness".to_owned());
            let thread = thread.spawn(move || ask(&witness, &waiting, &*prove, &*tell))?;
            started.asked.push((slot, Some(thread)));
        }
        Ok(started)
    }

    /// Takes a leaf of the log: each of them, in order.
    pub fn push(&mut self, leaf: Hash) {
        self.since.push(leaf);
    }

    /// Asks about a checkpoint of the tree that all leaves make up. It does not wait, neither for the network nor for an
    /// older checkpoint: the new one takes its place.
    pub fn submit(&mut self, checkpoint: Note, tree: CompactRange) {
        let since = std::mem::replace(&mut self.since, CompactRange::starting_at(tree.end()));
        let submission = Submission { checkpoint, tree, since };
        for (slot, _) in &self.asked {
            slot.put(submission.clone());
        }
    }
}

impl Drop for Witnesses {
    fn drop(&mut self) {
        self.asked.iter().for_each(|(slot, _)| slot.close());
        for thread in self.asked.iter_mut().filter_map(|(_, thread)| thread.take()) {
            // A thread that panicked has nothing more to do.
            let _ = thread.join();
        }
    }
}

/// Asks one witness, until the slot is closed.
fn ask(witness: &Witness, slot: &Slot, prove: &Prove, tell: &Tell) {
    let (mut progress, mut newest, mut wait) = (Progress::unknown(), None, None);
    while let Some(newer) = slot.take(wait) {
        if let Some(newer) = newer {
            progress.advance(&newer);
            newest = Some(newer);
        }
        let Some(submission) = &newest else { continue };
        let result = witness.submit(submission, &progress, prove);
        wait = if result.is_ok() {
            progress.cosigned(submission);
            None
        } else {
            Some(wait.map_or(FIRST_WAIT, |wait: Duration| wait.saturating_mul(2).min(MAX_WAIT)))
        };
        tell(Report { witness: witness.key().name().to_owned(), size: submission.size(), result });
    }
}

/// Where the newest checkpoint waits.
#[derive(Default)]
struct Slot {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    newest: Option<Submission>,
    closed: bool,
}

impl Slot {
    fn put(&self, submission: Submission) {
        let mut state = self.lock();
        state.newest = Some(match state.newest.take() {
            Some(older) => submission.instead_of(older),
            None => submission,
        });
        self.changed.notify_all();
    }

    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Waits for a checkpoint, or, after a failure, for a time: then there may be no newer one, and it is time to ask about
    /// the same one again. Nothing where the slot is closed and empty.
    fn take(&self, after: Option<Duration>) -> Option<Option<Submission>> {
        let until = after.and_then(|after| Instant::now().checked_add(after));
        let mut state = self.lock();
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if state.closed {
                return state.newest.take().map(Some);
            }
            state = match left {
                Some(left) if left.is_zero() => return Some(state.newest.take()),
                Some(left) => {
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None if state.newest.is_some() => return Some(state.newest.take()),
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
