//! What a proof must say to count.

use crate::denial::{Code, Denial, quoted};
use crate::proof::{Claim, Component, FieldForm, Name, Proof};
use crate::request::{Body, Request, is_same_to_backends};

/// Required nonces are of at least this many bytes: 96 bits in base64.
const MIN_NONCE_BYTES: usize = 16;

/// What every proof that counts must cover and say, and how old it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Components that must be covered, besides what `body` and `query` ask for.
    pub cover: Vec<Name<'static>>,
    /// How the body is bound.
    pub body: BodyRule,
    /// How the query is bound.
    pub query: QueryRule,
    /// Count only proofs with one of these tags; all proofs where there is none.
    pub tags: Vec<Box<str>>,
    /// Seconds after `created` for which a proof is accepted.
    pub max_age: i64,
    /// Seconds by which the clocks of signer and relay may differ, either way.
    pub clock_skew: i64,
    /// `nonce` must be there, and long enough to be unique.
    pub nonce_required: bool,
    /// `expires` must be there.
    pub expires_required: bool,
}

impl Default for Requirement {
    fn default() -> Self {
        Self {
            cover: vec![Name::Method, Name::TargetUri],
            body: BodyRule::Bound,
            query: QueryRule::Bound,
            tags: Vec::new(),
            max_age: 300,
            clock_skew: 30,
            nonce_required: false,
            expires_required: false,
        }
    }
}

/// How the body is bound to the proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyRule {
    /// A body must match a covered `Content-Digest`.
    Bound,
    /// There must be no body.
    None,
    /// A body may go unsigned; a digest that is there must match all the same.
    Free,
}

/// How the query is bound to the proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryRule {
    /// A query must be covered whole.
    Bound,
    /// A query may go unsigned.
    Free,
}

/// For how long proofs are accepted, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Acceptance {
    /// After `created`: `max_age` and `clock_skew` together.
    pub after: i64,
    /// Before `created`: `clock_skew`.
    pub before: i64,
}

impl Acceptance {
    /// What either of them accepts.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { after: self.after.max(other.after), before: self.before.max(other.before) }
    }
}

impl Requirement {
    /// For how long a proof is accepted.
    pub(crate) fn acceptance(&self) -> Acceptance {
        Acceptance { after: self.max_age.saturating_add(self.clock_skew), before: self.clock_skew }
    }

    /// The body whose digest must be checked, or nothing where no digest has to hold.
    pub(super) fn body_to_verify<'a>(&self, request: &Request<'a>) -> Result<Option<&'a [u8]>, Denial> {
        let digest_is_there = request.fields.contains("content-digest");
        match self.body {
            BodyRule::Free if !digest_is_there => Ok(None),
            BodyRule::Free => Ok(Some(request.body.bytes()?)),
            BodyRule::None => match request.body.bytes()? {
                [] => Ok(digest_is_there.then_some(&[])),
                body => {
                    let detail = format!("this resource takes no body, and {} bytes came", body.len());
                    Err(Denial::new(Code::RequestMalformed, detail))
                }
            },
            BodyRule::Bound => {
                let body = request.body.bytes()?;
                Ok((digest_is_there || !body.is_empty()).then_some(body))
            }
        }
    }

    /// Whether the claim is among those that must be valid.
    pub(super) fn counts(&self, claim: &Claim<'_>) -> bool {
        self.tags.is_empty() || claim.tag().is_some_and(|tag| self.tags.iter().any(|known| **known == *tag))
    }

    pub(super) fn check_coverage(&self, proof: &Proof<'_>, request: &Request<'_>) -> Result<(), Denial> {
        self.gaps(proof, request, Err)
    }

    /// Tells `found` of everything that is not covered, until that returns an error.
    pub(super) fn gaps(
        &self,
        proof: &Proof<'_>,
        request: &Request<'_>,
        mut found: impl FnMut(Denial) -> Result<(), Denial>,
    ) -> Result<(), Denial> {
        let components = proof.components();
        for required in &self.cover {
            if !covers(components, required, request) {
                found(uncovered(proof, &required.to_string()))?;
            } else if let Name::Field(required, _) = required {
                check_twins(required, components, request).or_else(&mut found)?;
            }
        }
        let query_is_there = request.query().is_some();
        if self.query == QueryRule::Bound && query_is_there && !covers(components, &Name::Query, request) {
            found(uncovered(proof, "\"@query\" (or \"@target-uri\")"))?;
        }
        let body_is_there = matches!(request.body, Body::Complete(body) if !body.is_empty());
        if self.body == BodyRule::Bound && body_is_there {
            if !request.fields.contains("content-digest") {
                found(Denial::new(
                    Code::DigestMissing,
                    "the request has a body, and no Content-Digest (RFC 9530)",
                ))?;
            } else if !covers_field(components, "content-digest") {
                found(uncovered(proof, "\"content-digest\""))?;
            }
        }
        Ok(())
    }

    /// What to tell a client that sent no proof. `Accept-Signature` cannot ask for a nonce without giving one.
    pub(super) fn asked_for(&self) -> String {
        let mut text =
            "this resource requires a signed request (RFC 9421), with created and keyid".to_owned();
        for (name, required) in [("nonce", self.nonce_required), ("expires", self.expires_required)] {
            if required {
                text.push_str(" and ");
                text.push_str(name);
            }
        }
        text
    }

    pub(super) fn check_parameters(&self, proof: &Proof<'_>) -> Result<(), Denial> {
        self.lacking_parameters(proof, Err)
    }

    /// Tells `found` of every parameter that is missing, until that returns an error.
    pub(super) fn lacking_parameters(
        &self,
        proof: &Proof<'_>,
        mut found: impl FnMut(Denial) -> Result<(), Denial>,
    ) -> Result<(), Denial> {
        let parameters = proof.parameters();
        let lacking = |what: &str| {
            let label = quoted(proof.label());
            Denial::new(Code::ProofMalformed, format!("the proof {label} lacks a required parameter: {what}"))
        };
        if self.nonce_required && parameters.nonce.as_ref().is_none_or(|nonce| nonce.len() < MIN_NONCE_BYTES)
        {
            found(lacking(&format!("nonce, of at least {MIN_NONCE_BYTES} bytes")))?;
        }
        if self.expires_required && parameters.expires.is_none() {
            found(lacking("expires"))?;
        }
        Ok(())
    }
}

fn uncovered(proof: &Proof<'_>, component: &str) -> Denial {
    let label = quoted(proof.label());
    Denial::new(Code::ComponentUncovered, format!("the proof {label} does not cover {component}"))
}

/// A backend that takes `x_tenant` for `x-tenant` must not find an unsigned one beside the signed one.
fn check_twins(required: &str, components: &[Component<'_>], request: &Request<'_>) -> Result<(), Denial> {
    let twin = |name: &&str| {
        *name != required && is_same_to_backends(required, name) && !covers_field(components, name)
    };
    match request.fields.names().find(twin) {
        Some(name) => Err(Denial::new(
            Code::FieldUncovered,
            format!("the header {} is not covered, and reads like one that must be", quoted(name)),
        )),
        None => Ok(()),
    }
}

/// Whether the components cover the required one: itself, or others that together say the same.
fn covers(components: &[Component<'_>], required: &Name<'_>, request: &Request<'_>) -> bool {
    let has = |name: &Name<'_>| own(components).any(|component| component == name);
    match required {
        Name::Field(name, FieldForm::Combined) => covers_field(components, name),
        Name::TargetUri => {
            has(&Name::TargetUri)
                || has(&Name::Scheme)
                    && has(&Name::Authority)
                    && covers(components, &Name::Path, request)
                    && (request.query().is_none() || covers(components, &Name::Query, request))
        }
        Name::Scheme | Name::Authority => has(required) || has(&Name::TargetUri),
        Name::Path | Name::Query => has(required) || has(&Name::TargetUri) || has(&Name::RequestTarget),
        _ => has(required),
    }
}

/// Components of this message, not of one that it might answer.
fn own<'c, 'a>(components: &'c [Component<'a>]) -> impl Iterator<Item = &'c Name<'a>> {
    components.iter().filter(|component| !component.is_of_request()).map(Component::name)
}

/// Whether the whole value of the field is covered: one member of it is not enough.
pub(super) fn covers_field(components: &[Component<'_>], name: &str) -> bool {
    own(components).any(|component| match component {
        Name::Field(field, FieldForm::Combined | FieldForm::Structured | FieldForm::Binary) => field == name,
        _ => false,
    })
}
