//! Whether requests should come here.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::keys::remote::Remote;
use crate::metrics::Reloaded;
use crate::policy::Evidence;
use crate::relay::Relay;

/// What the answer depends on. It is looked at when somebody asks, so that it is never out of date.
pub(super) struct Readiness {
    relay: Arc<Relay>,
    remotes: Vec<Arc<Remote>>,
    draining: AtomicBool,
}

/// One thing that it depends on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Condition {
    what: String,
    /// Whether it stands in the way.
    is_met: bool,
    text: String,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, is_met, text } = self;
        write!(f, "{what} {}: {text}", if *is_met { "ok" } else { "failing" })
    }
}

impl Readiness {
    pub(super) fn new(relay: Arc<Relay>, remotes: Vec<Arc<Remote>>) -> Self {
        Self { relay, remotes, draining: AtomicBool::new(false) }
    }

    /// From now on it is not ready.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_ready(&self) -> bool {
        self.conditions().iter().all(|condition| condition.is_met)
    }

    /// All of it, in an order that stays.
    pub(super) fn conditions(&self) -> Vec<Condition> {
        let rules = self.relay.rules();
        let mut conditions = Vec::new();
        let mut add = |what: String, is_met, text| conditions.push(Condition { what, is_met, text });
        // The last good version decides, so a bad one stands in nobody's way.
        let loaded = |what, count: usize| match self.relay.metrics.last_reload(what) {
            (true, _) => count.to_string(),
            (false, _) => {
                format!("{count}, of the last good version: the log says what is wrong with the new one")
            }
        };
        add("policies".into(), true, loaded(Reloaded::Policies, rules.policies.len()));
        add("keys".into(), true, loaded(Reloaded::Keys, rules.keys.len()));
        for remote in &self.remotes {
            let (is_there, text) = match remote.published() {
                Some(published) => (true, published.keys.len().to_string()),
                None => (false, "not fetched, or not confirmed for too long".into()),
            };
            add(format!("keys at {}", remote.settings.url), is_there, text);
        }
        let (entries, capacity) = self.relay.guard.fill(self.relay.clock.now());
        add("replay".into(), entries < capacity, format!("{entries} of {capacity}"));
        if let Some(evidence) = &self.relay.evidence {
            let required = rules.policies.iter().any(|policy| policy.evidence == Evidence::Required);
            let counts = evidence.counts();
            let text = match (counts.failing, required) {
                (false, _) => format!("{} records", counts.size),
                (true, true) => "it cannot be written: the log says why".into(),
                (true, false) => "it cannot be written, and no policy needs it: the log says why".into(),
            };
            add("evidence".into(), !counts.failing || !required, text);
        }
        if self.draining.load(Ordering::Relaxed) {
            add("drain".into(), false, "the relay is about to stop".into());
        }
        conditions
    }
}
