//! When a proof may be used: `created`, `expires` and the policy's patience.

use super::Requirement;
use crate::denial::{Code, Denial};
use crate::proof::Parameters;
use crate::timestamp::Timestamp;

/// Checks the times of a proof, and returns when it was created.
///
/// Only the signature's own parameters count: a `Date` header says when a message left, not when it was signed.
pub(super) fn check(
    parameters: &Parameters<'_>,
    requirement: &Requirement,
    now: Timestamp,
) -> Result<i64, Denial> {
    let now = now.unix_seconds();
    let Requirement { max_age, clock_skew, .. } = *requirement;
    let Some(created) = parameters.created else {
        return Err(Denial::new(Code::ProofMalformed, "the proof has no time: created is missing"));
    };
    if created > now.saturating_add(clock_skew) {
        let ahead = created.saturating_sub(now);
        // The mistake that many clients begin with.
        let hint = if created / 1000 >= now / 2 { "; it looks like milliseconds" } else { "" };
        let detail =
            format!("created lies {ahead} s in the future: at most {clock_skew} s are allowed{hint}");
        return Err(Denial::new(Code::ProofFromFuture, detail));
    }
    if now > created.saturating_add(requirement.acceptance().after) {
        return Err(too_old(created, now, max_age));
    }
    // `expires` is the signer's own last word: no skew is added to it, and it never makes a proof last longer.
    match parameters.expires {
        Some(expires) if now > expires => {
            let ago = now.saturating_sub(expires);
            Err(Denial::new(Code::ProofExpired, format!("the proof expired {ago} s ago")))
        }
        _ => Ok(created),
    }
}

/// The denial of a proof that was created too long ago.
pub(crate) fn too_old(created: i64, now: i64, max_age: i64) -> Denial {
    let age = now.saturating_sub(created);
    Denial::new(
        Code::ProofTooOld,
        format!("the proof was created {age} s ago: at most {max_age} s are allowed"),
    )
}
