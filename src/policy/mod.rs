//! Is a true claim enough here? Which policy a request falls under, and what it asks for.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod challenge;
mod matching;
mod path;
mod protect;

use std::collections::HashMap;
use std::sync::Arc;

pub use challenge::Challenge;
pub use matching::{HostPattern, Match, PatternError};
pub use path::{Path, PathPattern};
pub use protect::{Protect, ProtectBy};

use crate::denial::{Code, Denial, quoted};
use crate::keys::Key;
use crate::request::Request;
use crate::verify::{FieldTypes, Message, Requirement, Verified};

/// One rule: which requests it matches and what they must prove.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Its name, in logs, headers and metadata.
    pub name: Arc<str>,
    /// The requests it matches. Without one, a route has to name the policy.
    pub matching: Option<Match>,
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
}

/// What a request must prove.
#[derive(Debug, Clone)]
pub enum Terms {
    /// Nothing.
    Open,
    /// That it was signed.
    Proof {
        /// What the proofs must say.
        requirement: Requirement,
        /// Roles of which each signer must hold one; any signer where there are none.
        roles: Vec<Box<str>>,
    },
}

/// Whether a policy's decisions bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Enforce,
    /// Decide, record and mark, but let the request pass.
    Observe,
}

/// What signers call the resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct External {
    pub scheme: Option<Box<str>>,
    pub authority: Option<Box<str>>,
}

/// A proof as the replay guard has to remember it.
#[derive(Debug, Clone)]
pub struct SpentProof {
    pub key: Arc<Key>,
    /// The nonce, where the proof has one.
    pub nonce: Option<Box<str>>,
    pub base_hash: [u8; 32],
    /// The `created` and `expires` parameters.
    pub created: i64,
    pub expires: Option<i64>,
    /// The last second at which the policy accepts it.
    pub usable_until: i64,
}

/// A request whose proofs are true and enough. Whether they were used before is still open.
///
/// Only [`Policy::permit`] makes one, from what only the verifier makes.
#[derive(Debug)]
pub struct Permitted {
    proofs: Vec<SpentProof>,
    remove: Vec<String>,
}

impl Permitted {
    #[must_use]
    pub fn proofs(&self) -> &[SpentProof] {
        &self.proofs
    }

    /// The keys that signed, in the order of the labels.
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
            Terms::Open => Ok(Open { remove: self.protect.check(&request.fields, |_| false)? }),
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

    /// The request as its signers saw it.
    #[must_use]
    pub fn message<'a>(&'a self, request: &'a Request<'a>, field_types: &'a FieldTypes) -> Message<'a> {
        let External { scheme, authority } = &self.external;
        Message::new(request, field_types).with_external(scheme.as_deref(), authority.as_deref())
    }

    /// Decides whether verified proofs are enough.
    ///
    /// # Errors
    /// `signer-not-permitted` and `field-uncovered`.
    pub fn permit(&self, verified: &Verified<'_>, request: &Request<'_>) -> Result<Permitted, Denial> {
        if let Terms::Proof { roles, .. } = &self.terms
            && !roles.is_empty()
        {
            for proof in verified.proofs() {
                let key = proof.key();
                if !roles.iter().any(|role| key.roles.contains(role)) {
                    return Err(Denial::new(
                        Code::SignerNotPermitted,
                        "a signer may not approve this request",
                    )
                    .with_particulars(format!(
                        "key {} of {} holds none of the roles {roles:?}",
                        key.id, key.subject
                    )));
                }
            }
        }
        let remove = self.protect.check(&request.fields, |name| verified.covers_field(name))?;
        let spent = verified.proofs().iter().map(|proof| SpentProof {
            key: Arc::clone(proof.key()),
            nonce: proof.proof().parameters().nonce.as_deref().map(Into::into),
            base_hash: *proof.base_hash(),
            created: proof.proof().parameters().created.unwrap_or_default(),
            expires: proof.proof().parameters().expires,
            usable_until: proof.usable_until(),
        });
        Ok(Permitted { proofs: spent.collect(), remove })
    }
}

/// Every policy, in order.
#[derive(Debug, Default)]
pub struct Policies {
    policies: Vec<Policy>,
    by_name: HashMap<Arc<str>, usize>,
}

impl Policies {
    #[must_use]
    pub fn new(policies: Vec<Policy>) -> Self {
        let by_name =
            policies.iter().enumerate().map(|(at, policy)| (Arc::clone(&policy.name), at)).collect();
        Self { policies, by_name }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.policies.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// For how many seconds after `created` a proof is accepted somewhere.
    #[must_use]
    pub fn longest_acceptance(&self) -> i64 {
        let accepted = |policy: &Policy| policy.requirement().map(Requirement::longest_acceptance);
        self.policies.iter().filter_map(accepted).max().unwrap_or_default()
    }

    /// The policy that the route names, if it matches; else the first that matches.
    ///
    /// # Errors
    /// `no-policy`: what nobody thought of is denied. `path-ambiguous`: a path that the backend may read differently
    /// could be another resource, under another policy.
    pub fn choose(&self, request: &Request<'_>) -> Result<&Policy, Denial> {
        let path = Path::parse(request)?;
        let authority = request.normalized_authority();
        let matches = |matching: &Match| matching.matches(request.method, request.scheme, &authority, &path);
        let chosen = match request.route_policy {
            Some(name) => self
                .by_name
                .get(name)
                .and_then(|at| self.policies.get(*at))
                .filter(|policy| policy.matching.as_ref().is_none_or(matches)),
            None => self.policies.iter().find(|policy| policy.matching.as_ref().is_some_and(matches)),
        };
        chosen.ok_or_else(|| {
            let (method, path) = (quoted(request.method), quoted(request.path()));
            Denial::new(Code::NoPolicy, "no policy matches this request")
                .with_particulars(format!("{method} {}{path}", quoted(&authority)))
        })
    }
}
