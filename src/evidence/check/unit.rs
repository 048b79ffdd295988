//! A piece of a tree whose hash is known, and the records that should be its leaves: which of them are?

use std::collections::{BTreeMap, HashSet};

use super::finding::{Place, Span};
use crate::evidence::merkle::{CompactRange, Hash};

/// A record that waits for a checkpoint.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// What stands beside it: whatever of it could be read.
    pub(super) index: Option<u64>,
    pub(super) stated: Option<Hash>,
    /// The hash of its content.
    pub(super) computed: Option<Hash>,
    pub(super) place: Place,
    /// The how manieth value of the input it is.
    pub(super) order: u64,
    /// Whether it stands behind a checkpoint that covers it.
    pub(super) late: bool,
    /// Whether something in it is wrong besides.
    pub(super) suspect: bool,
}

impl Entry {
    pub(super) fn is_consistent(&self) -> bool {
        self.stated.is_some() && self.stated == self.computed
    }

    /// The hashes that it may have been sealed under. What was sealed more likely stands first.
    pub(super) fn hashes(&self) -> impl Iterator<Item = Hash> {
        self.stated.into_iter().chain(self.computed.filter(|hash| Some(*hash) != self.stated))
    }
}

/// What is known about a piece of a tree.
#[derive(Debug, Clone)]
pub(super) enum Expected {
    /// The root of a full subtree.
    Subtree(Hash),
    /// The root of the whole tree.
    Root(Hash),
    /// Nothing, since what is left of it is not known.
    Nothing,
}

/// A piece of a tree.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    /// What is left of the leaves in question.
    known: CompactRange,
    /// The leaves in question end before it.
    end: u64,
    expected: Expected,
    /// Of the checkpoint that says so.
    sealed_at: Place,
    slots: BTreeMap<u64, Vec<Entry>>,
}

/// A record at its place in the tree.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) index: u64,
    pub(super) hash: Hash,
    pub(super) entry: Entry,
}

/// All leaves of a unit, and who else claimed their places.
#[derive(Debug)]
pub(super) struct Solved {
    pub(super) placed: Vec<Placed>,
    pub(super) others: Vec<(u64, Entry)>,
}

/// How many holes are filled by trial.
const MAX_HOLES: usize = 3;
/// How many records are tried for each.
const MAX_FILLERS: usize = 64;

impl Unit {
    pub(super) const fn new(known: CompactRange, end: u64, expected: Expected, sealed_at: Place) -> Self {
        Self { known, end, expected, sealed_at, slots: BTreeMap::new() }
    }

    pub(super) const fn sealed_at(&self) -> &Place {
        &self.sealed_at
    }

    pub(super) const fn span(&self) -> Span {
        Span::until(self.known.end(), self.end)
    }

    pub(super) const fn can_be_confirmed(&self) -> bool {
        !matches!(self.expected, Expected::Nothing)
    }

    pub(super) fn add(&mut self, index: u64, entry: Entry) {
        self.slots.entry(index).or_default().push(entry);
    }

    pub(super) fn has(&self, index: u64) -> bool {
        self.slots.contains_key(&index)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (u64, &Vec<Entry>)> {
        self.slots.iter().map(|(index, entries)| (*index, entries))
    }

    /// Records that claim the same place: at most one of them belongs there.
    pub(super) fn surplus(&self) -> impl Iterator<Item = &Entry> {
        self.slots.values().filter(|entries| entries.len() > 1).flatten()
    }

    /// Records that belong elsewhere.
    pub(super) fn give_up(&mut self, taken: &HashSet<u64>) {
        for entries in self.slots.values_mut() {
            entries.retain(|entry| !taken.contains(&entry.order));
        }
        self.slots.retain(|_, entries| !entries.is_empty());
    }

    /// The places that nobody claims.
    pub(super) fn holes(&self) -> Vec<Span> {
        let mut holes = Vec::new();
        let mut next = self.known.end();
        for index in self.slots.keys().copied().chain([self.end]) {
            if index > next {
                holes.push(Span::until(next, index));
            }
            next = index.saturating_add(1);
        }
        holes
    }

    /// Looks for the leaves. `elsewhere` are records that nobody has a place for, and `trials` the number of hashes that
    /// may still be made.
    pub(super) fn solve(&mut self, elsewhere: &[Entry], trials: &mut u64) -> Option<Solved> {
        let missing = self.end.saturating_sub(self.known.end()).checked_sub(self.slots.len() as u64);
        if !self.can_be_confirmed() || missing.is_none_or(|missing| missing > MAX_HOLES as u64) {
            return None;
        }
        let holes: Vec<u64> = self.holes().iter().flat_map(|hole| hole.first..=hole.last).collect();
        if !holes.is_empty() && elsewhere.is_empty() {
            return None;
        }
        let mut leaves: BTreeMap<u64, Vec<Hash>> = BTreeMap::new();
        for (index, entries) in &self.slots {
            // A record whose hash is that of its content comes before one that was touched, whatever their order.
            let (sound, touched): (Vec<&Entry>, Vec<_>) =
                entries.iter().partition(|entry| entry.is_consistent());
            leaves.insert(*index, distinct(sound.into_iter().chain(touched)));
        }
        for hole in &holes {
            let (here, others): (Vec<&Entry>, Vec<_>) =
                elsewhere.iter().partition(|entry| entry.index == Some(*hole));
            let mut fillers = distinct(here.into_iter().chain(others));
            fillers.truncate(MAX_FILLERS);
            leaves.insert(*hole, fillers);
        }
        let candidates: Vec<&[Hash]> = leaves.values().map(Vec::as_slice).collect();
        let hashes = self.search(&candidates, trials)?;
        Some(self.placed(&hashes, &holes, elsewhere))
    }

    /// One hash for each leaf, so that the whole has the known hash.
    fn search(&self, candidates: &[&[Hash]], trials: &mut u64) -> Option<Vec<Hash>> {
        let mut hashes: Vec<Hash> =
            candidates.iter().map(|leaf| leaf.first().copied()).collect::<Option<_>>()?;
        let open: Vec<usize> = candidates
            .iter()
            .enumerate()
            .filter_map(|(position, leaf)| (leaf.len() > 1).then_some(position))
            .collect();
        if self.matches(&hashes, trials) {
            return Some(hashes);
        }
        let last: Vec<Hash> = candidates.iter().filter_map(|leaf| leaf.last().copied()).collect();
        if !open.is_empty() && self.matches(&last, trials) {
            return Some(last);
        }
        // Counting through the alternatives, the first place fastest.
        let mut digits = vec![0_usize; open.len()];
        while *trials > 0 {
            let mut carried = true;
            for (digit, position) in digits.iter_mut().zip(&open) {
                let (Some(leaf), Some(hash)) = (candidates.get(*position), hashes.get_mut(*position)) else {
                    return None;
                };
                *digit += 1;
                carried = *digit == leaf.len();
                if carried {
                    *digit = 0;
                }
                *hash = *leaf.get(*digit)?;
                if !carried {
                    break;
                }
            }
            if carried {
                break;
            }
            if self.matches(&hashes, trials) {
                return Some(hashes);
            }
        }
        self.search_exchanged(hashes, trials)
    }

    /// Two records whose indices were exchanged as well, neighbours first.
    fn search_exchanged(&self, mut hashes: Vec<Hash>, trials: &mut u64) -> Option<Vec<Hash>> {
        for distance in 1..hashes.len() {
            for first in 0..hashes.len() - distance {
                if *trials == 0 {
                    return None;
                }
                hashes.swap(first, first + distance);
                if self.matches(&hashes, trials) {
                    return Some(hashes);
                }
                hashes.swap(first, first + distance);
            }
        }
        None
    }

    fn matches(&self, leaves: &[Hash], trials: &mut u64) -> bool {
        *trials = trials.saturating_sub(leaves.len() as u64);
        let mut range = self.known.clone();
        leaves.iter().for_each(|leaf| range.push(*leaf));
        match self.expected {
            Expected::Subtree(hash) => range.hashes() == [hash],
            Expected::Root(hash) => range.root() == hash,
            Expected::Nothing => false,
        }
    }

    /// Gives each leaf its record: the first one that claims its place and has its hash, or else one from elsewhere.
    fn placed(&mut self, hashes: &[Hash], holes: &[u64], elsewhere: &[Entry]) -> Solved {
        let mut slots = std::mem::take(&mut self.slots);
        let mut rest: Vec<(u64, Entry)> = Vec::new();
        let mut wanted: Vec<(u64, Hash)> = Vec::new();
        let mut placed = Vec::with_capacity(hashes.len());
        for (index, hash) in (self.known.end()..self.end).zip(hashes) {
            let entries = slots.remove(&index).unwrap_or_default();
            let has = |entry: &Entry| entry.hashes().any(|known| known == *hash);
            // A copy that was not touched is rather the record than one that was.
            let chosen = entries
                .iter()
                .position(|entry| entry.is_consistent() && has(entry))
                .or_else(|| entries.iter().position(has));
            for (position, entry) in entries.into_iter().enumerate() {
                if Some(position) == chosen {
                    placed.push(Placed { index, hash: *hash, entry });
                } else {
                    rest.push((index, entry));
                }
            }
            if chosen.is_none() {
                wanted.push((index, *hash));
            }
        }
        for (index, hash) in wanted {
            let has = |entry: &Entry| entry.hashes().any(|known| known == hash);
            let found = match rest.iter().position(|(_, entry)| has(entry)) {
                Some(position) => Some(rest.swap_remove(position).1),
                None if holes.contains(&index) => elsewhere.iter().find(|entry| has(entry)).cloned(),
                None => None,
            };
            placed.extend(found.map(|entry| Placed { index, hash, entry }));
        }
        placed.sort_by_key(|placed| placed.index);
        rest.sort_by_key(|(_, entry)| entry.order);
        Solved { placed, others: rest }
    }
}

fn distinct<'e>(entries: impl Iterator<Item = &'e Entry>) -> Vec<Hash> {
    let mut hashes: Vec<Hash> = Vec::new();
    for hash in entries.flat_map(Entry::hashes) {
        if !hashes.contains(&hash) {
            hashes.push(hash);
        }
    }
    hashes
}
