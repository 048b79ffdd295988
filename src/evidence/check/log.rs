//! One log: its records wait for the next checkpoint, which seals them.

mod damage;
mod end;

use std::collections::{BTreeMap, VecDeque};

use super::finding::{Findings, Place, Span, What};
use super::report::Cosigned;
use super::unit::{Entry, Unit};
use crate::evidence::merkle::{CompactRange, Hash};

/// How many records behind the last checkpoint are remembered, to tell a copy from a record that was put in.
const MAX_RECENT: usize = 1 << 16;
/// How many checkpoints are remembered, for those that come again with cosignatures.
const MAX_SEALS: usize = 4096;
/// How many hashes may be made in search of leaves.
const TRIALS_OF_ALL: u64 = 1 << 24;

/// A checkpoint that the log's key signed.
#[derive(Debug, Clone)]
pub(super) struct Seal {
    pub(super) size: u64,
    pub(super) root: Hash,
    /// The roots of the full subtrees, where they stand beside it and belong to its root.
    pub(super) range: Option<CompactRange>,
    /// Which witnesses saw it.
    pub(super) cosigned: Vec<(usize, Cosigned)>,
    pub(super) place: Place,
}

/// A log as far as it was read.
#[derive(Debug, Clone)]
pub(super) struct Log {
    pub(super) origin: String,
    /// The name of its key, where one is known.
    pub(super) key: Option<String>,
    pub(super) first_place: Place,
    /// Where it begins, when that is not at 0.
    pub(super) begins: u64,
    pub(super) records: u64,
    pub(super) checkpoints: u64,
    /// The newest checkpoint of each witness.
    pub(super) cosigned: BTreeMap<usize, Cosigned>,
    /// How many leaves the newest checkpoint has.
    pub(super) sealed: u64,
    /// The leaves up to there, unless damage hides them.
    tree: Option<CompactRange>,
    /// Records that no checkpoint covers yet, in the order of the input.
    waiting: Vec<Entry>,
    /// What damage left unsolved.
    unsolved: Vec<Unit>,
    /// Records that nobody has a place for.
    strays: Vec<Entry>,
    recent: VecDeque<(Hash, Place)>,
    /// The last value that stands in the order of the tree.
    in_order: u64,
    seals: VecDeque<(u64, Hash)>,
    /// What it may begin with.
    may_begin: Vec<(u64, Hash, Place)>,
    /// What was kept elsewhere, the oldest first.
    kept: Vec<Seal>,
    /// One of these has more records.
    pub(super) is_cut_off: bool,
    any_order: bool,
    /// In any order: everything, until the end.
    unordered: Option<Unordered>,
    trials: u64,
}

/// What came in any order.
#[derive(Debug, Clone, Default)]
struct Unordered {
    entries: Vec<Entry>,
    seals: Vec<Seal>,
}

impl Log {
    pub(super) fn new(origin: &str, key: Option<String>, place: Place, any_order: bool) -> Self {
        Self {
            origin: origin.to_owned(),
            key,
            first_place: place,
            begins: 0,
            records: 0,
            checkpoints: 0,
            cosigned: BTreeMap::new(),
            sealed: 0,
            tree: Some(CompactRange::starting_at(0)),
            waiting: Vec::new(),
            unsolved: Vec::new(),
            strays: Vec::new(),
            recent: VecDeque::new(),
            in_order: 0,
            seals: VecDeque::from([(0, CompactRange::starting_at(0).root())]),
            may_begin: Vec::new(),
            kept: Vec::new(),
            is_cut_off: false,
            any_order,
            unordered: any_order.then(Unordered::default),
            trials: TRIALS_OF_ALL,
        }
    }

    /// A checkpoint that it may begin with.
    pub(super) fn may_begin(&mut self, size: u64, root: Hash, place: Place) {
        self.may_begin.push((size, root, place));
    }

    /// A checkpoint that was kept elsewhere.
    pub(super) fn keep(&mut self, kept: Seal) {
        let behind = self.kept.partition_point(|other| other.size <= kept.size);
        self.kept.insert(behind, kept);
    }

    pub(super) fn record(&mut self, entry: Entry, findings: &mut Findings) {
        if let Some(unordered) = &mut self.unordered {
            unordered.entries.push(entry);
            return;
        }
        self.records = self.records.saturating_add(1);
        match entry.index.filter(|index| *index < self.sealed) {
            Some(index) => self.late(index, entry, findings),
            None => self.waiting.push(entry),
        }
    }

    /// A record whose place a checkpoint has sealed already.
    fn late(&mut self, index: u64, mut entry: Entry, findings: &mut Findings) {
        entry.late = true;
        if self.unsolved.iter().any(|unit| unit.span().contains(index)) {
            self.strays.push(entry);
            return;
        }
        let first = self.sealed.saturating_sub(self.recent.len() as u64);
        let known = index.checked_sub(first).and_then(|back| self.recent.get(usize::try_from(back).ok()?));
        match known {
            Some((hash, place)) => {
                let place = place.clone();
                let is_copy = entry.computed == Some(*hash);
                self.another(index, &entry, &place, is_copy, findings);
            }
            None => self.strays.push(entry),
        }
    }

    /// Somebody else claims the place of a record that the tree confirms.
    fn another(&self, index: u64, entry: &Entry, known: &Place, is_copy: bool, findings: &mut Findings) {
        let (what, text) = match is_copy {
            true => (What::Copied, format!("the record stands at {known} as well")),
            false => (What::Inserted, format!("the tree has another record here, which stands at {known}")),
        };
        let places = vec![entry.place.clone(), known.clone()];
        findings.push(what, Some(&self.origin), Some(Span::of(index)), places, text);
    }

    /// The root of the tree of that size, where it was seen.
    pub(super) fn root_at(&self, size: u64) -> Option<Hash> {
        self.seals.iter().rev().find(|(known, _)| *known == size).map(|(_, root)| *root)
    }

    /// A checkpoint: everything before its size is sealed by it.
    pub(super) fn checkpoint(&mut self, seal: Seal, findings: &mut Findings) {
        if let Some(unordered) = &mut self.unordered {
            unordered.seals.push(seal);
            return;
        }
        self.checkpoints = self.checkpoints.saturating_add(1);
        if self.takes(&seal, findings) {
            self.cosigned(seal);
        }
    }

    /// Whether it is, or may turn out to be, one of this tree. One that could not be compared says nothing about it, whoever
    /// cosigned it: an older history of the same log has such checkpoints.
    fn takes(&mut self, seal: &Seal, findings: &mut Findings) -> bool {
        if self.begins_with(seal, findings) {
            return true;
        }
        if seal.size <= self.sealed {
            return self.seen_before(seal, findings);
        }
        if !self.seal_in_order(seal, findings) {
            self.seal_damaged(seal, findings);
        }
        true
    }

    /// A file that goes on from an older one begins with the checkpoint that the older one ends with.
    fn begins_with(&mut self, seal: &Seal, findings: &mut Findings) -> bool {
        if seal.size == 0 || self.checkpoints > 1 || self.records > 0 {
            return false;
        }
        self.begins = seal.size;
        self.tree.clone_from(&seal.range);
        self.remember(seal);
        let known = self.may_begin.iter().find(|(size, root, _)| (*size, *root) == (seal.size, seal.root));
        let (what, text) = match known {
            Some((_, _, place)) => (
                What::Elsewhere,
                format!("these stand elsewhere: the log begins with the checkpoint at {place}"),
            ),
            None => (
                What::BeginsLate,
                "the log begins behind these: give the older files too, or say which checkpoint it may begin with"
                    .to_owned(),
            ),
        };
        let span = Some(Span::until(0, seal.size));
        findings.push(what, Some(&self.origin), span, vec![seal.place.clone()], text);
        true
    }

    /// What witnesses cosigned of this tree.
    fn cosigned(&mut self, seal: Seal) {
        for (witness, cosigned) in seal.cosigned {
            let newest = self.cosigned.entry(witness).or_insert_with(|| cosigned.clone());
            if newest.size < cosigned.size {
                *newest = cosigned;
            }
        }
    }

    fn seen_before(&mut self, seal: &Seal, findings: &mut Findings) -> bool {
        match self.root_at(seal.size) {
            Some(root) if root == seal.root => {
                if seal.size == self.sealed && self.tree.is_none() {
                    self.tree.clone_from(&seal.range);
                }
                return true;
            }
            Some(_) => self.other_tree(seal, findings),
            None => findings.tally(What::TooLate, Some(&self.origin), None, seal.place.clone()),
        }
        false
    }

    fn other_tree(&self, seal: &Seal, findings: &mut Findings) {
        let text = format!(
            "this checkpoint of {} records is one of another tree: the log's key signed two histories",
            seal.size
        );
        findings.push(What::OtherTree, Some(&self.origin), None, vec![seal.place.clone()], text);
    }

    fn remember(&mut self, seal: &Seal) {
        self.sealed = seal.size;
        if self.seals.len() == MAX_SEALS {
            self.seals.pop_front();
        }
        self.seals.push_back((seal.size, seal.root));
    }

    /// The usual case: every record in its place.
    fn seal_in_order(&mut self, seal: &Seal, findings: &mut Findings) -> bool {
        let Some(tree) = &self.tree else { return false };
        let Ok(count) = usize::try_from(seal.size.saturating_sub(self.sealed)) else { return false };
        let Some(covered) = self.waiting.get(..count) else { return false };
        let mut grown = tree.clone();
        for (index, entry) in (self.sealed..).zip(covered) {
            match entry.computed {
                Some(hash) if entry.index == Some(index) && entry.stated == Some(hash) => grown.push(hash),
                _ => return false,
            }
        }
        // A later record of this span would be a copy.
        let is_twice =
            self.waiting.iter().skip(count).any(|entry| entry.index.is_none_or(|index| index < seal.size));
        let is_moved = covered.first().is_some_and(|first| first.order <= self.in_order);
        if is_twice || is_moved || grown.root() != seal.root {
            return false;
        }
        let sealed: Vec<Entry> = self.waiting.drain(..count).collect();
        let leaves: Vec<Hash> = sealed.iter().filter_map(|entry| entry.computed).collect();
        self.compare_kept(&leaves, seal.size, findings);
        for entry in sealed {
            self.in_order = entry.order;
            self.keep_recent(entry.computed, entry.place);
        }
        self.tree = Some(grown);
        self.remember(seal);
        true
    }

    fn keep_recent(&mut self, hash: Option<Hash>, place: Place) {
        if self.recent.len() == MAX_RECENT {
            self.recent.pop_front();
        }
        if let Some(hash) = hash {
            self.recent.push_back((hash, place));
        }
    }

    /// Checkpoints that were kept elsewhere, of sizes that these leaves reach.
    fn compare_kept(&mut self, leaves: &[Hash], end: u64, findings: &mut Findings) {
        let (due, later) = self.kept.drain(..).partition(|kept: &Seal| kept.size <= end);
        self.kept = later;
        for kept in due {
            let known = self.root_at(kept.size).or_else(|| {
                let count = usize::try_from(kept.size.checked_sub(self.sealed)?).ok()?;
                let mut tree = self.tree.clone()?;
                leaves.get(..count)?.iter().for_each(|leaf| tree.push(*leaf));
                Some(tree.root())
            });
            match known {
                Some(root) if root == kept.root => self.cosigned(kept),
                Some(_) => self.other_tree(&kept, findings),
                None => self.not_compared(kept, findings),
            }
        }
    }

    fn not_compared(&self, kept: Seal, findings: &mut Findings) {
        let text = format!(
            "the checkpoint of {} records at {} cannot be compared: the tree of its size is not there",
            kept.size, kept.place
        );
        findings.push(What::NotCompared, Some(&self.origin), None, vec![kept.place], text);
    }

    /// Puts in order what came without one.
    fn order(&mut self, findings: &mut Findings) {
        let Some(Unordered { mut entries, mut seals }) = self.unordered.take() else { return };
        entries.sort_by_key(|entry| (entry.index.is_none(), entry.index, entry.order));
        seals.sort_by_key(|seal| seal.size);
        let mut entries = entries.into_iter().peekable();
        for seal in seals {
            while let Some(entry) =
                entries.next_if(|entry| entry.index.is_some_and(|index| index < seal.size))
            {
                self.record(entry, findings);
            }
            self.checkpoint(seal, findings);
        }
        entries.for_each(|entry| self.record(entry, findings));
    }
}
