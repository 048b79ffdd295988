//! Somebody who publishes keys at a URL.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ETAG, IF_NONE_MATCH, LOCATION};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What is published, and who asked.
#[derive(Default)]
pub struct State {
    pub status: u16,
    pub text: String,
    /// Of each request, the status that it got.
    pub answers: Vec<u16>,
}

/// An HTTP server that ends with the test.
#[derive(Clone)]
pub struct Publisher {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Publisher {
    pub async fn start(text: &str) -> Self {
        let state = State { status: 200, text: text.to_owned(), answers: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let publisher = Self { address: listener.local_addr().unwrap(), state };
        tokio::spawn(publisher.clone().serve(listener));
        publisher
    }

    pub fn url(&self) -> String {
        format!("http://{}/keys", self.address)
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Publishes something else, or fails.
    pub fn publish(&self, status: u16, text: &str) {
        let mut state = self.state();
        (state.status, state.text) = (status, text.to_owned());
    }

    async fn serve(self, listener: TcpListener) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let publisher = self.clone();
            tokio::spawn(async move {
                let service = service_fn(|request| std::future::ready(publisher.answer(&request)));
                let connection = hyper::server::conn::http1::Builder::new();
                let _ = connection.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    }

    /// The entity tag is the length of the text, which is enough for these tests.
    fn answer(&self, request: &Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::http::Error> {
        let mut state = self.state();
        let tag = format!("\"{}\"", state.text.len());
        let is_known =
            request.headers().get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
        let status = if is_known && state.status == 200 { 304 } else { state.status };
        state.answers.push(status);
        let body = if status == 304 { String::new() } else { state.text.clone() };
        let response = Response::builder().status(status).header(ETAG, tag);
        response.header(LOCATION, format!("http://{}/elsewhere", self.address)).body(Full::from(body))
    }
}
