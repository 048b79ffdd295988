//! Whose certificates open the port. Both are asked during the handshake: who the authority is, and whom it is for.

use std::sync::Arc;
use std::{fmt, io};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::config::ClientName;

/// Clients with a certificate by an authority, for one of these names.
#[derive(Debug)]
pub(super) struct NamedClients {
    pub(super) by_authority: Arc<dyn ClientCertVerifier>,
    pub(super) names: Vec<ClientName>,
}

impl ClientCertVerifier for NamedClients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.by_authority.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.by_authority.verify_client_cert(end_entity, intermediates, now)?;
        let found = names(end_entity).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if found.iter().any(|name| self.names.iter().any(|allowed| is_same(allowed, name))) {
            return Ok(verified);
        }
        let error = OtherError(Arc::new(NotAllowed(found)));
        Err(Error::InvalidCertificate(CertificateError::Other(error)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_authority.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_authority.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_authority.supported_verify_schemes()
    }
}

fn is_same(allowed: &ClientName, found: &ClientName) -> bool {
    match (allowed, found) {
        (ClientName::Dns(allowed), ClientName::Dns(found)) => allowed.eq_ignore_ascii_case(found),
        (ClientName::Uri(allowed), ClientName::Uri(found)) => allowed == found,
        _ => false,
    }
}

/// The DNS names and URIs of a certificate, if it can be read. A common name is none: nobody checks what it says.
fn names(certificate: &CertificateDer<'_>) -> Option<Vec<ClientName>> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let names = certificate.tbs_certificate().get_extension::<SubjectAltName>().ok()?;
    let names = names.into_iter().flat_map(|(_, SubjectAltName(names))| names);
    Some(
        names
            .filter_map(|name| match name {
                GeneralName::DnsName(name) => Some(ClientName::Dns(name.as_str().into())),
                GeneralName::UniformResourceIdentifier(name) => Some(ClientName::Uri(name.as_str().into())),
                _ => None,
            })
            .collect(),
    )
}

/// Why a handshake failed. By itself rustls shows what is said here as a value of Rust.
pub(in crate::server) fn reason(error: &io::Error) -> String {
    match error.get_ref().and_then(|error| error.downcast_ref()) {
        Some(Error::InvalidCertificate(CertificateError::Other(OtherError(reason)))) => reason.to_string(),
        _ => error.to_string(),
    }
}

/// The names that were found instead.
#[derive(Debug, thiserror::Error)]
struct NotAllowed(Vec<ClientName>);

impl fmt::Display for NotAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// As many as tell who it is: a certificate may have thousands.
        const SHOWN: usize = 4;
        const LONGEST: usize = 100;
        if self.0.is_empty() {
            return f.write_str("the client's certificate is for no name");
        }
        f.write_str("the client's certificate is for ")?;
        for (position, name) in self.0.iter().take(SHOWN).enumerate() {
            let (ClientName::Dns(text) | ClientName::Uri(text)) = name;
            let separator = if position > 0 { ", " } else { "" };
            write!(f, "{separator}{text:.LONGEST$}")?;
        }
        f.write_str(if self.0.len() > SHOWN { ", …" } else { "" })?;
        f.write_str(", and none of these is in tls.clients")
    }
}
