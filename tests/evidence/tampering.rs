//! Whatever is done to a log is found, and where.

use std::sync::{Arc, OnceLock};

use proof_messenger_relay::evidence::check::{Checker, Finding, Place, Report, Span, What};
use proof_messenger_relay::evidence::stream::{Piece, Values};
use proptest::prelude::RngExt as _;
use proptest::test_runner::{RngAlgorithm, TestRng};

use crate::support::evidence::{LogWriter, ORIGIN, check, lean};

const RECORDS: u64 = 1000;
const EVERY: u64 = 20;
/// Lines from one checkpoint to the next.
const SEGMENT: usize = 21;

/// A log of 1,000 records with a checkpoint after every 20, and checks that came as far as each of them: what stands
/// before a change needs no second look.
struct Long {
    log: LogWriter,
    checks: Vec<Checker>,
}

fn long() -> &'static Long {
    static LONG: OnceLock<Long> = OnceLock::new();
    LONG.get_or_init(|| {
        let log = LogWriter::filled(ORIGIN, RECORDS, EVERY);
        let mut checks = vec![Checker::new(lean())];
        for (segment, lines) in log.lines.chunks(SEGMENT).enumerate() {
            let mut checker = checks.last().unwrap().clone();
            feed(&mut checker, segment * SEGMENT, lines.concat());
            checks.push(checker);
        }
        Long { log, checks }
    })
}

/// Goes on with a log after so many lines.
fn feed(checker: &mut Checker, after: usize, text: impl AsRef<[u8]>) {
    let file = Arc::from("log");
    let mut values = Values::new(text.as_ref());
    let mut take = |mut piece: Piece<'_>| {
        piece.line += after as u64;
        checker.take(&file, &piece);
    };
    while values.next(&mut take).unwrap().is_some() {}
}

impl Long {
    /// What is said of the log when its lines from `first` to `last` are changed like this. What comes more than a
    /// checkpoint later is left out.
    fn changed(&self, first: usize, last: usize, change: impl FnOnce(&mut Vec<String>)) -> Report {
        let begin = first / SEGMENT * SEGMENT;
        let end = (last / SEGMENT + 2) * SEGMENT;
        let mut lines = self.log.lines[..end.min(self.log.lines.len())].to_vec();
        change(&mut lines);
        let mut checker = self.checks[first / SEGMENT].clone();
        feed(&mut checker, begin, lines[begin..].concat());
        checker.finish()
    }
}

/// The position of a record among the lines.
fn position(index: u64) -> usize {
    usize::try_from(index + index / EVERY).unwrap()
}

/// What the line there is: a record, or a checkpoint.
fn record_at(line: usize, every: u64) -> Option<u64> {
    let line = line as u64;
    (line % (every + 1) != every).then(|| line - line / (every + 1))
}

fn random() -> TestRng {
    TestRng::deterministic_rng(RngAlgorithm::ChaCha)
}

fn named(report: &Report, what: What) -> Vec<&Finding> {
    report.findings.iter().filter(|finding| finding.what == what).collect()
}

/// Each of the findings is this one.
#[track_caller]
fn assert_only(report: &Report, what: What, span: Span, context: &str) {
    let found: Vec<(What, Option<Span>)> =
        report.findings.iter().map(|finding| (finding.what, finding.records)).collect();
    assert_eq!(found, [(what, Some(span))], "{context}: {:#?}", report.findings);
}

/// Several threads share the cases: checks in a debug build take their time.
fn in_parallel<T: Send>(cases: Vec<T>, check: impl Fn(T) + Sync) {
    let cases = std::sync::Mutex::new(cases.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let case = cases.lock().unwrap().next();
                    let Some(case) = case else { break };
                    check(case);
                }
            });
        }
    });
}

#[test]
fn a_record_that_is_gone_is_named() {
    let cases: Vec<u64> = (0..RECORDS).collect();
    in_parallel(cases, |index| {
        let line = position(index);
        let report = long().changed(line, line, |lines| drop(lines.remove(line)));
        let missing = named(&report, What::Missing);
        assert_eq!(missing.len(), 1, "{index}: {:#?}", report.findings);
        assert_eq!(missing[0].records, Some(Span::of(index)));
        // All that is damaged besides is a piece of the tree, and it holds the record.
        for finding in report.findings.iter().filter(|finding| finding.what != What::Missing) {
            assert_eq!(finding.what, What::NotConfirmed, "{index}");
            assert!(finding.records.unwrap().contains(index), "{index}");
        }
        // After the next checkpoint all is well again.
        assert_eq!(report.logs[0].sealed, RECORDS.min((index / EVERY + 2) * EVERY));
    });
}

#[test]
fn a_record_that_stands_twice_is_named_with_both_places() {
    let mut random = random();
    let cases: Vec<(u64, usize)> = (0..RECORDS)
        .map(|index| {
            // Right behind it, or some lines away.
            let (line, lines) = (position(index), long().log.lines.len());
            let near = line.saturating_sub(40)..lines.min(line + 40);
            (index, if index % 2 == 0 { line + 1 } else { random.random_range(near) })
        })
        .collect();
    in_parallel(cases, |(index, at)| {
        let line = position(index);
        let report =
            long().changed(line.min(at), line.max(at), |lines| lines.insert(at, lines[line].clone()));
        let copied = named(&report, What::Copied);
        assert_eq!(copied.len(), 1, "{index} at {at}: {:#?}", report.findings);
        assert_eq!(copied[0].records, Some(Span::of(index)));
        let mut places: Vec<u64> = copied[0].places.iter().map(|place| place.line).collect();
        places.sort_unstable();
        let (copy, original) = (at as u64 + 1, position(index) as u64 + 1 + u64::from(at <= position(index)));
        let mut expected = vec![copy, original];
        expected.sort_unstable();
        assert_eq!(places, expected, "{index} at {at}");
    });
}

#[test]
fn records_that_changed_places_are_named_with_both() {
    let mut random = random();
    let far = (0..50).map(|_| (random.random_range(0..RECORDS), random.random_range(0..RECORDS)));
    let cases: Vec<(u64, u64)> = (0..RECORDS - 1).map(|index| (index, index + 1)).chain(far).collect();
    in_parallel(cases, |(a, b)| {
        if a == b {
            return;
        }
        let (first, last) = (position(a.min(b)), position(a.max(b)));
        let report = long().changed(first, last, |lines| lines.swap(first, last));
        let moved = named(&report, What::Moved);
        assert_eq!(moved.len(), report.findings.len(), "{a} and {b}: {:#?}", report.findings);
        let explained = |index: u64| moved.iter().any(|finding| finding.records.unwrap().contains(index));
        let both = explained(a) && explained(b);
        // Of two neighbours, one has moved past the other.
        assert!(both || a.abs_diff(b) == 1 && (explained(a) || explained(b)), "{a} and {b}: {moved:#?}");
        for finding in moved {
            let lines: Vec<u64> = finding.places.iter().map(|place| place.line).collect();
            assert_eq!(lines.len(), 2, "{a} and {b}");
            assert!(
                [a, b].iter().any(|index| lines[0] == position(*index) as u64 + 1),
                "{a} and {b}: {finding:?}"
            );
        }
    });
}

#[test]
fn what_is_cut_off_is_named_where_a_checkpoint_was_kept_elsewhere() {
    let (log, mut random) = (&long().log, random());
    let lines = 0..log.lines.len() - 1;
    let cuts: Vec<(usize, usize)> =
        lines.flat_map(|line| [(line, 0), (line, random.random_range(1..log.lines[line].len()))]).collect();
    in_parallel(cuts, |(line, bytes)| {
        let mut checker = long().checks[line / SEGMENT].clone();
        checker.keep(&log.newest, Place { file: Arc::from("kept"), line: 1 });
        let begin = line / SEGMENT * SEGMENT;
        let rest =
            [log.lines[begin..line].concat().as_bytes(), &log.lines[line].as_bytes()[..bytes]].concat();
        feed(&mut checker, begin, rest);
        let report = checker.finish();
        // A last line without its line feed is there if the rest of it is.
        let is_whole = bytes + 1 == log.lines[line].len();
        let left = (0..line + usize::from(is_whole)).filter(|line| record_at(*line, EVERY).is_some()).count();
        if left as u64 == RECORDS {
            assert_eq!(report.findings, []);
            return;
        }
        assert_only(&report, What::CutOff, Span::until(left as u64, RECORDS), &format!("{line}, {bytes}"));
        let torn = bytes > 0 && !is_whole;
        assert_eq!(report.remarks.iter().any(|remark| remark.what == What::Torn), torn, "{line}, {bytes}");
    });
}

/// One byte of a line is another one. Returns how the report tells of it.
#[track_caller]
fn assert_located(lines: &[String], every: u64, at: usize, byte: u8, report: &Report) {
    let mut rest = at;
    let line = lines.iter().position(|line| {
        let is_here = rest < line.len();
        rest -= if is_here { 0 } else { line.len() };
        is_here
    });
    let line = line.unwrap();
    let index = record_at(line, every);
    let context = format!("byte {rest} of line {} as {byte:#04x}", line + 1);
    // A line feed is on either line.
    let next = u64::from(rest + 1 == lines[line].len());
    let is_here = |finding: &&Finding| {
        let here = line as u64 + 1..=line as u64 + 1 + next;
        let by_place = finding.places.iter().any(|place| here.contains(&place.line));
        let by_index = index.is_some_and(|index| finding.records == Some(Span::of(index)));
        finding.what != What::NotConfirmed && (by_place || by_index)
    };
    let found =
        report.findings.iter().chain(&report.remarks).filter(|finding| finding.what != What::Redacted);
    let (here, elsewhere): (Vec<&Finding>, Vec<&Finding>) =
        found.filter(|finding| finding.what != What::NotConfirmed).partition(|finding| is_here(finding));
    assert!(!here.is_empty(), "{context} is not found: {elsewhere:#?}");
    let elsewhere: Vec<_> = elsewhere.iter().filter(|finding| finding.what != What::Foreign).collect();
    assert!(elsewhere.is_empty(), "{context} is found elsewhere: {elsewhere:#?}");
    if report.findings.is_empty() {
        // The content is then the same, or the line is one of somebody else.
        let harmless = |finding: &Finding| {
            matches!(finding.what, What::Reformatted | What::Uncovered | What::Foreign | What::Redacted)
        };
        assert!(report.remarks.iter().all(harmless), "{context}: {:#?}", report.remarks);
    }
}

#[test]
fn a_byte_that_is_another_one_is_located() {
    let short = LogWriter::filled(ORIGIN, 6, 3);
    let (text, mut random) = (short.text(), random());
    let other = |(at, byte): (usize, u8)| {
        let other = [byte ^ 1 << random.random_range(0..8), b' ', b'"', b'}'][random.random_range(0..4)];
        (other != byte).then_some((at, other))
    };
    let cases: Vec<(usize, u8)> = text.bytes().enumerate().filter_map(other).collect();
    in_parallel(cases, |(at, byte)| {
        let mut bytes = text.clone().into_bytes();
        bytes[at] = byte;
        let report = check(bytes, lean(), &[&short.newest]);
        assert_located(&short.lines, 3, at, byte, &report);
    });
}

#[test]
fn a_byte_of_a_long_log_that_is_another_one_is_located() {
    let (log, mut random) = (&long().log, random());
    let cases: Vec<(usize, usize, u8)> = (0..400)
        .map(|_| {
            let line = random.random_range(0..log.lines.len());
            (line, random.random_range(0..log.lines[line].len()), random.random_range(0..128))
        })
        .filter(|(line, at, byte)| log.lines[*line].as_bytes()[*at] != *byte)
        .collect();
    in_parallel(cases, |(line, at, byte)| {
        let report = long().changed(line, line, |lines| {
            let mut bytes = std::mem::take(&mut lines[line]).into_bytes();
            bytes[at] = byte;
            lines[line] = String::from_utf8_lossy(&bytes).into_owned();
        });
        let before: usize = log.lines[..line].iter().map(String::len).sum();
        assert_located(&log.lines, EVERY, before + at, byte, &report);
    });
}

#[test]
fn records_that_moved_together_are_one_move() {
    let (log, every) = (LogWriter::filled(ORIGIN, 60, 20), 21);
    // The second segment, with its checkpoint, at the end.
    let mut lines = log.lines;
    lines[every..].rotate_left(every);
    let report = check(lines.concat(), lean(), &[]);
    let moved: Vec<(What, Option<Span>)> =
        report.findings.iter().map(|finding| (finding.what, finding.records)).collect();
    // A full subtree of 32 leaves ends within them.
    let spans = [(20, 31), (32, 39)].map(|(first, last)| (What::Moved, Some(Span { first, last })));
    assert_eq!(moved, spans, "{:#?}", report.findings);
}
