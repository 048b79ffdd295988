//! The gRPC server: ext_authz, health and reflection on one port.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use envoy_types::pb::envoy::service::auth::v3::authorization_server::AuthorizationServer;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;

use crate::config::{Config, on_keys};
use crate::envoy::{AuthorizationService, Denials, FILE_DESCRIPTOR_SET};
use crate::keys::store::{self, StoreError};
use crate::relay::Relay;
use crate::replay::MemoryStore;
use crate::timestamp::Clock;

/// Why the relay does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the trust store cannot be used:\n{0}")]
    Keys(#[from] StoreError),
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("the reflection service cannot be built: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// A relay that listens, and does not answer yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    relay: Arc<Relay>,
    denials: Denials,
    remarks: Vec<String>,
    /// A check carries the body as bytes and the headers once; what is larger is refused before it is decoded.
    message_bytes: usize,
}

impl Server {
    /// Loads the trust store and binds the port: after this, nothing but the network can fail.
    ///
    /// # Errors
    /// When the trust store cannot be used, and when the port is taken.
    pub async fn bind(config: Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let keys = store::load(&config.key_files)?;
        let listen_error = |source| StartError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let message_bytes = 2 * config.limits.header_bytes + config.limits.body_bytes + 64 * 1024;
        let denials = config.denials;
        let on_policies = config.remarks.iter().map(ToString::to_string);
        let remarks = on_policies.chain(on_keys(&config.policies, &keys)).collect();
        let store = Arc::new(MemoryStore::new(config.replay_capacity));
        let relay = Arc::new(Relay::new(config, keys, store, clock));
        Ok(Self { listener, address, relay, denials, remarks, message_bytes })
    }

    /// Where it listens: the port that the system chose, where the configuration says port 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
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

    /// Serves until `shutdown` is ready, then finishes what is in flight.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(
        self,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let authorization = AuthorizationServer::new(AuthorizationService::new(self.relay, self.denials))
            .max_decoding_message_size(self.message_bytes);
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_serving::<AuthorizationServer<AuthorizationService>>().await;
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        tonic::transport::Server::builder()
            .add_service(authorization)
            .add_service(health_service)
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?) // what many clients still speak
            .serve_with_incoming_shutdown(TcpIncoming::from(self.listener).with_nodelay(Some(true)), shutdown)
            .await?;
        Ok(())
    }
}
