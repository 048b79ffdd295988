//! Writes a log: what waits is written together, sealed when it is time, and then answered.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::appender::{Appender, Stream};
use super::counts::Counters;
use super::decided::Provenance;
use super::file;
use super::line::checkpoint_line;
use super::log::{Batch, Log, SealError, Sealed};
use super::merkle::leaf_hash;
use super::outlet::Outbound;
use super::queue::{Entry, Queue, Unavailable, Work};
use super::record::Record;
use super::witness::Witnesses;
use crate::timestamp::Clock;

/// How often it is looked whether the file is still where it was.
const LOOK: Duration = Duration::from_secs(1);

/// How far an allow waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Until the record was handed to the operating system: it survives the relay.
    #[default]
    Written,
    /// Until the record is on the disk: it survives the machine.
    Synced,
}

/// When a checkpoint is written. One is due when there are records that none covers.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// After so many records.
    pub records: u64,
    /// After so much time.
    pub interval: Duration,
}

/// Where the lines go.
pub(super) struct Sink {
    pub appender: Appender,
    /// The file, where it is one of the relay's own, and where it was.
    pub file: Option<(File, PathBuf)>,
}

/// Why lines could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Seal(#[from] SealError),
    #[error("{0}")]
    Record(#[from] serde_json::Error),
    #[error("{0}")]
    Open(#[from] file::OpenError),
    #[error("{} was replaced by a file that is not empty", .0.display())]
    Replaced(PathBuf),
}

impl Sink {
    /// A file that is as long as that.
    pub(super) fn file(file: File, path: PathBuf, length: u64) -> io::Result<Self> {
        Ok(Self { appender: Appender::new(file.try_clone()?, length), file: Some((file, path)) })
    }

    pub(super) fn stream(stream: Stream) -> Self {
        Self { appender: Appender::new(stream, 0), file: None }
    }
}

/// All that the thread has.
pub(super) struct Writer {
    pub log: Log,
    pub sink: Sink,
    pub durability: Durability,
    pub pace: Pace,
    pub provenance: Arc<Provenance>,
    pub clock: Arc<dyn Clock>,
    /// Where checkpoints go from here.
    pub outbound: Option<Sender<Outbound>>,
    pub witnesses: Option<Witnesses>,
    pub sealed_at: Instant,
    pub looked_at: Instant,
    pub counters: Arc<Counters>,
}

/// Whether a checkpoint is written with the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seal {
    Now,
    WhenDue,
    /// Another will, who can wait for the disk.
    Later,
}

/// A panic of another holder leaves the log as it was before its batch.
fn locked(writer: &Mutex<Writer>) -> MutexGuard<'_, Writer> {
    writer.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Writer {
    /// Writes until the queue is closed, and seals the end. Others may write meanwhile, whenever they get the lock.
    pub(super) fn run(writer: &Mutex<Self>, queue: &Queue) {
        loop {
            let (due, gather) = {
                let writer = locked(writer);
                (writer.due_at(), writer.durability == Durability::Synced)
            };
            let work = queue.take(due, gather);
            let last = work.last;
            let seal = if last || work.due { Seal::Now } else { Seal::WhenDue };
            locked(writer).write(work, seal, queue);
            if last {
                break;
            }
        }
        // The witnesses are asked about the last checkpoint before their threads end.
        let witnesses = locked(writer).witnesses.take();
        if witnesses.is_some() {
            drop(witnesses);
            locked(writer).write(queue.take_now(), Seal::WhenDue, queue);
        }
        // Nothing is published any more: the thread that does may end.
        locked(writer).outbound = None;
    }

    /// When the next checkpoint is due: others may write while the thread sleeps, so it looks again after the interval even if
    /// there is nothing to seal yet.
    ///
    /// A log that cannot be written is tried soon: whoever balances the load sends nothing as long as it cannot. And a file may
    /// be moved away while nothing is written.
    fn due_at(&self) -> Instant {
        let now = Instant::now();
        let since = if self.log.unsealed() > 0 { self.sealed_at } else { now };
        let checkpoint = since + self.pace.interval;
        let looks = self.counters.is_failing() || self.sink.file.is_some();
        if looks { checkpoint.min(now + LOOK) } else { checkpoint }
    }

    /// Writes what waits, in the place of the thread, where nobody else writes: a record that need not reach the disk is
    /// written sooner than another thread is woken. A checkpoint is left to the thread, since the disk is waited for there.
    pub(super) fn write_here(writer: &Mutex<Self>, queue: &Queue) {
        let Ok(mut writer) = writer.try_lock() else {
            // Whoever writes may have looked at the queue before this record was in it.
            queue.wake();
            return;
        };
        writer.write(queue.take_now(), Seal::Later, queue);
        // The thread may sleep for as long as checkpoints are apart. Where lines cannot be written it has to try again sooner;
        // it is told each time, since another may have taken what told it before.
        if writer.counters.is_failing() || writer.log.unsealed() >= writer.pace.records {
            queue.is_due();
        }
    }

    /// Writes what waited, and answers. What could not be written is no part of the log.
    fn write(&mut self, work: Work, seal: Seal, queue: &Queue) {
        let Work { entries, losses, cosigned, .. } = work;
        // Whoever waits no longer was told that there is no record.
        let entries: Vec<Entry> = entries.into_iter().filter(|entry| !entry.done.is_closed()).collect();
        let result = self.follow_the_file().and_then(|()| {
            self.write_lines(seal, |batch, provenance, now| {
                if let Some(losses) = &losses {
                    let record = Record::Lost(provenance.lost(losses, now)).canonical()?;
                    batch.record(&record, &leaf_hash(&record));
                }
                for entry in &entries {
                    batch.record(&entry.evidence, &entry.hash);
                }
                cosigned.iter().for_each(|note| batch.cosigned(note));
                Ok(())
            })
        });
        match result {
            Ok(written) => {
                if written && self.counters.succeeded() {
                    tracing::warn!("evidence can be written again");
                }
            }
            Err(ref error) => {
                losses.into_iter().for_each(|losses| queue.lose(losses));
                // A checkpoint that is due must not make the thread try without a pause.
                self.sealed_at = Instant::now();
                if !self.counters.failed() {
                    tracing::error!(%error, "evidence cannot be written");
                }
            }
        }
        let answer = result.map(drop).map_err(|_| Unavailable::Failed);
        for entry in entries {
            // Whoever gave up in the meantime finds the record in the log all the same.
            let _ = entry.done.send(answer);
        }
    }

    /// Writes one batch, with a checkpoint where one is due. Returns whether there was anything to write.
    pub(super) fn write_lines(
        &mut self,
        seal: Seal,
        fill: impl FnOnce(&mut Batch<'_>, &Provenance, crate::timestamp::Timestamp) -> Result<(), WriteError>,
    ) -> Result<bool, WriteError> {
        let failing = self.counters.is_failing();
        let mut batch = self.log.batch();
        fill(&mut batch, &self.provenance, self.clock.now())?;
        let unsealed = batch.unsealed();
        let due = match seal {
            Seal::Now => true,
            Seal::WhenDue => {
                failing || unsealed >= self.pace.records || self.sealed_at.elapsed() >= self.pace.interval
            }
            Seal::Later => false,
        };
        // Where nothing else is to be written, one checkpoint more shows whether the log can be written again.
        let sealed = if due && (failing || unsealed > 0) { Some(batch.seal()?) } else { None };
        if batch.lines().is_empty() {
            return Ok(false);
        }
        self.sink.appender.append(batch.lines(), self.durability == Durability::Synced)?;
        let leaves = batch.commit();
        self.counters.written.fetch_add(leaves.len() as u64, Ordering::Relaxed);
        self.counters.size.store(self.log.size(), Ordering::Relaxed);
        if let Some(witnesses) = &mut self.witnesses {
            leaves.into_iter().for_each(|leaf| witnesses.push(leaf));
        }
        if let Some(sealed) = sealed {
            self.sealed_at = Instant::now();
            self.counters.sealed_at.store(self.clock.now().since_epoch().as_secs(), Ordering::Relaxed);
            self.publish(sealed);
        }
        Ok(true)
    }

    /// Sends a checkpoint on. It must never tell of more than a power failure would leave behind: the log would have to
    /// be another one afterwards.
    fn publish(&mut self, sealed: Sealed) {
        let Some(outbound) = &self.outbound else { return };
        if self.durability == Durability::Written
            && let Err(error) = self.sink.appender.sync()
        {
            tracing::error!(%error, "a checkpoint is not published: the log could not be synced");
            return;
        }
        // The other thread ends after this one.
        let _ = outbound.send(Outbound::Sealed(sealed.note.clone()));
        if let Some(witnesses) = &mut self.witnesses {
            witnesses.submit(sealed.note, sealed.tree);
        }
    }

    /// Somebody may have moved the file away: then it is sealed, and the log goes on in a new one at the same place.
    fn follow_the_file(&mut self) -> Result<(), WriteError> {
        let Some((file, path)) = &self.sink.file else { return Ok(()) };
        if self.looked_at.elapsed() < LOOK && !self.counters.is_failing() {
            return Ok(());
        }
        let there = file::is_at(file, path)?;
        self.looked_at = Instant::now();
        if there {
            return Ok(());
        }
        let path = path.clone();
        let mut batch = self.log.batch();
        let sealed = batch.seal()?;
        self.sink.appender.append(batch.lines(), true)?;
        batch.commit();
        let file = file::open(&path)?;
        if file.metadata()?.len() > 0 {
            return Err(WriteError::Replaced(path));
        }
        let mut first = Vec::new();
        checkpoint_line(&mut first, &sealed.note.to_string(), Some(sealed.tree.hashes()));
        tracing::info!(path = %path.display(), size = sealed.tree.end(), "the log goes on in a new file");
        let mut sink = Sink::file(file, path, 0)?;
        sink.appender.append(&first, true)?;
        self.sink = sink;
        self.sealed_at = Instant::now();
        self.publish(sealed);
        Ok(())
    }
}
