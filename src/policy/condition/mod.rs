//! Conditions over a request, in CEL: which requests a policy is for, where host, method and path do not say it.
//!
//! A condition is true, false, or cannot be evaluated, and then the request is denied: a missing or mistyped member must
//! never leave it to a weaker policy.

mod compile;
mod decimal;
mod evaluate;
mod facts;
mod functions;
mod json;
mod media_type;
mod node;
mod types;
mod value;

pub use facts::Facts;

use super::PathPattern;
use crate::denial::{Code, Denial};
use crate::verify::Verified;
use evaluate::{Evaluation, Failure};
use node::Node;

/// A condition that was read.
#[derive(Debug, Clone)]
pub struct Condition {
    source: Box<str>,
    root: Node,
    reads: Reads,
}

/// What a condition looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads {
    pub body: bool,
    /// Who signed. It can be evaluated only once the proofs are verified.
    pub signers: bool,
    /// Names of header fields, as far as they stand in the text.
    pub headers: Vec<Box<str>>,
}

/// A mistake in the text of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Its offset in bytes.
    pub at: usize,
    pub message: String,
}

impl Condition {
    /// Reads a condition. `path` is the pattern whose parameters it may use.
    ///
    /// # Errors
    /// Every mistake that shows without a request: of syntax, of names, of types.
    pub fn parse(source: &str, path: Option<&PathPattern>) -> Result<Self, Vec<Mistake>> {
        let (root, reads) = compile::compile(source, path)?;
        Ok(Self { source: source.into(), root, reads })
    }

    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    #[must_use]
    pub fn reads(&self) -> &Reads {
        &self.reads
    }

    /// Whether the condition holds. `budget` is how many steps all evaluations over these facts may take together, and how
    /// many values a body may have that is looked into.
    ///
    /// # Errors
    /// `condition-failed` where it cannot be evaluated; `body-ambiguous`, `body-truncated` and `body-unavailable` where it
    /// looks into a body that is.
    pub fn holds(
        &self,
        facts: &Facts<'_>,
        verified: Option<&Verified<'_>>,
        budget: usize,
    ) -> Result<bool, Denial> {
        let signers = verified.map(facts::signers);
        let left = budget.saturating_sub(facts.spent());
        let mut evaluation =
            Evaluation { facts, signers, budget: left, variables: Vec::new(), values: budget };
        let truth = evaluation.truth(&self.root);
        facts.spend(left - evaluation.budget);
        truth.map_err(|failure| match failure {
            Failure::Denied(denial) => denial,
            Failure::NoValue { at, why } => {
                let detail = format!("the policy's condition cannot be evaluated: {why}");
                let (line, column) = self.place(at as usize);
                Denial::new(Code::ConditionFailed, detail)
                    .with_particulars(format!("line {line}, column {column} of the condition"))
            }
            Failure::TooCostly => {
                let detail = "the policy's condition costs too much to evaluate for this request";
                Denial::new(Code::ConditionFailed, detail)
                    .with_particulars(format!("more than {budget} steps: limits.condition_steps"))
            }
        })
    }

    /// Line and column of an offset, both counted from one.
    fn place(&self, at: usize) -> (usize, usize) {
        let before = self.source.get(..at).unwrap_or(&self.source);
        let line = before.split('\n').next_back().unwrap_or_default();
        (before.split('\n').count(), line.chars().count() + 1)
    }
}
