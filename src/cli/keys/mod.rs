//! `keys new`, `keys list`.

mod new;

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use super::{Failure, output};
use crate::keys::store;
use crate::timestamp::{Clock as _, SystemClock};

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Make a key pair: a private JWK, and its public half in a trust-store file or on standard output.
    #[command(after_help = new::EXAMPLES)]
    New(Box<new::NewKey>),
    /// Show what a trust store holds.
    #[command(after_help = "Example:\n  proof-messenger-relay keys list keys/*.jwks.json")]
    List {
        /// JWK Set files, or globs of them.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(command: KeysCommand) -> Result<(), Failure> {
    match command {
        KeysCommand::New(args) => new::run(&args),
        KeysCommand::List { files, json } => list(&files, json),
    }
}

fn list(files: &[PathBuf], as_json: bool) -> Result<(), Failure> {
    let directory = store::load(files, &[], None).map_err(Failure::usage)?.keys;
    let mut keys: Vec<_> = directory.iter().collect();
    keys.sort_by(|a, b| (&a.subject, &a.id).cmp(&(&b.subject, &b.id)));
    if as_json {
        let keys: Vec<Value> = keys
            .iter()
            .map(|key| {
                json!({
                    "kid": key.id, "sub": key.subject, "roles": key.roles, "algorithm": key.public.algorithm().name(),
                    "thumbprint": key.thumbprint, "nbf": key.not_before, "exp": key.expires,
                    "revoked_at": key.revoked_at,
                })
            })
            .collect();
        return output::json(&keys);
    }
    let now = SystemClock.now().unix_seconds();
    for key in keys {
        let roles = if key.roles.is_empty() { "-".to_owned() } else { key.roles.join(",") };
        let state = if key.revoked_at.is_some_and(|time| time <= now) {
            "revoked"
        } else if key.expires.is_some_and(|time| time <= now) {
            "expired"
        } else if key.not_before.is_some_and(|time| now < time) {
            "not yet valid"
        } else {
            "valid"
        };
        outln!("{}  {}  {roles}  {}  {state}", key.subject, key.public.algorithm().name(), key.id);
    }
    Ok(())
}
