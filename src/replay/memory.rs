//! Claims in the memory of one process: exact and bounded, gone with the process.

use std::collections::HashMap;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Claim, Outcome, ReplayStore, StoreFailure};
use crate::timestamp::Timestamp;

/// So many parts, each with its own lock, so that checks rarely wait for each other and a sweep never takes long.
const SHARDS: usize = 256;
/// Seconds between two sweeps of one shard.
const SWEEP_SECONDS: i64 = 8;

/// A bounded store that never forgets a claim that could still be replayed. When it is full, it says so.
pub struct MemoryStore {
    shards: Vec<Mutex<Shard>>,
    entries: AtomicUsize,
    capacity: usize,
    swept_all_at: AtomicI64,
}

#[derive(Default)]
struct Shard {
    claims: HashMap<[u8; 16], Entry>,
    swept_at: i64,
}

/// Kept small: an entry with its key takes 40 bytes.
struct Entry {
    keep_until: i64,
    claimed_at: u32,
    attempt: Option<[u8; 8]>,
}

impl MemoryStore {
    /// A store of at most so many claims.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            entries: AtomicUsize::new(0),
            capacity,
            swept_all_at: AtomicI64::new(0),
        }
    }

    /// How many claims it holds, among them those that ran out since the last sweep.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn claim_now(&self, claims: &[Claim], now: i64, repeat_seconds: i64) -> Result<Outcome, StoreFailure> {
        match self.try_claim(claims, now, repeat_seconds) {
            Err(StoreFailure::Full(_)) if self.sweep_all(now) => self.try_claim(claims, now, repeat_seconds),
            result => result,
        }
    }

    fn try_claim(&self, claims: &[Claim], now: i64, repeat_seconds: i64) -> Result<Outcome, StoreFailure> {
        // Locks are taken in one order, each once, so that two requests with the same proofs cannot wait for each other.
        let mut order: Vec<usize> = claims.iter().map(shard_of).collect();
        order.sort_unstable();
        order.dedup();
        let mut shards: Vec<(usize, MutexGuard<'_, Shard>)> = order
            .into_iter()
            .filter_map(|at| {
                self.shards.get(at).map(|shard| (at, shard.lock().unwrap_or_else(PoisonError::into_inner)))
            })
            .collect();
        for (_, shard) in &mut shards {
            if now.saturating_sub(shard.swept_at) >= SWEEP_SECONDS {
                self.sweep(shard, now);
            }
        }
        let mut fresh = Vec::with_capacity(claims.len());
        for claim in claims {
            let known = shards
                .iter()
                .find(|(at, _)| *at == shard_of(claim))
                .and_then(|(_, shard)| shard.claims.get(&claim.id))
                .filter(|entry| entry.keep_until >= now);
            match known {
                None => fresh.push(claim),
                Some(entry) if entry.is_repeat(claim, now, repeat_seconds) => {}
                Some(_) => return Ok(Outcome::Replayed),
            }
        }
        // Reserved before it is used: two requests at once cannot both take the last place.
        let before = self.entries.fetch_add(fresh.len(), Ordering::Relaxed);
        if before + fresh.len() > self.capacity {
            self.entries.fetch_sub(fresh.len(), Ordering::Relaxed);
            return Err(StoreFailure::Full(before));
        }
        for claim in fresh {
            let entry = Entry {
                keep_until: claim.keep_until,
                claimed_at: u32::try_from(now).unwrap_or(u32::MAX),
                attempt: claim.attempt,
            };
            if let Some((_, shard)) = shards.iter_mut().find(|(at, _)| *at == shard_of(claim))
                && shard.claims.insert(claim.id, entry).is_some()
            {
                // It replaced one that had run out and was not swept yet.
                self.entries.fetch_sub(1, Ordering::Relaxed);
            }
        }
        Ok(Outcome::Claimed)
    }

    /// Sweeps every shard, once a second: a full store must not spend its time looking for room that is not there.
    fn sweep_all(&self, now: i64) -> bool {
        if self.swept_all_at.swap(now, Ordering::Relaxed) == now {
            return false;
        }
        for shard in &self.shards {
            self.sweep(&mut shard.lock().unwrap_or_else(PoisonError::into_inner), now);
        }
        true
    }

    /// Forgets what can no longer be replayed.
    fn sweep(&self, shard: &mut Shard, now: i64) {
        shard.swept_at = now;
        let before = shard.claims.len();
        shard.claims.retain(|_, entry| entry.keep_until >= now);
        self.entries.fetch_sub(before - shard.claims.len(), Ordering::Relaxed);
    }
}

impl Entry {
    fn is_repeat(&self, claim: &Claim, now: i64, repeat_seconds: i64) -> bool {
        self.attempt.is_some()
            && self.attempt == claim.attempt
            && now.saturating_sub(i64::from(self.claimed_at)) <= repeat_seconds
    }
}

impl ReplayStore for MemoryStore {
    fn claim<'a>(
        &'a self,
        claims: &'a [Claim],
        now: Timestamp,
        repeat_seconds: i64,
    ) -> Pin<Box<dyn Future<Output = Result<Outcome, StoreFailure>> + Send + 'a>> {
        Box::pin(ready(self.claim_now(claims, now.unix_seconds(), repeat_seconds)))
    }

    fn fill(&self, now: Timestamp) -> (usize, usize) {
        if self.len() >= self.capacity {
            self.sweep_all(now.unix_seconds());
        }
        (self.len(), self.capacity)
    }
}

fn shard_of(claim: &Claim) -> usize {
    // The id is a hash, so any of its bytes spreads evenly.
    let [first, ..] = claim.id;
    usize::from(first) % SHARDS
}
