//! Requests that libraries of other teams sign and send, each as its own users would: see `tests/clients`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use hyper::Method;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{EVERYTHING, alice, bob};
use crate::support::gateway::Gateway;
use crate::support::signer::Signer;
use crate::support::tamperer::Tamperer;

#[path = "../clients/rust_httpsig_hyper.rs"]
mod rust_httpsig_hyper;

/// `~` appears in no header, so it can be changed in the body alone.
const BODY: &str = r#"{"amount": 12, "note": "for ~"}"#;

/// A client in a language of its own.
struct Client {
    program: &'static str,
    script: &'static str,
}

/// The request of a client.
struct Order<'a> {
    url: String,
    body: Option<&'a str>,
    key: &'a Signer,
    kid: &'a str,
    more: &'a [&'a str],
}

impl Client {
    const fn python(script: &'static str) -> Self {
        Self { program: "python", script }
    }

    const fn node(script: &'static str) -> Self {
        Self { program: "node", script }
    }

    /// Signs and sends, and returns the status and the body of the answer.
    async fn send(&self, order: &Order<'_>) -> (u64, Value) {
        installed();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let files = TempDir::new().unwrap();
        let key = files.path().join("key.jwk.json");
        std::fs::write(&key, order.key.private_jwk().to_string()).unwrap();

        let mut command =
            tokio::process::Command::new(root.join("target/clients/venv/bin").join(self.program));
        command.arg(root.join("tests/clients").join(self.script)).arg("--key").arg(key);
        command.args(["--url", &order.url, "--kid", order.kid]).args(order.more);
        if let Some(body) = order.body {
            let file = files.path().join("body");
            std::fs::write(&file, body).unwrap();
            command.args(["--method", "POST", "--body"]).arg(file);
        } else {
            command.args(["--method", "GET"]);
        }
        let output = command.output().await.unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} {:?}: {error}", self.script, order.more);
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        let body = answer["body"].as_str().unwrap();
        (answer["status"].as_u64().unwrap(), serde_json::from_str(body).unwrap_or_else(|_| json!(body)))
    }

    /// Sends what must pass and what must not.
    async fn is_understood(&self, signers: &[Signer]) {
        for raw_headers in [true, false] {
            let known: Vec<_> = signers.iter().collect();
            let gateway =
                Gateway::start_with(EVERYTHING, &known, |setup| setup.raw_headers = raw_headers).await;
            for signer in signers {
                self.passes(&gateway, signer).await;
            }
            let reached = gateway.received().len();
            self.is_refused_where_it_must(&gateway, &signers[0]).await;
            assert_eq!(gateway.received().len(), reached);
        }
    }

    async fn passes(&self, gateway: &Gateway, signer: &Signer) {
        for body in [None, Some(BODY)] {
            let url = format!("http://{}/transfers/7?to=bob%20b&n=1", gateway.address());
            let order = Order { url, body, key: signer, kid: &signer.id, more: &[] };
            let (status, answer) = self.send(&order).await;
            assert_eq!(status, 200, "{}, {}, {body:?}: {answer}", self.script, signer.id);
            let received = gateway.last_received();
            assert_eq!(received.header("x-proof-subject"), [signer.id.as_str()]);
            assert_eq!(received.target, "/transfers/7?to=bob%20b&n=1");
            assert_eq!(received.body, body.unwrap_or_default());
        }
    }

    async fn is_refused_where_it_must(&self, gateway: &Gateway, signer: &Signer) {
        let url = format!("http://{}/transfers/7", gateway.address());
        let another = Signer::named_like(signer, "mallory");
        let tamperer = Tamperer::start(gateway.address(), b'~', b'-').await;
        let tampered = format!("http://{}/transfers/7", tamperer.address);
        let order = |key, kid, more| Order { url: url.clone(), body: Some(BODY), key, kid, more };
        let refused = [
            (order(signer, "nobody", &[]), "key-unknown"),
            (order(&another, &signer.id, &[]), "signature-invalid"),
            (order(signer, &signer.id, &["--created", "1700000000"]), "proof-too-old"),
            (Order { url: tampered, ..order(signer, &signer.id, &[]) }, "digest-mismatch"),
        ];
        for (order, code) in refused {
            let (status, answer) = self.send(&order).await;
            assert_eq!(answer["code"], code, "{}, {}: {answer}", self.script, signer.id);
            assert_eq!(status, 401);
        }
    }
}

/// Installs the clients' libraries, which takes a while the first time. A client that is missing fails the test.
pub(crate) fn installed() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let setup = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/setup");
        let status = Command::new(setup).stdout(Stdio::null()).status().expect("tests/clients/setup runs");
        assert!(
            status.success(),
            "these tests need the clients' libraries, and tests/clients/setup got none"
        );
    });
}

#[tokio::test]
async fn python_http_message_signatures() {
    Client::python("python_http_message_signatures.py").is_understood(&[alice(), bob()]).await;
}

/// It covers a `Date`, and a digest even where there is no body.
#[tokio::test]
async fn python_requests_http_signature() {
    Client::python("python_requests_http_signature.py").is_understood(&[alice(), bob()]).await;
}

#[tokio::test]
async fn node_http_message_signatures() {
    Client::node("node_http_message_signatures.mjs").is_understood(&[alice(), bob()]).await;
}

/// It has Ed25519 only.
#[tokio::test]
async fn node_web_bot_auth() {
    Client::node("node_web_bot_auth.mjs").is_understood(&[alice()]).await;
}

#[tokio::test]
async fn policies_with_a_tag_take_clients_that_say_it() {
    let settings = "policies: [
        {name: bots, match: {path: /bots}, proof: {tag: web-bot-auth, cover: ['@authority', signature-agent]}},
        {name: transfers, match: {}, proof: {tag: transfer, require: [nonce]}}]";
    let alice = alice();
    let gateway = Gateway::start(settings, &[&alice]).await;
    let order = |path: &str, more| {
        let url = format!("http://{}{path}", gateway.address());
        Order { url, body: None, key: &alice, kid: &alice.id, more }
    };
    let transfer = order("/transfers", &["--tag", "transfer"]);
    for client in [
        Client::python("python_http_message_signatures.py"),
        Client::python("python_requests_http_signature.py"),
        Client::node("node_http_message_signatures.mjs"),
    ] {
        let (status, answer) = client.send(&transfer).await;
        assert_eq!(status, 200, "{}: {answer}", client.script);
    }
    let bot = Client::node("node_web_bot_auth.mjs");
    let (status, answer) = bot.send(&order("/bots", &[])).await;
    assert_eq!(status, 200, "{answer}");
    let (status, answer) = bot.send(&order("/transfers", &[])).await;
    assert_eq!((status, &answer["code"]), (401, &json!("tag-mismatch")));
}

#[tokio::test]
async fn rust_httpsig_hyper() {
    let (alice, bob) = (alice(), bob());
    for raw_headers in [true, false] {
        let gateway =
            Gateway::start_with(EVERYTHING, &[&alice, &bob], |setup| setup.raw_headers = raw_headers).await;
        for http2 in [false, true] {
            let client = HyperClient::builder(TokioExecutor::new()).http2_only(http2).build_http();
            for signer in [&alice, &bob] {
                for (method, body) in [(Method::GET, None), (Method::POST, Some(BODY))] {
                    let url = format!("http://{}/transfers/7?to=bob%20b&n=1", gateway.address());
                    let bytes = || body.map(|body| body.as_bytes().to_vec());
                    let sign = |kid| {
                        let jwk = signer.private_jwk();
                        let (method, url) = (method.clone(), url.clone());
                        async move { rust_httpsig_hyper::signed_request(&jwk, kid, method, &url, bytes()).await }
                    };
                    let answer = client.request(sign(&signer.id).await).await.unwrap();
                    assert_eq!(answer.status(), 200, "{method}, {}, http2 {http2}", signer.id);
                    let received = gateway.last_received();
                    assert_eq!(received.header("x-proof-subject"), [signer.id.as_str()]);
                    assert_eq!(received.body, body.unwrap_or_default());

                    let reached = gateway.received().len();
                    let answer = client.request(sign("nobody").await).await.unwrap();
                    assert_eq!(answer.status(), 401);
                    assert_eq!(gateway.received().len(), reached);
                }
            }
        }
    }
}
