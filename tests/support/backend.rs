//! A backend that remembers what reached it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, UPGRADE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::json;
use tokio::io::{copy, split};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// A request as the backend got it.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub version: Version,
    /// Names in lower case, one entry a line; lines of one name keep their order.
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Bytes,
    /// Fields that came after the body, and so after the decision.
    pub trailers: HeaderMap,
}

impl Received {
    /// Every line of the header with this name.
    pub fn header(&self, name: &str) -> Vec<String> {
        self.headers
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect()
    }
}

#[derive(Clone, Copy)]
enum Upgrades {
    Ignored,
    Echoed,
}

/// An HTTP/1.1 and HTTP/2 server that ends with this value. It answers a gRPC call with one empty message, and
/// anything else with what it saw, as JSON.
pub struct Backend {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    server: JoinHandle<()>,
}

impl Backend {
    pub async fn start() -> Self {
        Self::serve(Upgrades::Ignored).await
    }

    /// A backend that agrees to every upgrade, and then sends back what it is sent.
    pub async fn start_upgrading() -> Self {
        Self::serve(Upgrades::Echoed).await
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All requests so far, oldest first.
    pub fn requests(&self) -> Vec<Received> {
        self.received.lock().expect("no holder panics").clone()
    }

    async fn serve(upgrades: Upgrades) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let received = Arc::default();

        let remembered = Arc::clone(&received);
        let server = tokio::spawn(async move {
            // Connections end with the server: they are dropped with this set.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let remembered = Arc::clone(&remembered);
                connections.spawn(async move {
                    let service =
                        service_fn(move |request| answer(request, upgrades, Arc::clone(&remembered)));
                    // A connection that Envoy gives up is no concern of the test's.
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection_with_upgrades(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { address, received, server }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(
    mut request: Request<Incoming>,
    upgrades: Upgrades,
    received: Arc<Mutex<Vec<Received>>>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, hyper::Error> {
    let upgrade = request.headers().get(UPGRADE).cloned();
    let upgraded = hyper::upgrade::on(&mut request);

    let (head, body) = request.into_parts();
    let body = body.collect().await?;
    let seen = Received {
        method: head.method.to_string(),
        target: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        version: head.version,
        headers: head
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
            .collect(),
        trailers: body.trailers().cloned().unwrap_or_default(),
        body: body.to_bytes(),
    };
    received.lock().expect("no holder panics").push(seen.clone());

    if let (Upgrades::Echoed, Some(protocol)) = (upgrades, upgrade) {
        tokio::spawn(async move {
            if let Ok(stream) = upgraded.await {
                let (mut from, mut to) = split(TokioIo::new(stream));
                let _ = copy(&mut from, &mut to).await; // until the client hangs up
            }
        });
        return Ok(switching_to(protocol));
    }
    let content_type = head.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    if content_type.is_some_and(|value| value.starts_with(b"application/grpc")) {
        return Ok(empty_message());
    }
    Ok(echo(&seen))
}

fn switching_to(protocol: HeaderValue) -> Response<BoxBody<Bytes, Infallible>> {
    let mut response = Response::new(Empty::new().boxed());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(UPGRADE, protocol);
    let upgrade = HeaderValue::from_static("upgrade");
    response.headers_mut().insert(CONNECTION, upgrade);
    response
}

/// A gRPC answer: one message without any field, and the status OK.
fn empty_message() -> Response<BoxBody<Bytes, Infallible>> {
    let not_compressed_and_0_bytes_long = Bytes::from_static(&[0; 5]);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(not_compressed_and_0_bytes_long).with_trailers(async { Some(Ok(trailers)) });

    let mut response = Response::new(body.boxed());
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, grpc);
    response
}

fn echo(seen: &Received) -> Response<BoxBody<Bytes, Infallible>> {
    let headers: Vec<_> =
        seen.headers.iter().map(|(name, value)| json!([name, String::from_utf8_lossy(value)])).collect();
    let text = json!({
        "method": seen.method,
        "target": seen.target,
        "headers": headers,
        "body": String::from_utf8_lossy(&seen.body),
    });

    let mut response = Response::new(Full::from(text.to_string()).boxed());
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
