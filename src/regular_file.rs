//! Files that others put where the relay reads: what is no regular file is not waited for.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

/// More than any trust store, certificate or checkpoint has.
const LONGEST: u64 = 64 * 1024 * 1024;

/// Opens a regular file with these options and flags. Whoever opens a pipe would wait for its other end, and there may be none.
///
/// # Errors
/// What the system says, and for anything but a regular file.
pub(crate) fn open(path: &Path, options: &mut OpenOptions, flags: OFlags) -> io::Result<File> {
    let other = || io::Error::other("expected a regular file");
    let flags = flags | OFlags::NONBLOCK;
    match options.custom_flags(flags.bits().cast_signed()).open(path) {
        Ok(file) if file.metadata()?.is_file() => Ok(file),
        Ok(_) => Err(other()),
        // A pipe that nobody reads, or a socket.
        Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => Err(other()),
        Err(error) => Err(error),
    }
}

/// The content of a regular file.
///
/// # Errors
/// As [`open`], and for one that is longer than any that makes sense.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = open(path, OpenOptions::new().read(true), OFlags::empty())?;
    let mut text = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut text)?;
    match text.len() as u64 > LONGEST {
        true => Err(io::Error::other(format!("expected at most {LONGEST} bytes"))),
        false => Ok(text),
    }
}
