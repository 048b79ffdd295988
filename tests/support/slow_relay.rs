//! A relay whose replay store answers when the test says so.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use envoy_types::pb::envoy::service::auth::v3::authorization_server::{Authorization, AuthorizationServer};
use proof_messenger_relay::config::Config;
use proof_messenger_relay::envoy::AuthorizationService;
use proof_messenger_relay::keys::{Directory, parse_jwk_set};
use proof_messenger_relay::relay::Relay;
use proof_messenger_relay::replay::{Claim, MemoryStore, Outcome, ReplayStore, StoreFailure};
use proof_messenger_relay::timestamp::{SystemClock, Timestamp};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;
use tonic::transport::server::TcpIncoming;

use super::PATIENCE;
use super::signer::{Signer, trust_store};

pub struct SlowRelay {
    pub service: AuthorizationService,
    pub store: Arc<SlowStore>,
}

/// A store that takes until the test releases it.
pub struct SlowStore {
    store: MemoryStore,
    asked: Notify,
    released: Semaphore,
    claimed: Notify,
}

impl SlowRelay {
    pub fn new(settings: &str, signers: &[&Signer]) -> Self {
        let config =
            Config::parse(settings, "test", Path::new("")).unwrap_or_else(|problems| panic!("{problems}"));
        let keys = parse_jwk_set(trust_store(signers).to_string().as_bytes()).unwrap();
        let store = Arc::new(SlowStore {
            store: MemoryStore::new(config.replay_capacity),
            asked: Notify::new(),
            released: Semaphore::new(0),
            claimed: Notify::new(),
        });
        let keys = Directory::new(keys.into_iter().map(Result::unwrap)).unwrap();
        let relay = Relay::new(config, keys, store.clone(), Arc::new(SystemClock));
        Self { service: AuthorizationService::new(Arc::new(relay)), store }
    }
}

impl SlowStore {
    /// From now on it answers.
    pub fn release(&self) {
        self.released.add_permits(1);
    }

    pub async fn until_asked(&self) {
        timeout(PATIENCE, self.asked.notified()).await.expect("a question to the store");
    }

    pub async fn until_claimed(&self) {
        timeout(PATIENCE, self.claimed.notified()).await.expect("an answer of the store");
    }
}

impl ReplayStore for SlowStore {
    fn claim<'a>(
        &'a self,
        claims: &'a [Claim],
        now: Timestamp,
        repeat_seconds: i64,
    ) -> Pin<Box<dyn Future<Output = Result<Outcome, StoreFailure>> + Send + 'a>> {
        Box::pin(async move {
            self.asked.notify_one();
            let _released = self.released.acquire().await;
            let outcome = self.store.claim(claims, now, repeat_seconds).await;
            self.claimed.notify_one();
            outcome
        })
    }

    fn fill(&self, now: Timestamp) -> (usize, usize) {
        self.store.fill(now)
    }
}

/// Serves this on a port that the system chooses, until the test ends.
pub async fn serve(service: impl Authorization) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound address");
    let server = tonic::transport::Server::builder()
        .add_service(AuthorizationServer::new(service))
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);
    address
}
