//! J12: whoever reaches the port without the right certificate gets an alert, and no answer from any service.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{
    ENVOY, GATEWAY, RELAY, Relay, WITH_NAMES, WITHOUT_CLIENTS, WITHOUT_NAMES, assert_served,
    assert_turned_away,
};
use crate::support::PATIENCE;
use crate::support::certificates::{Authority, Certificate};
use crate::support::program::{Serving, program};

#[tokio::test]
async fn a_named_client_reaches_every_service() {
    let relay = Relay::start(WITH_NAMES).await;
    for names in [&[ENVOY][..], &["ENVOY.Internal"], &[GATEWAY], &["other.internal", ENVOY]] {
        assert_served(relay.client(Some(&relay.files.clients.certify(names)))).await;
    }
}

#[tokio::test]
async fn without_names_any_certificate_by_the_authority_will_do() {
    let relay = Relay::start(WITHOUT_NAMES).await;
    assert_served(relay.client(Some(&relay.files.clients.certify(&["anybody.internal"])))).await;
    let other = Authority::new("clients").certify(&["anybody.internal"]);
    assert_turned_away(relay.client(Some(&other)), "another authority of the same name").await;
}

#[tokio::test]
async fn without_an_authority_clients_need_no_certificate() {
    let relay = Relay::start(WITHOUT_CLIENTS).await;
    assert_served(relay.client(None)).await;
}

#[tokio::test]
async fn j12_client_without_a_certificate() {
    for settings in [WITH_NAMES, WITHOUT_NAMES] {
        let relay = Relay::start(settings).await;
        assert_turned_away(relay.client(None), settings).await;
        for version in [&TLS12, &TLS13] {
            let talked = talk(&relay, config(&relay, None, version, &[b"h2"]), PREFACE).await;
            assert!(
                talked.as_ref().is_err_and(
                    |error| error.contains("CertificateRequired") || error.contains("HandshakeFailure")
                ),
                "{talked:?}"
            );
        }
        let good = relay.files.clients.certify(&[ENVOY]);
        assert_served(relay.client(Some(&good))).await;
    }
}

#[tokio::test]
async fn j12_certificate_of_another_authority() {
    let relay = Relay::start(WITH_NAMES).await;
    for (authority, which) in [
        (&Authority::new("somebody"), "another"),
        (&Authority::new("clients"), "another of the same name"),
        (&relay.files.relays, "that of the relay itself"),
    ] {
        assert_turned_away(relay.client(Some(&authority.certify(&[ENVOY]))), which).await;
    }
}

#[tokio::test]
async fn j12_certificate_for_another_name() {
    let relay = Relay::start(WITH_NAMES).await;
    for names in [
        &[][..],
        &["other.internal"],
        &["*.internal"],
        &["envoy.internal.evil.example"],
        &["x.envoy.internal"],
        &["spiffe://cluster.local/ns/ingress/sa/gateway2"],
        &["spiffe://cluster.local/ns/ingress/sa"],
        &["spiffe://CLUSTER.local/ns/ingress/sa/gateway"],
        &["https://envoy.internal"],
    ] {
        let certificate = relay.files.clients.certify(names);
        assert_turned_away(relay.client(Some(&certificate)), &format!("{names:?}")).await;
        for version in [&TLS12, &TLS13] {
            let config = config(&relay, Some(&certificate), version, &[b"h2"]);
            assert!(talk(&relay, config, PREFACE).await.is_err(), "{names:?}");
        }
    }
    let common_name = relay.files.clients.certify_with(&[], |params| {
        params.distinguished_name.push(rcgen::DnType::CommonName, ENVOY);
    });
    assert_turned_away(relay.client(Some(&common_name)), "a common name").await;
}

#[tokio::test]
async fn j12_expired_certificate() {
    for settings in [WITH_NAMES, WITHOUT_NAMES] {
        let relay = Relay::start(settings).await;
        let expired = relay.files.clients.certify_expired(&[ENVOY]);
        assert_turned_away(relay.client(Some(&expired)), settings).await;
    }
}

#[tokio::test]
async fn j12_plaintext_on_the_tls_port() {
    for settings in [WITH_NAMES, WITHOUT_CLIENTS] {
        let relay = Relay::start(settings).await;
        assert_turned_away(relay.plain_client(), settings).await;
        for text in [PREFACE, HTTP1] {
            let stream = TcpStream::connect(relay.port()).await.unwrap();
            let answer = exchange(stream, text).await.unwrap_or_default();
            // A fatal alert of TLS is seven bytes.
            assert!(answer.is_empty() || answer.len() == 7 && answer[0] == 21, "{answer:?}");
        }
    }
}

#[tokio::test]
async fn j12_tls_on_the_plaintext_port() {
    let relay = Relay::start("").await;
    let certificate = relay.files.clients.certify(&[ENVOY]);
    assert_turned_away(relay.client(Some(&certificate)), "TLS").await;
    let stream = TcpStream::connect(relay.port()).await.unwrap();
    let answer = exchange(stream, HTTP1).await.unwrap_or_default();
    assert!(!contains(&answer, b"HTTP/1"), "{}", answer.escape_ascii());
    assert_served(relay.plain_client()).await;
}

#[tokio::test]
async fn j12_http1_over_tls() {
    let relay = Relay::start(WITH_NAMES).await;
    let certificate = relay.files.clients.certify(&[ENVOY]);
    for version in [&TLS12, &TLS13] {
        let talked = talk(&relay, config(&relay, Some(&certificate), version, &[b"http/1.1"]), HTTP1).await;
        assert!(talked.is_err_and(|error| error.contains("NoApplicationProtocol")));
        let unnamed = talk(&relay, config(&relay, Some(&certificate), version, &[]), HTTP1).await;
        let answer = unnamed.unwrap_or_default();
        assert!(!contains(&answer, b"HTTP/1"), "{}", answer.escape_ascii());
        // The same client is good for HTTP/2: the first frame of the server are its settings.
        let good = talk(&relay, config(&relay, Some(&certificate), version, &[b"h2"]), BROKEN).await.unwrap();
        assert_eq!(good[3], 4, "{good:?}");
    }
}

#[tokio::test]
async fn j12_silent_connections_hold_up_nobody() {
    let relay = Relay::start(WITH_NAMES).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(relay.port()).await.unwrap());
    }
    let good = relay.client(Some(&relay.files.clients.certify(&[ENVOY])));
    // Half of what a handshake may take: none of them has given up its place by itself.
    let soon = Duration::from_secs(5);
    timeout(soon, assert_served(good)).await.expect("an answer in time");
    // There is a bound, and the oldest are beyond it.
    let read = timeout(soon, silent[0].read(&mut [0])).await.expect("an end in time");
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

/// A process without file descriptors goes on, as soon as there are some.
#[tokio::test(flavor = "multi_thread")]
async fn j12_more_connections_than_file_descriptors() {
    let folder = tempfile::tempdir().unwrap();
    let mut shell = std::process::Command::new("bash");
    let binary = env!("CARGO_BIN_EXE_proof-messenger-relay");
    shell.args(["-c", "ulimit -n 48; exec \"$0\" serve --listen 127.0.0.1:0", binary]);
    shell.current_dir(folder.path()).env_remove("PROOF_MESSENGER_CONFIG");
    let mut relay = Serving::start(shell);
    let address = relay.listening["address"].as_str().unwrap().to_owned();
    let mut many = Vec::new();
    for _ in 0..64 {
        many.push(TcpStream::connect(&address).await.unwrap());
    }
    while relay.next_line()["message"] != "no connection can be accepted: it is tried again" {}
    drop(many);
    let endpoint = tonic::transport::Endpoint::from_shared(relay.address.clone()).unwrap();
    assert_served(endpoint).await;
    assert!(relay.stop().success());
}

/// Reasons are logged, and what a client chose cannot forge a line.
#[tokio::test(flavor = "multi_thread")]
async fn j12_refusal_is_logged_with_its_reason() {
    let files = super::Files::new(&format!("listen: 127.0.0.1:0\n{WITH_NAMES}"), &[]);
    let mut serving = Serving::start(program(files.path(), &["serve", "--config", "relay.yaml"]));
    let address = serving.listening["address"].as_str().unwrap().parse().unwrap();
    let many: Vec<String> = (0..50).map(|at| format!("{at}-{}.internal", "x".repeat(40))).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (names, expected) in [
        (&["other.internal"][..], "is for other.internal, and none of these is in tls.clients"),
        (&[], "is for no name"),
        (&["spiffe://a/\u{1b}[2J\nlevel=info"], "spiffe://a/\\u{1b}[2J\\nlevel=info"),
        (&many, ", …, and none"),
    ] {
        let certificate = files.clients.certify(names);
        let relay = (files.relays.pem(), address);
        let config = client_config(&relay.0, Some(&certificate), &TLS13, &[b"h2"]);
        assert!(talk_to(relay.1, config, PREFACE).await.is_err());
        let line = loop {
            let line = serving.next_line();
            if line["message"] == "a client was turned away: TLS" {
                break line;
            }
        };
        let reason = line["reason"].as_str().unwrap();
        assert!(reason.contains(expected), "{reason}");
        assert!(reason.len() < 600 && line["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    }
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// The preface, and a frame that is too long: it ends the connection.
pub(super) const BROKEN: &[u8] =
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\xff\xff\xff\0\0\0\0\0\x01";
const HTTP1: &[u8] = b"GET /grpc.health.v1.Health/Check HTTP/1.1\r\nhost: relay.internal\r\n\r\n";

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn config(
    relay: &Relay,
    certificate: Option<&Certificate>,
    version: &'static SupportedProtocolVersion,
    protocols: &[&[u8]],
) -> ClientConfig {
    client_config(&relay.files.relays.pem(), certificate, version, protocols)
}

pub(super) fn client_config(
    authority: &str,
    certificate: Option<&Certificate>,
    version: &'static SupportedProtocolVersion,
    protocols: &[&[u8]],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    let config = config.with_root_certificates(roots);
    let mut config = match certificate {
        Some(Certificate { pem, key }) => {
            let chain = vec![CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            config.with_client_auth_cert(chain, key).unwrap()
        }
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config
}

async fn talk(relay: &Relay, config: ClientConfig, text: &[u8]) -> Result<Vec<u8>, String> {
    talk_to(relay.port(), config, text).await
}

/// What comes back over TLS, or the alert.
pub(super) async fn talk_to(
    address: std::net::SocketAddr,
    config: ClientConfig,
    text: &[u8],
) -> Result<Vec<u8>, String> {
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from(RELAY).unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let stream = stream.map_err(|error| format!("{error:?}"))?;
    exchange(stream, text).await
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, text: &[u8]) -> Result<Vec<u8>, String> {
    let mut answer = Vec::new();
    let exchanged = async {
        stream.write_all(text).await?;
        stream.flush().await?;
        stream.read_to_end(&mut answer).await
    };
    let exchanged = timeout(PATIENCE, exchanged).await.expect("an end of the connection");
    match exchanged {
        // Many close without a farewell, and what they said before it counts.
        Err(error) if answer.is_empty() => Err(format!("{error:?}")),
        _ => Ok(answer),
    }
}
