//! `evidence`: what the relay wrote about its decisions, checked and told by whoever has the log.

mod check_proof;
mod find;
mod prove;
mod show;
mod story;
mod verify;

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::{Failure, output};
use crate::evidence::note::{KeyKind, VerifierKey};

#[derive(Debug, Subcommand)]
pub(super) enum EvidenceCommand {
    /// Check a log: whether its records are those that were sealed, and what became of the others.
    #[command(after_help = verify::EXAMPLES)]
    Verify(verify::VerifyArgs),
    /// Write a proof about one record, which needs nothing but the log's verifier key to be checked.
    #[command(after_help = prove::EXAMPLES)]
    Prove(prove::ProveArgs),
    /// Check such a proof offline.
    #[command(after_help = check_proof::EXAMPLES)]
    CheckProof(check_proof::CheckProofArgs),
    /// Tell the story of one record: who signed what, and what the relay made of it.
    #[command(after_help = show::EXAMPLES)]
    Show(show::ShowArgs),
}

pub(super) fn run(command: EvidenceCommand) -> Result<(), Failure> {
    match command {
        EvidenceCommand::Verify(args) => verify::run(args),
        EvidenceCommand::Prove(args) => prove::run(&args),
        EvidenceCommand::CheckProof(args) => check_proof::run(&args),
        EvidenceCommand::Show(args) => show::run(&args),
    }
}

/// The keys that a check trusts.
#[derive(Debug, Args)]
struct KeyArgs {
    /// The verifier key of the log, NAME+ID+KEY, or a file with it. May be repeated.
    #[arg(long, value_name = "VKEY_OR_FILE")]
    key: Vec<String>,
    /// The verifier key of a witness, or a file with it. May be repeated.
    #[arg(long, value_name = "VKEY_OR_FILE")]
    witness: Vec<String>,
}

impl KeyArgs {
    fn keys(&self) -> Result<Vec<VerifierKey>, Failure> {
        if self.key.is_empty() {
            return Err(Failure::usage(
                "expected --key: the verifier key of the log, which `keys new --use evidence` printed when the key was \
                 made. It must come from a source that you trust, and not from whoever handed you the log",
            ));
        }
        self.keys_if_any()
    }

    fn keys_if_any(&self) -> Result<Vec<VerifierKey>, Failure> {
        verifier_keys(&self.key)
    }

    fn witnesses(&self) -> Result<Vec<VerifierKey>, Failure> {
        let keys = verifier_keys(&self.witness)?;
        // The log's own signature says nothing that the log did not say.
        match keys.iter().find(|key| key.kind() != KeyKind::Cosignature) {
            Some(key) => Err(Failure::usage(format!(
                "{}: expected the key of a witness (type 0x04), but found one that signs notes (0x01)",
                key.name()
            ))),
            None => Ok(keys),
        }
    }
}

fn verifier_keys(texts: &[String]) -> Result<Vec<VerifierKey>, Failure> {
    let mut keys = Vec::new();
    for text in texts {
        let error = match text.parse() {
            Ok(key) => {
                keys.push(key);
                continue;
            }
            Err(error) => error,
        };
        // A verifier key has plus signs, which few file names have.
        let content = match fs::read_to_string(text) {
            Ok(content) => content,
            Err(_) if text.contains('+') => return Err(Failure::Usage(format!("{text}: {error}"))),
            Err(error) => return Err(Failure::Usage(format!("{text}: {error}"))),
        };
        let lines = content.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let before = keys.len();
        for line in lines {
            keys.push(line.parse().map_err(|error| Failure::Usage(format!("{text}: {error}")))?);
        }
        if keys.len() == before {
            return Err(Failure::Usage(format!("{text}: expected a verifier key, NAME+ID+KEY")));
        }
    }
    Ok(keys)
}

/// A log on its way in.
struct Input {
    name: Arc<str>,
    content: Box<dyn Read>,
    /// Where it is known.
    length: Option<u64>,
}

impl Input {
    fn open(path: &Path) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            return Ok(Self {
                name: Arc::from("standard input"),
                content: Box::new(std::io::stdin()),
                length: None,
            });
        }
        let refused = |error: std::io::Error| Failure::Usage(format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(refused)?;
        let metadata = file.metadata().map_err(refused)?;
        if metadata.is_dir() {
            return Err(Failure::Usage(format!("{}: is a folder", path.display())));
        }
        let length = metadata.is_file().then_some(metadata.len());
        Ok(Self { name: Arc::from(path.display().to_string()), content: Box::new(file), length })
    }

    fn open_all(paths: &[PathBuf]) -> Result<Vec<Self>, Failure> {
        paths.iter().map(|path| Self::open(path)).collect()
    }

    fn failed(name: &str, error: &std::io::Error) -> Failure {
        Failure::Failed(format!("{name}: {error}"))
    }
}

/// A short text, such as a checkpoint or a proof.
fn read_text(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let Input { name, content, .. } = Input::open(path)?;
    content
        .take(crate::evidence::stream::MAX_VALUE as u64)
        .read_to_string(&mut text)
        .map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
    Ok(text)
}
