//! Headers in which the relay tells the backend what it found: `x-proof-status` and the others.

use super::Linter;
use super::node::Node;
use super::path::whole;
use super::rule::Rule;

/// What the relay sets.
const HEADERS: &[&str] = &[
    "x-proof-status",
    "x-proof-policy",
    "x-proof-id",
    "x-proof-code",
    "x-proof-evidence",
    "x-proof-subject",
    "x-proof-key-id",
    "x-proof-receipt",
];

/// Whether a header is one that only the relay may set. As the relay removes them: with any separator.
pub(super) fn is_the_relays(name: &str) -> bool {
    let name: String = name
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' })
        .collect();
    name.starts_with("x-proof-")
}

impl<'a> Linter<'a> {
    /// A header that is set or added after the decision, or where that is not known.
    pub(super) fn header_set(&mut self, name: &str, at: &Node<'a>) {
        if is_the_relays(name) {
            let found = format!("expected nobody but the relay to set it, but found {name:?}");
            self.report(Rule::ForgedHeader, at, found);
        }
    }

    /// One that is removed there.
    pub(super) fn header_removed(&mut self, name: &str, at: &Node<'a>) {
        if is_the_relays(name) {
            self.report(Rule::RemovedHeader, at, format!("expected {name:?} to stay, but found it removed"));
        }
    }

    /// What the filter header_mutation does behind ext_authz, or a route by its means.
    pub(super) fn header_mutation(&mut self, fields: &Node<'a>) {
        for mutation in request_mutations(fields) {
            if let Some(key) = mutation.path(&["append", "header", "key"]) {
                self.header_set(key.text().unwrap_or_default(), &key);
            }
            if let Some(name) = mutation.get("remove") {
                self.header_removed(name.text().unwrap_or_default(), &name);
            }
            if let Some(matcher) = mutation.path(&["remove_on_match", "key_matcher"])
                && let Some(name) = HEADERS.iter().find(|name| matches(&matcher, name))
                && let Some(at) = mutation.get("remove_on_match")
            {
                self.header_removed(name, &at);
            }
        }
    }
}

/// Mutations of requests, of the filter header_mutation.
pub(super) fn request_mutations<'a>(fields: &Node<'a>) -> Vec<Node<'a>> {
    fields.path(&["mutations", "request_mutations"]).map(|list| list.items()).unwrap_or_default()
}

/// Whether a `StringMatcher` matches a name, which is in lower case.
fn matches(matcher: &Node<'_>, name: &str) -> bool {
    let text = |member: &str| {
        let text = matcher.text_of(member)?;
        Some(if matcher.is_true("ignore_case") { text.to_ascii_lowercase() } else { text.to_owned() })
    };
    text("exact").is_some_and(|exact| exact == name)
        || text("prefix").is_some_and(|prefix| name.starts_with(&prefix))
        || text("suffix").is_some_and(|suffix| name.ends_with(&suffix))
        || text("contains").is_some_and(|part| name.contains(&part))
        || matcher
            .path(&["safe_regex", "regex"])
            .and_then(|regex| whole(regex.text()?))
            .is_some_and(|regex| regex.is_match(name.as_bytes()))
}
