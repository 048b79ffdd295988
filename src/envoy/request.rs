//! From a `CheckRequest` to a [`Request`].

use envoy_types::pb::envoy::config::core::v3::{HeaderValue, address};
use envoy_types::pb::envoy::service::auth::v3::CheckRequest;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer};

use crate::denial::{Code, Denial, quoted};
use crate::limits::Limits;
use crate::request::{Body, Encoding, Field, Fields, Request, Source};

/// Envoy's mark on a request whose body it buffered. A client's own is dropped by Envoy.
pub(super) const PARTIAL_BODY: &str = "x-envoy-auth-partial-body";
/// The route's choice of policy, in `context_extensions`.
const ROUTE_POLICY: &str = "proof-policy";

/// The methods that HTTP defines (RFC 9110 §9.3, RFC 5789 §2).
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// The check is not about an HTTP request: whoever asks is misconfigured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the check has no attributes.request.http")]
pub struct NotHttp;

/// Reads what Envoy showed.
///
/// # Errors
/// [`NotHttp`] where there is nothing to decide about; inside, `request-malformed` for a check that contradicts itself
/// or a limit.
pub fn read_request<'a>(
    check: &'a CheckRequest,
    limits: &Limits,
) -> Result<Result<Request<'a>, Denial>, NotHttp> {
    let attributes = check.attributes.as_ref().ok_or(NotHttp)?;
    let http = attributes.request.as_ref().and_then(|request| request.http.as_ref()).ok_or(NotHttp)?;
    let route_policy = attributes.context_extensions.get(ROUTE_POLICY).map(String::as_str);
    let source = attributes.source.as_ref().map(read_source).unwrap_or_default();
    Ok(read_http(http, limits).map(|request| Request { route_policy, source, ..request }))
}

fn read_source(peer: &Peer) -> Source<'_> {
    let address = peer.address.as_ref().and_then(|address| match &address.address {
        Some(address::Address::SocketAddress(socket)) => Some(socket.address.as_str()),
        _ => None,
    });
    let said = |text: &&str| !text.is_empty();
    Source { address: address.filter(said), principal: Some(peer.principal.as_str()).filter(said) }
}

/// What of a check can be large.
#[must_use]
pub fn body_bytes(check: &CheckRequest) -> usize {
    let http = check.attributes.as_ref().and_then(|attributes| attributes.request.as_ref()?.http.as_ref());
    http.map_or(0, |http| http.raw_body.len() + http.body.len())
}

fn read_http<'a>(http: &'a HttpRequest, limits: &Limits) -> Result<Request<'a>, Denial> {
    let Headers { encoding, pseudo, mark, lines } = Headers::split(http)?;
    check_pseudo(&pseudo, http)?;
    check_attributes(http, encoding, limits)?;
    let fields = Fields::new(lines, encoding, limits)?;
    check_host(&fields, http)?;
    let upgrade = http.method == "CONNECT"
        || fields.contains("upgrade")
        || pseudo.iter().any(|header| header.name == ":protocol")
        || fields
            .lines("connection")
            .any(|line| line.to_ascii_lowercase().windows(7).any(|w| w == b"upgrade"));
    let body = read_body(http, mark, &fields, limits)?;
    Ok(Request {
        http1: http.protocol.starts_with("HTTP/1"),
        fields,
        body,
        upgrade,
        stream_id: &http.id,
        ..Request::new(&http.method, &http.scheme, &http.host, &http.path)
    })
}

/// The headers of a check, sorted by whose they are.
struct Headers<'a> {
    encoding: Encoding,
    pseudo: Vec<Field<'a>>,
    mark: Option<&'a [u8]>,
    lines: Vec<Field<'a>>,
}

impl<'a> Headers<'a> {
    fn split(http: &'a HttpRequest) -> Result<Self, Denial> {
        let raw = http.header_map.as_ref().map(|map| map.headers.as_slice()).unwrap_or_default();
        let (encoding, all) = match (raw.is_empty(), http.headers.is_empty()) {
            (false, false) => return Err(malformed("the headers came in both encodings")),
            (false, true) => (Encoding::Raw, raw.iter().map(raw_field).collect::<Result<Vec<_>, _>>()?),
            (true, _) => {
                let field = |(name, value): (&'a String, &'a String)| Field { name, value: value.as_bytes() };
                (Encoding::Merged, http.headers.iter().map(field).collect())
            }
        };
        let mut headers =
            Self { encoding, pseudo: Vec::new(), mark: None, lines: Vec::with_capacity(all.len()) };
        for field in all {
            if field.name.starts_with(':') {
                headers.pseudo.push(field);
            } else if field.name == PARTIAL_BODY {
                if headers.mark.replace(field.value).is_some() {
                    return Err(malformed("x-envoy-auth-partial-body came twice"));
                }
            } else {
                headers.lines.push(field);
            }
        }
        Ok(headers)
    }
}

fn raw_field(header: &HeaderValue) -> Result<Field<'_>, Denial> {
    match (header.value.as_bytes(), header.raw_value.as_slice()) {
        (value, []) | ([], value) => Ok(Field { name: &header.key, value }),
        _ => Err(malformed("a header has both a value and a raw_value")),
    }
}

/// Pseudo-headers are what the attributes say: a check that disagrees with itself proves nothing.
fn check_pseudo(pseudo: &[Field<'_>], http: &HttpRequest) -> Result<(), Denial> {
    for (position, header) in pseudo.iter().enumerate() {
        let attribute = match header.name {
            ":method" => &http.method,
            ":path" => &http.path,
            ":authority" => &http.host,
            ":scheme" => &http.scheme,
            ":protocol" => continue,
            other => return Err(malformed(format!("the pseudo-header {} is unknown", quoted(other)))),
        };
        if header.value != attribute.as_bytes() {
            return Err(malformed(format!("{} disagrees with the attributes", header.name)));
        }
        if pseudo.iter().take(position).any(|known| known.name == header.name) {
            return Err(malformed(format!("{} came twice", header.name)));
        }
    }
    Ok(())
}

/// What a signature covers by name must be one thing to everybody.
fn check_attributes(http: &HttpRequest, encoding: Encoding, limits: &Limits) -> Result<(), Denial> {
    // They travel as headers do, and components may make the relay read them again and again.
    let bytes = http.method.len() + http.host.len() + http.path.len();
    if bytes > limits.header_bytes {
        return Err(malformed(format!("a target of {bytes} bytes, more than {}", limits.header_bytes)));
    }
    // Methods are case-sensitive, and policies compare them so. Some frameworks make POST of post all the same.
    let is_misspelt = |known: &&str| known.eq_ignore_ascii_case(&http.method) && **known != *http.method;
    if METHODS.iter().any(is_misspelt) {
        return Err(malformed("the method is written in another case than its standard has it"));
    }
    // On cleartext HTTP/2 the scheme is whatever the client wrote.
    if !matches!(http.scheme.as_str(), "http" | "https") {
        return Err(malformed("the scheme is neither http nor https"));
    }
    // Two Host lines arrive joined with a comma, and user information passes too.
    if !is_authority(&http.host) {
        return Err(malformed("Host or :authority is not a host with an optional port"));
    }
    // Envoy puts a `!` in place of each byte of the path that is not UTF-8 (HTTP/2 only); the raw header shows them.
    if encoding == Encoding::Merged && http.path.contains('!') {
        let detail = "a ! in the path may stand for a byte that was not UTF-8: set encode_raw_headers in Envoy's ext_authz filter";
        return Err(Denial::new(Code::PathAmbiguous, detail));
    }
    Ok(())
}

/// RFC 9113 §8.3.1: Host beside `:authority` must say the same. A backend may read either.
fn check_host(fields: &Fields<'_>, http: &HttpRequest) -> Result<(), Denial> {
    if fields.lines("host").any(|host| !host.eq_ignore_ascii_case(http.host.as_bytes())) {
        return Err(malformed("Host and :authority disagree"));
    }
    Ok(())
}

/// RFC 3986 §3.2, without user information and escapes.
fn is_authority(authority: &str) -> bool {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    // A host with a dot at its end is the same to DNS and to many backends, and another one to policies.
    if host.ends_with('.') {
        return false;
    }
    let host_is_valid = match literal {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
        }
    };
    host_is_valid
        && port.is_none_or(|port| {
            port.bytes().all(|byte| byte.is_ascii_digit())
                && !port.starts_with('0')
                && port.parse::<u16>().is_ok()
        })
}

/// Finds out whether the body that arrived is all of the body that will reach the backend.
fn read_body<'a>(
    http: &'a HttpRequest,
    mark: Option<&[u8]>,
    fields: &Fields<'_>,
    limits: &Limits,
) -> Result<Body<'a>, Denial> {
    let (received, is_text) = match (http.raw_body.as_slice(), http.body.as_bytes()) {
        (raw, []) => (raw, false),
        ([], text) => (text, true),
        _ => return Err(malformed("the body came in both encodings")),
    };
    let content_length = content_length(fields)?;
    // What the proxy counted; -1 and 0 say nothing.
    let counted = usize::try_from(http.size).unwrap_or_default();
    let buffered = match mark {
        None => false,
        Some(b"false") => true,
        Some(b"true") => {
            return Ok(Body::Truncated {
                evidence: "the proxy buffered only a part of the body (max_request_bytes)",
            });
        }
        Some(_) => return Err(malformed("x-envoy-auth-partial-body is neither true nor false")),
    };
    if received.len() > limits.body_bytes {
        return Ok(Body::Truncated { evidence: "the body is larger than the relay's limit" });
    }
    if received.is_empty() && !buffered {
        let carries_body =
            matches!(http.method.as_str(), "POST" | "PUT" | "PATCH") && content_length != Some(0);
        let announced =
            content_length.is_some_and(|length| length > 0) || fields.contains("transfer-encoding");
        return Ok(if carries_body || announced || counted > 0 {
            Body::Unavailable {
                evidence: "a body exists or may exist, and did not reach the check: set with_request_body in Envoy's \
                           ext_authz filter, and send content-length: 0 with an empty body",
            }
        } else {
            Body::Absent
        });
    }
    if content_length.is_some_and(|length| length > received.len()) || counted > received.len() {
        return Ok(Body::Truncated { evidence: "less of the body arrived than was announced" });
    }
    if content_length.is_some_and(|length| length < received.len()) {
        return Err(malformed("more of the body arrived than content-length says"));
    }
    if !buffered && content_length.is_none() {
        return Ok(Body::Unavailable { evidence: "nothing shows that the body is complete" });
    }
    if is_text && received.contains(&b'!') {
        return Ok(Body::Unavailable {
            evidence: "a ! in the body may stand for a byte that was not UTF-8: set pack_as_bytes in Envoy's \
                       with_request_body",
        });
    }
    Ok(Body::Complete(received))
}

/// RFC 9110 §8.6. Several that agree are one, in one line or in many.
fn content_length(fields: &Fields<'_>) -> Result<Option<usize>, Denial> {
    let mut length = None;
    for value in fields.lines("content-length").flat_map(|line| line.split(|byte| *byte == b',')) {
        let value = value.trim_ascii();
        let number = std::str::from_utf8(value)
            .ok()
            .filter(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| malformed("content-length is not a number"))?;
        if length.is_some_and(|known| known != number) {
            return Err(malformed("content-length came twice, with different values"));
        }
        length = Some(number);
    }
    Ok(length)
}

fn malformed(detail: impl Into<std::borrow::Cow<'static, str>>) -> Denial {
    Denial::new(Code::RequestMalformed, detail)
}
