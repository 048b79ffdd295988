//! `config check`, `config schema`, `config default`.

use std::path::PathBuf;

use clap::Subcommand;

use super::Failure;
use crate::config::{Config, DEFAULT, json_schema};
use crate::keys::store;

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Report every mistake in a file, with line and column.
    #[command(after_help = "Example:\n  proof-messenger-relay config check relay.yaml")]
    Check {
        /// The configuration file.
        file: PathBuf,
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
        ConfigCommand::Check { file } => {
            let config = Config::load(&file).map_err(Failure::usage)?;
            let keys = store::load(&config.key_files).map_err(Failure::usage)?;
            println!("{}: sound: {} policies, {} keys", file.display(), config.policies.len(), keys.len());
        }
        ConfigCommand::Schema => println!("{:#}", json_schema()),
        ConfigCommand::Default => print!("{DEFAULT}"),
    }
    Ok(())
}
