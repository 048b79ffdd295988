//! The keys of receipts, from their files.

use std::path::Path;

use crate::config::ReceiptSettings;
use crate::keys::private::{self, KeyFileError, OwnKey};
use crate::keys::{PublicJwk, Purpose};
use crate::receipt::{ReceiptKeysError, Receipts};

/// Why receipts cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptsError {
    #[error("{0}")]
    File(#[from] KeyFileError),
    #[error("{0}")]
    Keys(#[from] ReceiptKeysError),
}

/// Loads the keys: the first signs, and the others may be public. Without any, a key is made.
pub(super) fn load(settings: &ReceiptSettings) -> Result<Receipts, ReceiptsError> {
    let ReceiptSettings { issuer, key_files, lifetime } = settings;
    let Some((first, others)) = key_files.split_first() else {
        return Ok(Receipts::with_new_key(issuer.clone(), *lifetime)?);
    };
    let key = private::load(first, Purpose::Receipt)?;
    let others: Result<Vec<PublicJwk>, KeyFileError> =
        others.iter().map(|file| load_public_half(file)).collect();
    Ok(Receipts::new(issuer.clone(), *lifetime, key, others?)?)
}

fn load_public_half(path: &Path) -> Result<PublicJwk, KeyFileError> {
    Ok(match private::load_either(path, Purpose::Receipt)? {
        OwnKey::Private(key) => PublicJwk { id: key.id, key: key.key.public() },
        OwnKey::Public(key) => key,
    })
}
