//! Where checkpoints go besides the log: a file, standard output, witnesses. What only its owner holds proves nothing to
//! others.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use super::checkpoint::Checkpoint;
use super::line::checkpoint_line;
use super::log::Sealed;
use super::merkle::CompactRange;
use super::note::{Note, VerifierKey};
use super::queue::Queue;
use super::recorder::StartError;

/// Where checkpoints go.
#[derive(Default)]
pub struct Outlets {
    /// A file that always holds the newest one.
    pub file: Option<PathBuf>,
    /// Whether each is printed.
    pub stdout: bool,
}

/// What the checkpoint file says of a log that is about to be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointFileError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it holds no checkpoint that this key signed: {0}")]
    Foreign(String),
    #[error(
        "it is of {kept} records, and the log has {found}: the log was cut off. Restore it, or begin another one \
         with another key"
    )]
    CutOff { kept: u64, found: u64 },
    #[error("it is of as many records as the log has, but has another root: the log was changed")]
    OtherRoot,
}

impl Outlets {
    /// Whether the log has all that the checkpoint file says it had.
    ///
    /// # Errors
    /// When it has not, and when the file cannot be read.
    pub fn agree(&self, key: &VerifierKey, tree: &CompactRange) -> Result<(), StartError> {
        let Some(path) = &self.file else { return Ok(()) };
        agree(path, key, tree).map_err(|source| StartError::Checkpoint { path: path.clone(), source })
    }

    /// Starts the thread that sends checkpoints on, where there is anywhere to send them.
    ///
    /// # Errors
    /// When the system has no thread.
    pub(super) fn start(
        self,
        _queue: &Arc<Queue>,
    ) -> io::Result<(Option<Sender<Sealed>>, Option<JoinHandle<()>>)> {
        if self.file.is_none() && !self.stdout {
            return Ok((None, None));
        }
        let (sender, receiver) = channel();
        let thread =
            std::thread::Builder::new().name("checkpoints".into()).spawn(move || self.run(&receiver))?;
        Ok((Some(sender), Some(thread)))
    }

    /// Sends on whatever is newest, until the log is closed.
    fn run(self, sealed: &Receiver<Sealed>) {
        while let Ok(mut newest) = sealed.recv() {
            while let Ok(newer) = sealed.try_recv() {
                newest = newer;
            }
            if let Err(error) = self.publish(&newest.note) {
                tracing::error!(%error, "a checkpoint could not be published");
            }
        }
    }

    fn publish(&self, note: &Note) -> io::Result<()> {
        if self.stdout {
            let mut line = Vec::new();
            checkpoint_line(&mut line, &note.to_string(), None);
            io::stdout().lock().write_all(&line)?;
        }
        match &self.file {
            Some(path) => replace(path, note.to_string().as_bytes()),
            None => Ok(()),
        }
    }
}

fn agree(path: &Path, key: &VerifierKey, tree: &CompactRange) -> Result<(), CheckpointFileError> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result?,
    };
    let foreign = |problem: &dyn std::fmt::Display| CheckpointFileError::Foreign(problem.to_string());
    let note = Note::parse(&text).map_err(|error| foreign(&error))?;
    note.verify(std::slice::from_ref(key)).map_err(|error| foreign(&error))?;
    let checkpoint: Checkpoint = note.text().parse().map_err(|error| foreign(&error))?;
    if checkpoint.size() > tree.end() {
        return Err(CheckpointFileError::CutOff { kept: checkpoint.size(), found: tree.end() });
    }
    if checkpoint.size() == tree.end() && *checkpoint.root() != tree.root() {
        return Err(CheckpointFileError::OtherRoot);
    }
    Ok(())
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
