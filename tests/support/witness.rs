//! A stand-in for a witness that takes tlog-witness at its word. Others judge what it is sent: Cloudflare's crates read
//! the note and the checkpoint, and check the signature and the proof.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, LOCATION};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use proof_messenger_relay::crypto::{Algorithm, PrivateKey};
use proof_messenger_relay::evidence::note::{Cosigner, VerifierKey};
use signed_note::{Note, StandardVerifier, VerifierList};
use tlog_tiles::tlog::{self, Hash};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// What the stand-in does with a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// What the specification says.
    Honest,
    /// It closes the connection.
    Down,
    /// It never answers.
    Silent,
    /// It answers with far more than signatures.
    Verbose,
    /// It answers with a redirect to itself.
    Redirecting,
    /// It cosigns with another key of the same name.
    Impostor,
}

/// An HTTP server that ends with this value, on a thread of its own.
pub struct Witness {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    _runtime: Runtime,
}

struct State {
    manner: Manner,
    /// The logs it knows, by origin.
    logs: HashMap<String, String>,
    /// What it cosigned last of each.
    cosigned: HashMap<String, (u64, Hash)>,
    /// Of each request, the old size it named and the status it got.
    answers: Vec<(u64, u16)>,
}

struct Answered {
    status: u16,
    body: String,
}

impl Witness {
    /// A witness that knows the logs with these verifier keys, by the names of the keys.
    pub fn start(logs: &[&str]) -> Self {
        let origin = |key: &str| key.split_once('+').expect("a verifier key").0.to_owned();
        let logs = logs.iter().map(|key| (origin(key), (*key).to_owned())).collect();
        let (cosigned, answers) = (HashMap::new(), Vec::new());
        let state = Arc::new(Mutex::new(State { manner: Manner::Honest, logs, cosigned, answers }));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        runtime.spawn(serve(listener, Arc::clone(&state)));
        Self { address, state, _runtime: runtime }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its submission prefix.
    pub fn url(&self) -> String {
        format!("http://{}/witness", self.address)
    }

    /// What its cosignatures verify with.
    pub fn key() -> VerifierKey {
        cosigner(Manner::Honest).verifier().clone()
    }

    pub fn behave(&self, manner: Manner) {
        self.state().manner = manner;
    }

    /// Forgets what it cosigned, or recalls something else.
    pub fn recall(&self, origin: &str, cosigned: Option<(u64, [u8; 32])>) {
        let mut state = self.state();
        match cosigned {
            Some((size, root)) => state.cosigned.insert(origin.to_owned(), (size, Hash(root))),
            None => state.cosigned.remove(origin),
        };
    }

    /// Of each request so far, the old size it named and the status it got.
    pub fn answers(&self) -> Vec<(u64, u16)> {
        self.state().answers.clone()
    }

    /// What it answers to a request with this body: status and body.
    pub fn add_checkpoint(&self, body: &str) -> (u16, String) {
        let Answered { status, body } = self.state().add_checkpoint(body);
        (status, body)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

fn cosigner(manner: Manner) -> Cosigner {
    let seed = if manner == Manner::Impostor { [78; 32] } else { [77; 32] };
    let key = PrivateKey::from_bytes(Algorithm::Ed25519, &seed).expect("a seed");
    Cosigner::new("witness.example/w1", key).expect("a name")
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        let service = service_fn(move |request| answer(request, Arc::clone(&state)));
        tokio::spawn(async move {
            // A client that goes away ends its connection, and nothing else.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<Mutex<State>>,
) -> Result<Response<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
    let (parts, body) = request.into_parts();
    let body = String::from_utf8(body.collect().await?.to_bytes().into())?;
    let response = Response::builder();
    let manner = state.lock().expect("no holder panics").manner;
    match manner {
        Manner::Honest | Manner::Impostor => {}
        Manner::Down => return Err("down".into()),
        Manner::Silent => tokio::time::sleep(Duration::MAX).await,
        Manner::Verbose => return Ok(response.body("—".repeat(1 << 20).into())?),
        Manner::Redirecting => {
            return Ok(response
                .status(307)
                .header(LOCATION, "/witness/add-checkpoint")
                .body(Full::default())?);
        }
    }
    if (parts.method, parts.uri.path()) != (Method::POST, "/witness/add-checkpoint") {
        return Ok(response.status(405).body(Full::default())?);
    }
    let Answered { status, body } = state.lock().expect("no holder panics").add_checkpoint(&body);
    let kind = if status == 409 { "text/x.tlog.size" } else { "text/plain" };
    Ok(response.status(status).header(CONTENT_TYPE, kind).body(body.into())?)
}

impl State {
    fn add_checkpoint(&mut self, body: &str) -> Answered {
        let old = body.lines().next().and_then(|line| line.strip_prefix("old ")?.parse().ok());
        let (Ok(answered) | Err(answered)) = self.judge(body);
        self.answers.push((old.unwrap_or(u64::MAX), answered.status));
        answered
    }

    /// The paragraphs of "add-checkpoint", in their order.
    fn judge(&mut self, body: &str) -> Result<Answered, Answered> {
        let refuse = |status: u16| Answered { status, body: String::new() };
        let (proof, note) = body.split_once("\n\n").ok_or(refuse(400))?;
        let mut lines = proof.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).ok_or(refuse(400))?;
        let old_size: u64 = old.parse().map_err(|_| refuse(400))?;
        let proof: Result<Vec<Hash>, _> = lines.map(Hash::parse_hash).collect();
        let proof = proof.map_err(|_| refuse(400))?;
        if old != old_size.to_string() || proof.len() > 63 {
            return Err(refuse(400));
        }

        let origin = note.lines().next().unwrap_or_default();
        let key = self.logs.get(origin).ok_or(refuse(404))?;
        let key = StandardVerifier::new(key).expect("a verifier key");
        let note = Note::from_bytes(note.as_bytes()).map_err(|_| refuse(403))?;
        note.verify(&VerifierList::new(vec![Box::new(key)])).map_err(|_| refuse(403))?;
        let checkpoint = tlog_tiles::Checkpoint::from_bytes(note.text()).map_err(|_| refuse(400))?;
        let (size, root) = (checkpoint.size(), *checkpoint.hash());
        if old_size > size {
            return Err(refuse(400));
        }

        let (last, last_root) = self.cosigned.get(origin).copied().unwrap_or((0, tlog::EMPTY_HASH));
        if old_size != last {
            return Err(Answered { status: 409, body: format!("{last}\n") });
        }
        if old_size == size && last_root != root {
            return Err(Answered { status: 409, body: format!("{last}\n") });
        }
        match old_size {
            0 if proof.is_empty() => {}
            0 => return Err(refuse(422)),
            _ => tlog::check_tree(&proof, size, root, last, last_root).map_err(|_| refuse(422))?,
        }

        self.cosigned.insert(origin.to_owned(), (size, root));
        let text = std::str::from_utf8(note.text()).expect("a note is UTF-8");
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a time after 1970").as_secs();
        // A witness may have other keys besides.
        let other = PrivateKey::generate(Algorithm::Ed25519).expect("random numbers");
        let other = Cosigner::new("witness.example/w2", other).expect("a name").cosign(text, now);
        let line = cosigner(self.manner).cosign(text, now);
        Ok(Answered { status: 200, body: format!("{other}\n{line}\n") })
    }
}
