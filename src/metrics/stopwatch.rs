//! How long the stages of a check take.

use std::time::{Duration, Instant};

use super::Metrics;

/// A part of the way of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// From the message to a request.
    Read,
    /// Policies, signatures, digests, approvals, conditions.
    Decide,
    /// The proofs are noted as used.
    Claim,
    /// The decision is recorded.
    Record,
    /// The receipt is signed.
    Receipt,
}

impl Stage {
    /// In the order of a check.
    pub const ALL: [Self; 5] = [Self::Read, Self::Decide, Self::Claim, Self::Record, Self::Receipt];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Decide => "decide",
            Self::Claim => "claim",
            Self::Record => "record",
            Self::Receipt => "receipt",
        }
    }
}

/// Measures one stage after another.
#[derive(Debug)]
pub struct Stopwatch {
    started: Instant,
    last: Instant,
    /// When each stage ended that there was.
    ends: [Option<Instant>; Stage::ALL.len()],
}

impl Stopwatch {
    #[must_use]
    pub fn start() -> Self {
        let started = Instant::now();
        Self { started, last: started, ends: [None; Stage::ALL.len()] }
    }

    /// A stage is over, and the next begins.
    pub fn lap(&mut self, metrics: &Metrics, stage: Stage) {
        let now = Instant::now();
        if let Some(histogram) = metrics.stages.get(stage as usize) {
            histogram.observe(now.duration_since(self.last).as_secs_f64());
        }
        if let Some(end) = self.ends.get_mut(stage as usize) {
            *end = Some(now);
        }
        self.last = now;
    }

    /// When the first stage began.
    #[must_use]
    pub const fn started(&self) -> Instant {
        self.started
    }

    /// The stages that there were: when each began, and when it ended.
    pub fn laps(&self) -> impl Iterator<Item = (Stage, Instant, Instant)> {
        let mut from = self.started;
        Stage::ALL.into_iter().zip(self.ends).filter_map(move |(stage, end)| {
            let end = end?;
            Some((stage, std::mem::replace(&mut from, end), end))
        })
    }

    /// Since the first stage began, until the last one ended.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.last.duration_since(self.started)
    }
}
