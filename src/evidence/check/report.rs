//! What came of a check.

use serde::Serialize;

use super::Settings;
use super::finding::{Finding, Findings, Span, What};
use super::log::Log;
use super::proofs::Proofs;
use crate::evidence::record::{Outcome, Record};

/// What came of a check.
#[derive(Debug, Serialize)]
pub struct Report {
    pub logs: Vec<LogReport>,
    #[serde(flatten)]
    pub counts: Counts,
    /// Anything here, and the log is not what it was.
    pub findings: Vec<Finding>,
    /// How many findings more there were than are kept.
    pub more_findings: u64,
    pub remarks: Vec<Finding>,
}

/// A log.
#[derive(Debug, Serialize)]
pub struct LogReport {
    pub origin: String,
    /// The name of its key, where one is known.
    pub key: Option<String>,
    pub records: u64,
    /// Where it begins.
    pub first: u64,
    /// How many records the newest checkpoint covers.
    pub sealed: u64,
    pub checkpoints: u64,
    /// The newest checkpoint of each witness.
    pub cosigned: Vec<Cosigned>,
}

/// What a witness saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cosigned {
    pub witness: String,
    /// How many records the checkpoint covers.
    pub size: u64,
    /// When, in seconds since 1970, where the signature says it.
    pub timestamp: Option<u64>,
}

/// How many there were of what.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counts {
    pub records: u64,
    pub allowed: u64,
    pub denied: u64,
    pub observed: u64,
    pub starts: u64,
    /// Decisions without a record.
    pub lost: u64,
    /// When the first and the last record were made.
    pub since: Option<String>,
    pub until: Option<String>,
    pub proofs: Proofs,
}

impl Counts {
    pub(super) fn add(&mut self, record: &Record<'_>) {
        let count = |counter: &mut u64, more: u64| *counter = counter.saturating_add(more);
        count(&mut self.records, 1);
        let time = match record {
            Record::Decision(decision) => {
                match decision.decision {
                    Outcome::Allow => count(&mut self.allowed, 1),
                    Outcome::Deny => count(&mut self.denied, 1),
                    Outcome::Observe => count(&mut self.observed, 1),
                }
                &decision.time
            }
            Record::Start(start) => {
                count(&mut self.starts, 1);
                &start.time
            }
            Record::Lost(lost) => {
                count(&mut self.lost, lost.allowed.saturating_add(lost.denied));
                &lost.time
            }
        };
        // All times are written alike, so that their texts are in the order of time.
        if self.since.as_deref().is_none_or(|since| time.as_ref() < since) {
            self.since = Some(time.clone().into_owned());
        }
        if self.until.as_deref().is_none_or(|until| until < time.as_ref()) {
            self.until = Some(time.clone().into_owned());
        }
    }
}

pub(super) fn report(logs: Vec<Log>, settings: &Settings, counts: Counts, mut findings: Findings) -> Report {
    if logs.is_empty() {
        let text = "there is no record and no checkpoint";
        findings.push(What::Unsealed, None, None, Vec::new(), text);
    }
    let mut reports = Vec::new();
    for log in logs {
        trusted(&log, settings, &mut findings);
        reports.push(LogReport {
            origin: log.origin,
            key: log.key,
            records: log.records,
            first: log.begins,
            sealed: log.sealed,
            checkpoints: log.checkpoints,
            cosigned: log.cosigned.into_values().collect(),
        });
    }
    let (findings, remarks, more_findings) = findings.finish();
    Report { logs: reports, counts, findings, more_findings, remarks }
}

/// Whether somebody stands for a log: its key, and whichever witnesses were asked about.
fn trusted(log: &Log, settings: &Settings, findings: &mut Findings) {
    let origin = Some(log.origin.as_str());
    let place = || vec![log.first_place.clone()];
    if log.key.is_none() {
        let text = format!("records of the log {:?}, of which no key is known", log.origin);
        findings.push(What::UnknownLog, origin, None, place(), text);
    } else if log.checkpoints > 0 || log.sealed > 0 {
        for (position, witness) in settings.witnesses.iter().enumerate() {
            if !log.cosigned.contains_key(&position) {
                let text = format!("{} cosigned no checkpoint of the log {:?}", witness.name(), log.origin);
                findings.push(What::NotCosigned, origin, None, Vec::new(), text);
            }
        }
    } else if !log.is_cut_off {
        let text =
            format!("no checkpoint of the log {:?}: nothing says that its key had to do with it", log.origin);
        findings.push(What::Unsealed, origin, None, place(), text);
    }
}

impl LogReport {
    /// The records that a checkpoint covers, if any.
    #[must_use]
    pub fn covered(&self) -> Option<Span> {
        (self.sealed > self.first).then(|| Span::until(self.first, self.sealed))
    }
}
