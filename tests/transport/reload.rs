//! New certificates, keys and authorities, while the relay serves.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use rustls::HandshakeKind;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::refusals::{BROKEN, client_config};
use super::{ENVOY, Files, RELAY, Relay, WITH_NAMES, WITHOUT_CLIENTS, assert_served, assert_turned_away};
use crate::envoy::clients_are_installed;
use crate::support::ask::Ask;
use crate::support::certificates::{Authority, Certificate, write_private};
use crate::support::program::{Serving, program, run};

/// The certificate that a new connection gets to see.
async fn shown(relay: &Relay) -> CertificateDer<'static> {
    let certificate = relay.files.clients.certify(&[ENVOY]);
    let config = client_config(&relay.files.relays.pem(), Some(&certificate), &TLS13, &[b"h2"]);
    let stream = TcpStream::connect(relay.port()).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(ServerName::try_from(RELAY).unwrap(), stream).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

fn der(certificate: &Certificate) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(certificate.pem.as_bytes()).unwrap()
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_connections_and_old_ones_stay() {
    let relay = Relay::start(WITH_NAMES).await;
    let tls = relay.tls.as_ref().unwrap();
    let names: Vec<_> = tls.files().iter().map(|file| file.file_name().unwrap().to_owned()).collect();
    assert_eq!(names, ["server.pem", "server.key.pem", "clients.pem"]);
    assert!(!tls.reload().unwrap(), "nothing changed");

    let client = relay.files.clients.certify(&[ENVOY]);
    let channel = relay.client(Some(&client)).connect().await.unwrap();
    let mut old = AuthorizationClient::new(channel);
    old.check(Ask::get("/rates/eur").check_request()).await.unwrap();

    let before = (shown(&relay).await, tls.expires());
    let next = relay.files.relays.certify_with(&[RELAY], |params| {
        params.not_after = rcgen::date_time_ymd(2090, 1, 1);
    });
    next.write(relay.files.path(), "server");
    tls.reload().unwrap();
    assert_eq!(shown(&relay).await, der(&next));
    assert_ne!(before.1, tls.expires());
    assert_eq!(tls.expires().unix_seconds(), 3_786_912_000);
    old.check(Ask::get("/rates/eur").check_request()).await.unwrap();
}

#[tokio::test]
async fn whatever_is_wrong_with_the_files_the_last_good_ones_stay() {
    let relay = Relay::start(WITH_NAMES).await;
    let (tls, folder) = (relay.tls.as_ref().unwrap(), relay.files.path());
    let before = shown(&relay).await;
    let other = relay.files.relays.certify(&[RELAY]);
    let expired = relay.files.relays.certify_expired(&[RELAY]);
    let certificate = other.pem.as_str();
    let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let good = ["server.pem", "server.key.pem", "clients.pem"].map(|name| (name, text(name)));
    let cut = |text: &str| text[..text.len() / 2].to_owned();
    for (changed, expected) in [
        (&[("server.pem", String::new())][..], "server.pem: expected certificates in PEM, but found none"),
        (&[("server.pem", cut(certificate))], "server.pem: certificate 1: it cannot be read"),
        (
            &[("server.pem", certificate.replace("MII", "MIJ"))],
            "server.pem: certificate 1: it cannot be read",
        ),
        (
            &[("server.pem", certificate.to_owned())],
            "server.key.pem: the key does not belong to the certificate in ",
        ),
        (&[("server.key.pem", other.key.clone())], "server.key.pem: the key does not belong to"),
        (&[("server.key.pem", cut(&other.key))], "server.key.pem: expected a private key in PEM"),
        (&[("server.key.pem", certificate.to_owned())], "server.key.pem: expected a private key in PEM"),
        (
            &[("server.pem", expired.pem.clone()), ("server.key.pem", expired.key.clone())],
            "server.pem: the certificate is over since 1580515200",
        ),
        (&[("clients.pem", String::new())], "clients.pem: expected certificates in PEM, but found none"),
        // The relay's part is good, and waits for the other.
        (
            &[
                ("server.pem", other.pem.clone()),
                ("server.key.pem", other.key.clone()),
                ("clients.pem", cut(certificate)),
            ],
            "clients.pem: certificate 1: it cannot be read",
        ),
    ] {
        for (name, text) in changed {
            write_private(&folder.join(name), text);
        }
        let problem = tls.reload().unwrap_err().to_string();
        assert!(problem.contains(expected), "{problem}, not {expected}");
        assert_eq!(shown(&relay).await, before, "{expected}");
        for (name, text) in &good {
            write_private(&folder.join(name), text);
        }
    }

    for name in ["server.pem", "server.key.pem", "clients.pem"] {
        fs::rename(folder.join(name), folder.join("aside")).unwrap();
        assert!(tls.reload().unwrap_err().to_string().contains(&format!("{name}: No such file")));
        fs::rename(folder.join("aside"), folder.join(name)).unwrap();
    }
    fs::set_permissions(folder.join("server.key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    let problem = tls.reload().unwrap_err().to_string();
    assert!(problem.contains("expected a private key that only its owner can read"), "{problem}");
    assert_eq!(shown(&relay).await, before);
}

#[tokio::test]
async fn every_form_of_a_private_key_is_read() {
    let relay = Relay::start(WITHOUT_CLIENTS).await;
    let (tls, folder) = (relay.tls.as_ref().unwrap(), relay.files.path());
    clients_are_installed();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut python = std::process::Command::new(root.join("target/clients/venv/bin/python"));
    python.arg(root.join("tests/clients/key_forms.py")).current_dir(folder);
    assert!(python.status().unwrap().success());
    for (form, begins) in
        [("sec1", "BEGIN EC PRIVATE KEY"), ("pkcs1", "BEGIN RSA PRIVATE KEY"), ("pkcs8", "BEGIN PRIVATE KEY")]
    {
        for end in ["pem", "key.pem"] {
            let text = fs::read_to_string(folder.join(format!("{form}.{end}"))).unwrap();
            assert!(end == "pem" || text.contains(begins), "{form}");
            write_private(&folder.join(format!("server.{end}")), &text);
        }
        tls.reload().unwrap();
    }
}

/// A session that is resumed would show its certificate to nobody.
#[tokio::test]
async fn j12_no_session_is_resumed() {
    let relay = Relay::start(WITH_NAMES).await;
    let certificate = relay.files.clients.certify(&[ENVOY]);
    for version in [&TLS12, &TLS13] {
        let config = client_config(&relay.files.relays.pem(), Some(&certificate), version, &[b"h2"]);
        let connector = TlsConnector::from(Arc::new(config));
        for _ in 0..2 {
            let stream = TcpStream::connect(relay.port()).await.unwrap();
            let name = ServerName::try_from(RELAY).unwrap();
            let mut stream = connector.connect(name, stream).await.unwrap();
            // Tickets come after the handshake, with the first answer.
            stream.write_all(BROKEN).await.unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full), "{version:?}");
        }
    }
}

#[tokio::test]
async fn j12_authority_that_is_no_longer_trusted() {
    let relay = Relay::start(WITH_NAMES).await;
    let tls = relay.tls.as_ref().unwrap();
    let old = relay.files.clients.certify(&[ENVOY]);
    assert_served(relay.client(Some(&old))).await;
    let next = Authority::new("clients");
    write_private(&relay.files.path().join("clients.pem"), &next.pem());
    tls.reload().unwrap();
    assert_turned_away(relay.client(Some(&old)), "the old authority").await;
    assert_served(relay.client(Some(&next.certify(&[ENVOY])))).await;
    // Two authorities are trusted while one follows the other.
    write_private(&relay.files.path().join("clients.pem"), &(next.pem() + &relay.files.clients.pem()));
    tls.reload().unwrap();
    for certificate in [&old, &next.certify(&[ENVOY])] {
        assert_served(relay.client(Some(certificate))).await;
    }
}

/// Nobody has to tell it.
#[test]
fn a_running_relay_takes_new_certificates_up_and_keeps_the_old_where_they_are_broken() {
    let files = Files::new(&format!("listen: 127.0.0.1:0\n{WITHOUT_CLIENTS}"), &[]);
    let (folder, other) = (files.path(), Authority::new("other"));
    fs::write(folder.join("old.pem"), files.relays.pem()).unwrap();
    fs::write(folder.join("new.pem"), other.pem()).unwrap();
    let mut serving = Serving::start(program(folder, &["serve", "--config", "relay.yaml"]));
    let relay = serving.address.replace("http://", "https://");
    let is_known_to = |ca: &str| {
        let arguments =
            ["check", "--relay", &relay, "--tls-ca", ca, "--tls-name", RELAY, "--url", "http://a/rates/eur"];
        run(folder, &arguments).status.success()
    };
    assert!(is_known_to("old.pem") && !is_known_to("new.pem"));
    // A certificate without its key: a moment that every renewal goes through.
    let next = other.certify(&[RELAY]);
    write_private(&folder.join("server.pem"), &next.pem);
    let mut until = |message: &str| loop {
        let line = serving.next_line();
        if line["message"].as_str().unwrap_or_default().starts_with(message) {
            break line;
        }
    };
    let problem = until("not reloaded")["problem"].as_str().unwrap().to_owned();
    assert!(problem.contains("the key does not belong to the certificate"), "{problem}");
    assert!(is_known_to("old.pem"));
    write_private(&folder.join("server.key.pem"), &next.key);
    assert!(until("reloaded")["certificate_expires"].is_i64());
    assert!(is_known_to("new.pem") && !is_known_to("old.pem"));
}
