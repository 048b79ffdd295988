//! What is told about a request. The names of the members are those of the JSON, which scripts rely on.

use serde::Serialize;

use crate::denial::Denial;

/// Everything about one request and one decision.
#[derive(Debug, Serialize)]
pub struct Story {
    pub request: RequestStory,
    pub time: Time,
    /// The policies that were tried, in order; the last is the one that decided, where one did.
    pub policies: Vec<Tried>,
    /// Which policy the route names.
    pub route_policy: Option<String>,
    /// What the policy that decided asks for: a sentence each.
    pub asks: Vec<String>,
    /// Checks of the request as a whole, but for the body.
    pub checks: Vec<Check>,
    pub proofs: Vec<ProofStory>,
    pub digest: Option<Digest>,
    pub approvals: Option<ApprovalsStory>,
    pub base_difference: Option<Difference>,
    /// The mistake of the client that explains most.
    pub mistake: Option<Mistake>,
    pub decision: DecisionStory,
}

/// The request as the relay sees it.
#[derive(Debug, Default, Serialize)]
pub struct RequestStory {
    /// Where it was read from.
    pub source: String,
    pub method: String,
    pub target_uri: String,
    /// How many header lines there are.
    pub header_lines: usize,
    /// `12 bytes`, `none`, or why it is not known.
    pub body: String,
    /// What was assumed, and what the record leaves open.
    pub notes: Vec<String>,
}

/// When it is decided.
#[derive(Debug, Serialize)]
pub struct Time {
    pub unix: i64,
    pub rfc3339: String,
    /// Why this time.
    pub why: &'static str,
    /// Whether it is when the newest proof was created.
    pub is_signed: bool,
    /// Where it is not now: the code with which the request would be denied now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_now: Option<&'static str>,
}

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Passed,
    Failed,
    /// It was not made, or means nothing here.
    Skipped,
}

/// One check, with what it found.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub outcome: Outcome,
    /// The code of the denial, where there is one.
    pub code: Option<&'static str>,
    pub text: String,
}

impl Check {
    pub(super) fn passed(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, outcome: Outcome::Passed, code: None, text: text.into() }
    }

    pub(super) fn skipped(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, outcome: Outcome::Skipped, code: None, text: text.into() }
    }

    pub(super) fn failed(name: &'static str, denial: &Denial) -> Self {
        let (detail, particulars) = (&denial.detail, &denial.particulars);
        let text = match &**particulars {
            "" => detail.clone().into_owned(),
            particulars => format!("{detail} ({particulars})"),
        };
        Self { name, outcome: Outcome::Failed, code: Some(denial.code.as_str()), text }
    }

    /// Failed where there is a denial, else passed.
    pub(super) fn of<T>(name: &'static str, result: &Result<T, Denial>, text: impl Into<String>) -> Self {
        match result {
            Ok(_) => Self::passed(name, text),
            Err(denial) => Self::failed(name, denial),
        }
    }
}

/// A policy that was tried.
#[derive(Debug, Serialize)]
pub struct Tried {
    pub name: String,
    pub outcome: TriedOutcome,
    /// Why it does not match: every property.
    pub mismatches: Vec<MismatchStory>,
    /// The text of its condition.
    pub condition: Option<String>,
    /// Why the condition cannot be evaluated.
    pub problem: Option<String>,
}

/// What came of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TriedOutcome {
    NotMatching,
    ConditionFalse,
    ConditionFailed,
    /// It would deny, and leaves the decision to one that enforces.
    Observes,
    Decides,
}

/// A property of the request that is not what the policy wants.
#[derive(Debug, Serialize)]
pub struct MismatchStory {
    /// `method`, `path`, `host` or `route`.
    pub property: String,
    pub expected: String,
    pub found: String,
}

/// A proof on the request.
#[derive(Debug, Default, Serialize)]
pub struct ProofStory {
    pub label: String,
    pub tag: Option<String>,
    /// Whether the policy counts it.
    pub counts: bool,
    pub key_id: Option<String>,
    pub subject: Option<String>,
    pub roles: Vec<String>,
    pub components: Vec<String>,
    /// The value of `@signature-params`.
    pub parameters: Option<String>,
    pub created: Option<i64>,
    pub expires: Option<i64>,
    pub checks: Vec<Check>,
    /// The signature base, exactly as built.
    pub base: Option<String>,
    pub signature_bytes: usize,
    /// Whether the signature verifies; nothing where that cannot be said.
    pub verifies: Option<bool>,
    /// What the client did wrong, where that was found out.
    pub mistake: Option<Mistake>,
    /// `submission`, `approval`.
    pub serves_as: Vec<&'static str>,
}

/// A mistake of a client that is known by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// Stable, such as `trailing-newline`.
    pub name: &'static str,
    pub sentence: String,
}

/// The body and what was said of it.
#[derive(Debug, Serialize)]
pub struct Digest {
    pub check: Check,
    pub body_bytes: Option<usize>,
    pub digests: Vec<DigestStory>,
}

/// One member of `Content-Digest`.
#[derive(Debug, Serialize)]
pub struct DigestStory {
    pub algorithm: String,
    /// In base64, or what stands there instead.
    pub stated: String,
    pub stated_bytes: usize,
    /// In base64; nothing for algorithms that do not count.
    pub computed: Option<String>,
    pub computed_bytes: usize,
}

/// How approvals were shared out.
#[derive(Debug, Serialize)]
pub struct ApprovalsStory {
    pub check: Check,
    pub submitter_may_approve: bool,
    pub needed: usize,
    pub missing: usize,
    pub places: Vec<PlaceStory>,
}

/// One approval that is needed.
#[derive(Debug, Serialize)]
pub struct PlaceStory {
    /// None where any role will do.
    pub role: Option<String>,
    /// The label of the proof that is this approval.
    pub label: Option<String>,
    pub subject: Option<String>,
}

/// Where the base of the client differs from that of the relay.
#[derive(Debug, Serialize)]
pub struct Difference {
    /// The label of the proof that the base was compared with.
    pub label: String,
    /// Nothing where the bases are equal.
    pub first: Option<FirstDifference>,
    /// Whether the signature is one over the base as the client printed it.
    pub signature_verifies: Option<bool>,
    pub mistakes: Vec<Mistake>,
}

/// The first byte that differs.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct FirstDifference {
    /// Its offset, counted from 0.
    pub byte: usize,
    /// Counted from 1.
    pub line: usize,
    /// In bytes, counted from 1.
    pub column: usize,
    /// The line of the relay, with escapes; empty where it has no such line.
    pub relay: String,
    pub client: String,
    /// Where the difference stands in both, in characters.
    pub caret: usize,
}

/// What the server would answer.
#[derive(Debug, Serialize)]
pub struct DecisionStory {
    /// `allowed`, `denied` or `observed`.
    pub decision: &'static str,
    /// Whether the request reaches the backend.
    pub allowed: bool,
    pub code: Option<&'static str>,
    /// The HTTP status of the denial, or 200.
    pub status: u16,
    pub policy: Option<String>,
    pub detail: Option<String>,
    pub particulars: Option<String>,
    /// What to sign instead, where that would help.
    pub accept_signature: Option<String>,
    /// What no offline decision knows.
    pub replay: &'static str,
}
