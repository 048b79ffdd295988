//! Mistakes in what stands around the values: parameters, identifiers, ends of lines.

use super::parts::{Line, Parts, render};
use super::{Attempt, orders};
use crate::crypto::{sha256, sha512};
use base64ct::{Base64, Encoding as _};

pub(super) fn trailing_newline(parts: &Parts<'_>) -> Vec<Attempt> {
    let what = || "ends with a newline".to_owned();
    vec![
        Attempt::new(parts.right() + "\n", what()),
        Attempt::new(parts.right() + "\r\n", "ends with CRLF".to_owned()),
    ]
}

pub(super) fn crlf(parts: &Parts<'_>) -> Vec<Attempt> {
    let base = parts.right().replace('\n', "\r\n");
    vec![
        Attempt::new(base.clone(), "has CRLF between its lines".to_owned()),
        Attempt::new(base + "\r\n", "has CRLF between its lines and at its end".to_owned()),
    ]
}

pub(super) fn joined(parts: &Parts<'_>) -> Vec<Attempt> {
    vec![
        Attempt::new(
            parts.right().replace('\n', "\\n"),
            "has a backslash and an n between its lines".to_owned(),
        ),
        Attempt::new(parts.right().replace('\n', ""), "has nothing between its lines".to_owned()),
        Attempt::new(parts.right().replace('\n', ", "), "has commas between its lines".to_owned()),
    ]
}

pub(super) fn params_order(parts: &Parts<'_>) -> Vec<Attempt> {
    let attempt = |order: Vec<usize>| {
        let params: Vec<String> = order.iter().filter_map(|at| parts.params.get(*at)).cloned().collect();
        let what = format!("has the parameters in the order {}", names(&params));
        Attempt::new(parts.with_params(&params), what)
    };
    orders(parts.params.len()).into_iter().map(attempt).collect()
}

fn names(params: &[String]) -> String {
    let names: Vec<&str> = params.iter().map(|param| name(param)).collect();
    names.join(" ")
}

fn name(param: &str) -> &str {
    param.split_once('=').map_or(param, |(name, _)| name)
}

pub(super) fn params_dropped(parts: &Parts<'_>) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    for at in 0..parts.params.len() {
        let mut params = parts.params.clone();
        let dropped = params.remove(at);
        attempts.push(Attempt::new(
            parts.with_params(&params),
            format!("lacks the parameter {}", name(&dropped)),
        ));
        // What a library does not know it leaves out.
        if let [kept] = params.as_slice().get(..1).unwrap_or_default() {
            let what = format!("has no parameter but {}", name(kept));
            attempts.push(Attempt::new(parts.with_params(std::slice::from_ref(kept)), what));
        }
    }
    attempts.push(Attempt::new(parts.with_params(&[]), "has no parameters behind the components".to_owned()));
    attempts
}

pub(super) fn params_added(parts: &Parts<'_>) -> Vec<Attempt> {
    let algorithm = parts.algorithm.map(crate::crypto::Algorithm::name).into_iter();
    let algorithms = algorithm.chain(["ed25519", "ecdsa-p256-sha256", "hs2019"]);
    let mut attempts = Vec::new();
    for alg in algorithms {
        for at in 0..=parts.params.len() {
            let mut params = parts.params.clone();
            params.insert(at, format!("alg=\"{alg}\""));
            let what = "has a parameter alg, which Signature-Input has not".to_owned();
            attempts.push(Attempt::new(parts.with_params(&params), what));
        }
    }
    attempts
}

pub(super) fn params_quoting(parts: &Parts<'_>) -> Vec<Attempt> {
    let unquoted = |param: &String| match param.split_once('=') {
        Some((name, value)) => format!("{name}={}", value.trim_matches('"')),
        None => param.clone(),
    };
    let quoted = |param: &String| match param.split_once('=') {
        Some((name, value)) if !value.starts_with('"') => format!("{name}=\"{value}\""),
        _ => param.clone(),
    };
    let each = |change: &dyn Fn(&String) -> String, what: &str| {
        let mut attempts = Vec::new();
        let all: Vec<String> = parts.params.iter().map(change).collect();
        attempts.push(Attempt::new(parts.with_params(&all), format!("has its parameters {what}")));
        for (at, param) in parts.params.iter().enumerate() {
            let mut params = parts.params.clone();
            if let Some(changed) = params.get_mut(at) {
                *changed = change(param);
            }
            let what = format!("has the parameter {} {what}", name(param));
            attempts.push(Attempt::new(parts.with_params(&params), what));
        }
        attempts
    };
    let mut attempts = each(&unquoted, "without quotes");
    attempts.extend(each(&quoted, "in quotes"));
    attempts
}

pub(super) fn params_spelling(parts: &Parts<'_>) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    if let Some(raw) = &parts.raw_params {
        let what = "has the parameters as they came, not in canonical form".to_owned();
        attempts.push(Attempt::new(render(&parts.lines, raw), what));
    }
    let canonical = parts.params_of(&parts.lines, &parts.params);
    for (spelled, what) in [
        (canonical.replace(';', "; "), "has spaces behind the semicolons of its parameters"),
        (canonical.replace("\" \"", "\", \""), "has commas between the components of its last line"),
    ] {
        attempts.push(Attempt::new(render(&parts.lines, &spelled), what.to_owned()));
    }
    attempts
}

pub(super) fn label(parts: &Parts<'_>) -> Vec<Attempt> {
    let params = format!("{}={}", parts.label, parts.params_of(&parts.lines, &parts.params));
    let what = "has the label in front of its parameters".to_owned();
    vec![Attempt::new(render(&parts.lines, &params), what)]
}

pub(super) fn params_line(parts: &Parts<'_>) -> Vec<Attempt> {
    let params = parts.params_of(&parts.lines, &parts.params);
    let lines: Vec<String> =
        parts.lines.iter().map(|line| format!("{}: {}", line.identifier, line.value)).collect();
    let lines = lines.join("\n");
    vec![
        Attempt::new(lines.clone(), "lacks the line of \"@signature-params\"".to_owned()),
        Attempt::new(format!("{lines}\n"), "lacks the line of \"@signature-params\"".to_owned()),
        Attempt::new(
            format!("{lines}\n@signature-params: {params}"),
            "has @signature-params without quotes".to_owned(),
        ),
        Attempt::new(
            format!("{lines}\n{params}"),
            "has its parameters without \"@signature-params\": before them".to_owned(),
        ),
        Attempt::new(
            format!("\"@signature-params\": {params}\n{lines}"),
            "has \"@signature-params\" first, not last".to_owned(),
        ),
    ]
}

/// The base with every identifier changed.
fn with_identifiers(parts: &Parts<'_>, change: impl Fn(&str) -> String) -> Vec<Line> {
    let changed = |line: &Line| Line { identifier: change(&line.identifier), value: line.value.clone() };
    parts.lines.iter().map(changed).collect()
}

pub(super) fn identifiers(parts: &Parts<'_>) -> Vec<Attempt> {
    let bare = with_identifiers(parts, |identifier| identifier.replacen('"', "", 2));
    let params = parts.params_of(&parts.lines, &parts.params);
    let lines: Vec<String> =
        bare.iter().map(|line| format!("{}: {}\n", line.identifier, line.value)).collect();
    let what = || "has the names of components without quotes".to_owned();
    vec![
        Attempt::new(parts.with_lines(&bare), what()),
        Attempt::new(parts.with_lines_and_list(&bare), what()),
        Attempt::new(format!("{}@signature-params: {params}", lines.concat()), what()),
    ]
}

pub(super) fn identifier_case(parts: &Parts<'_>) -> Vec<Attempt> {
    let titled = |identifier: &str| {
        let mut start = true;
        identifier
            .chars()
            .map(|c| {
                let changed = if start { c.to_ascii_uppercase() } else { c };
                // What begins with @ is no field.
                start = matches!(c, '"' | '-') && !identifier.starts_with("\"@");
                changed
            })
            .collect()
    };
    let lines = with_identifiers(parts, titled);
    let what = || "has the names of headers in upper case".to_owned();
    vec![
        Attempt::new(parts.with_lines(&lines), what()),
        Attempt::new(parts.with_lines_and_list(&lines), what()),
    ]
}

pub(super) fn space_after_colon(parts: &Parts<'_>) -> Vec<Attempt> {
    let params = parts.params_of(&parts.lines, &parts.params);
    let lines: String =
        parts.lines.iter().map(|line| format!("{}:{}\n", line.identifier, line.value)).collect();
    let what = || "has no space behind the colon of a name".to_owned();
    vec![
        Attempt::new(format!("{lines}\"@signature-params\":{params}"), what()),
        Attempt::new(format!("{lines}\"@signature-params\": {params}"), what()),
    ]
}

/// Not the base but a hash of it.
pub(super) fn hashed(parts: &Parts<'_>) -> Vec<Attempt> {
    let base = parts.right();
    let mut attempts = Vec::new();
    for (algorithm, hash) in
        [("SHA-256", sha256(base.as_bytes()).to_vec()), ("SHA-512", sha512(base.as_bytes()).to_vec())]
    {
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let base64 = Base64::encode_string(&hash);
        attempts
            .push(Attempt::new(base64, format!("is only the {algorithm} hash of the right one, in base64")));
        attempts.push(Attempt::new(hex, format!("is only the {algorithm} hash of the right one, in hex")));
        attempts.push(Attempt::new(hash, format!("is only the {algorithm} hash of the right one")));
    }
    attempts
        .push(Attempt::new(Base64::encode_string(base.as_bytes()), "is the right one in base64".to_owned()));
    attempts
}
