//! F: signatures and keys at the edges of their algorithms. The lists of vectors stand in `conformance`.

use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};
use proof_messenger_relay::keys::{JwkError, parse_jwk_set};
use proof_messenger_relay::signer::Signing;
use serde_json::{Value, json};

use super::{SIGNED, denies, passes};
use crate::support::ask::{Ask, signing};
use crate::support::relay::Relay;
use crate::support::signer::Signer;

/// The order of the group of Ed25519 (RFC 8032 §5.1), little-endian.
const ED25519_ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// The order of the group of P-256 (FIPS 186-5), big-endian.
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The signature of a request, in bytes.
fn signature(ask: &Ask) -> [u8; 64] {
    let value = ask.value("signature");
    let base64 = value.trim_start_matches("alice=:").trim_end_matches(':');
    Base64::decode_vec(base64).unwrap().try_into().unwrap()
}

fn with_signature(ask: &Ask, bytes: &[u8]) -> Ask {
    ask.clone().replace("signature", format!("alice=:{}:", Base64::encode_string(bytes)))
}

fn key(members: Value) -> Result<(), JwkError> {
    let mut key = members;
    key["sub"] = json!("mallory");
    let set = json!({"keys": [key]}).to_string();
    parse_jwk_set(set.as_bytes()).unwrap().remove(0).map(|_| ())
}

#[tokio::test]
async fn f4_ed25519_signature_in_a_second_form() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let honest = Ask::get("/").signed(&alice);
    let signature = signature(&honest);
    // S + L satisfies the same equation.
    let mut carry = 0;
    let mut malleable = signature;
    for (byte, order) in malleable[32..].iter_mut().zip(ED25519_ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
    }
    assert_eq!(carry, 0);
    denies(&relay, &with_signature(&honest, &malleable), "signature-invalid").await;
    // R of small order: the neutral element, in its canonical form and in others.
    for (first, last) in [(1, 0), (1, 0x80), (0xee, 0x7f), (0, 0)] {
        let mut small = signature;
        small[..32].fill(if first == 0xee { 0xff } else { 0 });
        (small[0], small[31]) = (first, last);
        denies(&relay, &with_signature(&honest, &small), "signature-invalid").await;
        small[32..].fill(0);
        denies(&relay, &with_signature(&honest, &small), "signature-invalid").await;
    }
    for at in 0..64 {
        let mut flipped = signature;
        flipped[at] ^= 1;
        denies(&relay, &with_signature(&honest, &flipped), "signature-invalid").await;
    }
    passes(&relay, &honest).await;
}

#[test]
fn f4_ed25519_key_of_small_order_or_second_form() {
    let ed25519 = |bytes: [u8; 32]| {
        key(json!({"kty": "OKP", "crv": "Ed25519", "x": Base64UrlUnpadded::encode_string(&bytes)}))
    };
    let bytes = |first: u8, middle: u8, last: u8| {
        let mut bytes = [middle; 32];
        (bytes[0], bytes[31]) = (first, last);
        bytes
    };
    for weak in [
        bytes(1, 0, 0),          // the neutral element
        bytes(0xec, 0xff, 0x7f), // of order 2
        bytes(0, 0, 0),          // of order 4
        bytes(0, 0, 0x80),
        bytes(0xee, 0xff, 0x7f), // the neutral element, not canonical
        bytes(0xed, 0xff, 0x7f), // of order 4, not canonical
        bytes(1, 0, 0x80),       // minus zero
        bytes(2, 0, 0),          // not on the curve
    ] {
        assert!(matches!(ed25519(weak), Err(JwkError::Key(_))), "{weak:02x?}");
    }
    key(Signer::ed25519("alice").public_jwk()).unwrap();
}

#[tokio::test]
async fn f5_ecdsa_signature_out_of_range_or_in_der() {
    let alice = Signer::p256("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let honest = Ask::get("/").signed(&alice);
    let (zero, signature) = ([0; 32], signature(&honest));
    let (r, s) = signature.split_at(32);
    for (r, s) in
        [(&zero[..], s), (r, &zero[..]), (&P256_ORDER, s), (r, &P256_ORDER), (&zero, &zero), (&[0xff; 32], s)]
    {
        denies(&relay, &with_signature(&honest, &[r, s].concat()), "signature-invalid").await;
    }
    denies(&relay, &with_signature(&honest, &[s, r].concat()), "signature-invalid").await;
    // An integer of DER begins with a zero where its first bit would be set.
    let integer = |bytes: &[u8]| [&[2, 33, 0], bytes].concat();
    let der = [vec![0x30, 70], integer(r), integer(s)].concat();
    for other in
        [der, [&[4], &signature[..]].concat(), [&signature[..], &[0]].concat(), signature[..63].to_vec()]
    {
        denies(&relay, &with_signature(&honest, &other), "signature-invalid").await;
    }
    passes(&relay, &honest).await;
}

#[tokio::test]
async fn f5_ecdsa_signature_in_its_second_form_is_a_replay() {
    let alice = Signer::p256("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    for nonce in [None, Some("a nonce for this one".to_owned())] {
        let honest = Ask::get("/")
            .signed_as(&alice, &Signing { nonce, ..signing("alice", &["@method", "@target-uri"]) });
        // n - s satisfies the same equation, and RFC 9421 §3.3.4 allows it.
        let mut twin = signature(&honest);
        let mut borrow = 0;
        for (byte, order) in twin[32..].iter_mut().zip(P256_ORDER).rev() {
            let difference = 0x100 + u16::from(order) - u16::from(*byte) - borrow;
            (*byte, borrow) = (difference.to_le_bytes()[0], 1 - (difference >> 8));
        }
        assert_eq!(borrow, 0);
        passes(&relay, &with_signature(&honest, &twin)).await;
        denies(&relay, &honest, "replayed").await;
    }
}

#[test]
fn f6_ecdsa_key_that_is_no_point_of_the_curve() {
    let honest = Signer::p256("alice").public_jwk();
    let coordinate = |bytes: &[u8]| json!(Base64UrlUnpadded::encode_string(bytes));
    let field_prime = "_____wAAAAEAAAAAAAAAAAAAAAD_______________8";
    for (x, y) in [
        (honest["y"].clone(), honest["x"].clone()),
        (coordinate(&[0; 32]), coordinate(&[0; 32])),
        (json!(field_prime), honest["y"].clone()),
        (coordinate(&[0xff; 32]), coordinate(&[0xff; 32])),
        (coordinate(&[]), coordinate(&[])),
        (coordinate(&[1; 31]), honest["y"].clone()),
        (coordinate(&[1; 33]), honest["y"].clone()),
        (honest["x"].clone(), Value::Null),
    ] {
        let mut off = honest.clone();
        (off["x"], off["y"]) = (x, y);
        assert!(key(off.clone()).is_err(), "{off}");
    }
    let mut other_curve = honest.clone();
    for curve in ["P-384", "secp256k1", "Ed25519", "p-256", ""] {
        other_curve["crv"] = json!(curve);
        assert!(key(other_curve.clone()).is_err(), "{curve}");
    }
    key(honest).unwrap();
}
