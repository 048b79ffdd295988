//! Where checkpoints go besides the log: a file, standard output, witnesses. What only its owner holds proves nothing to
//! others.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::checkpoint::Checkpoint;
use super::file;
use super::file::Opened;
use super::line::checkpoint_line;
use super::note::{Note, VerifierKey};
use super::queue::Queue;
use super::recorder::StartError;
use super::witness::{Cosigned, Report, Witness, Witnesses};
use crate::regular_file;

/// Where checkpoints go.
#[derive(Default)]
pub struct Outlets {
    /// A file that always holds the newest one.
    pub file: Option<PathBuf>,
    /// Whether each is printed.
    pub stdout: bool,
    /// Who is asked to cosign them.
    pub witnesses: Vec<Witness>,
}

/// What the checkpoint file says of a log that is about to be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointFileError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it holds no checkpoint that this key signed: {0}")]
    Foreign(String),
    #[error(
        "it is of {kept} records, and the log has {found}: the log was cut off. Restore it: if its file was \
         moved away while the relay was stopped, move it back. Or begin another log with another key"
    )]
    CutOff { kept: u64, found: u64 },
    #[error("the records of the log that it covers have another root: the log was changed")]
    OtherRoot,
}

/// What is on its way out.
pub(super) enum Outbound {
    /// A new checkpoint.
    Sealed(Note),
    /// A witness cosigned one.
    Cosigned(Cosigned),
}

/// Outlets at work. The thread ends when all who send to it have ended.
#[derive(Default)]
pub(super) struct Open {
    pub outbound: Option<Sender<Outbound>>,
    pub witnesses: Option<Witnesses>,
    pub thread: Option<JoinHandle<()>>,
}

impl Outlets {
    /// The checkpoint that the file holds, if there is one.
    ///
    /// # Errors
    /// When it is none of this key, and when the file cannot be read.
    pub fn kept(&self, key: &VerifierKey) -> Result<Option<Checkpoint>, StartError> {
        let Some(path) = &self.file else { return Ok(None) };
        kept(path, key).map_err(|source| StartError::Checkpoint { path: path.clone(), source })
    }

    /// Whether the log has all that it had at that checkpoint, as it was then. Without this look, whoever can write the log
    /// but not sign could take its checkpoints out, change it, and have the relay seal that.
    ///
    /// # Errors
    /// When it has not.
    pub fn agree(&self, kept: &Checkpoint, opened: &Opened) -> Result<(), StartError> {
        let found = opened.tree.end();
        let source = if kept.size() > found {
            CheckpointFileError::CutOff { kept: kept.size(), found }
        } else if opened.kept_root.is_some_and(|root| root != *kept.root()) {
            CheckpointFileError::OtherRoot
        } else {
            return Ok(());
        };
        Err(StartError::Checkpoint { path: self.file.clone().unwrap_or_default(), source })
    }

    /// Starts the threads that send checkpoints on, where there is anywhere to send them. `log` is the file of a log that
    /// has `size` records.
    ///
    /// # Errors
    /// When the system has no thread.
    pub(super) fn open(mut self, log: Option<&Path>, size: u64, queue: &Arc<Queue>) -> io::Result<Open> {
        let asked = std::mem::take(&mut self.witnesses);
        if self.file.is_none() && !self.stdout && asked.is_empty() {
            return Ok(Open::default());
        }
        if let Some(path) = &self.file
            && let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty())
        {
            std::fs::metadata(folder)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        }
        let (outbound, waiting) = channel();
        let witnesses = match log {
            Some(log) if !asked.is_empty() => {
                Some(ask(asked, log.to_owned(), size, outbound.clone(), Arc::clone(queue))?)
            }
            _ => None,
        };
        let thread =
            std::thread::Builder::new().name("checkpoints".into()).spawn(move || self.run(&waiting))?;
        Ok(Open { outbound: Some(outbound), witnesses, thread: Some(thread) })
    }

    /// Sends on what comes, until the log is closed.
    fn run(self, waiting: &Receiver<Outbound>) {
        let mut newest: Option<Note> = None;
        while let Ok(outbound) = waiting.recv() {
            let result = match outbound {
                Outbound::Sealed(note) => {
                    let result = self.print(&note).and_then(|()| self.keep(&note));
                    newest = Some(note);
                    result
                }
                // The newest one only: an older one with cosignatures is in the log.
                Outbound::Cosigned(Cosigned { checkpoint, signature, .. }) => {
                    let cosigned = newest.take_if(|newest| newest.text() == checkpoint.text());
                    match cosigned.map(|note| note.with(signature)) {
                        Some(Ok(note)) => {
                            let result = self.keep(&note);
                            newest = Some(note);
                            result
                        }
                        Some(Err(error)) => Err(io::Error::other(error)),
                        None => Ok(()),
                    }
                }
            };
            if let Err(error) = result {
                tracing::error!(%error, "a checkpoint could not be published");
            }
        }
    }

    fn print(&self, note: &Note) -> io::Result<()> {
        if !self.stdout {
            return Ok(());
        }
        let mut line = Vec::new();
        checkpoint_line(&mut line, &note.to_string(), None);
        let mut stdout = io::stdout().lock();
        stdout.write_all(&line)?;
        stdout.flush()
    }

    fn keep(&self, note: &Note) -> io::Result<()> {
        match &self.file {
            Some(path) => replace(path, note.to_string().as_bytes()),
            None => Ok(()),
        }
    }
}

/// Starts to ask witnesses. What they cosign goes into the log, and out with the checkpoint.
fn ask(
    witnesses: Vec<Witness>,
    log: PathBuf,
    size: u64,
    outbound: Sender<Outbound>,
    queue: Arc<Queue>,
) -> io::Result<Witnesses> {
    let prove = move |old, new| file::prove_growth(&log, old, new);
    let outbound = Mutex::new(outbound);
    let tell = move |Report { witness, size, result }: Report| match result {
        Ok(cosigned) => {
            tracing::info!(witness, size, "a witness cosigned a checkpoint");
            if let Ok(note) = cosigned.checkpoint.clone().with(cosigned.signature.clone()) {
                queue.cosigned(note);
            }
            let outbound = outbound.lock().unwrap_or_else(PoisonError::into_inner);
            // The thread behind it ends after this one.
            let _ = outbound.send(Outbound::Cosigned(cosigned));
        }
        Err(error) if error.contradicts() => {
            tracing::error!(witness, size, %error, "a witness contradicts the evidence");
        }
        Err(error) => tracing::warn!(witness, size, %error, "a witness did not cosign a checkpoint"),
    };
    Witnesses::start(size, witnesses, prove, tell)
}

fn kept(path: &Path, key: &VerifierKey) -> Result<Option<Checkpoint>, CheckpointFileError> {
    let foreign = |problem: &dyn std::fmt::Display| CheckpointFileError::Foreign(problem.to_string());
    let text = match regular_file::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        result => result?,
    };
    let note = Note::parse(&text).map_err(|error| foreign(&error))?;
    note.verify(std::slice::from_ref(key)).map_err(|error| foreign(&error))?;
    Ok(Some(note.text().parse().map_err(|error| foreign(&error))?))
}

/// Puts a whole file in the place of another one, so that no reader sees half of it.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".checkpoint").tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_data()?;
    // Checkpoints are for everybody.
    fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    file.persist(path)?;
    Ok(())
}
