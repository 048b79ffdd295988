//! Where the fuzzer of whole checks begins: a request that passes, so that every byte of it can be doubted.

use prost::Message as _;

use crate::support::ask::{Ask, signing};
use crate::support::golden::assert_golden;
use crate::support::service::Blocking;
use crate::support::signer::{Signer, trust_store};

#[test]
fn the_seed_of_the_fuzzer() {
    let alice = Signer::ed25519("alice");
    assert_golden("fuzz/seeds/keys.jwks.json", format!("{:#}\n", trust_store(&[&alice])).as_bytes());
    let ask = Ask::post("/transfers/7?on=monday", br#"{"amount":10}"#).header("x-tenant", "b");
    let mut signing = signing("sig", &["@method", "@target-uri", "x-tenant", "content-digest"]);
    signing.nonce = None;
    let check = ask.signed_as(&alice, &signing).check_request();
    let unsigned = Ask::get("/rates/eur").check_request();
    assert_golden("fuzz/seeds/check/signed", &check.encode_to_vec());
    assert_golden("fuzz/seeds/check/unsigned", &unsigned.encode_to_vec());

    let service = Blocking::new(include_str!("../../fuzz/seeds/policies.yaml"), &[&alice]);
    assert!(service.ask(check).allowed && service.ask(unsigned).allowed);
}
