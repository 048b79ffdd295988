//! What no schema can say: which settings do not go together.

use std::collections::HashMap;

use serde_json::Value;

use super::document::Document;
use super::format::{Duration, Format as _};
use super::problem::Problem;
use crate::policy::{Condition, PathPattern};

/// Every contradiction in a document.
pub(super) fn check(document: &Document) -> Vec<Problem> {
    let mut check = Check { document, problems: Vec::new() };
    let policies = document.value.get("policies").and_then(Value::as_array);
    let labels = document.value.pointer("/limits/labels").and_then(Value::as_u64);
    let labels = labels.unwrap_or(crate::limits::Limits::default().labels as u64);
    let mut names: HashMap<&str, usize> = HashMap::new();
    for (at, value) in policies.into_iter().flatten().enumerate() {
        let policy = Policy { pointer: format!("/policies/{at}"), value };
        check.name(&policy, at, &mut names);
        check.external_authority(&policy);
        check.condition(&policy);
        check.approvals(&policy, labels);
        check.receipt(&policy);
    }
    check.tls();
    check.at_least_a_second("/receipts/lifetime");
    check.at_least_a_second("/evidence/checkpoint/interval");
    check.evidence();
    check.keys();
    check.traces();
    check.problems
}

/// A policy as it stands in the document. Nothing in it is known to be right.
struct Policy<'d> {
    pointer: String,
    value: &'d Value,
}

impl<'d> Policy<'d> {
    fn at(&self, pointer: &str) -> Option<&'d Value> {
        self.value.pointer(pointer)
    }

    fn text(&self, pointer: &str) -> Option<&'d str> {
        self.at(pointer)?.as_str()
    }

    fn asks_for_no_proof(&self) -> bool {
        self.text("/proof") == Some("none")
    }
}

struct Check<'d> {
    document: &'d Document,
    problems: Vec<Problem>,
}

impl<'d> Check<'d> {
    fn problem(&mut self, policy: &Policy<'_>, pointer: &str, message: impl Into<String>) {
        self.problems.push(self.document.problem(&format!("{}{pointer}", policy.pointer), message));
    }

    /// A source is a file or a URL, and most settings are about a URL.
    fn keys(&mut self) {
        let sources = self.document.value.get("keys").and_then(Value::as_array);
        for (at, source) in sources.into_iter().flatten().enumerate() {
            let Some(source) = source.as_object() else { continue };
            let pointer = format!("/keys/{at}");
            match (source.contains_key("file"), source.contains_key("url")) {
                (true, true) => {
                    let message = "expected one source, but found a file as well";
                    self.problems.push(self.document.problem(&format!("{pointer}/url"), message));
                }
                (false, false) => {
                    self.problems.push(self.document.problem(&pointer, "expected a file or a url"));
                }
                (true, false) => {
                    for name in source.keys().filter(|name| *name != "file") {
                        let pointer = format!("{pointer}/{name}");
                        let message = "expected a url as well: it says nothing about a file";
                        self.problems.push(self.document.key_problem(&pointer, message));
                    }
                }
                (false, true) if source.contains_key("roles") && !source.contains_key("subject") => {
                    let message = "expected a subject as well: whose roles they are";
                    self.problems.push(self.document.key_problem(&format!("{pointer}/roles"), message));
                }
                (false, true) => {}
            }
        }
    }

    /// TLS is for a port, and names are those of certificates.
    fn tls(&mut self) {
        let Some(tls) = self.document.value.get("tls").filter(|tls| tls.is_object()) else { return };
        let listen = self.document.value.get("listen").and_then(Value::as_str);
        if listen.is_some_and(|listen| listen.starts_with("unix:")) {
            let message = "expected no tls with a Unix socket: the mode of its file and of its folder says who reaches it";
            self.problems.push(self.document.key_problem("/tls", message));
        }
        if tls.get("clients").is_some() && tls.get("client_ca").is_none() {
            let message = "expected client_ca as well: without it no client has to show a certificate";
            self.problems.push(self.document.key_problem("/tls/clients", message));
        }
    }

    /// One log, in one place.
    fn evidence(&mut self) {
        let Some(evidence) = self.document.value.get("evidence").filter(|evidence| evidence.is_object())
        else {
            return;
        };
        let is_set = |pointer: &str| match evidence.pointer(pointer) {
            Some(Value::Bool(set)) => *set,
            other => other.is_some(),
        };
        let (file, stdout) = (is_set("/file"), is_set("/stdout"));
        let (pointer, message) = match (file, stdout) {
            (false, false) => ("/evidence", "expected a file, or stdout: true"),
            (true, true) => ("/evidence/stdout", "expected one place for records, but found a file as well"),
            (false, true) if is_set("/checkpoint/stdout") => {
                ("/evidence/checkpoint/stdout", "the checkpoints stand among the records already")
            }
            (false, true) if is_set("/checkpoint/witnesses/0") => {
                let message = "expected a file for the records: a witness has to know the log, and each start begins another one";
                ("/evidence/checkpoint/witnesses", message)
            }
            // Its next start begins another log, which would look cut off.
            (false, true) if is_set("/checkpoint/file") => (
                "/evidence/checkpoint/file",
                "expected a file for the records as well: each start begins another log",
            ),
            _ => return,
        };
        self.problems.push(self.document.problem(pointer, message));
    }

    /// Names are how routes choose and how logs tell: each stands once.
    fn name(&mut self, policy: &Policy<'d>, at: usize, names: &mut HashMap<&'d str, usize>) {
        let Some(name) = policy.text("/name") else { return };
        if let Some(first) = names.insert(name, at) {
            let message = format!("the name {name:?} is already that of policy {}", first + 1);
            self.problem(policy, "/name", message);
        }
    }

    /// An external authority takes the place of the one that the client sent, so something else has to bind that.
    fn external_authority(&mut self, policy: &Policy<'_>) {
        let free = policy.at("/match").is_some_and(|matching| matching.get("hosts").is_none());
        if free && policy.at("/external/authority").is_some() {
            let message = "expected hosts in match as well: no proof binds the host that a client sends";
            self.problem(policy, "/external/authority", message);
        }
    }

    fn condition(&mut self, policy: &Policy<'_>) {
        let Some(source) = policy.text("/when") else { return };
        // A pattern that cannot be read is a problem of its own.
        let path = policy.text("/match/path").and_then(|path| PathPattern::parse(path).ok());
        let condition = match Condition::parse(source, path.as_ref()) {
            Ok(condition) => condition,
            Err(mistakes) => {
                let pointer = format!("{}/when", policy.pointer);
                self.problems.extend(mistakes.into_iter().map(|mistake| {
                    self.document.problem_within(&pointer, source, mistake.at, mistake.message)
                }));
                return;
            }
        };
        let reads = condition.reads();
        let body = policy.text("/proof/body").filter(|_| reads.body);
        let why = match body {
            Some("free") => "the condition looks into the body, which anybody could change",
            Some("none") => "the condition looks into the body, and none is let in",
            _ => "",
        };
        if !why.is_empty() {
            self.problem(policy, "/proof/body", format!("expected bound: {why}"));
        }
        if reads.signers && policy.asks_for_no_proof() {
            self.problem(policy, "/proof", "expected a proof: the condition is about the signers");
        }
    }

    fn receipt(&mut self, policy: &Policy<'_>) {
        if policy.at("/receipt").is_none() {
            return;
        }
        if self.document.value.get("receipts").is_none() {
            let message = "expected receipts as well, beside policies: who writes them, and with which key";
            self.problem(policy, "/receipt", message);
        }
        if policy.asks_for_no_proof() {
            self.problem(policy, "/proof", "expected a proof: a receipt says what was proven");
        }
    }

    /// A share, and certificates only where they mean something.
    fn traces(&mut self) {
        let sample = self.document.value.pointer("/traces/sample").and_then(Value::as_f64);
        if let Some(sample) = sample.filter(|sample| !(0.0..=1.0).contains(sample)) {
            let message = format!("expected a share from 0 to 1 such as 0.01, but found {sample}");
            self.problems.push(self.document.problem("/traces/sample", message));
        }
        let is_tls = |url: &str| url.starts_with("https:");
        let url = self.document.value.pointer("/traces/otlp").and_then(Value::as_str);
        if self.document.value.pointer("/traces/ca").is_some() && !url.is_some_and(is_tls) {
            let message = "expected an https URL: certificates mean nothing without TLS";
            self.problems.push(self.document.problem("/traces/otlp", message));
        }
    }

    /// A receipt that is over when it is written would have every request refused by its backend, and checkpoints without a
    /// pause would be all that the log has.
    fn at_least_a_second(&mut self, pointer: &str) {
        let span = self.document.value.pointer(pointer).and_then(Value::as_str);
        if let Some(span) = span
            && Duration::read(span).is_ok_and(|span| span.0 < 1)
        {
            let message = format!("expected at least 1s, but found {span:?}");
            self.problems.push(self.document.problem(pointer, message));
        }
    }

    fn approvals(&mut self, policy: &Policy<'_>, labels: u64) {
        let Some(approvals) = policy.at("/approvals").and_then(Value::as_array) else {
            if policy.at("/submitter").is_some() {
                let message = "expected approvals as well: without them everybody who signs submits";
                self.problem(policy, "/submitter", message);
            }
            return;
        };
        if policy.asks_for_no_proof() {
            self.problem(policy, "/proof", "expected a proof: approvals are proofs");
        }
        // Whoever approves must approve the same.
        for (pointer, what) in [("/proof/body", "body"), ("/proof/query", "query")] {
            if policy.text(pointer) == Some("free") {
                self.problem(policy, pointer, format!("expected bound: approvals would be for any {what}"));
            }
        }
        let cover = policy.at("/proof/cover").and_then(Value::as_array);
        let covers = |names: &[&str]| {
            cover.is_none_or(|cover| {
                let name =
                    |component: &Value| component.as_str().map(|name| name.trim_matches('"').to_owned());
                cover.iter().filter_map(name).any(|name| names.contains(&name.as_str()))
            })
        };
        if !covers(&["@method"]) || !covers(&["@target-uri", "@request-target", "@path"]) {
            let message = "expected @method and @target-uri as well: approvals would be for any resource";
            self.problem(policy, "/proof/cover", message);
        }
        let count = |approval: &Value| approval.get("count").map_or(Some(1), Value::as_u64);
        let approvals = approvals.iter().filter_map(count).fold(0, u64::saturating_add);
        let excluded = u64::from(policy.text("/submitter") == Some("excluded"));
        let needed = approvals.saturating_add(excluded);
        if needed > labels {
            let message = format!("expected at most {labels} proofs (limits.labels), but found {needed}");
            self.problem(policy, "/approvals", message);
        }
    }
}
