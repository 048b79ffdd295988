//! The service without a network, over a replay store that may be slow, broken or shared.

use std::path::Path;
use std::sync::Arc;

use envoy_types::pb::envoy::service::auth::v3::authorization_server::Authorization as _;
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use proof_messenger_relay::config::Config;
use proof_messenger_relay::envoy::AuthorizationService;
use proof_messenger_relay::envoy::client::{Answer, answer};
use proof_messenger_relay::keys::{Directory, parse_jwk_set};
use proof_messenger_relay::relay;
use proof_messenger_relay::replay::{MemoryStore, ReplayStore};
use proof_messenger_relay::timestamp::{Clock, Timestamp};
use tokio::runtime::Runtime;

use super::relay::START;
use super::signer::{Signer, trust_store};

pub struct Service(AuthorizationService);

impl Service {
    /// A service that takes so many checks at once.
    pub fn new(
        settings: &str,
        signers: &[&Signer],
        clock: Arc<dyn Clock>,
        store: Arc<dyn ReplayStore>,
        in_flight: usize,
    ) -> Self {
        let mut config =
            Config::parse(settings, "test", Path::new("")).unwrap_or_else(|problems| panic!("{problems}"));
        let keys = parse_jwk_set(trust_store(signers).to_string().as_bytes()).unwrap();
        let keys: Result<Vec<_>, _> = keys.into_iter().collect();
        config.in_flight = in_flight;
        let relay = relay::Relay::new(config, Directory::new(keys.unwrap()).unwrap(), store, clock);
        Self(AuthorizationService::new(Arc::new(relay)))
    }

    pub async fn respond(&self, check: impl Into<CheckRequest>) -> Result<CheckResponse, tonic::Status> {
        self.0.check(tonic::Request::new(check.into())).await.map(tonic::Response::into_inner)
    }
}

/// The service for tests that ask thousands of questions one after the other, with a clock that stands still at
/// [`START`].
pub struct Blocking {
    service: Service,
    runtime: Runtime,
}

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(START)
    }
}

impl Blocking {
    /// `settings` is a configuration file without `listen` and `keys`.
    pub fn new(settings: &str, signers: &[&Signer]) -> Self {
        let store = Arc::new(MemoryStore::new(100_000));
        let service = Service::new(settings, signers, Arc::new(Still), store, 1);
        Self { service, runtime: tokio::runtime::Builder::new_current_thread().build().unwrap() }
    }

    /// What goes back over the wire.
    pub fn respond(&self, check: CheckRequest) -> Result<CheckResponse, tonic::Status> {
        self.runtime.block_on(self.service.respond(check))
    }

    /// The answer to a check of an HTTP request.
    pub fn ask(&self, check: CheckRequest) -> Answer {
        answer(self.respond(check).unwrap())
    }
}
