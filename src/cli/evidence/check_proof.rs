//! `evidence check-proof`: whether a proof about a record holds.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::story::{self, Story};
use super::{Failure, KeyArgs, output, read_text};
use crate::evidence::check::keys_of;
use crate::evidence::checkpoint::Checkpoint;
use crate::evidence::merkle::leaf_hash;
use crate::evidence::note::{Note, VerifierKey};
use crate::evidence::sealed::Sealed;
use crate::evidence::tlog_proof::TlogProof;
use crate::printable::printable;

pub(super) const EXAMPLES: &str = "\
Example:
  proof-messenger-relay evidence check-proof --key log.vkey proof.txt

It needs no log and no network. Exit codes: 0 proven, 1 not proven, 64 wrong usage, or a file that cannot be read.";

#[derive(Debug, Args)]
pub(in crate::cli) struct CheckProofArgs {
    #[command(flatten)]
    keys: KeyArgs,
    /// Print JSON, with the record.
    #[arg(long)]
    json: bool,
    /// The proof, as `evidence prove` writes it; `-` is standard input.
    #[arg(value_name = "PROOF")]
    proof: PathBuf,
}

pub(super) fn run(args: &CheckProofArgs) -> Result<(), Failure> {
    let keys = args.keys.keys()?;
    let witnesses = args.keys.witnesses()?;
    let not_proven = |why: String| Failure::Failed(format!("not proven: {why}"));
    let proof: TlogProof = read_text(&args.proof)?.parse().map_err(|error| not_proven(format!("{error}")))?;
    let evidence =
        proof.extra.clone().ok_or_else(|| not_proven("the proof has no record in it".to_owned()))?;
    let checkpoint = verified(&proof, &evidence, &keys).map_err(not_proven)?;
    let cosigned = cosigned(&proof, &witnesses).map_err(not_proven)?;

    let text = std::str::from_utf8(&evidence).map_err(|error| not_proven(error.to_string()))?;
    let mut buffer = String::new();
    let sealed = Sealed::read(text, &mut buffer).map_err(|error| not_proven(error.to_string()))?;
    if !sealed.as_written || sealed.log != checkpoint.origin() {
        return Err(not_proven("the record is not one of this log, in canonical form".to_owned()));
    }
    let story = Story::of(sealed.record.as_ref(), &[]);
    if args.json {
        let record: Value = serde_json::from_str(text).map_err(Failure::failed)?;
        let proven = json!({
            "log": checkpoint.origin(), "index": proof.index, "size": checkpoint.size(),
            "cosigned": cosigned.iter().map(|(witness, time)| json!({"witness": witness, "timestamp": time}))
                .collect::<Vec<_>>(),
            "record": record, "proofs": story.proofs, "problems": story.problems,
        });
        output::json(&proven)?;
    } else {
        outln!(
            "Proven: record {} of the log {} is the one below. The log's key signed the checkpoint of {} records.",
            proof.index,
            printable(checkpoint.origin()),
            checkpoint.size()
        );
        for (witness, time) in &cosigned {
            let time = time.map(|time| format!(" at {}", story::time(time))).unwrap_or_default();
            outln!("The witness {} cosigned it{time}.", printable(witness));
        }
        out!("\n{}", story.text);
    }
    story.outcome()
}

fn verified(proof: &TlogProof, evidence: &[u8], keys: &[VerifierKey]) -> Result<Checkpoint, String> {
    let leaf = leaf_hash(evidence);
    let mut why = "no key is given for the log of the proof".to_owned();
    for key in keys {
        match proof.verify(&leaf, key) {
            Ok(checkpoint) if keys_of(checkpoint.origin(), keys).contains(key) => return Ok(checkpoint),
            Ok(_) => {}
            Err(error) => why = error.to_string(),
        }
    }
    Err(why)
}

/// Every witness that was asked about must have cosigned.
fn cosigned(proof: &TlogProof, witnesses: &[VerifierKey]) -> Result<Vec<(String, Option<u64>)>, String> {
    if witnesses.is_empty() {
        return Ok(Vec::new());
    }
    let note = Note::parse(proof.checkpoint.as_bytes()).map_err(|error| error.to_string())?;
    let verified = note.verify(witnesses).map_err(|error| format!("cosignatures: {error}"))?;
    let missing = witnesses.iter().find(|witness| !verified.iter().any(|by| by.key == *witness));
    match missing {
        Some(witness) => Err(format!("{} did not cosign the checkpoint", witness.name())),
        None => Ok(verified.iter().map(|by| (by.key.name().to_owned(), by.timestamp)).collect()),
    }
}
