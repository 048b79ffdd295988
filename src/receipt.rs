//! Receipts: what the relay tells the backend about an allowed request, signed, so that a backend need not believe
//! whoever reaches it.
//!
//! A receipt is a JWT (RFC 7519) in the compact serialisation of JWS (RFC 7515), signed with Ed25519 (RFC 8037). It is
//! for one backend, about one request, and soon over.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::crypto::{Algorithm, KeyError, PrivateKey};
use crate::keys::{PrivateJwk, PublicJwk, public_jwk, thumbprint};
use crate::relay::{Decision, joined};
use crate::replay::Unused;
use crate::request::{Body, Request};
use crate::signer;
use crate::timestamp::Timestamp;
use crate::verify::{Message, content_digest};

/// The media type of a receipt (RFC 7519 §5.1), without `application/`. Checked, it keeps other tokens that the same
/// key may sign one day from passing for one (RFC 8725 §3.11).
pub const TYPE: &str = "proof-receipt+jwt";

/// Who writes receipts, with which key, and for how long they hold.
pub struct Receipts {
    issuer: Box<str>,
    lifetime: i64,
    key: PrivateKey,
    key_id: Box<str>,
    /// The protected header, encoded: it is the same for every receipt.
    header: Box<str>,
    published: Vec<PublicJwk>,
}

/// Why keys cannot be those of receipts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptKeysError {
    #[error("the key id {0:?} stands twice among the keys of receipts")]
    Twice(String),
    #[error("{0}")]
    Key(#[from] KeyError),
}

impl Receipts {
    /// Receipts that `key` signs. `others` are published beside it: the key before it, and the one that follows.
    ///
    /// # Errors
    /// When two keys have one id.
    pub fn new(
        issuer: impl Into<Box<str>>,
        lifetime: i64,
        key: PrivateJwk,
        others: impl IntoIterator<Item = PublicJwk>,
    ) -> Result<Self, ReceiptKeysError> {
        let PrivateJwk { id, key } = key;
        let mut published = vec![PublicJwk { id: id.clone(), key: key.public() }];
        for other in others {
            if published.iter().any(|known| known.id == other.id) {
                return Err(ReceiptKeysError::Twice(other.id));
            }
            published.push(other);
        }
        let header = json!({"alg": "EdDSA", "kid": id, "typ": TYPE}).to_string();
        Ok(Self {
            issuer: issuer.into(),
            lifetime,
            key,
            key_id: id.into(),
            header: Base64UrlUnpadded::encode_string(header.as_bytes()).into(),
            published,
        })
    }

    /// Receipts with a key of their own, which nobody else has and which is gone with this value.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn with_new_key(issuer: impl Into<Box<str>>, lifetime: i64) -> Result<Self, ReceiptKeysError> {
        let key = PrivateKey::generate(Algorithm::Ed25519)?;
        Self::new(issuer, lifetime, PrivateJwk { id: thumbprint(&key.public()), key }, [])
    }

    /// The id of the key that signs.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The JWK Set (RFC 7517 §5) by which backends check receipts. Public members only.
    #[must_use]
    pub fn key_set(&self) -> Value {
        let entry = |PublicJwk { id, key }: &PublicJwk| {
            let mut jwk = public_jwk(key);
            jwk.insert("kid".into(), json!(id));
            jwk.insert("use".into(), json!("sig"));
            jwk.insert("alg".into(), json!("EdDSA"));
            jwk
        };
        json!({"keys": self.published.iter().map(entry).collect::<Vec<_>>()})
    }

    /// Writes the receipt of a request: only for one whose proofs are true, enough, and now used up.
    ///
    /// Without one the backend refuses the request, so nothing that might fail here lets anything through.
    #[must_use]
    pub fn write(
        &self,
        audience: &str,
        decision: &Decision,
        message: &Message<'_>,
        unused: &Unused,
        now: Timestamp,
    ) -> Option<String> {
        let permitted = unused.permitted();
        let issued_at = now.unix_seconds();
        let proofs = permitted.proofs().iter().map(|proof| Proof {
            label: &proof.label,
            kid: &proof.key.id,
            jkt: &proof.key.thumbprint,
            sub: &proof.key.subject,
            created: proof.created,
        });
        let claims = Claims {
            iss: &self.issuer,
            sub: joined(permitted.keys().map(|key| &*key.subject)),
            jti: decision.id,
            iat: issued_at,
            exp: issued_at.saturating_add(self.lifetime),
            aud: audience,
            htm: message.request().method,
            htu: message.target_uri(),
            content_digest: digest_of(message.request()),
            policy: decision.policy.as_deref()?,
            proofs: proofs.collect(),
            evidence: decision.unrecorded.map(|_| "missing"),
        };
        Some(compact_jws(&self.header, &serde_json::to_vec(&claims).ok()?, &self.key))
    }
}

/// The claims: registered ones (RFC 7519 §4.1), those of DPoP for the request (RFC 9449 §4.2), and the relay's own.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    /// As in `x-proof-subject`.
    sub: String,
    /// The id of the decision, as in `x-proof-id`: a backend that remembers it takes each receipt once.
    jti: Uuid,
    iat: i64,
    exp: i64,
    aud: &'a str,
    htm: &'a str,
    /// What signers call the resource. Unlike that of DPoP it holds the query: the request is bound, not the endpoint.
    htu: String,
    /// None where there is no body, or none that the proxy has shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_digest: Option<String>,
    policy: &'a str,
    proofs: Vec<Proof<'a>>,
    /// As in `x-proof-evidence`: `missing` where the policy lets pass what could not be recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<&'static str>,
}

#[derive(Serialize)]
struct Proof<'a> {
    label: &'a str,
    kid: &'a str,
    /// The thumbprint of the key (RFC 7638).
    jkt: &'a str,
    sub: &'a str,
    created: i64,
}

/// The digest of the body that was decided about.
fn digest_of(request: &Request<'_>) -> Option<String> {
    match (request.fields.combined("content-digest"), &request.body) {
        // The verifier has compared it, whatever the policy asks for.
        (Some(field), _) => content_digest::compared(&field),
        // The policy lets a body go unsigned. Whoever checks the receipt must know all the same which one it was.
        (None, Body::Complete(body)) if !body.is_empty() => Some(signer::content_digest(body)),
        (None, _) => None,
    }
}

/// A JWS in the compact serialisation (RFC 7515 §7.1). `header` is the protected header in base64url.
#[must_use]
pub fn compact_jws(header: &str, payload: &[u8], key: &PrivateKey) -> String {
    let mut jws = format!("{header}.{}", Base64UrlUnpadded::encode_string(payload));
    let signature = key.sign(jws.as_bytes());
    jws.push('.');
    jws.push_str(&Base64UrlUnpadded::encode_string(&signature));
    jws
}
