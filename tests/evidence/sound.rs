//! Logs that nobody touched, however they were moved.

use proof_messenger_relay::evidence::check::What;

use crate::support::evidence::{LogWriter, ORIGIN, check, check_files, settings};

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
    let reversed = check_files(&[("newer", newer.as_bytes()), ("older", older.as_bytes())], settings(), &[]);
    assert!(reversed.findings.iter().all(|finding| finding.what == What::Moved), "{:#?}", reversed.findings);
    let mut moved = vec![false; 30];
    for span in reversed.findings.iter().map(|finding| finding.records.unwrap()) {
        (span.first..=span.last).for_each(|index| moved[usize::try_from(index).unwrap()] = true);
    }
    assert_eq!(moved, [true; 30]);

    let newer = check(newer, settings(), &[&log.newest]);
    assert_eq!(newer.findings, []);
    assert_eq!(newer.remarks[0].what, What::BeginsLate);
    assert_eq!((newer.logs[0].first, newer.logs[0].sealed), (30, 70));
}
