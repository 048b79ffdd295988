//! Relays that are down, hang, or cannot say whether a proof was used: nothing passes, and Envoy counts an error.

use std::net::SocketAddr;

use envoy_types::pb::envoy::service::auth::v3::authorization_server::Authorization;
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status};

use super::{EVERYTHING, alice, get};
use crate::support::backend::Backend;
use crate::support::client::{self, Answer};
use crate::support::envoy::{Envoy, EnvoySetup};
use crate::support::gateway::{Gateway, PROTOCOLS, assert_refused};
use crate::support::slow_relay::{SlowRelay, serve};

const DENIED: &str = "http.ingress.ext_authz.relay.denied";
const ERROR: &str = "http.ingress.ext_authz.relay.error";
const ONE_PLACE: &str = "replay: {memory: {capacity: 1}}\npolicies: [{name: transfers, match: {}}]";

/// Sends one signed request through an Envoy that asks at this address.
async fn send_past(relay: SocketAddr) -> (Answer, Backend, Envoy) {
    let backend = Backend::start().await;
    let mut setup = EnvoySetup::new(relay, backend.address());
    setup.relay_timeout = EnvoySetup::SHIPPED_TIMEOUT;
    let envoy = Envoy::start(setup).await;
    let answer = client::http1(envoy.address(), &get("/transfers").signed(&alice()).http1()).await;
    (answer, backend, envoy)
}

#[tokio::test]
async fn without_a_relay_nothing_passes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);

    let (answer, backend, envoy) = send_past(nobody).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(backend.requests().is_empty());
    assert_eq!((envoy.stat(ERROR).await, envoy.stat(DENIED).await), (1, 0));
}

/// A relay that takes every question and never answers.
struct Silent;

#[tonic::async_trait]
impl Authorization for Silent {
    async fn check(&self, _: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn envoy_does_not_wait_for_a_relay_that_hangs() {
    let (answer, backend, envoy) = send_past(serve(Silent).await).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(backend.requests().is_empty());
    assert_eq!((envoy.stat(ERROR).await, envoy.stat(DENIED).await), (1, 0));
    // The relay never answers, so it was Envoy that gave up. Which of its counters says so is a matter of when it did.
}

#[tokio::test]
async fn a_full_replay_store_is_an_error_and_no_denial() {
    let gateway = Gateway::start(ONE_PLACE, &[&alice()]).await;
    let answer = gateway.http1(&get("/transfers/1").signed(&alice())).await;
    assert_eq!(answer.status, 200, "there is one place: {}", answer.text());
    for protocol in PROTOCOLS {
        let answer = gateway.send(protocol, &get("/transfers/2").signed(&alice())).await;
        assert_refused(&answer, 503, "replay-store-unavailable");
    }
    assert_eq!(gateway.received().len(), 1);
    assert_eq!((gateway.envoy.stat(ERROR).await, gateway.envoy.stat(DENIED).await), (2, 0));
}

#[tokio::test]
async fn a_denial_is_a_denial_and_no_error() {
    let gateway = Gateway::start(EVERYTHING, &[&alice()]).await;
    assert_refused(&gateway.http1(&get("/transfers")).await, 401, "proof-missing");
    assert_eq!((gateway.envoy.stat(ERROR).await, gateway.envoy.stat(DENIED).await), (0, 1));
}

/// A client can bring about too many checks at once, so this is no error that an operator may let pass.
#[tokio::test]
async fn an_overloaded_relay_denies_at_once() {
    let settings = format!("limits: {{in_flight: 1}}\n{EVERYTHING}");
    let relay = SlowRelay::new(&settings, &[&alice()]);
    let backend = Backend::start().await;
    let setup = EnvoySetup::new(serve(relay.service.clone()).await, backend.address());
    let envoy = Envoy::start(setup).await;
    let send = || async { client::http1(envoy.address(), &get("/transfers").signed(&alice()).http1()).await };

    let (first, second) = tokio::join!(send(), async {
        relay.store.until_asked().await;
        let answer = send().await;
        relay.store.release();
        answer
    });
    assert_refused(&second, 503, "overloaded");
    assert_eq!(first.status, 200, "{}", first.text());
    assert_eq!(backend.requests().len(), 1);
    assert_eq!((envoy.stat(ERROR).await, envoy.stat(DENIED).await), (0, 1));
}

/// `failure_mode_allow` is the operator's to set. A client must not be able to bring about what it lets pass.
#[tokio::test]
async fn an_operator_who_lets_errors_pass_lets_nothing_else_pass() {
    let gateway = Gateway::start_with(ONE_PLACE, &[&alice()], |setup| {
        setup.edits.push(("failure_mode_allow: false", "failure_mode_allow: true".to_owned()));
        setup.edits.push(EnvoySetup::websocket());
    })
    .await;
    assert_eq!(gateway.http1(&get("/transfers/1").signed(&alice())).await.status, 200);
    let spoofed = get("/transfers/2").signed(&alice()).header("x-proof-status", "verified");
    let answer = gateway.http1(&spoofed).await;
    assert_eq!(answer.status, 200, "the store is full, and the operator wants it so: {}", answer.text());
    assert_eq!(gateway.received().len(), 2);
    assert!(
        gateway.last_received().header("x-proof-status").is_empty(),
        "nobody may say that it is verified"
    );

    assert_refused(&gateway.http1(&get("/transfers/3")).await, 401, "proof-missing");
    assert_refused(&gateway.http1(&get("//transfers")).await, 400, "path-ambiguous");
    let upgrade = get("/").header("connection", "upgrade").header("upgrade", "websocket");
    assert_refused(&gateway.http1(&upgrade.signed(&alice())).await, 400, "upgrade-refused");
    let many_labels: Vec<String> = (0..100).map(|label| format!("l{label}=()")).collect();
    let crowded = get("/").header("signature-input", many_labels.join(", ")).header("signature", "a=:AAAA:");
    assert_eq!(gateway.http1(&crowded).await.status, 401);
    assert_eq!(gateway.received().len(), 2);
}
