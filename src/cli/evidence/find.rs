//! One record in a log, and the checkpoint that seals it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Failure, Input};
use crate::evidence::check::{Place, keys_of};
use crate::evidence::checkpoint::Checkpoint;
use crate::evidence::line::{CheckpointLine, Line, Range, RecordLine};
use crate::evidence::merkle::{CompactRange, Hash, inclusion_proof, verify_inclusion};
use crate::evidence::note::{Note, VerifierKey};
use crate::evidence::record::Record;
use crate::evidence::sealed::Sealed;
use crate::evidence::stream::Values;
use crate::evidence::tlog_proof::TlogProof;

/// How many records of one name are remembered.
const MAX_NAMESAKES: usize = 16;

/// A record, found.
pub(super) struct Found {
    pub(super) log: String,
    pub(super) index: u64,
    pub(super) place: Place,
    /// The canonical form.
    pub(super) evidence: String,
    pub(super) leaf: Hash,
    pub(super) seal: Option<Seal>,
    /// Where other records say that they are this one.
    pub(super) namesakes: Vec<Place>,
}

/// A record that says that it is the wanted one.
struct Candidate {
    index: u64,
    place: Place,
    evidence: String,
    leaf: Hash,
}

/// A checkpoint that covers it.
#[derive(Clone)]
pub(super) struct Seal {
    pub(super) checkpoint: Checkpoint,
    pub(super) place: Place,
    /// Witnesses that cosigned it, and when.
    pub(super) cosigned: Vec<(String, Option<u64>)>,
    note: String,
    /// How many signatures it carries: witnesses that nobody asked about count too.
    signatures: usize,
    /// Where the rest of the tree is there, and leads to this checkpoint.
    pub(super) path: Option<Vec<Hash>>,
}

/// How the record is named.
enum Wanted<'a> {
    Index(u64),
    Id(&'a str),
}

/// A log on the way.
#[derive(Default)]
struct Log {
    leaves: BTreeMap<u64, Hash>,
    /// What an older file held.
    begin: Option<CompactRange>,
    seals: Vec<Seal>,
    found: Vec<Candidate>,
}

/// Looks for a record by its index or by the id of its decision.
pub(super) fn find(
    files: &[PathBuf],
    id: &str,
    keys: &[VerifierKey],
    witnesses: &[VerifierKey],
) -> Result<Found, Failure> {
    let wanted = id.parse().map_or(Wanted::Id(id), Wanted::Index);
    let mut finder = Finder { wanted, keys, witnesses, logs: BTreeMap::new() };
    for Input { name, content, .. } in Input::open_all(files)? {
        let mut values = Values::new(content);
        loop {
            let next = values.next(|piece| {
                let place = Place { file: name.clone(), line: piece.line };
                match piece.read {
                    Ok(Line::Record(line)) => finder.record(line, place),
                    Ok(Line::Checkpoint(line)) => finder.checkpoint(&line, place),
                    // `evidence verify` is for these.
                    Ok(Line::Foreign) | Err(_) => {}
                }
            });
            if next.map_err(|error| Input::failed(&name, &error))?.is_none() {
                break;
            }
        }
    }
    finder.found(id)
}

struct Finder<'a> {
    wanted: Wanted<'a>,
    keys: &'a [VerifierKey],
    witnesses: &'a [VerifierKey],
    logs: BTreeMap<String, Log>,
}

impl Finder<'_> {
    fn record(&mut self, line: RecordLine<'_>, place: Place) {
        let mut buffer = String::new();
        let (Ok(sealed), Some(index)) = (Sealed::read(line.evidence, &mut buffer), line.index) else {
            return;
        };
        let is_wanted = match (&self.wanted, &sealed.record) {
            (Wanted::Index(wanted), _) => *wanted == index,
            (Wanted::Id(id), Some(Record::Decision(decision))) => decision.id == *id,
            (Wanted::Id(_), _) => false,
        };
        let log = match self.logs.get_mut(sealed.log.as_ref()) {
            Some(log) => log,
            None => self.logs.entry(sealed.log.clone().into_owned()).or_default(),
        };
        let leaf = sealed.hash();
        // The first one that stands there: a copy changes nothing.
        log.leaves.entry(index).or_insert(line.hash.unwrap_or(leaf));
        if is_wanted && log.found.len() < MAX_NAMESAKES {
            log.found.push(Candidate { index, place, evidence: sealed.text.to_owned(), leaf });
        }
    }

    fn checkpoint(&mut self, line: &CheckpointLine<'_>, place: Place) {
        let Ok(note) = Note::parse(line.note.as_bytes()) else { return };
        let Ok(checkpoint) = note.text().parse::<Checkpoint>() else { return };
        // Without any key, `show` tells what the log says, and that nobody checked it.
        if !self.keys.is_empty() && note.verify(&keys_of(checkpoint.origin(), self.keys)).is_err() {
            return;
        }
        let cosigned = note.verify(self.witnesses).unwrap_or_default();
        let cosigned: Vec<(String, Option<u64>)> =
            cosigned.iter().map(|by| (by.key.name().to_owned(), by.timestamp)).collect();
        let log = self.logs.entry(checkpoint.origin().to_owned()).or_default();
        if let (true, Range::Present(range)) = (log.leaves.is_empty() && log.begin.is_none(), &line.range) {
            log.begin = CompactRange::restored(0, checkpoint.size(), range.clone());
        }
        if self.wanted_is_before(checkpoint.origin(), checkpoint.size()) {
            let signatures = note.signatures().len();
            let note = line.note.clone().into_owned();
            let seal = Seal { checkpoint, place, cosigned, note, signatures, path: None };
            if let Some(log) = self.logs.get_mut(seal.checkpoint.origin()) {
                log.seals.push(seal);
            }
        }
    }

    fn wanted_is_before(&self, origin: &str, size: u64) -> bool {
        match self.wanted {
            Wanted::Index(index) => index < size,
            // A checkpoint stands behind what it covers, unless the lines were shuffled.
            Wanted::Id(_) => self
                .logs
                .get(origin)
                .is_some_and(|log| log.found.is_empty() || log.found.iter().any(|found| found.index < size)),
        }
    }

    fn found(self, id: &str) -> Result<Found, Failure> {
        let mut logs: Vec<(String, Log)> =
            self.logs.into_iter().filter(|(_, log)| !log.found.is_empty()).collect();
        let Some((origin, mut log)) = logs.pop() else {
            return Err(Failure::Failed(format!("there is no record {id}")));
        };
        if let Some((other, _)) = logs.pop() {
            return Err(Failure::Usage(format!(
                "the logs {other} and {origin} both have a record {id}: give the id of the decision, or the files of one log"
            )));
        }
        let candidates = std::mem::take(&mut log.found).into_iter();
        let mut candidates: Vec<(Candidate, Option<Seal>)> = candidates
            .map(|candidate| {
                let seal = log.seal(candidate.index);
                (candidate, seal)
            })
            .collect();
        let sealed = candidates
            .iter()
            .position(|(candidate, seal)| seal.as_ref().is_some_and(|seal| seal.confirms(candidate)));
        let (Candidate { index, place, evidence, leaf }, seal) =
            candidates.swap_remove(sealed.unwrap_or_default());
        // A copy changes nothing, and `evidence verify` tells of it.
        candidates.retain(|(other, _)| (other.index, other.leaf) != (index, leaf));
        let namesakes = candidates.into_iter().map(|(other, _)| other.place).collect();
        Ok(Found { log: origin, index, place, evidence, leaf, seal, namesakes })
    }
}

impl Seal {
    /// Whether it has the record at its place.
    fn confirms(&self, Candidate { index, leaf, .. }: &Candidate) -> bool {
        let (size, root) = (self.checkpoint.size(), self.checkpoint.root());
        self.path.as_ref().is_some_and(|path| verify_inclusion(*index, size, leaf, path, root).is_ok())
    }
}

impl Log {
    /// Of the checkpoints that cover a record, those with the most cosignatures of known witnesses, then those with the
    /// most signatures, and of these the oldest: the sooner a record was sealed, the less could have happened before.
    fn seal(&self, index: u64) -> Option<Seal> {
        let covering = self.seals.iter().filter(|seal| index < seal.checkpoint.size());
        let best = covering.min_by_key(|seal| {
            let more = |count: usize| std::cmp::Reverse(count);
            (more(seal.cosigned.len()), more(seal.signatures), seal.checkpoint.size())
        })?;
        let mut seal = best.clone();
        seal.path = self.path(index, seal.checkpoint.size());
        Some(seal)
    }

    fn path(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        let mut before = match &self.begin {
            Some(begin) if begin.end() <= index => begin.clone(),
            _ => CompactRange::starting_at(0),
        };
        for leaf in before.end()..index {
            before.push(*self.leaves.get(&leaf)?);
        }
        let mut after = CompactRange::starting_at(index + 1);
        for leaf in index + 1..size {
            after.push(*self.leaves.get(&leaf)?);
        }
        Some(inclusion_proof(&before, &after))
    }
}

impl Found {
    /// A proof about the record, where a checkpoint covers it and the rest of the tree is there.
    pub(super) fn proof(&self) -> Option<TlogProof> {
        let seal = self.seal.as_ref()?;
        Some(TlogProof {
            extra: Some(self.evidence.clone().into_bytes()),
            index: self.index,
            hashes: seal.path.clone()?,
            checkpoint: seal.note.clone(),
        })
    }
}
