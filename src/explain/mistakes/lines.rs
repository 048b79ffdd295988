//! Mistakes in the lines of components.

use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};

use super::parts::{Line, Parts, target_value};
use super::{Attempt, FEW, orders};
use crate::crypto::{sha256, sha512};
use crate::proof::Name;

/// Fields whose unsigned presence is tried as a component too many: more are hardly ever signed.
const MOST_FIELDS: usize = 32;

pub(super) fn order(parts: &Parts<'_>) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    for order in orders(parts.lines.len()) {
        let lines: Vec<Line> = order.iter().filter_map(|at| parts.lines.get(*at)).cloned().collect();
        let names: Vec<&str> = lines.iter().map(|line| line.identifier.as_str()).collect();
        let what = format!("has its components in the order {}", names.join(" "));
        attempts.push(Attempt::new(parts.with_lines(&lines), what.clone()));
        attempts.push(Attempt::new(parts.with_lines_and_list(&lines), what));
    }
    attempts
}

pub(super) fn missing(parts: &Parts<'_>) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    for (at, dropped) in parts.lines.iter().enumerate() {
        let mut lines = parts.lines.clone();
        lines.remove(at);
        let what = format!("lacks the line of {}", dropped.identifier);
        attempts.push(Attempt::new(parts.with_lines(&lines), what.clone()));
        attempts.push(Attempt::new(parts.with_lines_and_list(&lines), what));
    }
    attempts
}

pub(super) fn extra(parts: &Parts<'_>) -> Vec<Attempt> {
    let derived = [
        Name::Method,
        Name::TargetUri,
        Name::Authority,
        Name::Scheme,
        Name::Path,
        Name::Query,
        Name::RequestTarget,
    ];
    let value = |name: &Name<'_>| match name {
        Name::Method => Some(parts.request.method.to_owned()),
        name => target_value(name, &parts.scheme, &parts.authority, parts.request.target),
    };
    let derived =
        derived.iter().filter_map(|name| Some(Line { identifier: name.to_string(), value: value(name)? }));
    let mut fields: Vec<&str> = parts.request.fields.names().collect();
    fields.sort_unstable();
    fields.dedup();
    fields.retain(|name| !matches!(*name, "signature" | "signature-input"));
    let fields = fields.into_iter().take(MOST_FIELDS).filter_map(|name| {
        Some(Line { identifier: format!("\"{name}\""), value: parts.field(name, ", ", false)? })
    });
    // What clients add that the proxy does not show as a field.
    let host = Line { identifier: "\"host\"".to_owned(), value: parts.request.authority.to_owned() };
    let candidates: Vec<Line> = derived.chain(fields).chain([host]).collect();
    let mut attempts = Vec::new();
    for extra in &candidates {
        if parts.lines.iter().any(|line| line.identifier == extra.identifier) {
            continue;
        }
        let count = parts.lines.len();
        for at in (0..=count).filter(|at| count <= FEW || [0, count].contains(at)) {
            let mut lines = parts.lines.clone();
            lines.insert(at, extra.clone());
            let what = format!("has a line of {} too many", extra.identifier);
            attempts.push(Attempt::new(parts.with_lines(&lines), what.clone()));
            attempts.push(Attempt::new(parts.with_lines_and_list(&lines), what));
        }
    }
    attempts
}

fn other_scheme(parts: &Parts<'_>) -> &'static str {
    if parts.scheme == "https" { "http" } else { "https" }
}

pub(super) fn scheme(parts: &Parts<'_>) -> Vec<Attempt> {
    let (known, other) = (&parts.scheme, other_scheme(parts));
    let lines = parts.with_target(other, &parts.authority, parts.request.target);
    vec![Attempt::new(parts.with_lines(&lines), format!("says {other} where the relay has {known}"))]
}

/// What a client may call the authority.
fn authorities(parts: &Parts<'_>) -> Vec<String> {
    let received = parts.request.authority;
    let mut names = vec![received.to_owned(), parts.request.normalized_authority().into_owned()];
    names.extend(parts.authorities.iter().cloned());
    let fields = ["x-forwarded-host", "x-original-host", "host"];
    names.extend(fields.into_iter().filter_map(|name| parts.field(name, ",", false)));
    for name in names.clone() {
        let host = match name.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host.to_owned(),
            _ => name.clone(),
        };
        names.extend([format!("{host}:443"), format!("{host}:80"), host.to_ascii_uppercase(), host]);
    }
    names.sort_unstable();
    names.dedup();
    names.retain(|name| *name != parts.authority);
    names
}

pub(super) fn authority(parts: &Parts<'_>) -> Vec<Attempt> {
    let attempt = |authority: String| {
        let lines = parts.with_target(&parts.scheme, &authority, parts.request.target);
        let what = format!("says the authority {authority} where the relay has {}", parts.authority);
        Attempt::new(parts.with_lines(&lines), what)
    };
    authorities(parts).into_iter().map(attempt).collect()
}

pub(super) fn scheme_and_authority(parts: &Parts<'_>) -> Vec<Attempt> {
    let other = other_scheme(parts);
    let attempt = |authority: String| {
        let lines = parts.with_target(other, &authority, parts.request.target);
        let what =
            format!("says {other}://{authority} where the relay has {}://{}", parts.scheme, parts.authority);
        Attempt::new(parts.with_lines(&lines), what)
    };
    authorities(parts).into_iter().map(attempt).collect()
}

pub(super) fn query(parts: &Parts<'_>) -> Vec<Attempt> {
    let target = parts.request.target;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut attempts = Vec::new();
    let mut one = |what: &str, value: &dyn Fn(&Name<'_>) -> Option<String>| {
        attempts.push(Attempt::new(parts.with_lines(&parts.with_values(value)), what.to_owned()));
    };
    let uri = |target: &str| format!("{}://{}{target}", parts.scheme, parts.authority);
    one("has @target-uri without the query", &|name| matches!(name, Name::TargetUri).then(|| uri(path)));
    one("has @path with the query", &|name| matches!(name, Name::Path).then(|| target.to_owned()));
    one("has @query without its ?", &|name| matches!(name, Name::Query).then(|| query.to_owned()));
    one("has an empty @query", &|name| matches!(name, Name::Query).then(String::new));
    one("has @target-uri with the path only", &|name| {
        matches!(name, Name::TargetUri).then(|| target.to_owned())
    });
    one("has @request-target without the query", &|name| {
        matches!(name, Name::RequestTarget).then(|| path.to_owned())
    });
    one("has the method in @request-target", &|name| {
        matches!(name, Name::RequestTarget)
            .then(|| format!("{} {target}", parts.request.method.to_ascii_lowercase()))
    });
    attempts
}

pub(super) fn path(parts: &Parts<'_>) -> Vec<Attempt> {
    let target = parts.request.target;
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned();
    let others = [
        (path.strip_suffix('/').unwrap_or(path).to_owned(), "without the slash at its end"),
        (format!("{path}/"), "with a slash at its end"),
        (decoded, "with its escapes decoded"),
    ];
    let mut attempts = Vec::new();
    for (other, what) in others.into_iter().filter(|(other, _)| other != path) {
        let target = query.map_or(other.clone(), |query| format!("{other}?{query}"));
        let lines = parts.with_target(&parts.scheme, &parts.authority, &target);
        attempts.push(Attempt::new(parts.with_lines(&lines), format!("has the path {what}")));
    }
    attempts
}

pub(super) fn method_case(parts: &Parts<'_>) -> Vec<Attempt> {
    let method = parts.request.method;
    [method.to_ascii_lowercase(), method.to_ascii_uppercase()]
        .into_iter()
        .filter(|other| other != method)
        .map(|other| {
            let lines = parts.with_values(|name| matches!(name, Name::Method).then(|| other.clone()));
            Attempt::new(parts.with_lines(&lines), format!("says the method {other} where it is {method}"))
        })
        .collect()
}

fn is_digest(name: &Name<'_>) -> bool {
    matches!(name, Name::Field(name, _) if name == "content-digest")
}

/// The base with another `content-digest`.
fn with_digest(parts: &Parts<'_>, value: &str, what: &str) -> Attempt {
    let lines = parts.with_values(|name| is_digest(name).then(|| value.to_owned()));
    Attempt::new(parts.with_lines(&lines), what.to_owned())
}

pub(super) fn digest_body(parts: &Parts<'_>) -> Vec<Attempt> {
    let body = parts.request.body.bytes().unwrap_or_default();
    let trimmed = body.strip_suffix(b"\n").unwrap_or(body);
    let bodies = [
        (body.to_vec(), "that came"),
        (Vec::new(), "that is empty"),
        ([body, b"\n"].concat(), "that ends with one more newline"),
        (trimmed.to_vec(), "that ends with one newline less"),
    ];
    let mut attempts = Vec::new();
    for (body, which) in bodies {
        let what = format!("has the digest of a body {which}, which is not what Content-Digest says");
        for digest in [
            format!("sha-256=:{}:", Base64::encode_string(&sha256(&body))),
            format!("sha-512=:{}:", Base64::encode_string(&sha512(&body))),
        ] {
            attempts.push(with_digest(parts, &digest, &what));
        }
    }
    attempts
}

pub(super) fn digest_encoding(parts: &Parts<'_>) -> Vec<Attempt> {
    let Ok(body) = parts.request.body.bytes() else { return Vec::new() };
    let mut attempts = Vec::new();
    for (name, old, digest) in
        [("sha-256", "SHA-256", sha256(body).to_vec()), ("sha-512", "SHA-512", sha512(body).to_vec())]
    {
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let (base64, url) = (Base64::encode_string(&digest), Base64UrlUnpadded::encode_string(&digest));
        for (value, what) in [
            (format!("{name}=:{hex}:"), "in hex"),
            (format!("{name}={hex}"), "in hex"),
            (hex.clone(), "in hex, alone"),
            (format!("{name}=:{url}:"), "in base64url"),
            (format!("{name}={base64}"), "without its colons"),
            (base64.clone(), "alone, without its algorithm"),
            (format!("{old}={base64}"), "as the old Digest field has it"),
        ] {
            attempts.push(with_digest(parts, &value, &format!("has the digest {what}")));
        }
    }
    attempts
}

pub(super) fn whitespace(parts: &Parts<'_>) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    for (separator, keep_space, what) in [
        (", ", true, "has a header with the white space around its value"),
        (",", false, "joins the lines of a header with a comma alone"),
        ("", false, "joins the lines of a header with nothing between them"),
    ] {
        let lines = parts.with_values(|name| match name {
            Name::Field(name, _) => parts.field(name, separator, keep_space),
            _ => None,
        });
        attempts.push(Attempt::new(parts.with_lines(&lines), what.to_owned()));
    }
    for (at, line) in parts.lines.iter().enumerate() {
        for (value, where_) in
            [(format!(" {}", line.value), "before"), (format!("{} ", line.value), "behind")]
        {
            let mut lines = parts.lines.clone();
            if let Some(line) = lines.get_mut(at) {
                line.value = value;
            }
            let what = format!("has a space {where_} the value of {}", line.identifier);
            attempts.push(Attempt::new(parts.with_lines(&lines), what));
        }
    }
    attempts
}
