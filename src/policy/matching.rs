//! Which requests a policy matches: hosts, methods, path.

use super::{Path, PathPattern};

/// The requests that a policy matches. Whatever is not stated matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Match {
    pub hosts: Vec<HostPattern>,
    pub methods: Vec<Box<str>>,
    pub path: Option<PathPattern>,
}

impl Match {
    pub(super) fn matches(&self, method: &str, scheme: &str, authority: &str, path: &Path<'_>) -> bool {
        (self.methods.is_empty() || self.methods.iter().any(|allowed| **allowed == *method))
            && self.path.as_ref().is_none_or(|pattern| pattern.matches(path))
            && (self.hosts.is_empty() || self.hosts.iter().any(|pattern| pattern.matches(scheme, authority)))
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

    fn matches(&self, scheme: &str, authority: &str) -> bool {
        let (host, port) = split_port(authority);
        // The authority goes without the port that its scheme implies.
        let port = port.unwrap_or(if scheme == "https" { "443" } else { "80" });
        let host_matches = if self.below {
            host.strip_suffix(&*self.host).is_some_and(|below| below.len() > 1 && below.ends_with('.'))
        } else {
            *host == *self.host
        };
        host_matches && self.port.as_deref().is_none_or(|expected| expected == port)
    }
}

/// Host and port of an authority; an IPv6 address keeps its brackets (RFC 3986 §3.2.2).
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}
