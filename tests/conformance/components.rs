//! RFC 9421: the component values of its section 2, the rules that forbid a value, and its examples of fields.

use std::collections::BTreeMap;

use proof_messenger_relay::structured_field::{self, MAX_MEMBERS};
use serde::Deserialize;

use super::message::{Received, VectorMessage};
use super::vectors;

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
