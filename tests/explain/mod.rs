//! `explain`: what it tells is true, and it finds out what a client did wrong.

mod decisions;
mod differences;
mod mistakes;
mod program;
mod stories;

use std::path::Path;
use std::sync::Arc;

use base64ct::{Base64, Encoding as _};
use envoy_types::pb::envoy::service::auth::v3::CheckRequest;
use proof_messenger_relay::config::Config;
use proof_messenger_relay::envoy::{body_bytes, read_request};
use proof_messenger_relay::explain::{Asked, Check, Outcome, ProofStory, Story, explain};
use proof_messenger_relay::keys::{Directory, parse_jwk_set};
use proof_messenger_relay::relay::Relay;
use proof_messenger_relay::replay::MemoryStore;
use proof_messenger_relay::timestamp::{Clock, Timestamp};

use crate::support::ask::Ask;
use crate::support::relay::START;
use crate::support::signer::{Signer, trust_store};

struct Still(u64);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.0)
    }
}

/// A relay that only decides. `settings` is a configuration file without `listen` and `keys`.
fn relay(settings: &str, signers: &[&Signer]) -> Relay {
    let config =
        Config::parse(settings, "test", Path::new("")).unwrap_or_else(|problems| panic!("{problems}"));
    let keys = parse_jwk_set(trust_store(signers).to_string().as_bytes()).unwrap();
    let keys = Directory::new(keys.into_iter().collect::<Result<Vec<_>, _>>().unwrap()).unwrap();
    Relay::new(config, keys, Arc::new(MemoryStore::new(16)), Arc::new(Still(START)))
}

/// The story of a check; with the base that the client printed, where there is one.
fn story_of(relay: &Relay, check: &CheckRequest, base: Option<&[u8]>) -> Story {
    let asked = Asked {
        request: read_request(check, &relay.rules().limits).unwrap(),
        bytes: body_bytes(check),
        source: "a test".to_owned(),
        notes: Vec::new(),
        why_then: "when tests begin",
        client_base: base.map(|base| (base, None)),
    };
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(explain(relay, asked))
}

fn story(settings: &str, signers: &[&Signer], ask: &Ask) -> Story {
    story_of(&relay(settings, signers), &ask.check_request(), None)
}

/// Signed over a base of the test's own. `params` is the member of `Signature-Input` after its label.
fn signed_over_base(ask: Ask, signer: &Signer, params: &str, base: &[u8]) -> Ask {
    with_signature(ask, params, &signer.key.sign(base))
}

fn with_signature(ask: Ask, params: &str, signature: &[u8]) -> Ask {
    ask.header("signature-input", format!("sig={params}"))
        .header("signature", format!("sig=:{}:", Base64::encode_string(signature)))
}

fn check<'s>(checks: &'s [Check], name: &str) -> &'s Check {
    checks.iter().find(|check| check.name == name).unwrap_or_else(|| panic!("no {name} in {checks:?}"))
}

fn failed(proof: &ProofStory) -> Vec<&'static str> {
    proof
        .checks
        .iter()
        .filter(|check| check.outcome == Outcome::Failed)
        .filter_map(|check| check.code)
        .collect()
}
