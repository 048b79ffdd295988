//! What the policy that decided says of the proofs together: who may submit, who approves, and its condition.

use super::{ApprovalsStory, Check, Outcome, PlaceStory, ProofStory, printable, printable_line};
use crate::denial::Denial;
use crate::policy::{Facts, Policy, Submitter, Terms};
use crate::rules::Rules;
use crate::timestamp::Timestamp;
use crate::verify::Verified;

/// What the policy says of the proofs together.
pub(super) fn tell(
    rules: &Rules,
    policy: &Policy,
    facts: &Facts<'_>,
    verified: Result<&Verified<'_>, &Denial>,
    now: Timestamp,
    proofs: &mut [ProofStory],
) -> (Vec<Check>, Option<ApprovalsStory>) {
    let Terms::Proof { approvals: asked, .. } = &policy.terms else {
        return (Vec::new(), None);
    };
    let mut checks = Vec::new();
    let Ok(verified) = verified else {
        let why = "not checked: every proof that counts, and the digest, must be valid first";
        checks.push(Check::skipped(if asked.is_some() { "approvals" } else { "signers" }, why));
        if policy.condition.as_ref().is_some_and(|condition| condition.reads().signers) {
            checks.push(Check::skipped("condition", why));
        }
        return (checks, None);
    };
    if let Some(condition) = policy.condition.as_ref().filter(|condition| condition.reads().signers) {
        let holds = policy.applies(facts, Some(verified), &rules.limits);
        checks.push(Check::of(
            "condition",
            &holds,
            format!("holds for these signers: {}", printable_line(condition.source())),
        ));
    }
    let permitted = policy.permit(verified, facts.request(), now);
    let submissions: Vec<Result<i64, Denial>> =
        verified.proofs().iter().map(|proof| policy.submission(proof, now)).collect();
    let places = policy.approvals_given(verified, now);
    for (proof, result) in verified.proofs().iter().zip(&submissions) {
        let label = proof.proof().label();
        let Some(story) = proofs.iter_mut().find(|story| story.label == *label) else { continue };
        match result {
            Ok(_) => story.serves_as.push("submission"),
            Err(denial) if asked.is_some() => {
                story.checks.push(Check { outcome: Outcome::Skipped, ..Check::failed("submission", denial) })
            }
            Err(denial) => story.checks.push(Check::failed("submission", denial)),
        }
        if places.iter().any(|place| place.by == Some(label)) {
            story.serves_as.push("approval");
        }
    }
    let Some(asked) = asked else {
        if let Some(Err(denial)) = submissions.iter().find(|result| result.is_err()) {
            checks.push(Check::failed("signers", denial));
        } else {
            checks.push(Check::passed("signers", "each may submit this request"));
        }
        return (checks, None);
    };
    let told: Vec<PlaceStory> = places
        .iter()
        .map(|place| {
            let by = verified.proofs().iter().find(|proof| Some(proof.proof().label()) == place.by);
            PlaceStory {
                role: place.role.map(printable),
                label: place.by.map(printable),
                subject: by.map(|proof| printable(&proof.key().subject)),
            }
        })
        .collect();
    let missing = told.iter().filter(|place| place.label.is_none()).count();
    let needed = told.len();
    // `field-uncovered` is told of with the protected fields.
    let check = match &permitted {
        Err(denial) if missing > 0 || submissions.iter().all(Result::is_err) => {
            Check::failed("approvals", denial)
        }
        _ => Check::passed("approvals", format!("{needed} of {needed}")),
    };
    let submitter_may_approve = asked.submitter == Submitter::Counted;
    (checks, Some(ApprovalsStory { check, submitter_may_approve, needed, missing, places: told }))
}
