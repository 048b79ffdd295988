//! A proof is good for one request, whatever becomes of the answer.

use envoy_types::pb::envoy::service::auth::v3::authorization_server::Authorization as _;
use proof_messenger_relay::envoy::client::answer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tonic::Request;

use super::{EVERYTHING, alice, get, post};
use crate::support::ask::code;
use crate::support::backend::Backend;
use crate::support::client;
use crate::support::envoy::{Envoy, EnvoySetup};
use crate::support::gateway::{Gateway, PROTOCOLS, assert_refused};
use crate::support::relay::Relay;
use crate::support::slow_relay::{SlowRelay, serve};

#[tokio::test]
async fn the_same_bytes_pass_once() {
    for raw_headers in [true, false] {
        let gateway =
            Gateway::start_with(EVERYTHING, &[&alice()], |setup| setup.raw_headers = raw_headers).await;
        for protocol in PROTOCOLS {
            let ask = post("/transfers/7", b"{}").signed(&alice());
            let answer = gateway.send(protocol, &ask).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let reached = gateway.received().len();
            // The id that a client may choose is not the one that Envoy goes by.
            let chosen = ask.clone().header("x-request-id", "1");
            for again in [&ask, &chosen, &chosen] {
                for protocol in PROTOCOLS {
                    assert_refused(&gateway.send(protocol, again).await, 409, "replayed");
                }
            }
            assert_eq!(gateway.received().len(), reached);
        }
    }
}

#[tokio::test]
async fn a_denied_request_may_be_sent_again() {
    let gateway = Gateway::start(EVERYTHING, &[&alice()]).await;
    let signed = post("/transfers/7", b"{}").signed(&alice());
    let mut tampered = signed.clone();
    tampered.body = Some(b"[]".to_vec());
    assert_refused(&gateway.http1(&tampered).await, 401, "digest-mismatch");
    let answer = gateway.http1(&signed).await;
    assert_eq!(answer.status, 200, "a forger burns nobody's nonce: {}", answer.text());
}

/// Why envoy.yaml has no `retry_policy`: what Envoy repeats, nobody proves again.
#[tokio::test]
async fn envoy_does_not_ask_about_what_it_repeats() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let backend = listener.local_addr().unwrap();
    let relay = Relay::start_now(EVERYTHING, &[&alice()]).await;
    let mut setup = EnvoySetup::new(relay.address, backend);
    let setting = "                  timeout: 15s\n";
    let retry = "                  retry_policy: {retry_on: reset, num_retries: 1}\n";
    setup.edits.push((setting, format!("{setting}{retry}")));
    let envoy = Envoy::start(setup).await;

    let request = get("/transfers").signed(&alice()).http1();
    let serve = async {
        // The first connection breaks after the request came, the second answers.
        let (mut first, _) = listener.accept().await.unwrap();
        first.read_u8().await.unwrap();
        drop(first);
        let (mut second, _) = listener.accept().await.unwrap();
        second.read_u8().await.unwrap();
        second.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        second
    };
    let (answer, _connection) = tokio::join!(client::http1(envoy.address(), &request), serve);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(envoy.stat("cluster.backend.upstream_rq_retry").await, 1);
    assert_eq!(envoy.stat("cluster.relay.upstream_rq_total").await, 1);
    assert_refused(&client::http1(envoy.address(), &request).await, 409, "replayed");
}

#[tokio::test]
async fn a_check_that_was_cancelled_still_uses_up_the_proof() {
    let relay = SlowRelay::new(EVERYTHING, &[&alice()]);
    let ask = get("/transfers").signed(&alice());
    let check = || relay.service.check(Request::new(ask.check_request()));

    let mut cancelled = Box::pin(check());
    tokio::select! {
        _ = &mut cancelled => panic!("an answer from a store that does not answer"),
        () = relay.store.until_asked() => {}
    }
    drop(cancelled);
    relay.store.release();
    relay.store.until_claimed().await;

    let again = answer(check().await.unwrap().into_inner());
    assert_eq!(code(&again), "replayed");
}

#[tokio::test]
async fn a_check_that_envoy_gave_up_still_uses_up_the_proof() {
    let relay = SlowRelay::new(EVERYTHING, &[&alice()]);
    let address = serve(relay.service.clone()).await;
    let backend = Backend::start().await;
    let mut setup = EnvoySetup::new(address, backend.address());
    setup.relay_timeout = "1s";
    let envoy = Envoy::start(setup).await;

    let request = get("/transfers").signed(&alice()).http1();
    let answer = client::http1(envoy.address(), &request).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    // Envoy asks on one connection, so a relay that answers this has seen before that nobody waits for the first.
    let unsigned = client::http1(envoy.address(), &get("/transfers").http1()).await;
    assert_refused(&unsigned, 401, "proof-missing");
    relay.store.release();
    relay.store.until_claimed().await;

    assert_refused(&client::http1(envoy.address(), &request).await, 409, "replayed");
    assert!(backend.requests().is_empty());
}
