//! WebSocket and CONNECT: what follows the handshake is never checked, so a policy has to allow it.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{EVERYTHING, alice, get};
use crate::support::PATIENCE;
use crate::support::ask::Ask;
use crate::support::backend::Backend;
use crate::support::client;
use crate::support::envoy::{Edit, EnvoySetup};
use crate::support::gateway::{Gateway, assert_refused};

const ALLOWING: &str =
    "policies: [{name: sockets, match: {path: /socket}, upgrades: true}, {name: rest, match: {}}]";

async fn gateway(settings: &str, edits: &[Edit]) -> Gateway {
    let backend = Backend::start_upgrading().await;
    Gateway::start_before(backend, settings, &[&alice()], |setup| setup.edits.extend_from_slice(edits)).await
}

fn websocket(target: &str) -> Ask {
    get(target)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
}

#[tokio::test]
async fn the_shipped_envoy_upgrades_nothing() {
    let gateway = gateway(ALLOWING, &[]).await;
    let answer = gateway.http1(&websocket("/socket").signed(&alice())).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    gateway.assert_untouched();
}

#[tokio::test]
async fn a_websocket_is_refused_unless_the_policy_allows_it() {
    let gateway = gateway(ALLOWING, &[EnvoySetup::websocket()]).await;
    let answer = gateway.http1(&websocket("/transfers").signed(&alice())).await;
    assert_refused(&answer, 400, "upgrade-refused");
    // A body that Envoy then does not show is no way around it.
    let mut with_body = websocket("/transfers").header("content-length", "5").signed(&alice());
    with_body.body = Some(b"hello".to_vec());
    assert_refused(&gateway.http1(&with_body).await, 400, "upgrade-refused");

    assert_refused(&gateway.http1(&websocket("/socket")).await, 401, "proof-missing");
    gateway.assert_untouched();
}

#[tokio::test]
async fn a_websocket_that_the_policy_allows_is_a_socket() {
    let gateway = gateway(ALLOWING, &[EnvoySetup::websocket()]).await;
    let exchange = async {
        let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
        stream.write_all(&websocket("/socket").signed(&alice()).http1()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(b"ping").await.unwrap();
        let mut echo = [0; 4];
        stream.read_exact(&mut echo).await.unwrap();
        (String::from_utf8(head).unwrap(), echo)
    };
    let (head, echo) = timeout(PATIENCE, exchange).await.expect("an answer in time");
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(&echo, b"ping");
    assert_eq!(gateway.last_received().header("x-proof-status"), ["verified"]);
}

#[tokio::test]
async fn connect_is_refused() {
    let request = b"CONNECT bank.example:443 HTTP/1.1\r\nhost: bank.example:443\r\n\r\n";
    let shipped = gateway(EVERYTHING, &[]).await;
    let answer = client::http1(shipped.address(), request).await;
    assert_eq!(answer.status, 404, "no route of the shipped Envoy takes it: {}", answer.text());
    shipped.assert_untouched();

    // Without buffering: Envoy waits for the body of a CONNECT, which has no end, and then nobody is asked at all.
    let edits = [EnvoySetup::connect_upgrade(), EnvoySetup::connect_route(), EnvoySetup::no_body()];
    let tunnels = gateway(EVERYTHING, &edits).await;
    let answer = client::http1(tunnels.address(), request).await;
    assert_refused(&answer, 400, "upgrade-refused");
    tunnels.assert_untouched();
}
