//! Signers with keys that never change, and the trust store that knows them.

use proof_messenger_relay::crypto::{Algorithm, PrivateKey, sha256};
use proof_messenger_relay::keys::public_jwk;
use serde_json::{Value, json};

/// Somebody with a key.
pub struct Signer {
    /// The key id is the name of its owner.
    pub id: String,
    pub key: PrivateKey,
    /// Members that the trust store adds to the key: `sub`, `roles`, `nbf`, …
    pub members: Value,
}

impl Signer {
    pub fn ed25519(name: &str) -> Self {
        Self::new(name, Algorithm::Ed25519)
    }

    pub fn p256(name: &str) -> Self {
        Self::new(name, Algorithm::EcdsaP256Sha256)
    }

    fn new(name: &str, algorithm: Algorithm) -> Self {
        let key = PrivateKey::from_bytes(algorithm, &sha256(name.as_bytes())).unwrap();
        Self { id: name.to_owned(), key, members: json!({"sub": name}) }
    }

    /// Somebody else, with a key of the same algorithm.
    pub fn named_like(signer: &Self, name: &str) -> Self {
        Self::new(name, signer.key.public().algorithm())
    }

    /// Adds members of the trust-store entry.
    pub fn with(mut self, members: Value) -> Self {
        for (name, value) in members.as_object().unwrap() {
            self.members[name] = value.clone();
        }
        self
    }

    /// The trust-store entry.
    pub fn public_jwk(&self) -> Value {
        let mut jwk = Value::Object(public_jwk(&self.key.public()));
        jwk["kid"] = json!(self.id);
        for (name, value) in self.members.as_object().unwrap() {
            jwk[name] = value.clone();
        }
        jwk
    }

    /// The private JWK, as clients in other languages take it.
    pub fn private_jwk(&self) -> Value {
        use base64ct::{Base64UrlUnpadded, Encoding as _};
        let mut jwk = Value::Object(public_jwk(&self.key.public()));
        jwk["kid"] = json!(self.id);
        jwk["d"] = json!(Base64UrlUnpadded::encode_string(self.key.to_bytes().as_slice()));
        jwk
    }
}

/// A JWK Set of these signers.
pub fn trust_store(signers: &[&Signer]) -> Value {
    json!({"keys": signers.iter().map(|signer| signer.public_jwk()).collect::<Vec<_>>()})
}
