//! Checks that nobody sends any more: one that was kept as JSON, and the one that Envoy would have made of a request.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request as Attributes};
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::client::check_request;
use super::request::PARTIAL_BODY;
use super::{FILE_DESCRIPTOR_SET, NotHttp, body_bytes, read_request};
use crate::denial::Denial;
use crate::limits::Limits;
use crate::request::Request;
use crate::timestamp::Timestamp;

const CHECK_REQUEST: &str = "envoy.service.auth.v3.CheckRequest";

/// The text is not a check in JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an {CHECK_REQUEST} in JSON: {0}")]
pub struct NotACheck(String);

/// A check from a record. It is read by the server's own [`read_request`], so that what is said of it holds there too.
pub struct RecordedCheck(CheckRequest);

/// A request as its client sent it.
#[derive(Clone)]
pub struct Plain {
    pub method: String,
    pub scheme: String,
    /// `Host` or `:authority`.
    pub authority: String,
    /// Path and query.
    pub target: String,
    /// Such as `HTTP/1.1`.
    pub protocol: &'static str,
    /// Names in lower case. Without what stands in the members above.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, where the headers did not end the request.
    pub body: Option<Vec<u8>>,
}

impl RecordedCheck {
    /// Reads the JSON form of protobuf, with names as `rawBody` or `raw_body`.
    ///
    /// # Errors
    /// For whatever the message does not know: a name that was misspelt would silently leave out what Envoy sent.
    pub fn parse(json: &str) -> Result<Self, NotACheck> {
        let not_a_check = |error: &dyn fmt::Display| NotACheck(error.to_string());
        serde_json::from_str::<Unambiguous>(json).map_err(|error| not_a_check(&error))?;
        let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).map_err(|error| not_a_check(&error))?;
        let message = pool
            .get_message_by_name(CHECK_REQUEST)
            .ok_or_else(|| not_a_check(&"the message is not described"))?;
        let mut text = serde_json::Deserializer::from_str(json);
        let check = DynamicMessage::deserialize(message, &mut text).map_err(|error| not_a_check(&error))?;
        text.end().map_err(|error| not_a_check(&error))?;
        check.transcode_to().map(Self).map_err(|error| not_a_check(&error))
    }

    /// What [`client::check`](super::client::check) sends.
    #[must_use]
    pub fn described(request: &Request<'_>) -> Self {
        Self(check_request(request))
    }

    /// What Envoy sends with raw headers and with bodies.
    #[must_use]
    pub fn of(plain: Plain) -> Self {
        let Plain { method, scheme, authority, target, protocol, headers, body } = plain;
        let raw = |key: String, raw_value: Vec<u8>| HeaderValue { key, raw_value, ..HeaderValue::default() };
        let pseudo =
            [(":method", &method), (":scheme", &scheme), (":authority", &authority), (":path", &target)];
        let mut lines: Vec<HeaderValue> = pseudo
            .into_iter()
            .map(|(name, value)| raw(name.to_owned(), value.clone().into_bytes()))
            .collect();
        // Envoy drops a client's own mark.
        let headers = headers.into_iter().filter(|(name, _)| name != PARTIAL_BODY);
        lines.extend(headers.map(|(name, value)| raw(name, value)));
        if body.is_some() {
            lines.push(raw(PARTIAL_BODY.to_owned(), b"false".to_vec()));
        }
        let raw_body = body.unwrap_or_default();
        let http = HttpRequest {
            method,
            scheme,
            host: authority,
            path: target,
            protocol: protocol.to_owned(),
            header_map: Some(HeaderMap { headers: lines }),
            size: i64::try_from(raw_body.len()).unwrap_or(i64::MAX),
            raw_body,
            ..HttpRequest::default()
        };
        let request = Attributes { http: Some(http), ..Attributes::default() };
        let attributes = AttributeContext { request: Some(request), ..AttributeContext::default() };
        Self(CheckRequest { attributes: Some(attributes) })
    }

    /// Reads it as the server does.
    ///
    /// # Errors
    /// As [`read_request`].
    pub fn read(&self, limits: &Limits) -> Result<Result<Request<'_>, Denial>, NotHttp> {
        read_request(&self.0, limits)
    }

    /// Its size, as the server counts it before it reads it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        body_bytes(&self.0)
    }

    /// When Envoy says that the request arrived.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        let time = self.0.attributes.as_ref()?.request.as_ref()?.time.as_ref()?;
        let (seconds, nanos) = (u64::try_from(time.seconds).ok()?, u32::try_from(time.nanos).ok()?);
        Some(Timestamp::from(Duration::from_secs(seconds).checked_add(Duration::from_nanos(nanos.into()))?))
    }
}

/// JSON that no two readers read differently: no member comes twice. The message's reader takes the last of them.
struct Unambiguous;

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Unambiguous {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut names = HashSet::new();
        while let Some((name, Self)) = map.next_entry::<String, Self>()? {
            if names.contains(&name) {
                return Err(A::Error::custom(format_args!("{name:?} comes twice")));
            }
            names.insert(name);
        }
        Ok(Self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while let Some(Self) = items.next_element()? {}
        Ok(Self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
}
