//! What the relay says, word for word: clients, dashboards and alerts rely on it.

use std::fmt::Write as _;

use envoy_types::pb::envoy::config::core::v3::HeaderValueOption;
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::service::auth::v3::CheckResponse;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::google::protobuf::{Value as Metadata, value::Kind};
use proof_messenger_relay::denial::Code;
use serde_json::{Value, json};

use crate::support::ask::{Ask, respond};
use crate::support::golden::assert_golden;
use crate::support::relay::Relay;
use crate::support::signer::Signer;

#[test]
fn every_code() {
    let mut table = format!("{:<26}{:<8}{:<10}{:<11}title\n", "code", "status", "blame", "challenge");
    for code in Code::ALL {
        let blame = if code.is_internal() { "relay" } else { "request" };
        let challenge = if code.asks_for_proof() { "yes" } else { "no" };
        let (name, status, title) = (code.as_str(), code.status(), code.title());
        writeln!(table, "{name:<26}{status:<8}{blame:<10}{challenge:<11}{title}").unwrap();
    }
    assert_golden("tests/golden/denials.txt", table.as_bytes());
}

#[tokio::test]
async fn an_allowed_request() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(
        "policies: [{name: transfers, match: {}, protect: [x-tenant], protect_by: removing}]",
        &[&alice],
    )
    .await;
    let ask = Ask::post("/transfers/7", b"{}").header("x-tenant", "b").header("x-proof-subject", "mallory");
    assert_response("allowed", &relay, &ask.signed(&alice)).await;
}

#[tokio::test]
async fn a_denial_that_says_what_to_sign() {
    let relay = Relay::start("policies: [{name: transfers, match: {}, proof: {tag: transfer}}]", &[]).await;
    assert_response("denied-with-challenge", &relay, &Ask::post("/transfers/7?on=monday", b"{}")).await;
}

#[tokio::test]
async fn an_observed_denial() {
    let relay = Relay::start("policies: [{name: transfers, match: {}, mode: observe}]", &[]).await;
    let ask = Ask::get("/transfers/7").header("x-proof-key-id", "mallory");
    assert_response("observed", &relay, &ask).await;
}

#[tokio::test]
async fn an_unsigned_request() {
    let relay = Relay::start("policies: [{name: public, match: {}, proof: none}]", &[]).await;
    assert_response("unsigned", &relay, &Ask::get("/rates/eur")).await;
}

#[tokio::test]
async fn a_failure_of_the_relay() {
    let alice = Signer::ed25519("alice");
    let settings = "policies: [{name: transfers, match: {}}]\nreplay: {memory: {capacity: 1}}";
    let relay = Relay::start(settings, &[&alice]).await;
    respond(&relay, Ask::get("/transfers/7").signed(&alice).check_request()).await.unwrap();
    assert_response("replay-store-full", &relay, &Ask::get("/transfers/7").signed(&alice)).await;
}

#[tokio::test]
async fn an_opaque_denial() {
    let relay = Relay::start("denials: opaque\npolicies: [{name: transfers, match: {}}]", &[]).await;
    assert_response("denied-opaquely", &relay, &Ask::get("/transfers/7")).await;
}

async fn assert_response(name: &str, relay: &Relay, ask: &Ask) {
    let response = respond(relay, ask.check_request()).await.unwrap();
    let text = format!("{:#}\n", shown(response));
    assert_golden(&format!("tests/golden/{name}.json"), text.as_bytes());
}

/// The whole response, with a fixed id. A field that is set and has no place in here panics.
fn shown(mut response: CheckResponse) -> Value {
    let metadata = response.dynamic_metadata.take().unwrap().fields;
    let Some(Kind::StringValue(id)) = metadata["id"].kind.clone() else { panic!("{metadata:?}") };
    let mut metadata: Vec<_> = metadata.into_iter().collect();
    metadata.sort_by(|(a, _), (b, _)| a.cmp(b));
    let metadata = metadata.into_iter().map(|(name, value)| (name, metadata_value(value)));
    let status = response.status.take().unwrap();
    assert!(status.message.is_empty() && status.details.is_empty());
    let http = match response.http_response.take().unwrap() {
        HttpResponse::OkResponse(mut ok) => {
            let headers = std::mem::take(&mut ok.headers).into_iter().map(overwriting).collect::<Vec<_>>();
            let removed = std::mem::take(&mut ok.headers_to_remove);
            assert_eq!(ok, Default::default());
            json!({"ok_response": {"headers": headers, "headers_to_remove": removed}})
        }
        HttpResponse::DeniedResponse(denied) => json!({"denied_response": denial(denied)}),
        HttpResponse::ErrorResponse(denied) => json!({"error_response": denial(denied)}),
    };
    let shown = json!({
        "status": status.code,
        "http_response": http,
        "dynamic_metadata": Value::Object(metadata.collect()),
    });
    let shown = shown.to_string().replace(&id, "00000000-0000-7000-8000-000000000000");
    serde_json::from_str(&shown).unwrap()
}

fn denial(denied: envoy_types::pb::envoy::service::auth::v3::DeniedHttpResponse) -> Value {
    let headers = denied.headers.into_iter().map(overwriting).collect::<Vec<_>>();
    let body: Value = serde_json::from_str(&denied.body).unwrap();
    json!({"status": denied.status.unwrap().code, "headers": headers, "body": body})
}

/// A header that replaces whatever was there, in both ways of saying so.
fn overwriting(option: HeaderValueOption) -> String {
    #[allow(deprecated)] // `append` is what older proxies read
    let append = option.append.unwrap().value;
    assert!(!append && !option.keep_empty_value);
    assert_eq!(option.append_action, HeaderAppendAction::OverwriteIfExistsOrAdd as i32);
    let header = option.header.unwrap();
    assert!(header.raw_value.is_empty());
    format!("{}: {}", header.key, header.value)
}

fn metadata_value(value: Metadata) -> Value {
    match value.kind.unwrap() {
        Kind::StringValue(text) => json!(text),
        Kind::ListValue(list) => list.values.into_iter().map(metadata_value).collect(),
        other => panic!("{other:?}"),
    }
}
