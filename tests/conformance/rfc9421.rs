//! RFC 9421: the signed messages of its text and of its appendix B.

use std::collections::BTreeMap;

use proof_messenger_relay::crypto::{Algorithm, PrivateKey};
use proof_messenger_relay::keys::{Directory, parse_jwk_set, parse_private_jwk};
use proof_messenger_relay::limits::Limits;
use proof_messenger_relay::proof::ProofFields;
use proof_messenger_relay::timestamp::Timestamp;
use proof_messenger_relay::verify::{BodyRule, FieldTypes, Message, QueryRule, Requirement, verify};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::message::VectorMessage;
use super::{from_base64, vectors};

#[derive(Deserialize)]
struct SignedMessages {
    cases: Vec<SignedMessage>,
}

#[derive(Deserialize)]
struct SignedMessage {
    id: String,
    expect: String,
    label: String,
    alg: String,
    keyid: String,
    deterministic: bool,
    message: VectorMessage,
    related_request: Option<VectorMessage>,
    signature_params: SignatureParams,
    expected_signature_base: String,
    signature_base64: String,
}

#[derive(Deserialize)]
struct SignatureParams {
    created: u64,
}

impl SignedMessage {
    fn is_request(&self) -> bool {
        self.message.kind == "request"
    }

    fn algorithm(&self) -> Option<Algorithm> {
        [Algorithm::Ed25519, Algorithm::EcdsaP256Sha256].into_iter().find(|known| known.name() == self.alg)
    }
}

fn signed_messages() -> Option<Vec<SignedMessage>> {
    let cases = vectors::<SignedMessages>("rfc9421/signed-messages.json")?.cases;
    assert_eq!(cases.len(), 21);
    Some(cases)
}

/// The keys of appendix B.1 whose algorithms the relay supports, as private JWKs.
fn private_jwks() -> Option<Vec<Map<String, Value>>> {
    let ids = ["test-key-ed25519", "test-key-ecc-p256"];
    ids.into_iter().map(|id| vectors(&format!("rfc9421/keys/{id}.jwk.json"))).collect()
}

fn private_keys() -> Option<BTreeMap<String, PrivateKey>> {
    let keys = private_jwks()?.into_iter().map(|jwk| {
        let private = parse_private_jwk(json!(jwk).to_string().as_bytes()).unwrap();
        (private.id, private.key)
    });
    Some(keys.collect())
}

/// Their public halves, as a trust store has them.
fn directory() -> Option<Directory> {
    let mut jwks = private_jwks()?;
    for jwk in &mut jwks {
        jwk.remove("d");
        jwk.insert("sub".into(), json!("somebody"));
    }
    let set = json!({ "keys": jwks }).to_string();
    let keys = parse_jwk_set(set.as_bytes()).unwrap().into_iter().map(Result::unwrap);
    Some(Directory::new(keys).unwrap())
}

#[test]
fn signature_bases_are_built_byte_for_byte() {
    let Some(cases) = signed_messages() else { return };
    let mut built = 0;
    for case in cases {
        let base = match case.message.status {
            None => case.message.received().base(&case.label),
            Some(status) => {
                let request =
                    case.related_request.map_or_else(VectorMessage::unknown, VectorMessage::received);
                request.base_in_response(&case.message.received(), status, &case.label)
            }
        };
        let base = base.unwrap_or_else(|denial| panic!("{}: {denial}", case.id));
        assert_eq!(base, case.expected_signature_base, "{}", case.id);
        built += 1;
    }
    assert_eq!(built, 21);
}

/// What only a response has must not get a value when it stands in a request.
#[test]
fn signature_bases_of_responses_are_refused_in_requests() {
    let Some(cases) = signed_messages() else { return };
    let mut refused = Vec::new();
    for case in cases.into_iter().filter(|case| !case.is_request()) {
        let denial = case.message.received().base(&case.label).unwrap_err();
        assert_eq!(denial.code.as_str(), "proof-malformed", "{}", case.id);
        assert_eq!(denial.detail, "@status has no meaning in a request", "{}", case.id);
        refused.push(case.id);
    }
    assert_eq!(refused, ["2.4-response-1", "2.4-response-2", "B.2.4"]);
}

#[test]
fn valid_signatures_verify_and_invalid_ones_do_not() {
    let Some(cases) = signed_messages() else { return };
    let Some(keys) = directory() else { return };
    let mut verdicts = BTreeMap::new();
    for case in cases.iter().filter(|case| case.algorithm().is_some()) {
        let key = &keys.find(&case.keyid).unwrap().key.public;
        assert_eq!(Some(key.algorithm()), case.algorithm(), "{}", case.id);
        let signature = from_base64(&case.signature_base64);
        let verified = key.verify(case.expected_signature_base.as_bytes(), &signature);
        assert_eq!(verified.is_ok(), case.expect == "valid", "{}", case.id);
        *verdicts.entry((case.alg.as_str(), case.expect.as_str())).or_insert(0) += 1;
    }
    let expected = [
        (("ecdsa-p256-sha256", "invalid"), 2),
        (("ecdsa-p256-sha256", "valid"), 5),
        (("ed25519", "invalid"), 2),
        (("ed25519", "valid"), 5),
    ];
    assert_eq!(verdicts, BTreeMap::from(expected));
}

/// The whole way: fields, claims, parameters, key, base, signature, digest.
#[test]
fn signed_requests_pass_or_fail_as_a_whole() {
    let Some(cases) = signed_messages() else { return };
    let Some(keys) = directory() else { return };
    // What the examples cover is theirs to choose, and most leave the body out.
    let requirement = Requirement {
        cover: Vec::new(),
        body: BodyRule::Free,
        query: QueryRule::Free,
        ..Requirement::default()
    };
    let limits = Limits::default();
    let types = FieldTypes::default();
    let mut outcomes = BTreeMap::new();
    for case in cases.into_iter().filter(SignedMessage::is_request) {
        let now = Timestamp::from_unix_seconds(case.signature_params.created + 10);
        let received = case.message.received();
        let request = received.request();
        let message = Message::new(&request, &types);
        let fields = ProofFields::of(&request.fields);
        let outcome = match verify(&fields, &message, &requirement, &keys, &limits, now) {
            Ok(verified) => {
                assert_eq!(verified.proofs()[0].proof().label(), case.label);
                assert_eq!(&*verified.proofs()[0].key().id, case.keyid);
                "verified"
            }
            Err(denial) => denial.code.as_str(),
        };
        outcomes.insert(case.id, outcome);
    }
    let expected = [
        ("4.3-client", "verified"),
        ("B.2.6", "verified"),
        ("B.3", "verified"),
        ("B.4-original", "verified"),
        ("B.4-added-header-and-query", "verified"),
        ("B.4-collapsed-accept", "verified"),
        ("B.4-reordered-fields", "verified"),
        ("4.3-client-sig-altered-no-proxy-sig", "signature-invalid"),
        ("B.4-method-and-authority-changed", "signature-invalid"),
        ("B.4-accept-reordered", "signature-invalid"),
        // Every proof must hold, and the second one of these two messages is by an RSA key.
        ("4.3-client-sig-after-proxy", "key-unknown"),
        ("4.3-proxy-sig", "key-unknown"),
        // RSA and HMAC keys are never in the trust store.
        ("2.4-signed-request", "key-unknown"),
        ("3.2-verify", "key-unknown"),
        ("B.2.1", "key-unknown"),
        ("B.2.2", "key-unknown"),
        ("B.2.3", "key-unknown"),
        ("B.2.5", "key-unknown"),
    ];
    assert_eq!(outcomes, expected.map(|(id, outcome)| (id.to_owned(), outcome)).into());
}

#[test]
fn signing_again_gives_the_same_bytes_where_the_algorithm_is_deterministic() {
    let Some(cases) = signed_messages() else { return };
    let Some(keys) = private_keys() else { return };
    let mut same = 0;
    let mut verified = 0;
    for case in cases.iter().filter(|case| case.algorithm().is_some() && case.expect == "valid") {
        let key = &keys[&case.keyid];
        let base = case.expected_signature_base.as_bytes();
        let signature = key.sign(base);
        key.public().verify(base, &signature).unwrap();
        verified += 1;
        if case.deterministic {
            assert_eq!(signature, from_base64(&case.signature_base64), "{}", case.id);
            same += 1;
        }
    }
    assert_eq!((verified, same), (10, 5));
}
