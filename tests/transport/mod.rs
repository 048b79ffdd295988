//! The way from Envoy to the relay: TLS, and a Unix socket.

mod command;
mod envoy;
mod refusals;
mod reload;
mod socket;
mod watched;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use proof_messenger_relay::config::{Config, Listen};
use proof_messenger_relay::server::{Server, Tls};
use proof_messenger_relay::timestamp::SystemClock;
use tempfile::TempDir;
use tonic::transport::{Certificate as Pem, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;

use crate::support::PATIENCE;
use crate::support::ask::Ask;
use crate::support::certificates::{Authority, Certificate, write_private};
use crate::support::signer::{Signer, trust_store};

/// The name of the relay's certificate.
const RELAY: &str = "relay.internal";
/// The names that open the port.
const ENVOY: &str = "envoy.internal";
const GATEWAY: &str = "spiffe://cluster.local/ns/ingress/sa/gateway";

const WITH_NAMES: &str = r#"
tls:
  certificate: server.pem
  key: server.key.pem
  client_ca: clients.pem
  clients: [envoy.internal, "spiffe://cluster.local/ns/ingress/sa/gateway"]
"#;
const WITHOUT_NAMES: &str = "
tls: {certificate: server.pem, key: server.key.pem, client_ca: clients.pem}
";
const WITHOUT_CLIENTS: &str = "
tls: {certificate: server.pem, key: server.key.pem}
";

/// A folder with what a relay needs to serve, and who certifies the relay and its clients.
struct Files {
    folder: TempDir,
    relays: Authority,
    clients: Authority,
}

impl Files {
    /// `settings` are those of the way to it. Every signed request is allowed, and of the others those for rates.
    fn new(settings: &str, signers: &[&Signer]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = Self { folder, relays: Authority::new("relays"), clients: Authority::new("clients") };
        files.relays.certify(&[RELAY]).write(files.path(), "server");
        write_private(&files.path().join("clients.pem"), &files.clients.pem());
        write_private(&files.path().join("people.jwks.json"), &trust_store(signers).to_string());
        let rest = r#"
keys: [{file: people.jwks.json}]
policies:
  - {name: rates, match: {methods: [GET], path: "/rates/{*rest}"}, proof: none}
  - {name: signed, match: {}}
"#;
        write_private(&files.path().join("relay.yaml"), &format!("{settings}{rest}"));
        files
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// A relay of this process that serves until it is dropped.
struct Relay {
    address: Listen,
    tls: Option<Arc<Tls>>,
    files: Files,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Relay {
    /// On a port.
    async fn start(settings: &str) -> Self {
        Self::serve(Files::new(&format!("listen: 127.0.0.1:0\n{settings}"), &[])).await
    }

    async fn serve(files: Files) -> Self {
        let config = Config::load(&files.path().join("relay.yaml")).unwrap_or_else(|error| panic!("{error}"));
        let server =
            Server::bind(config, Arc::new(SystemClock)).await.unwrap_or_else(|error| panic!("{error}"));
        let (address, tls) = (server.address().clone(), server.tls().cloned());
        let task = tokio::spawn(async move {
            server.serve(std::future::pending(), std::future::pending()).await.unwrap()
        });
        Self { address, tls, files, task }
    }

    fn port(&self) -> SocketAddr {
        let Listen::Tcp(address) = self.address else { panic!("a port") };
        address
    }

    /// A client that shows this certificate.
    fn client(&self, certificate: Option<&Certificate>) -> Endpoint {
        let mut tls =
            ClientTlsConfig::new().ca_certificate(Pem::from_pem(self.files.relays.pem())).domain_name(RELAY);
        if let Some(certificate) = certificate {
            tls = tls.identity(Identity::from_pem(&certificate.pem, &certificate.key));
        }
        Endpoint::from_shared(format!("https://{}", self.port())).unwrap().tls_config(tls).unwrap()
    }

    fn plain_client(&self) -> Endpoint {
        Endpoint::from_shared(format!("http://{}", self.port())).unwrap()
    }
}

/// What each service answers, or why not.
async fn answers(endpoint: Endpoint) -> [Result<(), String>; 3] {
    // Each with a connection of its own, so that none fails for what another one did to it.
    let channel = || endpoint.clone().timeout(PATIENCE).connect_lazy();
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let check = Ask::get("/rates/eur").check_request();
    fn said<T>(answer: Result<T, tonic::Status>) -> Result<(), String> {
        answer.map(|_| ()).map_err(|status| format!("{status:?}"))
    }
    let check = |channel: Channel| async { said(AuthorizationClient::new(channel).check(check).await) };
    let health = |channel: Channel| async {
        said(HealthClient::new(channel).check(HealthCheckRequest::default()).await)
    };
    let reflection = |channel: Channel| async {
        let list = tokio_stream::once(list);
        said(ServerReflectionClient::new(channel).server_reflection_info(list).await)
    };
    [check(channel()).await, health(channel()).await, reflection(channel()).await]
}

async fn assert_served(endpoint: Endpoint) {
    let answers = answers(endpoint).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

async fn assert_turned_away(endpoint: Endpoint, context: &str) {
    let answers = answers(endpoint).await;
    assert!(answers.iter().all(Result::is_err), "{context}: {answers:?}");
}
