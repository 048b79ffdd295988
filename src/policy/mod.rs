//! Is a true claim enough here? Which policy a request falls under, and what it asks for.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod approvals;
mod challenge;
mod condition;
mod index;
mod matching;
mod path;
mod policies;
mod protect;
mod submission;

use std::sync::Arc;

pub use approvals::{Approvals, Needed, Place, Submitter};
pub use challenge::Challenge;
pub use condition::{Condition, Facts, Mistake, Reads};
pub use matching::{HostPattern, Match, Mismatch, PatternError, Target};
pub use path::{Path, PathPattern};
pub use policies::Policies;
pub use protect::{Protect, ProtectBy};
pub use submission::Submission;

use crate::denial::{Code, Denial};
use crate::keys::Key;
use crate::limits::Limits;
use crate::request::Request;
use crate::timestamp::Timestamp;
use crate::verify::{FieldTypes, Message, Requirement, Verified, VerifiedProof};

/// One rule: which requests it matches and what they must prove.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Its name, in logs, headers and metadata.
    pub name: Arc<str>,
    /// The requests it matches. Without one, a route has to name the policy.
    pub matching: Option<Match>,
    /// What must hold besides for the policy to apply. Where it does not, the policies below decide.
    pub condition: Option<Condition>,
    /// What a request must prove.
    pub terms: Terms,
    /// Whether its decisions bind.
    pub mode: Mode,
    /// Fields that the backend trusts.
    pub protect: Protect,
    /// The scheme and authority that clients sign, where they are not those that the proxy sees.
    pub external: External,
    /// Whether upgrades and CONNECT may pass. What follows them is not verified.
    pub upgrades: bool,
    /// What becomes of an allowed request that cannot be recorded.
    pub evidence: Evidence,
}

/// What becomes of an allowed request that cannot be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Evidence {
    /// It is denied.
    #[default]
    Required,
    /// It passes, marked.
    BestEffort,
}

/// What a request must prove.
#[derive(Debug, Clone)]
pub enum Terms {
    /// Nothing.
    Open,
    /// That it was signed.
    Proof {
        /// What every proof that counts must say.
        requirement: Requirement,
        /// What makes a proof the submission of the request.
        submission: Submission,
        /// Who must approve it; where there are none, every proof is a submission.
        approvals: Option<Approvals>,
        /// Whom a receipt is for, where the backend gets one.
        receipt_for: Option<Box<str>>,
    },
}

/// Whether a policy's decisions bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Enforce,
    /// Decide, record and mark, but deny nothing, and leave the decision to a policy below that enforces.
    Observe,
}

/// What signers call the resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct External {
    pub scheme: Option<Box<str>>,
    pub authority: Option<Box<str>>,
}

/// A proof that counts, as the replay guard has to remember it and a receipt tells of it.
#[derive(Debug, Clone)]
pub struct SpentProof {
    pub label: Box<str>,
    pub key: Arc<Key>,
    /// The nonce, where the proof has one.
    pub nonce: Option<Box<str>>,
    pub base_hash: [u8; 32],
    /// The `created` and `expires` parameters.
    pub created: i64,
    pub expires: Option<i64>,
}

/// A request whose proofs are true and enough. Whether they were used before is still open.
///
/// Only [`Policy::permit`] makes one, from what only the verifier makes.
#[derive(Debug)]
pub struct Permitted {
    proofs: Vec<SpentProof>,
    usable_until: i64,
    remove: Vec<String>,
}

impl Permitted {
    /// The proofs that the policy asked for, in the order of the labels.
    #[must_use]
    pub fn proofs(&self) -> &[SpentProof] {
        &self.proofs
    }

    /// The last second at which they are enough.
    #[must_use]
    pub fn usable_until(&self) -> i64 {
        self.usable_until
    }

    /// The keys that made them.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.proofs.iter().map(|proof| proof.key.as_ref())
    }

    /// Names of fields that must not reach the backend.
    #[must_use]
    pub fn fields_to_remove(&self) -> &[String] {
        &self.remove
    }
}

/// A request that needs no proof.
///
/// Only [`Policy::open`] makes one.
#[derive(Debug)]
pub struct Open {
    remove: Vec<String>,
}

impl Open {
    /// Names of fields that must not reach the backend.
    #[must_use]
    pub fn fields_to_remove(&self) -> &[String] {
        &self.remove
    }
}

impl Policy {
    /// Refuses what the policy does not let in whatever the proof.
    ///
    /// # Errors
    /// `upgrade-refused`.
    pub fn admit(&self, request: &Request<'_>) -> Result<(), Denial> {
        if request.upgrade && !self.upgrades {
            return Err(Denial::new(
                Code::UpgradeRefused,
                "what follows an upgrade or CONNECT cannot be verified",
            ));
        }
        Ok(())
    }

    /// Lets a request pass without proof, where the policy asks for none.
    ///
    /// # Errors
    /// `field-uncovered`; or `proof-missing`, where the policy does ask for one.
    pub fn open(&self, request: &Request<'_>) -> Result<Open, Denial> {
        match self.terms {
            Terms::Open => Ok(Open { remove: self.protected(request, |_| false)? }),
            Terms::Proof { .. } => {
                Err(Denial::new(Code::ProofMissing, "this resource requires a signed request"))
            }
        }
    }

    /// What proofs must say, where the policy asks for any.
    #[must_use]
    pub fn requirement(&self) -> Option<&Requirement> {
        match &self.terms {
            Terms::Open => None,
            Terms::Proof { requirement, .. } => Some(requirement),
        }
    }

    /// Whom a receipt is for, where the backend gets one.
    #[must_use]
    pub fn receipt_for(&self) -> Option<&str> {
        match &self.terms {
            Terms::Open => None,
            Terms::Proof { receipt_for, .. } => receipt_for.as_deref(),
        }
    }

    /// The request as its signers saw it.
    #[must_use]
    pub fn message<'a>(&'a self, request: &'a Request<'a>, field_types: &'a FieldTypes) -> Message<'a> {
        let External { scheme, authority } = &self.external;
        Message::new(request, field_types).with_external(scheme.as_deref(), authority.as_deref())
    }

    /// Whether the policy is for this request, as far as its condition says. One that is about the signers holds until
    /// the proofs are verified.
    ///
    /// # Errors
    /// As [`Condition::holds`]: a condition that cannot be evaluated leaves nothing to the policies below.
    pub fn applies(
        &self,
        facts: &Facts<'_>,
        verified: Option<&Verified<'_>>,
        limits: &Limits,
    ) -> Result<bool, Denial> {
        match &self.condition {
            // Each condition is evaluated once.
            Some(condition) if condition.reads().signers == verified.is_some() => {
                condition.holds(facts, verified, limits.condition_steps)
            }
            _ => Ok(true),
        }
    }

    /// Whether a proof is a submission of the request: the last second at which it is.
    ///
    /// # Errors
    /// Why it is none: `tag-mismatch`, `proof-too-old`, `signer-not-permitted`.
    pub fn submission(&self, proof: &VerifiedProof<'_>, now: Timestamp) -> Result<i64, Denial> {
        match &self.terms {
            Terms::Open => Ok(i64::MAX),
            Terms::Proof { submission, .. } => submission.check(proof, now),
        }
    }

    /// Who gives which approval, where the policy asks for any: for people to read.
    #[must_use]
    pub fn approvals_given<'p>(&'p self, verified: &'p Verified<'_>, now: Timestamp) -> Vec<Place<'p>> {
        match &self.terms {
            Terms::Proof { submission, approvals: Some(approvals), .. } => {
                approvals.shared_out(submission, verified.proofs(), now)
            }
            _ => Vec::new(),
        }
    }

    /// What becomes of protected fields: the names of those to remove.
    ///
    /// # Errors
    /// `field-uncovered`.
    pub fn protected(
        &self,
        request: &Request<'_>,
        covered: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, Denial> {
        self.protect.check(&request.fields, covered)
    }

    /// Decides whether verified proofs are enough.
    ///
    /// # Errors
    /// `signer-not-permitted`, `approvals-insufficient` and `field-uncovered`.
    pub fn permit(
        &self,
        verified: &Verified<'_>,
        request: &Request<'_>,
        now: Timestamp,
    ) -> Result<Permitted, Denial> {
        let proofs = verified.proofs();
        let usable_until = match &self.terms {
            Terms::Open => i64::MAX,
            Terms::Proof { submission, approvals: None, .. } => submission.check_all(proofs, now)?,
            Terms::Proof { submission, approvals: Some(approvals), .. } => {
                approvals.check(submission, proofs, now)?
            }
        };
        // Where others approve, a proof that is neither a submission nor an approval says nothing.
        let counts = |proof: &&VerifiedProof<'_>| match &self.terms {
            Terms::Proof { submission, approvals: Some(approvals), .. } => {
                submission.takes(proof, now).is_some() || approvals.takes(submission, proof, now)
            }
            _ => true,
        };
        let remove = self.protected(request, |name| verified.covers_field(name))?;
        let spent = proofs.iter().filter(counts).map(|proof| SpentProof {
            label: proof.proof().label().into(),
            key: Arc::clone(proof.key()),
            nonce: proof.proof().parameters().nonce.as_deref().map(Into::into),
            base_hash: *proof.base_hash(),
            created: proof.created(),
            expires: proof.proof().parameters().expires,
        });
        Ok(Permitted { proofs: spent.collect(), usable_until, remove })
    }
}
