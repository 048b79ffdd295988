//! The other side: asks a relay about a request, as Envoy with raw headers would.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::{
    Address, HeaderMap, HeaderValue, HeaderValueOption, SocketAddress, address,
};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{
    HttpRequest, Peer, Request as Attributes,
};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};
use envoy_types::pb::google::protobuf::value::Kind;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use zeroize::Zeroizing;

use crate::request::{Body, Request, Source};

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error("cannot reach the relay at {address}: {}", causes(.source))]
    Connect { address: String, source: tonic::transport::Error },
    #[error("cannot reach the relay at {address}: no connection within {timeout:?}")]
    Timeout { address: String, timeout: Duration },
    #[error("the relay answered with an error: {}: {}", .0.code(), causes(.0))]
    Status(#[from] tonic::Status),
}

/// The error and what caused it: by itself tonic says "transport error".
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// The relay's answer, as Envoy would act on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub allowed: bool,
    /// The HTTP status of a denial; 200 where the request may pass.
    pub status: i32,
    /// The text members of the dynamic metadata.
    pub metadata: BTreeMap<String, String>,
    /// Headers for the backend, or those of the denial.
    pub headers: Vec<(String, String)>,
    /// Headers that do not reach the backend.
    pub removed: Vec<String>,
    /// The body of a denial.
    pub body: String,
}

/// TLS as a client has it: all in PEM.
pub struct ClientTls {
    /// Certificates of the authorities that the relay's own is checked against.
    pub authorities: Vec<u8>,
    /// The name that it must be for, where that is not the host of the address.
    pub name: Option<String>,
    /// The certificate to show, and its private key.
    pub identity: Option<(Vec<u8>, Zeroizing<Vec<u8>>)>,
}

impl From<ClientTls> for ClientTlsConfig {
    fn from(tls: ClientTls) -> Self {
        let mut config = Self::new().ca_certificate(Certificate::from_pem(tls.authorities));
        if let Some(name) = tls.name {
            config = config.domain_name(name);
        }
        if let Some((certificate, key)) = tls.identity {
            config = config.identity(Identity::from_pem(certificate, &key));
        }
        config
    }
}

/// Asks the relay at `http://…`, `https://…` or `unix:…`.
///
/// # Errors
/// When the relay cannot be reached in time, and when it answers with a gRPC error.
pub async fn check(
    address: &str,
    tls: Option<ClientTls>,
    timeout: Duration,
    request: &Request<'_>,
) -> Result<Answer, CheckError> {
    let channel = connect(address, tls, timeout).await?;
    let response = AuthorizationClient::new(channel).check(check_request(request)).await?;
    Ok(answer(response.into_inner()))
}

/// Asks the health service about the relay as a whole.
///
/// # Errors
/// When it cannot be reached in time, and when it answers with a gRPC error.
pub async fn is_serving(address: &str, timeout: Duration) -> Result<bool, CheckError> {
    let channel = connect(address, None, timeout).await?;
    let answer = HealthClient::new(channel).check(HealthCheckRequest::default()).await?.into_inner();
    Ok(answer.status() == ServingStatus::Serving)
}

async fn connect(address: &str, tls: Option<ClientTls>, timeout: Duration) -> Result<Channel, CheckError> {
    let failed = |source| CheckError::Connect { address: address.to_owned(), source };
    let mut endpoint = Endpoint::from_shared(address.to_owned()).map_err(failed)?.timeout(timeout);
    if let Some(tls) = tls {
        endpoint = endpoint.tls_config(tls.into()).map_err(failed)?;
    }
    tokio::time::timeout(timeout, endpoint.connect())
        .await
        .map_err(|_| CheckError::Timeout { address: address.to_owned(), timeout })?
        .map_err(failed)
}

/// The message that Envoy would send: raw headers, the body as bytes, and the mark of a body that was buffered.
#[must_use]
pub fn check_request(request: &Request<'_>) -> CheckRequest {
    let raw = |key: &str, value: &[u8]| HeaderValue {
        key: key.to_owned(),
        value: String::new(),
        raw_value: value.to_vec(),
    };
    let mut headers: Vec<HeaderValue> = [
        (":method", request.method),
        (":scheme", request.scheme),
        (":authority", request.authority),
        (":path", request.target),
    ]
    .into_iter()
    .map(|(name, value)| raw(name, value.as_bytes()))
    .collect();
    headers.extend(request.fields.iter().map(|field| raw(field.name, field.value)));
    let body = match request.body {
        Body::Complete(body) => body,
        Body::Absent | Body::Truncated { .. } | Body::Unavailable { .. } => &[],
    };
    if let Body::Complete(_) = request.body {
        headers.push(raw("x-envoy-auth-partial-body", b"false"));
    }
    let http = HttpRequest {
        method: request.method.to_owned(),
        header_map: Some(HeaderMap { headers }),
        path: request.target.to_owned(),
        host: request.authority.to_owned(),
        scheme: request.scheme.to_owned(),
        size: i64::try_from(body.len()).unwrap_or(i64::MAX),
        protocol: "HTTP/1.1".to_owned(),
        raw_body: body.to_vec(),
        ..HttpRequest::default()
    };
    let context_extensions = request
        .route_policy
        .map(|policy| HashMap::from([("proof-policy".to_owned(), policy.to_owned())]))
        .unwrap_or_default();
    let address = |address: &str| Address {
        address: Some(address::Address::SocketAddress(SocketAddress {
            address: address.to_owned(),
            ..SocketAddress::default()
        })),
    };
    let peer = |source: Source<'_>| Peer {
        address: source.address.map(address),
        principal: source.principal.unwrap_or_default().to_owned(),
        ..Peer::default()
    };
    let attributes = AttributeContext {
        source: (request.source != Source::default()).then(|| peer(request.source)),
        request: Some(Attributes { http: Some(http), ..Attributes::default() }),
        context_extensions,
        ..AttributeContext::default()
    };
    CheckRequest { attributes: Some(attributes) }
}

/// Reads an answer.
#[must_use]
pub fn answer(response: CheckResponse) -> Answer {
    let metadata = response.dynamic_metadata.unwrap_or_default().fields.into_iter();
    let metadata = metadata.filter_map(|(name, value)| match value.kind {
        Some(Kind::StringValue(text)) if !text.is_empty() => Some((name, text)),
        _ => None,
    });
    let allowed = response.status.is_some_and(|status| status.code == 0);
    let (status, headers, removed, body) = match response.http_response {
        Some(HttpResponse::OkResponse(ok)) => (200, ok.headers, ok.headers_to_remove, String::new()),
        Some(HttpResponse::DeniedResponse(denied) | HttpResponse::ErrorResponse(denied)) => {
            (denied.status.map_or(403, |status| status.code), denied.headers, Vec::new(), denied.body)
        }
        None => (if allowed { 200 } else { 403 }, Vec::new(), Vec::new(), String::new()),
    };
    let pair = |option: HeaderValueOption| option.header.map(|header| (header.key, header.value));
    let headers = headers.into_iter().filter_map(pair).collect();
    Answer { allowed, status, metadata: metadata.collect(), headers, removed, body }
}
