//! What backends are told in a way that they can check: receipts, their keys, and the backends of the examples.

mod backends;
mod claims;
mod envoy;
mod keys;

use proof_messenger_relay::envoy::client::Answer;

/// The receipt that the backend would get.
fn receipt(answer: &Answer) -> Option<&str> {
    let mut receipts = answer.headers.iter().filter(|(name, _)| name == "x-proof-receipt");
    let receipt = receipts.next().map(|(_, value)| value.as_str());
    assert_eq!(receipts.next(), None, "one receipt at most");
    receipt
}
