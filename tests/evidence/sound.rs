//! Logs that nobody touched, however they were moved.

use proof_messenger_relay::evidence::check::{Span, What};
use proof_messenger_relay::evidence::line::Line;

use crate::support::evidence::{LogWriter, ORIGIN, check, check_files, check_from, settings};

#[test]
fn a_log_as_it_was_written_is_sound() {
    let log = LogWriter::filled(ORIGIN, 1000, 100);
    let report = check(log.text(), settings(), &[&log.newest]);
    assert_eq!(report.findings, []);
    let remarks: Vec<(What, &str)> =
        report.remarks.iter().map(|remark| (remark.what, remark.text.as_str())).collect();
    let redacted =
        "100 proofs have values replaced by their hashes: who knows them can check their signatures";
    assert_eq!(remarks, [(What::Redacted, redacted)]);
    let counts = &report.counts;
    assert_eq!((counts.records, counts.allowed, counts.denied, counts.observed), (1000, 789, 100, 100));
    assert_eq!((counts.starts, counts.lost), (1, 70));
    let proofs = counts.proofs;
    assert_eq!((proofs.verified, proofs.refused, proofs.redacted), (789, 100, 100));
    let [found] = report.logs.as_slice() else { panic!("{:?}", report.logs) };
    assert_eq!((found.records, found.first, found.sealed, found.checkpoints), (1000, 0, 1000, 10));
}

#[test]
fn files_that_go_on_from_each_other_are_one_log() {
    let log = LogWriter::filled(ORIGIN, 70, 10);
    // Each file begins with the checkpoint that the one before ends with.
    let ends: Vec<usize> = (1..=7).map(|tens| tens * 11).collect();
    let (older, newer) = (log.lines[..ends[2]].concat(), log.lines[ends[2] - 1..].concat());
    let both = check_files(&[("older", older.as_bytes()), ("newer", newer.as_bytes())], settings(), &[]);
    assert_eq!(both.findings, []);
    assert!(both.remarks.iter().all(|remark| remark.what == What::Redacted), "{:?}", both.remarks);

    // The other way round, every older record is out of order.
    let late = Some(Span { first: 0, last: 29 });
    let reversed = check_files(&[("newer", newer.as_bytes()), ("older", older.as_bytes())], settings(), &[]);
    let (begin, rest): (Vec<_>, Vec<_>) =
        reversed.findings.iter().partition(|finding| finding.what == What::BeginsLate);
    assert_eq!(begin.iter().map(|finding| finding.records).collect::<Vec<_>>(), [late]);
    assert!(rest.iter().all(|finding| finding.what == What::Moved), "{:#?}", reversed.findings);
    let mut moved = vec![false; 30];
    for span in rest.iter().map(|finding| finding.records.unwrap()) {
        (span.first..=span.last).for_each(|index| moved[usize::try_from(index).unwrap()] = true);
    }
    assert_eq!(moved, [true; 30]);

    // The older one may be away, where the checkpoint that it ends with was kept.
    let Line::Checkpoint(end) = Line::read(log.lines[ends[2] - 1].trim_end()).unwrap() else { panic!() };
    let newer = check_from(&end.note, newer, &[&log.newest, &end.note]);
    assert_eq!(newer.findings, []);
    assert_eq!(newer.remarks[0].what, What::Elsewhere);
    assert_eq!((newer.logs[0].first, newer.logs[0].sealed), (30, 70));
}

#[test]
fn a_checkpoint_that_was_kept_elsewhere_seals_a_log_that_has_none() {
    let mut log = LogWriter::filled(ORIGIN, 20, 20);
    log.lines.pop();
    let report = check(log.text(), settings(), &[&log.newest]);
    assert_eq!(report.findings, []);
    assert_eq!((report.logs[0].checkpoints, report.logs[0].sealed), (0, 20));
}
