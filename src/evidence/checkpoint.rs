//! Checkpoints (C2SP tlog-checkpoint): which log, how many leaves, and the root over them.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding as _};

use super::merkle::Hash;

/// The text of a checkpoint. A [`Note`](super::note::Note) around it says who stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
    extensions: Vec<String>,
}

/// Why a text is no checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    #[error("expected three lines: origin, tree size, root hash")]
    Lines,
    #[error("expected an origin that is not empty and has no control characters")]
    Origin,
    #[error("expected the tree size: a number without leading zeros, below 2^64")]
    Size,
    #[error("expected the root hash: the base64 of 32 bytes")]
    Root,
    #[error("expected extension lines that are not empty and have no control characters")]
    Extension,
}

impl Checkpoint {
    /// A checkpoint without extension lines.
    ///
    /// # Errors
    /// When the origin is empty or has control characters.
    pub fn new(origin: &str, size: u64, root: Hash) -> Result<Self, CheckpointError> {
        if !is_line(origin) {
            return Err(CheckpointError::Origin);
        }
        Ok(Self { origin: origin.to_owned(), size, root, extensions: Vec::new() })
    }

    /// What identifies the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// How many leaves the tree has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree.
    #[must_use]
    pub const fn root(&self) -> &Hash {
        &self.root
    }

    /// Lines whose meaning only the log knows.
    #[must_use]
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }
}

/// A line of a note that is not empty.
fn is_line(text: &str) -> bool {
    !text.is_empty() && !text.contains(|character| character < ' ')
}

/// A number in decimal without leading zeros, as the tlog formats write sizes and indices.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = digits && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| canonical)
}

/// A hash in base64.
pub(super) fn hash(text: &str) -> Option<Hash> {
    Base64::decode_vec(text).ok()?.try_into().ok()
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError::Lines)?.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(CheckpointError::Lines);
        };
        let size = decimal(size).ok_or(CheckpointError::Size)?;
        let root = hash(root).ok_or(CheckpointError::Root)?;
        let mut checkpoint = Self::new(origin, size, root)?;
        for line in lines {
            if !is_line(line) {
                return Err(CheckpointError::Extension);
            }
            checkpoint.extensions.push(line.to_owned());
        }
        Ok(checkpoint)
    }
}

/// The text, with the line feed at its end.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, Base64::encode_string(&self.root))?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_comes_back() {
        let checkpoint = Checkpoint::new("bank.example/relay", 0, [7; 32]).unwrap();
        let text = "bank.example/relay\n0\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n";
        assert_eq!(checkpoint.to_string(), text);
        assert_eq!(text.parse(), Ok(checkpoint));
        let extended = format!("{text}one\ntwo\n").parse::<Checkpoint>().unwrap();
        assert_eq!(extended.extensions(), ["one", "two"]);
        assert_eq!(extended.to_string(), format!("{text}one\ntwo\n"));
    }

    #[test]
    fn what_is_no_checkpoint_is_refused() {
        let root = Base64::encode_string(&[7; 32]);
        let refused = |text: &str| text.parse::<Checkpoint>().unwrap_err();
        assert_eq!(refused(""), CheckpointError::Lines);
        assert_eq!(refused("log\n1\n"), CheckpointError::Lines);
        assert_eq!(refused(&format!("log\n1\n{root}")), CheckpointError::Lines);
        assert_eq!(refused(&format!("\n1\n{root}\n")), CheckpointError::Origin);
        for size in ["", "01", "00", "+1", "-1", " 1", "1 ", "0x1", "١", "18446744073709551616"] {
            assert_eq!(refused(&format!("log\n{size}\n{root}\n")), CheckpointError::Size, "{size:?}");
        }
        for root in ["", "AAAA", &root[1..], &root[..43], &format!("{root}AAAA"), &root.replace("wc=", "wd=")]
        {
            assert_eq!(refused(&format!("log\n1\n{root}\n")), CheckpointError::Root, "{root:?}");
        }
        assert_eq!(refused(&format!("log\n1\n{root}\n\n")), CheckpointError::Extension);
        assert_eq!(refused(&format!("log\n1\n{root}\na\tb\n")), CheckpointError::Extension);
        assert_eq!(Checkpoint::new("two\nlines", 1, [0; 32]), Err(CheckpointError::Origin));
    }
}
