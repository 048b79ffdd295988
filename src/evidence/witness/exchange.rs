//! What a log and a witness say to each other: `add-checkpoint` of tlog-witness, without the wire.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Duration;

use base64ct::{Base64, Encoding as _};

use crate::evidence::checkpoint::decimal;
use crate::evidence::merkle::Hash;
use crate::evidence::note::{Note, NoteError, Signature, Unverified, VerifierKey};
use crate::timestamp::Timestamp;

/// How far a witness's clock may run ahead of ours.
const AHEAD: Duration = Duration::from_secs(24 * 60 * 60);

/// A witness stands for a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned {
    /// The checkpoint as it was submitted.
    pub checkpoint: Note,
    /// The cosignature, which verifies. [`Note::with`] adds it to the checkpoint.
    pub signature: Signature,
    /// When the witness made it, in seconds since the Unix epoch.
    pub timestamp: u64,
}

/// Why a witness did not cosign a checkpoint, or what is wrong with its cosignature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WitnessError {
    #[error("the witness cannot be reached: {0}")]
    Transport(String),
    #[error("the witness does not know the log (404)")]
    UnknownLog,
    #[error("the witness does not believe the signature of the log (403)")]
    Refused,
    /// See [`Self::contradicts`].
    #[error(
        "the witness cosigned a tree of {witness} leaves, and the log has {log} (409): the log was cut off, or another \
         one has its key"
    )]
    Ahead { witness: u64, log: u64 },
    /// See [`Self::contradicts`].
    #[error("the witness cosigned another tree of {0} leaves (409): the log was forked")]
    Forked(u64),
    /// See [`Self::contradicts`].
    #[error("the tree is not one that grew out of the tree of {0} leaves that the witness cosigned (422)")]
    Inconsistent(u64),
    #[error("the witness changes its mind: it cosigned {first} leaves, and then {second} (409)")]
    Unsteady { first: u64, second: u64 },
    #[error("the witness answers with status {0}")]
    Status(u16),
    #[error("the witness answers 409, and not with another tree size")]
    NoSize,
    #[error("the witness answers with no signature lines: {0}")]
    NoSignatures(NoteError),
    #[error("the cosignature: {0}")]
    Cosignature(#[from] Unverified),
    #[error("the cosignature is of another kind: it has no time")]
    NoTime,
    #[error("the cosignature says that it is {0} seconds after 1970, more than a day from now")]
    FromTheFuture(u64),
    #[error("the log cannot be read to prove that it grew out of {old} leaves: {error}")]
    NoProof { old: u64, error: String },
}

impl WitnessError {
    /// Whether the witness saw a tree of which this one is no continuation. Then either of them is not what it should be,
    /// and somebody has to know.
    #[must_use]
    pub const fn contradicts(&self) -> bool {
        matches!(self, Self::Ahead { .. } | Self::Forked(_) | Self::Inconsistent(_))
    }
}

/// What a witness answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Cosigned(Cosigned),
    /// It cosigned a tree of another size before. Without a size where it does not say which.
    Conflict(Option<u64>),
}

/// The body of a request: `proof` shows that the tree of the checkpoint grew out of the one of `old_size` leaves.
pub(super) fn request(old_size: u64, proof: &[Hash], checkpoint: &Note) -> String {
    let lines: String =
        proof.iter().flat_map(|hash| [Base64::encode_string(hash), "\n".to_owned()]).collect();
    format!("old {old_size}\n{lines}\n{checkpoint}")
}

/// Reads the answer to [`request`].
pub(super) fn answer(
    status: u16,
    body: &[u8],
    old_size: u64,
    checkpoint: &Note,
    key: &VerifierKey,
    now: Timestamp,
) -> Result<Answer, WitnessError> {
    match status {
        200 => cosigned(body, checkpoint, key, now).map(Answer::Cosigned),
        409 => Ok(Answer::Conflict(size(body))),
        403 => Err(WitnessError::Refused),
        404 => Err(WitnessError::UnknownLog),
        422 => Err(WitnessError::Inconsistent(old_size)),
        other => Err(WitnessError::Status(other)),
    }
}

/// The cosignature of the witness among the lines of its answer. Those of other keys are ignored.
fn cosigned(
    body: &[u8],
    checkpoint: &Note,
    key: &VerifierKey,
    now: Timestamp,
) -> Result<Cosigned, WitnessError> {
    let lines = [checkpoint.text().as_bytes(), b"\n", body].concat();
    let note = Note::parse(&lines).map_err(WitnessError::NoSignatures)?;
    // Lines that bring another text along are no answer to this request.
    if note.text() != checkpoint.text() {
        return Err(WitnessError::NoSignatures(NoteError::Unsigned));
    }
    let verified = note.verify(std::slice::from_ref(key))?;
    let newest =
        verified.iter().filter_map(|one| Some((one.timestamp?, one.signature))).max_by_key(|one| one.0);
    let (timestamp, signature) = newest.ok_or(WitnessError::NoTime)?;
    if Duration::from_secs(timestamp) > now.since_epoch().saturating_add(AHEAD) {
        return Err(WitnessError::FromTheFuture(timestamp));
    }
    Ok(Cosigned { checkpoint: checkpoint.clone(), signature: signature.clone(), timestamp })
}

/// The body of `text/x.tlog.size`.
fn size(body: &[u8]) -> Option<u64> {
    decimal(std::str::from_utf8(body).ok()?.strip_suffix('\n')?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{Algorithm, PrivateKey};
    use crate::evidence::note::{Cosigner, Signer};

    const NOW: u64 = 1_700_000_000;

    fn key(seed: u8) -> PrivateKey {
        PrivateKey::from_bytes(Algorithm::Ed25519, &[seed; 32]).unwrap()
    }

    fn witness() -> Cosigner {
        Cosigner::new("witness.example", key(2)).unwrap()
    }

    fn checkpoint() -> Note {
        let text = "log\n3\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n";
        Note::new(text.to_owned(), vec![Signer::new("log", key(1)).unwrap().sign(text)]).unwrap()
    }

    fn answered(status: u16, body: &str) -> Result<Answer, WitnessError> {
        let now = Timestamp::from_unix_seconds(NOW);
        answer(status, body.as_bytes(), 1, &checkpoint(), witness().verifier(), now)
    }

    #[test]
    fn a_request_has_an_old_size_a_proof_and_a_checkpoint() {
        let hash = "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=";
        let expected = format!("old 2\n{hash}\n{hash}\n\n{}", checkpoint());
        assert_eq!(request(2, &[[9; 32]; 2], &checkpoint()), expected);
        assert_eq!(request(0, &[], &checkpoint()), format!("old 0\n\n{}", checkpoint()));
    }

    #[test]
    fn the_cosignature_of_the_known_key_counts() {
        let text = checkpoint().text().to_owned();
        let line = witness().cosign(&text, NOW);
        let other = Cosigner::new("other.example", key(3)).unwrap().cosign("nothing\n", NOW);
        let expected =
            Answer::Cosigned(Cosigned { checkpoint: checkpoint(), signature: line.clone(), timestamp: NOW });
        assert_eq!(answered(200, &format!("{other}\n{line}\n")), Ok(expected));
        assert_eq!(answered(200, &format!("{other}\n")), Err(Unverified::NoKnownKey.into()));
        let false_one = witness().cosign("nothing\n", NOW);
        let refused = answered(200, &format!("{line}\n{false_one}\n"));
        assert_eq!(refused, Err(Unverified::BadSignature("witness.example".to_owned()).into()));
    }

    #[test]
    fn a_cosignature_may_be_of_tomorrow_but_not_of_the_day_after() {
        let text = checkpoint().text().to_owned();
        let made = |time| answered(200, &format!("{}\n", witness().cosign(&text, time)));
        assert!(made(NOW + 86_400).is_ok() && made(1).is_ok());
        assert_eq!(made(NOW + 86_401), Err(WitnessError::FromTheFuture(NOW + 86_401)));
    }

    #[test]
    fn what_is_no_answer_is_none() {
        for body in ["", "\n", "ok\n", "— witness.example AAAA\n"] {
            assert!(matches!(answered(200, body), Err(WitnessError::NoSignatures(_))), "{body:?}");
        }
        // A body that is a whole note is not one about this checkpoint.
        let another = "log\n4\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n";
        let body = format!("{another}\n{}\n", witness().cosign(another, NOW));
        assert!(matches!(answered(200, &body), Err(WitnessError::NoSignatures(_))));
    }

    #[test]
    fn statuses_say_why_not() {
        assert_eq!(answered(403, ""), Err(WitnessError::Refused));
        assert_eq!(answered(404, ""), Err(WitnessError::UnknownLog));
        assert_eq!(answered(422, ""), Err(WitnessError::Inconsistent(1)));
        assert_eq!(answered(302, ""), Err(WitnessError::Status(302)));
        assert_eq!(answered(409, "17\n"), Ok(Answer::Conflict(Some(17))));
        for body in ["", "17", "017\n", "-1\n", "17\n\n", "<html>"] {
            assert_eq!(answered(409, body), Ok(Answer::Conflict(None)), "{body:?}");
        }
    }
}
