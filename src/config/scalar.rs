//! Where a piece of a YAML scalar stands in its file.

use super::problem::Location;

/// The place of the byte at `offset` of `content`, for a scalar that begins at `start`.
///
/// Quotation marks, indentation and folded lines are the scalar's and not the content's, but both have the same
/// characters in the same order, white space aside. So the place is found by counting those.
pub(super) fn place(text: &str, start: Location, content: &str, offset: usize) -> Location {
    let before = content.get(..offset).unwrap_or(content);
    let mut to_pass = before.chars().filter(|c| !c.is_whitespace()).count();
    let at_end = content.get(offset..).unwrap_or_default().trim().is_empty();
    let mut place = start;
    let mut characters = from(text, start).peekable();
    let escape = match characters.peek() {
        Some('|' | '>') => {
            // The header of a block: what it says is no content.
            while characters.next_if(|c| *c != '\n').is_some() {}
            None
        }
        Some(quote @ ('"' | '\'')) => {
            let escape = if *quote == '"' { '\\' } else { '\'' };
            characters.next();
            place.column += 1;
            Some(escape)
        }
        _ => None,
    };
    while let Some(c) = characters.next() {
        if c == '\n' {
            place = Location { line: place.line + 1, column: 1 };
            continue;
        }
        if !c.is_whitespace() {
            if to_pass == 0 {
                break;
            }
            to_pass -= 1;
        }
        place.column += 1;
        if Some(c) == escape {
            characters.next();
            place.column += 1;
        }
        if to_pass == 0 && at_end {
            break;
        }
    }
    place
}

/// The text from a place on.
fn from(text: &str, Location { line, column }: Location) -> impl Iterator<Item = char> {
    let lines = usize::try_from(line).unwrap_or(usize::MAX).saturating_sub(1);
    let start: usize = text.split_inclusive('\n').take(lines).map(str::len).sum();
    let columns = usize::try_from(column).unwrap_or(usize::MAX).saturating_sub(1);
    text.get(start..).unwrap_or_default().chars().skip(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place_of(text: &str, start: (u64, u64), content: &str, piece: &str) -> (u64, u64) {
        let start = Location { line: start.0, column: start.1 };
        let place = place(text, start, content, content.find(piece).unwrap());
        (place.line, place.column)
    }

    #[test]
    fn a_piece_of_a_scalar_is_found_in_every_style() {
        let content = "a > 1 && b == 'x'";
        for (text, start, expected) in [
            ("when: a > 1 && b == 'x'", (1, 7), (1, 16)),
            ("when: \"a > 1 && b == 'x'\"", (1, 7), (1, 17)),
            ("when: 'a > 1 && b == ''x'''", (1, 7), (1, 17)),
            ("k: 1\nwhen: |\n  a > 1 && b == 'x'\n", (2, 7), (3, 12)),
            ("k: 1\nwhen: >-\n  a > 1 &&\n  b == 'x'\n", (2, 7), (4, 3)),
            ("when:\n  a > 1 &&\n  b == 'x'\n", (2, 3), (3, 3)),
        ] {
            assert_eq!(place_of(text, start, content, "b =="), expected, "{text}");
        }
        assert_eq!(place_of("when: \"a == \\\"é\\\" && b\"", (1, 7), "a == \"é\" && b", "b"), (1, 22));
    }

    #[test]
    fn the_end_is_a_place_too() {
        let text = "when: a >\nnext: 1";
        let start = Location { line: 1, column: 7 };
        assert_eq!(place(text, start, "a >", 3), Location { line: 1, column: 10 });
    }
}
