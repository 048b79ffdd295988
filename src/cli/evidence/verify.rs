//! `evidence verify`: whether a log is the one that was written.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::{Failure, Input, KeyArgs, output, read_text};
use crate::evidence::check::{Checker, LogReport, Place, Report, Settings};
use crate::evidence::line::Line;
use crate::evidence::stream::Values;
use crate::printable::printable;

pub(super) const EXAMPLES: &str = "\
Examples:
  proof-messenger-relay evidence verify --key log.vkey evidence.jsonl
  With a checkpoint that was kept elsewhere, so that nobody can have cut the end off:
  proof-messenger-relay evidence verify --key log.vkey --checkpoint monday.txt evidence.jsonl
  As a log pipeline hands it over:
  kubectl logs deployment/relay | proof-messenger-relay evidence verify --key log.vkey --any-order -
  (with log.format: json, since that has what the relay writes to standard error as well)
  A newer file alone, with the checkpoint that the older one ended with:
  proof-messenger-relay evidence verify --key log.vkey --begins-with april.txt --checkpoint may.txt may.jsonl

Older files stand before newer ones. A file that is not the first begins with the checkpoint that the one before ends with;
without the older ones, that checkpoint must have been kept elsewhere, and is given with --begins-with.
Exit codes: 0 sound, 1 findings, 64 wrong usage, or a file that cannot be read.
Remarks are no findings: what they are about is sealed, or is not there to be sealed yet.";

#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyArgs {
    #[command(flatten)]
    keys: KeyArgs,
    /// A checkpoint of the log that was kept elsewhere: a signed note, or its line of the log. May be repeated.
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// The checkpoint that the files before these ended with, kept elsewhere: the log may begin with it. May be repeated.
    #[arg(long, value_name = "FILE")]
    begins_with: Vec<PathBuf>,
    /// Take the lines in any order, as a log pipeline may hand them over. This takes memory for each record.
    #[arg(long)]
    any_order: bool,
    /// Leave the proofs inside the records unchecked.
    #[arg(long)]
    no_proofs: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Logs, the older ones first; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(super) fn run(args: VerifyArgs) -> Result<(), Failure> {
    let settings = Settings {
        keys: args.keys.keys()?,
        witnesses: args.keys.witnesses()?,
        any_order: args.any_order,
        without_proofs: args.no_proofs,
    };
    let has_witnesses = !settings.witnesses.is_empty();
    let mut checker = Checker::new(settings);
    let place = |path: &Path| Place { file: Arc::from(path.display().to_string()), line: 1 };
    for path in &args.checkpoint {
        checker.keep(&checkpoint(path)?, place(path));
    }
    for path in &args.begins_with {
        checker.begin(&checkpoint(path)?, place(path));
    }
    let inputs = Input::open_all(&args.files)?;
    let progress = progress(&inputs);
    for Input { name, content, .. } in inputs {
        let mut values = Values::new(content);
        let begin = progress.position();
        let mut count = 0_u32;
        while values
            .next(|piece| checker.take(&name, &piece))
            .map_err(|error| Input::failed(&name, &error))?
            .is_some()
        {
            count = count.wrapping_add(1);
            if count.is_multiple_of(1024) {
                progress.set_position(begin + values.consumed());
            }
        }
        progress.set_position(begin + values.consumed());
    }
    progress.finish_and_clear();
    let report = checker.finish();
    if args.json {
        output::json(&report)?;
    } else {
        print_text(&report, args.no_proofs, has_witnesses);
    }
    if report.findings.is_empty() { Ok(()) } else { Err(Failure::Failed(String::new())) }
}

/// It draws on standard error, and only where that is a terminal.
fn progress(inputs: &[Input]) -> ProgressBar {
    let length: Option<u64> = inputs.iter().map(|input| input.length).sum();
    match length {
        Some(length) => ProgressBar::new(length).with_style(
            ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {eta} left")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        ),
        None => ProgressBar::new_spinner(),
    }
}

/// The signed note in a file, or in a line of a log.
fn checkpoint(path: &Path) -> Result<String, Failure> {
    let text = read_text(path)?;
    if !text.trim_start().starts_with('{') {
        return Ok(text);
    }
    match Line::read(&text) {
        Ok(Line::Checkpoint(line)) => Ok(line.note.into_owned()),
        _ => Err(Failure::Usage(format!("{}: expected one checkpoint", path.display()))),
    }
}

fn print_text(report: &Report, no_proofs: bool, has_witnesses: bool) {
    for log in &report.logs {
        print_log(log, has_witnesses);
    }
    let counts = &report.counts;
    if let (Some(since), Some(until)) = (&counts.since, &counts.until) {
        outln!("{}, from {} to {}", number(counts.records, "record"), printable(since), printable(until));
        outln!(
            "decisions: {} allowed, {} denied, {} observed; {} without a record",
            counts.allowed,
            counts.denied,
            counts.observed,
            counts.lost
        );
    }
    if no_proofs {
        outln!("proofs: not checked");
    } else {
        let proofs = counts.proofs;
        let contradicted = match proofs.contradicted {
            0 => String::new(),
            proofs => format!("{proofs} contradicted by their records; "),
        };
        outln!(
            "proofs: {} verified; {} refused by the relay, rightly; {contradicted}{} with values that are not shown",
            proofs.verified,
            proofs.refused,
            proofs.redacted
        );
    }
    for remark in &report.remarks {
        outln!("remark: {}", printable(&remark.to_string()));
    }
    for finding in &report.findings {
        outln!("{}", printable(&finding.to_string()));
    }
    match report.findings.len() as u64 + report.more_findings {
        0 => outln!("sound: no finding"),
        findings => outln!("{}", number(findings, "finding")),
    }
}

fn print_log(log: &LogReport, has_witnesses: bool) {
    let origin = printable(&log.origin);
    let checkpoints = number(log.checkpoints, "checkpoint");
    match log.covered() {
        Some(covered) if log.checkpoints == 0 => {
            outln!(
                "log {origin}: no checkpoint among its lines, and one that was kept elsewhere seals {covered}"
            );
        }
        Some(covered) => outln!("log {origin}: {checkpoints}, the newest one seals {covered}"),
        None => outln!("log {origin}: {checkpoints}, which seal no record"),
    }
    for by in &log.cosigned {
        let time = by.timestamp.map(|time| format!(", {}", super::story::time(time))).unwrap_or_default();
        outln!("  cosigned by {} up to a size of {}{time}", printable(&by.witness), by.size);
    }
    if has_witnesses && log.cosigned.is_empty() {
        outln!("  cosigned by none of the witnesses");
    }
}

fn number(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
