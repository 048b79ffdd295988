//! HAR 1.2, as browsers and proxies export it.
//!
//! It tells what a browser knows of a request, which is not always what it sent: headers may be missing, and a body is
//! text that was decoded. Where that shows, it is said.

use base64ct::{Base64, Encoding as _};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Number;

use super::{ClientRequest, Overrides, RecordedBody, chosen, shown};
use crate::cli::request::{Url, without_user};
use crate::envoy::Plain;
use crate::printable::printable;
use crate::request::{normalized_authority, trimmed};
use crate::timestamp::Timestamp;

const NO_BODY: &str =
    "the HAR does not hold the body that the request has: give it with --body or --body-file";
const ONLY_PARAMS: &str =
    "the HAR holds the body as postData.params, not as it was sent: give it with --body or --body-file";
const NOT_TEXT: &str = "the HAR holds the body as text with replacement characters (U+FFFD), not as it was sent: give it \
                        with --body-file";
const NOT_BASE64: &str =
    "postData.text says that it is base64 and is not: give the body with --body or --body-file";

/// What one entry of the log needs to hold.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "startedDateTime")]
    started: Option<String>,
    request: Sent,
}

#[derive(Deserialize)]
struct File {
    log: Log,
}

#[derive(Deserialize)]
struct Log {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    method: String,
    url: String,
    http_version: Option<String>,
    headers: Vec<Header>,
    post_data: Option<PostData>,
    body_size: Option<Number>,
}

#[derive(Deserialize)]
struct Header {
    name: String,
    value: String,
}

#[derive(Deserialize)]
struct PostData {
    text: Option<String>,
    /// Not in HAR 1.2; tools that keep bytes write it.
    encoding: Option<String>,
    params: Option<Vec<serde::de::IgnoredAny>>,
}

impl Entry {
    fn shown(&self) -> String {
        let is_signature = |header: &Header| header.name.eq_ignore_ascii_case("signature-input");
        let signed = if self.request.headers.iter().any(is_signature) { ", signed" } else { "" };
        let started = self.started.as_deref().unwrap_or("at an unknown time");
        format!(
            "{} {}, {}{signed}",
            shown(&self.request.method),
            shown(&without_user(&self.request.url)),
            shown(started)
        )
    }
}

pub(super) fn read(text: &[u8], overrides: &Overrides) -> Result<ClientRequest, String> {
    let entries = entries(text)?;
    if entries.is_empty() {
        return Err("the HAR holds no entries".to_owned());
    }
    let (entry, number) = chosen(&entries, overrides.entry, Entry::shown)?;
    let mut notes = Vec::new();
    if entries.len() > 1 {
        notes.push(format!("request {number} of {}: {}", entries.len(), entry.shown()));
    }
    let started = entry.started.as_deref();
    let time = started.and_then(timestamp);
    if let (Some(started), None) = (started, time) {
        notes.push(format!("startedDateTime {:?} is not a time after 1970", shown(started)));
    }
    let plain = plain(&entry.request, overrides.scheme.as_deref(), &mut notes)?;
    Ok(ClientRequest { plain, body: body(&entry.request), time, notes })
}

/// A whole file, one entry of it, or only an entry's request.
fn entries(text: &[u8]) -> Result<Vec<Entry>, String> {
    fn parsed<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
        serde_json::from_slice(text).map_err(|error| printable(&format!("not a HAR: {error}")))
    }
    #[derive(Deserialize)]
    struct Members {
        log: Option<serde::de::IgnoredAny>,
        request: Option<serde::de::IgnoredAny>,
    }
    Ok(match parsed(text)? {
        Members { log: Some(_), .. } => parsed::<File>(text)?.log.entries,
        Members { request: Some(_), .. } => vec![parsed(text)?],
        Members { .. } => vec![Entry { started: None, request: parsed(text)? }],
    })
}

fn timestamp(text: &str) -> Option<Timestamp> {
    let since_epoch = text.parse::<jiff::Timestamp>().ok()?.duration_since(jiff::Timestamp::UNIX_EPOCH);
    since_epoch.try_into().ok().map(|since_epoch: std::time::Duration| Timestamp::from(since_epoch))
}

fn plain(request: &Sent, scheme: Option<&str>, notes: &mut Vec<String>) -> Result<Plain, String> {
    let url = url(&request.url)?;
    let mut pseudo = Vec::new();
    let mut headers = Vec::new();
    for Header { name, value } in &request.headers {
        let name = name.to_ascii_lowercase();
        if value.contains('\u{FFFD}') {
            notes.push(format!("the header {} is not recorded as it was sent (U+FFFD)", shown(&name)));
        }
        if name.starts_with(':') {
            pseudo.push((name, value));
            continue;
        }
        // Chrome puts lines of one name into one value.
        headers.extend(
            value
                .split('\n')
                .map(|line| (name.clone(), trimmed(line.trim_end_matches('\r').as_bytes()).to_vec())),
        );
    }
    let mut authority = None;
    for (name, value) in &pseudo {
        let (same, expected) = match name.as_str() {
            ":method" => (**value == request.method, &request.method),
            ":scheme" => (**value == url.scheme, &url.scheme),
            ":path" => (**value == url.target, &url.target),
            ":authority" => {
                authority = Some((*value).clone());
                let normal = |authority| normalized_authority(authority, &url.scheme);
                (normal(value) == normal(&url.authority), &url.authority)
            }
            // An upgrade (RFC 8441). The check has it too.
            ":protocol" => {
                headers.push((name.clone(), value.as_bytes().to_vec()));
                continue;
            }
            _ => continue,
        };
        if !same {
            let (value, expected) = (shown(value), shown(expected));
            return Err(format!(
                "the entry contradicts itself: {name} is {value:?}, and elsewhere {expected:?}"
            ));
        }
    }
    let authority = match authority {
        Some(authority) => authority,
        None => host(&mut headers, &url, notes),
    };
    let protocol = protocol(request.http_version.as_deref().unwrap_or_default(), !pseudo.is_empty());
    let scheme = scheme.map_or(url.scheme, str::to_owned);
    let (method, target) = (request.method.clone(), url.target);
    Ok(Plain { method, scheme, authority, target, protocol, headers, body: None })
}

/// Takes the Host lines out of the headers, as proxies do. Exports leave them out too: then there is the URL.
fn host(headers: &mut Vec<(String, Vec<u8>)>, url: &Url, notes: &mut Vec<String>) -> String {
    let lines: Vec<_> = headers.extract_if(.., |(name, _)| name == "host").map(|(_, value)| value).collect();
    if lines.is_empty() {
        return url.authority.clone();
    }
    // Envoy joins several, and the relay refuses what comes of it.
    let host = String::from_utf8_lossy(&lines.join(&b","[..])).into_owned();
    if normalized_authority(&host, &url.scheme) != normalized_authority(&url.authority, &url.scheme) {
        let (host, url) = (shown(&host), shown(&url.authority));
        notes.push(format!("Host is {host:?} and the URL's is {url:?}: Host is what was sent"));
    }
    host
}

fn url(url: &str) -> Result<Url, String> {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    // A WebSocket begins as a request.
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" | "ws" => "http",
        "https" | "wss" => "https",
        _ => {
            return Err(format!(
                "expected a request to an http or https URL, but found {:?}",
                shown(&without_user(url))
            ));
        }
    };
    // The user goes into a header, and the fragment nowhere.
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at_checked(end).unwrap_or_default();
    let authority = authority.rsplit_once('@').map_or(authority, |(_, authority)| authority);
    Url::parse(&format!("{scheme}://{authority}{target}"))
}

/// Every tool has its own name for it. Only HTTP/1 is told apart, and it has no pseudo-headers.
fn protocol(version: &str, has_pseudo: bool) -> &'static str {
    match version.to_ascii_lowercase().as_str() {
        "http/1.0" => "HTTP/1.0",
        version if version.starts_with("http/1") => "HTTP/1.1",
        version if version.starts_with("http/3") || version.starts_with("h3") => "HTTP/3",
        version if version.starts_with("http/2") || version.starts_with("h2") => "HTTP/2",
        _ if has_pseudo => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

fn body(request: &Sent) -> RecordedBody {
    let is_counted = request.body_size.as_ref().and_then(Number::as_f64).is_some_and(|size| size > 0.0);
    let Some(data) = &request.post_data else {
        return if is_counted { RecordedBody::Lost(NO_BODY) } else { RecordedBody::Unsaid(NO_BODY) };
    };
    let text = data.text.as_deref().unwrap_or_default();
    match data.encoding.as_deref() {
        Some("base64") => {
            return Base64::decode_vec(text).map_or(RecordedBody::Lost(NOT_BASE64), RecordedBody::Kept);
        }
        _ if text.contains('\u{FFFD}') => return RecordedBody::Lost(NOT_TEXT),
        _ => {}
    }
    match (text.is_empty(), data.params.as_ref().is_some_and(|params| !params.is_empty())) {
        (true, true) => RecordedBody::Lost(ONLY_PARAMS),
        (true, false) if is_counted => RecordedBody::Lost(NO_BODY),
        (true, false) => RecordedBody::Unsaid(NO_BODY),
        (false, _) => RecordedBody::Kept(text.as_bytes().to_vec()),
    }
}
