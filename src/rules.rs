//! What decisions are made by, as the operator wrote it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::config::Config;
use crate::envoy::Denials;
use crate::keys::store::TrustStore;
use crate::keys::{Directory, Key};
use crate::limits::Limits;
use crate::policy::Policies;
use crate::verify::FieldTypes;

/// One version of policies and keys, whole. A check takes one version at its beginning and keeps it to its end, so that no
/// decision mixes two; a new version takes the place of the old one at once.
#[derive(Debug)]
pub struct Rules {
    pub policies: Arc<Policies>,
    pub keys: Arc<Directory>,
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
    pub fn new(config: Config, TrustStore { keys, digests, .. }: TrustStore) -> Self {
        let Config { policies, field_types, limits, denials, digest, .. } = config;
        let (policies, digest) = (Arc::new(policies), digest.into());
        Self { policies, keys, field_types, limits, denials, digest, key_digests: digests }
    }

    /// The same, with other keys.
    #[must_use]
    pub fn with_keys(&self, TrustStore { keys, digests, .. }: TrustStore) -> Self {
        let (policies, digest) = (Arc::clone(&self.policies), Arc::clone(&self.digest));
        let field_types = self.field_types.clone();
        let Self { limits, denials, .. } = *self;
        Self { policies, keys, field_types, limits, denials, digest, key_digests: digests }
    }

    /// The keys as they are.
    #[must_use]
    pub fn trust_store(&self) -> TrustStore {
        TrustStore { keys: Arc::clone(&self.keys), digests: self.key_digests.clone(), left_out: Vec::new() }
    }

    /// What these change of the others.
    #[must_use]
    pub fn changes_of(&self, old: &Self) -> RuleChanges {
        let policies = |rules: &Self| -> HashMap<Box<str>, String> {
            rules.policies.iter().map(|policy| ((&*policy.name).into(), format!("{policy:?}"))).collect()
        };
        let keys = |rules: &Self| -> HashMap<Box<str>, Key> {
            rules.keys.iter().map(|key| (key.id.clone(), key.clone())).collect()
        };
        RuleChanges {
            policies: Changes::between(&policies(old), &policies(self)),
            keys: if Arc::ptr_eq(&old.keys, &self.keys) {
                Changes::default()
            } else {
                Changes::between(&keys(old), &keys(self))
            },
        }
    }
}

/// What a version changes of the one before.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RuleChanges {
    pub policies: Changes,
    pub keys: Changes,
}

/// Names, in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub added: Vec<Box<str>>,
    pub removed: Vec<Box<str>>,
    pub changed: Vec<Box<str>>,
}

impl Changes {
    fn between<T: PartialEq>(old: &HashMap<Box<str>, T>, new: &HashMap<Box<str>, T>) -> Self {
        let names = |of: &HashMap<Box<str>, T>, holds: &dyn Fn(&str, &T) -> bool| {
            let mut names: Vec<Box<str>> =
                of.iter().filter(|(name, value)| holds(name, value)).map(|(name, _)| name.clone()).collect();
            names.sort_unstable();
            names
        };
        Self {
            added: names(new, &|name, _| !old.contains_key(name)),
            removed: names(old, &|name, _| !new.contains_key(name)),
            changed: names(new, &|name, value| old.get(name).is_some_and(|known| known != value)),
        }
    }
}

/// So many names are told. A trust store may change by thousands.
const TOLD: usize = 10;

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut any = false;
        for (names, what) in [(&self.added, "added"), (&self.removed, "removed"), (&self.changed, "changed")]
        {
            let (Some(first), rest) = (names.first(), names.get(1..).unwrap_or_default()) else { continue };
            let separator = if std::mem::replace(&mut any, true) { "; " } else { "" };
            write!(f, "{separator}{what} {first}")?;
            for name in rest.iter().take(TOLD - 1) {
                write!(f, ", {name}")?;
            }
            if names.len() > TOLD {
                write!(f, " and {} more", names.len() - TOLD)?;
            }
        }
        if any { Ok(()) } else { f.write_str("none") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> HashMap<Box<str>, usize> {
        names.iter().map(|name| ((*name).into(), name.len())).collect()
    }

    #[test]
    fn changes_are_told_by_name_and_many_are_counted() {
        let (old, mut new) = (names(&["a", "b", "c"]), names(&["b", "c", "d"]));
        new.insert("c".into(), 7);
        assert_eq!(Changes::between(&old, &new).to_string(), "added d; removed a; changed c");
        assert_eq!(Changes::between(&old, &old).to_string(), "none");
        let many: HashMap<Box<str>, usize> = (10..25).map(|name| (name.to_string().into(), 0)).collect();
        assert_eq!(
            Changes::between(&names(&[]), &many).to_string(),
            "added 10, 11, 12, 13, 14, 15, 16, 17, 18, 19 and 5 more"
        );
    }
}
