//! Secrets in signature bases: a value that must not be kept is replaced by its hash.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use base64ct::{Base64, Encoding as _};

use crate::crypto::sha256;

/// A line of a signature base (RFC 9421 §2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'b> {
    /// The name of the component.
    pub name: &'b str,
    /// The component identifier: the name in quotes, and its parameters.
    pub identifier: &'b str,
    /// What stands behind the colon.
    pub value: &'b str,
}

/// The lines of a base, `@signature-params` among them. What is no such line is left out.
pub fn lines(base: &str) -> impl Iterator<Item = Line<'_>> {
    base.split('\n').filter_map(line)
}

/// What a line begins with, in quotes.
fn name(line: &str) -> Option<&str> {
    Some(line.strip_prefix('"')?.split_once('"')?.0)
}

/// No value holds a line feed, and no name a quote; only the strings in parameters can hold a colon before the one that
/// ends the identifier.
fn line(line: &str) -> Option<Line<'_>> {
    let name = name(line)?;
    let mut quoted = false;
    let mut escaped = false;
    let colon = line.char_indices().find_map(|(at, c)| {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            ':' if !quoted && !line.get(..at)?.ends_with(':') => {
                // A byte sequence as a parameter stands between two colons; the end has a space behind it.
                return line.get(at..at + 2).filter(|end| *end == ": ").map(|_| at);
            }
            _ => {}
        }
        None
    })?;
    let (identifier, value) = (line.get(..colon)?, line.get(colon + 2..)?);
    Some(Line { name, identifier, value })
}

/// What stands for a value in a redacted base.
#[must_use]
pub fn placeholder(value: &str) -> String {
    format!("sha-256=:{}:", Base64::encode_string(&sha256(value.as_bytes())))
}

/// The base with the values of these components replaced, and the names of those that it has; nothing where it has none.
#[must_use]
pub fn redact<'n>(base: &str, names: &'n [Box<str>]) -> Option<(String, Vec<&'n str>)> {
    // Every record comes by here, and few have anything to replace: a look at the names is enough.
    let present: Vec<&str> = base.split('\n').filter_map(name).collect();
    let found: Vec<&str> = names.iter().map(|name| &**name).filter(|name| present.contains(name)).collect();
    if found.is_empty() {
        return None;
    }
    let shown = base.split('\n').map(|text| match line(text) {
        Some(Line { name, identifier, value }) if found.contains(&name) => {
            format!("{identifier}: {}", placeholder(value))
        }
        _ => text.to_owned(),
    });
    Some((shown.collect::<Vec<_>>().join("\n"), found))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "\"@method\": POST\n\"authorization\": Bearer a: b\n\"x\";key=\"a: \\\"b\": 1: 2\n\
                        \"@signature-params\": (\"@method\" \"authorization\" \"x\";key=\"a: \\\"b\");created=1";

    #[test]
    fn every_line_is_told_apart() {
        let lines: Vec<_> = lines(BASE).map(|line| (line.name, line.identifier, line.value)).collect();
        assert_eq!(lines[1], ("authorization", "\"authorization\"", "Bearer a: b"));
        assert_eq!(lines[2], ("x", "\"x\";key=\"a: \\\"b\"", "1: 2"));
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn only_the_named_values_are_replaced() {
        let names = ["authorization".into(), "cookie".into()];
        let (base, found) = redact(BASE, &names).unwrap();
        assert_eq!(found, ["authorization"]);
        assert!(!base.contains("Bearer") && base.contains("\"x\";key=\"a: \\\"b\": 1: 2"), "{base}");
        assert_eq!(base.replace(&placeholder("Bearer a: b"), "Bearer a: b"), BASE);
        assert_eq!(redact(BASE, &["cookie".into()]), None);
    }
}
