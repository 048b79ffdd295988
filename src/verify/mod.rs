//! Is the claim true? Signature base, content digest, times, keys, algorithms.
//!
//! [`verify`] is the product. It reads from top to bottom, cheap checks first, and what it returns can be made in no
//! other way.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod base;
pub mod content_digest;
pub mod examination;
mod field_types;
pub(crate) mod freshness;
mod message;
mod requirement;

use std::sync::Arc;

pub use base::signature_base;
pub use field_types::{FieldType, FieldTypes};
pub use message::{Message, Response};
pub use requirement::{Acceptance, BodyRule, QueryRule, Requirement};

use crate::crypto::sha256;
use crate::denial::{Code, Denial, quoted};
use crate::keys::{Directory, Entry, Key, Person};
use crate::limits::Limits;
use crate::proof::{Claim, Proof, ProofFields};
use crate::timestamp::Timestamp;

/// A proof whose signature verified, with the key that made it.
#[derive(Debug)]
pub struct VerifiedProof<'a> {
    proof: Proof<'a>,
    key: Arc<Key>,
    person: Person,
    base_hash: [u8; 32],
    created: i64,
}

impl<'a> VerifiedProof<'a> {
    /// What was claimed.
    #[must_use]
    pub fn proof(&self) -> &Proof<'a> {
        &self.proof
    }

    /// The key that signed, with its owner.
    #[must_use]
    pub fn key(&self) -> &Arc<Key> {
        &self.key
    }

    /// SHA-256 over the signature base: which message was signed. Signature bytes could not say that, since an ECDSA
    /// signature can be turned into a second valid one.
    #[must_use]
    pub fn base_hash(&self) -> &[u8; 32] {
        &self.base_hash
    }

    /// Whose key it is.
    #[must_use]
    pub fn person(&self) -> Person {
        self.person
    }

    /// The `created` parameter.
    #[must_use]
    pub fn created(&self) -> i64 {
        self.created
    }

    /// The last second at which the proof is accepted by somebody who has so many seconds of patience. Clock skew is
    /// added; an `expires` cuts it short.
    #[must_use]
    pub fn usable_until(&self, max_age: i64, clock_skew: i64) -> i64 {
        let oldest = self.created.saturating_add(max_age).saturating_add(clock_skew);
        self.proof.parameters().expires.map_or(oldest, |expires| oldest.min(expires))
    }
}

/// The proofs of a request that count, every one of them verified. There is at least one.
///
/// Only [`verify`] makes one:
///
/// ```compile_fail
/// let forged = proof_messenger_relay::verify::Verified { proofs: Vec::new() };
/// ```
#[derive(Debug)]
pub struct Verified<'a> {
    proofs: Vec<VerifiedProof<'a>>,
}

impl<'a> Verified<'a> {
    /// The proofs, in the order of their labels.
    #[must_use]
    pub fn proofs(&self) -> &[VerifiedProof<'a>] {
        &self.proofs
    }

    /// Whether every proof covers the whole value of the field.
    #[must_use]
    pub fn covers_field(&self, name: &str) -> bool {
        self.proofs.iter().all(|verified| requirement::covers_field(verified.proof.components(), name))
    }
}

/// A signature that was checked, and what came of it: what anybody needs to check it again.
///
/// It is no [`VerifiedProof`]: nothing is decided by it.
#[derive(Debug, Clone)]
pub struct CheckedSignature {
    /// The label in `Signature-Input`.
    pub label: Box<str>,
    /// The signature base.
    pub base: String,
    pub signature: Box<[u8]>,
    pub key: Arc<Key>,
    /// Whether the signature is one over the base by the key.
    pub verified: bool,
}

/// Verifies the proofs of a message: those with the required tag, or all where no tag is required.
///
/// Every proof that counts must be valid. One that does not verify is not outweighed by another that does.
///
/// # Errors
/// The first reason to refuse. No signature is checked before everything cheaper was.
pub fn verify<'a>(
    fields: &'a ProofFields<'_>,
    message: &Message<'_>,
    requirement: &Requirement,
    keys: &Directory,
    limits: &Limits,
    now: Timestamp,
) -> Result<Verified<'a>, Denial> {
    verify_noting(fields, message, requirement, keys, limits, now, None)
}

/// As [`verify`], and notes each signature that was checked, whatever comes of the proofs.
///
/// # Errors
/// As [`verify`].
pub fn verify_noting<'a>(
    fields: &'a ProofFields<'_>,
    message: &Message<'_>,
    requirement: &Requirement,
    keys: &Directory,
    limits: &Limits,
    now: Timestamp,
    mut checked: Option<&mut Vec<CheckedSignature>>,
) -> Result<Verified<'a>, Denial> {
    let body = requirement.body_to_verify(message.request())?;
    let mut candidates: Vec<(Proof<'_>, &Entry, i64)> = Vec::new();
    for claim in counted(fields.claims(limits)?, requirement)? {
        let proof = claim.proof()?;
        requirement.check_coverage(&proof, message.request())?;
        requirement.check_parameters(&proof)?;
        let created = freshness::check(proof.parameters(), requirement, now)?;
        let entry = find_key(&proof, keys, now)?;
        check_is_no_copy(&proof, candidates.iter().map(|(known, ..)| known))?;
        candidates.push((proof, entry, created));
    }
    let mut proofs = Vec::with_capacity(candidates.len());
    for (proof, Entry { key, person }, created) in candidates {
        let base = signature_base(&proof, message, limits)?;
        let base_hash = check_signature(&proof, key, &base).map(|()| sha256(base.as_bytes()));
        if let Some(checked) = &mut checked {
            let (label, signature) = (proof.label().into(), proof.signature().into());
            let (key, verified) = (Arc::clone(key), base_hash.is_ok());
            checked.push(CheckedSignature { label, base, signature, key, verified });
        }
        let base_hash = base_hash?;
        let (key, person) = (Arc::clone(key), *person);
        proofs.push(VerifiedProof { proof, key, person, base_hash, created });
    }
    // After the signatures: hashing a large body is the dearest step, and the digest that it must match is proven.
    if let Some(body) = body {
        content_digest::check_fields(&message.request().fields, body)?;
    }
    Ok(Verified { proofs })
}

/// The claims that the requirement counts.
fn counted<'a>(claims: Vec<Claim<'a>>, requirement: &Requirement) -> Result<Vec<Claim<'a>>, Denial> {
    if claims.is_empty() {
        return Err(Denial::new(Code::ProofMissing, requirement.asked_for()));
    }
    if requirement.tags.is_empty() {
        return Ok(claims);
    }
    let tagged: Vec<_> = claims.into_iter().filter(|claim| requirement.counts(claim)).collect();
    if tagged.is_empty() {
        let tags: Vec<String> = requirement.tags.iter().map(|tag| format!("{tag:?}")).collect();
        return Err(Denial::new(
            Code::TagMismatch,
            format!("this resource requires a proof with the tag {}", tags.join(" or ")),
        ));
    }
    Ok(tagged)
}

/// One captured signature under many labels would cost a check for each.
fn check_is_no_copy<'p, 'a: 'p>(
    proof: &Proof<'_>,
    mut known: impl Iterator<Item = &'p Proof<'a>>,
) -> Result<(), Denial> {
    if known.any(|known| known.signature() == proof.signature()) {
        return Err(Denial::new(Code::ProofMalformed, "one signature stands under two labels"));
    }
    Ok(())
}

fn check_signature(proof: &Proof<'_>, key: &Key, base: &str) -> Result<(), Denial> {
    key.public.verify(base.as_bytes(), proof.signature()).map_err(|_| {
        let label = quoted(proof.label());
        Denial::new(
            Code::SignatureInvalid,
            format!("the signature {label} is not one of this request by the named key"),
        )
        .with_particulars(format!("key {} of {}", key.id, key.subject))
    })
}

/// The key that the proof names, if it may be used now and might have been used then.
fn find_key<'k>(proof: &Proof<'_>, keys: &'k Directory, now: Timestamp) -> Result<&'k Entry, Denial> {
    let label = || quoted(proof.label());
    let parameters = proof.parameters();
    let Some(id) = parameters.keyid.as_deref() else {
        // Never "try all keys": which key signs is part of what is signed.
        return Err(Denial::new(
            Code::ProofMalformed,
            format!("the proof {} names no key: keyid is missing", label()),
        ));
    };
    let entry = keys.find(id).ok_or_else(|| {
        Denial::new(Code::KeyUnknown, format!("the proof {} names a key that is not known here", label()))
            .with_particulars(format!("keyid {}", quoted(id)))
    })?;
    let key = &entry.key;
    let particulars = || format!("key {} of {}", key.id, key.subject);
    let now = now.unix_seconds();
    if key.revoked_at.is_some_and(|revoked_at| revoked_at <= now) {
        return Err(Denial::new(Code::KeyRevoked, format!("the key of the proof {} is revoked", label()))
            .with_particulars(particulars()));
    }
    let valid_at = |time: i64| {
        key.not_before.is_none_or(|not_before| not_before <= time)
            && key.expires.is_none_or(|expires| time < expires)
    };
    if !valid_at(now) || !parameters.created.is_none_or(valid_at) {
        let detail = format!("the key of the proof {} is not valid now, or was not when it signed", label());
        return Err(Denial::new(Code::KeyNotValidNow, detail).with_particulars(particulars()));
    }
    // RFC 9421 §3.2: the algorithm comes from the key. A message that says otherwise is refused, never followed.
    let algorithm = key.public.algorithm().name();
    match parameters.alg.as_deref() {
        Some(alg) if alg != algorithm => {
            let detail =
                format!("the proof {} says alg {:?}: its key is for another one", label(), quoted(alg));
            Err(Denial::new(Code::AlgorithmMismatch, detail)
                .with_particulars(format!("{}, which is for {algorithm}", particulars())))
        }
        _ => Ok(entry),
    }
}
