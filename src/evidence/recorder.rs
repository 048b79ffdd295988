//! The relay's side of a log: a decision goes in, and comes back once it is recorded.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use uuid::Uuid;

use super::appender::Stream;
use super::checkpoint::Checkpoint;
use super::counts::{Counters, Counts};
use super::decided::{Grounds, Losses, Provenance};
use super::file::{self, OpenError, SetAside};
use super::log::Log;
use super::merkle::{CompactRange, leaf_hash};
use super::note::Signer;
use super::outlet::{self, Open, Outlets};
use super::queue::{Entry, Queue, Unavailable};
use super::record::{self, Record};
use super::writer::{Durability, Pace, Seal, Sink, WriteError, Writer};
use crate::relay::Decision;
use crate::request::Request;
use crate::rules::Rules;
use crate::timestamp::{Clock, Timestamp};

/// So long an answer waits for its record. Envoy's own patience is shorter where it is configured as shipped.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where a log is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    File(PathBuf),
    Stdout,
}

/// What a log needs to begin.
pub struct Setup {
    pub target: Target,
    pub signer: Signer,
    pub durability: Durability,
    pub pace: Pace,
    /// Which relay writes.
    pub instance: Box<str>,
    /// Components whose values are not kept.
    pub redact: Vec<Box<str>>,
    /// Where checkpoints go besides.
    pub outlets: Outlets,
}

/// Why a log cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{}: {source}", path.display())]
    Open { path: PathBuf, source: OpenError },
    #[error("{}: {source}", path.display())]
    Checkpoint { path: PathBuf, source: outlet::CheckpointFileError },
    #[error("standard output is closed, or /dev/null: the records would be lost")]
    Nowhere,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the first record cannot be written: {0}")]
    Write(String),
}

/// Records decisions in a log. It is closed when it is dropped.
pub struct Recorder {
    provenance: Arc<Provenance>,
    /// Whether whoever makes a record writes it too. A pipe may take no more for as long as it likes, and a disk takes its
    /// time: the thread waits for those.
    writes_here: bool,
    writer: Arc<Mutex<Writer>>,
    queue: Arc<Queue>,
    counters: Arc<Counters>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// A log that has begun.
pub struct Started {
    pub recorder: Recorder,
    /// How many records it had.
    pub size: u64,
    /// How many of them no checkpoint covers.
    pub taken_up: u64,
    /// What a crash left behind.
    pub set_aside: Option<SetAside>,
    /// A checkpoint file that is not there, though the log has records.
    pub missing: Option<PathBuf>,
}

impl Recorder {
    /// Opens the log, and writes and seals its first record: after this it is known that the log can be written.
    ///
    /// # Errors
    /// When the log cannot be gone on with, or not be written.
    pub fn start(setup: Setup, rules: &Rules, clock: Arc<dyn Clock>) -> Result<Started, StartError> {
        let Setup { target, signer, durability, pace, instance, redact, outlets } = setup;
        let name = signer.verifier().name();
        let mut missing = None;
        let (origin, opened) = match &target {
            Target::File(path) => {
                let kept = outlets.kept(signer.verifier())?;
                let opened = file::go_on(path, signer.verifier(), kept.as_ref().map(Checkpoint::size))
                    .map_err(|source| StartError::Open { path: path.clone(), source })?;
                match &kept {
                    Some(kept) => outlets.agree(kept, &opened)?,
                    None if opened.tree.end() > 0 => missing.clone_from(&outlets.file),
                    None => {}
                }
                (name.to_owned(), Some(opened))
            }
            // Nobody can go on with what went to standard output, and a second tree must not look like the first.
            Target::Stdout => (format!("{name}/{}", Uuid::now_v7()), None),
        };
        let set_aside = opened.as_ref().and_then(|opened| opened.set_aside.clone());
        let (sink, tree, sealed) = match (opened, target) {
            (Some(opened), Target::File(path)) => {
                (Sink::file(opened.file, path, opened.length)?, opened.tree, opened.sealed)
            }
            _ => (Sink::stream(Stream::new(stdout()?)), CompactRange::starting_at(0), 0),
        };
        let size = tree.end();
        let taken_up = size.saturating_sub(sealed);
        let provenance = Provenance { log: (&*origin).into(), instance, redact };
        let provenance = Arc::new(provenance);
        let (queue, counters) = (Arc::new(Queue::default()), Arc::new(Counters::default()));
        let file = sink.file.as_ref().map(|(_, path)| path.as_path());
        let Open { outbound, witnesses, thread: publisher } = outlets.open(file, size, &queue)?;
        let mut writer = Writer {
            log: Log::new(signer, origin.into(), tree, sealed),
            sink,
            durability,
            pace,
            provenance: Arc::clone(&provenance),
            clock,
            outbound,
            witnesses,
            sealed_at: Instant::now(),
            looked_at: Instant::now(),
            counters: Arc::clone(&counters),
        };
        let result = writer.write_lines(Seal::Now, |batch, provenance, now| {
            let aside = set_aside
                .as_ref()
                .map(|aside| record::SetAside { bytes: aside.bytes, sha256: (&*aside.sha256).into() });
            let start = provenance.start(rules, now);
            let taken_up = (taken_up > 0).then_some(taken_up);
            let record = Record::Start(record::Start { set_aside: aside, taken_up, ..start }).canonical()?;
            batch.record(&record, &leaf_hash(&record));
            Ok::<(), WriteError>(())
        });
        result.map_err(|error| StartError::Write(error.to_string()))?;
        let writes_here = durability == Durability::Written && writer.sink.file.is_some();
        let writer = Arc::new(Mutex::new(writer));
        let (of_thread, waiting) = (Arc::clone(&writer), Arc::clone(&queue));
        let thread = std::thread::Builder::new()
            .name("evidence".into())
            .spawn(move || Writer::run(&of_thread, &waiting))?;
        let threads = Mutex::new(std::iter::once(thread).chain(publisher).collect());
        Ok(Started {
            recorder: Self { provenance, writes_here, writer, queue, counters, threads },
            size,
            taken_up,
            set_aside,
            missing,
        })
    }

    /// Records a decision that was made under the configuration with this digest, and returns once the record is as durable as the operator asked for.
    ///
    /// # Errors
    /// When it is not recorded. In the one case of [`Unavailable::Slow`] it may be found in the log later.
    pub async fn record(
        &self,
        decision: &Decision,
        request: Option<&Request<'_>>,
        grounds: &Grounds,
        config: &str,
        at: Timestamp,
    ) -> Result<(), Unavailable> {
        let record = self.provenance.decision(decision, request, grounds, config, at);
        self.write(Record::Decision(Box::new(record))).await
    }

    /// Records that from now on decisions are made by these rules.
    ///
    /// # Errors
    /// As for a decision.
    pub async fn begin(&self, rules: &Rules, at: Timestamp) -> Result<(), Unavailable> {
        self.write(Record::Start(self.provenance.start(rules, at))).await
    }

    async fn write(&self, record: Record<'_>) -> Result<(), Unavailable> {
        let result = self.hand_over(record).await;
        // Of what fails, whoever writes knows. What takes too long shows only here, and once nobody asks any more only the
        // thread can find out that it is over.
        if let Err(reason @ (Unavailable::Full | Unavailable::Slow)) = result {
            if !self.counters.failed() {
                tracing::error!(%reason, "evidence cannot be written in time");
            }
            self.queue.is_due();
        }
        result
    }

    async fn hand_over(&self, record: Record<'_>) -> Result<(), Unavailable> {
        let evidence = record.canonical().map_err(|_| Unavailable::Failed)?;
        let hash = leaf_hash(&evidence);
        let (done, mut answer) = oneshot::channel();
        self.queue.push(Entry { evidence, hash, done })?;
        if self.writes_here {
            Writer::write_here(&self.writer, &self.queue);
            if let Ok(result) = answer.try_recv() {
                return result;
            }
        } else {
            self.queue.wake();
        }
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Unavailable::Closed),
            Err(_) => Err(Unavailable::Slow),
        }
    }

    /// Counts a decision that was answered without a record: the log will say so.
    pub fn lose(&self, allowed: bool, config: Arc<str>, at: Timestamp) {
        let counter = if allowed { &self.counters.lost_allowed } else { &self.counters.lost_denied };
        counter.fetch_add(1, Ordering::Relaxed);
        self.queue.lose(Losses::one(allowed, config, at));
    }

    /// What the log has done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counters.read(self.queue.waiting())
    }

    /// Writes what waits and seals the log. Decisions after this cannot be recorded.
    pub fn close(&self) {
        self.queue.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the evidence log ended in a panic");
            }
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.close();
    }
}

/// Standard output, if anybody gets what is written there. Where it was closed, the program finds `/dev/null` in its place.
fn stdout() -> Result<File, StartError> {
    let stdout: File = std::io::stdout().as_fd().try_clone_to_owned()?.into();
    let (found, nowhere) = (stdout.metadata()?, std::fs::metadata("/dev/null")?);
    if (found.dev(), found.ino()) == (nowhere.dev(), nowhere.ino()) {
        return Err(StartError::Nowhere);
    }
    Ok(stdout)
}

/// The name of this machine, as its system has it.
#[must_use]
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", Path::display(path)),
            Self::Stdout => f.write_str("standard output"),
        }
    }
}
