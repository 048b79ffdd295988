//! `lint`: the proxy's configuration, before it serves.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::{Failure, output};
use crate::config::Problems;
use crate::lint::{File, Finding, Report, Rule, lint};
use crate::printable::printable;

pub(super) const EXAMPLES: &str = "\
Examples:
  proof-messenger-relay lint envoy/envoy.yaml
  proof-messenger-relay lint listeners.yaml routes.yaml
  kubectl get securitypolicies -A -o yaml | proof-messenger-relay lint -

Exit codes: 0 sound, 1 something undoes the protection, 64 a file that cannot be read, or none that asks the relay.";

#[derive(Debug, Args)]
pub(super) struct LintArgs {
    /// Files that belong together: Envoy, Istio or Envoy Gateway, as YAML or JSON; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Leave out what this rule finds: a route that is exempt on purpose, for example. May be repeated.
    #[arg(long, value_name = "RULE")]
    allow: Vec<Rule>,
    /// Print the findings as a JSON array.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(LintArgs { files, allow, json }: LintArgs) -> Result<(), Failure> {
    let files: Vec<File> = files.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    let mut reports = lint(&files)
        .map_err(|problems| Failure::usage(Problems { name: printable(&problems.name), ..problems }))?;
    for report in &mut reports {
        report.findings.retain(|finding| !allow.contains(&finding.rule));
    }
    if json {
        print_json(&reports)?;
    } else {
        reports.iter().for_each(print_text);
    }
    // Not on standard output, where scripts expect findings.
    for report in &reports {
        if let Some(ignored) = report.ignored() {
            eprintln!("{}: {ignored}", report.name);
        }
    }
    match reports.iter().any(|report| report.errors().next().is_some()) {
        true => Err(Failure::Failed(String::new())),
        false => Ok(()),
    }
}

fn read(path: &Path) -> Result<File, Failure> {
    let mut text = String::new();
    let (name, read) = match path.to_str() {
        Some("-") => ("standard input".to_owned(), std::io::stdin().read_to_string(&mut text).map(|_| text)),
        _ => (path.display().to_string(), std::fs::read_to_string(path)),
    };
    match read {
        Ok(text) => Ok(File { name, text }),
        Err(error) => Err(Failure::Usage(format!("{}: {error}", printable(&name)))),
    }
}

fn print_text(report: &Report) {
    let name = printable(&report.name);
    for finding in &report.findings {
        match finding.location {
            Some(at) => outln!("{name}:{}:{}: {finding}", at.line, at.column),
            None => outln!("{name}: {finding}"),
        }
    }
    outln!("{name}: {}", report.summary());
}

/// A finding with the file that it is in.
#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    #[serde(flatten)]
    finding: &'a Finding,
}

fn print_json(reports: &[Report]) -> Result<(), Failure> {
    let lines: Vec<Line<'_>> = reports
        .iter()
        .flat_map(|report| report.findings.iter().map(|finding| Line { file: &report.name, finding }))
        .collect();
    output::json(&lines)
}
