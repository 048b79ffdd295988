//! The file of a log: opened by one relay at a time, and gone on with after whatever ended the last one.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::checkpoint::Checkpoint;
use super::line::{CheckpointLine, Line, Range, RecordLine, record_line};
use super::merkle::{CompactRange, Hash, consistency_proof, leaf_hash};
use super::note::{Note, VerifierKey};
use super::sealed::Sealed;
use crate::crypto::{hex, sha256};
use crate::regular_file;

/// A checkpoint that the relay wrote begins so.
const CHECKPOINT: &[u8] = b"{\"checkpoint\":";
/// How much is read at once when the file is read backwards.
const BLOCK: u64 = 64 * 1024;
/// Owner reads and writes, group reads: records tell who signed what.
const MODE: u32 = 0o640;

/// Why a file cannot be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("expected a regular file")]
    NoFile,
    #[error("its last line is not finished, and cannot be moved to {}: {_1}", _0.display())]
    Torn(PathBuf, #[source] io::Error),
    #[error("another process writes it")]
    InUse,
    #[error("the checkpoint at byte {0} is not one of this key: {1}. Another key begins another file")]
    Checkpoint(u64, String),
    #[error(
        "the line at byte {0} is not the next record: {1}. `evidence verify` says what happened to the file"
    )]
    Record(u64, String),
}

/// A log file, ready for more.
pub struct Opened {
    pub file: File,
    pub length: u64,
    pub tree: CompactRange,
    /// How many records a checkpoint covers.
    pub sealed: u64,
    /// The root of the tree at the size that was asked for, where the last checkpoint does not lie behind it.
    pub kept_root: Option<Hash>,
    pub set_aside: Option<SetAside>,
}

/// A last line that was not finished, and is now at the end of another file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    pub to: PathBuf,
    pub bytes: u64,
    /// In hexadecimal.
    pub sha256: String,
}

/// Opens the file for appending, and makes it where there is none. The lock ends with the file.
///
/// # Errors
/// [`OpenError::InUse`], and what the system says.
pub fn open(path: &Path) -> Result<File, OpenError> {
    let file = OpenOptions::new().read(true).append(true).create(true).mode(MODE).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(OpenError::NoFile);
    }
    match file.try_lock() {
        Ok(()) => {
            // That there is a file at all must survive a power failure as well as what is in it.
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Whether the path still names the file: somebody may have moved it away to begin another one.
///
/// # Errors
/// What the system says.
pub fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Goes on with a file: finds the last checkpoint, checks it, and takes up the records behind it. A last line that is not
/// finished was never answered: it is set aside. `kept` is the size of a checkpoint that is known from elsewhere.
///
/// # Errors
/// Whatever does not look as this relay, with this key, left it.
pub fn go_on(path: &Path, key: &VerifierKey, kept: Option<u64>) -> Result<Opened, OpenError> {
    let mut file = open(path)?;
    let end = file.metadata()?.len();
    // As if a line feed stood at the end, so that the last line is the one that is not finished.
    let length = line_before(&mut file, end.saturating_add(1))?.unwrap_or_default();
    let (mut at, mut tree) = match last_checkpoint(&mut file, length)? {
        None => (0, CompactRange::starting_at(0)),
        Some((at, line)) => {
            let tree =
                checked(&line, key).map_err(|problem| OpenError::Checkpoint(at, problem.to_owned()))?;
            (at.saturating_add(line.len() as u64), tree)
        }
    };
    let sealed = tree.end();
    let root_of = |tree: &CompactRange| (Some(tree.end()) == kept).then(|| tree.root());
    let mut kept_root = root_of(&tree);
    file.seek(SeekFrom::Start(at))?;
    let mut reader = BufReader::new((&file).take(length.saturating_sub(at)));
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        take(&line, key.name(), &mut tree).map_err(|problem| OpenError::Record(at, problem.to_owned()))?;
        kept_root = kept_root.or_else(|| root_of(&tree));
        at = at.saturating_add(line.len() as u64);
        line.clear();
    }
    // Only now: of a file that is not gone on with, nothing is touched.
    let set_aside = if length < end { Some(set_aside(&mut file, length, path)?) } else { None };
    Ok(Opened { file, length, tree, sealed, kept_root, set_aside })
}

/// Takes up a line behind the last checkpoint. Nothing seals it yet, and this relay is about to: it must be one that this relay
/// could have written.
fn take(line: &str, origin: &str, tree: &mut CompactRange) -> Result<(), &'static str> {
    let RecordLine { evidence, hash, index } = match Line::read(line.trim_end()) {
        Ok(Line::Record(record)) => record,
        // A cosignature: it is of a checkpoint that stands before.
        Ok(Line::Checkpoint(CheckpointLine { range: Range::Absent, .. })) => return Ok(()),
        Ok(_) => return Err("it is no record"),
        Err(_) => return Err("it cannot be read"),
    };
    let leaf = leaf_hash(evidence.as_bytes());
    if hash != Some(leaf) {
        return Err("its hash is another");
    }
    if index != Some(tree.end()) {
        return Err("its index is another");
    }
    let mut buffer = String::new();
    let sealed = Sealed::read(evidence, &mut buffer).map_err(|_| "it cannot be read")?;
    if sealed.log != origin {
        return Err("it is of another log");
    }
    let mut written = Vec::new();
    record_line(&mut written, evidence.as_bytes(), &leaf, tree.end());
    if !sealed.as_written || written != line.as_bytes() {
        return Err("it is not written as this relay writes it");
    }
    tree.push(leaf);
    Ok(())
}

/// The tree of a checkpoint, if it is one of this key.
fn checked(line: &str, key: &VerifierKey) -> Result<CompactRange, &'static str> {
    let Ok(Line::Checkpoint(CheckpointLine { note, range: Range::Present(hashes) })) =
        Line::read(line.trim_end())
    else {
        return Err("it cannot be read");
    };
    let note = Note::parse(note.as_bytes()).map_err(|_| "it is no signed note")?;
    note.verify(std::slice::from_ref(key)).map_err(|_| "it is signed by another one")?;
    let checkpoint: Checkpoint = note.text().parse().map_err(|_| "it is no checkpoint")?;
    if checkpoint.origin() != key.name() {
        return Err("it is of another log");
    }
    CompactRange::restored(0, checkpoint.size(), hashes)
        .filter(|tree| tree.root() == *checkpoint.root())
        .ok_or("its range has another root")
}

/// Proves from the file that the tree of `new` records grew out of the one of `old` (RFC 6962 §2.1.2). It reads the whole
/// file up to there.
///
/// # Errors
/// When the file begins after the older tree, ends before the newer one, or cannot be read.
pub fn prove_growth(path: &Path, old: u64, new: u64) -> io::Result<Vec<Hash>> {
    let invalid = |problem: &str| io::Error::new(io::ErrorKind::InvalidData, problem);
    let mut tree = CompactRange::starting_at(0);
    let mut since = CompactRange::starting_at(old);
    for line in BufReader::new(File::open(path)?).lines() {
        if since.end() >= new {
            break;
        }
        match Line::read(&line?) {
            Ok(Line::Record(RecordLine { evidence, .. })) if tree.end() < old => {
                tree.push(leaf_hash(evidence.as_bytes()));
            }
            Ok(Line::Record(RecordLine { evidence, .. })) => since.push(leaf_hash(evidence.as_bytes())),
            // A file that goes on from another one begins with a checkpoint.
            Ok(Line::Checkpoint(CheckpointLine { note, range: Range::Present(range) }))
                if tree.end() == 0 =>
            {
                let note = Note::parse(note.as_bytes()).map_err(|_| invalid("no signed note"))?;
                let checkpoint: Checkpoint = note.text().parse().map_err(|_| invalid("no checkpoint"))?;
                if checkpoint.size() > old {
                    return Err(invalid("the file begins after that tree"));
                }
                tree = CompactRange::restored(0, checkpoint.size(), range)
                    .ok_or_else(|| invalid("the range of a checkpoint does not fit"))?;
            }
            _ => {}
        }
    }
    if tree.end() != old || since.end() != new {
        return Err(invalid("the file does not hold these records"));
    }
    Ok(consistency_proof(&tree, &since))
}

/// Where the last checkpoint with a range begins, and its line.
fn last_checkpoint(file: &mut File, length: u64) -> io::Result<Option<(u64, String)>> {
    let mut end = length;
    // The last byte of the file is a line feed; a line begins behind one, or at the start.
    while let Some(begin) = line_before(file, end)? {
        let mut head = [0; CHECKPOINT.len()];
        file.seek(SeekFrom::Start(begin))?;
        let long_enough = end.saturating_sub(begin) > CHECKPOINT.len() as u64;
        if long_enough && file.read_exact(&mut head).is_ok() && head == CHECKPOINT {
            let mut line = String::new();
            file.seek(SeekFrom::Start(begin))?;
            BufReader::new(&*file).read_line(&mut line)?;
            if !matches!(
                Line::read(line.trim_end()),
                Ok(Line::Checkpoint(CheckpointLine { range: Range::Absent, .. }))
            ) {
                return Ok(Some((begin, line)));
            }
        }
        end = begin;
    }
    Ok(None)
}

/// Where the line begins that ends at `end`.
fn line_before(file: &mut File, end: u64) -> io::Result<Option<u64>> {
    let Some(mut upto) = end.checked_sub(1) else { return Ok(None) };
    loop {
        let from = upto.saturating_sub(BLOCK);
        let mut block = vec![0; usize::try_from(upto - from).unwrap_or_default()];
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(&mut block)?;
        if let Some(at) = block.iter().rposition(|byte| *byte == b'\n') {
            return Ok(Some(from.saturating_add(at as u64).saturating_add(1)));
        }
        if from == 0 {
            return Ok(Some(0));
        }
        upto = from;
    }
}

/// Moves what stands behind the last line feed to the end of `PATH.torn`: first it is safe there, then it is cut off.
fn set_aside(file: &mut File, begin: u64, path: &Path) -> Result<SetAside, OpenError> {
    let mut torn = Vec::new();
    file.seek(SeekFrom::Start(begin))?;
    file.read_to_end(&mut torn)?;
    let mut name = path.as_os_str().to_owned();
    name.push(".torn");
    let to = PathBuf::from(name);
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(MODE);
    // Whoever may make files there must not make the relay write elsewhere.
    let aside = regular_file::open(&to, &mut options, OFlags::NOFOLLOW);
    let mut aside = aside.map_err(|source| OpenError::Torn(to.clone(), source))?;
    aside.write_all(&torn)?;
    aside.write_all(b"\n")?;
    aside.sync_all()?;
    file.set_len(begin)?;
    file.sync_all()?;
    Ok(SetAside { to, bytes: torn.len() as u64, sha256: hex(&sha256(&torn)) })
}
