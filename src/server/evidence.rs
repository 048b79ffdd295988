//! The evidence of decisions: its key, from a file, and its log.

use std::sync::Arc;

use crate::config::EvidenceSettings;
use crate::evidence::note::{Signer, VerifierKeyError};
use crate::evidence::outlet::Outlets;
use crate::evidence::recorder::{Recorder, Setup, StartError, Started};
use crate::keys::Purpose;
use crate::keys::private::{self, KeyFileError};
use crate::timestamp::Clock;

/// Why decisions cannot be recorded.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    #[error("{0}")]
    File(#[from] KeyFileError),
    #[error("the key: {0}")]
    Key(#[from] VerifierKeyError),
    #[error("{0}")]
    Log(#[from] StartError),
}

/// Loads the key and begins the log, under this configuration and these trust-store files.
pub(super) fn start(
    settings: EvidenceSettings,
    config: Box<str>,
    keys: Vec<Box<str>>,
    clock: Arc<dyn Clock>,
) -> Result<Recorder, EvidenceError> {
    let EvidenceSettings { key_file, target, durability, pace, redact, instance, .. } = settings;
    let key = private::load(&key_file, Purpose::Evidence)?;
    let signer = Signer::new(&key.id, key.key)?;
    let verifier_key = signer.verifier().to_string();
    let outlets = Outlets { file: settings.checkpoint_file, stdout: settings.checkpoint_stdout };
    let to = target.to_string();
    let setup = Setup { target, signer, durability, pace, instance, config, keys, redact, outlets };
    let Started { recorder, size, set_aside } = Recorder::start(setup, clock)?;
    if let Some(aside) = set_aside {
        tracing::warn!(
            bytes = aside.bytes,
            to = %aside.to.display(),
            "the last line of the evidence was not finished, and is set aside"
        );
    }
    tracing::info!(to, size, verifier_key, "evidence");
    Ok(recorder)
}
