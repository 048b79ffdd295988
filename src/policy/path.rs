//! Paths that everybody reads alike, and patterns over them.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode_str;

use super::PatternError;
use crate::denial::{Code, Denial};
use crate::request::Request;

/// A path in decoded segments. Only what every parser reads alike becomes one.
#[derive(Debug, PartialEq, Eq)]
pub struct Path<'a> {
    segments: Vec<Cow<'a, [u8]>>,
}

impl<'a> Path<'a> {
    /// Reads the path of a request.
    ///
    /// Segments are decoded before they are compared, since that is what backends do: a policy for `/admin` must not
    /// be passed by with `/%61dmin`.
    ///
    /// # Errors
    /// `path-ambiguous` for `//`, dot segments, encoded slashes, backslashes, NUL and other control characters, bad and
    /// double escapes, escapes that are not UTF-8, path parameters (`;`), fragments and whatever is not printable ASCII. Proxies, frameworks and file
    /// systems are known to differ on each of them.
    pub fn parse(request: &Request<'a>) -> Result<Self, Denial> {
        let path = request.path();
        match (request.method, path) {
            // They have no path (RFC 9110 §7.1), and match where a policy names none.
            ("CONNECT", "") | ("OPTIONS", "*") => return Ok(Self { segments: Vec::new() }),
            _ => {}
        }
        let Some(relative) = path.strip_prefix('/') else {
            return Err(ambiguous("it does not begin with /"));
        };
        if let Some(byte) = request.target.bytes().find(|byte| !byte.is_ascii_graphic() || *byte == b'#') {
            return Err(ambiguous(&format!("it contains the byte 0x{byte:02x}")));
        }
        let count = relative.split('/').count();
        let mut segments = Vec::with_capacity(count);
        for (position, raw) in relative.split('/').enumerate() {
            let segment = decode(raw)?;
            if segment.is_empty() && position + 1 < count {
                return Err(ambiguous("it contains //"));
            }
            if matches!(&*segment, b"." | b"..") {
                return Err(ambiguous("it contains a dot segment"));
            }
            segments.push(segment);
        }
        Ok(Self { segments })
    }

    /// The segments, decoded.
    pub(super) fn segments(&self) -> &[Cow<'a, [u8]>] {
        &self.segments
    }

    /// The decoded text of one segment, or of all from there on.
    pub(super) fn text(&self, from: usize, rest: bool) -> Option<Cow<'_, str>> {
        let segments = self.segments.get(from..)?;
        match segments {
            [first, ..] if !rest => std::str::from_utf8(first).ok().map(Cow::Borrowed),
            _ => String::from_utf8(segments.join(&b'/')).ok().map(Cow::Owned),
        }
    }
}

fn decode(raw: &str) -> Result<Cow<'_, [u8]>, Denial> {
    if raw.bytes().any(|byte| matches!(byte, b'\\' | b';')) {
        return Err(ambiguous("it contains \\ or ;"));
    }
    if !are_escapes(raw) {
        return Err(ambiguous("it contains a % that is no escape"));
    }
    let decoded: Cow<'_, [u8]> = percent_decode_str(raw).into();
    if raw.len() != decoded.len()
        && decoded
            .iter()
            .any(|byte| matches!(byte, b'/' | b'\\' | b';' | b'?' | b'#') || byte.is_ascii_control())
    {
        return Err(ambiguous("it contains an encoded slash, backslash, ; ? # or control character"));
    }
    // Some servers decode twice, and some make a dot or a slash of bytes that are not UTF-8 (%c0%af).
    let escape =
        |window: &[u8]| matches!(window, [b'%', digits @ ..] if digits.iter().all(u8::is_ascii_hexdigit));
    if decoded.windows(3).any(escape) || std::str::from_utf8(&decoded).is_err() {
        return Err(ambiguous("it is still escaped when decoded, or not UTF-8"));
    }
    Ok(decoded)
}

/// Whether every `%` begins an escape (RFC 3986 §2.1).
pub(super) fn are_escapes(text: &str) -> bool {
    text.split('%').skip(1).all(|after| {
        after.as_bytes().first_chunk::<2>().is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

fn ambiguous(reason: &str) -> Denial {
    Denial::new(Code::PathAmbiguous, format!("two servers could read this path differently: {reason}"))
}

/// A pattern such as `/transfers/{account}` or `/rates/{*rest}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    segments: Vec<Segment>,
    /// `{*name}` at the end: one segment or more.
    rest: Option<Box<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(Box<[u8]>),
    /// `{name}`: exactly one segment that is not empty.
    Parameter(Box<str>),
}

impl Segment {
    /// What follows a slash at the end of a path.
    fn is_empty(&self) -> bool {
        matches!(self, Self::Literal(literal) if literal.is_empty())
    }
}

impl PathPattern {
    /// # Errors
    /// When the pattern does not begin with `/`, names a parameter twice, or mixes text and parameter in a segment.
    pub fn parse(pattern: &str) -> Result<Self, PatternError> {
        let error = |reason: &str| {
            Err(PatternError(format!(
                "expected a path such as /transfers/{{account}} or /rates/{{*rest}}, but found {pattern:?}: {reason}"
            )))
        };
        let Some(relative) = pattern.strip_prefix('/') else { return error("it does not begin with /") };
        let mut segments: Vec<Segment> = Vec::new();
        let mut parts = relative.split('/').peekable();
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            let name = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
            match (part, name) {
                ("", _) if !last => return error("it contains //, which no request may"),
                (_, Some(name)) => {
                    let rest = name.strip_prefix('*');
                    let name = rest.unwrap_or(name);
                    if name.is_empty()
                        || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                    {
                        return error("a parameter's name consists of letters, digits and _");
                    }
                    let parameter = Segment::Parameter(name.into());
                    if segments.contains(&parameter) {
                        return error("a parameter stands twice");
                    }
                    if rest.is_some() {
                        return if last {
                            Ok(Self { segments, rest: Some(name.into()) })
                        } else {
                            error("{*…} stands last")
                        };
                    }
                    segments.push(parameter);
                }
                (literal, None) => {
                    let plain = |byte: u8| byte.is_ascii_graphic() && !b"{}%?#;\\".contains(&byte);
                    // What other languages of patterns mean by these, this one writes as parameters.
                    if literal.starts_with(':') || matches!(literal, "*" | "**") {
                        return error("write a parameter as {name}, and the rest of a path as {*name}");
                    }
                    if !literal.bytes().all(plain) || matches!(literal, "." | "..") {
                        return error("write segments decoded, without { } % ? # ; and dot segments");
                    }
                    segments.push(Segment::Literal(literal.as_bytes().into()));
                }
            }
        }
        Ok(Self { segments, rest: None })
    }

    /// How many segments the pattern spells out.
    pub(super) fn segments(&self) -> usize {
        self.segments.len()
    }

    /// The text that it asks for at that position, if it asks for one.
    pub(super) fn literal(&self, position: usize) -> Option<&[u8]> {
        match self.segments.get(position)? {
            Segment::Literal(literal) => Some(literal),
            Segment::Parameter(_) => None,
        }
    }

    /// Whether a path of so many segments may match.
    pub(super) fn takes(&self, segments: usize) -> bool {
        if self.rest.is_some() { segments > self.segments.len() } else { segments == self.segments.len() }
    }

    /// The parameters by name, each with the position of its segment; `{*name}` takes all from there on.
    pub(super) fn parameters(&self) -> impl Iterator<Item = (&str, usize)> {
        let single = self.segments.iter().enumerate().filter_map(|(position, segment)| match segment {
            Segment::Parameter(name) => Some((&**name, position)),
            Segment::Literal(_) => None,
        });
        single.chain(self.rest.as_deref().map(|name| (name, self.segments.len())))
    }

    /// Whether this matches every path that the other matches.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let enough = match (&self.rest, &other.rest) {
            (None, None) => self.segments.len() == other.segments.len(),
            (None, Some(_)) => false,
            (Some(_), Some(_)) => self.segments.len() <= other.segments.len(),
            (Some(_), None) => other.segments.get(self.segments.len()).is_some_and(|first| !first.is_empty()),
        };
        enough
            && self.segments.iter().zip(&other.segments).all(|pair| match pair {
                (Segment::Literal(_), _) => pair.0 == pair.1,
                (Segment::Parameter(_), other) => !other.is_empty(),
            })
    }

    pub(super) fn matches(&self, path: &Path<'_>) -> bool {
        let rest_is_empty = || path.segments.get(self.segments.len()).is_some_and(|first| first.is_empty());
        self.takes(path.segments.len())
            && !(self.rest.is_some() && rest_is_empty())
            && self.segments.iter().zip(&path.segments).all(|(pattern, segment)| match pattern {
                Segment::Literal(literal) => **literal == **segment,
                Segment::Parameter(_) => !segment.is_empty(),
            })
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Literal(literal) => write!(f, "/{}", String::from_utf8_lossy(literal))?,
                Segment::Parameter(name) => write!(f, "/{{{name}}}")?,
            }
        }
        self.rest.as_ref().map_or(Ok(()), |rest| write!(f, "/{{*{rest}}}"))
    }
}
