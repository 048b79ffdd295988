//! What is allowed, and perhaps not meant. Nothing here keeps a relay from starting.

use std::collections::{HashMap, HashSet};

use super::Config;
use super::document::Document;
use super::problem::Problem;
use crate::keys::{Directory, Entry, Person};
use crate::policy::{Mode, Policies, Policy, Submitter, Terms};
use crate::proof::{FieldForm, Name};

/// Remarks on the policies of a document.
pub(super) fn on_policies(document: &Document, policies: &Policies) -> Vec<Problem> {
    let mut remarks = Vec::new();
    let all: Vec<&Policy> = policies.iter().collect();
    for (at, policy) in all.iter().enumerate() {
        let mut remark = |pointer: &str, message: String| {
            remarks.push(document.problem(&format!("/policies/{at}{pointer}"), message));
        };
        if let Some(above) = all.iter().take(at).find(|above| hides(above, policy)) {
            let name = &above.name;
            let message = format!(
                "never matches: the policy {name} above takes all of it, so only a route that names it chooses it"
            );
            remark("/match", message);
        }
        if let Some(message) = lone_approval(policy) {
            remark("/approvals", message.to_owned());
        }
        for name in unproven_headers(policy) {
            let message = if name == BODY_TYPE {
                "looks into the body, whose content-type is not covered".to_owned()
            } else {
                format!("depends on the header {name}, which is neither covered nor protected")
            };
            remark("/when", message);
        }
    }
    remarks
}

/// A remark on receipts whose keys are not published. It has no place in the file: the command line may set `admin`.
#[must_use]
pub fn on_publishing(config: &Config) -> Option<String> {
    (config.receipts.is_some() && config.admin.is_none())
        .then(|| "receipts: admin is not set, so backends cannot fetch the keys from here".to_owned())
}

/// Remarks on receipts that nobody gets, or that nobody can check.
pub(super) fn on_receipts(document: &Document, config: &Config) -> Vec<Problem> {
    let Some(receipts) = &config.receipts else { return Vec::new() };
    let mut remarks = Vec::new();
    let mut remark = |message: &str| remarks.push(document.key_problem("/receipts", message));
    if !config.policies.iter().any(|policy| policy.receipt_for().is_some()) {
        remark("no policy has a receipt, so none is sent");
    }
    if receipts.key_files.is_empty() {
        remark(
            "no keys: one is made at each start, so replicas have different ones, and after a restart no receipt from before it can be checked",
        );
    }
    remarks
}

/// Remarks on a trust store, and on policies that ask for what nobody in it is.
#[must_use]
pub fn on_keys(config: &Config, keys: &Directory) -> Vec<String> {
    let mut remarks = Vec::new();
    if config.policies.is_empty() {
        remarks.push(
            "there is no policy, so every request is denied: `config default` prints a commented file for --config"
                .to_owned(),
        );
    }
    // Who publishes keys may have any role.
    let known = config.policies.iter().filter(|_| config.key_urls.is_empty());
    for policy in known {
        for (role, needed) in roles(policy) {
            let has_role = |entry: &&Entry| entry.key.roles.iter().any(|known| **known == *role);
            let people: HashSet<Person> = keys.entries().filter(has_role).map(|entry| entry.person).collect();
            match people.len() {
                0 => remarks.push(format!("policy {}: no key has the role {role}", policy.name)),
                people if people < needed => remarks.push(format!(
                    "policy {}: {needed} people with the role {role} are needed, and there are {people}",
                    policy.name
                )),
                _ => {}
            }
        }
    }
    let mut subjects: HashMap<Person, Vec<&str>> = HashMap::new();
    for entry in keys.entries() {
        let known = subjects.entry(entry.person).or_default();
        if !known.contains(&&*entry.key.subject) {
            known.push(&entry.key.subject);
        }
    }
    for mut subjects in subjects.into_values().filter(|subjects| subjects.len() > 1) {
        subjects.sort_unstable();
        remarks.push(format!("{} share keys: for approvals they count as one person", subjects.join(", ")));
    }
    remarks.sort_unstable();
    remarks.dedup();
    remarks
}

/// Whether nothing that the policy matches ever gets past the one above.
fn hides(above: &Policy, policy: &Policy) -> bool {
    above.condition.is_none()
        && above.mode == Mode::Enforce
        && match (&above.matching, &policy.matching) {
            (Some(above), Some(matching)) => above.covers(matching),
            _ => false,
        }
}

fn lone_approval(policy: &Policy) -> Option<&'static str> {
    match &policy.terms {
        Terms::Proof { approvals: Some(approvals), .. }
            if approvals.total() == 1 && approvals.submitter == Submitter::Counted =>
        {
            Some("one signature is enough: whoever submits may approve it alone (submitter: excluded)")
        }
        _ => None,
    }
}

const BODY_TYPE: &str = "content-type";

/// The headers that the condition depends on, and that anybody on the way could change. A condition over the body
/// depends on its type, which only covering it makes certain: without one, some backends read a form.
fn unproven_headers(policy: &Policy) -> Vec<&str> {
    let (Some(condition), Terms::Proof { requirement, .. }) = (&policy.condition, &policy.terms) else {
        return Vec::new();
    };
    let is_proven = |name: &str| {
        let covered = requirement.cover.iter().any(|component| match component {
            // One member of it is not all of it.
            Name::Field(_, FieldForm::Member(_)) => false,
            Name::Field(field, _) => field == name,
            _ => false,
        });
        covered || name != BODY_TYPE && policy.protect.fields.iter().any(|field| **field == *name)
    };
    let reads = condition.reads();
    let body = reads.body.then_some(BODY_TYPE);
    reads.headers.iter().map(AsRef::as_ref).chain(body).filter(|name| !is_proven(name)).collect()
}

/// The roles that a policy asks for, and how many people must hold each.
fn roles(policy: &Policy) -> Vec<(&str, usize)> {
    let Terms::Proof { submission, approvals, .. } = &policy.terms else { return Vec::new() };
    let mut roles: Vec<(&str, usize)> = submission.roles.iter().map(|role| (&**role, 1)).collect();
    for needed in approvals.iter().flat_map(|approvals| &approvals.needed) {
        roles.extend(needed.role.as_deref().map(|role| (role, needed.count)));
    }
    roles
}
