//! Keys of receipts, and what a receipt says.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64ct::{Base64UrlUnpadded, Encoding as _};
use proof_messenger_relay::crypto::{Algorithm, PrivateKey, PublicKey, sha256};
use proof_messenger_relay::keys::public_jwk;
use proof_messenger_relay::receipt::{TYPE, compact_jws};
use serde_json::{Value, json};
use tempfile::TempDir;

pub const ISSUER: &str = "https://relay.bank.example";
pub const AUDIENCE: &str = "payments";

/// A key of receipts that never changes, by its name.
pub fn key(name: &str) -> PrivateKey {
    PrivateKey::from_bytes(Algorithm::Ed25519, &sha256(name.as_bytes())).unwrap()
}

/// The private JWK of that key, for this purpose.
pub fn private_jwk(name: &str, purpose: &str) -> Value {
    let mut jwk = public_key_jwk(name, purpose);
    jwk["d"] = json!(Base64UrlUnpadded::encode_string(key(name).to_bytes().as_slice()));
    jwk
}

/// The public JWK of that key, for this purpose.
pub fn public_key_jwk(name: &str, purpose: &str) -> Value {
    let mut jwk = Value::Object(public_jwk(&key(name).public()));
    jwk["kid"] = json!(name);
    jwk["purpose"] = json!(purpose);
    jwk
}

/// A folder of key files.
pub struct KeyFiles(pub TempDir);

impl KeyFiles {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The file of the private key of that name, made if need be.
    pub fn private(&self, name: &str) -> PathBuf {
        self.with_mode(name, &private_jwk(name, "receipt").to_string(), 0o600)
    }

    /// The file of the public key of that name, readable for everybody.
    pub fn public(&self, name: &str) -> PathBuf {
        self.with_mode(&format!("{name}.public"), &public_key_jwk(name, "receipt").to_string(), 0o644)
    }

    /// A file with this text and mode.
    pub fn with_mode(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.0.path().join(format!("{name}.jwk.json"));
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }
}

/// Settings with these policies, an admin port, and receipts that the first of these files signs.
pub fn settings(keys: &[PathBuf], policies: &str) -> String {
    let keys = if keys.is_empty() { String::new() } else { format!("keys: {}", files(keys)) };
    format!("admin: 127.0.0.1:0\nreceipts:\n  issuer: {ISSUER}\n  {keys}\npolicies: {policies}\n")
}

fn files(keys: &[PathBuf]) -> Value {
    keys.iter().map(|key: &PathBuf| Path::new(key).to_str().unwrap()).collect()
}

/// The receipt that a key would write about claims of the test's own.
pub fn receipt_of(key: &PrivateKey, kid: &str, claims: &Value) -> String {
    signed(key, &json!({"alg": "EdDSA", "kid": kid, "typ": TYPE}), claims)
}

/// A JWS with a header of the test's own.
pub fn signed(key: &PrivateKey, header: &Value, claims: &Value) -> String {
    let header = Base64UrlUnpadded::encode_string(header.to_string().as_bytes());
    compact_jws(&header, claims.to_string().as_bytes(), key)
}

/// Header and claims of a receipt.
pub fn parts(receipt: &str) -> (Value, Value) {
    let mut parts = receipt.split('.').map(|part| Base64UrlUnpadded::decode_vec(part).unwrap());
    let mut part = || serde_json::from_slice(&parts.next().unwrap()).unwrap();
    (part(), part())
}

/// The claims of a receipt that this key signed.
#[track_caller]
pub fn claims(receipt: &str, key: &PublicKey) -> Value {
    let (signed, signature) = receipt.rsplit_once('.').unwrap();
    key.verify(signed.as_bytes(), &Base64UrlUnpadded::decode_vec(signature).unwrap()).unwrap();
    parts(receipt).1
}
