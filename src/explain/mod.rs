//! Decides about one request and tells every step: for people, offline, never in the server.
//!
//! The decision comes from [`Relay::check`] itself, and the steps from the functions that it calls, so that nothing told
//! here can differ from what the server does. What is looked into besides is the client's side: which likely
//! [mistake](Mistake) explains a signature that does not verify.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod difference;
mod mistakes;
mod policies;
mod proofs;
mod story;
mod terms;
mod text;

use crate::denial::{Denial, quoted};
use crate::limits::Limits;
use crate::metrics::Stopwatch;
use crate::policy::{Facts, Policy, Terms};
use crate::printable::{printable, printable_lines};
use crate::proof::ProofFields;
use crate::relay::{Decision, Relay, Verdict};
use crate::request::{Body, Request};
use crate::timestamp::Timestamp;

pub use story::*;
pub use text::Text;

/// What an offline decision cannot know.
const REPLAY: &str = "not checked: only the running relay remembers which proofs were used";

/// A request to explain, with what is known about it.
pub struct Asked<'a> {
    /// The request as the server would read it, or why it could not.
    pub request: Result<Request<'a>, Denial>,
    /// The size of the check that it came in.
    pub bytes: usize,
    /// Where it was read from.
    pub source: String,
    pub notes: Vec<String>,
    /// Why it is decided at this time.
    pub why_then: &'static str,
    /// The signature base as the client printed it, and of which proof it is.
    pub client_base: Option<(&'a [u8], Option<&'a str>)>,
}

/// The newest `created` among the proofs of a request.
#[must_use]
pub fn newest_created(request: &Request<'_>, limits: &Limits) -> Option<Timestamp> {
    let fields = ProofFields::of(&request.fields);
    let claims = fields.claims(limits).ok()?;
    let created = claims.into_iter().filter_map(|claim| claim.proof().ok()?.parameters().created);
    created.max().and_then(|seconds| u64::try_from(seconds).ok()).map(Timestamp::from_unix_seconds)
}

/// Decides, and tells why. The clock of the relay should stand still, and its replay store be empty.
pub async fn explain(relay: &Relay, asked: Asked<'_>) -> Story {
    let (now, rules) = (relay.clock.now(), relay.rules());
    let decision = relay
        .check(&rules, asked.request.clone(), relay.admission.admit(asked.bytes), &mut Stopwatch::start())
        .await;
    let mut story = Story {
        request: RequestStory { source: asked.source, notes: asked.notes, ..RequestStory::default() },
        time: Time {
            unix: now.unix_seconds(),
            rfc3339: rfc3339(now.unix_seconds()),
            why: asked.why_then,
            is_signed: asked
                .request
                .as_ref()
                .is_ok_and(|request| newest_created(request, &rules.limits) == Some(now)),
            code_now: None,
        },
        policies: Vec::new(),
        route_policy: None,
        asks: Vec::new(),
        checks: Vec::new(),
        proofs: Vec::new(),
        digest: None,
        approvals: None,
        base_difference: None,
        mistake: None,
        decision: decided(&decision),
    };
    let Ok(request) = &asked.request else { return story };
    describe(request, &mut story.request);
    story.route_policy = request.route_policy.map(printable);
    let facts = match Facts::of(request) {
        Ok(facts) => facts,
        Err(denial) => {
            story.checks.push(Check::failed("path", &denial));
            return story;
        }
    };
    let deciding = decision.policy.as_deref().and_then(|name| rules.policies.named(name));
    story.policies = policies::tried(&rules, &facts, &decision);
    let Some(policy) = deciding else { return story };
    story.asks = policies::asks(policy);
    let upgrade = if request.upgrade { "the policy lets it pass" } else { "it is none" };
    story.checks.push(Check::of("upgrade", &policy.admit(request), upgrade));
    match policy.terms {
        Terms::Open => {
            story.checks.push(protected(policy, request, |_| false));
        }
        Terms::Proof { .. } => proofs::tell(&rules, policy, &facts, now, asked.client_base, &mut story),
    }
    story
}

/// What of the fields that the backend trusts becomes.
fn protected(policy: &Policy, request: &Request<'_>, covered: impl Fn(&str) -> bool) -> Check {
    let result = policy.protected(request, covered);
    let text = match result.as_deref() {
        Ok([]) => "no field has to be removed".to_owned(),
        Ok(removed) => format!("removed on the way to the backend: {}", removed.join(", ")),
        Err(_) => String::new(),
    };
    Check::of("protected fields", &result, text)
}

fn describe(request: &Request<'_>, story: &mut RequestStory) {
    story.method = printable(request.method);
    story.target_uri = printable(&format!("{}://{}{}", request.scheme, request.authority, request.target));
    story.header_lines = request.fields.iter().count();
    story.body = match request.body {
        Body::Absent => "no body".to_owned(),
        Body::Complete(body) => format!("a body of {}", counted(body.len(), "byte")),
        Body::Truncated { evidence } | Body::Unavailable { evidence } => {
            format!("a body that is not known whole: {evidence}")
        }
    };
}

fn decided(decision: &Decision) -> DecisionStory {
    let policy = decision.policy.as_deref().map(printable);
    let (verdict, denial, challenge) = match &decision.verdict {
        Verdict::Allowed(_) => ("allowed", None, None),
        Verdict::Observed => ("observed", decision.denial(), None),
        Verdict::Denied { denial, challenge } => ("denied", Some(denial), challenge.as_ref()),
    };
    let allowed = verdict != "denied";
    DecisionStory {
        decision: verdict,
        allowed,
        code: denial.map(|denial| denial.code.as_str()),
        status: denial.filter(|_| !allowed).map_or(200, |denial| denial.code.status()),
        policy,
        detail: denial.map(|denial| denial.detail.clone().into_owned()),
        particulars: denial
            .filter(|denial| !denial.particulars.is_empty())
            .map(|denial| denial.particulars.clone().into_owned()),
        accept_signature: challenge.map(|challenge| challenge.accept_signature.clone()),
        replay: REPLAY,
    }
}

fn rfc3339(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// `1 byte`, `2 bytes`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A text of several lines on one, fit for a terminal.
fn printable_line(text: &str) -> String {
    printable(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// A label or the like, in quotes.
fn named(text: &str) -> String {
    format!("{:?}", quoted(text))
}
