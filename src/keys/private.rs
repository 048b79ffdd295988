//! Private keys of the relay's own, on disk: who else can read one decides what its signatures are worth.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::{JwkError, PrivateJwk, PublicJwk, Purpose, parse_private_jwk_for, parse_public_jwk_for};
use crate::regular_file;

/// A JWK has some two hundred bytes, an RSA key in PEM some three thousand. Whatever is much longer is another file.
const LONGEST: u64 = 16 * 1024;

/// Why a key file cannot be used. No message quotes its contents.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct KeyFileError {
    pub path: PathBuf,
    pub problem: KeyFileProblem,
}

/// What is wrong with a key file.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileProblem {
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    #[error("expected a private key, but found more than {LONGEST} bytes")]
    TooLong,
    #[error("expected a private key that only its owner can read and write, but found the mode {mode:04o}: chmod 600 {}", path.display())]
    Open { mode: u32, path: PathBuf },
    #[error(
        "expected a private key of root's that others cannot read and the group cannot write, but found the mode {mode:04o}: chmod 440 {}",
        path.display()
    )]
    OpenOfRoot { mode: u32, path: PathBuf },
    #[error(
        "expected a private key of the user {expected}, as whom this runs, but found one of the user {found}"
    )]
    Owner { expected: u32, found: u32 },
    #[error("{0}")]
    Jwk(#[from] JwkError),
}

/// A key that the relay publishes, and with which it signs where it holds the private half.
pub enum OwnKey {
    Private(PrivateJwk),
    Public(PublicJwk),
}

/// Loads a private key that was made for this, as [`read`] does.
///
/// # Errors
/// When the file cannot be read, when others can, and when it holds no such key.
pub fn load(path: &Path, purpose: Purpose) -> Result<PrivateJwk, KeyFileError> {
    let text = read(path)?;
    parse_private_jwk_for(purpose, &text)
        .map_err(|problem| KeyFileError { path: path.to_owned(), problem: problem.into() })
}

/// Reads a file that holds a private key, in whatever form.
///
/// Nobody but the owner of the file may be able to read or write it, and the owner is the user as whom this process
/// runs. One exception: a file of root's that this process, which is not root, reads through its group, and that the
/// group cannot write and others cannot read. That is how Kubernetes mounts a Secret under an `fsGroup` (mode 0440).
///
/// Links are followed, as Kubernetes makes them; what is checked is the file that is read.
///
/// # Errors
/// When the file cannot be read, and when others can.
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let read = || {
        let file = KeyFile::open(path)?;
        file.check_access(path)?;
        file.read()
    };
    read().map_err(|problem| KeyFileError { path: path.to_owned(), problem })
}

/// Loads a private key, as [`load`] does, or a public one, which is no secret.
///
/// # Errors
/// As [`load`].
pub fn load_either(path: &Path, purpose: Purpose) -> Result<OwnKey, KeyFileError> {
    let load = || {
        let file = KeyFile::open(path)?;
        let access = file.check_access(path);
        let text = file.read()?;
        match parse_public_jwk_for(purpose, &text) {
            Ok(key) => Ok(OwnKey::Public(key)),
            Err(JwkError::Private(_)) => {
                access?;
                Ok(OwnKey::Private(parse_private_jwk_for(purpose, &text)?))
            }
            Err(error) => Err(error.into()),
        }
    };
    load().map_err(|problem| KeyFileError { path: path.to_owned(), problem })
}

/// An open file. What is known of it holds for what is read from it, whatever becomes of its name meanwhile.
struct KeyFile {
    file: File,
    metadata: Metadata,
}

impl KeyFile {
    fn open(path: &Path) -> Result<Self, KeyFileProblem> {
        let file = regular_file::open(path, OpenOptions::new().read(true), OFlags::empty())?;
        let metadata = file.metadata()?;
        Ok(Self { file, metadata })
    }

    fn check_access(&self, path: &Path) -> Result<(), KeyFileProblem> {
        let user = rustix::process::geteuid().as_raw();
        check_access(user, self.metadata.uid(), self.metadata.mode() & 0o7777, path)
    }

    fn read(&self) -> Result<Zeroizing<Vec<u8>>, KeyFileProblem> {
        if self.metadata.len() > LONGEST {
            return Err(KeyFileProblem::TooLong);
        }
        // Room for all of it at once: a buffer that grows leaves its first half somewhere.
        let mut text = Zeroizing::new(Vec::with_capacity(usize::try_from(LONGEST).unwrap_or_default() + 1));
        (&self.file).take(LONGEST + 1).read_to_end(&mut text)?;
        Ok(text)
    }
}

fn check_access(user: u32, owner: u32, mode: u32, path: &Path) -> Result<(), KeyFileProblem> {
    const ROOT: u32 = 0;
    let path = || path.to_owned();
    match owner {
        owner if owner == user && mode & 0o077 == 0 => Ok(()),
        owner if owner == user => Err(KeyFileProblem::Open { mode, path: path() }),
        ROOT if mode & 0o037 == 0 => Ok(()),
        ROOT => Err(KeyFileProblem::OpenOfRoot { mode, path: path() }),
        found => Err(KeyFileProblem::Owner { expected: user, found }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_be_able_to_read_a_private_key() {
        let problem = |user, owner, mode| {
            let checked = check_access(user, owner, mode, Path::new("receipts.jwk.json"));
            checked.err().map(|problem| problem.to_string()).unwrap_or_default()
        };
        for (user, owner, mode) in [(1000, 1000, 0o600), (1000, 1000, 0o400), (0, 0, 0o600), (1000, 0, 0o440)]
        {
            assert_eq!(problem(user, owner, mode), "", "{user} {owner} {mode:o}");
        }
        let open = "expected a private key that only its owner can read and write, but found the mode ";
        for (user, owner, mode) in [
            (1000, 1000, 0o644),
            (1000, 1000, 0o640),
            (1000, 1000, 0o602),
            (1000, 1000, 0o610),
            (0, 0, 0o440),
        ] {
            let expected = format!("{open}{mode:04o}: chmod 600 receipts.jwk.json");
            assert_eq!(problem(user, owner, mode), expected);
        }
        for mode in [0o644, 0o460, 0o444, 0o450, 0o441] {
            assert!(problem(1000, 0, mode).ends_with("chmod 440 receipts.jwk.json"), "{mode:o}");
        }
        assert_eq!(
            problem(1000, 1001, 0o600),
            "expected a private key of the user 1000, as whom this runs, but found one of the user 1001"
        );
    }
}
