//! What a check of a log has to say.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    #[serde(serialize_with = "as_text")]
    pub file: Arc<str>,
    pub line: u64,
}

fn as_text<S: serde::Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// What is wrong, or worth a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// The content of a record is not the one that was sealed.
    Changed,
    /// The hash beside a record is not its leaf hash, and the content is the one that was sealed.
    HashChanged,
    /// The index beside a record is not its place in the tree.
    IndexChanged,
    Missing,
    /// A record that the tree does not know.
    Inserted,
    Copied,
    Moved,
    /// Two things at once that the tree could tell apart only if more of it were known.
    CopiedOrInserted,
    /// Records of which at least one is not the sealed one, or that only a damaged neighbour could confirm.
    NotConfirmed,
    /// A checkpoint that was kept elsewhere has more records.
    CutOff,
    /// A checkpoint is one of another tree.
    OtherTree,
    /// A checkpoint that is none of the log's key, or none at all.
    Checkpoint,
    /// The `range` beside a checkpoint does not belong to its root.
    Range,
    Unreadable,
    /// A log of which no key is known.
    UnknownLog,
    /// Something in a record contradicts itself, or a signature in it does not verify.
    Proof,
    NotCosigned,
    /// A log of which no checkpoint seals anything, or nothing at all.
    Unsealed,
    /// The log does not begin with its first record.
    BeginsLate,
    /// A checkpoint that was kept elsewhere says nothing of what is there.
    NotCompared,
    /// From here on, remarks: the order of the variants says so.
    Reformatted,
    Uncovered,
    /// The log begins with a checkpoint that it may begin with.
    Elsewhere,
    NotUnderstood,
    Redacted,
    /// A proof was part of an allow before.
    Repeated,
    Torn,
    Foreign,
    /// A checkpoint that stands too far behind those of its size.
    TooLate,
}

impl What {
    /// Whether it only deserves a word: nothing that was sealed is touched.
    #[must_use]
    pub fn is_remark(self) -> bool {
        self >= Self::Reformatted
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// A finding, or a remark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub what: What,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// The records that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<Span>,
    /// Where they stand: the first ones, where they are many.
    pub places: Vec<Place>,
    pub text: String,
}

/// Records from one index to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Span {
    pub first: u64,
    pub last: u64,
}

impl Span {
    #[must_use]
    pub const fn of(index: u64) -> Self {
        Self { first: index, last: index }
    }

    /// From `first` up to, but without, `end`, which is larger.
    #[must_use]
    pub const fn until(first: u64, end: u64) -> Self {
        Self { first, last: end.saturating_sub(1) }
    }

    #[must_use]
    pub const fn contains(self, index: u64) -> bool {
        self.first <= index && index <= self.last
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { first, last } if first == last => write!(f, "record {first}"),
            Self { first, last } => write!(f, "records {first} to {last}"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.places.first() {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}: ", self.what)?;
        if let Some(records) = self.records {
            write!(f, "{records}: ")?;
        }
        f.write_str(&self.text)
    }
}

/// How many findings are kept, and how many remarks: a log that is another one altogether would fill the memory.
const MAX_FINDINGS: usize = 10_000;

/// How many places a remark names.
const MAX_PLACES: usize = 20;

/// Findings and remarks as they come up.
#[derive(Debug, Clone, Default)]
pub(super) struct Findings {
    findings: Vec<Finding>,
    remarks: Vec<Finding>,
    beyond: u64,
    tallies: BTreeMap<(What, Option<String>), Tally>,
}

#[derive(Debug, Clone, Default)]
struct Tally {
    count: u64,
    places: Vec<Place>,
    records: Option<Span>,
}

impl Findings {
    pub(super) fn push(
        &mut self,
        what: What,
        log: Option<&str>,
        records: Option<Span>,
        places: Vec<Place>,
        text: impl Into<String>,
    ) {
        // Remarks must not crowd findings out.
        let kept = if what.is_remark() { &mut self.remarks } else { &mut self.findings };
        if kept.len() == MAX_FINDINGS {
            self.beyond = self.beyond.saturating_add(u64::from(!what.is_remark()));
            return;
        }
        let log = log.map(str::to_owned);
        kept.push(Finding { what, log, records, places, text: text.into() });
    }

    /// Counts a remark of which there may be as many as there are lines.
    pub(super) fn tally(&mut self, what: What, log: Option<&str>, index: Option<u64>, place: Place) {
        let tally = self.tallies.entry((what, log.map(str::to_owned))).or_default();
        tally.count = tally.count.saturating_add(1);
        if tally.places.len() < MAX_PLACES {
            tally.places.push(place);
        }
        if let Some(index) = index {
            let span = tally.records.get_or_insert(Span::of(index));
            *span = Span { first: span.first.min(index), last: span.last.max(index) };
        }
    }

    /// The findings and the remarks, each in the order of the lines, and how many findings more there were.
    pub(super) fn finish(self) -> (Vec<Finding>, Vec<Finding>, u64) {
        let mut all = self.findings;
        all.extend(self.remarks);
        for ((what, log), Tally { count, places, records }) in self.tallies {
            let text = tally_text(what, count);
            all.push(Finding { what, log, records, places, text });
        }
        all.sort_by(|a, b| {
            (&a.places.first(), a.records, a.what).cmp(&(&b.places.first(), b.records, b.what))
        });
        let (remarks, findings) = all.into_iter().partition(|finding| finding.what.is_remark());
        (findings, remarks, self.beyond)
    }
}

fn tally_text(what: What, count: u64) -> String {
    let (one, many) = match what {
        What::Reformatted => (
            "this line is not written as the relay writes it; its content is the same",
            "lines are not written as the relay writes them; their content is the same",
        ),
        What::NotUnderstood => (
            "this record is of a kind that this version does not know; it is sealed like any other",
            "records are of kinds that this version does not know; they are sealed like any other",
        ),
        What::Redacted => (
            "this proof has values replaced by their hashes: who knows them can check its signature",
            "proofs have values replaced by their hashes: who knows them can check their signatures",
        ),
        What::Repeated => (
            "this proof was allowed before: another relay, and one that was started again, do not know what is used",
            "proofs were allowed before: another relay, and one that was started again, do not know what is used",
        ),
        What::Torn => ("the input ends in the middle of this line", "inputs end in the middle of a line"),
        What::TooLate => (
            "this checkpoint stands too late to be compared with the tree of its size",
            "checkpoints stand too late to be compared with the tree of their size",
        ),
        _ => ("this is neither a record nor a checkpoint", "values are neither records nor checkpoints"),
    };
    if count == 1 { one.to_owned() } else { format!("{count} {many}") }
}
