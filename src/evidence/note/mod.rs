//! Signed notes (C2SP signed-note): a text, and lines with the signatures of whoever stands for it.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod key;
mod signer;

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding as _};

pub use key::{KeyKind, VerifierKey, VerifierKeyError};
pub use signer::{Cosigner, Signer};

/// How long a note may be, in bytes: what Go's `sumdb/note` takes.
pub const MAX_NOTE: usize = 1_000_000;

/// How many signatures a note may have: what Go's `sumdb/note` takes. The specification asks for 16 at least.
pub const MAX_SIGNATURES: usize = 100;

/// A text with signatures, verified or not. It is of the right form, and says nothing before [`Self::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

/// Why bytes are no signed note.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    #[error("the note has {0} bytes, and {MAX_NOTE} are allowed")]
    TooLong(usize),
    #[error("the note is not UTF-8")]
    NotUtf8,
    #[error("the note has a control character that is no line feed")]
    ControlCharacter,
    #[error("the note does not end with a line feed")]
    Unfinished,
    #[error("the text of the note does not end with a line feed")]
    UnfinishedText,
    #[error("the note has no blank line with signatures behind it")]
    Unsigned,
    #[error("the note has more than {MAX_SIGNATURES} signatures")]
    TooManySignatures,
    #[error("signature {0} of the note: {1}")]
    Signature(usize, SignatureError),
}

/// Why a note is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    #[error("the signature of {0} does not verify")]
    BadSignature(String),
    #[error("none of the signatures is of a known key")]
    NoKnownKey,
}

/// A signature that verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified<'a> {
    pub key: &'a VerifierKey,
    pub signature: &'a Signature,
    /// Of a cosignature: when it was made, in seconds since the Unix epoch.
    pub timestamp: Option<u64>,
}

impl Note {
    /// A note from its parts.
    ///
    /// # Errors
    /// For a text that does not end with a line feed or has other control characters, and for a number of signatures or
    /// a length that [`Self::parse`] would refuse.
    pub fn new(text: String, signatures: Vec<Signature>) -> Result<Self, NoteError> {
        check(&text)?;
        if !text.ends_with('\n') {
            return Err(NoteError::UnfinishedText);
        }
        let note = Self { text, signatures };
        note.bounded()?;
        Ok(note)
    }

    /// Reads a note.
    ///
    /// # Errors
    /// When it is not of the form that the specification asks for, or is beyond [`MAX_NOTE`] or [`MAX_SIGNATURES`].
    pub fn parse(note: &[u8]) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE {
            return Err(NoteError::TooLong(note.len()));
        }
        let note = std::str::from_utf8(note).map_err(|_| NoteError::NotUtf8)?;
        check(note)?;
        let lines = note.strip_suffix('\n').ok_or(NoteError::Unfinished)?;
        // The text may have empty lines: the last one stands before the signatures. It ends with the line feed that
        // stands before that empty line.
        let (_, signatures) = lines.rsplit_once("\n\n").ok_or(NoteError::Unsigned)?;
        let text = lines.strip_suffix(signatures).and_then(|text| text.strip_suffix('\n'));
        let text = text.ok_or(NoteError::Unsigned)?.to_owned();
        let mut parsed = Vec::new();
        for (index, line) in signatures.split('\n').enumerate() {
            if index == MAX_SIGNATURES {
                return Err(NoteError::TooManySignatures);
            }
            let number = index.saturating_add(1);
            parsed.push(line.parse().map_err(|error| NoteError::Signature(number, error))?);
        }
        Ok(Self { text, signatures: parsed })
    }

    /// The text that is signed, with the line feed at its end.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The same note with one more signature.
    ///
    /// # Errors
    /// When [`Self::parse`] would refuse it, for its length or its number of signatures.
    pub fn with(mut self, signature: Signature) -> Result<Self, NoteError> {
        self.signatures.push(signature);
        self.bounded()?;
        Ok(self)
    }

    /// The signatures of known keys, in the order of the note. Those of unknown keys are ignored.
    ///
    /// # Errors
    /// When there is none, and when one of a known key does not verify: then somebody tampered with the note.
    pub fn verify<'a>(&'a self, known: &'a [VerifierKey]) -> Result<Vec<Verified<'a>>, Unverified> {
        let mut verified = Vec::new();
        for signature in &self.signatures {
            let Some(key) = known.iter().find(|key| key.made(signature)) else { continue };
            let timestamp = key
                .verify(&self.text, signature)
                .map_err(|_| Unverified::BadSignature(key.name().to_owned()))?;
            verified.push(Verified { key, signature, timestamp });
        }
        if verified.is_empty() { Err(Unverified::NoKnownKey) } else { Ok(verified) }
    }

    fn bounded(&self) -> Result<(), NoteError> {
        if self.signatures.is_empty() {
            return Err(NoteError::Unsigned);
        }
        if self.signatures.len() > MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        let length = self.to_string().len();
        if length > MAX_NOTE { Err(NoteError::TooLong(length)) } else { Ok(()) }
    }
}

/// Whether every character may stand in a note.
fn check(note: &str) -> Result<(), NoteError> {
    match note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
        true => Err(NoteError::ControlCharacter),
        false => Ok(()),
    }
}

/// The note as it is written.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

/// A signature by a key of this name and id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    name: String,
    id: u32,
    bytes: Vec<u8>,
}

/// Why a line is no signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("expected an em dash, a space, the name of a key, a space, and base64")]
    Form,
    #[error("expected the name of a key: not empty, without spaces and plus signs")]
    Name,
    #[error("expected the base64 of a key id of 4 bytes and a signature")]
    Base64,
}

impl Signature {
    /// The name of the key that is said to have made it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id of that key.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }
}

/// Reads a line, without the line feed at its end.
impl FromStr for Signature {
    type Err = SignatureError;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let line = line.strip_prefix("— ").ok_or(SignatureError::Form)?;
        let (name, base64) = line.split_once(' ').ok_or(SignatureError::Form)?;
        if !key::is_name(name) {
            return Err(SignatureError::Name);
        }
        let bytes = Base64::decode_vec(base64).map_err(|_| SignatureError::Base64)?;
        let (id, bytes) = bytes.split_first_chunk().ok_or(SignatureError::Base64)?;
        if bytes.is_empty() {
            return Err(SignatureError::Base64);
        }
        Ok(Self { name: name.to_owned(), id: u32::from_be_bytes(*id), bytes: bytes.to_owned() })
    }
}

/// The line, without the line feed at its end.
impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.id.to_be_bytes().as_slice(), &self.bytes].concat();
        write!(f, "— {} {}", self.name, Base64::encode_string(&bytes))
    }
}

#[cfg(test)]
mod tests;
