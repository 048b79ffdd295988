//! Keys that verify signatures of notes.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding as _};

use super::Signature;
use crate::crypto::{Algorithm, BadSignature, KeyError, PublicKey, sha256};

/// What a key signs: the signature type of signed-note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// `0x01`: the text of a note.
    Ed25519,
    /// `0x04`: that a witness saw this checkpoint, and when (tlog-cosignature, `cosignature/v1`).
    Cosignature,
}

impl KeyKind {
    const fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::Cosignature => 0x04,
        }
    }

    const fn of(byte: u8) -> Option<Self> {
        match byte {
            0x01 => Some(Self::Ed25519),
            0x04 => Some(Self::Cosignature),
            _ => None,
        }
    }
}

/// A public key with a name: the `vkey` of signed-note, `NAME+ID+KEY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: u32,
    kind: KeyKind,
    key: PublicKey,
}

/// Why a text is no verifier key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifierKeyError {
    #[error("expected NAME+ID+KEY")]
    Form,
    #[error("expected a name that is not empty and has no spaces, plus signs and control characters")]
    Name,
    #[error("expected the key to be the base64 of a type and a public key")]
    Base64,
    #[error("the key is of type {0:#04x}; the known ones are 0x01 (Ed25519) and 0x04 (cosignature/v1)")]
    Kind(u8),
    #[error("expected an Ed25519 key, but found one for {}", .0.name())]
    Algorithm(Algorithm),
    #[error("the public key: {0}")]
    Key(#[from] KeyError),
    #[error("expected the id {expected:08x}, which this name and key have, but found {found:?}")]
    Id { expected: u32, found: String },
}

impl VerifierKey {
    /// A verifier key of these parts.
    ///
    /// # Errors
    /// For a name that signed-note does not allow, and for a key that is not of Ed25519.
    pub fn new(name: &str, kind: KeyKind, key: PublicKey) -> Result<Self, VerifierKeyError> {
        if !is_name(name) {
            return Err(VerifierKeyError::Name);
        }
        match key.algorithm() {
            Algorithm::Ed25519 => {}
            other @ Algorithm::EcdsaP256Sha256 => return Err(VerifierKeyError::Algorithm(other)),
        }
        let id = id(name, kind, &key);
        Ok(Self { name: name.to_owned(), id, kind, key })
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of a hash of the name, the kind and the key: it tells keys of one name apart, and proves
    /// nothing.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }

    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Whether a signature says that this key made it.
    #[must_use]
    pub fn made(&self, signature: &Signature) -> bool {
        (self.name.as_str(), self.id) == (signature.name.as_str(), signature.id)
    }

    /// Checks a signature over the text of a note, and tells when it was made, in seconds since the Unix epoch, where it
    /// is a cosignature.
    ///
    /// # Errors
    /// When it does not verify.
    pub fn verify(&self, text: &str, signature: &Signature) -> Result<Option<u64>, BadSignature> {
        match self.kind {
            KeyKind::Ed25519 => {
                self.key.verify(text.as_bytes(), &signature.bytes)?;
                Ok(None)
            }
            KeyKind::Cosignature => {
                let (time, bytes) = signature.bytes.split_first_chunk().ok_or(BadSignature)?;
                let timestamp = u64::from_be_bytes(*time);
                // A timestamp must not exceed 2^63 - 1.
                i64::try_from(timestamp).map_err(|_| BadSignature)?;
                self.key.verify(cosigned(text, timestamp).as_bytes(), bytes)?;
                Ok(Some(timestamp))
            }
        }
    }
}

/// What a cosignature is over (tlog-cosignature, "Ed25519 signed message").
pub(super) fn cosigned(text: &str, timestamp: u64) -> String {
    format!("cosignature/v1\ntime {timestamp}\n{text}")
}

/// Key names are not empty and have no Unicode spaces or plus signs; a note has no control characters.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.contains(|character: char| character.is_whitespace() || character == '+' || character < ' ')
}

fn id(name: &str, kind: KeyKind, key: &PublicKey) -> u32 {
    let hash = sha256(&[name.as_bytes(), b"\n", &encoded(kind, key)].concat());
    hash.first_chunk().map_or(0, |id| u32::from_be_bytes(*id))
}

fn encoded(kind: KeyKind, key: &PublicKey) -> Vec<u8> {
    let (bytes, _) = key.coordinates();
    [[kind.byte()].as_slice(), &bytes].concat()
}

impl FromStr for VerifierKey {
    type Err = VerifierKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Base64 has plus signs too.
        let (name, rest) = text.split_once('+').ok_or(VerifierKeyError::Form)?;
        let (id, key) = rest.split_once('+').ok_or(VerifierKeyError::Form)?;
        let key = Base64::decode_vec(key).map_err(|_| VerifierKeyError::Base64)?;
        let (kind, key) = key.split_first().ok_or(VerifierKeyError::Base64)?;
        let kind = KeyKind::of(*kind).ok_or(VerifierKeyError::Kind(*kind))?;
        let key = Self::new(name, kind, PublicKey::ed25519(key)?)?;
        if id != format!("{:08x}", key.id) {
            return Err(VerifierKeyError::Id { expected: key.id, found: id.to_owned() });
        }
        Ok(key)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = Base64::encode_string(&encoded(self.kind, &self.key));
        write!(f, "{}+{:08x}+{key}", self.name, self.id)
    }
}
