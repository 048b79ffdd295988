//! A file of cases as it is written.

use std::collections::BTreeMap;

use proof_messenger_relay::crypto::Algorithm;
use proof_messenger_relay::signer::content_digest;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::ask::Ask;
use crate::support::relay::START;
use crate::support::signer::Signer;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    pub group: String,
    pub policies: Value,
    /// Settings beside the policies.
    #[serde(default)]
    pub settings: serde_json::Map<String, Value>,
    #[serde(default)]
    pub people: BTreeMap<String, Person>,
    /// What the requests of all cases have in common.
    #[serde(default)]
    pub request: serde_json::Map<String, Value>,
    #[serde(default)]
    pub signed_by: Vec<Signature>,
    pub cases: Vec<Case>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Person {
    pub roles: Vec<String>,
    /// By key id; one key of the person's name where nothing is said.
    pub keys: BTreeMap<String, Key>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Key {
    /// Instead of the person's.
    pub roles: Option<Vec<String>>,
    /// The id of a key with the same public key.
    pub same_as: Option<String>,
    pub p256: bool,
    /// Since when.
    pub revoked: Option<String>,
    /// Until when it is valid.
    pub expires: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub why: String,
    /// What is sent before, in the same words.
    pub first: Option<Box<Step>>,
    #[serde(flatten)]
    pub step: Step,
}

/// One request and its answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    #[serde(default)]
    pub request: serde_json::Map<String, Value>,
    pub signed_by: Option<Vec<Signature>>,
    pub expect: String,
    /// Whom the backend is told of, in this order.
    pub subjects: Option<Vec<String>>,
    /// A piece of the sentence for the client.
    pub says: Option<String>,
    /// What the sentence for the client must not tell.
    #[serde(default)]
    pub never_says: Vec<String>,
}

/// A request, by default a POST to https://bank.example/transfers/7.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    pub method: Option<String>,
    pub scheme: Option<String>,
    pub host: Option<String>,
    pub path: Option<Text>,
    /// Lines, such as `x-kind: urgent`.
    pub headers: Vec<String>,
    /// A line whose value is not text, in hexadecimal digits.
    pub header_in_hex: BTreeMap<String, String>,
    pub body: Option<Text>,
    /// Of what the digest is, if not of the body.
    pub digest_of: Option<Text>,
    /// Who sends it, as the proxy knows.
    pub source: Option<Source>,
    /// The policy that the proxy's route names.
    pub route_policy: Option<String>,
    /// Whether the proxy joins header lines (no `encode_raw_headers`).
    pub merged: bool,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Source {
    pub address: Option<String>,
    pub principal: Option<String>,
}

/// Text as it stands, or in pieces.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Text {
    Plain(String),
    Pieces(Vec<Piece>),
}

#[derive(Deserialize)]
#[serde(untagged)]
pub enum Piece {
    Plain(String),
    Repeated { repeat: String, times: usize },
    Hex { hex: String },
}

#[derive(Deserialize)]
#[serde(from = "SignatureAsWritten")]
pub struct Signature {
    /// The key id.
    pub key: String,
    /// The key id, if nothing else is said.
    pub label: Option<String>,
    pub tag: Option<String>,
    /// Such as `2h ago`.
    pub created: Option<String>,
    pub expires: Option<String>,
    /// One by chance, if nothing is said. With the same nonce it is the same proof again.
    pub nonce: Option<String>,
    /// The components, instead of method, target URI and digest.
    pub cover: Option<Vec<String>>,
    /// What is different in the request that is signed.
    pub over: serde_json::Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum SignatureAsWritten {
    Key(String),
    Full(Box<SignatureInFull>),
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SignatureInFull {
    key: String,
    label: Option<String>,
    tag: Option<String>,
    created: Option<String>,
    expires: Option<String>,
    nonce: Option<String>,
    cover: Option<Vec<String>>,
    over: serde_json::Map<String, Value>,
}

impl From<SignatureAsWritten> for Signature {
    fn from(written: SignatureAsWritten) -> Self {
        let full = match written {
            SignatureAsWritten::Key(key) => SignatureInFull { key, ..SignatureInFull::default() },
            SignatureAsWritten::Full(full) => *full,
        };
        let SignatureInFull { key, label, tag, created, expires, nonce, cover, over } = full;
        Self { key, label, tag, created, expires, nonce, cover, over }
    }
}

/// Seconds since the epoch of `2h ago`, `in 5m` or `now`.
pub fn time(text: &str) -> u64 {
    let seconds = |text| humantime::parse_duration(text).unwrap_or_else(|_| panic!("{text}")).as_secs();
    if let Some(ago) = text.strip_suffix(" ago") {
        START - seconds(ago)
    } else if let Some(ahead) = text.strip_prefix("in ") {
        START + seconds(ahead)
    } else {
        assert_eq!(text, "now");
        START
    }
}

impl Group {
    /// Every key of the trust store.
    pub fn signers(&self) -> Vec<Signer> {
        let mut signers = Vec::new();
        for (name, person) in &self.people {
            let mut keys = person.keys.clone();
            if keys.is_empty() {
                keys.insert(name.clone(), Key::default());
            }
            signers.extend(keys.into_iter().map(|(id, key)| key.signer(&id, name, &person.roles)));
        }
        signers
    }
}

impl Key {
    fn signer(self, id: &str, subject: &str, roles: &[String]) -> Signer {
        let material = self.same_as.as_deref().unwrap_or(id);
        let algorithm = if self.p256 { Algorithm::EcdsaP256Sha256 } else { Algorithm::Ed25519 };
        let signer = match algorithm {
            Algorithm::Ed25519 => Signer::ed25519(material),
            Algorithm::EcdsaP256Sha256 => Signer::p256(material),
        };
        let mut members = json!({"sub": subject, "roles": self.roles.as_deref().unwrap_or(roles)});
        for (name, when) in [("revoked_at", self.revoked), ("exp", self.expires)] {
            if let Some(when) = when {
                members[name] = json!(time(&when));
            }
        }
        Signer { id: id.to_owned(), ..signer.with(members) }
    }
}

impl Request {
    /// The request of these words, of which the last ones count.
    pub fn of(words: &[&serde_json::Map<String, Value>]) -> Self {
        let words = words.iter().copied().flatten().map(|(name, value)| (name.clone(), value.clone()));
        serde_json::from_value(Value::Object(words.collect())).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Without a signature.
    pub fn ask(&self) -> Ask {
        let path = self.path.as_ref().map_or(b"/transfers/7".to_vec(), Text::bytes);
        let path = String::from_utf8(path).unwrap();
        let method = self.method.as_deref();
        let mut ask = match &self.body {
            Some(body) => Ask::post(&path, &body.bytes()),
            None => Ask::get(&path),
        };
        if let Some(method) = method {
            ask.method = method.to_owned();
        }
        if let Some(scheme) = &self.scheme {
            ask.scheme = scheme.clone();
        }
        if let Some(host) = &self.host {
            ask.authority = host.clone();
        }
        if let Some(text) = &self.digest_of {
            ask = ask.replace("content-digest", content_digest(&text.bytes()));
        }
        for line in &self.headers {
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line}"));
            ask = ask.header(name, value);
        }
        for (name, value) in &self.header_in_hex {
            ask = ask.header(name, hex(value));
        }
        ask.policy = self.route_policy.clone();
        ask
    }
}

impl Text {
    fn bytes(&self) -> Vec<u8> {
        let piece = |piece: &Piece| match piece {
            Piece::Plain(text) => text.clone().into_bytes(),
            Piece::Repeated { repeat, times } => repeat.repeat(*times).into_bytes(),
            Piece::Hex { hex: digits } => hex(digits),
        };
        match self {
            Self::Plain(text) => text.clone().into_bytes(),
            Self::Pieces(pieces) => pieces.iter().flat_map(piece).collect(),
        }
    }
}

fn hex(digits: &str) -> Vec<u8> {
    digits.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}
