//! What commands print. Whoever reads it may stop reading, as `head` does: that is no panic.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write as _};
use std::process::exit;

use serde::Serialize;

use super::Failure;
use crate::printable::printable_json;

/// As shells tell of a process that ended by SIGPIPE.
const BROKEN_PIPE: i32 = 128 + 13;
/// `EX_IOERR` of sysexits.h.
const IO_ERROR: i32 = 74;

/// Writes to standard output. Where that cannot be done, nothing that the command would still do is of use, and the process ends.
pub(super) fn write(text: Arguments<'_>) {
    match io::stdout().lock().write_fmt(text) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => exit(BROKEN_PIPE),
        Err(error) => {
            eprintln!("standard output: {error}");
            exit(IO_ERROR)
        }
    }
}

/// Writes a value to standard output as JSON, over several lines.
pub(super) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::failed)?;
    outln!("{}", printable_json(&text));
    Ok(())
}
