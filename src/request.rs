//! The request as plain values: what the proxy showed, and nothing that it may have hidden.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::borrow::Cow;

use crate::denial::{Code, Denial, quoted};
use crate::limits::Limits;

/// A request, borrowed from whatever it was read from.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The method, as received: methods are case-sensitive (RFC 9110 §9.1).
    pub method: &'a str,
    /// `http` or `https`, as the proxy saw it.
    pub scheme: &'a str,
    /// `Host` or `:authority`, as received.
    pub authority: &'a str,
    /// Path and query, as received.
    pub target: &'a str,
    /// Whether the client spoke HTTP/1: only there is there a request target in the sense of RFC 9421 §2.2.5.
    pub http1: bool,
    /// The fields.
    pub fields: Fields<'a>,
    /// The body, or why it is not here.
    pub body: Body<'a>,
    /// An upgrade or CONNECT: what is sent after it never reaches the check.
    pub upgrade: bool,
    /// The policy that the proxy's route names.
    pub route_policy: Option<&'a str>,
    /// Who sent it, as the proxy knows.
    pub source: Source<'a>,
    /// The proxy's own random id of this request: never a header, which a client could choose.
    pub stream_id: &'a str,
}

impl<'a> Request<'a> {
    /// A request without fields and body, for those who do not come from Envoy.
    #[must_use]
    pub fn new(method: &'a str, scheme: &'a str, authority: &'a str, target: &'a str) -> Self {
        Self {
            method,
            scheme,
            authority,
            target,
            http1: true,
            fields: Fields::default(),
            body: Body::Absent,
            upgrade: false,
            route_policy: None,
            source: Source::default(),
            stream_id: "",
        }
    }

    /// The authority in lower case and without the scheme's own port (RFC 9421 §2.2.3).
    #[must_use]
    pub fn normalized_authority(&self) -> Cow<'a, str> {
        normalized_authority(self.authority, self.scheme)
    }

    /// The path, without the query.
    #[must_use]
    pub fn path(&self) -> &'a str {
        self.target.split_once('?').map_or(self.target, |(path, _)| path)
    }

    /// The query without its `?`, where there is a `?`.
    #[must_use]
    pub fn query(&self) -> Option<&'a str> {
        self.target.split_once('?').map(|(_, query)| query)
    }
}

/// An authority in lower case and without the port that goes without saying in this scheme (RFC 9421 §2.2.3).
pub(crate) fn normalized_authority<'a>(authority: &'a str, scheme: &str) -> Cow<'a, str> {
    let default_port = if scheme == "https" { ":443" } else { ":80" };
    let authority = authority.strip_suffix(default_port).unwrap_or(authority);
    if authority.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(authority.to_ascii_lowercase())
    } else {
        Cow::Borrowed(authority)
    }
}

/// The peer that sent a request to the proxy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Source<'a> {
    /// Its IP address.
    pub address: Option<&'a str>,
    /// Who it is by its client certificate: a URI or DNS name.
    pub principal: Option<&'a str>,
}

/// The body of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// There is none.
    Absent,
    /// All of it.
    Complete(&'a [u8]),
    /// Only a part of it arrived.
    Truncated {
        /// How it shows.
        evidence: &'static str,
    },
    /// It exists, or may exist, and did not arrive.
    Unavailable {
        /// How it shows, and the setting to turn on.
        evidence: &'static str,
    },
}

impl<'a> Body<'a> {
    /// The whole body, empty where there is none.
    ///
    /// # Errors
    /// `body-truncated` and `body-unavailable`.
    pub fn bytes(&self) -> Result<&'a [u8], Denial> {
        match *self {
            Self::Absent => Ok(&[]),
            Self::Complete(bytes) => Ok(bytes),
            Self::Truncated { evidence } => Err(Denial::new(Code::BodyTruncated, evidence)),
            Self::Unavailable { evidence } => Err(Denial::new(Code::BodyUnavailable, evidence)),
        }
    }
}

/// How the proxy passed the fields on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// In order, every line by itself, as bytes.
    #[default]
    Raw,
    /// Lines of one name joined with `,`, and bytes that are not UTF-8 replaced by `!`.
    Merged,
}

/// One field line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// In lower case.
    pub name: &'a str,
    pub value: &'a [u8],
}

/// The fields of a request. What is in here has well-formed names and values.
#[derive(Debug, Clone, Default)]
pub struct Fields<'a> {
    lines: Vec<Field<'a>>,
    encoding: Encoding,
}

impl<'a> Fields<'a> {
    /// Takes field lines as they came.
    ///
    /// # Errors
    /// `request-malformed` for a name that is not a lower-case token, a value with a control character, and more
    /// lines or bytes than the limits allow.
    pub fn new(lines: Vec<Field<'a>>, encoding: Encoding, limits: &Limits) -> Result<Self, Denial> {
        if lines.len() > limits.header_lines {
            return Err(malformed(format!("more than {} header lines", limits.header_lines)));
        }
        let bytes: usize = lines.iter().map(|line| line.name.len() + line.value.len()).sum();
        if bytes > limits.header_bytes {
            return Err(malformed(format!("{bytes} bytes of headers, more than {}", limits.header_bytes)));
        }
        for line in &lines {
            if !is_field_name(line.name) {
                return Err(malformed(format!("the header name {:?} is not valid", quoted(line.name))));
            }
            // RFC 9110 §5.5; a line break in a value would forge lines of the signature base (RFC 9421 §7.5.5).
            if has_control(line.value) {
                return Err(malformed(format!("the header {} has a control character", quoted(line.name))));
            }
        }
        Ok(Self { lines, encoding })
    }

    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Every line, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Field<'a>> {
        self.lines.iter()
    }

    /// The names, in order, as often as they came.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.lines.iter().map(|line| line.name)
    }

    /// The values of every line of that name, without the white space around them.
    pub fn lines(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.lines.iter().filter(move |line| line.name == name).map(|line| trimmed(line.value))
    }

    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.lines.iter().any(|line| line.name == name)
    }

    /// Whether the value came in one line for certain. In the merged mode every comma may be a joint, with a space after
    /// it too: over HTTP/2 a line may begin with one.
    ///
    /// Two lines `a` and `b` have the same combined value as one line `a, b`, so no signature over it can tell them
    /// apart (RFC 9421 §7.5.6), and a program that reads only the first would be misled.
    #[must_use]
    pub fn is_one_line(&self, name: &str) -> bool {
        let mut lines = self.lines(name);
        match (lines.next(), lines.next(), self.encoding) {
            (Some(_), None, Encoding::Raw) => true,
            (Some(line), None, Encoding::Merged) => !line.contains(&b','),
            _ => false,
        }
    }

    /// The combined value: every line joined with a comma and a space (RFC 9421 §2.1).
    #[must_use]
    pub fn combined(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        let mut lines = self.lines(name);
        let first = lines.next()?;
        let Some(second) = lines.next() else { return Some(Cow::Borrowed(first)) };
        let mut value = first.to_vec();
        for line in std::iter::once(second).chain(lines) {
            value.extend_from_slice(b", ");
            value.extend_from_slice(line);
        }
        Some(Cow::Owned(value))
    }
}

fn malformed(detail: String) -> Denial {
    Denial::new(Code::RequestMalformed, detail)
}

/// Whether a backend may take one name for the other: CGI, WSGI and their heirs make `_` of `-`, and some of them of
/// every character that is neither letter nor digit.
#[must_use]
pub fn is_same_to_backends(one: &str, other: &str) -> bool {
    let same = |(a, b): (u8, u8)| a == b || !a.is_ascii_alphanumeric() && !b.is_ascii_alphanumeric();
    one.len() == other.len() && one.bytes().zip(other.bytes()).all(same)
}

/// RFC 9110 §5.6.2, in lower case as HTTP/2 and Envoy have it.
#[must_use]
pub fn is_field_name(name: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~');
    !name.is_empty() && name.bytes().all(allowed)
}

/// Whether there is a control character besides the tab. It looks at every byte, so that the compiler can look at many
/// at once.
#[must_use]
pub(crate) fn has_control(value: &[u8]) -> bool {
    value.iter().fold(false, |found, byte| found | (byte.is_ascii_control() & (*byte != b'\t')))
}

/// Without the optional white space around it (RFC 9110 §5.6.3).
pub(crate) fn trimmed(value: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !is_space(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    value.get(start..end).unwrap_or_default()
}
