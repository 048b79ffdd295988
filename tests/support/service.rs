//! The gRPC service without a network: for tests that ask thousands of questions.

use std::sync::Arc;

use envoy_types::pb::envoy::service::auth::v3::authorization_server::Authorization as _;
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use proof_messenger_relay::config::Config;
use proof_messenger_relay::envoy::AuthorizationService;
use proof_messenger_relay::envoy::client::{Answer, answer};
use proof_messenger_relay::keys::{Directory, parse_jwk_set};
use proof_messenger_relay::relay::Relay;
use proof_messenger_relay::replay::{Guard, MemoryStore};
use proof_messenger_relay::timestamp::{Clock, Timestamp};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tonic::{Request, Status};

use super::relay::START;
use super::signer::{Signer, trust_store};

/// A relay whose clock stands still at [`START`].
pub struct Service {
    service: AuthorizationService,
    runtime: Runtime,
}

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(START)
    }
}

impl Service {
    /// `settings` is a configuration file without `listen` and `keys`.
    pub fn new(settings: &str, signers: &[&Signer]) -> Self {
        let config = Config::parse(settings, "test", std::path::Path::new(""))
            .unwrap_or_else(|problems| panic!("{problems}"));
        let keys = parse_jwk_set(trust_store(signers).to_string().as_bytes()).unwrap();
        let relay = Relay {
            policies: config.policies,
            keys: Directory::new(keys.into_iter().map(Result::unwrap)).unwrap(),
            guard: Guard::new(config.enforcement_point, Arc::new(MemoryStore::new(config.replay_capacity))),
            limits: config.limits,
            field_types: config.field_types,
            clock: Arc::new(Still),
            places: Semaphore::new(config.in_flight),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { service: AuthorizationService::new(Arc::new(relay), config.denials), runtime }
    }

    /// What goes back over the wire.
    pub fn respond(&self, check: CheckRequest) -> Result<CheckResponse, Status> {
        self.runtime.block_on(self.service.check(Request::new(check))).map(tonic::Response::into_inner)
    }

    /// The answer to a check of an HTTP request.
    pub fn ask(&self, check: CheckRequest) -> Answer {
        answer(self.respond(check).unwrap())
    }
}
