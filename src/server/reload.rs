//! New versions of policies and keys, while the relay serves: whole or not at all, and the last good one until then.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use super::look::{Look, Watch};
use super::remote;
use super::tls::Tls;
use crate::config::{Config, on_keys};
use crate::keys::remote::Remote;
use crate::keys::store;
use crate::metrics::Reloaded;
use crate::printable::printable_lines;
use crate::relay::Relay;
use crate::rules::Rules;

/// How often the files are looked at. A change is taken up at the second look that sees it, so within a second; no file
/// system has to tell of it, and some do not.
const LOOKS: Duration = Duration::from_millis(500);

/// Keeps the rules of a relay as the operator's files have them.
pub(super) struct Reloader {
    relay: Arc<Relay>,
    sources: Sources,
    asked: Signal,
    watch: Watch,
    /// Apart from the rest: a mistake in a policy keeps no certificate from being renewed, and none keeps a key in force.
    certificates: Option<Certificates>,
    /// What was wrong the last time, and was said.
    problems: Vec<Problem>,
}

/// The files of TLS.
struct Certificates {
    tls: Arc<Tls>,
    watch: Watch,
    /// What was wrong the last time, and was said.
    problem: Option<String>,
}

/// Where the rules in force come from.
#[derive(Clone)]
pub(super) struct Sources {
    config: Option<PathBuf>,
    fixed: Map<String, Value>,
    keys: Vec<PathBuf>,
    remotes: Vec<Arc<Remote>>,
}

impl Sources {
    pub(super) fn of(config: &Config, remotes: Vec<Arc<Remote>>) -> Self {
        let (fixed, keys) = (config.fixed.clone(), config.key_files.clone());
        Self { config: config.path.clone(), fixed, keys, remotes }
    }
}

/// Of what the new version cannot be used, and why.
type Problem = (Reloaded, String);

/// What was read.
#[derive(Default)]
struct Reading {
    /// Rules that are not in force yet, and where they come from.
    new: Option<(Rules, Sources)>,
    problems: Vec<Problem>,
    remarks: Vec<String>,
}

impl Reloader {
    /// # Errors
    /// When signals cannot be listened to.
    pub(super) fn new(relay: Arc<Relay>, sources: Sources, tls: Option<Arc<Tls>>) -> io::Result<Self> {
        let asked = signal(SignalKind::hangup())?;
        let certificates = tls.map(|tls| Certificates { tls, watch: Watch::default(), problem: None });
        Ok(Self { relay, sources, asked, watch: Watch::default(), certificates, problems: Vec::new() })
    }

    /// Reloads whenever the files changed, and when SIGHUP asks for it, until the other end of `stopping` is dropped.
    pub(super) async fn run(mut self, mut stopping: watch::Receiver<()>) {
        let mut looks = interval(LOOKS);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let news = Arc::new(Notify::new());
        let _kept = remote::keep(&self.sources.remotes, &self.relay, &news);
        loop {
            tokio::select! {
                _ = stopping.changed() => return,
                _ = self.asked.recv() => {
                    let of_tls = self.reload_certificates(true).await;
                    let of_rules = self.reload(true).await;
                    if !of_tls && !of_rules {
                        tracing::info!("nothing to reload: no file changed");
                    }
                }
                () = news.notified() => {
                    self.reload(false).await;
                }
                _ = looks.tick() => {
                    let Sources { config, keys, .. } = &self.sources;
                    let (config, keys) = (config.iter().cloned().collect(), keys.clone());
                    if look(move || Look::at(config, &keys)).await.is_some_and(|look| self.watch.settled(look)) {
                        self.reload(false).await;
                    }
                    if let Some(Certificates { tls, watch, .. }) = &mut self.certificates {
                        let files = tls.files();
                        if look(move || Look::of(files)).await.is_some_and(|look| watch.settled(look)) {
                            self.reload_certificates(false).await;
                        }
                    }
                }
            }
        }
    }

    /// Reads the files of TLS and takes what is new. Says whether there was anything to tell.
    async fn reload_certificates(&mut self, asked: bool) -> bool {
        let Some(Certificates { tls, problem: known, .. }) = &mut self.certificates else { return false };
        let of_thread = Arc::clone(tls);
        let reloaded = spawn_blocking(move || of_thread.reload().map_err(|error| error.to_string())).await;
        let reloaded = reloaded.unwrap_or_else(|error| Err(error.to_string()));
        match &reloaded {
            Ok(true) => {
                self.relay.metrics.certificate_expires(tls.expires().unix_seconds());
                tracing::info!(certificate_expires = tls.expires().unix_seconds(), "reloaded");
            }
            Ok(false) => {}
            Err(problem) if asked || known.as_ref() != Some(problem) => {
                let problem = printable_lines(problem);
                tracing::error!(%problem, "not reloaded: the last good version stays in force");
            }
            Err(_) => {}
        }
        if reloaded != Ok(false) || known.is_some() {
            self.relay.metrics.reloaded(Reloaded::Certificates, reloaded.is_ok());
        }
        let is_news = reloaded != Ok(false);
        *known = reloaded.err();
        is_news
    }

    /// Reads policies and keys and takes what is new. Says whether there was anything to tell.
    async fn reload(&mut self, asked: bool) -> bool {
        let (sources, old) = (self.sources.clone(), self.relay.rules());
        let current = Arc::clone(&old);
        let reading = spawn_blocking(move || sources.read(&current)).await;
        let Reading { new, problems, remarks } = reading.unwrap_or_else(|error| Reading {
            problems: vec![(Reloaded::Policies, format!("it could not be read: {error}"))],
            ..Reading::default()
        });
        for (_, problem) in problems.iter().filter(|problem| asked || !self.problems.contains(problem)) {
            let problem = printable_lines(problem);
            tracing::error!(%problem, "not reloaded: the last good version stays in force");
        }
        for (what, is_new) in [
            (Reloaded::Policies, new.as_ref().is_some_and(|(rules, _)| rules.digest != old.digest)),
            (Reloaded::Keys, new.as_ref().is_some_and(|(rules, _)| rules.key_digests != old.key_digests)),
        ] {
            let concerns = |problems: &[Problem]| problems.iter().any(|(of, _)| *of == what);
            let is_bad = concerns(&problems);
            if is_bad || is_new || concerns(&self.problems) {
                self.relay.metrics.reloaded(what, !is_bad);
            }
        }
        let is_repaired = !self.problems.is_empty() && problems.is_empty();
        self.problems = problems;
        let Some((rules, sources)) = new else {
            if is_repaired {
                tracing::info!("nothing to reload: the files are again those that are in force");
            }
            return is_repaired || !self.problems.is_empty();
        };
        let changes = rules.changes_of(&old);
        for remark in remarks {
            tracing::warn!(%remark, "configuration");
        }
        let (policies, keys) = (rules.policies.len(), rules.keys.len());
        self.relay.replace(rules).await;
        self.sources = sources;
        tracing::info!(policies, keys, policy_changes = %changes.policies, key_changes = %changes.keys, "reloaded");
        true
    }
}

async fn look(at: impl FnOnce() -> Look + Send + 'static) -> Option<Look> {
    spawn_blocking(at).await.ok()
}

impl Sources {
    /// Reads everything, and makes new rules of it if any of it is new.
    ///
    /// A configuration that is refused keeps no key in force: the keys are taken without it. Keys that are refused keep the
    /// configuration out, since its policies may ask for them.
    fn read(mut self, current: &Rules) -> Reading {
        let mut reading = Reading::default();
        let config = self.new_config(current).unwrap_or_else(|problem| {
            reading.problems.push((Reloaded::Policies, problem));
            None
        });
        if let Some(config) = &config {
            self.keys.clone_from(&config.key_files);
        }
        let is_known = store::digests(&self.keys, &self.remotes).as_ref() == Some(&current.key_digests);
        let keys =
            if is_known { None } else { Some(store::load(&self.keys, &self.remotes, Some(&current.keys))) };
        let keys = keys.transpose().unwrap_or_else(|problems| {
            reading.problems.push((Reloaded::Keys, problems.to_string()));
            None
        });
        if keys.is_none() && !is_known {
            return reading;
        }
        let keys = keys.unwrap_or_else(|| current.trust_store());
        reading.remarks.extend(keys.left_out.iter().cloned());
        let rules = match config {
            None if is_known => return reading,
            None => current.with_keys(keys),
            Some(config) => {
                reading.remarks.extend(config.remarks.iter().map(ToString::to_string));
                reading.remarks.extend(on_keys(&config, &keys.keys));
                Rules::new(config, keys)
            }
        };
        reading.new = Some((rules, self));
        reading
    }

    /// The configuration, if it is another one than that in force.
    fn new_config(&self, current: &Rules) -> Result<Option<Config>, String> {
        let Some(path) = &self.config else { return Ok(None) };
        let config = Config::load(path).map_err(|problems| problems.to_string())?;
        if *config.digest == *current.digest {
            return Ok(None);
        }
        let names = config.fixed.keys().chain(self.fixed.keys());
        let mut changed: Vec<&str> = names
            .filter(|name| config.fixed.get(*name) != self.fixed.get(*name))
            .map(String::as_str)
            .collect();
        changed.sort_unstable();
        changed.dedup();
        if changed.is_empty() {
            return Ok(Some(config));
        }
        Err(format!("{}: a change of {} needs a restart", path.display(), changed.join(", ")))
    }
}
