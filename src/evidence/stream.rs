//! A log as it comes: JSON values one after the other, read with bounded memory, however their lines are broken.

use std::io::{self, ErrorKind, Read};
use std::ops::Range;

use serde::de::IgnoredAny;
use serde_json::error::Category;

use super::line::Line;

/// How long a value may be, in bytes. The relay's own are bounded by its limits for headers, far below.
pub const MAX_VALUE: usize = 16 << 20;

/// How much is asked for at once.
const STEP: usize = 256 << 10;

/// What comes next in a log.
#[derive(Debug)]
pub struct Piece<'b> {
    /// The number of the line that it begins on, from 1.
    pub line: u64,
    /// The text of the value, or of what is none: the beginning of it where it is long.
    pub text: &'b [u8],
    /// Whether it begins where a line begins, and a line feed follows on it.
    pub is_a_line: bool,
    pub read: Result<Line<'b>, Unreadable>,
}

/// Why something is no value of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// The input ends in the middle of it.
    Torn,
    Wrong(String),
}

/// What the parser says, without where: it counts from the beginning of the value.
fn no_json(error: &serde_json::Error) -> Unreadable {
    let error = error.to_string();
    Unreadable::Wrong(error.split(" at line ").next().unwrap_or_default().to_owned())
}

/// Reads the values of a log.
#[derive(Debug)]
pub struct Values<R> {
    input: R,
    buffer: Vec<u8>,
    /// Before it everything is done with.
    start: usize,
    ended: bool,
    /// The line that `start` is on.
    line: u64,
    at_start_of_line: bool,
    /// Whether nothing but white space stands before `start` on its line.
    is_first_of_line: bool,
    consumed: u64,
    /// Up to there something was looked for the end of a value, and there was none: what begins before it has its end on its line,
    /// or none. Else each line could be the beginning of something that takes all the others to refuse.
    looked_at: u64,
}

impl<R: Read> Values<R> {
    pub const fn new(input: R) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            start: 0,
            ended: false,
            line: 1,
            at_start_of_line: true,
            is_first_of_line: true,
            consumed: 0,
            looked_at: 0,
        }
    }

    /// How many bytes are done with.
    pub const fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Hands the next piece to `take`, or returns nothing at the end.
    ///
    /// # Errors
    /// When the input cannot be read.
    pub fn next<T>(&mut self, take: impl FnOnce(Piece<'_>) -> T) -> io::Result<Option<T>> {
        self.skip_byte_order_mark()?;
        if !self.skip_white_space()? {
            return Ok(None);
        }
        // Nearly always a value is a line: then one look at it is enough.
        if self.is_first_of_line
            && let Some(end) = self.end_of_line()?
            && let Some(text) = self.buffer.get(self.start..end)
            && let Ok(line) = read(text)
        {
            let is_a_line = self.at_start_of_line;
            let taken = take(Piece { line: self.line, text, is_a_line, read: Ok(line) });
            self.consume(end);
            return Ok(Some(taken));
        }
        let (range, wrong) = match self.value()? {
            Ok(end) => (self.start..end, None),
            Err(wrong) => (self.start..self.resynchronised()?, Some(wrong)),
        };
        let is_a_line = self.at_start_of_line && self.buffer.get(range.end) == Some(&b'\n');
        let Range { end, .. } = range;
        let text = self.buffer.get(range).unwrap_or_default();
        let read = match wrong {
            Some(wrong) => Err(wrong),
            None => read(text),
        };
        let taken = take(Piece { line: self.line, text, is_a_line, read });
        self.consume(end);
        Ok(Some(taken))
    }

    /// Some programs put it before whatever they save as UTF-8.
    fn skip_byte_order_mark(&mut self) -> io::Result<()> {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        if self.consumed == 0 && self.start == 0 {
            while self.buffer.len() < MARK.len() && self.fill()? {}
            if self.buffer.starts_with(MARK) {
                self.consume(MARK.len());
                self.is_first_of_line = true;
            }
        }
        Ok(())
    }

    /// Whether anything comes after it.
    fn skip_white_space(&mut self) -> io::Result<bool> {
        loop {
            let rest = self.buffer.get(self.start..).unwrap_or_default();
            match rest.iter().position(|byte| !byte.is_ascii_whitespace()) {
                Some(0) => return Ok(true),
                Some(blank) => {
                    self.consume(self.start + blank);
                    return Ok(true);
                }
                None => {
                    self.consume(self.buffer.len());
                    if !self.fill()? {
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// Where the line feed stands that ends this line, or the end of the input.
    fn end_of_line(&mut self) -> io::Result<Option<usize>> {
        let mut from = self.start;
        loop {
            let rest = self.buffer.get(from..).unwrap_or_default();
            if let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
                return Ok(Some(from + length));
            }
            let known = self.buffer.len() - self.start;
            if known > MAX_VALUE {
                return Ok(None);
            }
            if !self.fill()? {
                return Ok(Some(self.buffer.len()));
            }
            from = self.start + known;
        }
    }

    /// Where the JSON value ends that begins here, over as many lines as it takes.
    fn value(&mut self) -> io::Result<Result<usize, Unreadable>> {
        if self.consumed < self.looked_at {
            return self.value_in_line();
        }
        let mut looked_at = 0;
        let end = loop {
            let rest = self.buffer.get(self.start..).unwrap_or_default();
            // Looking again only when twice as much is there keeps the work in proportion.
            if rest.len() >= 2 * looked_at || self.ended {
                looked_at = rest.len();
                let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<IgnoredAny>();
                match values.next() {
                    Some(Ok(IgnoredAny)) => return Ok(Ok(self.start + values.byte_offset())),
                    Some(Err(error)) if error.classify() == Category::Eof => {
                        if self.ended {
                            // Where a line was finished, nothing was torn off.
                            break Err(match rest.ends_with(b"\n") {
                                true => no_json(&error),
                                false => Unreadable::Torn,
                            });
                        }
                    }
                    Some(Err(error)) => {
                        looked_at = position(rest, error.line(), error.column());
                        break Err(no_json(&error));
                    }
                    None => break Err(Unreadable::Torn),
                }
                if looked_at > MAX_VALUE {
                    break Err(Unreadable::Wrong(format!("longer than {MAX_VALUE} bytes")));
                }
            }
            self.fill()?;
        };
        self.looked_at = self.consumed + looked_at as u64;
        Ok(end)
    }

    /// Where the JSON value ends that begins here and ends on this line.
    fn value_in_line(&mut self) -> io::Result<Result<usize, Unreadable>> {
        let end = self.end_of_line()?.unwrap_or(self.buffer.len());
        let text = self.buffer.get(self.start..end).unwrap_or_default();
        let mut values = serde_json::Deserializer::from_slice(text).into_iter::<IgnoredAny>();
        Ok(match values.next() {
            Some(Ok(IgnoredAny)) => Ok(self.start + values.byte_offset()),
            Some(Err(error)) => {
                let is_torn = error.classify() == Category::Eof && self.ended && end == self.buffer.len();
                Err(if is_torn { Unreadable::Torn } else { no_json(&error) })
            }
            None => Err(Unreadable::Torn),
        })
    }

    /// The end of what is no value: before the next line that begins as one of the relay does. What is long is left out
    /// in the middle.
    fn resynchronised(&mut self) -> io::Result<usize> {
        let mut from = self.start;
        loop {
            let rest = self.buffer.get(from..).unwrap_or_default();
            if let Some(position) = rest.windows(2).position(|pair| pair == b"\n{") {
                return Ok(from + position);
            }
            if self.ended {
                return Ok(self.buffer.len());
            }
            let known = self.buffer.len() - self.start;
            if known > MAX_VALUE {
                let excess = known - MAX_VALUE / 2 - 1;
                let from = self.start + MAX_VALUE / 2;
                let left_out = self.buffer.drain(from..from + excess);
                self.line += left_out.filter(|byte| *byte == b'\n').count() as u64;
                self.consumed += excess as u64;
            }
            let known = self.buffer.len() - self.start;
            self.fill()?;
            from = self.start + known.saturating_sub(1);
        }
    }

    fn consume(&mut self, end: usize) {
        let gone = self.buffer.get(self.start..end).unwrap_or_default();
        self.line += gone.iter().filter(|byte| **byte == b'\n').count() as u64;
        if let Some(last) = gone.last() {
            self.at_start_of_line = *last == b'\n';
            let on_line = gone.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
            let is_after_all = on_line.len() < gone.len() || self.is_first_of_line;
            self.is_first_of_line = is_after_all && on_line.iter().all(u8::is_ascii_whitespace);
        }
        self.consumed += gone.len() as u64;
        self.start = end;
    }

    /// Asks for more. Whether there was any.
    fn fill(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let known = self.buffer.len();
        self.buffer.resize(known + STEP, 0);
        let read = loop {
            match self.input.read(self.buffer.get_mut(known..).unwrap_or_default()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        self.buffer.truncate(known + read.as_ref().copied().unwrap_or_default());
        self.ended = read? == 0;
        Ok(!self.ended)
    }
}

/// How many bytes come before the one that the parser names: lines and columns are counted from 1.
fn position(text: &[u8], line: usize, column: usize) -> usize {
    let before = text.split_inclusive(|byte| *byte == b'\n').take(line.saturating_sub(1));
    before.map(<[u8]>::len).sum::<usize>().saturating_add(column.saturating_sub(1))
}

fn read(text: &[u8]) -> Result<Line<'_>, Unreadable> {
    let text = std::str::from_utf8(text).map_err(|_| Unreadable::Wrong("not UTF-8".to_owned()))?;
    Line::read(text).map_err(|error| no_json(&error))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::{MAX_VALUE, Piece, Unreadable, Values};
    use crate::evidence::line::Line;

    /// Gives one byte at a time.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let most = buffer.len().min(1);
            self.0.read(&mut buffer[..most])
        }
    }

    /// Line, text, whether it is a line, what it is.
    fn pieces(input: impl Read) -> Vec<(u64, String, bool, String)> {
        let mut values = Values::new(input);
        let mut pieces = Vec::new();
        let describe = |Piece { line, text, is_a_line, read }: Piece<'_>| {
            let text = String::from_utf8_lossy(text).into_owned();
            let what = match read {
                Ok(Line::Record(_)) => "record",
                Ok(Line::Checkpoint(_)) => "checkpoint",
                Ok(Line::Foreign) => "foreign",
                Err(Unreadable::Torn) => "torn",
                Err(Unreadable::Wrong(_)) => "wrong",
            };
            (line, text, is_a_line, what.to_owned())
        };
        while let Some(piece) = values.next(describe).unwrap() {
            pieces.push(piece);
        }
        pieces
    }

    #[track_caller]
    fn assert_pieces(input: &str, expected: &[(u64, &str, bool, &str)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(line, text, is_a_line, what)| (*line, (*text).to_owned(), *is_a_line, (*what).to_owned()))
            .collect();
        assert_eq!(pieces(input.as_bytes()), expected);
        assert_eq!(pieces(Drip(input.as_bytes())), expected);
    }

    #[test]
    fn a_value_may_be_a_line_or_many_or_share_one() {
        assert_pieces("", &[]);
        assert_pieces(" \n \n", &[]);
        assert_pieces(
            "{\"evidence\":{}}\n{\"checkpoint\":\"\"}\n",
            &[(1, "{\"evidence\":{}}", true, "record"), (2, "{\"checkpoint\":\"\"}", true, "checkpoint")],
        );
        assert_pieces(
            "{\n\"evidence\":\n{}}{\"a\":1} 7\n {}",
            &[
                (1, "{\n\"evidence\":\n{}}", false, "record"),
                (3, "{\"a\":1}", false, "foreign"),
                (3, "7", false, "wrong"),
                (4, "{}", false, "foreign"),
            ],
        );
        assert_pieces("\u{feff}{}\n{}\n", &[(1, "{}", false, "foreign"), (2, "{}", true, "foreign")]);
    }

    #[test]
    fn after_what_is_no_json_it_goes_on_at_the_next_line_that_begins_like_a_value() {
        assert_pieces(
            "{\"evidence\":{}\n{\"evidence\":{\"a\":\"}}\nlog\n\n{}\n",
            &[
                (1, "{\"evidence\":{}", true, "wrong"),
                (2, "{\"evidence\":{\"a\":\"}}\nlog\n", true, "wrong"),
                (5, "{}", true, "foreign"),
            ],
        );
        assert_pieces(
            "{}\n{\"evidence\":{",
            &[(1, "{}", true, "foreign"), (2, "{\"evidence\":{", false, "torn")],
        );
    }

    /// Each of these takes hours where every value looks at what the ones before it have looked at.
    #[test]
    fn work_is_in_proportion_to_the_input() {
        let count = |input: &str| {
            let mut values = Values::new(input.as_bytes());
            let mut count = 0_usize;
            while values.next(|_| ()).unwrap().is_some() {
                count += 1;
            }
            count
        };
        let times = 1 << 18;
        assert_eq!(count(&"{\"a\":\n".repeat(times)), times);
        assert_eq!(count(&"{}".repeat(times)), times);
        assert_eq!(count(&"{} ".repeat(times)), times);
        assert_eq!(count(&format!("[{}", "\n{},".repeat(times))), 2 * times + 1);
    }

    #[test]
    fn what_follows_on_a_damaged_value_is_read_though_it_takes_many_lines() {
        assert_pieces(
            "{\"evidence\":{\n{\n\"evidence\":\n{}\n}\n",
            &[(1, "{\"evidence\":{", true, "wrong"), (2, "{\n\"evidence\":\n{}\n}", true, "record")],
        );
    }

    #[test]
    fn memory_is_bounded_where_a_value_has_no_end() {
        let endless = b"{\"a\":\"".chain(std::io::repeat(b'x').take(3 * MAX_VALUE as u64));
        let input = endless.chain(&b"\n{}\n"[..]);
        let mut values = Values::new(input);
        let wrong = values.next(|piece| (piece.line, piece.read.is_err())).unwrap();
        assert_eq!(wrong, Some((1, true)));
        assert!(values.buffer.capacity() < 4 * MAX_VALUE, "{}", values.buffer.capacity());
        assert_eq!(
            values.next(|piece| (piece.line, piece.text.to_owned())).unwrap(),
            Some((2, b"{}".to_vec()))
        );
        assert_eq!(values.next(|_| ()).unwrap(), None);
    }
}
