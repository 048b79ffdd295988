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

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.location {
            Some(Location { line, column }) => write!(f, "{line}:{column}: {}", self.message),
            None => f.write_str(&self.message),
        }
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
    /// Sorts the problems.
    #[must_use]
    pub fn new(name: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.location);
        Self { name: name.to_owned(), problems }
    }

    /// With more that have no place.
    #[must_use]
    pub fn and(mut self, messages: impl IntoIterator<Item = String>) -> Self {
        self.problems.extend(messages.into_iter().map(Problem::everywhere));
        self
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.problems.iter().enumerate() {
            let separator = if position > 0 { "\n" } else { "" };
            let place = if problem.location.is_some() { ":" } else { ": " };
            write!(f, "{separator}{}{place}{problem}", self.name)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
