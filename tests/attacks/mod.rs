//! What the relay must refuse: one test for each known attack, named by its id. Beside each attack stands the honest
//! request that passes, so that no test can pass because something else is broken.
//!
//! Ids without a test:
//!
//! * F13: there is no HMAC. A shared secret proves nothing to a third party.
//! * F12 in part: keys come from files only, so there is no remote JWK Set to flood.
//! * H, I: there are no passkeys, no JWS and no DPoP.
//! * J5, J6: readiness and reload are the server's; J8: there is no evidence; J9: the log has tests of its own.
//! * J10 in part: what a backend must check of a receipt is checked by those of `examples/receipts`.
//! * J11: it is about Envoy's configuration. J12 is about the way to the relay: `transport`.

mod a_limits;
mod a_parameters;
mod a_parsing;
mod b_components;
mod b_targets;
mod c_headers;
mod d_bodies;
mod d_encodings;
mod e_replay_stores;
mod e_time_and_replay;
mod f_keys_and_algorithms;
mod f_signatures;
mod g_approvals;
mod g_many_signatures;
mod j_around;

use envoy_types::pb::envoy::service::auth::v3::CheckRequest;
use proof_messenger_relay::denial::Code;
use proof_messenger_relay::envoy::client::Answer;

use crate::support::ask::{ask, code, http};
use crate::support::relay::Relay;

/// The default policy, for every request.
const SIGNED: &str = "policies: [{name: signed, match: {}}]";

/// The relay lets the request pass.
async fn passes(relay: &Relay, check: impl Into<CheckRequest>) -> Answer {
    let check = check.into();
    let answer = ask(relay, check.clone()).await;
    assert_eq!(code(&answer), "", "{}\n{answer:#?}", shown(check));
    assert!(answer.allowed);
    answer
}

/// The relay refuses the request with this code, and the status that goes with it.
async fn denies(relay: &Relay, check: impl Into<CheckRequest>, expected: &str) -> Answer {
    let check = check.into();
    let answer = ask(relay, check.clone()).await;
    assert_eq!(code(&answer), expected, "{}\n{answer:#?}", shown(check));
    assert!(!answer.allowed);
    let status = Code::ALL.iter().find(|code| code.as_str() == expected).map(|code| code.status());
    assert_eq!(Some(answer.status), status.map(i32::from));
    answer
}

/// What a failed test shows of a request.
fn shown(mut check: CheckRequest) -> String {
    let http = http(&mut check);
    let mut shown = format!("{} {}://{}{}", http.method, http.scheme, http.host, http.path);
    for line in http.header_map.iter().flat_map(|map| &map.headers) {
        shown.push_str(&format!("\n{}: {}", line.key, line.raw_value.escape_ascii()));
    }
    for (name, value) in &http.headers {
        shown.push_str(&format!("\n{name}: {value}"));
    }
    shown
}

#[tokio::test]
async fn a_signed_request_passes() {
    use crate::support::{ask::Ask, signer::Signer};
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    passes(&relay, &Ask::post("/transfers/7", b"{}").signed(&alice)).await;
    passes(&relay, Ask::post("/transfers/7", b"{}").signed(&alice).merged_check_request()).await;
}
