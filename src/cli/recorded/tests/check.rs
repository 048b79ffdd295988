//! Envoy's check, as JSON.

use crate::cli::Failure;
use crate::cli::recorded::Overrides;
use crate::denial::Code;
use crate::limits::Limits;
use crate::request::{Body, Encoding};
use crate::timestamp::Timestamp;
use serde_json::{Value, json};

use super::{MADE, assert_transfer, denial, entry, file, lines, problem, recorded, request, with_body};

fn merged() -> Value {
    serde_json::from_slice(&file("check-merged.json")).unwrap()
}

#[test]
fn names_as_grpcurl_prints_them_are_read_and_both_encodings_are_what_they_are() {
    let record = recorded(file("check-merged.json"), Overrides::default());
    assert_eq!(record.time(), Some(Timestamp::from(std::time::Duration::from_millis(MADE * 1000 + 500))));
    let request = request(&record);
    assert_transfer(&request, "https");
    assert_eq!((request.route_policy, request.stream_id), (Some("transfers"), "8230476153246520"));
    assert_eq!((request.fields.encoding(), lines(&request, "x-note")), (Encoding::Merged, vec!["one,two"]));
    assert!(!request.fields.contains("x-envoy-auth-partial-body"));
}

#[test]
fn what_the_server_would_deny_is_denied() {
    let mut check = merged();
    check["attributes"]["request"]["http"]["path"] = "/transfers/8".into();
    let record = recorded(check.to_string(), Overrides::default());
    assert_eq!(
        (denial(&record).code, &*denial(&record).detail),
        (Code::RequestMalformed, ":path disagrees with the attributes")
    );
    let mut check = merged();
    check["attributes"]["request"]["http"]["headers"]["x-envoy-auth-partial-body"] = "true".into();
    assert!(matches!(
        request(&recorded(check.to_string(), Overrides::default())).body,
        Body::Truncated { .. }
    ));
    // As where with_request_body is not set: the record is whole, the check is not.
    let mut check = merged();
    let http = check["attributes"]["request"]["http"].as_object_mut().unwrap();
    http.remove("body");
    http["headers"].as_object_mut().unwrap().remove("x-envoy-auth-partial-body");
    let record = recorded(check.to_string(), Overrides::default());
    assert!(
        matches!(request(&record).body, Body::Unavailable { evidence } if evidence.contains("with_request_body"))
    );
    assert_eq!(record.unknown_body, None);
    for empty in [json!({"attributes": {}}), json!({"attributes": null})] {
        let record = recorded(empty.to_string(), Overrides::default());
        assert!(matches!(record.request(&Limits::default()), Err(Failure::Usage(_))));
    }
}

#[test]
fn what_a_check_does_not_have_is_named() {
    let mut check = merged();
    check["attributes"]["request"]["http"]["raw_headers"] = json!({});
    let said = problem(check.to_string(), Overrides::default());
    assert!(said.starts_with("record: not an envoy.service.auth.v3.CheckRequest in JSON: "), "{said}");
    assert!(said.contains("raw_headers"), "{said}");
    let twice = merged().to_string().replacen("\"x-note\":", "\"x-note\":\"a\",\"x-note\":", 1);
    for (text, expected) in [
        (merged().to_string() + "{}", "trailing characters"),
        (json!({"attributes": {"request": {"time": "soon"}}}).to_string(), "in JSON: "),
        (json!({"attributes": {"request": {"http": {"raw_body": "%%"}}}}).to_string(), "base64"),
        (json!({"attributes": {"request": {"http": {"size": 1.5}}}}).to_string(), "in JSON: "),
        (r#"{"attributes": {}, "attributes": {}}"#.to_owned(), "\"attributes\" comes twice"),
        (twice, "\"x-note\" comes twice"),
    ] {
        let said = problem(&text, Overrides::default());
        assert!(said.contains(expected), "{said}");
    }
    // Metadata is not read; but what it is must be known.
    let typed = |kind: &str, content: Value| {
        let mut check = merged();
        let mut any = content;
        any["@type"] = format!("type.googleapis.com/{kind}").into();
        check["attributes"]["metadata_context"]["typed_filter_metadata"] = json!({"a": any});
        check.to_string()
    };
    let known = typed("google.protobuf.Struct", json!({"value": {"a": [1, null, true, {"b": "c"}]}}));
    assert_transfer(&request(&recorded(known, Overrides::default())), "https");
    let said = problem(typed("acme.Unknown", json!({})), Overrides::default());
    assert!(said.contains("acme.Unknown"), "{said}");
}

#[test]
fn nothing_overrides_what_envoy_sent() {
    let scheme = Overrides { scheme: Some("http".to_owned()), ..Overrides::default() };
    for overrides in [scheme, with_body()] {
        assert!(problem(file("check-merged.json"), overrides).contains("says itself"));
    }
    assert_transfer(&request(&recorded(file("check-merged.json"), entry(1))), "https");
    assert_eq!(
        problem(file("check-merged.json"), entry(2)),
        "record: there is no request 2, but 1\n  1: the check"
    );
}

#[test]
fn names_of_a_check_do_not_steer_a_terminal() {
    for check in [
        "{\"attributes\": {\"\\u001b[2J\\u009b2J\\u202ename\\n\": 1}}",
        "{\"attributes\": {\"metadataContext\": {\"typedFilterMetadata\": {\"a\": {\"@type\": \"a/\\u001b]0;b\\u0007\\u202e\"}}}}}",
    ] {
        let refused = problem(check, Overrides::default());
        assert!(refused.chars().all(|c| matches!(c, ' '..='~')), "{refused:?}");
    }
}
