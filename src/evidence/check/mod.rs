//! Checks logs: which records are those that were sealed, and what became of the others.
//!
//! Values go in as they are read, and what is needed of them is kept only up to the next checkpoint.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod base;
mod finding;
mod log;
mod order;
mod proofs;
mod report;
mod unit;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

pub use base::signature_params;
pub use finding::{Finding, Place, Span, What};
pub use proofs::{ProofChecker, Proofs, public_key};
pub use report::{Cosigned, LogReport, Report};

use self::finding::Findings;
use self::log::{Log, Seal};
use self::report::Counts;
use self::unit::Entry;
use super::checkpoint::Checkpoint;
use super::line::{CheckpointLine, Line, Range, RecordLine, checkpoint_line, record_line};
use super::merkle::CompactRange;
use super::note::{Note, VerifierKey};
use super::record::Record;
use super::sealed::Sealed;
use super::stream::{Piece, Unreadable};

/// What a check goes by.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The keys of the logs.
    pub keys: Vec<VerifierKey>,
    /// Witnesses whose cosignatures every log must have.
    pub witnesses: Vec<VerifierKey>,
    /// Whether lines may have been shuffled.
    pub any_order: bool,
    /// Whether signatures in the records are left unchecked.
    pub without_proofs: bool,
}

/// How many records without a log are remembered.
const MAX_ORPHANS: usize = 4096;

/// A check in progress.
#[derive(Debug, Clone)]
pub struct Checker {
    settings: Settings,
    logs: Vec<Log>,
    /// Where each log stands there.
    by_origin: HashMap<String, usize>,
    /// The log of the last value: the next one is most likely of the same.
    current: usize,
    /// Checkpoints that were kept elsewhere, of logs that did not come up yet.
    kept: HashMap<String, Vec<Seal>>,
    /// Checkpoints that a log may begin with.
    begins: Vec<(Checkpoint, Place)>,
    /// Records before those of any log that do not say to which one they belong: they are most likely of the first.
    orphans: Vec<Entry>,
    findings: Findings,
    counts: Counts,
    proofs: ProofChecker,
    order: u64,
}

impl Checker {
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            logs: Vec::new(),
            by_origin: HashMap::new(),
            current: 0,
            kept: HashMap::new(),
            begins: Vec::new(),
            orphans: Vec::new(),
            findings: Findings::default(),
            counts: Counts::default(),
            proofs: ProofChecker::default(),
            order: 0,
        }
    }

    /// A checkpoint that was kept elsewhere, and that a log may begin with: what stands before it is not here.
    pub fn begin(&mut self, note: &str, place: Place) {
        match self.signed(note) {
            Ok((checkpoint, _)) => self.begins.push((checkpoint, place)),
            Err(why) => self.findings.push(What::Checkpoint, None, None, vec![place], why),
        }
    }

    /// A checkpoint that was kept elsewhere: each log is compared with those of its own. To be told before the records that it
    /// covers.
    pub fn keep(&mut self, note: &str, place: Place) {
        match self.signed(note) {
            Ok((checkpoint, cosigned)) => {
                let seal =
                    Seal { size: checkpoint.size(), root: *checkpoint.root(), range: None, cosigned, place };
                match self.by_origin.get(checkpoint.origin()).and_then(|at| self.logs.get_mut(*at)) {
                    Some(log) => log.keep(seal),
                    None => self.kept.entry(checkpoint.origin().to_owned()).or_default().push(seal),
                }
            }
            Err(why) => self.findings.push(What::Checkpoint, None, None, vec![place], why),
        }
    }

    /// The next piece of a log.
    pub fn take(&mut self, file: &Arc<str>, piece: &Piece<'_>) {
        self.order = self.order.saturating_add(1);
        let place = Place { file: Arc::clone(file), line: piece.line };
        match &piece.read {
            Ok(Line::Record(line)) => {
                let mut written = Vec::new();
                if let (true, Some(hash), Some(index)) = (piece.is_a_line, line.hash, line.index) {
                    record_line(&mut written, line.evidence.as_bytes(), &hash, index);
                }
                self.record(*line, is_as_written(piece, &written), place);
            }
            Ok(Line::Checkpoint(line)) => self.checkpoint(line, piece, place),
            Ok(Line::Foreign) => self.findings.tally(What::Foreign, None, None, place),
            Err(Unreadable::Torn) => self.findings.tally(What::Torn, None, None, place),
            Err(Unreadable::Wrong(why)) => self.unreadable(piece.text, why, place),
        }
    }

    fn record(&mut self, line: RecordLine<'_>, as_written: bool, place: Place) {
        let mut buffer = String::new();
        let sealed = match Sealed::read(line.evidence, &mut buffer) {
            Ok(sealed) => sealed,
            Err(why) => {
                let text = format!("the record cannot be read: {why}");
                let span = line.index.map(Span::of);
                self.findings.push(What::Unreadable, None, span, vec![place.clone()], text);
                return self.entry(line, None, place, true, None);
            }
        };
        let log = Some(sealed.log.as_ref());
        if !(as_written && sealed.as_written) && line.hash.is_some() && line.index.is_some() {
            self.findings.tally(What::Reformatted, log, line.index, place.clone());
        }
        let mut suspect = false;
        match &sealed.record {
            None => self.findings.tally(What::NotUnderstood, log, line.index, place.clone()),
            Some(record) => {
                self.counts.add(record);
                if let (Record::Decision(decision), false) = (record, self.settings.without_proofs) {
                    let before = self.counts.proofs;
                    for problem in self.proofs.check(decision, &mut self.counts.proofs) {
                        suspect = true;
                        let span = line.index.map(Span::of);
                        self.findings.push(What::Proof, log, span, vec![place.clone()], problem);
                    }
                    for (what, times) in [
                        (What::Redacted, before.redacted..self.counts.proofs.redacted),
                        (What::Repeated, before.repeated..self.counts.proofs.repeated),
                    ] {
                        times.for_each(|_| self.findings.tally(what, log, line.index, place.clone()));
                    }
                }
            }
        }
        let hash = sealed.hash();
        self.entry(line, Some(hash), place, suspect, Some(&sealed.log));
    }

    /// A record for the tree of its log. Where it does not say which one that is, it is most likely that of its neighbour.
    fn entry(
        &mut self,
        line: RecordLine<'_>,
        computed: Option<super::merkle::Hash>,
        place: Place,
        suspect: bool,
        log: Option<&str>,
    ) {
        let entry = Entry {
            index: line.index,
            stated: line.hash,
            computed,
            place: place.clone(),
            order: self.order,
            late: false,
            suspect,
        };
        if let Some(origin) = log {
            self.current = self.log(origin, place);
        }
        match self.logs.get_mut(self.current) {
            Some(log) => log.record(entry, &mut self.findings),
            None if self.orphans.len() < MAX_ORPHANS => self.orphans.push(entry),
            None => {}
        }
    }

    /// The position of the log with this origin, which may be new.
    fn log(&mut self, origin: &str, place: Place) -> usize {
        if self.logs.get(self.current).is_some_and(|log| log.origin == origin) {
            return self.current;
        }
        if let Some(known) = self.by_origin.get(origin) {
            return *known;
        }
        let key = keys_of(origin, &self.settings.keys).first().map(|key| key.name().to_owned());
        let mut log = Log::new(origin, key, place, self.settings.any_order);
        for (checkpoint, place) in self.begins.iter().filter(|(checkpoint, _)| checkpoint.origin() == origin)
        {
            log.may_begin(checkpoint.size(), *checkpoint.root(), place.clone());
        }
        self.kept.remove(origin).into_iter().flatten().for_each(|kept| log.keep(kept));
        self.orphans.drain(..).for_each(|orphan| log.record(orphan, &mut self.findings));
        let position = self.logs.len();
        self.logs.push(log);
        self.by_origin.insert(origin.to_owned(), position);
        position
    }

    /// What is no JSON may still say which record it was.
    fn unreadable(&mut self, text: &[u8], why: &str, place: Place) {
        let text = String::from_utf8_lossy(text);
        let saved = RecordLine::salvage(&text);
        let span = saved.and_then(|line| line.index).map(Span::of);
        self.findings.push(What::Unreadable, None, span, vec![place.clone()], why);
        if let Some(line) = saved.filter(|line| line.hash.is_some() || !line.evidence.is_empty()) {
            let mut buffer = String::new();
            let sealed = Sealed::read(line.evidence, &mut buffer).ok();
            let hash = sealed.as_ref().map(Sealed::hash);
            self.entry(line, hash, place, true, sealed.as_ref().map(|sealed| sealed.log.as_ref()));
        }
    }

    fn checkpoint(&mut self, line: &CheckpointLine<'_>, piece: &Piece<'_>, place: Place) {
        let (checkpoint, cosigned) = match self.signed(&line.note) {
            Ok(signed) => signed,
            Err(why) => return self.findings.push(What::Checkpoint, None, None, vec![place], why),
        };
        let origin = Some(checkpoint.origin());
        let mut written = Vec::new();
        let range = match &line.range {
            Range::Present(range) => Some(range.as_slice()),
            Range::Absent | Range::Damaged => None,
        };
        checkpoint_line(&mut written, &line.note, range);
        if !is_as_written(piece, &written) && line.range != Range::Damaged {
            self.findings.tally(What::Reformatted, origin, None, place.clone());
        }
        let restored = range.and_then(|range| CompactRange::restored(0, checkpoint.size(), range.to_vec()));
        let restored = restored.filter(|range| range.root() == *checkpoint.root());
        if restored.is_none() && line.range != Range::Absent {
            let text = "the range beside the checkpoint does not belong to its root";
            self.findings.push(What::Range, origin, None, vec![place.clone()], text);
        }
        self.current = self.log(checkpoint.origin(), place.clone());
        let Some(log) = self.logs.get_mut(self.current) else { return };
        let seal =
            Seal { size: checkpoint.size(), root: *checkpoint.root(), range: restored, cosigned, place };
        log.checkpoint(seal, &mut self.findings);
    }

    /// The checkpoint in a note, if the key of its log signed it, and which witnesses did: each by its position in the settings.
    fn signed(&self, note: &str) -> Result<(Checkpoint, Vec<(usize, Cosigned)>), String> {
        let note = Note::parse(note.as_bytes()).map_err(|error| error.to_string())?;
        let checkpoint: Checkpoint =
            note.text().parse().map_err(|error| format!("no checkpoint: {error}"))?;
        let keys = keys_of(checkpoint.origin(), &self.settings.keys);
        note.verify(&keys).map_err(|error| format!("the checkpoint is not the log's: {error}"))?;
        let mut cosigned = Vec::new();
        for signature in note.signatures() {
            let mut witnesses = self.settings.witnesses.iter().enumerate();
            let Some((position, witness)) = witnesses.find(|(_, witness)| witness.made(signature)) else {
                continue;
            };
            let timestamp = witness
                .verify(note.text(), signature)
                .map_err(|_| format!("the cosignature of {} does not verify", witness.name()))?;
            let witness = witness.name().to_owned();
            cosigned.push((position, Cosigned { witness, size: checkpoint.size(), timestamp }));
        }
        Ok((checkpoint, cosigned))
    }

    /// All of the input is read.
    #[must_use]
    pub fn finish(mut self) -> Report {
        let mut unseen: Vec<(String, Place)> = { self.kept.iter() }
            .filter_map(|(origin, kept)| Some((origin.clone(), kept.first()?.place.clone())))
            .collect();
        unseen.sort();
        for (origin, place) in unseen {
            self.log(&origin, place);
        }
        let Self { mut logs, mut findings, settings, counts, .. } = self;
        logs.iter_mut().for_each(|log| log.end(&mut findings));
        let strays: Vec<Entry> = logs.iter().flat_map(Log::strays).cloned().collect();
        let mut taken = HashSet::new();
        for log in logs.iter_mut().filter(|log| log.has_gaps()) {
            let left: Vec<Entry> =
                strays.iter().filter(|stray| !taken.contains(&stray.order)).cloned().collect();
            taken.extend(log.fill(&left, &mut findings));
        }
        for log in &mut logs {
            log.give_up(&taken);
            log.report_rest(&mut findings);
        }
        report::report(logs, &settings, counts, findings)
    }
}

/// The keys of a log of that origin, which is their name, or their name and what a start of the relay adds to it. Of several
/// names the longest: who holds the key of `bank.example` does not speak for `bank.example/relay`, which has one of its own.
#[must_use]
pub fn keys_of(origin: &str, keys: &[VerifierKey]) -> Vec<VerifierKey> {
    let is_log_of = |name: &str| {
        let rest = origin.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let names = keys.iter().map(VerifierKey::name).filter(|name| is_log_of(name));
    let Some(name) = names.max_by_key(|name| name.len()) else { return Vec::new() };
    keys.iter().filter(|key| key.name() == name).cloned().collect()
}

fn is_as_written(piece: &Piece<'_>, written: &[u8]) -> bool {
    piece.is_a_line && written.strip_suffix(b"\n") == Some(piece.text)
}
