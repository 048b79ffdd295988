//! Which requests a policy matches: hosts, methods, path.

use std::borrow::Cow;
use std::fmt;

use super::{Path, PathPattern};
use crate::denial::Denial;
use crate::request::Request;

/// What of a request decides which policies match.
#[derive(Debug)]
pub struct Target<'a> {
    method: &'a str,
    scheme: &'a str,
    authority: Cow<'a, str>,
    path: Path<'a>,
}

impl<'a> Target<'a> {
    /// # Errors
    /// `path-ambiguous`: a path that the backend may read differently could be another resource, under another policy.
    pub fn of(request: &Request<'a>) -> Result<Self, Denial> {
        Ok(Self {
            method: request.method,
            scheme: request.scheme,
            authority: request.normalized_authority(),
            path: Path::parse(request)?,
        })
    }

    #[must_use]
    pub fn method(&self) -> &'a str {
        self.method
    }

    /// The authority in lower case, without the port that goes without saying.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The host in lower case, without a port.
    #[must_use]
    pub fn host(&self) -> &str {
        split_port(&self.authority).0
    }

    fn port(&self) -> &str {
        // The authority goes without the port that its scheme implies.
        split_port(&self.authority).1.unwrap_or(if self.scheme == "https" { "443" } else { "80" })
    }

    #[must_use]
    pub fn path(&self) -> &Path<'a> {
        &self.path
    }
}

/// Why a policy does not match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    Method,
    Path,
    Host,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "method",
            Self::Path => "path",
            Self::Host => "host",
        })
    }
}

/// The requests that a policy matches. Whatever is not stated matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Match {
    pub hosts: Vec<HostPattern>,
    pub methods: Vec<Box<str>>,
    pub path: Option<PathPattern>,
}

impl Match {
    /// The first reason why the policy does not match, or nothing where it does.
    #[must_use]
    pub fn mismatch(&self, target: &Target<'_>) -> Option<Mismatch> {
        self.mismatches(target).next()
    }

    /// Every reason why the policy does not match.
    pub fn mismatches(&self, target: &Target<'_>) -> impl Iterator<Item = Mismatch> {
        [Mismatch::Method, Mismatch::Path, Mismatch::Host].into_iter().filter(|property| !match property {
            Mismatch::Method => {
                self.methods.is_empty() || self.methods.iter().any(|method| **method == *target.method)
            }
            Mismatch::Path => self.path.as_ref().is_none_or(|pattern| pattern.matches(&target.path)),
            Mismatch::Host => {
                self.hosts.is_empty() || self.hosts.iter().any(|pattern| pattern.matches(target))
            }
        })
    }

    /// Whether this matches every request that the other matches.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let methods = self.methods.is_empty()
            || !other.methods.is_empty() && other.methods.iter().all(|method| self.methods.contains(method));
        let hosts = self.hosts.is_empty()
            || !other.hosts.is_empty()
                && other.hosts.iter().all(|host| self.hosts.iter().any(|known| known.covers(host)));
        let path = self
            .path
            .as_ref()
            .is_none_or(|pattern| other.path.as_ref().is_some_and(|other| pattern.covers(other)));
        methods && hosts && path
    }
}

/// Why a pattern cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(pub(super) String);

/// A host: exact, or everything below `*.suffix`. With a port it matches that port only, without one any port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    host: Box<str>,
    port: Option<Box<str>>,
    below: bool,
}

impl HostPattern {
    /// # Errors
    /// When it is not a host in lower case, with at most one `*.` in front.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let (below, rest) = text.strip_prefix("*.").map_or((false, text), |rest| (true, rest));
        let (host, port) = split_port(rest);
        let is_literal = host.starts_with('[') && host.ends_with(']') && !below;
        let allowed = |byte: u8| {
            byte.is_ascii_lowercase()
                || byte.is_ascii_digit()
                || b"-._".contains(&byte)
                || is_literal && b"[]:".contains(&byte)
        };
        if host.is_empty()
            || !host.bytes().all(allowed)
            || port.is_some_and(|port| port.parse::<u16>().is_err())
        {
            return Err(PatternError(format!(
                "expected a host in lower case such as bank.example, *.bank.example or bank.example:8443, but found {text:?}"
            )));
        }
        Ok(Self { host: host.into(), port: port.map(Into::into), below })
    }

    /// The host, where the pattern names exactly one.
    pub(super) fn exact(&self) -> Option<&str> {
        (!self.below).then_some(&*self.host)
    }

    fn matches(&self, target: &Target<'_>) -> bool {
        let host = target.host();
        let host_matches = if self.below { is_below(host, &self.host) } else { *host == *self.host };
        host_matches && self.port.as_deref().is_none_or(|expected| expected == target.port())
    }

    fn covers(&self, other: &Self) -> bool {
        let host = match (self.below, other.below) {
            (false, true) => false,
            (true, false) => is_below(&other.host, &self.host),
            (true, true) => self.host == other.host || is_below(&other.host, &self.host),
            (false, false) => self.host == other.host,
        };
        host && (self.port.is_none() || self.port == other.port)
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (below, port) = (if self.below { "*." } else { "" }, self.port.as_deref());
        write!(f, "{below}{}", self.host)?;
        port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Whether the host is a subdomain.
fn is_below(host: &str, suffix: &str) -> bool {
    host.strip_suffix(suffix).is_some_and(|below| below.len() > 1 && below.ends_with('.'))
}

/// Host and port of an authority; an IPv6 address keeps its brackets (RFC 3986 §3.2.2).
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}
