//! Requests that somebody recorded: how they are told apart, and what every kind of them gives.
//!
//! Whatever its form, a record ends as the check that Envoy would send, and is read by the code that the server reads
//! checks with. What a record does not hold is said, never guessed.

mod curl;
mod har;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde::de::IgnoredAny;

use super::Failure;
use crate::denial::Denial;
use crate::envoy::{Plain, RecordedCheck};
use crate::limits::Limits;
use crate::printable::printable;
use crate::request::{Body, Request};
use crate::timestamp::Timestamp;

/// Browsers keep every answer's content in a HAR: tens of megabytes are common, more is a mistake.
const LARGEST: usize = 256 * 1024 * 1024;
/// Entries that a message lists before it only counts them.
const LISTED: usize = 40;

/// The arguments that name a record.
#[derive(Debug, Args)]
pub(super) struct RecordedArgs {
    /// A recorded request instead of a described one: the output of curl -v, a HAR, or Envoy's Check in JSON. - is
    /// standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["url", "method", "headers"])]
    recorded: Option<String>,
    // `requires` alone says nothing beside --url, for clap never asks for what conflicts with something that is there.
    /// Which request of the record, counted from 1.
    #[arg(long, value_name = "N", requires = "recorded", conflicts_with = "url")]
    entry: Option<usize>,
    /// What the client spoke, where the record does not show it.
    #[arg(long, value_name = "SCHEME", requires = "recorded", conflicts_with = "url", value_parser = PossibleValuesParser::new(["http", "https"]))]
    scheme: Option<String>,
}

impl RecordedArgs {
    /// Reads the record, where one is named. `body` is the one given on the command line.
    ///
    /// # Errors
    /// As [`read`], and when the file cannot be read.
    pub(super) fn read(&self, body: Option<Vec<u8>>) -> Result<Option<Recorded>, Failure> {
        let Some(file) = &self.recorded else { return Ok(None) };
        let (name, source): (_, Result<Box<dyn Read>, _>) = if file == "-" {
            ("standard input", Ok(Box::new(std::io::stdin())))
        } else {
            (file.as_str(), File::open(file).map(|file| Box::new(file) as Box<dyn Read>))
        };
        let mut text = Vec::new();
        source
            // One byte more than is allowed, so that `read` sees that there is more.
            .and_then(|source| source.take(LARGEST as u64 + 1).read_to_end(&mut text))
            .map_err(|error| Failure::failed(format!("{}: {error}", printable(name))))?;
        let overrides = Overrides { scheme: self.scheme.clone(), body, entry: self.entry };
        read(&text, name, overrides).map(Some)
    }
}

/// What the caller knows better than the record.
#[derive(Default, Clone)]
pub(super) struct Overrides {
    /// `http` or `https`.
    pub(super) scheme: Option<String>,
    pub(super) body: Option<Vec<u8>>,
    /// Which request of the record, counted from 1.
    pub(super) entry: Option<usize>,
}

/// The form of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Curl,
    Har,
    Check,
}

impl Format {
    /// The forms of JSON, by a member that only they have.
    const MEMBERS: &[(&str, Self)] =
        &[("log", Self::Har), ("request", Self::Har), ("url", Self::Har), ("attributes", Self::Check)];

    /// Finds it out from the record itself.
    fn of(text: &[u8]) -> Result<Self, String> {
        let why = match serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(text) {
            Ok(members) => {
                let known = Self::MEMBERS.iter().find(|(name, _)| members.contains_key(*name));
                return known
                    .map(|(_, format)| *format)
                    .ok_or_else(|| "it is JSON, and none of those that are known".to_owned());
            }
            Err(error) => error,
        };
        if curl::holds_a_request(text) {
            return Ok(Self::Curl);
        }
        match text.trim_ascii_start().first() {
            None => Err("it is empty".to_owned()),
            Some(b'{') => Err(format!("it begins like JSON, but {why}")),
            Some(_) => Err("its form is unknown".to_owned()),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Curl => "output of curl -v",
            Self::Har => "HAR",
            Self::Check => "Check in JSON",
        })
    }
}

const EXPECTED: &str = "\
Expected one of
  output of curl -v: curl -v … 2>FILE
  HAR:               from a browser's network tools, \"Save all as HAR\"; mitmdump --set hardump=FILE
  Check in JSON:     the envoy.service.auth.v3.CheckRequest that Envoy sent, as JSON: {\"attributes\": …}";

/// A request as somebody recorded it.
pub(super) struct Recorded {
    format: Format,
    check: RecordedCheck,
    unknown_body: Option<&'static str>,
    time: Option<Timestamp>,
    notes: Vec<String>,
}

impl Recorded {
    /// The form that the record was found to have.
    #[must_use]
    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// The size of the check that it would come in.
    #[must_use]
    pub(super) fn bytes(&self) -> usize {
        self.check.bytes()
    }

    /// When the request was made, where the record says so.
    #[must_use]
    pub(super) fn time(&self) -> Option<Timestamp> {
        self.time
    }

    /// What was assumed, and what the record leaves open: a sentence each.
    #[must_use]
    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The request as the server would read it, or the denial that it would answer instead.
    ///
    /// # Errors
    /// For a check that is not about an HTTP request: the server answers those with a gRPC error.
    pub(super) fn request(&self, limits: &Limits) -> Result<Result<Request<'_>, Denial>, Failure> {
        let mut request = self.check.read(limits).map_err(Failure::usage)?;
        if let (Ok(request), Some(evidence)) = (&mut request, self.unknown_body) {
            request.body = Body::Unavailable { evidence };
        }
        Ok(request)
    }
}

/// Reads a record. `name` stands in messages.
///
/// # Errors
/// `Usage` for a record that cannot be read, and one that leaves open which request is meant.
pub(super) fn read(text: &[u8], name: &str, overrides: Overrides) -> Result<Recorded, Failure> {
    let usage = |problem: String| Failure::Usage(format!("{}: {problem}", printable(name)));
    if text.len() > LARGEST {
        return Err(usage(format!("more than {LARGEST} bytes: keep only the request that is meant")));
    }
    if text.starts_with(b"\xFF\xFE") || text.starts_with(b"\xFE\xFF") {
        // What `>` of older PowerShells makes of the output of any program.
        return Err(usage("it is UTF-16: save it as UTF-8".to_owned()));
    }
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let format = Format::of(text).map_err(|problem| usage(format!("{problem}. {EXPECTED}")))?;
    match format {
        Format::Curl => curl::read(text, &overrides).map(|request| request.recorded(format, overrides.body)),
        Format::Har => har::read(text, &overrides).map(|request| request.recorded(format, overrides.body)),
        Format::Check => read_check(text, &overrides),
    }
    .map_err(usage)
}

fn read_check(text: &[u8], overrides: &Overrides) -> Result<Recorded, String> {
    if overrides.scheme.is_some() || overrides.body.is_some() {
        return Err("a check says itself what its scheme and its body are".to_owned());
    }
    chosen(&[()], overrides.entry, |()| "the check".to_owned())?;
    let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    let check = RecordedCheck::parse(text).map_err(|error| printable(&error.to_string()))?;
    let time = check.time();
    Ok(Recorded { format: Format::Check, check, unknown_body: None, time, notes: Vec::new() })
}

/// A request from the client's side of the wire.
struct ClientRequest {
    /// Without the body.
    plain: Plain,
    body: RecordedBody,
    time: Option<Timestamp>,
    notes: Vec<String>,
}

/// What a record says of the body.
enum RecordedBody {
    /// Nothing. The sentence is for a request that has one.
    Unsaid(&'static str),
    /// There is one, but it is not in the record as it was sent.
    Lost(&'static str),
    Kept(Vec<u8>),
}

impl ClientRequest {
    fn recorded(self, format: Format, given: Option<Vec<u8>>) -> Recorded {
        let Self { mut plain, body, time, notes } = self;
        let announced = announces_body(&plain);
        let (body, unknown_body) = match (given, body) {
            (Some(given), _) => (Some(given), None),
            (None, RecordedBody::Kept(body)) if contradicts_length(&plain, &body) => (
                None,
                Some(
                    "the record holds another number of bytes than content-length says: the body is not known",
                ),
            ),
            (None, RecordedBody::Kept(body)) => (Some(body), None),
            (None, RecordedBody::Lost(why)) => (None, Some(why)),
            (None, RecordedBody::Unsaid(why)) => (None, announced.then_some(why)),
        };
        // Headers that end the request leave nothing to buffer.
        plain.body = body.filter(|body| announced || !body.is_empty());
        Recorded { format, check: RecordedCheck::of(plain), unknown_body, time, notes }
    }
}

fn lengths(plain: &Plain) -> impl Iterator<Item = &[u8]> {
    let lines = plain.headers.iter().filter(|(name, _)| name == "content-length");
    lines.map(|(_, value)| value.trim_ascii())
}

/// Whether the headers leave room for a body. Over HTTP/1 only they can announce one (RFC 9112 §6.3); later versions
/// end a request without a word in them.
fn announces_body(plain: &Plain) -> bool {
    let coded = plain.headers.iter().any(|(name, _)| name == "transfer-encoding");
    let silent = lengths(plain).next().is_none()
        && !plain.protocol.starts_with("HTTP/1")
        && matches!(plain.method.as_str(), "POST" | "PUT" | "PATCH");
    coded || silent || lengths(plain).any(|length| length != b"0")
}

fn contradicts_length(plain: &Plain, body: &[u8]) -> bool {
    lengths(plain).any(|length| length != body.len().to_string().as_bytes())
}

/// The one that is meant, and its number.
fn chosen<T>(
    entries: &[T],
    entry: Option<usize>,
    line: impl Fn(&T) -> String,
) -> Result<(&T, usize), String> {
    let number = match (entry, entries.len()) {
        (Some(number), _) => number,
        (None, 1) => 1,
        (None, count) => {
            return Err(format!("{count} requests: choose one with --entry{}", listed(entries, line)));
        }
    };
    number.checked_sub(1).and_then(|position| entries.get(position)).map(|found| (found, number)).ok_or_else(
        || {
            let known = listed(entries, line);
            format!("there is no request {number}, but {}{known}", entries.len())
        },
    )
}

fn listed<T>(entries: &[T], line: impl Fn(&T) -> String) -> String {
    let mut list = String::new();
    for (position, entry) in entries.iter().take(LISTED).enumerate() {
        list.push_str(&format!("\n  {}: {}", position + 1, line(entry)));
    }
    if entries.len() > LISTED {
        list.push_str(&format!("\n  … and {} more", entries.len() - LISTED));
    }
    list
}

/// What a record holds, fit for a line on a terminal.
fn shown(text: &str) -> String {
    const LONGEST: usize = 120;
    let mut shown = printable(&text.chars().take(LONGEST).collect::<String>());
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests;
