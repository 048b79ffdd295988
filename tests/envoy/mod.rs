//! The relay behind a real Envoy, with the configuration that this repository ships.

mod access_log;
mod bodies;
pub(crate) mod clients;
mod failures;
mod grpc;
mod headers;
mod machines;
mod paths;
mod payments;
mod replays;
mod services;
mod signed;
mod tampering;
mod upgrades;

pub(crate) use clients::installed as clients_are_installed;

use crate::support::ask::Ask;
use crate::support::signer::Signer;

/// One policy for every request: method, target URI and body must be signed.
const EVERYTHING: &str = "policies: [{name: transfers, match: {}}]";

fn get(target: &str) -> Ask {
    Ask::get(target).for_envoy()
}

fn post(target: &str, body: &[u8]) -> Ask {
    Ask::post(target, body).for_envoy()
}

fn alice() -> Signer {
    Signer::ed25519("alice")
}

fn bob() -> Signer {
    Signer::p256("bob")
}
