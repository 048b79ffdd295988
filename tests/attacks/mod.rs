//! What the relay must refuse.

use crate::support::ask::{Ask, code};
use crate::support::relay::Relay;
use crate::support::signer::Signer;

#[tokio::test]
async fn a_signed_request_passes() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start("policies: [{name: transfers, match: {}}]", &[&alice]).await;
    let answer = Ask::post("/transfers/7", b"{}").signed(&alice).of(&relay).await;
    assert_eq!(code(&answer), "", "{answer:?}");
    assert!(answer.allowed);
}
