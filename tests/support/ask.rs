//! Questions to a relay, over gRPC, as Envoy would ask them.

use base64ct::{Base64, Encoding as _};
use envoy_types::pb::envoy::config::core::v3::HeaderValue;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::HttpRequest;
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use http_body_util::Full;
use hyper::body::Bytes;
use proof_messenger_relay::envoy::client::{Answer, answer, check_request};
use proof_messenger_relay::limits::Limits;
use proof_messenger_relay::request::{Body, Encoding, Field, Fields, Request};
use proof_messenger_relay::signer::{Signing, content_digest, sign};
use proof_messenger_relay::timestamp::{Clock as _, SystemClock, Timestamp};
use proof_messenger_relay::verify::{FieldTypes, Message};

use super::client::of_known_length;
use super::relay::{Relay, START};
use super::signer::Signer;

/// A request to ask about. It can be signed, and changed before and after.
#[derive(Debug, Clone)]
pub struct Ask {
    pub method: String,
    pub scheme: String,
    pub authority: String,
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Option<Vec<u8>>,
    pub policy: Option<String>,
    /// When it is signed.
    pub created: Timestamp,
}

/// A signature over `cover`, made when tests begin, with a nonce of its own.
pub fn signing(label: &str, cover: &[&str]) -> Signing {
    Signing {
        label: label.to_owned(),
        cover: cover.iter().map(|component| (*component).to_owned()).collect(),
        created: Some(Timestamp::from_unix_seconds(START)),
        expires: None,
        nonce: Some(proof_messenger_relay::signer::nonce().unwrap()),
        tag: None,
        alg: None,
    }
}

impl Ask {
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            scheme: "https".to_owned(),
            authority: "bank.example".to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: None,
            policy: None,
            created: Timestamp::from_unix_seconds(START),
        }
    }

    /// For real clients: as they sign, and at what time, for an Envoy without TLS.
    pub fn for_envoy(mut self) -> Self {
        self.scheme = "http".to_owned();
        self.created = SystemClock.now();
        self
    }

    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// With a body, its length and its digest.
    pub fn post(target: &str, body: &[u8]) -> Self {
        let mut ask = Self::new("POST", target)
            .header("content-length", body.len().to_string())
            .header("content-digest", content_digest(body));
        ask.body = Some(body.to_vec());
        ask
    }

    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Replaces every line of that name.
    pub fn replace(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self = self.without(name);
        self.header(name, value)
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    /// Puts `new` in place of `old` in the header of that name. The signature stays as it is.
    pub fn rewrite(self, name: &str, old: &str, new: &str) -> Self {
        let value = self.value(name);
        assert!(value.contains(old), "{name}: {value} does not contain {old}");
        self.replace(name, value.replacen(old, new, 1))
    }

    /// The text of a header.
    pub fn value(&self, name: &str) -> String {
        let (_, value) = self.headers.iter().find(|(known, _)| known == name).unwrap();
        String::from_utf8(value.clone()).unwrap()
    }

    /// Signed as the reference client does: method, target URI and, with a body, its digest.
    pub fn signed(self, signer: &Signer) -> Self {
        let with_body: &[&str] = &["@method", "@target-uri", "content-digest"];
        let cover = if self.body.is_some() { with_body } else { &with_body[..2] };
        self.signed_covering(signer, cover)
    }

    /// Signed over these components.
    pub fn signed_covering(self, signer: &Signer, cover: &[&str]) -> Self {
        let signing = Signing { created: Some(self.created), ..signing(&signer.id, cover) };
        self.signed_as(signer, &signing)
    }

    /// Signed in a way of the test's own. A second signature joins the first.
    pub fn signed_as(mut self, signer: &Signer, signing: &Signing) -> Self {
        let fields = {
            let request = self.request(Encoding::Raw);
            let types = FieldTypes::default();
            let message = Message::new(&request, &types);
            sign(&message, &signer.key, &signer.id, signing, &Limits::default()).unwrap()
        };
        for (name, value) in [("signature-input", fields.signature_input), ("signature", fields.signature)] {
            match self.headers.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => known.extend_from_slice(format!(", {value}").as_bytes()),
                None => self.headers.push((name.to_owned(), value.into_bytes())),
            }
        }
        self
    }

    /// Signed over lines that the test wrote itself. `params` is the member of `Signature-Input` after its label, such
    /// as `("@method");created=1;keyid="alice"`. None of it needs to make sense.
    pub fn signed_over(self, signer: &Signer, params: &str, lines: &[&str]) -> Self {
        let base: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let base = format!("{base}\"@signature-params\": {params}");
        let signature = Base64::encode_string(&signer.key.sign(base.as_bytes()));
        self.header("signature-input", format!("{}={params}", signer.id))
            .header("signature", format!("{}=:{signature}:", signer.id))
    }

    fn request(&self, encoding: Encoding) -> Request<'_> {
        let mut request = Request::new(&self.method, &self.scheme, &self.authority, &self.target);
        let lines = self.headers.iter().map(|(name, value)| Field { name, value }).collect();
        let limits = Limits { header_lines: usize::MAX, header_bytes: usize::MAX, ..Limits::default() };
        request.fields = Fields::new(lines, encoding, &limits).unwrap();
        request.body = self.body.as_deref().map_or(Body::Absent, Body::Complete);
        request
    }

    /// The bytes of the request over HTTP/1.1.
    pub fn http1(&self) -> Vec<u8> {
        let Self { method, target, authority, .. } = self;
        let mut bytes = format!("{method} {target} HTTP/1.1\r\nhost: {authority}\r\n").into_bytes();
        for (name, value) in &self.headers {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        bytes.extend(b"\r\n");
        bytes.extend(self.body.iter().flatten());
        bytes
    }

    /// The request for an HTTP/2 client.
    pub fn http2(&self) -> hyper::Request<Full<Bytes>> {
        let uri = format!("{}://{}{}", self.scheme, self.authority, self.target);
        let mut request = hyper::Request::builder().method(self.method.as_str()).uri(uri);
        for (name, value) in &self.headers {
            request = request.header(name, value.as_slice());
        }
        request.body(of_known_length(self.body.clone().unwrap_or_default())).unwrap()
    }

    /// The message of an Envoy with `encode_raw_headers: true`.
    pub fn check_request(&self) -> CheckRequest {
        let mut request = self.request(Encoding::Raw);
        request.route_policy = self.policy.as_deref();
        check_request(&request)
    }

    /// The message of an Envoy without it: lines of one name joined with a comma, bytes that are not UTF-8 replaced.
    pub fn merged_check_request(&self) -> CheckRequest {
        let mut check = self.check_request();
        let http = http(&mut check);
        for header in http.header_map.take().unwrap().headers {
            let value =
                header.raw_value.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '!' });
            let value: String = value.collect();
            http.headers
                .entry(header.key)
                .and_modify(|known| {
                    known.push(',');
                    known.push_str(&value);
                })
                .or_insert(value);
        }
        check
    }

    /// Asks, with raw headers.
    pub async fn of(&self, relay: &Relay) -> Answer {
        ask(relay, self.check_request()).await
    }

    /// Asks, with merged headers.
    pub async fn of_merged(&self, relay: &Relay) -> Answer {
        ask(relay, self.merged_check_request()).await
    }
}

/// The HTTP request in a check, to be changed.
pub fn http(check: &mut CheckRequest) -> &mut HttpRequest {
    check.attributes.as_mut().unwrap().request.as_mut().unwrap().http.as_mut().unwrap()
}

/// Adds a raw header line to a check.
pub fn add_line(check: &mut CheckRequest, name: &str, value: impl Into<Vec<u8>>) {
    let line = HeaderValue { key: name.to_owned(), value: String::new(), raw_value: value.into() };
    http(check).header_map.as_mut().unwrap().headers.push(line);
}

/// Removes every raw header line of that name from a check.
pub fn remove_lines(check: &mut CheckRequest, name: &str) {
    http(check).header_map.as_mut().unwrap().headers.retain(|line| line.key != name);
}

impl From<&Ask> for CheckRequest {
    fn from(ask: &Ask) -> Self {
        ask.check_request()
    }
}

/// Asks with a message of the test's own.
pub async fn ask(relay: &Relay, check: CheckRequest) -> Answer {
    answer(respond(relay, check).await.unwrap())
}

/// The whole response, or the gRPC error.
pub async fn respond(relay: &Relay, check: CheckRequest) -> Result<CheckResponse, tonic::Status> {
    let mut client = AuthorizationClient::connect(format!("http://{}", relay.address)).await.unwrap();
    client.check(check).await.map(tonic::Response::into_inner)
}

/// The code of an answer, empty where the request was allowed.
pub fn code(answer: &Answer) -> &str {
    answer.metadata.get("code").map_or("", String::as_str)
}

/// The relay's time.
pub fn now(relay: &Relay) -> Timestamp {
    relay.clock.now()
}
