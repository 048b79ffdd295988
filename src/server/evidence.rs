//! The evidence of decisions: its key, from a file, and its log.

use std::path::PathBuf;
use std::sync::Arc;
use std::{fs, io};

use crate::config::{EvidenceSettings, WitnessSettings};
use crate::evidence::note::{Signer, VerifierKeyError};
use crate::evidence::outlet::Outlets;
use crate::evidence::recorder::{Recorder, Setup, StartError, Started};
use crate::evidence::witness::{Witness, WitnessSettingsError};
use crate::keys::Purpose;
use crate::keys::private::{self, KeyFileError};
use crate::rules::Rules;
use crate::timestamp::Clock;

/// Why decisions cannot be recorded.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    #[error("{0}")]
    File(#[from] KeyFileError),
    #[error("the key: {0}")]
    Key(#[from] VerifierKeyError),
    #[error("the witness {url}: {source}")]
    Witness { url: String, source: WitnessSettingsError },
    #[error("{}: {source}", path.display())]
    Authorities { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Log(#[from] StartError),
}

/// Loads the key and begins the log, under these rules.
pub(super) fn start(
    settings: EvidenceSettings,
    rules: &Rules,
    clock: Arc<dyn Clock>,
) -> Result<Recorder, EvidenceError> {
    let EvidenceSettings { key_file, target, durability, pace, redact, instance, .. } = settings;
    let key = private::load(&key_file, Purpose::Evidence)?;
    let signer = Signer::new(&key.id, key.key)?;
    let verifier_key = signer.verifier().to_string();
    let witnesses: Result<Vec<Witness>, EvidenceError> =
        settings.witnesses.into_iter().map(load_witness).collect();
    let outlets =
        Outlets { file: settings.checkpoint_file, stdout: settings.checkpoint_stdout, witnesses: witnesses? };
    let to = target.to_string();
    let setup = Setup { target, signer, durability, pace, instance, redact, outlets };
    let Started { recorder, size, taken_up, set_aside, missing } = Recorder::start(setup, rules, clock)?;
    if let Some(aside) = set_aside {
        tracing::warn!(
            bytes = aside.bytes,
            to = %aside.to.display(),
            "the last line of the evidence was not finished, and is set aside"
        );
    }
    if let Some(path) = missing {
        tracing::warn!(
            "the checkpoint file {} is missing beside a log of {size} records: they are not compared with it",
            path.display()
        );
    }
    tracing::info!(to, size, taken_up, verifier_key, "evidence");
    Ok(recorder)
}

fn load_witness(settings: WitnessSettings) -> Result<Witness, EvidenceError> {
    let WitnessSettings { url, key, ca } = settings;
    let authorities = ca
        .map(|path| fs::read(&path).map_err(|source| EvidenceError::Authorities { path, source }))
        .transpose()?;
    Witness::new(&url, key, authorities.as_deref()).map_err(|source| EvidenceError::Witness { url, source })
}
