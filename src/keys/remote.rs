//! Keys that somebody publishes at a URL (JWK Set, RFC 7517 §5).

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::http::HeaderMap;
use ureq::http::header::{ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};

use super::{JwkError, Key, Owner, is_empty_jwk_set, parse_published_jwk_set};
use crate::crypto::{hex, sha256};
use crate::outbound::{self, NoAuthorities};

/// How long a request may take, from the look-up of the name to the last byte of the answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long an answer may be, in bytes: some ten thousand keys.
const MAX_ANSWER: u64 = 4 * 1024 * 1024;

/// Where keys are published, and how they are kept.
#[derive(Debug, Clone)]
pub struct RemoteSettings {
    pub url: String,
    /// Certificates of the authorities that its own is checked against, in PEM.
    pub ca: Option<PathBuf>,
    /// How often they are fetched.
    pub refresh: Duration,
    /// How long there is between two requests at least, whatever is asked of the relay.
    pub cooldown: Duration,
    /// For how long they are used while they cannot be fetched.
    pub max_stale: Duration,
    /// Whose they are; where nobody is named, each key says it (`sub`).
    pub owner: Option<Owner>,
}

/// Why no keys were fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{0}")]
    Transport(#[from] ureq::Error),
    #[error("expected status 200, but found {0}")]
    Status(u16),
    #[error("{0}")]
    Keys(#[from] JwkError),
    #[error("it holds no key that could be used")]
    NoKeys,
}

/// What was fetched.
#[derive(Debug)]
pub struct Published {
    pub keys: Vec<Arc<Key>>,
    /// SHA-256 of the text, in hexadecimal.
    pub digest: Box<str>,
}

/// Keys at a URL, as they were fetched last.
#[derive(Debug)]
pub struct Remote {
    pub settings: RemoteSettings,
    agent: Agent,
    held: Mutex<Option<Held>>,
}

/// What is held, and when its publisher last said that it is so.
#[derive(Debug)]
struct Held {
    published: Arc<Published>,
    /// What the publisher calls this version (RFC 9110 §8.8).
    entity_tag: Option<Box<str>>,
    last_modified: Option<Box<str>>,
    confirmed: Instant,
}

impl Remote {
    /// Fetches nothing yet.
    ///
    /// # Errors
    /// When the certificates of authorities cannot be read.
    pub fn new(settings: RemoteSettings) -> io::Result<Self> {
        let authorities = settings.ca.as_ref().map(std::fs::read).transpose()?;
        let agent = outbound::agent(authorities.as_deref())
            .map_err(|error: NoAuthorities| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(Self { settings, agent, held: Mutex::new(None) })
    }

    /// The keys, if they may be used.
    #[must_use]
    pub fn published(&self) -> Option<Arc<Published>> {
        self.held().as_ref().map(|held| Arc::clone(&held.published))
    }

    /// Forgets keys that nobody confirmed for too long. Whether there were any.
    pub fn expire(&self) -> bool {
        let mut held = self.held();
        let is_stale = held.as_ref().is_some_and(|held| held.confirmed.elapsed() > self.settings.max_stale);
        if is_stale {
            *held = None;
        }
        is_stale
    }

    /// Fetches them, unless they are what is held already. Whether there is something new. It blocks.
    ///
    /// # Errors
    /// When there is no usable answer. What is held stays.
    pub fn fetch(&self) -> Result<bool, FetchError> {
        let asked = Instant::now();
        let mut request = self.agent.get(&self.settings.url);
        if let Some(held) = &*self.held() {
            let known = [(IF_NONE_MATCH, &held.entity_tag), (IF_MODIFIED_SINCE, &held.last_modified)];
            for (name, value) in known {
                if let Some(value) = value {
                    request = request.header(name, &**value);
                }
            }
        }
        let mut response = request.config().timeout_global(Some(TIMEOUT)).build().call()?;
        match response.status().as_u16() {
            200 => {}
            304 if self.confirm(None, asked) => return Ok(false),
            status => return Err(FetchError::Status(status)),
        }
        let text = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec()?;
        let digest = hex(&sha256(&text)).into_boxed_str();
        if self.confirm(Some(&digest), asked) {
            return Ok(false);
        }
        let keys = parse_published_jwk_set(&text, self.settings.owner.as_ref())?;
        // Whoever publishes an empty set has withdrawn the keys. One of which nothing can be used says nothing.
        if keys.is_empty() && !is_empty_jwk_set(&text) {
            return Err(FetchError::NoKeys);
        }
        let published = Published { keys: keys.into_iter().map(Arc::new).collect(), digest };
        *self.held() = Some(Held {
            published: Arc::new(published),
            entity_tag: text_of(response.headers(), &ETAG),
            last_modified: text_of(response.headers(), &LAST_MODIFIED),
            confirmed: asked,
        });
        Ok(true)
    }

    /// Notes that what is held was in force at that time, if it is this.
    fn confirm(&self, digest: Option<&str>, at: Instant) -> bool {
        let mut held = self.held();
        let held = held.as_mut().filter(|held| digest.is_none_or(|digest| *held.published.digest == *digest));
        held.map(|held| held.confirmed = at).is_some()
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn text_of(headers: &HeaderMap, name: &ureq::http::HeaderName) -> Option<Box<str>> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(Into::into)
}
