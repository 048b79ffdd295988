//! HTTP beside gRPC, for backends and operators. Nothing on it decides anything, and nothing on it is secret.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::readiness::Readiness;
use super::until;
use crate::relay::Relay;

/// For how long a backend may keep the keys. Whoever changes keys waits for as long between the steps.
const KEYS_MAX_AGE: &str = "public, max-age=300";

/// So many connections at once: whoever opens many must take nothing from the checks.
const CONNECTIONS: usize = 64;

/// So long the head of a request may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// So long a connection may take for its one request. Whoever asks and does not read takes a place for no longer.
const LIFE: Duration = Duration::from_secs(10);

/// So long it is waited when no connection can be accepted, for want of file descriptors: it would be tried without end.
const PAUSE: Duration = Duration::from_millis(100);

/// What is served. Without receipts there is no key set: an empty one would be taken for one that accepts nothing, and
/// kept.
pub(super) fn routes(relay: Arc<Relay>, readiness: Arc<Readiness>) -> Router {
    let mut routes = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics));
    if let Some(receipts) = &relay.receipts {
        let keys = receipts.key_set().to_string();
        let headers = [(CONTENT_TYPE, "application/jwk-set+json"), (CACHE_CONTROL, KEYS_MAX_AGE)];
        routes = routes.route("/.well-known/jwks.json", get(async move || (headers, keys.clone())));
    }
    routes.with_state((relay, readiness))
}

type Shared = (Arc<Relay>, Arc<Readiness>);

async fn ready(State((_, readiness)): State<Shared>) -> impl IntoResponse {
    let conditions = readiness.conditions();
    let text: String = conditions.iter().map(|condition| format!("{condition}\n")).collect();
    let status = if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, text)
}

async fn metrics(State((relay, readiness)): State<Shared>) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        relay.metrics.text(&relay, readiness.is_ready()),
    )
}

/// Serves until the other end of `stopping` is dropped, and then what is in flight.
pub(super) async fn serve(listener: TcpListener, routes: Router, stopping: watch::Receiver<()>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut stopped = std::pin::pin!(until(stopping));
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            () = &mut stopped => break,
            next = next => next,
        };
        let Ok((stream, _)) = accepted else {
            sleep(PAUSE).await;
            continue;
        };
        let service = TowerToHyperService::new(routes.clone());
        let mut connection = http1::Builder::new();
        connection.timer(TokioTimer::new()).header_read_timeout(PATIENCE).keep_alive(false);
        let connection = graceful.watch(connection.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            // Whatever went wrong on it is its client's matter.
            let _ = timeout(LIFE, connection).await;
            drop(place);
        });
    }
    graceful.shutdown().await;
}
