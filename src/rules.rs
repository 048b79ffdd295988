//! What decisions are made by, as the operator wrote it.

use std::sync::Arc;

use crate::config::Config;
use crate::envoy::Denials;
use crate::keys::Directory;
use crate::keys::store::TrustStore;
use crate::limits::Limits;
use crate::policy::Policies;
use crate::verify::FieldTypes;

/// One version of policies and keys, whole. A check takes one version at its beginning and keeps it to its end, so that no
/// decision mixes two; a new version takes the place of the old one at once.
#[derive(Debug)]
pub struct Rules {
    pub policies: Policies,
    pub keys: Directory,
    pub field_types: FieldTypes,
    pub limits: Limits,
    /// How much a denial says.
    pub denials: Denials,
    /// SHA-256 of the configuration, in hexadecimal.
    pub digest: Arc<str>,
    /// SHA-256 of each part of the trust store, in hexadecimal.
    pub key_digests: Vec<Box<str>>,
}

impl Rules {
    /// The rules of this configuration, with these keys.
    #[must_use]
    pub fn new(config: Config, TrustStore { keys, digests }: TrustStore) -> Self {
        let Config { policies, field_types, limits, denials, digest, .. } = config;
        Self { policies, keys, field_types, limits, denials, digest: digest.into(), key_digests: digests }
    }
}
