//! Where gRPC is served, and to whom.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where gRPC is served: an address and a port, or `unix:` and the path of a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Listen {
    /// A relative path starts at this folder.
    #[must_use]
    pub fn within(self, folder: &Path) -> Self {
        match self {
            Self::Unix(path) => Self::Unix(folder.join(path)),
            tcp @ Self::Tcp(_) => tcp,
        }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let listen = match text.strip_prefix("unix:") {
            Some(path) => (!path.is_empty() && !path.contains('\0')).then(|| Self::Unix(PathBuf::from(path))),
            None => text.parse().ok().map(Self::Tcp),
        };
        listen.ok_or_else(|| {
            format!(
                "expected an IP address and a port such as 0.0.0.0:8000, or unix: and a path, but found {text:?}"
            )
        })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The files of TLS, and what clients must show.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// A chain in PEM, the relay's own certificate first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Where it is not set, clients show nothing.
    pub clients: Option<TlsClients>,
}

/// Whose certificates open the port.
#[derive(Debug, Clone)]
pub struct TlsClients {
    /// Certificates of authorities, in PEM.
    pub authorities: PathBuf,
    /// Where it is not set, any certificate by these authorities.
    pub names: Option<Vec<ClientName>>,
}

/// Whom a certificate is for (RFC 5280 §4.2.1.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientName {
    /// A `dNSName`. Case does not matter.
    Dns(Box<str>),
    /// A `uniformResourceIdentifier`, such as a SPIFFE ID. It is compared as it stands.
    Uri(Box<str>),
}

impl FromStr for ClientName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_label = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        let is_uri = |(scheme, rest): (&str, &str)| {
            let mut scheme = scheme.bytes();
            scheme.next().is_some_and(|first| first.is_ascii_alphabetic())
                && scheme.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
                && !rest.is_empty()
                && rest.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if text.split_once(':').is_some_and(is_uri) {
            Ok(Self::Uri(text.into()))
        } else if text.split('.').all(is_label) && text.parse::<IpAddr>().is_err() {
            Ok(Self::Dns(text.into()))
        } else {
            Err(format!(
                "expected a DNS name such as envoy.internal, or a URI such as spiffe://cluster.local/ns/a/sa/b, but found {text:?}"
            ))
        }
    }
}
