//! One witness, and the wire to it.

use std::io;
use std::time::Duration;

use ureq::Agent;
use ureq::http::Uri;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use super::exchange::{Answer, Cosigned, WitnessError, answer, request};
use super::progress::{Progress, Submission};
use crate::evidence::merkle::Hash;
use crate::evidence::note::{KeyKind, VerifierKey};
use crate::timestamp::{Clock as _, SystemClock};

/// How long a request may take, from the look-up of the name to the last byte of the answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long an answer may be, in bytes. A cosignature takes less than 200.
const MAX_ANSWER: u64 = 16 * 1024;

/// A witness: where it is, and what its cosignatures verify with.
#[derive(Debug, Clone)]
pub struct Witness {
    url: String,
    key: VerifierKey,
    agent: Agent,
    timeout: Duration,
}

/// Why something is no witness.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WitnessSettingsError {
    #[error("expected an http or https URL with a host, and without a user, a query and a fragment")]
    Url,
    #[error(
        "expected the key of a witness (type 0x04, cosignature/v1), but found one that signs notes (0x01)"
    )]
    KeyKind,
    #[error("expected the certificates of authorities in PEM")]
    Authorities,
}

impl Witness {
    /// The witness with this submission prefix: `/add-checkpoint` is added to it. Certificates are checked against those of
    /// `authorities`, in PEM, and otherwise against Mozilla's list. Proxies are taken from the environment (`https_proxy`
    /// and so on).
    ///
    /// # Errors
    /// When it could never be asked.
    pub fn new(
        submission_prefix: &str,
        key: VerifierKey,
        authorities: Option<&[u8]>,
    ) -> Result<Self, WitnessSettingsError> {
        if key.kind() != KeyKind::Cosignature {
            return Err(WitnessSettingsError::KeyKind);
        }
        check_url(submission_prefix)?;
        let tls = TlsConfig::builder().root_certs(match authorities {
            Some(pem) => RootCerts::new_with_certs(&certificates(pem)?),
            None => RootCerts::WebPki,
        });
        let config = Agent::config_builder()
            .tls_config(tls.build())
            // A witness has no reason to send us elsewhere, and elsewhere is not where the operator said.
            .max_redirects(0)
            .http_status_as_error(false);
        let url = format!("{}/add-checkpoint", submission_prefix.trim_end_matches('/'));
        Ok(Self { url, key, agent: config.build().new_agent(), timeout: TIMEOUT })
    }

    /// The same witness, with another time that a request may take than 10 seconds.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// What its cosignatures verify with.
    #[must_use]
    pub const fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// Asks for a cosignature. `prove` is asked for the proof from one size to another where the witness stands elsewhere
    /// than `progress` says.
    pub(super) fn submit(
        &self,
        submission: &Submission,
        progress: &Progress,
        prove: &dyn Fn(u64, u64) -> io::Result<Vec<Hash>>,
    ) -> Result<Cosigned, WitnessError> {
        let (first, proof) = progress.proof();
        let size = match self.ask(first, &proof, submission)? {
            Answer::Cosigned(cosigned) => return Ok(cosigned),
            Answer::Conflict(size) => elsewhere(first, size, submission.size())?,
        };
        let proof = if size == 0 || size == submission.size() {
            Vec::new()
        } else {
            prove(size, submission.size())
                .map_err(|error| WitnessError::NoProof { old: size, error: error.to_string() })?
        };
        match self.ask(size, &proof, submission)? {
            Answer::Cosigned(cosigned) => Ok(cosigned),
            Answer::Conflict(second) => {
                let second = elsewhere(size, second, submission.size())?;
                Err(WitnessError::Unsteady { first: size, second })
            }
        }
    }

    fn ask(&self, old_size: u64, proof: &[Hash], submission: &Submission) -> Result<Answer, WitnessError> {
        let transport = |error: ureq::Error| WitnessError::Transport(error.to_string());
        let body = request(old_size, proof, &submission.checkpoint);
        let post = self.agent.post(&self.url).config().timeout_global(Some(self.timeout)).build();
        let mut response = post.send(body).map_err(transport)?;
        let (status, now) = (response.status().as_u16(), SystemClock.now());
        let body = match status {
            200 | 409 => {
                response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec().map_err(transport)?
            }
            // What a person would read says no more than the status.
            _ => Vec::new(),
        };
        answer(status, &body, old_size, &submission.checkpoint, &self.key, now)
    }
}

/// The size where the witness stands, after it refused one from `asked` on.
fn elsewhere(asked: u64, stands: Option<u64>, log: u64) -> Result<u64, WitnessError> {
    match stands {
        Some(size) if size > log => Err(WitnessError::Ahead { witness: size, log }),
        Some(size) if size != asked => Ok(size),
        // It cosigned a tree of this size, and it has another root.
        _ if asked == log => Err(WitnessError::Forked(log)),
        _ => Err(WitnessError::NoSize),
    }
}

fn check_url(url: &str) -> Result<(), WitnessSettingsError> {
    let uri: Uri = url.parse().map_err(|_| WitnessSettingsError::Url)?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    // A password would end up in logs.
    let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    let whole = uri.query().is_none() && !url.contains('#');
    if known && plain && whole { Ok(()) } else { Err(WitnessSettingsError::Url) }
}

fn certificates(pem: &[u8]) -> Result<Vec<ureq::tls::Certificate<'static>>, WitnessSettingsError> {
    let mut certificates = Vec::new();
    for item in parse_pem(pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|_| WitnessSettingsError::Authorities)? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() { Err(WitnessSettingsError::Authorities) } else { Ok(certificates) }
}
