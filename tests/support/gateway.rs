//! Everything that a request passes: a client, a real Envoy, the relay beside it, the backend behind it.

use std::net::SocketAddr;

use serde_json::json;

use super::ask::Ask;
use super::backend::{Backend, Received};
use super::client::{self, Answer};
use super::envoy::{Envoy, EnvoySetup};
use super::relay::Relay;
use super::signer::Signer;

/// What a client speaks.
#[derive(Clone, Copy, Debug)]
pub enum Protocol {
    Http1,
    Http2,
}

pub const PROTOCOLS: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

/// An Envoy with a relay, which has the machine's clock, and a backend.
pub struct Gateway {
    _relay: Relay,
    backend: Backend,
    pub envoy: Envoy,
}

impl Gateway {
    /// With the configuration that this repository ships, and a relay with these settings and signers.
    pub async fn start(settings: &str, signers: &[&Signer]) -> Self {
        Self::start_with(settings, signers, |_| {}).await
    }

    /// With what the test changes in Envoy's configuration.
    pub async fn start_with(
        settings: &str,
        signers: &[&Signer],
        change: impl FnOnce(&mut EnvoySetup),
    ) -> Self {
        Self::start_before(Backend::start().await, settings, signers, change).await
    }

    /// In front of this backend.
    pub async fn start_before(
        backend: Backend,
        settings: &str,
        signers: &[&Signer],
        change: impl FnOnce(&mut EnvoySetup),
    ) -> Self {
        let relay = Relay::start_now(settings, signers).await;
        let mut setup = EnvoySetup::new(relay.address, backend.address());
        change(&mut setup);
        Self { _relay: relay, backend, envoy: Envoy::start(setup).await }
    }

    pub fn address(&self) -> SocketAddr {
        self.envoy.address()
    }

    pub async fn send(&self, protocol: Protocol, ask: &Ask) -> Answer {
        match protocol {
            Protocol::Http1 => self.http1(ask).await,
            Protocol::Http2 => self.http2(ask).await,
        }
    }

    pub async fn http1(&self, ask: &Ask) -> Answer {
        client::http1(self.address(), &ask.http1()).await
    }

    pub async fn http2(&self, ask: &Ask) -> Answer {
        client::http2(self.address(), ask.http2()).await.expect("an answer, and no reset")
    }

    /// The requests that reached the backend.
    pub fn received(&self) -> Vec<Received> {
        self.backend.requests()
    }

    /// The newest request that reached the backend.
    #[track_caller]
    pub fn last_received(&self) -> Received {
        self.received().pop().expect("a request that reached the backend")
    }

    /// Nothing reached the backend.
    #[track_caller]
    pub fn assert_untouched(&self) {
        let received = self.received();
        assert!(received.is_empty(), "the backend got {received:?}");
    }
}

/// The client was told why, in the relay's own words (RFC 9457).
#[track_caller]
pub fn assert_refused(answer: &Answer, status: u16, code: &str) {
    let text = answer.text();
    assert_eq!(answer.status, status, "{text}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{text}");
    let problem = answer.json();
    assert_eq!(problem["code"], json!(code), "{text}");
    assert_eq!(problem["status"], json!(status), "{text}");
}

/// The client was told why, and the sentence says this.
#[track_caller]
pub fn assert_refused_saying(answer: &Answer, status: u16, code: &str, saying: &str) {
    assert_refused(answer, status, code);
    let detail = answer.json()["detail"].to_string();
    assert!(detail.contains(saying), "{saying:?} is not in {detail}");
}
