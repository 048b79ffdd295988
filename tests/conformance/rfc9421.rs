//! RFC 9421: the signed messages of its text and appendix, its component values, its error rules.

use std::collections::BTreeMap;

use proof_messenger_relay::crypto::{Algorithm, PrivateKey};
use proof_messenger_relay::keys::{Directory, parse_jwk_set, parse_private_jwk};
use proof_messenger_relay::limits::Limits;
use proof_messenger_relay::proof::ProofFields;
use proof_messenger_relay::structured_field::{self, MAX_MEMBERS};
use proof_messenger_relay::timestamp::Timestamp;
use proof_messenger_relay::verify::{BodyRule, FieldTypes, Message, QueryRule, Requirement, verify};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::message::Received;
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
    signature_params: SignatureParams,
    expected_signature_base: String,
    signature_base64: String,
}

#[derive(Deserialize)]
struct SignatureParams {
    created: u64,
}

#[derive(Deserialize)]
struct VectorMessage {
    kind: String,
    #[serde(default)]
    method: String,
    #[serde(default)]
    scheme: String,
    authority: Option<String>,
    #[serde(default)]
    request_target: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    raw_header_lines: Vec<String>,
    #[serde(default)]
    body: String,
}

impl VectorMessage {
    fn received(self) -> Received {
        let mut lines = self.headers;
        lines.extend(self.raw_header_lines.iter().map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_owned(), value.to_owned())
        }));
        for (name, _) in &mut lines {
            name.make_ascii_lowercase();
        }
        let host = lines.iter().find(|(name, _)| name == "host").map(|(_, value)| value.trim().to_owned());
        Received {
            method: self.method,
            scheme: self.scheme,
            authority: self.authority.or(host).unwrap_or_default(),
            target: self.request_target,
            lines,
            body: self.body,
        }
    }
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
fn signature_bases_of_requests_are_built_byte_for_byte() {
    let Some(cases) = signed_messages() else { return };
    let mut built = 0;
    for case in cases.into_iter().filter(SignedMessage::is_request) {
        let base = case
            .message
            .received()
            .base(&case.label)
            .unwrap_or_else(|denial| panic!("{}: {denial}", case.id));
        assert_eq!(base, case.expected_signature_base, "{}", case.id);
        built += 1;
    }
    assert_eq!(built, 18);
}

/// The other three of the 21 are signatures over responses. The relay never sees a response, and what only a response
/// has must not get a value when it stands in a request.
#[test]
fn signature_bases_of_responses_are_refused() {
    let Some(cases) = signed_messages() else { return };
    let mut refused = Vec::new();
    for case in cases.into_iter().filter(|case| !case.is_request()) {
        let denial = case.message.received().base(&case.label).unwrap_err();
        assert_eq!(denial.code.as_str(), "proof-malformed", "{}", case.id);
        assert!(denial.detail.ends_with("@status has no meaning in a request"), "{}: {denial}", case.id);
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
        let key = &keys.find(&case.keyid).unwrap().public;
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

#[derive(Deserialize)]
struct Components {
    cases: Vec<ComponentCase>,
    error_rules: Vec<ErrorRule>,
}

#[derive(Deserialize)]
struct ComponentCase {
    id: String,
    message: VectorMessage,
    components: Vec<ComponentValue>,
}

#[derive(Deserialize)]
struct ComponentValue {
    identifier: String,
    base_line: String,
}

#[derive(Deserialize)]
struct ErrorRule {
    id: String,
    headers: Vec<(String, String)>,
    covered: String,
    method: String,
    target: String,
    authority: String,
    expect: String,
    expect_value: Option<String>,
}

fn components() -> Option<Components> {
    let components: Components = vectors("rfc9421/components.json")?;
    assert_eq!((components.cases.len(), components.error_rules.len()), (25, 14));
    Some(components)
}

#[test]
fn component_values_are_exact_and_those_of_other_messages_are_refused() {
    let Some(components) = components() else { return };
    let mut exact = 0;
    let mut refused = Vec::new();
    for case in components.cases {
        let mut received = case.message.received();
        unfold(&mut received, &case.id);
        for ComponentValue { identifier, base_line } in case.components {
            match received.base_over(&format!("({identifier})")) {
                Ok(base) => {
                    let expected = format!("{base_line}\n\"@signature-params\": ({identifier})");
                    assert_eq!(base, expected, "{}", case.id);
                    exact += 1;
                }
                Err(_) => refused.push((case.id.clone(), identifier)),
            }
        }
    }
    assert_eq!(exact, 36);
    // Of 39: a request has no status, and Envoy asks before there are trailers.
    let expected = [
        ("2.1.4-trailer", r#""@status""#),
        ("2.1.4-trailer", r#""expires";tr"#),
        ("2.2.9-code", r#""@status""#),
    ];
    assert_eq!(refused, expected.map(|(id, identifier)| (id.to_owned(), identifier.to_owned())));
}

/// One message has a folded line. The core refuses line breaks; the HTTP parser before it refuses such a line or
/// replaces the fold by a space (RFC 9112 §5.2), which is what the value shows.
fn unfold(received: &mut Received, id: &str) {
    if received.lines.iter().any(|(_, value)| value.contains('\n')) {
        assert_eq!(id, "2.1-fields");
        assert_eq!(received.try_request().unwrap_err().code.as_str(), "request-malformed");
    }
    for (_, value) in &mut received.lines {
        *value = value.split('\n').map(str::trim).collect::<Vec<_>>().join(" ");
    }
}

#[test]
fn messages_that_break_a_rule_get_no_base_and_the_reason_is_the_rule() {
    let reasons = BTreeMap::from([
        ("2-duplicate-param-order", "stands twice"),
        ("2.2.8-query-param-absent", "the query has no such parameter"),
        ("2.2.8-query-param-repeated", "the query has the parameter more than once"),
        ("2.2.9-status-on-request", "@status has no meaning in a request"),
        ("2.3-signature-params-covered", "@signature-params cannot be listed"),
        ("2.5-bs-and-key", "bs goes with neither sf nor key"),
        ("2.5-bs-and-sf", "bs goes with neither sf nor key"),
        ("2.5-duplicate-identifier", "stands twice"),
        ("2.5-key-missing", "the header has no such member"),
        ("2.5-missing-field", "there is no such header"),
        ("2.5-req-on-request", "the parameter req has no meaning in a request"),
        ("2.5-unknown-derived", "the derived component @unknown-component is unknown"),
        ("2.5-unknown-param", "the component parameter unknownparam is unknown"),
    ]);
    let Some(components) = components() else { return };
    let mut refused = 0;
    for rule in components.error_rules.into_iter().filter(|rule| rule.expect == "error") {
        let (id, covered) = (rule.id.clone(), rule.covered.clone());
        let reason = rule.received().base_over(&covered).unwrap_err();
        assert!(reason.contains(reasons[id.as_str()]), "{id}: {reason}");
        refused += 1;
    }
    assert_eq!((refused, reasons.len()), (13, 13));
}

#[test]
fn a_field_cannot_take_the_name_of_a_derived_component() {
    let Some(components) = components() else { return };
    let rule = components.error_rules.into_iter().find(|rule| rule.expect == "value").unwrap();
    assert_eq!(rule.id, "7.5.1-derived-name-not-from-header");
    let expected = format!("\"@method\": {}", rule.expect_value.as_ref().unwrap());
    let covered = rule.covered.clone();
    let mut received = rule.received();

    // The rule is that the value must not come from the field. The core goes further and refuses the request.
    assert_eq!(received.try_request().unwrap_err().code.as_str(), "request-malformed");
    received.lines.clear();
    assert_eq!(received.base_over(&covered).unwrap().lines().next(), Some(expected.as_str()));
}

/// What is not UTF-8 cannot be decoded and encoded again (§2.2.8) without giving two queries one line.
#[test]
fn query_parameters_that_are_not_utf_8_have_no_value() {
    for (target, name) in [("/?%FF=1", "%EF%BF%BD"), ("/?%FE=1", "%EF%BF%BD"), ("/?a=%FF", "a")] {
        let received = Received {
            method: "GET".into(),
            scheme: "https".into(),
            authority: "example.com".into(),
            target: target.into(),
            lines: Vec::new(),
            body: String::new(),
        };
        let reason = received.base_over(&format!("(\"@query-param\";name=\"{name}\")")).unwrap_err();
        assert!(reason.ends_with("the parameter is not UTF-8"), "{target}: {reason}");
    }
}

impl ErrorRule {
    fn received(self) -> Received {
        Received {
            method: self.method,
            scheme: "https".into(),
            authority: self.authority,
            target: self.target,
            lines: self.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect(),
            body: String::new(),
        }
    }
}

#[derive(Deserialize)]
struct FieldExamples {
    examples: Vec<FieldExample>,
}

#[derive(Deserialize)]
struct FieldExample {
    kind: String,
    value: String,
}

#[test]
fn fields_of_the_examples_serialise_unchanged() {
    let Some(FieldExamples { examples }) = vectors("rfc9421/field-examples.json") else { return };
    assert_eq!(examples.len(), 4);
    for FieldExample { kind, value } in examples {
        let serialised = if kind == "signature-params value" {
            structured_field::serialize_list(&structured_field::list(value.as_bytes()).unwrap())
        } else {
            let members = structured_field::dictionary(value.as_bytes(), MAX_MEMBERS).unwrap();
            structured_field::serialize_dictionary(&members)
        };
        assert_eq!(serialised, value, "{kind}");
    }
}
