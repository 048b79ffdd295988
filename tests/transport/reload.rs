//! New certificates, keys and authorities, while the relay serves.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::refusals::client_config;
use super::{ENVOY, RELAY, Relay, WITH_NAMES, WITHOUT_CLIENTS, assert_served, assert_turned_away};
use crate::support::ask::Ask;
use crate::support::certificates::{Authority, Certificate, write_private};

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
    assert_eq!(shown(&relay).await, before.0, "not before it is told to");
    assert!(tls.reload().unwrap());
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
    for (make, begins) in [
        ("openssl ecparam -name prime256v1 -genkey -noout", "EC PRIVATE KEY"),
        ("openssl genrsa -traditional 2048", "RSA PRIVATE KEY"),
        ("openssl genpkey -algorithm ed25519", "PRIVATE KEY"),
    ] {
        let script = format!(
            "umask 077; {make} > server.key.pem 2> errors && openssl req -x509 -new -key server.key.pem -subj /CN=relay \
             -days 1 > server.pem"
        );
        let made = std::process::Command::new("bash").args(["-c", &script]).current_dir(folder).status();
        assert!(made.unwrap().success(), "{make}");
        assert!(
            fs::read_to_string(folder.join("server.key.pem")).unwrap().contains(&format!("BEGIN {begins}"))
        );
        assert!(tls.reload().unwrap(), "{make}");
    }
}

/// A client that had a session before has none of it afterwards.
#[tokio::test]
async fn j12_authority_that_is_no_longer_trusted() {
    let relay = Relay::start(WITH_NAMES).await;
    let tls = relay.tls.as_ref().unwrap();
    let old = relay.files.clients.certify(&[ENVOY]);
    assert_served(relay.client(Some(&old))).await;
    let resuming = [&TLS12, &TLS13]
        .map(|version| Arc::new(client_config(&relay.files.relays.pem(), Some(&old), version, &[b"h2"])));
    for config in &resuming {
        let talked =
            super::refusals::talk_to(relay.port(), (**config).clone(), super::refusals::BROKEN).await;
        assert!(talked.is_ok(), "{talked:?}");
    }
    let next = Authority::new("clients");
    write_private(&relay.files.path().join("clients.pem"), &next.pem());
    assert!(tls.reload().unwrap());
    assert_turned_away(relay.client(Some(&old)), "the old authority").await;
    for config in &resuming {
        let talked =
            super::refusals::talk_to(relay.port(), (**config).clone(), super::refusals::BROKEN).await;
        assert!(talked.is_err(), "{talked:?}");
    }
    assert_served(relay.client(Some(&next.certify(&[ENVOY])))).await;
    // Two authorities are trusted while one follows the other.
    write_private(&relay.files.path().join("clients.pem"), &(next.pem() + &relay.files.clients.pem()));
    assert!(tls.reload().unwrap());
    for certificate in [&old, &next.certify(&[ENVOY])] {
        assert_served(relay.client(Some(certificate))).await;
    }
}
