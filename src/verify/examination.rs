//! Every check of each proof, made by itself: for people who want to know all that is wrong, not only the first.
//!
//! These are the checks of [`verify`](super::verify), and nothing here makes a proof a verified one.

use std::sync::Arc;

use super::requirement::covers_field;
use super::{
    Message, Requirement, check_is_no_copy, check_signature, content_digest, find_key, freshness,
    signature_base,
};
use crate::denial::Denial;
use crate::keys::{Directory, Key};
use crate::limits::Limits;
use crate::proof::{Proof, ProofFields};
use crate::timestamp::Timestamp;

/// What stands under one label.
#[derive(Debug)]
pub struct Examination<'a> {
    pub label: &'a str,
    pub tag: Option<String>,
    /// Whether it is among the proofs that must be valid.
    pub counts: bool,
    /// The proof with its checks, or why it cannot be read.
    pub proof: Result<Examined<'a>, Denial>,
}

/// A proof that could be read.
#[derive(Debug)]
pub struct Examined<'a> {
    pub proof: Proof<'a>,
    /// Everything that it does not cover.
    pub gaps: Vec<Denial>,
    /// Every parameter that it lacks.
    pub lacking: Vec<Denial>,
    /// When it was created.
    pub freshness: Result<i64, Denial>,
    /// The key of that id, whether it may be used or not.
    pub key: Option<Arc<Key>>,
    pub key_usable: Result<(), Denial>,
    /// That no proof before it has the same signature.
    pub no_copy: Result<(), Denial>,
    pub base: Result<String, Denial>,
    /// Nothing where there is no key or no base.
    pub signature: Option<Result<(), Denial>>,
}

impl Examined<'_> {
    /// Whether it covers the whole value of the field.
    #[must_use]
    pub fn covers_field(&self, name: &str) -> bool {
        covers_field(self.proof.components(), name)
    }
}

/// Examines every proof of a message, in the order of their labels.
///
/// # Errors
/// When the fields that carry proofs cannot be read.
pub fn examine<'a>(
    fields: &'a ProofFields<'_>,
    message: &Message<'_>,
    requirement: &Requirement,
    keys: &Directory,
    limits: &Limits,
    now: Timestamp,
) -> Result<Vec<Examination<'a>>, Denial> {
    let mut examinations: Vec<Examination<'a>> = Vec::new();
    for claim in fields.claims(limits)? {
        let (label, tag, counts) =
            (claim.label(), claim.tag().map(str::to_owned), requirement.counts(&claim));
        let proof = claim.proof().map(|proof| {
            let gaps = all(|found| requirement.gaps(&proof, message.request(), found));
            let lacking = all(|found| requirement.lacking_parameters(&proof, found));
            let counted = examinations.iter().filter(|known| known.counts);
            let known = counted.filter_map(|known| known.proof.as_ref().ok().map(|known| &known.proof));
            let no_copy = check_is_no_copy(&proof, known);
            let id = proof.parameters().keyid.as_deref();
            let key = id.and_then(|id| keys.find(id)).map(|entry| Arc::clone(&entry.key));
            let base = signature_base(&proof, message, limits);
            let signature = match (&key, &base) {
                (Some(key), Ok(base)) => Some(check_signature(&proof, key, base)),
                _ => None,
            };
            Examined {
                gaps,
                lacking,
                freshness: freshness::check(proof.parameters(), requirement, now),
                key,
                key_usable: find_key(&proof, keys, now).map(|_| ()),
                no_copy,
                base,
                signature,
                proof,
            }
        });
        examinations.push(Examination { label, tag, counts, proof });
    }
    Ok(examinations)
}

/// Whether the body is bound as the requirement asks, signatures aside; nothing where no digest has to hold.
///
/// # Errors
/// As [`verify`](super::verify).
pub fn examine_body(message: &Message<'_>, requirement: &Requirement) -> Result<Option<()>, Denial> {
    let request = message.request();
    requirement
        .body_to_verify(request)?
        .map(|body| content_digest::check_fields(&request.fields, body))
        .transpose()
}

/// Everything that a check finds.
fn all(
    check: impl FnOnce(&mut dyn FnMut(Denial) -> Result<(), Denial>) -> Result<(), Denial>,
) -> Vec<Denial> {
    let mut all = Vec::new();
    let last = check(&mut |denial| {
        all.push(denial);
        Ok(())
    });
    all.extend(last.err());
    all
}
