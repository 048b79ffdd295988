//! `evidence show`: the story of one record, for a dispute.

use std::path::PathBuf;

use base64ct::{Base64, Encoding as _};
use clap::Args;
use serde_json::{Value, json};

use super::find::{Found, Seal, find};
use super::prove::files_and_id;
use super::story::{self, Story};
use super::{Failure, KeyArgs, output};
use crate::evidence::check::keys_of;
use crate::evidence::note::VerifierKey;
use crate::evidence::record::Record;
use crate::printable::printable;

pub(super) const EXAMPLES: &str = "\
Examples:
  proof-messenger-relay evidence show --key log.vkey evidence.jsonl 019c1234-5678-7abc-8def-0123456789ab
  With a value that the record shows as a hash only, so that the signature can be checked:
  proof-messenger-relay evidence show --key log.vkey --value 'authorization: Bearer …' evidence.jsonl 17

It takes memory for each record of the log, in whatever order they stand.
Exit codes: 0 told, 1 there is no such record, or something in the story does not hold, 64 wrong usage, or a file that
cannot be read.";

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArgs {
    #[command(flatten)]
    keys: KeyArgs,
    /// A value that the record shows as a hash only. May be repeated.
    #[arg(long, value_name = "NAME: VALUE", value_parser = value)]
    value: Vec<(String, String)>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Logs, the older ones first; `-` is standard input. Last: the id of the decision, or the index of the record.
    #[arg(required = true, num_args = 1.., value_names = ["FILE... ID"])]
    files: Vec<PathBuf>,
}

fn value(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once(':').ok_or_else(|| "expected a name, a colon and a value".to_owned())?;
    Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
}

pub(super) fn run(args: &ShowArgs) -> Result<(), Failure> {
    let keys = args.keys.keys_if_any()?;
    let witnesses = args.keys.witnesses()?;
    let (files, id) = files_and_id(&args.files)?;
    let found = find(files, id, &keys, &witnesses)?;
    let record = Record::parse(&found.evidence).ok();
    let mut story = Story::of(record.as_ref(), &args.value);
    let sealing = Sealing::of(&found, &keys);
    if let Sealing::Contradicted(_) = sealing {
        story.problems.push("the checkpoint seals another record at this place".to_owned());
    }
    for namesake in &found.namesakes {
        story.problems.push(format!("another record of that name stands at {namesake}"));
    }
    if args.json {
        let record: Value = serde_json::from_str(&found.evidence).map_err(Failure::failed)?;
        let shown = json!({
            "log": found.log, "index": found.index, "place": found.place, "hash": Base64::encode_string(&found.leaf),
            "record": record, "proofs": story.proofs, "checkpoint": sealing.json(), "problems": story.problems,
        });
        output::json(&shown)?;
    } else {
        out!("{}\n{}{}", story.text, sealing.text(&found), story.limits);
    }
    story.outcome()
}

/// What the log says for the record.
enum Sealing<'a> {
    NotYet,
    /// A checkpoint covers it, and nobody gave a key to check it, or the rest of the tree.
    Unchecked(&'a Seal, &'static str),
    Contradicted(&'a Seal),
    Sealed(&'a Seal),
}

impl<'a> Sealing<'a> {
    fn of(found: &'a Found, keys: &[VerifierKey]) -> Self {
        let Some(seal) = &found.seal else { return Self::NotYet };
        if keys.is_empty() {
            return Self::Unchecked(seal, "nobody checked that: give the log's verifier key with --key");
        }
        let Some(proof) = found.proof() else {
            return Self::Unchecked(
                seal,
                "nobody can check that here: other records of the tree are missing",
            );
        };
        let keys = keys_of(seal.checkpoint.origin(), keys);
        match keys.iter().any(|key| proof.verify(&found.leaf, key).is_ok()) {
            true => Self::Sealed(seal),
            false => Self::Contradicted(seal),
        }
    }

    fn text(&self, found: &Found) -> String {
        let place = format!("record {} of the log {}", found.index, printable(&found.log));
        let covers = |seal: &Seal| format!("the checkpoint of {} records", seal.checkpoint.size());
        let file = |place| printable(&format!("{place}"));
        let text = match self {
            Self::NotYet => format!("It is {place}, at {}. No checkpoint covers it yet.", file(&found.place)),
            Self::Unchecked(seal, why) => format!(
                "It is {place}, at {}, and {} at {} covers it; {why}.",
                file(&found.place),
                covers(seal),
                file(&seal.place)
            ),
            Self::Contradicted(seal) => format!(
                "It says that it is {place}, at {}, but {} at {} has another record there.",
                file(&found.place),
                covers(seal),
                file(&seal.place)
            ),
            Self::Sealed(seal) => format!(
                "It is {place}, at {}: {} at {}, which the log's key signed, has it there.",
                file(&found.place),
                covers(seal),
                file(&seal.place)
            ),
        };
        let mut text = format!("Sealed:\n  {text}\n");
        if let Self::Sealed(seal) = self {
            for (witness, time) in &seal.cosigned {
                let time = time.map(|time| format!(" at {}", story::time(time))).unwrap_or_default();
                text.push_str(&format!("  The witness {} cosigned it{time}.\n", printable(witness)));
            }
        }
        text
    }

    fn json(&self) -> Value {
        let (seal, state) = match self {
            Self::NotYet => return Value::Null,
            Self::Unchecked(seal, _) => (seal, "unchecked"),
            Self::Contradicted(seal) => (seal, "contradicted"),
            Self::Sealed(seal) => (seal, "verified"),
        };
        let cosigned: Vec<Value> = seal
            .cosigned
            .iter()
            .map(|(witness, time)| json!({"witness": witness, "timestamp": time}))
            .collect();
        json!({
            "state": state, "size": seal.checkpoint.size(), "root": Base64::encode_string(seal.checkpoint.root()),
            "place": seal.place, "cosigned": cosigned,
        })
    }
}
