//! The service without a network, over a replay store that may be slow, broken or shared.

use std::path::Path;
use std::sync::Arc;

use envoy_types::pb::envoy::service::auth::v3::authorization_server::Authorization as _;
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use proof_messenger_relay::config::Config;
use proof_messenger_relay::envoy::AuthorizationService;
use proof_messenger_relay::keys::{Directory, parse_jwk_set};
use proof_messenger_relay::relay;
use proof_messenger_relay::replay::{Guard, ReplayStore};
use proof_messenger_relay::timestamp::Clock;
use tokio::sync::Semaphore;

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
        let config =
            Config::parse(settings, "test", Path::new("")).unwrap_or_else(|problems| panic!("{problems}"));
        let keys = parse_jwk_set(trust_store(signers).to_string().as_bytes()).unwrap();
        let keys: Result<Vec<_>, _> = keys.into_iter().collect();
        let relay = relay::Relay {
            policies: config.policies,
            keys: Directory::new(keys.unwrap()).unwrap(),
            guard: Guard::new(config.enforcement_point, store),
            limits: config.limits,
            field_types: config.field_types,
            clock,
            places: Semaphore::new(in_flight),
        };
        Self(AuthorizationService::new(Arc::new(relay), config.denials))
    }

    pub async fn respond(&self, check: impl Into<CheckRequest>) -> Result<CheckResponse, tonic::Status> {
        self.0.check(tonic::Request::new(check.into())).await.map(tonic::Response::into_inner)
    }
}
