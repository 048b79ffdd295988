//! The reference signer: what a client does to make a proof (RFC 9421 §3.1, RFC 9530 §2).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};

use crate::crypto::{PrivateKey, random, sha256};
use crate::denial::Denial;
use crate::limits::Limits;
use crate::proof::{Malformed, Proof};
use crate::structured_field::{self, Member, string};
use crate::timestamp::Timestamp;
use crate::verify::{Message, signature_base};

/// What a signature is to say.
#[derive(Debug, Clone)]
pub struct Signing {
    /// The label, unique in the message.
    pub label: String,
    /// Component identifiers, as an operator writes them: `@method`, `x-parts;key="a"`.
    pub cover: Vec<String>,
    pub created: Option<Timestamp>,
    pub expires: Option<Timestamp>,
    pub nonce: Option<String>,
    pub tag: Option<String>,
    /// The `alg` parameter. A verifier needs none: it knows the key.
    pub alg: Option<String>,
}

/// Why a message cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    #[error("{0}")]
    Malformed(#[from] Malformed),
    #[error("{0}")]
    Input(#[from] structured_field::Invalid),
    /// A component has no value in this message.
    #[error("{}", .0.detail)]
    Component(Denial),
}

/// A signature: one member of each field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureFields {
    pub signature_input: String,
    pub signature: String,
}

/// Signs a message.
///
/// # Errors
/// When a component is not one, or has no value in this message.
pub fn sign(
    message: &Message<'_>,
    key: &PrivateKey,
    key_id: &str,
    signing: &Signing,
    limits: &Limits,
) -> Result<SignatureFields, SigningError> {
    let signature_input = signing.input(key_id);
    let mut members = structured_field::dictionary(signature_input.as_bytes(), 1)?;
    let Some((label, Member::InnerList(input))) = members.pop() else {
        return Err(Malformed(format!("cannot write {signature_input}")).into());
    };
    let proof = Proof::unsigned(label.as_str(), input, limits)?;
    let base = signature_base(&proof, message, limits).map_err(SigningError::Component)?;
    let signature = Base64::encode_string(&key.sign(base.as_bytes()));
    Ok(SignatureFields { signature: format!("{label}=:{signature}:"), signature_input })
}

impl Signing {
    /// The member of `Signature-Input`. What a string cannot hold is found when it is read back.
    fn input(&self, key_id: &str) -> String {
        let identifier = |component: &String| {
            let (name, parameters) = component.split_at(component.find(';').unwrap_or(component.len()));
            format!("{}{parameters}", string(name.trim_matches('"')))
        };
        let components: Vec<String> = self.cover.iter().map(identifier).collect();
        let mut input = format!("{}=({})", self.label, components.join(" "));
        for (name, time) in [("created", self.created), ("expires", self.expires)] {
            if let Some(time) = time {
                input.push_str(&format!(";{name}={}", time.unix_seconds()));
            }
        }
        input.push_str(&format!(";keyid={}", string(key_id)));
        for (name, value) in [("nonce", &self.nonce), ("tag", &self.tag), ("alg", &self.alg)] {
            if let Some(value) = value {
                input.push_str(&format!(";{name}={}", string(value)));
            }
        }
        input
    }
}

/// The value of `Content-Digest` with SHA-256.
#[must_use]
pub fn content_digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", Base64::encode_string(&sha256(body)))
}

/// A nonce of 128 random bits.
///
/// # Errors
/// When the system has no random numbers.
pub fn nonce() -> Result<String, crate::crypto::KeyError> {
    Ok(Base64UrlUnpadded::encode_string(&random::<16>()?))
}
