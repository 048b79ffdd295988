//! How often policies that only observe would have denied: whoever rolls one out watches these numbers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::denial::Code;

/// Counts of this process, by policy and code.
#[derive(Debug, Default)]
pub struct Observed {
    counts: Mutex<BTreeMap<(Arc<str>, Code), u64>>,
}

impl Observed {
    /// Counts one, and returns how many there are now.
    pub fn count(&self, policy: &Arc<str>, code: Code) -> u64 {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry((Arc::clone(policy), code)).or_default();
        *count += 1;
        *count
    }

    /// Every count so far.
    #[must_use]
    pub fn counts(&self) -> Vec<(Arc<str>, Code, u64)> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|((policy, code), count)| (Arc::clone(policy), *code, *count)).collect()
    }
}
