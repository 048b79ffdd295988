//! Bytes at the end of a file or a stream: all of them or none. The only place that writes and syncs a log.

use std::fs::File;
use std::io::{self, ErrorKind, Write};

/// Where the bytes of a log go.
pub trait Medium: Send {
    /// Writes some of the bytes, as [`io::Write::write`].
    ///
    /// # Errors
    /// What the system says.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Brings everything that was written to the disk.
    ///
    /// # Errors
    /// What the system says. What became of the bytes is then unknown.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts what stands behind `length` off, where it can be done.
    ///
    /// # Errors
    /// What the system says.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

/// Appends to a medium.
pub struct Appender {
    medium: Box<dyn Medium>,
    /// What stands before this was written whole.
    length: u64,
    /// Bytes of an append that failed may stand behind it.
    torn: bool,
}

impl Appender {
    /// `length` is that of the medium.
    pub fn new(medium: impl Medium + 'static, length: u64) -> Self {
        Self { medium: Box::new(medium), length, torn: false }
    }

    /// Writes all of the bytes, and brings them to the disk where that is asked for.
    ///
    /// # Errors
    /// What the system says. Then none of the bytes are part of the log: they are cut off at once, or before the next
    /// bytes are written. In a stream, which cannot be cut, they stay as a line that is not finished.
    pub fn append(&mut self, bytes: &[u8], sync: bool) -> io::Result<()> {
        self.mend()?;
        self.torn = true;
        let done = self.write_all(bytes).and_then(|()| if sync { self.medium.sync() } else { Ok(()) });
        if let Err(error) = done {
            // If this fails too, it is tried again before the next bytes.
            let _ = self.mend();
            return Err(error);
        }
        self.torn = false;
        self.length = self.length.saturating_add(bytes.len() as u64);
        Ok(())
    }

    /// Brings everything that was written to the disk.
    ///
    /// # Errors
    /// What the system says.
    pub fn sync(&mut self) -> io::Result<()> {
        self.medium.sync()
    }

    /// How much stands there whole, in bytes.
    pub const fn length(&self) -> u64 {
        self.length
    }

    fn mend(&mut self) -> io::Result<()> {
        if self.torn {
            self.medium.cut(self.length)?;
            self.torn = false;
        }
        Ok(())
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.medium.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A file that was opened for appending.
impl Medium for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(self, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        // Never longer: somebody else may have cut it, and zeros would look like a record.
        if self.metadata()?.len() > length { self.set_len(length) } else { Ok(()) }
    }
}

/// A pipe, a terminal, or a file that somebody else opened: what was written stays.
pub struct Stream {
    file: File,
    within_line: bool,
}

impl Stream {
    #[must_use]
    pub const fn new(file: File) -> Self {
        Self { file, within_line: false }
    }
}

impl Medium for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match Write::write(&mut self.file, bytes) {
            // Whoever reads a pipe that does not block may be slow.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let mut fds = [rustix::event::PollFd::new(&self.file, rustix::event::PollFlags::OUT)];
                rustix::event::poll(&mut fds, None)?;
                return Err(ErrorKind::Interrupted.into());
            }
            result => result?,
        };
        if let Some(last) = bytes.get(..written).and_then(<[u8]>::last) {
            self.within_line = *last != b'\n';
        }
        Ok(written)
    }

    /// What becomes of the bytes is the reader's matter.
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn cut(&mut self, _: u64) -> io::Result<()> {
        if self.within_line {
            self.file.write_all(b"\n")?;
            self.within_line = false;
        }
        Ok(())
    }
}
