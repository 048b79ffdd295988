//! Which policy decides about a request.

use std::collections::HashMap;
use std::sync::Arc;

use super::index::Index;
use super::{Match, Policy, Target};
use crate::denial::{Code, Denial, quoted};
use crate::verify::{Acceptance, Requirement};

/// Every policy, in order.
#[derive(Debug, Default)]
pub struct Policies {
    policies: Vec<Policy>,
    by_name: HashMap<Arc<str>, usize>,
    index: Index,
}

impl Policies {
    #[must_use]
    pub fn new(policies: Vec<Policy>) -> Self {
        let by_name =
            policies.iter().enumerate().map(|(at, policy)| (Arc::clone(&policy.name), at)).collect();
        let index = Index::new(policies.iter().map(|policy| policy.matching.as_ref()));
        Self { policies, by_name, index }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.policies.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// Every policy, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Policy> {
        self.policies.iter()
    }

    /// The policy of that name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Policy> {
        self.by_name.get(name).and_then(|at| self.policies.get(*at))
    }

    /// For how long a proof is accepted somewhere.
    #[must_use]
    pub fn acceptance(&self) -> Acceptance {
        let accepted = self.policies.iter().filter_map(Policy::requirement).map(Requirement::acceptance);
        accepted.reduce(Acceptance::or).unwrap_or_default()
    }

    /// The policies that match, in order: of these the first decides whose condition holds. A route that names a policy
    /// leaves the choice of this one, if it matches.
    pub fn matching<'p>(
        &'p self,
        target: &Target<'_>,
        route_policy: Option<&str>,
    ) -> impl Iterator<Item = &'p Policy> {
        let matches = |matching: &Match| matching.mismatch(target).is_none();
        let named = route_policy
            .map(|name| self.named(name).filter(|policy| policy.matching.as_ref().is_none_or(matches)));
        let candidates =
            named.is_none().then(|| self.index.candidates(target.method(), target.host(), target.path()));
        let found = candidates
            .into_iter()
            .flatten()
            .filter_map(|at| self.policies.get(at))
            .filter(move |policy| policy.matching.as_ref().is_some_and(matches));
        named.flatten().into_iter().chain(found)
    }

    /// The denial of a request for which there is no policy: what nobody thought of is denied. `left_out` are the names
    /// of those that match, and whose condition is false.
    #[must_use]
    pub fn none_for(target: &Target<'_>, path: &str, left_out: &[&str]) -> Denial {
        let (method, authority, path) = (quoted(target.method()), quoted(target.authority()), quoted(path));
        let detail = if left_out.is_empty() {
            "no policy matches this request"
        } else {
            "no policy is for this request: the conditions of those that match are false"
        };
        let mut particulars = format!("{method} {authority}{path}");
        if !left_out.is_empty() {
            particulars.push_str(&format!("; false: {}", left_out.join(", ")));
        }
        Denial::new(Code::NoPolicy, detail).with_particulars(particulars)
    }
}
