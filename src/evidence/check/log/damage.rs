//! A checkpoint whose records are not all in their places: which are, and what became of the others.

use std::collections::{BTreeMap, HashSet};

use super::super::finding::{Findings, Span, What};
use super::super::order;
use super::super::unit::{Entry, Expected, Placed, Solved, Unit};
use super::{Log, Seal};
use crate::evidence::merkle::{CompactRange, Hash};

/// How many hashes may be made in search of the leaves of one piece.
const TRIALS_OF_ONE: u64 = 1 << 20;

impl Log {
    /// Something is wrong between the checkpoint before and this one.
    pub(super) fn seal_damaged(&mut self, seal: &Seal, findings: &mut Findings) {
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
        let (mut solved, mut unsolved, mut taken) = (Vec::new(), Vec::new(), HashSet::new());
        for mut unit in units {
            match self.solve(&mut unit, &fillers) {
                Some(found) => {
                    taken.extend(found.placed.iter().map(|placed| placed.entry.order));
                    solved.push(found);
                }
                None => unsolved.push(unit),
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

    pub(super) fn solve(&mut self, unit: &mut Unit, elsewhere: &[Entry]) -> Option<Solved> {
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
    pub(super) fn report_solved(&self, solved: &[Solved], behind: u64, findings: &mut Findings) -> u64 {
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
