//! The store in memory against a model that forgets nothing.

use std::collections::HashMap;
use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use proof_messenger_relay::replay::{Claim, MemoryStore, Outcome, ReplayStore as _, StoreFailure};
use proof_messenger_relay::timestamp::Timestamp;
use proptest::prelude::*;

const REPEAT_SECONDS: i64 = 5;

/// One request's claims, so many seconds after the request before.
#[derive(Debug, Clone)]
struct Step {
    seconds_later: i64,
    claims: Vec<Claim>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Few ids, two of which share a shard, so that they meet again; `keep_until` is relative until the step is run.
    let id = prop::sample::select(vec![[0; 16], [1; 16], [2; 16], [3; 16], {
        let mut id = [0; 16];
        id[15] = 1;
        id
    }]);
    let attempt = prop::option::of((0..3_u8).prop_map(|attempt| [attempt; 8]));
    let claims = prop::collection::btree_map(id, (attempt, 0..40_i64), 1..4).prop_map(|claims| {
        claims.into_iter().map(|(id, (attempt, keep_until))| Claim { id, attempt, keep_until }).collect()
    });
    let step = (prop_oneof![4 => 0..3_i64, 1 => 3..30_i64], claims)
        .prop_map(|(seconds_later, claims)| Step { seconds_later, claims });
    prop::collection::vec(step, 1..60)
}

/// The store's futures are ready at once.
fn claim(store: &MemoryStore, claims: &[Claim], now: i64) -> Result<Outcome, StoreFailure> {
    let now = Timestamp::from_unix_seconds(now.try_into().unwrap());
    let future = pin!(store.claim(claims, now, REPEAT_SECONDS));
    match { future }.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("memory does not wait"),
    }
}

/// What was claimed, and when.
struct Model {
    claims: HashMap<[u8; 16], (Claim, i64)>,
    capacity: usize,
}

impl Model {
    fn live(&self, now: i64) -> usize {
        self.claims.values().filter(|(claim, _)| claim.keep_until >= now).count()
    }

    fn claim(&mut self, claims: &[Claim], now: i64) -> Option<Outcome> {
        let mut fresh = Vec::new();
        for claim in claims {
            match self.claims.get(&claim.id).filter(|(known, _)| known.keep_until >= now) {
                None => fresh.push(*claim),
                Some((known, claimed_at))
                    if claim.attempt.is_some()
                        && known.attempt == claim.attempt
                        && now - claimed_at <= REPEAT_SECONDS => {}
                Some(_) => return Some(Outcome::Replayed),
            }
        }
        if self.live(now) + fresh.len() > self.capacity {
            return None;
        }
        self.claims.extend(fresh.into_iter().map(|claim| (claim.id, (claim, now))));
        Some(Outcome::Claimed)
    }
}

proptest! {
    #[test]
    fn the_store_forgets_nothing_that_could_be_replayed(steps in steps(), capacity in 1..7_usize) {
        let store = MemoryStore::new(capacity);
        let mut model = Model { claims: HashMap::new(), capacity };
        let mut now = 1_700_000_000;
        for step in steps {
            now += step.seconds_later;
            let claims: Vec<Claim> =
                step.claims.iter().map(|claim| Claim { keep_until: now + claim.keep_until, ..*claim }).collect();
            let expected = model.claim(&claims, now);
            match claim(&store, &claims, now) {
                Ok(outcome) => prop_assert_eq!(Some(outcome), expected),
                Err(StoreFailure::Full(_)) => prop_assert_eq!(None, expected),
            }
            prop_assert!(store.len() <= capacity);
            prop_assert!(store.len() >= model.live(now));
        }
        // Nothing was counted twice or lost: as soon as everything ran out, there is room for exactly the capacity.
        now += 100;
        for number in 0..=capacity {
            let mut id = [7; 16];
            id[1] = u8::try_from(number).unwrap();
            let outcome = claim(&store, &[Claim { id, attempt: None, keep_until: now }], now);
            prop_assert_eq!(outcome.is_ok(), number < capacity);
        }
        prop_assert_eq!(store.len(), capacity);
    }
}
