//! The end of a log: what damage left open, what no checkpoint covers, and checkpoints that were kept elsewhere.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::super::finding::{Findings, Place, Span, What};
use super::super::order;
use super::super::unit::{Entry, Placed, Unit};
use super::Log;

impl Log {
    /// No more lines come. What was kept elsewhere may seal the rest, and may say that there was more.
    pub(in super::super) fn end(&mut self, findings: &mut Findings) {
        self.order(findings);
        while !self.kept.is_empty() {
            let kept = self.kept.remove(0);
            let reached = self.reached();
            if kept.size > reached {
                self.is_cut_off = true;
                let text = format!(
                    "the checkpoint of {} records at {}, which the log's key signed, covers them",
                    kept.size, kept.place
                );
                let span = Some(Span::until(reached, kept.size));
                findings.push(What::CutOff, Some(&self.origin), span, vec![kept.place], text);
            } else if kept.size > self.sealed {
                if !self.seal_in_order(&kept, findings) {
                    self.seal_damaged(&kept, findings);
                }
                self.cosigned(kept);
            } else if let Some(root) = self.root_at(kept.size) {
                match root == kept.root {
                    true => self.cosigned(kept),
                    false => self.other_tree(&kept, findings),
                }
            } else {
                self.not_compared(kept, findings);
            }
        }
    }

    /// The index behind the last record that stands where it should.
    fn reached(&self) -> u64 {
        let indices: BTreeSet<u64> = self.waiting.iter().filter_map(|entry| entry.index).collect();
        (self.sealed..).find(|index| !indices.contains(index)).unwrap_or(self.sealed)
    }

    /// Whether damage left places open, which records from elsewhere may fill.
    pub(in super::super) fn has_gaps(&self) -> bool {
        !self.unsolved.is_empty()
    }

    /// Records that another log took.
    pub(in super::super) fn give_up(&mut self, taken: &HashSet<u64>) {
        self.strays.retain(|stray| !taken.contains(&stray.order));
        self.waiting.retain(|entry| !taken.contains(&entry.order));
    }

    /// Records that nobody has a place for, here.
    pub(in super::super) fn strays(&self) -> impl Iterator<Item = &Entry> {
        // Nothing will ever seal the records of a log without a checkpoint, so they may be somebody else's.
        let waiting = if self.checkpoints == 0 { self.waiting.as_slice() } else { &[] };
        self.strays.iter().chain(waiting)
    }

    /// Fills with records from elsewhere what damage left open. Returns which of them it took.
    pub(in super::super) fn fill(&mut self, strays: &[Entry], findings: &mut Findings) -> HashSet<u64> {
        let mut by_index: BTreeMap<u64, Vec<&Entry>> = BTreeMap::new();
        for stray in strays {
            if let Some(index) = stray.index {
                by_index.entry(index).or_default().push(stray);
            }
        }
        let mut taken = HashSet::new();
        for mut unit in std::mem::take(&mut self.unsolved) {
            let Span { first, last } = unit.span();
            let claims = by_index.range(first..=last).filter(|(index, _)| !unit.has(**index));
            let claims: Vec<(u64, Entry)> =
                claims.flat_map(|(index, of)| of.iter().map(|entry| (*index, (*entry).clone()))).collect();
            for (index, entry) in claims {
                taken.insert(entry.order);
                unit.add(index, entry);
            }
            match self.solve(&mut unit, strays) {
                Some(solved) => {
                    taken.extend(solved.placed.iter().map(|placed| placed.entry.order));
                    self.report_solved(std::slice::from_ref(&solved), 0, findings);
                }
                None => self.unsolved.push(unit),
            }
        }
        taken
    }

    /// What is left: missing, not confirmed, without a place, not sealed yet.
    pub(in super::super) fn report_rest(&mut self, findings: &mut Findings) {
        for unit in std::mem::take(&mut self.unsolved) {
            self.report_unsolved(&unit, findings);
        }
        for stray in std::mem::take(&mut self.strays) {
            let (what, text) = match stray.index {
                Some(index) if index < self.begins => (
                    What::Moved,
                    "it stands behind the checkpoint of a later part of the log: give older files first",
                ),
                Some(_) => {
                    (What::CopiedOrInserted, "another record had this place long before: a copy, or put in")
                }
                None => (What::Inserted, "it says no index, and the tree knows no such record"),
            };
            let span = stray.index.map(Span::of);
            findings.push(what, Some(&self.origin), span, vec![stray.place], text);
        }
        // That their log is not known is said once.
        if self.key.is_some() {
            self.report_waiting(findings);
        }
    }

    fn report_unsolved(&self, unit: &Unit, findings: &mut Findings) {
        let log = Some(self.origin.as_str());
        let holes = unit.holes();
        let mut explained = !holes.is_empty();
        for hole in &holes {
            let before = unit.entries().take_while(|(index, _)| *index < hole.first).last();
            let before = before.and_then(|(_, entries)| entries.first()).map(|entry| entry.place.clone());
            let (place, text) = match before {
                Some(place) => (
                    place,
                    format!("a gap behind this line, which the checkpoint at {} covers", unit.sealed_at()),
                ),
                None => {
                    (unit.sealed_at().clone(), "a gap before this checkpoint, which covers it".to_owned())
                }
            };
            let places = vec![place];
            findings.push(What::Missing, log, Some(*hole), places, text);
        }
        for (index, entries) in unit.entries() {
            let span = Some(Span::of(index));
            if let [first, others @ ..] = entries.as_slice() {
                for other in others {
                    explained = true;
                    let text =
                        format!("two records claim this place; the other one stands at {}", first.place);
                    let places = vec![other.place.clone(), first.place.clone()];
                    findings.push(What::CopiedOrInserted, log, span, places, text);
                }
            }
            for entry in entries.iter().filter(|entry| !entry.is_consistent()) {
                explained = true;
                let text = "its content and the hash beside it do not go together";
                findings.push(What::Changed, log, span, vec![entry.place.clone()], text);
            }
        }
        let text = if !unit.can_be_confirmed() {
            "nothing says what the tree had before them".to_owned()
        } else if explained {
            "nothing seals them but a piece of the tree that has a damaged record too".to_owned()
        } else {
            let suspects: Vec<String> = unit
                .entries()
                .filter(|(_, entries)| entries.iter().any(|entry| entry.suspect))
                .map(|(index, _)| index.to_string())
                .take(20)
                .collect();
            let which = match suspects.as_slice() {
                [] => "which of them, nothing says".to_owned(),
                suspects => format!("most likely {}, which contradict themselves", suspects.join(", ")),
            };
            format!("at least one of them is not the record that was sealed; {which}")
        };
        let places = unit.entries().filter_map(|(_, entries)| entries.first());
        let places = places.map(|entry| entry.place.clone()).take(1).collect();
        findings.push(What::NotConfirmed, log, Some(unit.span()), places, text);
    }

    /// Records behind the last checkpoint. Their numbers and hashes must be right all the same.
    fn report_waiting(&mut self, findings: &mut Findings) {
        let log = self.origin.clone();
        let log = Some(log.as_str());
        let no_index = |findings: &mut Findings, place: Place| {
            findings.push(What::IndexChanged, log, None, vec![place], "there is no index beside it");
        };
        let mut waiting = std::mem::take(&mut self.waiting);
        let Some(last) = waiting.iter().filter_map(|entry| entry.index).max() else {
            for entry in waiting {
                no_index(findings, entry.place);
            }
            return;
        };
        let covered = Some(Span { first: self.sealed, last });
        let place = waiting.first().map(|entry| entry.place.clone());
        let text = "no checkpoint covers these yet: nothing seals them";
        findings.push(What::Uncovered, log, covered, place.into_iter().collect(), text);

        waiting.sort_by_key(|entry| (entry.index, entry.order));
        let mut placed: Vec<Placed> = Vec::new();
        let mut next = self.sealed;
        for entry in waiting {
            let Some(index) = entry.index else {
                no_index(findings, entry.place);
                continue;
            };
            let span = Some(Span::of(index));
            if !entry.is_consistent() && entry.computed.is_some() {
                let text = "its content and the hash beside it do not go together";
                findings.push(What::Changed, log, span, vec![entry.place.clone()], text);
            }
            if index < next {
                let text = "two records claim this place";
                findings.push(What::CopiedOrInserted, log, span, vec![entry.place], text);
                continue;
            }
            if index > next {
                let text = "a gap before this line".to_owned();
                let hole = Some(Span::until(next, index));
                findings.push(What::Missing, log, hole, vec![entry.place.clone()], text);
            }
            next = index.saturating_add(1);
            placed.push(Placed { index, hash: entry.computed.unwrap_or_default(), entry });
        }
        if !self.any_order {
            let placed: Vec<&Placed> = placed.iter().collect();
            order::report_moved(&self.origin, self.in_order, &placed, findings);
        }
    }
}
