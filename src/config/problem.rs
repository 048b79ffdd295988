//! What is wrong with a configuration, and where.

use std::fmt;

/// A place in a text, both counted from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Location {
    pub line: u64,
    pub column: u64,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub location: Option<Location>,
    pub message: String,
}

impl Problem {
    /// A problem of the file as a whole.
    #[must_use]
    pub fn everywhere(message: impl Into<String>) -> Self {
        Self { location: None, message: message.into() }
    }
}

/// Every problem of one file, in the order of their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// The file.
    pub name: String,
    pub problems: Vec<Problem>,
}

impl Problems {
    pub(crate) fn new(name: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.location);
        Self { name: name.to_owned(), problems }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, Problem { location, message }) in self.problems.iter().enumerate() {
            let end = if position + 1 < self.problems.len() { "\n" } else { "" };
            match location {
                Some(Location { line, column }) => {
                    write!(f, "{}:{line}:{column}: {message}{end}", self.name)?
                }
                None => write!(f, "{}: {message}{end}", self.name)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
