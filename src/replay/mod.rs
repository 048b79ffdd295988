//! Was the proof used before? A claim on it is made once, by whoever comes first.

mod memories;
mod memory;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

use memories::Memories;
pub use memory::MemoryStore;

use crate::crypto::sha256;
use crate::denial::{Code, Denial};
use crate::policy::{Permitted, SpentProof};
use crate::timestamp::Timestamp;
use crate::verify::Acceptance;

/// Envoy may ask twice about one request within so many seconds, and both count as once.
const REPEAT_SECONDS: i64 = 5;

/// By so much a clock may be set back before a forgotten proof would look fresh again.
const SET_BACK_SECONDS: i64 = 60;

/// What a store remembers of one proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Enforcement point, key id, and nonce or signature base: 128 bits of their hash.
    pub id: [u8; 16],
    /// The base and the proxy's own id of the request, where it gave one: equal for one request checked twice.
    pub attempt: Option<[u8; 8]>,
    /// The last second at which the proof would be accepted. Until then the claim must not be forgotten.
    pub keep_until: i64,
}

/// What came of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nobody had used the proofs; now they are used.
    Claimed,
    /// One of them was used before; none is claimed.
    Replayed,
}

/// The store cannot say, so nothing may pass.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreFailure {
    #[error("the replay store holds {0} proofs that could still be replayed, and takes no more")]
    Full(usize),
}

/// A store of claims. Another replica may share it.
pub trait ReplayStore: Send + Sync {
    /// Claims all of a request's proofs at once, or none.
    ///
    /// A claim that was made before is no replay when it has the same attempt and was made within the last
    /// `repeat_seconds`.
    fn claim<'a>(
        &'a self,
        claims: &'a [Claim],
        now: Timestamp,
        repeat_seconds: i64,
    ) -> Pin<Box<dyn Future<Output = Result<Outcome, StoreFailure>> + Send + 'a>>;

    /// How many claims it holds, and how many it can hold. One that is full looks first for what it may forget by now: whoever
    /// balances the load may send no claim that would have it look.
    fn fill(&self, now: Timestamp) -> (usize, usize);
}

/// A permitted request whose proofs were never used before, and now are.
///
/// Only [`Guard::claim`] makes one.
#[derive(Debug)]
pub struct Unused {
    permitted: Permitted,
}

impl Unused {
    #[must_use]
    pub fn permitted(&self) -> &Permitted {
        &self.permitted
    }

    /// Whether the proofs are still fresh: a store may have taken its time.
    ///
    /// # Errors
    /// `proof-too-old`.
    pub fn at(self, now: Timestamp) -> Result<Self, Denial> {
        if self.permitted.usable_until() < now.unix_seconds() {
            return Err(Denial::new(Code::ProofTooOld, "the proof ran out while it was being checked"));
        }
        Ok(self)
    }
}

/// Asks the store, under the name of one enforcement point.
pub struct Guard {
    enforcement_point: Box<str>,
    memories: RwLock<Memories>,
    store: Arc<dyn ReplayStore>,
}

impl Guard {
    /// A guard for the enforcement point of that name: a gateway and a sidecar may both check one request.
    ///
    /// `acceptance` is that of the most patient policy. A proof is remembered for that long whichever policy let it
    /// through, since it might be sent again to the other.
    pub fn new(
        enforcement_point: impl Into<Box<str>>,
        store: Arc<dyn ReplayStore>,
        acceptance: Acceptance,
    ) -> Self {
        let memories = RwLock::new(Memories::new(acceptance));
        Self { enforcement_point: enforcement_point.into(), memories, store }
    }

    /// From now on policies accept proofs for so long. What was used before is remembered no longer than it was going to
    /// be, so proofs from before are not accepted for longer either.
    pub fn remember(&self, acceptance: Acceptance, now: Timestamp) {
        self.memories.write().unwrap_or_else(PoisonError::into_inner).extend(acceptance, now.unix_seconds());
    }

    /// How many proofs are remembered, and how many can be.
    #[must_use]
    pub fn fill(&self, now: Timestamp) -> (usize, usize) {
        self.store.fill(now)
    }

    /// Claims every proof of a permitted request. A request that is denied before this may be sent again.
    ///
    /// # Errors
    /// `replayed`; `proof-too-old` where the proof may have been used and forgotten; and `replay-store-unavailable` when the store cannot say: then nothing passes, and Envoy is told of
    /// an error.
    pub async fn claim(
        &self,
        permitted: Permitted,
        stream_id: &str,
        now: Timestamp,
    ) -> Result<Unused, Denial> {
        let mut claims: Vec<Claim> = Vec::with_capacity(permitted.proofs().len());
        for proof in permitted.proofs() {
            let claim = self.claim_of(proof, stream_id, now)?;
            // One signature under two labels is one use.
            if !claims.iter().any(|known| known.id == claim.id) {
                claims.push(claim);
            }
        }
        match self.store.claim(&claims, now, REPEAT_SECONDS).await {
            Ok(Outcome::Claimed) => Ok(Unused { permitted }),
            Ok(Outcome::Replayed) => {
                Err(Denial::new(Code::Replayed, "this proof was used before: sign the request again"))
            }
            Err(failure) => Err(Denial::new(Code::ReplayStoreUnavailable, "try again later")
                .with_particulars(failure.to_string())),
        }
    }

    fn claim_of(&self, proof: &SpentProof, stream_id: &str, now: Timestamp) -> Result<Claim, Denial> {
        let memories = self.memories.read().unwrap_or_else(PoisonError::into_inner);
        if !memories.reach(proof.created, now.unix_seconds()) {
            return Err(Denial::new(Code::ProofTooOld, "the proof is too old: sign the request again")
                .with_particulars("it may have been used before max_age was raised, and forgotten"));
        }
        let (kind, value) = match &proof.nonce {
            Some(nonce) => (b"nonce".as_slice(), nonce.as_bytes()),
            None => (b"base".as_slice(), proof.base_hash.as_slice()),
        };
        let id = hash(&[self.enforcement_point.as_bytes(), proof.key.id.as_bytes(), kind, value]);
        let attempt = (!stream_id.is_empty()).then(|| hash(&[&proof.base_hash, stream_id.as_bytes()]));
        let longest = proof.created.saturating_add(memories.longest());
        let replayable_until = proof.expires.map_or(longest, |expires| longest.min(expires));
        Ok(Claim { id, attempt, keep_until: replayable_until.saturating_add(SET_BACK_SECONDS) })
    }
}

/// The first bytes of a hash over the parts. Each is preceded by its length, so that no two lists look alike.
fn hash<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut input = Vec::with_capacity(128);
    for part in parts {
        input.extend_from_slice(&(part.len() as u64).to_be_bytes());
        input.extend_from_slice(part);
    }
    let mut first = [0; N];
    for (to, from) in first.iter_mut().zip(sha256(&input)) {
        *to = from;
    }
    first
}
