//! A relay of this process, on a port that the system chooses.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proof_messenger_relay::config::{Config, Listen};
use proof_messenger_relay::relay;
use proof_messenger_relay::rules::Rules;
use proof_messenger_relay::server::Server;
use proof_messenger_relay::timestamp::{Clock, SystemClock, Timestamp};

use super::client::{self, http1};
use super::signer::{Signer, trust_store};

/// When tests begin, in seconds since the epoch.
pub const START: u64 = 1_700_000_000;

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct TestClock(AtomicU64);

impl TestClock {
    /// A clock that stands at the time when tests begin.
    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(START)))
    }

    pub fn set_back(&self, seconds: u64) {
        self.0.fetch_sub(seconds, Ordering::SeqCst);
    }

    pub fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.0.load(Ordering::SeqCst))
    }
}

/// A relay that serves until it is dropped.
pub struct Relay {
    pub address: SocketAddr,
    /// Where it serves HTTP, if the settings say so.
    pub admin: Option<SocketAddr>,
    pub clock: Arc<TestClock>,
    relay: Arc<relay::Relay>,
    task: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Relay {
    /// A relay with the test's own clock, and a trust store of these signers. `settings` is a configuration file
    /// without `listen` and `keys`.
    pub async fn start(settings: &str, signers: &[&Signer]) -> Self {
        let clock = TestClock::new();
        Self::start_with(settings, signers, clock.clone(), clock).await
    }

    /// A relay with the machine's clock, for clients that cannot be told another time.
    pub async fn start_now(settings: &str, signers: &[&Signer]) -> Self {
        Self::start_with(settings, signers, Arc::new(SystemClock), TestClock::new()).await
    }

    async fn start_with(
        settings: &str,
        signers: &[&Signer],
        clock: Arc<dyn Clock>,
        handle: Arc<TestClock>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("keys.jwks.json"), trust_store(signers).to_string()).unwrap();
        let settings = format!("listen: 127.0.0.1:0\nkeys: [{{file: keys.jwks.json}}]\n{settings}");
        let config =
            Config::parse(&settings, "test", folder.path()).unwrap_or_else(|problems| panic!("{problems}"));
        let server = Server::bind(config, clock).await.unwrap_or_else(|error| panic!("{error}"));
        let Listen::Tcp(address) = *server.address() else { panic!("a port") };
        let admin = server.admin_address();
        let relay = Arc::clone(server.relay());
        let task = tokio::spawn(async move {
            server.serve(std::future::pending(), std::future::pending()).await.unwrap()
        });
        Self { address, admin, clock: handle, relay, task, _folder: folder }
    }

    /// Changes its policies.
    pub async fn change(&self, settings: &str) {
        let config =
            Config::parse(settings, "test", Path::new("")).unwrap_or_else(|problems| panic!("{problems}"));
        let keys = self.relay.rules().trust_store();
        self.relay.replace(Rules::new(config, keys)).await;
    }
}

/// What the admin port answers.
pub async fn admin(relay: &Relay, method: &str, path: &str) -> client::Answer {
    ask_admin(relay.admin.expect("an admin port"), method, path).await
}

/// What the admin port at that address answers.
pub async fn ask_admin(address: SocketAddr, method: &str, path: &str) -> client::Answer {
    let request = format!("{method} {path} HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n");
    http1(address, request.as_bytes()).await
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}
