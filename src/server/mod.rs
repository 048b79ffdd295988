//! The servers: gRPC with ext_authz, health and reflection on one port, HTTP for operators and backends on another.

mod admin;
mod arriving;
mod evidence;
mod listener;
mod look;
mod readiness;
mod receipts;
mod reload;
mod remote;
mod tls;
mod unix_socket;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::service::auth::v3::authorization_server::AuthorizationServer;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tonic::server::NamedService as _;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::config::{Config, Drain, Listen, on_keys, on_publishing};
use crate::envoy::{AuthorizationService, FILE_DESCRIPTOR_SET};
use crate::evidence::recorder::{Recorder, host_name};
use crate::keys::remote::{Remote, RemoteSettings};
use crate::keys::store::{self, StoreError};
use crate::metrics::Reloaded;
use crate::relay::Relay;
use crate::replay::MemoryStore;
use crate::timestamp::Clock;
use crate::traces::{Traces, TracesError};
use arriving::Arriving;
pub use evidence::EvidenceError;
use listener::Listener;
use readiness::Readiness;
pub use receipts::ReceiptsError;
use reload::{Reloader, Sources};
pub use tls::{Tls, TlsError, TlsFileProblem};

/// How often it is looked whether the relay is ready, for those who watch its health.
const LOOKS: Duration = Duration::from_millis(250);

/// What a connection may send before it is read. It is what messages that wait for their place hold, for each connection, and
/// as much as a hundred messages of a usual size.
const WINDOW_BYTES: u32 = 256 * 1024;

/// How long a message to the other services may be, in bytes: they take names.
const SMALL_BYTES: usize = 16 * 1024;

/// So long the last checkpoint may take, with the witnesses that are asked to cosign it.
const CLOSING: Duration = Duration::from_secs(5);

/// Why the relay does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the trust store cannot be used:\n{0}")]
    Keys(#[from] StoreError),
    #[error("receipts cannot be signed: {0}")]
    Receipts(#[from] ReceiptsError),
    #[error("decisions cannot be recorded: {0}")]
    Evidence(#[from] EvidenceError),
    #[error("TLS cannot be served: {0}")]
    Tls(#[from] TlsError),
    #[error("cannot listen on {address}: {source}")]
    Listen { address: Listen, source: io::Error },
    #[error("the keys at {url} cannot be fetched: {source}")]
    Remote { url: String, source: io::Error },
    #[error("traces cannot be sent: {0}")]
    Traces(#[from] TracesError),
    #[error("signals cannot be listened to: {0}")]
    Signals(io::Error),
    #[error("the reflection service cannot be built: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Why it stopped serving.
pub type ServeError = Box<dyn std::error::Error + Send + Sync>;

/// A relay that listens, and does not answer yet.
pub struct Server {
    listener: Listener,
    tls: Option<Arc<Tls>>,
    admin: Option<Admin>,
    relay: Arc<Relay>,
    reloader: Reloader,
    readiness: Arc<Readiness>,
    remarks: Vec<String>,
    drain: Drain,
    /// A check carries the body as bytes and the headers once; what is larger is refused before it is decoded.
    message_bytes: usize,
    arriving: Arriving,
}

/// The listener for HTTP.
struct Admin {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Loads the trust store and the keys of receipts, binds the ports and begins the log: after this, nothing but the
    /// network can fail.
    ///
    /// # Errors
    /// When the keys cannot be used, and when a port is taken.
    pub async fn bind(mut config: Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let remotes = config.key_urls.iter().cloned().map(remote);
        let remotes = remotes.collect::<Result<Vec<_>, _>>()?;
        let sources = Sources::of(&config, remotes.clone());
        let trust_store = store::load(&config.key_files, &[], None)?;
        let receipts = config.receipts.as_ref().map(receipts::load).transpose()?;
        let traces = config.traces.as_ref().map(|settings| Traces::new(settings, host_name())).transpose()?;
        let tls = config.tls.take().map(Tls::load).transpose()?.map(Arc::new);
        let listener = Listener::bind(&config.listen, tls.clone())
            .await
            .map_err(|source| StartError::Listen { address: config.listen.clone(), source })?;
        let admin = match config.admin {
            Some(admin) => Some(listen(admin).await.map(|(listener, address)| Admin { listener, address })?),
            None => None,
        };
        let drain = config.drain;
        let arriving_bytes = config.in_flight_bytes / 2;
        let message_bytes = 2 * config.limits.header_bytes + config.limits.body_bytes + 64 * 1024;
        let on_socket = match &config.listen {
            Listen::Unix(path) => unix_socket::remark(path),
            Listen::Tcp(_) => None,
        };
        let on_policies = on_socket.into_iter().chain(config.remarks.iter().map(ToString::to_string));
        let remarks =
            on_policies.chain(on_keys(&config, &trust_store.keys)).chain(on_publishing(&config)).collect();
        let store = Arc::new(MemoryStore::new(config.replay_capacity));
        let evidence = config.evidence.take();
        let mut relay = Relay::new(config, trust_store, store, Arc::clone(&clock));
        relay.receipts = receipts;
        relay.traces = traces;
        // Last, so that nothing else keeps the relay from starting once its log says that it did.
        relay.evidence =
            evidence.map(|settings| evidence::start(settings, &relay.rules(), clock)).transpose()?;
        let relay = Arc::new(relay);
        let arriving = Arriving::new(arriving_bytes, message_bytes, Arc::clone(&relay));
        relay.metrics.reloaded(Reloaded::Policies, true);
        relay.metrics.reloaded(Reloaded::Keys, true);
        for remote in &remotes {
            relay.metrics.fetched(&remote.settings.url, false);
        }
        if let Some(tls) = &tls {
            relay.metrics.reloaded(Reloaded::Certificates, true);
            relay.metrics.certificate_expires(tls.expires().unix_seconds());
        }
        let readiness = Arc::new(Readiness::new(Arc::clone(&relay), remotes.clone()));
        let reloader =
            Reloader::new(Arc::clone(&relay), sources, tls.clone()).map_err(StartError::Signals)?;
        Ok(Self { listener, tls, admin, relay, reloader, readiness, remarks, drain, message_bytes, arriving })
    }

    /// Where it listens: the port that the system chose, where the configuration says port 0.
    #[must_use]
    pub fn address(&self) -> &Listen {
        self.listener.address()
    }

    /// What protects gRPC on the way, if anything does. Its files can be read again while this serves.
    #[must_use]
    pub fn tls(&self) -> Option<&Arc<Tls>> {
        self.tls.as_ref()
    }

    /// Where it serves HTTP, if it does.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|admin| admin.address)
    }

    /// What in the configuration is allowed, and perhaps not meant.
    #[must_use]
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// What it decides by.
    #[must_use]
    pub fn relay(&self) -> &Arc<Relay> {
        &self.relay
    }

    /// Serves until `shutdown` is ready. Then it says that it is not ready and goes on for as long as `drain.delay`, or until
    /// `hurry` is ready; then it takes no more connections, finishes what is in flight for as long as `drain.timeout`, and
    /// seals the evidence. When one of the servers fails, so does this.
    ///
    /// # Errors
    /// When a listener fails, and when the evidence cannot be sealed in time.
    pub async fn serve(
        self,
        shutdown: impl Future<Output = ()>,
        hurry: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        let (stop, stopping) = watch::channel(());
        let relay = Arc::clone(&self.relay);
        let admin_routes = admin::routes(Arc::clone(&relay), Arc::clone(&self.readiness));
        let reloader = self.reloader.run(stopping.clone());
        let authorization = AuthorizationServer::new(AuthorizationService::new(self.relay))
            .max_decoding_message_size(self.message_bytes);
        let (health, health_service) = tonic_health::server::health_reporter();
        let readiness = self.readiness;
        tell(&health, readiness.is_ready()).await;
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let (connections, accepting) = self.listener.connections();
        let grpc = tonic::transport::Server::builder()
            .initial_connection_window_size(WINDOW_BYTES)
            .initial_stream_window_size(WINDOW_BYTES)
            .layer(self.arriving)
            .add_service(authorization)
            .add_service(health_service.max_decoding_message_size(SMALL_BYTES))
            .add_service(reflection().build_v1()?.max_decoding_message_size(SMALL_BYTES))
            // What many clients still speak.
            .add_service(reflection().build_v1alpha()?.max_decoding_message_size(SMALL_BYTES))
            .serve_with_incoming_shutdown(connections, until(stopping.clone()));
        let http = async {
            if let Some(admin) = self.admin {
                admin::serve(admin.listener, admin_routes, stopping.clone()).await;
            }
            Ok(())
        };
        let reloader = async {
            reloader.await;
            Ok(())
        };
        let telling = async {
            let mut was_ready = readiness.is_ready();
            loop {
                sleep(LOOKS).await;
                let is_ready = readiness.is_ready();
                if is_ready != std::mem::replace(&mut was_ready, is_ready) {
                    tell(&health, is_ready).await;
                }
            }
        };
        let accepting = async {
            accepting.await;
            Ok(())
        };
        let served = async {
            tokio::try_join!(async { grpc.await.map_err(ServeError::from) }, accepting, http, reloader)
                .map(|_| ())
        };
        let drained = async {
            shutdown.await;
            readiness.drain();
            tell(&health, false).await;
            let delay = async {
                tracing::info!("draining: not ready, and answering until the load is elsewhere");
                sleep(self.drain.delay).await;
            };
            tokio::select! {
                biased;
                () = hurry => {}
                () = delay => {}
            }
            tracing::info!("stopping: what is in flight is finished first");
            drop(stop);
            sleep(self.drain.timeout).await;
            tracing::warn!("what is still in flight is cut off");
        };
        tokio::select! {
            result = served => result?,
            () = drained => {}
            () = telling => {}
        }
        let closing = Arc::clone(&relay);
        let sent = spawn_blocking(move || closing.traces.as_ref().map(Traces::close));
        let sealed = spawn_blocking(move || relay.evidence.as_ref().map(Recorder::close));
        timeout(CLOSING, sealed).await.map_err(|_| "the evidence could not be sealed in time")??;
        // It bounds itself.
        sent.await?;
        Ok(())
    }
}

/// Tells those who watch the gRPC health service.
async fn tell(health: &HealthReporter, is_ready: bool) {
    let status = if is_ready { ServingStatus::Serving } else { ServingStatus::NotServing };
    for service in ["", AuthorizationServer::<AuthorizationService>::NAME] {
        health.set_service_status(service, status).await;
    }
}

fn remote(settings: RemoteSettings) -> Result<Arc<Remote>, StartError> {
    let url = settings.url.clone();
    Remote::new(settings).map(Arc::new).map_err(|source| StartError::Remote { url, source })
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address: Listen::Tcp(address), source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Ready when the other end is dropped.
async fn until(mut stopping: watch::Receiver<()>) {
    while stopping.changed().await.is_ok() {}
}
