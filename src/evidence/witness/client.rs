//! One witness, and the wire to it.

use std::io;
use std::time::Duration;

use ureq::Agent;

use super::exchange::{Answer, Cosigned, WitnessError, answer, request};
use super::progress::{Progress, Submission};
use crate::evidence::merkle::Hash;
use crate::evidence::note::{KeyKind, VerifierKey};
use crate::outbound::{self, NoAuthorities};
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
    #[error("{0}")]
    Authorities(#[from] NoAuthorities),
}

impl Witness {
    /// The witness with this submission prefix: `/add-checkpoint` is added to it. `authorities` is what
    /// [`outbound::agent`] takes.
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
        // It has no reason to ask for anything but the one path.
        if outbound::plain_url(submission_prefix).is_none_or(|uri| uri.query().is_some()) {
            return Err(WitnessSettingsError::Url);
        }
        let agent = outbound::agent(authorities)?;
        let url = format!("{}/add-checkpoint", submission_prefix.trim_end_matches('/'));
        Ok(Self { url, key, agent, timeout: TIMEOUT })
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
