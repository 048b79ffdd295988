//! Log pipelines move logs in their own ways. What they do is no damage.

use std::io::Write as _;
use std::process::{Command, Stdio};

use proof_messenger_relay::evidence::check::{Settings, What};
use serde_json::{Value, json};

use crate::support::evidence::{LogWriter, ORIGIN, check, settings};

fn log() -> LogWriter {
    LogWriter::filled(ORIGIN, 60, 20)
}

/// The text as the program hands it on, or nothing where there is no such program.
fn through(program: &str, arguments: &[&str], text: &str) -> Option<String> {
    let mut child =
        Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    let mut input = child.stdin.take().unwrap();
    let text = text.to_owned();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "{program}");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// The log is sound, and its lines are said to be written anew.
#[track_caller]
fn assert_only_reformatted(text: &str, settings: Settings) {
    let report = check(text, settings, &[&log().newest]);
    assert_eq!(report.findings, []);
    let remarks: Vec<What> = report.remarks.iter().map(|remark| remark.what).collect();
    assert!(remarks.iter().all(|what| matches!(what, What::Reformatted | What::Redacted)), "{remarks:?}");
    assert!(remarks.contains(&What::Reformatted), "{remarks:?}");
    assert_eq!((report.logs[0].records, report.logs[0].sealed), (60, 60));
}

#[test]
fn sorted_and_indented_by_python() {
    let script = "import json, sys\nfor line in sys.stdin: print(json.dumps(json.loads(line), sort_keys=True, indent=4))";
    let text = through("python3", &["-c", script], &log().text()).unwrap();
    assert!(text.lines().count() > 1000);
    assert_only_reformatted(&text, settings());
}

#[test]
fn sorted_by_jq() {
    match through("jq", &["-S", "."], &log().text()) {
        Some(text) => assert_only_reformatted(&text, settings()),
        None => eprintln!("skipped: there is no jq here"),
    }
}

#[test]
fn wrapped_among_other_members() {
    let text: String = log()
        .lines
        .iter()
        .map(|line| {
            let mut value: Value = serde_json::from_str(line).unwrap();
            value["kubernetes"] = json!({"pod": "relay-0", "load": 0.5, "evidence": {"hash": 1}});
            value["@timestamp"] = json!("2026-01-31T09:00:00Z");
            format!("{value}\r\n")
        })
        .collect();
    assert_only_reformatted(&text, settings());
}

#[test]
fn all_in_one_line() {
    assert_only_reformatted(&log().text().replace('\n', " "), settings());
}

#[test]
fn among_lines_of_other_programs() {
    let text: String = log().lines.iter().map(|line| format!("{{\"level\":\"INFO\"}}\n{line}")).collect();
    let report = check(text, settings(), &[]);
    assert_eq!(report.findings, []);
    assert!(report.remarks.iter().any(|remark| remark.what == What::Foreign));
}

#[test]
fn in_any_order() {
    let mut lines = log().lines;
    // Each step of 25 leads to another one of the 63 lines, and at last to the first again.
    let shuffled: Vec<String> = (0..63).map(|step| std::mem::take(&mut lines[step * 25 % 63])).collect();
    let any_order = || Settings { any_order: true, ..settings() };
    let report = check(shuffled.concat(), any_order(), &[&log().newest]);
    assert_eq!(report.findings, []);
    assert_eq!(report.logs[0].sealed, 60);
    // In order they are moved, and nothing else.
    let report = check(shuffled.concat(), settings(), &[]);
    assert!(!report.findings.is_empty());
    assert!(report.findings.iter().all(|finding| finding.what == What::Moved), "{:#?}", report.findings);

    for gone in 0..63 {
        let mut left = shuffled.clone();
        let line = left.remove(gone);
        let report = check(left.concat(), any_order(), &[&log().newest]);
        if line.starts_with("{\"checkpoint\"") {
            assert_eq!(report.findings, []);
            continue;
        }
        let index: Value = serde_json::from_str(&line).unwrap();
        let missing = report.findings.iter().find(|finding| finding.what == What::Missing).unwrap();
        assert_eq!(json!(missing.records.unwrap().first), index["index"]);
    }
}
