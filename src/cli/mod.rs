//! The command line.

/// `print!`, for output that nobody may read to its end.
macro_rules! out {
    ($($text:tt)*) => { $crate::cli::output::write(format_args!($($text)*)) };
}

/// `println!`, for output that nobody may read to its end.
macro_rules! outln {
    ($($text:tt)*) => { $crate::cli::output::write(format_args!("{}\n", format_args!($($text)*))) };
}

mod check;
mod config;
mod evidence;
mod explain;
mod health;
mod keys;
mod lint;
mod output;
mod recorded;
mod request;
mod serve;
mod sign;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::printable::printable_lines;

/// Enforces signed transactions at the proxy: verifies HTTP Message Signatures for Envoy's ext_authz.
///
/// Without a command it serves, on safe built-in settings: port 8000, no keys, every request denied.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Exit codes: 0 done, 1 failed or denied, 64 wrong usage or configuration."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the relay (the default).
    #[command(after_help = "Example:\n  proof-messenger-relay serve --config relay.yaml")]
    Serve(serve::ServeArgs),
    /// Ask whether the relay on this machine is ready.
    #[command(after_help = health::EXAMPLES)]
    Health(health::HealthArgs),
    /// Make a key pair, or show what a trust store holds.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Sign a request and print its headers.
    #[command(after_help = sign::EXAMPLES)]
    Sign(sign::SignArgs),
    /// Ask a running relay directly, over gRPC, about a request.
    #[command(after_help = check::EXAMPLES)]
    Check(Box<check::CheckArgs>),
    /// Decide offline about a request, and show every step.
    #[command(after_help = explain::EXAMPLES)]
    Explain(Box<explain::ExplainArgs>),
    /// Check a configuration, or print its schema or the built-in settings.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Find what in a proxy's configuration would undo the protection.
    #[command(after_help = lint::EXAMPLES)]
    Lint(lint::LintArgs),
    /// Check what the relay wrote about its decisions, and prove or tell what became of one.
    #[command(subcommand)]
    Evidence(evidence::EvidenceCommand),
}

/// Why a command failed, and with which exit code.
#[derive(Debug)]
pub enum Failure {
    /// Wrong usage or configuration: `EX_USAGE` of sysexits.h.
    Usage(String),
    /// It could not be done, or the answer is no.
    Failed(String),
}

impl Failure {
    fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }

    /// A file that could not be read or written.
    fn at(path: &std::path::Path, error: std::io::Error) -> Self {
        Self::Failed(format!("{}: {error}", path.display()))
    }

    fn usage(error: impl std::fmt::Display) -> Self {
        Self::Usage(error.to_string())
    }
}

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // clap's own messages; help and version are no errors and go to standard output.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(64) } else { ExitCode::SUCCESS };
        }
    };
    let result = match cli.command {
        None => serve::run(&cli.serve),
        Some(Command::Serve(args)) => serve::run(&args),
        Some(Command::Health(args)) => health::run(&args),
        Some(Command::Keys(command)) => keys::run(command),
        Some(Command::Sign(args)) => sign::run(args),
        Some(Command::Check(args)) => check::run(*args),
        Some(Command::Explain(args)) => explain::run(*args),
        Some(Command::Config(command)) => config::run(command),
        Some(Command::Lint(args)) => lint::run(args),
        Some(Command::Evidence(command)) => evidence::run(command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let (message, code) = match failure {
                Failure::Usage(message) => (message, 64),
                Failure::Failed(message) => (message, 1),
            };
            if !message.is_empty() {
                // Many quote what a file or a stranger wrote.
                eprintln!("{}", printable_lines(&message));
            }
            ExitCode::from(code)
        }
    }
}
