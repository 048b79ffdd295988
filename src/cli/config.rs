//! `config check`, `config schema`, `config default`.

use std::path::PathBuf;

use clap::Subcommand;

use super::{Failure, output};
use crate::config::{Config, DEFAULT, Problems, json_schema, on_keys, on_publishing};
use crate::keys::store;

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Report every mistake in a file, with line and column, and what may not be meant.
    #[command(after_help = "Example:\n  proof-messenger-relay config check relay.yaml")]
    Check {
        /// The configuration file.
        file: PathBuf,
        /// Fail on remarks too.
        #[arg(long)]
        strict: bool,
    },
    /// Print the JSON Schema of the configuration file.
    #[command(after_help = "Example:\n  proof-messenger-relay config schema > relay.schema.json")]
    Schema,
    /// Print the built-in settings, commented.
    #[command(after_help = "Example:\n  proof-messenger-relay config default > relay.yaml")]
    Default,
}

pub(super) fn run(command: ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check { file, strict } => {
            let config = Config::load(&file).map_err(Failure::usage)?;
            let keys = store::load(&config.key_files, &[], None).map_err(Failure::usage)?.keys;
            let name = file.display();
            let unplaced = on_keys(&config, &keys).into_iter().chain(on_publishing(&config));
            let remarks = Problems::new(&name.to_string(), config.remarks.clone()).and(unplaced);
            if !remarks.problems.is_empty() {
                eprintln!("{remarks}");
                if strict {
                    return Err(Failure::usage(format!(
                        "{name}: not sound: {} remarks",
                        remarks.problems.len()
                    )));
                }
            }
            let elsewhere = match config.key_urls.len() {
                0 => String::new(),
                urls => format!(", and those at {urls} URLs, which were not asked"),
            };
            outln!("{name}: sound: {} policies, {} keys{elsewhere}", config.policies.len(), keys.len());
        }
        ConfigCommand::Schema => output::json(&json_schema())?,
        ConfigCommand::Default => out!("{DEFAULT}"),
    }
    Ok(())
}
