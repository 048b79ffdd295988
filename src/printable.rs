//! What a stranger or a file wrote, on its way to a terminal.

/// `text` fit for a terminal: whatever moves a cursor, hides or turns text around is escaped.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        // The ellipsis is where messages cut what is long.
        if matches!(c, ' '..='~' | '…') || !c.is_ascii() && c.is_alphanumeric() {
            printable.push(c);
        } else {
            printable.extend(c.escape_default());
        }
    }
    printable
}

/// A text of several lines, each fit for a terminal.
pub(crate) fn printable_lines(text: &str) -> String {
    text.trim_end().lines().map(printable).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::{printable, printable_lines};

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
}
