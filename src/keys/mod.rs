//! Who may sign: public keys with their owners.

mod jwk;
pub mod store;

use std::collections::HashMap;
use std::sync::Arc;

pub use jwk::{JwkError, PrivateJwk, parse_jwk_set, parse_private_jwk, public_jwk, thumbprint};

use crate::crypto::PublicKey;

/// A public key of the trust store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// How proofs name it: the JWK's `kid`, or its thumbprint where it has none.
    pub id: Box<str>,
    /// SHA-256 over the key's required members (RFC 7638), base64url: the same key under two ids has one thumbprint.
    pub thumbprint: Box<str>,
    /// Who it belongs to (`sub`).
    pub subject: Box<str>,
    /// What the subject may do (`roles`).
    pub roles: Box<[Box<str>]>,
    /// Seconds since the epoch before which it is not valid (`nbf`).
    pub not_before: Option<i64>,
    /// Seconds since the epoch from which it is no longer valid (`exp`).
    pub expires: Option<i64>,
    /// Seconds since the epoch from which it is revoked (`revoked_at`).
    pub revoked_at: Option<i64>,
    /// The key itself.
    pub public: PublicKey,
}

/// All keys by id. Immutable: a new version of the trust store is a new directory, swapped in whole.
#[derive(Debug, Default)]
pub struct Directory {
    keys: HashMap<Box<str>, Arc<Key>>,
}

impl Directory {
    /// # Errors
    /// The id that stands twice: which of the two keys would it mean?
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Result<Self, Box<str>> {
        let mut directory = Self::default();
        for key in keys {
            let id = key.id.clone();
            if directory.keys.insert(id.clone(), Arc::new(key)).is_some() {
                return Err(id);
            }
        }
        Ok(directory)
    }

    /// The key of that id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Arc<Key>> {
        self.keys.get(id)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Every key, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.keys.values().map(AsRef::as_ref)
    }
}
