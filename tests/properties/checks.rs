//! Whatever a check says, it is answered, and nothing passes that was not signed.

use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request as Attributes};
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use proof_messenger_relay::envoy::client::answer;
use proptest::prelude::*;
use tonic::Code;

use super::hostile;
use crate::support::service::Blocking;
use crate::support::signer::Signer;

const POLICIES: &str = r#"
policies:
  - {name: public, match: {methods: [GET], path: "/rates/{*rest}"}, proof: none}
  - {name: loose, match: {hosts: [loose.example]}, proof: {cover: ["@method"], body: free, query: free}}
  - {name: all, match: {}}
"#;

fn header() -> impl Strategy<Value = (String, Vec<u8>)> {
    let name = prop_oneof![
        4 => prop::sample::select(vec![
            "signature-input", "signature", "content-digest", "content-length", "transfer-encoding", "connection",
            "upgrade", "x-envoy-auth-partial-body", ":method", ":path", ":authority", ":scheme", ":protocol",
            "x-proof-subject",
        ]).prop_map(str::to_owned),
        1 => hostile::text(),
    ];
    let value = prop_oneof![
        1 => prop::sample::select(vec!["0", "2", "true", "false", "upgrade", "GET", "/rates/eur", "https"])
            .prop_map(|value| value.as_bytes().to_vec()),
        2 => hostile::bytes(),
    ];
    (name, value)
}

fn http_request() -> impl Strategy<Value = HttpRequest> {
    let method = prop_oneof![3 => "GET|POST|PUT|DELETE|CONNECT|OPTIONS", 1 => hostile::text()];
    let path = prop_oneof![3 => "/rates/[a-z]{1,3}|/[a-z]{1,8}(\\?[a-z=]{0,8})?|\\*", 1 => hostile::text()];
    let host = prop_oneof![3 => "(bank|loose)\\.example(:[0-9]{1,5})?", 1 => hostile::text()];
    let scheme = prop_oneof![8 => "https?", 1 => hostile::text()];
    let headers = prop::collection::vec(header(), 0..8);
    let body = prop_oneof![Just(Vec::new()), hostile::bytes()];
    (method, path, host, scheme, headers, any::<bool>(), body, any::<bool>(), -1..300_i64, "HTTP/1.1|HTTP/2|")
        .prop_map(|(method, path, host, scheme, headers, raw, body, as_bytes, size, protocol)| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let mut http =
                HttpRequest { method, path, host, scheme, size, protocol, ..HttpRequest::default() };
            if raw {
                let headers = headers.into_iter().map(|(key, raw_value)| HeaderValue {
                    key,
                    raw_value,
                    ..HeaderValue::default()
                });
                http.header_map = Some(HeaderMap { headers: headers.collect() });
            } else {
                http.headers = headers.iter().map(|(name, value)| (name.clone(), text(value))).collect();
            }
            if as_bytes {
                http.raw_body = body
            } else {
                http.body = text(&body)
            }
            http
        })
}

fn check_request() -> impl Strategy<Value = CheckRequest> {
    let policy = prop_oneof![4 => Just(None), 1 => "public|loose|all|none".prop_map(Some)];
    (prop_oneof![20 => http_request().prop_map(Some), 1 => Just(None)], policy).prop_map(|(http, policy)| {
        let attributes = AttributeContext {
            request: Some(Attributes { http, ..Attributes::default() }),
            context_extensions: policy.map(|name| ("proof-policy".to_owned(), name)).into_iter().collect(),
            ..AttributeContext::default()
        };
        CheckRequest { attributes: Some(attributes) }
    })
}

#[test]
fn every_check_is_answered_and_no_forgery_passes() {
    let service = Blocking::new(POLICIES, &[&Signer::ed25519("alice"), &Signer::p256("bob")]);
    proptest!(ProptestConfig::with_cases(1024), |(check in check_request())| {
        let http = check.attributes.as_ref().and_then(|attributes| attributes.request.as_ref()?.http.clone());
        match (service.respond(check), http) {
            // A panic of the check would end in another code: `AuthorizationService::check` catches it.
            (Err(status), http) => prop_assert!(http.is_none() && status.code() == Code::InvalidArgument, "{}", status),
            (Ok(response), http) => {
                let answer = answer(response);
                let public = http.is_some_and(|http| http.method == "GET" && http.path.starts_with("/rates/"));
                prop_assert!(!answer.allowed || public, "{:?}", answer);
                prop_assert!(answer.headers.iter().all(|(_, value)| value != "verified"));
            }
        }
    });
}
