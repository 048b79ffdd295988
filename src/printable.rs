//! What a stranger or a file wrote, on its way to a terminal.

use std::fmt::Write as _;

/// `text` fit for a terminal: whatever moves a cursor, hides or turns text around is escaped.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if is_plain(c) {
            printable.push(c);
        } else {
            printable.extend(c.escape_default());
        }
    }
    printable
}

fn is_plain(c: char) -> bool {
    // The relay's own messages cut with an ellipsis, and name sections of documents.
    matches!(c, ' '..='~' | '…' | '§') || !c.is_ascii() && c.is_alphanumeric()
}

/// A text of several lines, each fit for a terminal.
pub(crate) fn printable_lines(text: &str) -> String {
    text.trim_end().lines().map(printable).collect::<Vec<_>>().join("\n")
}

/// JSON fit for a terminal, the same values as before: outside of strings it has none of what is escaped here.
pub(crate) fn printable_json(json: &str) -> String {
    let mut printable = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || is_plain(c) {
            printable.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a text does not fail.
                let _ = write!(printable, "\\u{unit:04x}");
            }
        }
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::{printable, printable_json, printable_lines};

    #[test]
    fn what_steers_a_terminal_is_escaped() {
        for (text, expected) in [
            ("plain: \"text\", 100% \\ …", "plain: \"text\", 100% \\ …"),
            ("Zürich 東京", "Zürich 東京"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("\u{9b}2J\u{7f}", "\\u{9b}2J\\u{7f}"),
            ("a\u{202e}b\u{200b}c\u{2028}", "a\\u{202e}b\\u{200b}c\\u{2028}"),
            ("a\nb\r\t", "a\\nb\\r\\t"),
        ] {
            assert_eq!(printable(text), expected);
        }
        assert_eq!(printable_lines("a\n  b\u{1b}c\n"), "a\n  b\\u{1b}c");
    }

    #[test]
    fn json_means_the_same_and_steers_no_terminal() {
        let value = serde_json::json!({"a\u{9b}": "\u{202e}b\u{7f}\u{1b} Zürich \u{1f600}"});
        let printed = printable_json(&format!("{value:#}"));
        assert_eq!(printed, "{\n  \"a\\u009b\": \"\\u202eb\\u007f\\u001b Zürich \\ud83d\\ude00\"\n}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).unwrap(), value);
    }
}
