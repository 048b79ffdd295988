//! `evidence prove`: a proof about one record that stands for itself.

use std::path::PathBuf;

use clap::Args;

use super::find::find;
use super::{Failure, KeyArgs};
use crate::evidence::check::keys_of;

pub(super) const EXAMPLES: &str = "\
Example:
  proof-messenger-relay evidence prove --key log.vkey evidence.jsonl 019c1234-5678-7abc-8def-0123456789ab > proof.txt

The proof is a C2SP tlog-proof, with the record in its `extra` line. Of the checkpoints that cover the record it takes
those with the most cosignatures of the given witnesses, then those with the most signatures, and of these the oldest.
It takes memory for each record of the log, in whatever order they stand.
Exit codes: 0 written, 1 there is no such record, or nothing proves it, 64 wrong usage, or a file that cannot be read.";

#[derive(Debug, Args)]
pub(in crate::cli) struct ProveArgs {
    #[command(flatten)]
    keys: KeyArgs,
    /// Logs, the older ones first; `-` is standard input. Last: the id of the decision, or the index of the record.
    #[arg(required = true, num_args = 1.., value_names = ["FILE... ID"])]
    files: Vec<PathBuf>,
}

pub(super) fn run(args: &ProveArgs) -> Result<(), Failure> {
    let keys = args.keys.keys()?;
    let witnesses = args.keys.witnesses()?;
    let (files, id) = files_and_id(&args.files)?;
    let found = find(files, id, &keys, &witnesses)?;
    let Some(seal) = &found.seal else {
        let why = "no checkpoint that the log's key signed covers it yet";
        return Err(Failure::Failed(format!("record {}: {why}", found.index)));
    };
    let Some(proof) = found.proof() else {
        let why = "records of the tree are missing in these files, without which it cannot be proven";
        return Err(Failure::Failed(format!("record {}: {why}", found.index)));
    };
    let log_keys = keys_of(seal.checkpoint.origin(), &keys);
    if !log_keys.iter().any(|key| proof.verify(&found.leaf, key).is_ok()) {
        let why = "the checkpoint seals something else: `evidence verify` says what was done to the log";
        return Err(Failure::Failed(format!("{}: record {}: {why}", found.place, found.index)));
    }
    out!("{proof}");
    Ok(())
}

/// The last argument is the record, the others are logs.
pub(super) fn files_and_id(arguments: &[PathBuf]) -> Result<(&[PathBuf], &str), Failure> {
    let (id, files) = match arguments.split_last() {
        Some((id, files)) if !files.is_empty() => (id, files),
        _ => return Err(Failure::usage("expected a file and the id of a decision or the index of a record")),
    };
    match id.to_str() {
        Some(id) if !id.is_empty() => Ok((files, id)),
        _ => {
            Err(Failure::usage("expected the id of a decision or the index of a record as the last argument"))
        }
    }
}
