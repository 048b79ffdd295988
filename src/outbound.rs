//! HTTP from here: to witnesses, and to where keys are published.

use ureq::Agent;
use ureq::http::Uri;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// Not the certificates of authorities in PEM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected the certificates of authorities in PEM")]
pub struct NoAuthorities;

/// A client that goes nowhere but where the operator said: it follows no redirect. Certificates are checked against those of
/// `authorities`, in PEM, and otherwise against Mozilla's list. Proxies are taken from the environment (`https_proxy` and so
/// on).
///
/// # Errors
/// When `authorities` has no certificate.
pub fn agent(authorities: Option<&[u8]>) -> Result<Agent, NoAuthorities> {
    let tls = TlsConfig::builder().root_certs(match authorities {
        Some(pem) => RootCerts::new_with_certs(&certificates(pem)?),
        None => RootCerts::WebPki,
    });
    let config = Agent::config_builder().tls_config(tls.build()).max_redirects(0).http_status_as_error(false);
    Ok(config.build().new_agent())
}

/// The parts of an http or https URL, if it has a host and neither a user nor a fragment: a password would end up in logs.
#[must_use]
pub fn plain_url(url: &str) -> Option<Uri> {
    let uri: Uri = url.parse().ok()?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    (known && plain && !url.contains('#')).then_some(uri)
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate<'static>>, NoAuthorities> {
    let mut certificates = Vec::new();
    for item in parse_pem(pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|_| NoAuthorities)? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() { Err(NoAuthorities) } else { Ok(certificates) }
}
