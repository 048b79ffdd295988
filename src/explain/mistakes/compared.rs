//! Bases in which more than one thing is wrong: what shows when they are compared line by line.

use super::Parts;
use crate::explain::{Mistake, named, printable};

/// What is wrong with a base that no single known mistake makes.
pub(in crate::explain) fn of_lines(parts: &Parts<'_>, client: &[u8]) -> Vec<Mistake> {
    let text = String::from_utf8_lossy(client);
    let mut mistakes = Vec::new();
    let mut add = |name, sentence: String| mistakes.push(Mistake { name, sentence: printable(&sentence) });
    if text.ends_with('\n') {
        add("trailing-newline", "the base that the client printed ends with a newline".to_owned());
    }
    if text.contains('\r') {
        add("crlf", "the base that the client printed has carriage returns".to_owned());
    }
    let mut lines: Vec<&str> = text.lines().collect();
    let last = lines.pop_if(|line| line.starts_with("\"@signature-params\""));
    let right = parts.right();
    let right_last = right.rsplit('\n').next().unwrap_or_default();
    // An identifier ends at the first colon behind its last quote: names of fields hold none.
    let split = |line: &str| {
        let end = line.find("\":").map(|at| at + 1).or_else(|| line.find(':')).unwrap_or(line.len());
        let (identifier, rest) = line.split_at(end);
        (identifier.to_owned(), rest.strip_prefix(':').unwrap_or(rest).to_owned())
    };
    let found: Vec<(String, String)> = lines.into_iter().map(split).collect();
    let known: Vec<&str> = parts.lines.iter().map(|line| line.identifier.as_str()).collect();
    for identifier in known.iter().filter(|known| !found.iter().any(|(found, _)| found == *known)) {
        add("component-missing", format!("the base that the client printed lacks the line of {identifier}"));
    }
    for (identifier, _) in found.iter().filter(|(found, _)| !known.contains(&found.as_str())) {
        let identifier = named(identifier);
        add(
            "component-extra",
            format!("the base that the client printed has a line too many, of {identifier}"),
        );
    }
    let common = |identifier: &&str| found.iter().any(|(found, _)| found == identifier);
    let expected: Vec<&str> = known.iter().copied().filter(common).collect();
    let order: Vec<&str> =
        found.iter().map(|(found, _)| found.as_str()).filter(|found| known.contains(found)).collect();
    if expected != order && expected.len() == order.len() {
        let sentence =
            format!("the base that the client printed has its components in the order {}", order.join(" "));
        add("component-order", sentence);
    }
    for line in &parts.lines {
        let of_line = found.iter().find(|(identifier, _)| *identifier == line.identifier);
        match of_line {
            Some((_, value)) if value.strip_prefix(' ') != Some(line.value.as_str()) => {
                let identifier = &line.identifier;
                add(
                    "other-value",
                    format!("the base that the client printed has another value of {identifier}"),
                );
            }
            _ => {}
        }
    }
    match last {
        None => add(
            "params-line",
            "the base that the client printed lacks the line of \"@signature-params\"".to_owned(),
        ),
        Some(last) if last != right_last => add(
            "other-params",
            "the base that the client printed has other parameters than Signature-Input".to_owned(),
        ),
        Some(_) => {}
    }
    mistakes
}
