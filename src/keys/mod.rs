//! Who may sign: public keys with their owners.

mod jwk;
pub mod private;
pub mod remote;
pub mod store;

use std::collections::HashMap;
use std::sync::Arc;

pub use jwk::{
    JwkError, Owner, PrivateJwk, PublicJwk, Purpose, parse_jwk_set, parse_private_jwk, parse_private_jwk_for,
    parse_public_jwk_for, parse_published_jwk_set, public_jwk, thumbprint,
};
pub(crate) use jwk::{is_empty_jwk_set, kty_and_crv};

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

/// Somebody, as far as keys can tell: all subjects and keys that the trust store ties together.
///
/// Two subjects with one key are one person: a proof by that key is by either of them, and does not show which. So is
/// whoever shares a key with one of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Person(usize);

/// A key in its directory.
#[derive(Debug, Clone)]
pub struct Entry {
    pub key: Arc<Key>,
    /// Whose it is.
    pub person: Person,
}

/// All keys by id. Immutable: a new version of the trust store is a new directory, swapped in whole.
#[derive(Debug, Default)]
pub struct Directory {
    entries: HashMap<Box<str>, Entry>,
}

impl Directory {
    /// # Errors
    /// The id that stands twice: which of the two keys would it mean?
    pub fn new(keys: impl IntoIterator<Item = impl Into<Arc<Key>>>) -> Result<Self, Box<str>> {
        let keys: Vec<Arc<Key>> = keys.into_iter().map(Into::into).collect();
        let mut directory = Self { entries: HashMap::with_capacity(keys.len()) };
        for (key, person) in keys.iter().zip(persons(&keys)) {
            let entry = Entry { key: Arc::clone(key), person };
            if directory.entries.insert(key.id.clone(), entry).is_some() {
                return Err(key.id.clone());
            }
        }
        Ok(directory)
    }

    /// The key of that id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Entry> {
        self.entries.get(id)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every key, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.entries().map(|entry| entry.key.as_ref())
    }

    /// Every key with whose it is, in no order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }
}

/// Whose each key is: whatever shares a subject or a thumbprint is tied together.
fn persons(keys: &[Arc<Key>]) -> Vec<Person> {
    let mut names: HashMap<(bool, &str), usize> = HashMap::new();
    let mut parents: Vec<usize> = Vec::new();
    let mut subjects = Vec::with_capacity(keys.len());
    for key in keys {
        let mut node = |name| {
            *names.entry(name).or_insert_with(|| {
                parents.push(parents.len());
                parents.len() - 1
            })
        };
        let (subject, thumbprint) = (node((false, &*key.subject)), node((true, &*key.thumbprint)));
        let (one, two) = (root(&mut parents, subject), root(&mut parents, thumbprint));
        if let Some(parent) = parents.get_mut(two) {
            *parent = one;
        }
        subjects.push(subject);
    }
    subjects.into_iter().map(|subject| Person(root(&mut parents, subject))).collect()
}

/// The root of a node's tree; the way there is halved, so that the next one is short.
fn root(parents: &mut [usize], mut node: usize) -> usize {
    loop {
        let parent = parents.get(node).copied().unwrap_or(node);
        if parent == node {
            return node;
        }
        let grandparent = parents.get(parent).copied().unwrap_or(parent);
        if let Some(parent) = parents.get_mut(node) {
            *parent = grandparent;
        }
        node = grandparent;
    }
}
