//! What makes a proof the submission of a request: somebody asks for it, now.

use crate::denial::{Code, Denial};
use crate::timestamp::Timestamp;
use crate::verify::VerifiedProof;
use crate::verify::freshness::too_old;

/// What a submission must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The tag that it has; any or none where nothing is said.
    pub tag: Option<Box<str>>,
    /// Seconds after `created` for which it is accepted.
    pub max_age: i64,
    /// Seconds by which clocks may differ. It is added to the age of approvals as well.
    pub clock_skew: i64,
    /// Roles of which the submitter holds one; any submitter where there are none.
    pub roles: Vec<Box<str>>,
}

impl Submission {
    /// Whether the proof is a submission: then the last second at which it is.
    ///
    /// # Errors
    /// `tag-mismatch`, `signer-not-permitted`, `proof-too-old`.
    pub(super) fn check(&self, proof: &VerifiedProof<'_>, now: Timestamp) -> Result<i64, Denial> {
        if !has_tag(proof, self.tag.as_deref()) {
            return Err(Denial::new(Code::TagMismatch, "no proof has the tag of a submission"));
        }
        let key = proof.key();
        if !self.roles.is_empty() && !self.roles.iter().any(|role| key.roles.contains(role)) {
            let (id, subject, roles) = (&key.id, &key.subject, &self.roles);
            return Err(Denial::new(Code::SignerNotPermitted, "a signer may not submit this request")
                .with_particulars(format!("key {id} of {subject} holds none of the roles {roles:?}")));
        }
        let until = proof.usable_until(self.max_age, self.clock_skew);
        if until < now.unix_seconds() {
            return Err(too_old(proof.created(), now.unix_seconds(), self.max_age));
        }
        Ok(until)
    }

    /// Whether all are submissions: then the last second at which they are.
    pub(super) fn check_all(&self, proofs: &[VerifiedProof<'_>], now: Timestamp) -> Result<i64, Denial> {
        proofs.iter().try_fold(i64::MAX, |until, proof| Ok(until.min(self.check(proof, now)?)))
    }

    /// The last second at which the proof is a submission, if it is one.
    pub(super) fn takes(&self, proof: &VerifiedProof<'_>, now: Timestamp) -> Option<i64> {
        self.check(proof, now).ok()
    }
}

/// Whether the proof has the tag that is asked for, if one is.
pub(super) fn has_tag(proof: &VerifiedProof<'_>, tag: Option<&str>) -> bool {
    tag.is_none_or(|tag| proof.proof().parameters().tag.as_deref() == Some(tag))
}
