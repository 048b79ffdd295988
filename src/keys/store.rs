//! The trust store: JWK Sets from files and URLs, and what is wrong with them.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::remote::Remote;
use super::{Directory, Key, parse_jwk_set};
use crate::crypto::{hex, sha256};
use crate::regular_file;

/// What is wrong with a trust store: every problem, each with file and entry.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct StoreError(pub Vec<String>);

/// What the sources hold.
#[derive(Debug, Default)]
pub struct TrustStore {
    pub keys: Arc<Directory>,
    /// SHA-256 of each file, and of what each URL held, in hexadecimal.
    pub digests: Vec<Box<str>>,
    /// What was left out, and why.
    pub left_out: Vec<String>,
}

impl From<Directory> for TrustStore {
    fn from(keys: Directory) -> Self {
        Self { keys: Arc::new(keys), ..Self::default() }
    }
}

/// SHA-256 of each file that the patterns name, and of what each URL holds, in hexadecimal: what [`load`] would say of them,
/// without a look at the keys. Nothing where a file cannot be read.
#[must_use]
pub fn digests(patterns: &[PathBuf], remotes: &[Arc<Remote>]) -> Option<Vec<Box<str>>> {
    let mut problems = Vec::new();
    let paths: Vec<PathBuf> = patterns.iter().flat_map(|pattern| files(pattern, &mut problems)).collect();
    let of_files =
        paths.iter().map(|path| regular_file::read(path).ok().map(|text| hex(&sha256(&text)).into()));
    let of_remotes = remotes.iter().filter_map(|remote| remote.published());
    let digests = of_files.chain(of_remotes.map(|published| Some(published.digest.clone())));
    digests.collect::<Option<_>>().filter(|_| problems.is_empty())
}

/// Loads every file that the patterns name, and what was fetched from the URLs, into one directory.
///
/// A URL whose keys have an id that stands elsewhere is left out, with all its keys: whoever publishes there must not be able
/// to keep a change of the files out. Of two URLs the one keeps the id whose key has it among those in force.
///
/// # Errors
/// Every file that cannot be read, every entry of one that cannot be used and every id that stands twice. A trust store is
/// taken whole or not at all: half of one would revoke the other half.
pub fn load(
    patterns: &[PathBuf],
    remotes: &[Arc<Remote>],
    in_force: Option<&Directory>,
) -> Result<TrustStore, StoreError> {
    let mut problems = Vec::new();
    let mut keys: Vec<Arc<Key>> = Vec::new();
    let mut digests = Vec::new();
    let mut left_out = Vec::new();
    let mut origins: HashMap<Box<str>, String> = HashMap::new();
    for path in patterns.iter().flat_map(|pattern| files(pattern, &mut problems)).collect::<Vec<_>>() {
        let entries = match regular_file::read(&path).map_err(|error| error.to_string()).and_then(|text| {
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
                        keys.push(Arc::new(key));
                    }
                },
            }
        }
    }
    let mut of_urls: Vec<_> =
        remotes.iter().filter_map(|remote| Some((remote, remote.published()?))).collect();
    digests.extend(of_urls.iter().map(|(_, published)| published.digest.clone()));
    // Those first that claim no id of somebody else's.
    of_urls.sort_by_key(|(_, published)| {
        let is_anothers = |key: &Arc<Key>| {
            let known = in_force.and_then(|keys| keys.find(&key.id));
            known.is_some_and(|known| known.key.public != key.public)
        };
        published.keys.iter().any(is_anothers)
    });
    for (remote, published) in of_urls {
        let url = &remote.settings.url;
        let mut ids = HashSet::new();
        let mut is_taken = |id: &str| origins.contains_key(id) || !ids.insert(Box::<str>::from(id));
        if let Some(id) = published.keys.iter().map(|key| &key.id).find(|id| is_taken(id)) {
            let first = origins.get(id).unwrap_or(url);
            left_out.push(format!("{url}: the key id {id:?} stands already at {first}"));
            continue;
        }
        for key in &published.keys {
            origins.insert(key.id.clone(), url.clone());
            keys.push(Arc::clone(key));
        }
    }
    if !problems.is_empty() {
        return Err(StoreError(problems));
    }
    let keys =
        Directory::new(keys).map_err(|id| StoreError(vec![format!("the key id {id:?} stands twice")]))?;
    Ok(TrustStore { keys: Arc::new(keys), digests, left_out })
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
