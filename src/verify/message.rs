//! The values of components (RFC 9421 §2.1, §2.2).

use std::borrow::Cow;

use base64ct::{Base64, Encoding as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{FieldType, FieldTypes};
use crate::denial::{Code, Denial};
use crate::limits::Limits;
use crate::proof::{Component, FieldForm, Name};
use crate::request::{Encoding, Request, has_control};
use crate::structured_field::{self, MAX_MEMBERS};

/// Fields of which a second line is an error or changes the meaning. Two lines `a` and `b` have the same base as one
/// line `a, b`, so a signature cannot tell (RFC 9421 §7.5.6): covered, they must come in one line.
const SINGLE_LINE: &[&str] = &[
    "authorization",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "from",
    "host",
    "idempotency-key",
    "origin",
    "proxy-authorization",
    "referer",
    "set-cookie",
    "user-agent",
];

/// The percent-encode set of `application/x-www-form-urlencoded` (URL Standard), for RFC 9421 §2.2.8.
const FORM_ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_');

/// A request as its signer saw it.
#[derive(Debug)]
pub struct Message<'a> {
    request: &'a Request<'a>,
    scheme: &'a str,
    authority: Cow<'a, str>,
    field_types: &'a FieldTypes,
}

impl<'a> Message<'a> {
    /// The request as the proxy received it.
    #[must_use]
    pub fn new(request: &'a Request<'a>, field_types: &'a FieldTypes) -> Self {
        Self { request, scheme: request.scheme, authority: request.normalized_authority(), field_types }
    }

    /// The same request under the scheme and authority that its signers use, where TLS or the name ends in front of
    /// the proxy. They are the operator's words, never the client's.
    #[must_use]
    pub fn with_external(mut self, scheme: Option<&'a str>, authority: Option<&'a str>) -> Self {
        self.scheme = scheme.unwrap_or(self.scheme);
        if let Some(authority) = authority {
            self.authority = Cow::Borrowed(authority);
        }
        self
    }

    #[must_use]
    pub fn request(&self) -> &'a Request<'a> {
        self.request
    }

    /// Appends the value of a component.
    pub(super) fn write_value(
        &self,
        component: &Component<'_>,
        limits: &Limits,
        out: &mut String,
    ) -> Result<(), Denial> {
        let start = out.len();
        let request = self.request;
        match component.name() {
            Name::Method => out.push_str(request.method),
            Name::TargetUri => out.extend([self.scheme, "://", &self.authority, request.target]),
            Name::Authority => out.push_str(&self.authority),
            Name::Scheme => out.push_str(self.scheme),
            Name::RequestTarget if request.http1 => out.push_str(request.target),
            Name::RequestTarget => {
                return Err(missing(
                    component,
                    "a request target exists in HTTP/1 only: cover \"@target-uri\"",
                ));
            }
            // An empty path is `/` (RFC 9421 §2.2.6), an absent query is `?` (§2.2.7).
            Name::Path => out.push_str(if request.path().is_empty() { "/" } else { request.path() }),
            Name::Query => out.extend(["?", request.query().unwrap_or_default()]),
            Name::QueryParam(name) => self.write_query_param(component, name, out)?,
            Name::Field(name, form) => self.write_field(component, name, form, out)?,
        }
        let value = out.get(start..).unwrap_or_default();
        if value.len() > limits.component_bytes {
            let reason = format!("its value has {} bytes, more than {}", value.len(), limits.component_bytes);
            return Err(missing(component, &reason));
        }
        // RFC 9421 §2.5: the base is ASCII, and a line break in a value would forge the next line.
        if !value.is_ascii() || has_control(value.as_bytes()) {
            return Err(missing(component, "its value is not printable ASCII, which only ;bs can carry"));
        }
        Ok(())
    }

    /// RFC 9421 §2.2.8: one parameter of the query, decoded and encoded again.
    fn write_query_param(
        &self,
        component: &Component<'_>,
        name: &str,
        out: &mut String,
    ) -> Result<(), Denial> {
        let query = self.request.query().unwrap_or_default();
        let mut values = form_urlencoded::parse(query.as_bytes())
            .filter(|(known, _)| utf8_percent_encode(known, FORM_ENCODED).to_string() == name);
        let (known, value) =
            values.next().ok_or_else(|| missing(component, "the query has no such parameter"))?;
        if values.next().is_some() {
            return Err(missing(component, "the query has the parameter more than once"));
        }
        // Whatever is not UTF-8 decodes to this character, and two different queries would give one line.
        if known.contains(char::REPLACEMENT_CHARACTER) || value.contains(char::REPLACEMENT_CHARACTER) {
            return Err(missing(component, "the parameter is not UTF-8"));
        }
        out.extend(utf8_percent_encode(&value, FORM_ENCODED));
        Ok(())
    }

    fn write_field(
        &self,
        component: &Component<'_>,
        name: &str,
        form: &FieldForm<'_>,
        out: &mut String,
    ) -> Result<(), Denial> {
        let fields = &self.request.fields;
        let value = fields.combined(name).ok_or_else(|| missing(component, "there is no such header"))?;
        if fields.encoding() == Encoding::Merged {
            check_merged(component, form, &value)?;
        }
        match form {
            FieldForm::Combined => {
                if SINGLE_LINE.contains(&name) && fields.lines(name).count() > 1 {
                    return Err(missing(component, "the header came in more than one line"));
                }
                out.push_str(ascii(component, &value)?);
            }
            FieldForm::Structured => {
                let canonical = match self.field_types.get(name) {
                    Some(FieldType::Dictionary) => structured_field::dictionary(&value, MAX_MEMBERS)
                        .map(|dictionary| structured_field::serialize_dictionary(&dictionary)),
                    Some(FieldType::List) => {
                        structured_field::list(&value).map(|list| structured_field::serialize_list(&list))
                    }
                    Some(FieldType::Item) => structured_field::item(&value).map(|item| {
                        let mut canonical = String::new();
                        item.serialize(&mut canonical);
                        canonical
                    }),
                    None => {
                        return Err(missing(
                            component,
                            "the relay does not know the type of this structured field",
                        ));
                    }
                };
                out.push_str(&canonical.map_err(|problem| missing(component, &problem.to_string()))?);
            }
            FieldForm::Member(key) => {
                if self.field_types.get(name).is_some_and(|known| known != FieldType::Dictionary) {
                    return Err(missing(component, "the header is not a dictionary"));
                }
                let dictionary = structured_field::dictionary(&value, MAX_MEMBERS)
                    .map_err(|problem| missing(component, &problem.to_string()))?;
                let (_, member) = dictionary
                    .iter()
                    .find(|(known, _)| known.as_str() == key)
                    .ok_or_else(|| missing(component, "the header has no such member"))?;
                member.serialize(out);
            }
            FieldForm::Binary => {
                for (position, line) in fields.lines(name).enumerate() {
                    let separator = if position > 0 { ", " } else { "" };
                    out.extend([separator, ":", &Base64::encode_string(line), ":"]);
                }
            }
        }
        Ok(())
    }
}

/// In the merged mode, refuses every value that Envoy may have altered or joined.
fn check_merged(component: &Component<'_>, form: &FieldForm<'_>, value: &[u8]) -> Result<(), Denial> {
    let reason = match form {
        FieldForm::Binary => "its lines and bytes are lost",
        _ if value.contains(&b'!') => "a ! may stand for a byte that was not UTF-8",
        // Envoy joins lines with a comma and no space; a comma that a space follows came from one line.
        FieldForm::Combined if has_bare_comma(value) => "a comma without a space may be a joint of two lines",
        _ => return Ok(()),
    };
    Err(missing(component, &format!("{reason}: set encode_raw_headers in Envoy's ext_authz filter")))
}

fn has_bare_comma(value: &[u8]) -> bool {
    value.split(|byte| *byte == b',').skip(1).any(|after| after.first() != Some(&b' '))
}

fn ascii<'v>(component: &Component<'_>, value: &'v [u8]) -> Result<&'v str, Denial> {
    std::str::from_utf8(value)
        .ok()
        .filter(|text| text.is_ascii())
        .ok_or_else(|| missing(component, "its value is not ASCII, which only ;bs can carry"))
}

fn missing(component: &Component<'_>, reason: &str) -> Denial {
    Denial::new(Code::ComponentMissing, format!("the component {component} has no value to verify: {reason}"))
}
