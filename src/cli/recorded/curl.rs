//! The output of `curl -v`: what curl says (`*`), what it sent (`>`), what it got (`<`), and amounts of data (`{`, `}`).
//!
//! With it may come the bodies of the answers and a progress meter, in any order that buffers made of it. curl never
//! shows a request's body.

use super::{ClientRequest, Overrides, RecordedBody, chosen, shown};
use crate::cli::request::{Url, without_user};
use crate::envoy::Plain;
use crate::request::trimmed;

const UNSAID: &str =
    "curl -v does not show the body that the request announces: give it with --body or --body-file";

/// One request. Line numbers count from 1.
struct Sent<'a> {
    number: usize,
    method: &'a [u8],
    target: &'a [u8],
    protocol: &'static str,
    /// Whether TLS was seen; none where the record does not tell.
    scheme: Option<&'static str>,
    /// `:authority`, where it belongs to this request.
    authority: Option<&'a [u8]>,
    headers: Vec<(usize, &'a [u8])>,
    /// The empty line that ends the headers was there.
    ended: bool,
}

impl Sent<'_> {
    fn shown(&self) -> String {
        let text = |bytes| String::from_utf8_lossy(bytes);
        shown(&format!("{} {}", text(self.method), without_user(&text(self.target))))
    }
}

pub(super) fn holds_a_request(text: &[u8]) -> bool {
    !Reader::read(text).sent.is_empty()
}

pub(super) fn read(text: &[u8], overrides: &Overrides) -> Result<ClientRequest, String> {
    let Reader { sent, passed_over, .. } = Reader::read(text);
    let last = overrides.entry.or(Some(sent.len()));
    let (request, number) = chosen(&sent, last, Sent::shown)?;
    let mut notes = Vec::new();
    if sent.len() > 1 {
        notes.push(format!("request {number} of {}: {}", sent.len(), request.shown()));
    }
    if passed_over > 0 {
        notes.push(format!(
            "what looks like a request and stands in an answer was passed over ({passed_over})"
        ));
    }
    if !request.ended {
        notes.push("no empty line ends the headers: some may be missing".to_owned());
    }
    let plain = plain(request, overrides.scheme.as_deref(), &mut notes)?;
    Ok(ClientRequest { plain, body: RecordedBody::Unsaid(UNSAID), time: None, notes })
}

fn plain(request: &Sent<'_>, scheme: Option<&str>, notes: &mut Vec<String>) -> Result<Plain, String> {
    let utf8 = |bytes: &[u8], what| {
        let text = String::from_utf8(bytes.to_vec());
        text.map_err(|_| format!("line {}: {what} is not UTF-8", request.number))
    };
    let mut headers = Vec::new();
    let mut hosts = Vec::new();
    for (number, line) in &request.headers {
        let (name, value) = split(line, b':').ok_or_else(|| {
            let line = shown(&String::from_utf8_lossy(line));
            format!("line {number}: expected a header as Name: value, but found {line:?}")
        })?;
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let value = trimmed(value);
        // In HTTP/2 too curl shows a Host line; what it sends then is :authority.
        if name == "host" { hosts.push(value) } else { headers.push((name, value.to_vec())) }
    }
    // Envoy joins several, and the relay refuses what comes of it.
    let host = hosts.join(&b","[..]);
    let mut authority = utf8(request.authority.unwrap_or(&host), "the host")?;
    let mut target = utf8(request.target, "the target")?;
    let mut seen = request.scheme.map(str::to_owned);
    if request.method == b"CONNECT" {
        authority = std::mem::take(&mut target);
    } else if target.contains("://") && !target.starts_with('/') {
        // To a proxy curl names the whole URL, and a proxy takes the host from there (RFC 9112 §3.2.2).
        let url = Url::parse(&target).map_err(|problem| format!("line {}: {problem}", request.number))?;
        seen = Some(url.scheme);
        authority = url.authority;
        target = url.target;
    }
    let scheme = scheme.map(str::to_owned).or(seen).unwrap_or_else(|| {
        notes.push(
            "nothing shows whether the client spoke TLS: taken as http (--scheme says otherwise)".to_owned(),
        );
        "http".to_owned()
    });
    let method = utf8(request.method, "the method")?;
    Ok(Plain { method, scheme, authority, target, protocol: request.protocol, headers, body: None })
}

/// Goes through the lines once.
#[derive(Default)]
struct Reader<'a> {
    sent: Vec<Sent<'a>>,
    /// Whether the headers of the last request are still coming.
    in_headers: bool,
    /// An answer has come and nothing of a next request: what looks like one may be the answer's body.
    in_answer: bool,
    /// The line before was curl's own.
    after_own: bool,
    /// What curl says of the connection.
    scheme: Option<&'static str>,
    /// By number, for when one is used again.
    connections: Vec<(&'a [u8], Option<&'static str>)>,
    /// The pseudo-headers that belong to the next request.
    path: Option<&'a [u8]>,
    authority: Option<&'a [u8]>,
    passed_over: usize,
}

impl<'a> Reader<'a> {
    fn read(text: &'a [u8]) -> Self {
        let mut reader = Self::default();
        let lines = || text.split(|byte| *byte == b'\n').map(|line| own(ended(line)));
        // Without curl's own remarks, which people leave out, there is nothing to tell a body by.
        let with_remarks = lines().any(|line| matches!(line, Some((b'*', _))));
        for (position, line) in lines().enumerate() {
            match line {
                Some((b'>', line)) => reader.request(position + 1, line, with_remarks),
                Some((b'<', line)) => {
                    reader.in_headers = false;
                    reader.in_answer = with_remarks && line.is_empty();
                }
                Some((b'*', remark)) => reader.remark(remark),
                // Amounts come between headers too, where these take several sends.
                Some(_) => {}
                None => reader.in_headers = false,
            }
            reader.after_own = line.is_some();
        }
        reader
    }

    fn request(&mut self, number: usize, line: &'a [u8], with_remarks: bool) {
        if self.in_headers {
            match self.sent.last_mut() {
                Some(sent) if line.is_empty() => {
                    sent.ended = true;
                    self.in_headers = false;
                }
                Some(sent) => sent.headers.push((number, line)),
                None => {}
            }
            return;
        }
        let Some((method, target, protocol)) = request_line(line) else { return };
        // Remarks always come right before a request; what a body quotes follows other lines of it.
        if self.in_answer || with_remarks && !self.after_own && number > 1 {
            self.passed_over += 1;
            return;
        }
        let mine = self.path.take() == Some(target);
        let authority = self.authority.take().filter(|_| mine && !protocol.starts_with("HTTP/1"));
        // HTTP/3 is never without TLS (RFC 9114 §3.1).
        let scheme = if protocol == "HTTP/3" { Some("https") } else { self.scheme };
        let headers = Vec::new();
        self.sent.push(Sent { number, method, target, protocol, scheme, authority, headers, ended: false });
        self.in_headers = true;
    }

    fn remark(&mut self, remark: &'a [u8]) {
        let begins = |words: &[&str]| words.iter().any(|word| remark.starts_with(word.as_bytes()));
        // The end of a transfer. Standard output may be written only now, so this is not the end of the answer.
        if begins(&["Connection #", "Closing connection", "shutting down connection"]) {
            self.in_answer = !self.sent.is_empty();
            return;
        }
        // A connection says goodbye with alerts, and a new one does not begin with them.
        if !begins(&["TLSv1"]) {
            self.in_answer = false;
        }
        if let Some((name, value)) = pseudo(remark) {
            match name {
                b":path" => self.path = Some(value),
                b":authority" => self.authority = Some(value),
                b":scheme" if value == b"https" => self.saw(Some("https")),
                b":scheme" if value == b"http" => self.saw(Some("http")),
                _ => {}
            }
        } else if begins(&["SSL connection using", "ALPN", "TLSv1", "QUIC cipher"]) {
            self.saw(Some("https"));
        } else if begins(&["Connected to ", "Established connection to "]) {
            let known = if is_to_https_port(remark) { "https" } else { "http" };
            self.connections.push((connection(remark), Some(known)));
            self.scheme = Some(known);
        } else if begins(&["Re-using existing ", "Reusing existing "]) {
            let used = connection(remark);
            self.scheme = if contains(remark, b" existing https: ") {
                Some("https")
            } else if contains(remark, b" existing http: ") {
                Some("http")
            } else {
                let known = self.connections.iter().rev().find(|(number, _)| *number == used);
                known.map_or(self.scheme, |(_, scheme)| *scheme)
            };
        }
    }

    fn saw(&mut self, scheme: Option<&'static str>) {
        self.scheme = scheme;
        if let Some((_, known)) = self.connections.last_mut() {
            *known = scheme;
        }
    }
}

/// Without the end of the line. On Windows a stream of text adds another carriage return to the one that was sent.
fn ended(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|byte| *byte != b'\r').map_or(0, |last| last + 1);
    line.get(..end).unwrap_or_default()
}

/// What curl itself wrote: the mark, and the rest of the line.
fn own(line: &[u8]) -> Option<(u8, &[u8])> {
    if let Some(own) = marked(line) {
        return Some(own);
    }
    // The progress meter goes back to the start of its line, and what comes next stands behind it.
    let line = line.rsplit(|byte| *byte == b'\r').next().unwrap_or(line);
    let mark = line.iter().position(|byte| b"*<>{}".contains(byte))?;
    let (before, rest) = line.split_at_checked(mark)?;
    // The same for times and numbers of transfers (--trace-time, --trace-ids).
    let is_counted = |byte: &u8| byte.is_ascii_digit() || b" -:.kMGTP[]x".contains(byte);
    if before.contains(&b':') && before.iter().all(is_counted) {
        return marked(rest);
    }
    // An answer without a line break at its end, and the one remark that may be all there is before the next request.
    let reused = [&b"* Re-using existing "[..], b"* Reusing existing "];
    let at = reused.iter().find_map(|words| line.windows(words.len()).rposition(|part| part == *words))?;
    marked(line.get(at..)?)
}

fn marked(line: &[u8]) -> Option<(u8, &[u8])> {
    match line {
        [mark @ (b'*' | b'<' | b'>' | b'{' | b'}'), b' ', rest @ ..] => Some((*mark, rest)),
        // Editors cut off the space of the line that ends the headers.
        [mark @ (b'<' | b'>')] => Some((*mark, b"")),
        _ => None,
    }
}

/// `POST /transfers/7 HTTP/1.1`
fn request_line(line: &[u8]) -> Option<(&[u8], &[u8], &'static str)> {
    let protocol = ["HTTP/1.1", "HTTP/1.0", "HTTP/2", "HTTP/2.0", "HTTP/3"];
    let protocol = protocol.into_iter().find(|protocol| line.ends_with(protocol.as_bytes()))?;
    let (method, target) = split(line.strip_suffix(protocol.as_bytes())?.strip_suffix(b" ")?, b' ')?;
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    (!method.is_empty() && !target.is_empty() && method.iter().all(is_token))
        .then_some((method, target, protocol))
}

/// `h2h3 [:path: /transfers/7]`, and newer `[HTTP/2] [1] [:path: /transfers/7]`
fn pseudo(remark: &[u8]) -> Option<(&[u8], &[u8])> {
    let begin = remark.windows(2).position(|pair| pair == b"[:")? + 1;
    let header = remark.get(begin..)?.strip_suffix(b"]")?;
    let colon = header.windows(2).position(|pair| pair == b": ")?;
    Some((header.get(..colon)?, header.get(colon + 2..)?))
}

/// The number of a connection, as in `#0`; empty where curl does not give it.
fn connection(remark: &[u8]) -> &[u8] {
    let Some((_, rest)) = split(remark, b'#') else { return b"" };
    rest.split(|byte| !byte.is_ascii_digit()).next().unwrap_or_default()
}

/// The port stands in parentheses or not, and last or not.
fn is_to_https_port(remark: &[u8]) -> bool {
    let port = b" port 443";
    let at = remark.windows(port.len()).position(|part| part == port);
    at.is_some_and(|at| !remark.get(at + port.len()).is_some_and(u8::is_ascii_digit))
}

fn contains(line: &[u8], part: &[u8]) -> bool {
    line.windows(part.len()).any(|window| window == part)
}

fn split(line: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let position = line.iter().position(|byte| *byte == at)?;
    Some((line.get(..position)?, line.get(position + 1..)?))
}
