//! One log: its records wait for the next checkpoint, which seals them.

use std::collections::{BTreeMap, VecDeque};

use super::finding::{Findings, Place, Span, What};
use super::order;
use super::unit::{Entry, Expected, Placed, Solved, Unit};
use crate::evidence::merkle::{CompactRange, Hash};

/// How many records behind the last checkpoint are remembered, to tell a copy from a record that was put in.
const MAX_RECENT: usize = 1 << 16;
/// How many checkpoints are remembered, for those that come again with cosignatures.
const MAX_SEALS: usize = 4096;
/// How many hashes may be made in search of the leaves of one piece, and of all.
const TRIALS_OF_ONE: u64 = 1 << 20;
const TRIALS_OF_ALL: u64 = 1 << 24;

/// A checkpoint that the log's key signed.
#[derive(Debug, Clone)]
pub(super) struct Seal {
    pub(super) size: u64,
    pub(super) root: Hash,
    /// The roots of the full subtrees, where they stand beside it and belong to its root.
    pub(super) range: Option<CompactRange>,
    pub(super) place: Place,
}

/// A log as far as it was read.
#[derive(Debug, Clone)]
pub(super) struct Log {
    pub(super) origin: String,
    pub(super) is_known: bool,
    pub(super) first_place: Place,
    /// Where it begins, when that is not at 0.
    pub(super) begins: u64,
    pub(super) records: u64,
    pub(super) checkpoints: u64,
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
    kept: Vec<Seal>,
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
    pub(super) fn new(origin: &str, is_known: bool, place: Place, kept: Vec<Seal>, any_order: bool) -> Self {
        Self {
            origin: origin.to_owned(),
            is_known,
            first_place: place,
            begins: 0,
            records: 0,
            checkpoints: 0,
            sealed: 0,
            tree: Some(CompactRange::starting_at(0)),
            waiting: Vec::new(),
            unsolved: Vec::new(),
            strays: Vec::new(),
            recent: VecDeque::new(),
            in_order: 0,
            seals: VecDeque::from([(0, CompactRange::starting_at(0).root())]),
            kept,
            any_order,
            unordered: any_order.then(Unordered::default),
            trials: TRIALS_OF_ALL,
        }
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
    fn late(&mut self, index: u64, entry: Entry, findings: &mut Findings) {
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
        if self.begins_with(&seal, findings) {
            return;
        }
        if seal.size <= self.sealed {
            self.seen_before(&seal, findings);
        } else if !self.seal_in_order(&seal, findings) {
            self.seal_damaged(&seal, findings);
        }
    }

    /// A file that goes on from an older one begins with the checkpoint that the older one ends with.
    fn begins_with(&mut self, seal: &Seal, findings: &mut Findings) -> bool {
        if seal.size == 0 || self.checkpoints > 1 || self.records > 0 {
            return false;
        }
        self.begins = seal.size;
        self.tree.clone_from(&seal.range);
        self.remember(seal);
        let text = "these stand elsewhere: the log begins with the checkpoint behind them";
        let span = Some(Span::until(0, seal.size));
        findings.push(What::BeginsLate, Some(&self.origin), span, vec![seal.place.clone()], text);
        true
    }

    fn seen_before(&mut self, seal: &Seal, findings: &mut Findings) {
        match self.root_at(seal.size) {
            Some(root) if root == seal.root => {
                if seal.size == self.sealed && self.tree.is_none() {
                    self.tree.clone_from(&seal.range);
                }
            }
            Some(_) => self.other_tree(seal, findings),
            None => findings.tally(What::NotCompared, Some(&self.origin), None, seal.place.clone()),
        }
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
                Some(root) if root == kept.root => {}
                Some(_) => self.other_tree(&kept, findings),
                None => findings.tally(What::NotCompared, Some(&self.origin), None, kept.place),
            }
        }
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

    /// Something is wrong between the checkpoint before and this one.
    fn seal_damaged(&mut self, seal: &Seal, findings: &mut Findings) {
        let mut units = self.units(seal);
        let mut elsewhere = Vec::new();
        for entry in std::mem::take(&mut self.waiting) {
            let inside = entry.index.filter(|index| *index < seal.size);
            match inside.and_then(|index| Some((index, unit_at(&mut units, index)?))) {
                Some((index, unit)) => unit.add(index, entry),
                None => elsewhere.push(entry),
            }
        }
        let fillers: Vec<Entry> =
            elsewhere.iter().chain(units.iter().flat_map(Unit::surplus)).cloned().collect();
        let (mut solved, mut unsolved, mut taken) = (Vec::new(), Vec::new(), Vec::new());
        for unit in units {
            match self.solve(unit, &fillers) {
                Ok(found) => {
                    taken.extend(found.placed.iter().map(|placed| placed.entry.order));
                    solved.push(found);
                }
                Err(unit) => unsolved.push(unit),
            }
        }
        elsewhere.retain(|entry| !taken.contains(&entry.order));
        solved.iter_mut().for_each(|solved| solved.others.retain(|(_, entry)| !taken.contains(&entry.order)));
        unsolved.iter_mut().for_each(|unit| unit.give_up(&taken));
        let hashes = solved.iter().flat_map(|solved| &solved.placed).map(|placed| placed.hash);
        let leaves: Option<Vec<Hash>> = unsolved.is_empty().then(|| hashes.collect());
        self.unsolved.append(&mut unsolved);
        // What is ahead waits for its checkpoint; what has no place at all, for the end.
        (self.waiting, elsewhere) =
            elsewhere.into_iter().partition(|entry| entry.index.is_some_and(|index| index >= seal.size));
        self.strays.append(&mut elsewhere);
        self.in_order = self.report_solved(&solved, self.in_order, findings);
        if let Some(leaves) = &leaves {
            self.compare_kept(leaves, seal.size, findings);
        } else {
            self.recent.clear();
        }
        self.tree = self.grown(leaves.as_deref()).or_else(|| seal.range.clone());
        if leaves.is_some() {
            let placed = solved.into_iter().flat_map(|solved| solved.placed);
            placed.for_each(|placed| self.keep_recent(Some(placed.hash), placed.entry.place));
        }
        self.remember(seal);
    }

    fn grown(&self, leaves: Option<&[Hash]>) -> Option<CompactRange> {
        let mut tree = self.tree.clone()?;
        leaves?.iter().for_each(|leaf| tree.push(*leaf));
        Some(tree)
    }

    fn solve(&mut self, unit: Unit, elsewhere: &[Entry]) -> Result<Solved, Unit> {
        let mut trials = self.trials.min(TRIALS_OF_ONE);
        let before = trials;
        let result = unit.solve(elsewhere, &mut trials);
        self.trials = self.trials.saturating_sub(before.saturating_sub(trials));
        result
    }

    /// The pieces between the checkpoint before and this one: each full subtree that the range gives the root of, or all
    /// as one.
    fn units(&self, seal: &Seal) -> Vec<Unit> {
        let Some(range) = &seal.range else {
            let (known, expected) = match &self.tree {
                Some(tree) => (tree.clone(), Expected::Root(seal.root)),
                None => (CompactRange::starting_at(self.sealed), Expected::Nothing),
            };
            return vec![Unit::new(known, seal.size, expected, seal.place.clone())];
        };
        let mut units = Vec::new();
        let mut begin = 0_u64;
        for (height, hash) in (0..u64::BITS).rev().filter(|bit| seal.size >> bit & 1 == 1).zip(range.hashes())
        {
            let end = begin + (1 << height);
            if end > self.sealed {
                let known = match begin >= self.sealed {
                    true => Some(CompactRange::starting_at(begin)),
                    false => self.known_since(begin),
                };
                units.push(match known {
                    Some(known) => Unit::new(known, end, Expected::Subtree(*hash), seal.place.clone()),
                    None => {
                        let known = CompactRange::starting_at(self.sealed);
                        Unit::new(known, end, Expected::Nothing, seal.place.clone())
                    }
                });
            }
            begin = end;
        }
        units
    }

    /// The sealed leaves from there on. A full subtree of the new tree begins there, so that one of the old tree does too.
    fn known_since(&self, begin: u64) -> Option<CompactRange> {
        let count = (self.sealed - begin).count_ones() as usize;
        let hashes = self.tree.as_ref()?.hashes();
        let hashes = hashes.get(hashes.len().checked_sub(count)?..)?;
        CompactRange::restored(begin, self.sealed, hashes.to_vec())
    }

    /// Returns which value is the last one that stands in the order of the tree.
    fn report_solved(&self, solved: &[Solved], behind: u64, findings: &mut Findings) -> u64 {
        let placed: Vec<&Placed> = solved.iter().flat_map(|solved| &solved.placed).collect();
        placed.iter().for_each(|placed| self.report_placed(placed, findings));
        let in_order = match self.any_order {
            true => behind,
            false => order::report_moved(&self.origin, behind, &placed, findings),
        };
        let by_index: BTreeMap<u64, &&Placed> = placed.iter().map(|placed| (placed.index, placed)).collect();
        for (index, entry) in solved.iter().flat_map(|solved| &solved.others) {
            if let Some(placed) = by_index.get(index) {
                let is_copy = entry.computed == Some(placed.hash);
                self.another(*index, entry, &placed.entry.place, is_copy, findings);
            }
        }
        in_order
    }

    /// What was changed of a record that the tree confirms.
    fn report_placed(&self, Placed { index, hash, entry }: &Placed, findings: &mut Findings) {
        let mut report = |what, text: &str| {
            let places = vec![entry.place.clone()];
            findings.push(what, Some(&self.origin), Some(Span::of(*index)), places, text);
        };
        match entry.computed {
            // That it is unreadable was said already.
            None => {}
            Some(computed) if computed != *hash => {
                report(What::Changed, "its content is not the one that was sealed; the hash beside it is");
            }
            Some(_) if entry.stated.is_none() => {
                report(
                    What::HashChanged,
                    "there is no hash beside it; its content is the one that was sealed",
                );
            }
            Some(_) if entry.stated != Some(*hash) => {
                report(
                    What::HashChanged,
                    "the hash beside it is not the one of its content, which is the one that was sealed",
                );
            }
            Some(_) => {}
        }
        match entry.index {
            Some(stated) if stated != *index => {
                report(What::IndexChanged, &format!("it says that its index is {stated}"));
            }
            None => report(What::IndexChanged, "there is no index beside it"),
            Some(_) => {}
        }
    }
}

fn unit_at(units: &mut [Unit], index: u64) -> Option<&mut Unit> {
    units.iter_mut().find(|unit| unit.span().contains(index))
}

mod end;
