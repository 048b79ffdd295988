//! Keys that sign notes.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::key::cosigned;
use super::{KeyKind, Signature, VerifierKey, VerifierKeyError};
use crate::crypto::PrivateKey;

/// A private key with a name: signs the text of notes (signature type `0x01`).
pub struct Signer {
    verifier: VerifierKey,
    key: PrivateKey,
}

impl Signer {
    /// # Errors
    /// For a name that signed-note does not allow, and for a key that is not of Ed25519.
    pub fn new(name: &str, key: PrivateKey) -> Result<Self, VerifierKeyError> {
        Ok(Self { verifier: VerifierKey::new(name, KeyKind::Ed25519, key.public())?, key })
    }

    /// What others verify its signatures with.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs the text of a note: all of it, with the line feed at its end.
    #[must_use]
    pub fn sign(&self, text: &str) -> Signature {
        signature(&self.verifier, self.key.sign(text.as_bytes()))
    }
}

/// The private key of a witness (signature type `0x04`, tlog-cosignature).
pub struct Cosigner {
    verifier: VerifierKey,
    key: PrivateKey,
}

impl Cosigner {
    /// # Errors
    /// For a name that signed-note does not allow, and for a key that is not of Ed25519.
    pub fn new(name: &str, key: PrivateKey) -> Result<Self, VerifierKeyError> {
        Ok(Self { verifier: VerifierKey::new(name, KeyKind::Cosignature, key.public())?, key })
    }

    /// What others verify its cosignatures with.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// States that the text is the largest checkpoint of its log that was seen at `timestamp`, in seconds since the Unix
    /// epoch.
    #[must_use]
    pub fn cosign(&self, text: &str, timestamp: u64) -> Signature {
        let mut bytes = timestamp.to_be_bytes().to_vec();
        bytes.extend(self.key.sign(cosigned(text, timestamp).as_bytes()));
        signature(&self.verifier, bytes)
    }
}

fn signature(verifier: &VerifierKey, bytes: Vec<u8>) -> Signature {
    Signature { name: verifier.name().to_owned(), id: verifier.id(), bytes }
}
