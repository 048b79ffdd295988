//! A proof is good for one request, whatever becomes of the answer.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use envoy_types::pb::envoy::service::auth::v3::authorization_server::{
    Authorization as _, AuthorizationServer,
};
use proof_messenger_relay::config::Config;
use proof_messenger_relay::envoy::AuthorizationService;
use proof_messenger_relay::envoy::client::answer;
use proof_messenger_relay::keys::{Directory, parse_jwk_set};
use proof_messenger_relay::relay::Relay;
use proof_messenger_relay::replay::{Claim, Guard, MemoryStore, Outcome, ReplayStore, StoreFailure};
use proof_messenger_relay::timestamp::{SystemClock, Timestamp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;
use tonic::Request;
use tonic::transport::server::TcpIncoming;

use super::{EVERYTHING, alice, get, post};
use crate::support::PATIENCE;
use crate::support::ask::code;
use crate::support::backend::Backend;
use crate::support::client;
use crate::support::envoy::{Envoy, EnvoySetup};
use crate::support::gateway::{Gateway, PROTOCOLS, assert_refused};
use crate::support::relay;
use crate::support::signer::trust_store;

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
    let relay = relay::Relay::start_now(EVERYTHING, &[&alice()]).await;
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

/// A store that takes until the test releases it.
#[derive(Clone)]
struct SlowStore(Arc<Slow>);

struct Slow {
    store: MemoryStore,
    asked: Notify,
    release: Semaphore,
    claimed: Notify,
}

impl ReplayStore for SlowStore {
    fn claim<'a>(
        &'a self,
        claims: &'a [Claim],
        now: Timestamp,
        repeat_seconds: i64,
    ) -> Pin<Box<dyn Future<Output = Result<Outcome, StoreFailure>> + Send + 'a>> {
        let slow = &self.0;
        Box::pin(async move {
            slow.asked.notify_one();
            let _free = slow.release.acquire().await;
            let outcome = slow.store.claim(claims, now, repeat_seconds).await;
            slow.claimed.notify_one();
            outcome
        })
    }
}

/// A relay with a slow store.
fn slow_service() -> (AuthorizationService, SlowStore) {
    let config = Config::parse(EVERYTHING, "test", Path::new("")).unwrap_or_else(|error| panic!("{error}"));
    let keys = parse_jwk_set(trust_store(&[&alice()]).to_string().as_bytes()).unwrap();
    let store = SlowStore(Arc::new(Slow {
        store: MemoryStore::new(100),
        asked: Notify::new(),
        release: Semaphore::new(0),
        claimed: Notify::new(),
    }));
    let relay = Relay {
        policies: config.policies,
        keys: Directory::new(keys.into_iter().map(Result::unwrap)).unwrap(),
        guard: Guard::new("test", Arc::new(store.clone())),
        limits: config.limits,
        field_types: config.field_types,
        clock: Arc::new(SystemClock),
        places: Semaphore::new(config.in_flight),
    };
    (AuthorizationService::new(Arc::new(relay), config.denials), store)
}

#[tokio::test]
async fn a_check_that_was_cancelled_still_uses_up_the_proof() {
    let (service, store) = slow_service();
    let ask = get("/transfers").signed(&alice());
    let check = || service.check(Request::new(ask.check_request()));

    let mut cancelled = Box::pin(check());
    tokio::select! {
        _ = &mut cancelled => panic!("an answer from a store that does not answer"),
        () = store.0.asked.notified() => {}
    }
    drop(cancelled);
    store.0.release.add_permits(1);
    timeout(PATIENCE, store.0.claimed.notified()).await.expect("a claim without anybody who waits for it");

    let again = answer(check().await.unwrap().into_inner());
    assert_eq!(code(&again), "replayed");
}

#[tokio::test]
async fn a_check_that_envoy_gave_up_still_uses_up_the_proof() {
    let (service, store) = slow_service();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay = listener.local_addr().unwrap();
    let server = tonic::transport::Server::builder()
        .add_service(AuthorizationServer::new(service))
        .serve_with_incoming(TcpIncoming::from(listener));
    let server = tokio::spawn(server);
    let backend = Backend::start().await;
    let mut setup = EnvoySetup::new(relay, backend.address());
    setup.relay_timeout = "1s";
    let envoy = Envoy::start(setup).await;

    let request = get("/transfers").signed(&alice()).http1();
    let answer = client::http1(envoy.address(), &request).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    store.0.release.add_permits(1);
    timeout(PATIENCE, store.0.claimed.notified()).await.expect("a claim without anybody who waits for it");

    assert_refused(&client::http1(envoy.address(), &request).await, 409, "replayed");
    assert!(backend.requests().is_empty());
    server.abort();
}
