//! A record in plain words.

use std::fmt::Write as _;

use base64ct::{Base64, Encoding as _};
use serde::Serialize;

use super::Failure;
use crate::evidence::check::{ProofChecker, Proofs, public_key, signature_params};
use crate::evidence::record::{Decision, Outcome, Proof, Record};
use crate::evidence::redaction::{lines, placeholder};
use crate::printable::printable;
use crate::structured_field::BareItem;

/// What there is to tell about a record.
pub(super) struct Story {
    pub(super) text: String,
    /// What it does not prove.
    pub(super) limits: String,
    pub(super) proofs: Vec<ProofStory>,
    /// What does not hold.
    pub(super) problems: Vec<String>,
}

/// What came of a proof.
#[derive(Serialize)]
pub(super) struct ProofStory {
    label: String,
    subject: String,
    keyid: String,
    thumbprint: String,
    created: Option<i64>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// The signature was checked here.
    Verified,
    /// It was checked here with the values that were given.
    VerifiedWithValues,
    DoesNotVerify,
    /// Values are missing.
    NotCheckable,
    /// A value is not the one whose hash stands in the record.
    OtherValue,
}

impl Story {
    /// The story of a record, with values that it does not show.
    pub(super) fn of(record: Option<&Record<'_>>, values: &[(String, String)]) -> Self {
        let mut story =
            Self { text: String::new(), limits: String::new(), proofs: Vec::new(), problems: Vec::new() };
        match record {
            Some(Record::Decision(decision)) => story.decision(decision, values),
            Some(Record::Start(start)) => {
                story.line(format!(
                    "A start: the relay {} of version {} began to write at {}, with the configuration file of SHA-256 {}.",
                    printable(&start.instance),
                    printable(&start.version),
                    printable(&start.time),
                    printable(&start.config)
                ));
                if let Some(taken_up) = start.taken_up {
                    story.line(format!(
                        "It found {taken_up} records behind the last checkpoint, those before this one, and goes on from them: a \
                         crash leaves some."
                    ));
                }
                if let Some(aside) = &start.set_aside {
                    story
                        .line(format!("It set aside {} bytes of a line that was not finished.", aside.bytes));
                }
            }
            Some(Record::Lost(lost)) => story.line(format!(
                "From {} to {}, {} allowed and {} denied decisions were answered without a record.",
                printable(&lost.since),
                printable(&lost.until),
                lost.allowed,
                lost.denied
            )),
            None => story.line("A record of a kind that this version does not know.".to_owned()),
        }
        story
    }

    /// Whether all of it holds.
    pub(super) fn outcome(&self) -> Result<(), Failure> {
        match self.problems.as_slice() {
            [] => Ok(()),
            problems => Err(Failure::Failed(problems.join("\n"))),
        }
    }

    fn line(&mut self, line: String) {
        self.text.push_str(&line);
        self.text.push('\n');
    }

    fn decision(&mut self, decision: &Decision<'_>, values: &[(String, String)]) {
        let mut count = Proofs::default();
        self.problems = ProofChecker::default().check(decision, &mut count);
        let outcome = match decision.decision {
            Outcome::Allow => "allowed",
            Outcome::Deny => "denied",
            Outcome::Observe => "allowed, though the policy would have denied it: it only observes",
        };
        self.line(format!("Decision {}: {outcome}", printable(&decision.id)));
        self.circumstances(decision);
        for proof in &decision.proofs {
            self.proof(proof, values);
        }
        if decision.proofs.is_empty() {
            self.line("\nNobody's signature was checked.".to_owned());
        }
        if let Some(presented) = &decision.presented {
            self.line(format!("\nPresented: {}", printable(&presented.signature_input)));
        }
        if !decision.approvals.is_empty() {
            self.line("\nApprovals that the policy asked for:".to_owned());
        }
        for approval in &decision.approvals {
            let role = approval.role.as_deref().map_or("anybody".to_owned(), printable);
            self.line(format!("  {role:<14} the proof {}", printable(&approval.label)));
        }
        self.limits = limits(decision);
    }

    fn circumstances(&mut self, decision: &Decision<'_>) {
        let mut row = |name: &str, value: String| {
            // Writing to a text does not fail.
            let _ = writeln!(self.text, "  {name:<14} {value}");
        };
        row(
            "when",
            format!(
                "{}, by the clock of {} (version {})",
                printable(&decision.time),
                printable(&decision.instance),
                printable(&decision.version)
            ),
        );
        if let Some(request) = &decision.request {
            let target =
                format!("{} {}://{}{}", request.method, request.scheme, request.authority, request.path);
            let from =
                request.source_address.as_deref().map(|from| format!(", from {from}")).unwrap_or_default();
            row("request", printable(&format!("{target}{from}")));
        }
        if let Some(policy) = &decision.policy {
            let condition = if decision.condition.is_some() { ", whose condition held" } else { "" };
            row("policy", format!("{}{condition}", printable(policy)));
        }
        row("configuration", format!("the file with SHA-256 {}", printable(&decision.config)));
        if let (Some(code), Some(detail)) = (&decision.code, &decision.detail) {
            row("why", format!("{}: {}", printable(code), printable(detail)));
        }
        if let Some(particulars) = &decision.particulars {
            row("particulars", printable(particulars));
        }
        if let Some(observed) = &decision.observed {
            let would = format!("{} would have denied it: {}", observed.policy, observed.detail);
            row("observed", printable(&would));
        }
    }

    fn proof(&mut self, proof: &Proof<'_>, values: &[(String, String)]) {
        let (base, state) = examined(proof, values);
        if state == State::OtherValue {
            self.problems
                .push("a value that was given is not the one whose hash stands in the record".to_owned());
        }
        if state == State::DoesNotVerify && proof.verified {
            let problem = format!("the signature {} does not verify", printable(&proof.label));
            if !self.problems.iter().any(|known| known.contains("does not verify")) {
                self.problems.push(problem);
            }
        }
        let key = &proof.key;
        let roles = match key.roles.join(", ") {
            roles if roles.is_empty() => String::new(),
            roles => format!(" ({})", printable(&roles)),
        };
        self.line(format!(
            "\nThe proof {}, with a key of {}{roles}:",
            printable(&proof.label),
            printable(&key.sub)
        ));
        let mut row = |name: &str, value: String| {
            let _ = writeln!(self.text, "  {name:<14} {value}");
        };
        row("key", format!("{}, thumbprint {}", printable(&key.kid), printable(&key.thumbprint)));
        let created = created(&proof.base);
        if let Some(created) = created.and_then(|created| u64::try_from(created).ok()) {
            row("signed", format!("{}, as the signer says", time(created)));
        }
        row(
            "signature",
            match state {
                State::Verified => "verifies: whoever holds this key signed the lines below",
                State::VerifiedWithValues => {
                    "verifies with the values given: whoever holds this key signed the lines below"
                }
                State::DoesNotVerify => "does not verify: nobody can say who wrote the lines below",
                State::NotCheckable => {
                    "not checked here, since values are shown as hashes only: give them with --value"
                }
                State::OtherValue => "not checked here: a value given is not the one whose hash is shown",
            }
            .to_owned(),
        );
        for line in base.lines() {
            row("", printable(line));
        }
        self.line(format!("  {:<14} {}", "in words", explained(&base)));
        self.proofs.push(ProofStory {
            label: proof.label.clone().into_owned(),
            subject: key.sub.clone().into_owned(),
            keyid: key.kid.clone().into_owned(),
            thumbprint: key.thumbprint.clone().into_owned(),
            created,
            state,
        });
    }
}

/// The base with the values that were given, and whether the signature is one over it.
fn examined(proof: &Proof<'_>, values: &[(String, String)]) -> (String, State) {
    let mut base = String::with_capacity(proof.base.len());
    for text in proof.base.split_inclusive('\n') {
        let line = lines(text.trim_end_matches('\n')).next();
        let Some(line) = line.filter(|line| proof.redacted.iter().any(|name| name == line.name)) else {
            base.push_str(text);
            continue;
        };
        let mut given = values.iter().filter(|(name, _)| name == line.name).peekable();
        if given.peek().is_none() {
            return (proof.base.clone().into_owned(), State::NotCheckable);
        }
        let Some((_, value)) = given.find(|(_, value)| placeholder(value) == line.value) else {
            return (proof.base.clone().into_owned(), State::OtherValue);
        };
        // Writing to a text does not fail.
        let _ = writeln!(base, "{}: {value}", line.identifier);
    }
    let signature = Base64::decode_vec(&proof.signature).ok();
    let verifies = public_key(&proof.key.jwk)
        .ok()
        .zip(signature)
        .is_some_and(|(key, signature)| key.verify(base.as_bytes(), &signature).is_ok());
    let state = match (verifies, proof.redacted.is_empty()) {
        (true, true) => State::Verified,
        (true, false) => State::VerifiedWithValues,
        (false, _) => State::DoesNotVerify,
    };
    (base, state)
}

fn created(base: &str) -> Option<i64> {
    let input = signature_params(base).ok()?;
    input.parameters.iter().find_map(|(name, value)| match value {
        BareItem::Integer(seconds) if name.as_str() == "created" => Some(i64::from(*seconds)),
        _ => None,
    })
}

/// What was signed, in words.
fn explained(base: &str) -> String {
    let names: Vec<&str> = base
        .lines()
        .filter_map(|line| line.strip_prefix('"')?.split_once('"'))
        .map(|(name, _)| name)
        .filter(|name| *name != "@signature-params")
        .collect();
    let words: Vec<String> = names
        .iter()
        .map(|name| match *name {
            "@method" => "the method".to_owned(),
            "@target-uri" => "the whole URL".to_owned(),
            "@authority" => "the host".to_owned(),
            "@path" => "the path".to_owned(),
            "@query" => "the query".to_owned(),
            "@query-param" => "a parameter of the query".to_owned(),
            "content-digest" => "the body, by its hash".to_owned(),
            name => format!("the field {}", printable(name)),
        })
        .collect();
    let body = if names.contains(&"content-digest") { "" } else { "; not the body" };
    format!("this covers {}{body}", words.join(", "))
}

fn limits(decision: &Decision<'_>) -> String {
    let mut limits = String::from("\nWhat this does not prove:\n");
    let mut limit = |text: &str| {
        let _ = writeln!(limits, "  - {text}");
    };
    if !decision.proofs.is_empty() {
        limit(
            "who used a key: whoever had it could sign. That it belongs to its owner is what the trust store said",
        );
        limit("anything of the request that the lines above do not name");
    }
    if decision.decision != Outcome::Deny {
        limit("that the request was carried out: the relay decides before the backend sees it");
    }
    limit("the exact time: it is the one of the relay's clock");
    limits
}

/// A time in seconds since 1970, as people read it.
pub(super) fn time(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| format!("{seconds} seconds after 1970"), |time| time.to_string())
}
