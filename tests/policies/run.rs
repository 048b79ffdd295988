//! Runs a file of cases.

use std::path::Path;

use envoy_types::pb::envoy::config::core::v3::address::Address as Kind;
use envoy_types::pb::envoy::config::core::v3::{Address, SocketAddress};
use envoy_types::pb::envoy::service::auth::v3::CheckRequest;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::Peer;
use proof_messenger_relay::envoy::client::Answer;
use proof_messenger_relay::timestamp::Timestamp;
use serde_json::{Map, Value};

use super::case::{Case, Group, Request, Signature, Step, time};
use crate::support::ask::{Ask, ask, signing};
use crate::support::relay::{Relay, START};
use crate::support::signer::Signer;

/// Every case of the file; what fails is told all at once.
pub async fn run(file: &str) {
    let name = format!("tests/policies/cases/{file}.yaml");
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&name)).unwrap();
    let groups: Value = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let groups: Vec<Group> = serde_json::from_value(groups).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut failures = Vec::new();
    for group in &groups {
        let signers = group.signers();
        let mut settings = group.settings.clone();
        settings.insert("policies".to_owned(), group.policies.clone());
        // What is JSON is YAML, but the relay's settings have no braces around them.
        let settings: Vec<String> = settings.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let relay = Relay::start(&settings.join("\n"), &signers.iter().collect::<Vec<_>>()).await;
        let runner = Runner { group, signers, relay };
        for case in &group.cases {
            if let Err(failure) = runner.case(case).await {
                let line = line_of(&text, &group.group, &case.why);
                failures.push(format!("{name}:{line}: {}: {}\n  {failure}", group.group, case.why));
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// Where the case stands.
fn line_of(text: &str, group: &str, why: &str) -> usize {
    let says = |line: &str, key: &str, value: &str| {
        let rest =
            line.split_once(key).and_then(|(_, rest)| rest.trim_start_matches('\'').strip_prefix(value));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([',', '\'']))
    };
    let mut lines = text.lines().zip(1..).skip_while(|(line, _)| !says(line, "group: ", group));
    lines.find(|(line, _)| says(line, "why: ", why)).map_or(0, |(_, number)| number)
}

struct Runner<'g> {
    group: &'g Group,
    signers: Vec<Signer>,
    relay: Relay,
}

impl Runner<'_> {
    async fn case(&self, case: &Case) -> Result<(), String> {
        if let Some(first) = &case.first {
            self.step(first, &case.step.request).await.map_err(|failure| format!("first: {failure}"))?;
        }
        self.step(&case.step, &Map::new()).await
    }

    async fn step(&self, step: &Step, case: &Map<String, Value>) -> Result<(), String> {
        let words = [&self.group.request, case, &step.request];
        let request = Request::of(&words);
        let signatures = step.signed_by.as_ref().unwrap_or(&self.group.signed_by);
        let proofs: Vec<Ask> = signatures.iter().map(|signature| self.sign(signature, &words)).collect();
        let mut signed = request.ask();
        if !proofs.is_empty() {
            for name in ["signature-input", "signature"] {
                let members: Vec<String> = proofs.iter().map(|proof| proof.value(name)).collect();
                signed = signed.header(name, members.join(", "));
            }
        }
        let answer = ask(&self.relay, check(&signed, &request)).await;
        let expected = step.expect.split_once(" by ");
        let named = expected.is_some() || step.expect.starts_with("allow");
        let found = found(&answer, named);
        if found != step.expect {
            return Err(format!("expected {}, but found {found}: {}", step.expect, answer.body));
        }
        if let Some(subjects) = &step.subjects {
            let told = answer.headers.iter().find(|(name, _)| name == "x-proof-subject");
            let told = told.map_or("", |(_, subjects)| subjects);
            if told != subjects.join(",") {
                return Err(format!("expected the subjects {subjects:?}, but found {told}"));
            }
        }
        if step.says.as_ref().is_some_and(|piece| !answer.body.contains(piece)) {
            return Err(format!("expected {:?}, but found {}", step.says, answer.body));
        }
        match step.never_says.iter().find(|piece| answer.body.contains(*piece)) {
            Some(piece) => Err(format!("expected nothing of {piece}, but found {}", answer.body)),
            None => Ok(()),
        }
    }

    /// The request that somebody signed, which need not be the one that is sent.
    fn sign(&self, signature: &Signature, words: &[&Map<String, Value>]) -> Ask {
        let mut words = words.to_vec();
        words.push(&signature.over);
        let request = Request::of(&words).ask();
        let has_body = request.body.as_ref().is_some_and(|body| !body.is_empty());
        let mut cover = vec!["@method", "@target-uri"];
        if has_body {
            cover.push("content-digest");
        }
        if let Some(components) = &signature.cover {
            cover = components.iter().map(String::as_str).collect();
        }
        let at = |text: &Option<String>| text.as_deref().map(time).map(Timestamp::from_unix_seconds);
        let label = signature.label.as_ref().unwrap_or(&signature.key);
        let mut signing = signing(label, &cover);
        signing.created = at(&signature.created).or(Some(Timestamp::from_unix_seconds(START)));
        signing.expires = at(&signature.expires);
        signing.tag.clone_from(&signature.tag);
        signing.nonce = signature.nonce.clone().or(signing.nonce);
        let stranger = Signer::ed25519(&signature.key);
        let signer = self.signers.iter().find(|signer| signer.id == signature.key).unwrap_or(&stranger);
        request.signed_as(signer, &signing)
    }
}

fn check(ask: &Ask, request: &Request) -> CheckRequest {
    let mut check = if request.merged { ask.merged_check_request() } else { ask.check_request() };
    if let Some(source) = &request.source {
        let address = source.address.clone().map(|address| Address {
            address: Some(Kind::SocketAddress(SocketAddress { address, ..SocketAddress::default() })),
        });
        let principal = source.principal.clone().unwrap_or_default();
        check.attributes.as_mut().unwrap().source = Some(Peer { address, principal, ..Peer::default() });
    }
    check
}

/// The answer in the words of the files.
fn found(answer: &Answer, named: bool) -> String {
    let said = |name: &str| answer.metadata.get(name).map_or("", String::as_str);
    let (decision, code, policy) = (said("decision"), said("code"), said("policy"));
    assert_eq!(answer.allowed, decision != "deny", "{answer:?}");
    let mut found = decision.to_owned();
    if !code.is_empty() {
        found.push_str(&format!(" {code}"));
    }
    if named {
        found.push_str(&format!(" by {policy}"));
    }
    // What another policy observed before this one decided.
    if !said("observed_code").is_empty() {
        found.push_str(&format!(", after {} by {}", said("observed_code"), said("observed_policy")));
    }
    if decision == "observe" {
        let marked = answer.headers.iter().any(|pair| *pair == ("x-proof-status".into(), "observed".into()));
        assert!(marked, "{answer:?}");
    }
    found
}
