//! From a [`Decision`] to a `CheckResponse`.

use std::collections::HashMap;

use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{CheckResponse, DeniedHttpResponse, OkHttpResponse};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::protobuf::{BoolValue, ListValue, Struct, Value, value::Kind};
use envoy_types::pb::google::rpc::Status;
use serde_json::json;
use tonic::Code as GrpcCode;

use crate::denial::{Code, Denial};
use crate::policy::Challenge;
use crate::relay::{Decision, Grant, Verdict, joined};
use crate::request::is_same_to_backends;

/// The headers that the relay sends to the backend. Whatever else begins with `x-proof-` is the client's, and removed.
const PREFIX: &str = "x-proof-";

/// How much a denial tells the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Denials {
    /// The code, a sentence, and what to sign.
    #[default]
    Detailed,
    /// The status and the id. The status is 403 whatever the client did wrong.
    Opaque,
}

/// Writes the answer. `inbound` are the names of the request's own headers.
#[must_use]
pub fn write_response(decision: &Decision, inbound: &[&str], denials: Denials) -> CheckResponse {
    let (status, http_response) = match &decision.verdict {
        Verdict::Allowed(grant) => {
            let status = match grant {
                Grant::Unsigned(_) => "unsigned",
                Grant::Verified(_) => "verified",
            };
            (GrpcCode::Ok, HttpResponse::OkResponse(allow(decision, status, Some(grant), inbound)))
        }
        Verdict::Observed => {
            (GrpcCode::Ok, HttpResponse::OkResponse(allow(decision, "observed", None, inbound)))
        }
        Verdict::Denied { denial, challenge } => {
            let response = deny(decision, denial, challenge.as_ref(), denials);
            if denial.code.is_internal() {
                (GrpcCode::Unavailable, HttpResponse::ErrorResponse(response))
            } else {
                (GrpcCode::PermissionDenied, HttpResponse::DeniedResponse(response))
            }
        }
    };
    CheckResponse {
        status: Some(Status { code: status as i32, ..Status::default() }),
        dynamic_metadata: Some(metadata(decision)),
        http_response: Some(http_response),
    }
}

fn allow(decision: &Decision, status: &str, grant: Option<&Grant>, inbound: &[&str]) -> OkHttpResponse {
    let mut headers = vec![
        header("x-proof-status", status.to_owned()),
        header("x-proof-policy", decision.policy.as_deref().unwrap_or_default().to_owned()),
        header("x-proof-id", decision.id.to_string()),
    ];
    // A reader who cannot find the record must not take it for one that was removed.
    headers.extend(decision.unrecorded.map(|_| header("x-proof-evidence", "missing".to_owned())));
    // Where it would have been denied.
    headers.extend(decision.code().map(|code| header("x-proof-code", code.as_str().to_owned())));
    if let Some(grant @ Grant::Verified(_)) = grant {
        headers.push(header("x-proof-subject", joined(grant.keys().map(|key| &*key.subject))));
        headers.push(header("x-proof-key-id", joined(grant.keys().map(|key| &*key.id))));
        headers.extend(decision.receipt.iter().map(|receipt| header("x-proof-receipt", receipt.clone())));
    }
    // Envoy removes after it sets, so a name in both lists would be gone.
    let is_set =
        |name: &str| headers.iter().any(|set| set.header.as_ref().is_some_and(|set| set.key == name));
    let mut headers_to_remove: Vec<String> = Vec::new();
    let protected = grant.map(Grant::fields_to_remove).unwrap_or_default();
    let spoofed = inbound.iter().copied().filter(|name| is_relays_own(name));
    for name in protected.iter().map(String::as_str).chain(spoofed) {
        if !is_set(name) && !headers_to_remove.iter().any(|known| known == name) {
            headers_to_remove.push(name.to_owned());
        }
    }
    OkHttpResponse { headers, headers_to_remove, ..OkHttpResponse::default() }
}

/// `x_proof_status` too: to many backends it is the same header.
fn is_relays_own(name: &str) -> bool {
    name.get(..PREFIX.len()).is_some_and(|start| is_same_to_backends(PREFIX, start))
}

fn deny(
    decision: &Decision,
    denial: &Denial,
    challenge: Option<&Challenge>,
    denials: Denials,
) -> DeniedHttpResponse {
    let id = decision.id.to_string();
    let code = denial.code;
    let (status, problem) = match denials {
        Denials::Detailed => {
            let problem = json!({
                "type": format!("urn:proof-messenger-relay:{code}"),
                "title": code.title(),
                "status": code.status(),
                "detail": denial.detail,
                "code": code.as_str(),
                "id": id,
            });
            (code.status(), problem)
        }
        Denials::Opaque => {
            let (status, title) = opaque(code);
            (status, json!({"type": "about:blank", "title": title, "status": status, "id": id}))
        }
    };
    let mut headers = vec![
        header("content-type", "application/problem+json".to_owned()),
        header("cache-control", "no-store".to_owned()),
    ];
    if let (Some(challenge), Denials::Detailed) = (challenge, denials) {
        headers.push(header("accept-signature", challenge.accept_signature.clone()));
        if let Some(want) = challenge.want_content_digest {
            headers.push(header("want-content-digest", want.to_owned()));
        }
    }
    DeniedHttpResponse {
        status: Some(HttpStatus { code: i32::from(status) }),
        headers,
        body: problem.to_string(),
    }
}

/// One status for everything that a client can do wrong, another for what the servers do.
fn opaque(code: Code) -> (u16, &'static str) {
    if code.status() < 500 { (403, "Forbidden") } else { (503, "Service Unavailable") }
}

/// The facts of the decision, for access logs and later filters: namespace `envoy.filters.http.ext_authz`.
fn metadata(decision: &Decision) -> Struct {
    let list = |values: Vec<Value>| Value { kind: Some(Kind::ListValue(ListValue { values })) };
    let mut fields = HashMap::from([
        ("decision".to_owned(), text(decision.verdict.as_str())),
        ("code".to_owned(), text(decision.code().map_or("", Code::as_str))),
        ("policy".to_owned(), text(decision.policy.as_deref().unwrap_or_default())),
        ("id".to_owned(), text(&decision.id.to_string())),
    ]);
    // What was observed by a policy that did not decide.
    if let (Some(observed), false) = (&decision.observed, matches!(decision.verdict, Verdict::Observed)) {
        fields.insert("observed_policy".to_owned(), text(&observed.policy));
        fields.insert("observed_code".to_owned(), text(observed.denial.code.as_str()));
    }
    if decision.unrecorded.is_some() {
        fields.insert("evidence".to_owned(), text("missing"));
    }
    if let Verdict::Allowed(grant @ Grant::Verified(_)) = &decision.verdict {
        fields.insert("subjects".to_owned(), list(grant.keys().map(|key| text(&key.subject)).collect()));
        fields.insert("key_ids".to_owned(), list(grant.keys().map(|key| text(&key.id)).collect()));
    }
    Struct { fields }
}

fn text(value: &str) -> Value {
    Value { kind: Some(Kind::StringValue(value.to_owned())) }
}

/// A header that replaces whatever was there. Both ways of saying so are set: Envoys differ in which they read.
fn header(name: &str, value: String) -> HeaderValueOption {
    #[allow(deprecated)] // `append` is what older proxies read
    HeaderValueOption {
        header: Some(HeaderValue { key: name.to_owned(), value, raw_value: Vec::new() }),
        append: Some(BoolValue { value: false }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd as i32,
        keep_empty_value: false,
    }
}
