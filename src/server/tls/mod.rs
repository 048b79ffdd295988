//! TLS on the port of gRPC: its files, which may change while the relay serves.

mod clients;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use zeroize::Zeroizing;

use crate::config::{TlsClients, TlsSettings};
use crate::crypto::sha256;
use crate::keys::private::{self, KeyFileError};
use crate::regular_file;
use crate::timestamp::{Clock as _, SystemClock, Timestamp};
use clients::NamedClients;
pub(super) use clients::reason;

/// Why files cannot be used. No message quotes their contents.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{0}")]
    KeyFile(#[from] KeyFileError),
    #[error("{}: {problem}", path.display())]
    File { path: PathBuf, problem: TlsFileProblem },
    #[error("it cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum TlsFileProblem {
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    #[error("expected certificates in PEM, but found none")]
    NoCertificate,
    #[error("expected a private key in PEM (PKCS #8, SEC 1 or PKCS #1), but found none")]
    NoKey,
    #[error("certificate {position}: it cannot be read")]
    Certificate { position: usize },
    #[error("the certificate is over since {} (seconds since 1970)", .0.unix_seconds())]
    Expired(Timestamp),
    #[error("the key cannot be used: {0}")]
    Key(rustls::Error),
    #[error("the key does not belong to the certificate in {}", .0.display())]
    OtherKey(PathBuf),
    #[error("the authorities cannot be used: {0}")]
    Authorities(#[from] VerifierBuilderError),
}

/// The certificate that the relay shows, and what it asks of clients.
pub struct Tls {
    settings: TlsSettings,
    current: RwLock<Arc<Loaded>>,
}

/// One version of the files.
struct Loaded {
    acceptor: TlsAcceptor,
    expires: Timestamp,
    digest: [u8; 32],
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When one of them cannot be used: also when the certificate is over, since no client would accept it.
    pub fn load(settings: TlsSettings) -> Result<Self, TlsError> {
        let loaded = Texts::read(&settings)?.load(&settings)?;
        Ok(Self { settings, current: RwLock::new(Arc::new(loaded)) })
    }

    /// Reads the files again, which may block, and says whether they changed. New connections are made by them; those that
    /// are open stay.
    ///
    /// # Errors
    /// As [`Tls::load`]. The version in use then stays in use, all of it.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let texts = Texts::read(&self.settings)?;
        if texts.digest() == self.current().digest {
            return Ok(false);
        }
        let loaded = texts.load(&self.settings)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
        Ok(true)
    }

    /// The files that it is read from.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let TlsSettings { certificate, key, clients } = &self.settings;
        let authorities = clients.as_ref().map(|clients| &clients.authorities);
        [certificate, key].into_iter().chain(authorities).cloned().collect()
    }

    /// Until when the certificate in use is valid.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.current().expires
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let acceptor = self.current().acceptor.clone();
        acceptor.accept(stream).await
    }

    fn current(&self) -> Arc<Loaded> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What stands in the files.
struct Texts {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    authorities: Vec<u8>,
}

impl Texts {
    fn read(settings: &TlsSettings) -> Result<Self, TlsError> {
        let read = |path: &PathBuf| regular_file::read(path).map_err(|error| at(path, error));
        let clients = settings.clients.as_ref();
        Ok(Self {
            certificate: read(&settings.certificate)?,
            key: private::read(&settings.key)?,
            authorities: clients.map(|clients| read(&clients.authorities)).transpose()?.unwrap_or_default(),
        })
    }

    /// Names them without keeping the key.
    fn digest(&self) -> [u8; 32] {
        let digests = [&self.certificate, &*self.key, &self.authorities].map(|text| sha256(text));
        sha256(digests.as_flattened())
    }

    fn load(&self, settings: &TlsSettings) -> Result<Loaded, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = certificates(&settings.certificate, &self.certificate)?;
        let expires = expiry(&settings.certificate, &chain)?;
        let key = self.key_of(chain, settings, &provider)?;
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13, &TLS12])?;
        let config = match &settings.clients {
            Some(clients) => config.with_client_cert_verifier(self.verifier(clients, provider)?),
            None => config.with_no_client_auth(),
        };
        let mut config = config.with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(key)));
        config.alpn_protocols = vec![b"h2".to_vec()];
        // A session that is resumed would not show its certificate again: not to other names, not to the clock.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok(Loaded { acceptor, expires, digest: self.digest() })
    }

    fn key_of(
        &self,
        chain: Vec<CertificateDer<'static>>,
        settings: &TlsSettings,
        provider: &CryptoProvider,
    ) -> Result<CertifiedKey, TlsError> {
        let key = PrivateKeyDer::from_pem_slice(&self.key);
        // What was wrong with it may quote it.
        let key = key.map_err(|_| at(&settings.key, TlsFileProblem::NoKey))?;
        CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                at(&settings.key, TlsFileProblem::OtherKey(settings.certificate.clone()))
            }
            error => at(&settings.key, TlsFileProblem::Key(error)),
        })
    }

    fn verifier(
        &self,
        clients: &TlsClients,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let TlsClients { authorities: path, names } = clients;
        let mut roots = RootCertStore::empty();
        for (position, authority) in (1..).zip(certificates(path, &self.authorities)?) {
            roots.add(authority).map_err(|_| at(path, TlsFileProblem::Certificate { position }))?;
        }
        let by_authority = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| at(path, error))?;
        Ok(match names {
            Some(names) => Arc::new(NamedClients { by_authority, names: names.clone() }),
            None => by_authority,
        })
    }
}

fn at(path: &Path, problem: impl Into<TlsFileProblem>) -> TlsError {
    TlsError::File { path: path.to_owned(), problem: problem.into() }
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let mut certificates = Vec::new();
    for (position, certificate) in (1..).zip(CertificateDer::pem_slice_iter(pem)) {
        let problem = |_| at(path, TlsFileProblem::Certificate { position });
        certificates.push(certificate.map_err(problem)?);
    }
    if certificates.is_empty() {
        return Err(at(path, TlsFileProblem::NoCertificate));
    }
    Ok(certificates)
}

/// Until when the first is valid. One that is not valid yet is let be: clocks differ, and it soon is.
fn expiry(path: &Path, chain: &[CertificateDer<'_>]) -> Result<Timestamp, TlsError> {
    let first = chain.first().and_then(|first| Certificate::from_der(first).ok());
    let first = first.ok_or_else(|| at(path, TlsFileProblem::Certificate { position: 1 }))?;
    let expires = Timestamp::from(first.tbs_certificate().validity().not_after.to_unix_duration());
    if expires <= SystemClock.now() {
        return Err(at(path, TlsFileProblem::Expired(expires)));
    }
    Ok(expires)
}
