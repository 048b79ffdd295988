//! The proofs inside a decision: everything that needs no tree.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasher as _;

use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};

use super::base;
use crate::crypto::PublicKey;
use crate::denial::quoted;
use crate::evidence::record::{Decision, Jwk, Outcome, Proof};
use crate::evidence::redaction;
use crate::keys::thumbprint;
use crate::request::Request;
use crate::verify::FieldTypes;

/// How many keys are remembered: making one ready takes a fifth of the time of a verification.
const MAX_KEYS: usize = 1024;
/// How many allowed proofs are remembered, to find those that come again.
const MAX_ALLOWED: usize = 1 << 18;

/// What came of the proofs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Proofs {
    /// Their signature verifies.
    pub verified: u64,
    /// Their signature does not verify, and the record says so.
    pub refused: u64,
    /// Their signature verifies, and the record says that it does not; or the other way round.
    pub contradicted: u64,
    /// Nobody can check them without the values that are not shown.
    pub redacted: u64,
    /// They were part of an allow before: of the same log, or of another one that was read along with it.
    pub repeated: u64,
}

/// Checks proofs, one decision after the other.
#[derive(Debug, Clone, Default)]
pub struct ProofChecker {
    keys: HashMap<String, Known>,
    types: FieldTypes,
    allowed: Allowed,
}

/// The last proofs that were allowed, by a hash that differs from check to check: nobody can prepare two of the same.
#[derive(Debug, Clone, Default)]
struct Allowed {
    state: RandomState,
    hashes: HashSet<u64>,
    oldest_first: VecDeque<u64>,
}

impl Allowed {
    /// Whether it is there already.
    fn has_or_takes(&mut self, proof: &Proof<'_>) -> bool {
        let hash = self.state.hash_one((&proof.key.thumbprint, &proof.base));
        if !self.hashes.insert(hash) {
            return true;
        }
        self.oldest_first.push_back(hash);
        if self.oldest_first.len() > MAX_ALLOWED
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.hashes.remove(&oldest);
        }
        false
    }
}

/// A public key with the other members that it came with.
#[derive(Debug, Clone)]
struct Known {
    kty: String,
    crv: String,
    y: Option<String>,
    key: PublicKey,
    thumbprint: String,
}

impl ProofChecker {
    /// What in the decision contradicts itself, in words.
    pub fn check(&mut self, decision: &Decision<'_>, count: &mut Proofs) -> Vec<String> {
        let mut problems = consistency(decision);
        let request = decision.request.as_ref().map(base::request);
        for proof in &decision.proofs {
            if decision.decision == Outcome::Allow && self.allowed.has_or_takes(proof) {
                count.repeated = count.repeated.saturating_add(1);
            }
            if let Err(problem) = self.check_proof(proof, request.as_ref(), count) {
                problems.push(format!("the proof {}: {problem}", quoted(&proof.label)));
            }
        }
        problems
    }

    fn check_proof(
        &mut self,
        proof: &Proof<'_>,
        request: Option<&Request<'_>>,
        count: &mut Proofs,
    ) -> Result<(), String> {
        let request = request.ok_or("there is no request that it could be of")?;
        base::check(proof, request, &self.types)?;
        let known = self.key(&proof.key.jwk)?;
        if known.thumbprint != proof.key.thumbprint {
            return Err("the thumbprint is not the one of the key".to_owned());
        }
        if !proof.redacted.is_empty() {
            count.redacted = count.redacted.saturating_add(1);
            return proof.redacted.iter().try_for_each(|name| is_redacted(&proof.base, name));
        }
        let signature =
            Base64::decode_vec(&proof.signature).map_err(|_| "the signature is not base64".to_owned())?;
        let verifies = known.key.verify(proof.base.as_bytes(), &signature).is_ok();
        let counted = match (verifies, proof.verified) {
            (true, true) => &mut count.verified,
            (false, false) => &mut count.refused,
            _ => &mut count.contradicted,
        };
        *counted = counted.saturating_add(1);
        match (verifies, proof.verified) {
            (true, true) | (false, false) => Ok(()),
            (false, true) => {
                Err("the signature does not verify, and the record says that it does".to_owned())
            }
            (true, false) => Err("the signature verifies, and the record says that it does not".to_owned()),
        }
    }

    fn key(&mut self, jwk: &Jwk<'_>) -> Result<&Known, String> {
        let same = |known: &Known| {
            known.kty == jwk.kty && known.crv == jwk.crv && known.y.as_deref() == jwk.y.as_deref()
        };
        if !self.keys.get(jwk.x.as_ref()).is_some_and(same) {
            if self.keys.len() == MAX_KEYS {
                self.keys.clear();
            }
            let key = public_key(jwk)?;
            let known = Known {
                kty: jwk.kty.clone().into_owned(),
                crv: jwk.crv.clone().into_owned(),
                y: jwk.y.clone().map(Into::into),
                thumbprint: thumbprint(&key),
                key,
            };
            self.keys.insert(jwk.x.clone().into_owned(), known);
        }
        self.keys.get(jwk.x.as_ref()).ok_or_else(|| "the key cannot be used".to_owned())
    }
}

/// What a decision says must go together.
fn consistency(decision: &Decision<'_>) -> Vec<String> {
    let mut problems = Vec::new();
    let allows = decision.decision == Outcome::Allow;
    if allows && decision.proofs.iter().any(|proof| !proof.verified) {
        problems.push("it allows, with a proof that is not verified".to_owned());
    }
    if allows == decision.code.is_some() {
        let problem = if allows { "it allows, with a code of a denial" } else { "it does not say why not" };
        problems.push(problem.to_owned());
    }
    if decision.presented.is_some() && decision.proofs.iter().any(|proof| proof.verified) {
        problems.push("it has fields of which no proof was verified beside one that was".to_owned());
    }
    for (at, proof) in decision.proofs.iter().enumerate() {
        if decision.proofs.iter().take(at).any(|other| other.label == proof.label) {
            problems.push(format!("two proofs have the label {}", quoted(&proof.label)));
        }
    }
    approvals(decision, &mut problems);
    problems
}

/// Approvals are by different people, each by a proof that is there, of somebody with the role.
fn approvals(decision: &Decision<'_>, problems: &mut Vec<String>) {
    let mut people: Vec<&str> = Vec::new();
    for approval in &decision.approvals {
        let label = quoted(&approval.label);
        let Some(proof) =
            { decision.proofs.iter() }.find(|proof| proof.label == approval.label && proof.verified)
        else {
            problems.push(format!("an approval is the proof {label}, which is not there"));
            continue;
        };
        if let Some(role) = approval.role.as_ref().filter(|role| !proof.key.roles.contains(role)) {
            problems
                .push(format!("the proof {label} approves as {}, a role that its key has not", quoted(role)));
        }
        if people.contains(&&*proof.key.sub) {
            problems.push(format!("{} approves twice", quoted(&proof.key.sub)));
        }
        people.push(&proof.key.sub);
    }
}

/// The public key of a JWK.
///
/// # Errors
/// When it is none that this version knows, in words.
pub fn public_key(jwk: &Jwk<'_>) -> Result<PublicKey, String> {
    let coordinate = |text: &str| {
        Base64UrlUnpadded::decode_vec(text).map_err(|_| "the key is not in base64url".to_owned())
    };
    let key = match (jwk.kty.as_ref(), jwk.crv.as_ref(), &jwk.y) {
        ("OKP", "Ed25519", None) => PublicKey::ed25519(&coordinate(&jwk.x)?),
        ("EC", "P-256", Some(y)) => PublicKey::p256(&coordinate(&jwk.x)?, &coordinate(y)?),
        (_, curve, _) => return Err(format!("a key of the curve {} is not supported", quoted(curve))),
    };
    key.map_err(|error| format!("the key: {error}"))
}

fn is_redacted(base: &str, name: &str) -> Result<(), String> {
    let is_placeholder = |value: &str| {
        let hash = value.strip_prefix("sha-256=:").and_then(|rest| rest.strip_suffix(':'));
        hash.and_then(|hash| Base64::decode_vec(hash).ok()).is_some_and(|hash| hash.len() == 32)
    };
    let mut lines = redaction::lines(base).filter(|line| line.name == name).peekable();
    match lines.peek().is_some() && lines.all(|line| is_placeholder(line.value)) {
        true => Ok(()),
        false => Err(format!("the value of {} is not replaced by its hash", quoted(name))),
    }
}
