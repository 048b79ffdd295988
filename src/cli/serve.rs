//! `serve`: configuration, logging, keys, port; announce; serve; drain.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::Failure;
use crate::config::file::{Log, LogFormat, LogLevel};
use crate::config::{Addresses, Config, Listen};
use crate::receipt::Receipts;
use crate::server::{EvidenceError, Server, StartError};
use crate::timestamp::SystemClock;

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Overrides `log.level`.
    #[arg(long, env = "PROOF_MESSENGER_LOG_LEVEL", value_name = "LEVEL")]
    log_level: Option<LogLevel>,
    /// Overrides `log.format`.
    #[arg(long, env = "PROOF_MESSENGER_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

/// Which settings, and where they are served.
#[derive(Debug, Args)]
pub(super) struct SettingsArgs {
    /// The configuration file. Without one, the built-in settings deny everything.
    #[arg(long, env = "PROOF_MESSENGER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Overrides `listen`.
    #[arg(long, env = "PROOF_MESSENGER_LISTEN", value_name = "ADDRESS:PORT|unix:PATH")]
    listen: Option<Listen>,
    /// Overrides `admin`.
    #[arg(long, env = "PROOF_MESSENGER_ADMIN", value_name = "ADDRESS:PORT")]
    admin: Option<SocketAddr>,
}

impl SettingsArgs {
    pub(super) fn load(&self) -> Result<Config, Failure> {
        let mut config = Config::load_or_built_in(self.config.as_deref()).map_err(Failure::usage)?;
        config.listen = self.listen.clone().unwrap_or(config.listen);
        if let (Listen::Unix(_), Some(_)) = (&config.listen, &config.tls) {
            return Err(Failure::usage(
                "expected an address and a port for --listen: the configuration has tls",
            ));
        }
        config.admin = self.admin.or(config.admin);
        Ok(config)
    }

    /// Where the relay listens, whatever else is wrong with the configuration.
    pub(super) fn addresses(&self) -> Result<Addresses, Failure> {
        let of_file = Addresses::load(self.config.as_deref());
        // Who says where HTTP is served needs no file, and then it may be one that nobody can read.
        let of_file = of_file.or_else(|problems| match self.admin {
            Some(_) => Addresses::load(None),
            None => Err(problems),
        });
        let Addresses { listen, tls, admin } = of_file.map_err(Failure::usage)?;
        let listen = self.listen.clone().unwrap_or(listen);
        Ok(Addresses { listen, tls, admin: self.admin.or(admin) })
    }
}

pub(super) fn run(args: &ServeArgs) -> Result<(), Failure> {
    let mut config = args.settings.load()?;
    config.log.level = args.log_level.unwrap_or(config.log.level);
    config.log.format = args.log_format.unwrap_or(config.log.format);
    start_log(config.log);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    let result = runtime.block_on(serve(config));
    // What hangs in a thread of its own, such as a request to a witness, is not waited for.
    runtime.shutdown_background();
    result
}

async fn serve(config: Config) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::failed)?;
    // A file that may not grow any more is a full disk: the write that fails says so, and the signal would end the relay.
    let _file_size =
        signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).map_err(Failure::failed)?;
    let server = Server::bind(config, Arc::new(SystemClock)).await.map_err(|error| match error {
        StartError::Evidence(EvidenceError::Log(_))
        | StartError::Listen { .. }
        | StartError::Signals(_)
        | StartError::Reflection(_) => Failure::failed(error),
        StartError::Keys(_)
        | StartError::Remote { .. }
        | StartError::Receipts(_)
        | StartError::Tls(_)
        | StartError::Traces(_)
        | StartError::Evidence(_) => Failure::usage(error),
    })?;
    let relay = Arc::clone(server.relay());
    for remark in server.remarks() {
        tracing::warn!(%remark, "configuration");
    }
    let rules = relay.rules();
    if relay.evidence.is_none() {
        tracing::warn!("decisions leave no evidence: the configuration has no `evidence`");
    }
    tracing::info!(
        address = %server.address(),
        admin = server.admin_address().map(tracing::field::display),
        receipt_key = relay.receipts.as_ref().map(Receipts::key_id),
        keys = rules.keys.len(),
        policies = rules.policies.len(),
        version = env!("CARGO_PKG_VERSION"),
        "listening"
    );
    let (stop, stopping) = watch::channel(Stop::No);
    tokio::spawn(async move {
        let first = tokio::select! {
            _ = terminate.recv() => Stop::Gently,
            _ = interrupt.recv() => Stop::Now,
        };
        stop.send_replace(first);
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.send_replace(Stop::Now);
    });
    server
        .serve(until(stopping.clone(), Stop::Gently), until(stopping, Stop::Now))
        .await
        .map_err(Failure::failed)?;
    for (policy, code, times) in relay.observed.counts() {
        tracing::warn!(policy = &*policy, code = code.as_str(), times, "observed, not enforced");
    }
    tracing::info!("stopped");
    Ok(())
}

/// What signals ask for: SIGTERM to drain, SIGINT or a second signal to lose no time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stop {
    No,
    Gently,
    Now,
}

async fn until(mut stopping: watch::Receiver<Stop>, asked: Stop) {
    if stopping.wait_for(|stop| *stop >= asked).await.is_err() {
        // Nobody can ask any more.
        std::future::pending().await
    }
}

fn start_log(Log { level, format }: Log) {
    let level = match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    // Of the libraries only what is wrong: their details are frames, not decisions.
    let filter = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        // It warns of each attempt, and then says that it gives up.
        .with_target("opentelemetry-otlp", level.min(LevelFilter::ERROR))
        .with_target("proof_messenger_relay", level);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    match format {
        LogFormat::Json => {
            tracing_subscriber::registry().with(lines.json().flatten_event(true).with_filter(filter)).init()
        }
        LogFormat::Text => {
            tracing_subscriber::registry().with(lines.with_ansi(false).with_filter(filter)).init()
        }
    }
}
