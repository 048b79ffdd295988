//! The trust store on disk: JWK Set files, and what is wrong with them.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Directory, Key, parse_jwk_set};
use crate::crypto::{hex, sha256};

/// What is wrong with a trust store: every problem, each with file and entry.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct StoreError(pub Vec<String>);

/// What the files hold.
#[derive(Debug, Default)]
pub struct TrustStore {
    pub keys: Arc<Directory>,
    /// SHA-256 of each file, in hexadecimal.
    pub digests: Vec<Box<str>>,
}

impl From<Directory> for TrustStore {
    fn from(keys: Directory) -> Self {
        Self { keys: Arc::new(keys), digests: Vec::new() }
    }
}

/// SHA-256 of each file that the patterns name, in hexadecimal: what [`load`] would say of them, without a look at the keys.
/// Nothing where a file cannot be read.
#[must_use]
pub fn digests(patterns: &[PathBuf]) -> Option<Vec<Box<str>>> {
    let mut problems = Vec::new();
    let paths: Vec<PathBuf> = patterns.iter().flat_map(|pattern| files(pattern, &mut problems)).collect();
    let digests = paths.iter().map(|path| fs::read(path).ok().map(|text| hex(&sha256(&text)).into()));
    digests.collect::<Option<_>>().filter(|_| problems.is_empty())
}

/// Loads every file that the patterns name into one directory.
///
/// # Errors
/// Every file that cannot be read, every entry that cannot be used and every id that stands twice. A trust store is
/// taken whole or not at all: half of one would revoke the other half.
pub fn load(patterns: &[PathBuf]) -> Result<TrustStore, StoreError> {
    let mut problems = Vec::new();
    let mut keys: Vec<Key> = Vec::new();
    let mut digests = Vec::new();
    let mut origins: HashMap<Box<str>, String> = HashMap::new();
    for path in patterns.iter().flat_map(|pattern| files(pattern, &mut problems)).collect::<Vec<_>>() {
        let entries = match fs::read(&path).map_err(|error| error.to_string()).and_then(|text| {
            digests.push(hex(&sha256(&text)).into());
            parse_jwk_set(&text).map_err(|error| error.to_string())
        }) {
            Ok(entries) => entries,
            Err(problem) => {
                problems.push(format!("{}: {problem}", path.display()));
                continue;
            }
        };
        for (position, entry) in entries.into_iter().enumerate() {
            let origin = format!("{}: keys[{position}]", path.display());
            match entry {
                Err(problem) => problems.push(format!("{origin}: {problem}")),
                Ok(key) => match origins.get(&key.id) {
                    Some(first) => {
                        problems.push(format!("{origin}: the key id {:?} stands already at {first}", key.id));
                    }
                    None => {
                        origins.insert(key.id.clone(), origin);
                        keys.push(key);
                    }
                },
            }
        }
    }
    if !problems.is_empty() {
        return Err(StoreError(problems));
    }
    let keys =
        Directory::new(keys).map_err(|id| StoreError(vec![format!("the key id {id:?} stands twice")]))?;
    Ok(TrustStore { keys: Arc::new(keys), digests })
}

/// The files that a path or glob names, in the order of their names.
pub(crate) fn files(pattern: &Path, problems: &mut Vec<String>) -> Vec<PathBuf> {
    let shown = pattern.display();
    let found: Result<Vec<PathBuf>, String> = match pattern.to_str() {
        None => Err("not UTF-8".into()),
        Some(text) => glob::glob(text)
            .map_err(|error| error.to_string())
            .and_then(|paths| paths.collect::<Result<_, _>>().map_err(|error| error.to_string())),
    };
    match found {
        Ok(paths) if paths.is_empty() => {
            problems.push(format!("{shown}: there is no such file"));
            Vec::new()
        }
        Ok(paths) => paths,
        Err(problem) => {
            problems.push(format!("{shown}: {problem}"));
            Vec::new()
        }
    }
}
