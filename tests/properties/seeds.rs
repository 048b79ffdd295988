//! Where fuzzers begin: a request that passes, and a proof that verifies, so that every byte of them can be doubted.

use proof_messenger_relay::crypto::{Algorithm, PrivateKey};
use proof_messenger_relay::evidence::checkpoint::Checkpoint;
use proof_messenger_relay::evidence::merkle::{CompactRange, inclusion_proof, leaf_hash};
use proof_messenger_relay::evidence::note::{self, Cosigner, Note};
use proof_messenger_relay::evidence::tlog_proof::TlogProof;
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

#[test]
fn the_seeds_of_the_fuzzer_of_evidence() {
    let key = |seed| PrivateKey::from_bytes(Algorithm::Ed25519, &[seed; 32]).unwrap();
    let log = note::Signer::new("bank.example/relay", key(1)).unwrap();
    let witness = Cosigner::new("witness.example", key(2)).unwrap();
    let range = |begin: u64, end: u64| {
        let mut range = CompactRange::starting_at(begin);
        (begin..end).for_each(|index| range.push(leaf_hash(&index.to_be_bytes())));
        range
    };
    let (mut tree, leaf) = (range(0, 3), leaf_hash(b"a record"));
    let hashes = inclusion_proof(&tree, &range(4, 7));
    tree.push(leaf);
    (4..7_u64).for_each(|index| tree.push(leaf_hash(&index.to_be_bytes())));

    let checkpoint = Checkpoint::new("bank.example/relay", tree.end(), tree.root()).unwrap().to_string();
    let signatures = vec![log.sign(&checkpoint), witness.cosign(&checkpoint, 1_700_000_000)];
    let note = Note::new(checkpoint.clone(), signatures).unwrap().to_string();
    let proof = TlogProof { extra: Some(b"a record".to_vec()), index: 3, hashes, checkpoint: note.clone() };
    assert!(proof.verify(&leaf, log.verifier()).is_ok());
    assert_golden("fuzz/seeds/evidence/key", log.verifier().to_string().as_bytes());
    assert_golden("fuzz/seeds/evidence/checkpoint", checkpoint.as_bytes());
    assert_golden("fuzz/seeds/evidence/note", note.as_bytes());
    assert_golden("fuzz/seeds/evidence/proof", proof.to_string().as_bytes());
}
