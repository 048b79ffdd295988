//! Files that may change, looked at from outside.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use crate::keys::store;

/// What can be seen of files without reading them: another file in the same place, and another content of the same file,
/// look different. Links are followed, so that a folder that is swapped by its link looks different too.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Look(Vec<(PathBuf, Option<Seen>)>);

/// Device, inode, size, modification and change in seconds and nanoseconds.
type Seen = (u64, u64, u64, (i64, i64), (i64, i64));

impl Look {
    /// A look at the files that these paths and globs name now.
    pub(super) fn at(files: Vec<PathBuf>, patterns: &[PathBuf]) -> Self {
        let mut problems = Vec::new();
        let mut paths = files;
        for pattern in patterns {
            paths.extend(store::files(pattern, &mut problems));
        }
        Self::of(paths)
    }

    /// A look at these files.
    pub(super) fn of(paths: Vec<PathBuf>) -> Self {
        let seen = |path: &PathBuf| {
            let of = fs::metadata(path).ok()?;
            let times = ((of.mtime(), of.mtime_nsec()), (of.ctime(), of.ctime_nsec()));
            Some((of.dev(), of.ino(), of.size(), times.0, times.1))
        };
        Self(paths.into_iter().map(|path| (path.clone(), seen(&path))).collect())
    }
}

/// Compares looks.
#[derive(Debug, Default)]
pub(super) struct Watch {
    seen: Option<Look>,
    taken: Option<Look>,
    /// How many looks in a row were different.
    restless: u32,
}

/// What changes for so many looks is read all the same: somebody who touches one file again and again must not keep a change of
/// another out. Half of a file is refused, and the last good version stays.
const RESTLESS: u32 = 2;

impl Watch {
    /// Whether there is something new to be read. A file that is being written changes from look to look, and is left alone
    /// until two in a row are the same, but not for ever.
    pub(super) fn settled(&mut self, look: Look) -> bool {
        let still = self.seen.as_ref() == Some(&look);
        self.seen = Some(look);
        self.restless = if still { 0 } else { self.restless.saturating_add(1) };
        let new = (still || self.restless > RESTLESS) && self.taken != self.seen;
        if new {
            self.restless = 0;
            self.taken.clone_from(&self.seen);
        }
        new
    }
}
