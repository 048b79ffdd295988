//! Web Bot Auth: requests signed by Cloudflare's implementation.

use proof_messenger_relay::keys::{Directory, parse_jwk_set};
use proof_messenger_relay::limits::Limits;
use proof_messenger_relay::proof::{Name, ProofFields};
use proof_messenger_relay::timestamp::Timestamp;
use proof_messenger_relay::verify::{FieldTypes, Message, Requirement, verify};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::message::Received;
use super::vectors;

#[derive(Deserialize)]
struct Vector {
    key: Map<String, Value>,
    target_url: String,
    created_ms: u64,
    expires_ms: u64,
    label: String,
    signature: String,
    signature_input: String,
    signature_agent: Option<String>,
}

#[derive(Deserialize)]
struct DerivedBases {
    results: Map<String, Value>,
}

impl Vector {
    fn is_ed25519(&self) -> bool {
        self.key["kty"] == "OKP"
    }

    fn received(&self) -> Received {
        let (scheme, rest) = self.target_url.split_once("://").unwrap();
        let (authority, target) = rest.split_at(rest.find('/').unwrap());
        let mut lines = vec![
            ("signature-input".to_owned(), self.signature_input.clone()),
            ("signature".to_owned(), self.signature.clone()),
        ];
        lines.extend(self.signature_agent.iter().map(|agent| ("signature-agent".to_owned(), agent.clone())));
        Received {
            method: "GET".into(),
            scheme: scheme.into(),
            authority: authority.into(),
            target: target.into(),
            lines,
            body: String::new(),
        }
    }

    /// Checks the request at `now`, and returns the denial's code where there is one.
    fn outcome(&self, keys: &Directory, max_age: i64, now: u64) -> Result<(), &'static str> {
        let requirement = Requirement {
            cover: vec![Name::Authority],
            tags: vec!["web-bot-auth".into()],
            max_age,
            nonce_required: true,
            expires_required: true,
            ..Requirement::default()
        };
        let received = self.received();
        let request = received.request();
        let types = FieldTypes::default();
        let message = Message::new(&request, &types);
        let fields = ProofFields::of(&request.fields);
        let now = Timestamp::from_unix_seconds(now);
        let verified = verify(&fields, &message, &requirement, keys, &Limits::default(), now);
        verified.map(|verified| assert_eq!(verified.proofs().len(), 1)).map_err(|denial| denial.code.as_str())
    }
}

fn all() -> Option<Vec<(String, Vector)>> {
    let mut all = Vec::new();
    for version in ["v1", "v2"] {
        let file = format!("rfc9421/web-bot-auth/web_bot_auth_architecture_{version}.json");
        let requests: Vec<Vector> = vectors(&file)?;
        all.extend(requests.into_iter().enumerate().map(|(at, vector)| (format!("{version}/{at}"), vector)));
    }
    assert_eq!(all.len(), 8);
    Some(all)
}

/// The Ed25519 key of the vectors. Without a `kid` its id is its thumbprint, which is what the proofs name.
fn directory(vectors: &[(String, Vector)]) -> Directory {
    let (_, vector) = vectors.iter().find(|(_, vector)| vector.is_ed25519()).unwrap();
    let mut key = vector.key.clone();
    key.remove("d");
    key.remove("kid");
    key.insert("sub".into(), json!("bot"));
    let set = json!({ "keys": [key] }).to_string();
    Directory::new(parse_jwk_set(set.as_bytes()).unwrap().into_iter().map(Result::unwrap)).unwrap()
}

#[test]
fn signature_bases_are_built_byte_for_byte() {
    let Some(vectors) = all() else { return };
    let Some(bases) = super::vectors::<DerivedBases>("rfc9421/web-bot-auth/derived-bases.json") else {
        return;
    };
    assert_eq!(bases.results.len(), 8);
    for (id, vector) in vectors {
        let base = vector.received().base(&vector.label).unwrap();
        assert_eq!(base, bases.results[&id]["expected_signature_base"], "{id}");
    }
}

#[test]
fn ed25519_requests_verify_and_rsa_ones_are_refused() {
    let Some(vectors) = all() else { return };
    let keys = directory(&vectors);
    let mut verified = 0;
    for (id, vector) in &vectors {
        let outcome = vector.outcome(&keys, 3600, vector.created_ms / 1000 + 1);
        if vector.is_ed25519() {
            assert_eq!(outcome, Ok(()), "{id}");
            verified += 1;
        } else {
            assert_eq!(outcome, Err("key-unknown"), "{id}");
        }
    }
    assert_eq!(verified, 4);
}

/// A policy that takes old proofs still ends with the signer's own `expires`.
#[test]
fn requests_verify_until_they_expire() {
    let Some(vectors) = all() else { return };
    let keys = directory(&vectors);
    for (id, vector) in vectors.iter().filter(|(_, vector)| vector.is_ed25519()) {
        let expires = vector.expires_ms / 1000;
        assert_eq!(vector.outcome(&keys, i64::MAX, expires), Ok(()), "{id}");
        assert_eq!(vector.outcome(&keys, i64::MAX, expires + 1), Err("proof-expired"), "{id}");
    }
}
