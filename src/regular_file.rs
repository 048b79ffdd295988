//! Files that others put where the relay reads: what is no regular file is not waited for.

use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

/// More than any trust store, certificate or checkpoint has.
const LONGEST: u64 = 64 * 1024 * 1024;

/// The content of a regular file. Whoever opens a pipe would wait for its other end, and there may be none.
///
/// # Errors
/// What the system says, and for anything but a regular file of reasonable length.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("expected a regular file"));
    }
    let mut text = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut text)?;
    match text.len() as u64 > LONGEST {
        true => Err(io::Error::other(format!("expected at most {LONGEST} bytes"))),
        false => Ok(text),
    }
}
