//! Which policies were tried, and what the one that decided asks for.

use super::{MismatchStory, Tried, TriedOutcome, counted, printable, printable_line, printable_lines};
use crate::policy::{Facts, Mismatch, Mode, Policy, ProtectBy, Submitter, Target, Terms};
use crate::relay::{Decision, Observation};
use crate::rules::Rules;
use crate::verify::{BodyRule, QueryRule, Requirement};

/// Every policy up to the one that decided; all of them where none did.
pub(super) fn tried(rules: &Rules, facts: &Facts<'_>, decision: &Decision) -> Vec<Tried> {
    let route = facts.request().route_policy;
    let mut tried = Vec::new();
    // The first policy that observes is asked, and no other that does.
    let mut asked: Option<&str> = None;
    // A route that names a policy leaves no other choice.
    let policies = rules.policies.iter().filter(|policy| route.is_none_or(|route| *policy.name == *route));
    for policy in policies {
        let decides = decision.policy.as_ref() == Some(&policy.name);
        let mut story = one(rules, facts, policy, decides);
        let observation = decision.observed.as_ref().filter(|observed| observed.policy == policy.name);
        match (asked, observation) {
            _ if decides || policy.mode != Mode::Observe || story.outcome == TriedOutcome::NotMatching => {}
            (Some(asked), _) => {
                story.outcome = TriedOutcome::Observes;
                story.problem = Some(format!("not asked, after {}", printable(asked)));
            }
            (None, Some(Observation { denial, .. })) => {
                asked = Some(&policy.name);
                story.outcome = TriedOutcome::Observes;
                story.problem = Some(format!("would deny with {}: {}", denial.code, denial.detail));
            }
            (None, None) if story.outcome == TriedOutcome::Observes => asked = Some(&policy.name),
            (None, None) => {}
        }
        tried.push(story);
        if decides {
            break;
        }
    }
    tried
}

fn one(rules: &Rules, facts: &Facts<'_>, policy: &Policy, decides: bool) -> Tried {
    let target = facts.target();
    let mut story = Tried {
        name: printable(&policy.name),
        outcome: TriedOutcome::Decides,
        mismatches: Vec::new(),
        condition: policy.condition.as_ref().map(|condition| printable_lines(condition.source())),
        problem: None,
    };
    let by_name = facts.request().route_policy.is_some();
    match &policy.matching {
        Some(matching) => {
            let describe = |mismatch| MismatchStory {
                property: format!("{mismatch}"),
                expected: expected(policy, mismatch),
                found: found(facts, target, mismatch),
            };
            story.mismatches = matching.mismatches(target).map(describe).collect();
        }
        None if by_name => {}
        None => story.mismatches.push(MismatchStory {
            property: "route".to_owned(),
            expected: format!("one that names {}", printable(&policy.name)),
            found: "no name".to_owned(),
        }),
    }
    if !story.mismatches.is_empty() {
        story.outcome = TriedOutcome::NotMatching;
        return story;
    }
    match policy.applies(facts, None, &rules.limits) {
        Err(denial) => {
            story.outcome = TriedOutcome::ConditionFailed;
            story.problem = Some(match &*denial.particulars {
                "" => denial.detail.into_owned(),
                particulars => format!("{} ({particulars})", denial.detail),
            });
        }
        Ok(_) if decides => {}
        Ok(true) if policy.mode == Mode::Observe => {
            story.outcome = TriedOutcome::Observes;
            story.problem = Some("another policy decides".to_owned());
        }
        // It matches and did not decide: only its condition does that.
        Ok(_) => story.outcome = TriedOutcome::ConditionFalse,
    }
    story
}

fn expected(policy: &Policy, mismatch: Mismatch) -> String {
    let Some(matching) = &policy.matching else { return String::new() };
    match mismatch {
        Mismatch::Method => matching.methods.join(", "),
        Mismatch::Path => matching.path.as_ref().map(ToString::to_string).unwrap_or_default(),
        Mismatch::Host => matching.hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

fn found(facts: &Facts<'_>, target: &Target<'_>, mismatch: Mismatch) -> String {
    printable(match mismatch {
        Mismatch::Method => target.method(),
        Mismatch::Path => facts.request().path(),
        Mismatch::Host => target.authority(),
    })
}

/// What a policy asks for, a sentence each.
pub(super) fn asks(policy: &Policy) -> Vec<String> {
    let mut asks = Vec::new();
    match &policy.terms {
        Terms::Open => asks.push("no proof".to_owned()),
        Terms::Proof { requirement, submission, approvals, receipt_for: _ } => {
            asks.extend(asked_of_proofs(requirement));
            if approvals.is_some() {
                asks.push(format!("a submission, at most {} s old", submission.max_age));
            }
            if !submission.roles.is_empty() {
                asks.push(format!("a signer with one of the roles {}", submission.roles.join(", ")));
            }
            if let Some(tag) = &submission.tag {
                asks.push(format!("the tag {tag}"));
            }
            for needed in approvals.iter().flat_map(|approvals| &approvals.needed) {
                let role =
                    needed.role.as_deref().map_or("any role".to_owned(), |role| format!("the role {role}"));
                let tag = needed.tag.as_deref().map_or(String::new(), |tag| format!(", with the tag {tag}"));
                let (count, age) = (counted(needed.count, "approval"), needed.max_age);
                asks.push(format!("{count} by somebody with {role}, at most {age} s old{tag}"));
            }
            if approvals.as_ref().is_some_and(|approvals| approvals.submitter == Submitter::Excluded) {
                asks.push("no approval by whoever submits the request".to_owned());
            }
        }
    }
    if let Some(condition) = &policy.condition {
        asks.push(format!("that its condition holds: {}", printable_line(condition.source())));
    }
    if !policy.protect.fields.is_empty() {
        let fields = policy.protect.fields.join(", ");
        let otherwise = match policy.protect.by {
            ProtectBy::Denying => "denied",
            ProtectBy::Removing => "removed",
        };
        asks.push(format!("fields that are {otherwise} unless they are signed: {fields}"));
    }
    let external = &policy.external;
    if let Some(scheme) = &external.scheme {
        asks.push(format!("that clients sign the scheme {scheme}, whatever Envoy sees"));
    }
    if let Some(authority) = &external.authority {
        asks.push(format!("that clients sign the authority {authority}, whatever Envoy sees"));
    }
    if policy.mode == Mode::Observe {
        asks.push("nothing that binds: it only observes".to_owned());
    }
    asks
}

fn asked_of_proofs(requirement: &Requirement) -> Vec<String> {
    let cover: Vec<String> = requirement.cover.iter().map(ToString::to_string).collect();
    let mut asks = vec![format!("every proof covers {}", cover.join(" "))];
    asks.push(
        match requirement.body {
            BodyRule::Bound => "a body is bound by a covered content-digest",
            BodyRule::None => "no body",
            BodyRule::Free => "a body may go unsigned",
        }
        .to_owned(),
    );
    asks.push(
        match requirement.query {
            QueryRule::Bound => "a query is covered",
            QueryRule::Free => "a query may go unsigned",
        }
        .to_owned(),
    );
    let (max_age, skew) = (requirement.max_age, requirement.clock_skew);
    asks.push(format!("created at most {max_age} s ago, with {skew} s of clock skew either way"));
    let required = [("nonce", requirement.nonce_required), ("expires", requirement.expires_required)];
    for (name, _) in required.into_iter().filter(|(_, required)| *required) {
        asks.push(format!("the parameter {name}"));
    }
    if !requirement.tags.is_empty() {
        asks.push(format!("only proofs with a tag count: {}", requirement.tags.join(" or ")));
    }
    asks
}
