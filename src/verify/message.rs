//! The values of components (RFC 9421 §2.1, §2.2).

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::OnceLock;

use base64ct::{Base64, Encoding as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{FieldType, FieldTypes};
use crate::denial::{Code, Denial};
use crate::limits::Limits;
use crate::proof::{Component, FieldForm, Name};
use crate::request::{Encoding, Fields, Request, has_control, normalized_authority};
use crate::structured_field::{self, MAX_MEMBERS};

/// Fields of which a second line changes what they mean. Covered, they must come in one line for certain.
const SINGLE_LINE: &[&str] = &[
    "authorization",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "idempotency-key",
    "origin",
    "proxy-authorization",
    "set-cookie",
];

/// The same, but one line of them holds commas already, which in the merged mode cannot be told from joints.
const SINGLE_LINE_WITH_COMMAS: &[&str] = &["date", "from", "referer", "user-agent"];

/// The percent-encode set of `application/x-www-form-urlencoded` (URL Standard), for RFC 9421 §2.2.8.
const FORM_ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_');

/// A message as its signer saw it: a request, or a response to it.
#[derive(Debug)]
pub struct Message<'a> {
    request: &'a Request<'a>,
    response: Option<Response<'a>>,
    scheme: &'a str,
    authority: Cow<'a, str>,
    field_types: &'a FieldTypes,
    query_params: OnceLock<HashMap<String, QueryParam>>,
    dictionaries: RefCell<HashMap<(bool, String), Members>>,
}

/// The members of a dictionary in canonical form, or why the field is none.
type Members = Result<HashMap<String, String>, structured_field::Invalid>;

/// What a signature can cover of a response itself. The relay sees none; whoever verifies one uses the same bases.
#[derive(Debug, Clone, Copy)]
pub struct Response<'a> {
    pub status: u16,
    pub fields: &'a Fields<'a>,
}

/// The value of a query parameter, as the signature base has it (RFC 9421 §2.2.8).
#[derive(Debug)]
enum QueryParam {
    Once(String),
    Twice,
    NotUtf8,
}

impl<'a> Message<'a> {
    /// The request as the proxy received it.
    #[must_use]
    pub fn new(request: &'a Request<'a>, field_types: &'a FieldTypes) -> Self {
        Self {
            request,
            response: None,
            scheme: request.scheme,
            authority: request.normalized_authority(),
            field_types,
            query_params: OnceLock::new(),
            dictionaries: RefCell::default(),
        }
    }

    /// The same request under the scheme and authority that its signers use, where TLS or the name ends in front of
    /// the proxy. They are the operator's words, never the client's.
    #[must_use]
    pub fn with_external(mut self, scheme: Option<&'a str>, authority: Option<&'a str>) -> Self {
        self.scheme = scheme.unwrap_or(self.scheme);
        // Which port goes without saying depends on the scheme that signers use.
        self.authority = normalized_authority(authority.unwrap_or(self.request.authority), self.scheme);
        self
    }

    /// The response to this request. Components of the request then need `;req` (RFC 9421 §2.4).
    #[must_use]
    pub fn with_response(mut self, response: Response<'a>) -> Self {
        self.response = Some(response);
        self
    }

    #[must_use]
    pub fn request(&self) -> &'a Request<'a> {
        self.request
    }

    /// The scheme that its signers use.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.scheme
    }

    /// The authority that its signers use, normalised.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The URI of the resource as its signers have it, with the query (RFC 9421 §2.2.2).
    #[must_use]
    pub fn target_uri(&self) -> String {
        self.target_uri_parts().concat()
    }

    fn target_uri_parts(&self) -> [&str; 4] {
        [self.scheme, "://", &self.authority, self.request.target]
    }

    /// The value of a component.
    ///
    /// # Errors
    /// `component-missing` and `proof-malformed` when it has none here that could have been signed.
    pub fn value(&self, component: &Component<'_>, limits: &Limits) -> Result<String, Denial> {
        let mut value = String::new();
        self.write_value(component, limits, &mut value)?;
        Ok(value)
    }

    /// Appends the value of a component.
    pub(super) fn write_value(
        &self,
        component: &Component<'_>,
        limits: &Limits,
        out: &mut String,
    ) -> Result<(), Denial> {
        let start = out.len();
        match (&self.response, component.is_of_request()) {
            (None, false) | (Some(_), true) => self.write_request_value(component, limits, out)?,
            (Some(response), false) => self.write_response_value(response, component, limits, out)?,
            (None, true) => return Err(meaningless("the parameter req has no meaning in a request")),
        }
        let value = out.get(start..).unwrap_or_default();
        check_length(component, value.len(), limits)?;
        // RFC 9421 §2.5: the base is ASCII, and a line break in a value would forge the next line.
        if !value.is_ascii() || has_control(value.as_bytes()) {
            return Err(missing(component, "its value is not printable ASCII, which only ;bs can carry"));
        }
        Ok(())
    }

    fn write_request_value(
        &self,
        component: &Component<'_>,
        limits: &Limits,
        out: &mut String,
    ) -> Result<(), Denial> {
        let request = self.request;
        match component.name() {
            Name::Method => out.push_str(request.method),
            Name::TargetUri => out.extend(self.target_uri_parts()),
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
            Name::QueryParam(name) => match self.query_params().get(&**name) {
                Some(QueryParam::Once(value)) => out.push_str(value),
                Some(QueryParam::Twice) => {
                    return Err(missing(component, "the query has the parameter more than once"));
                }
                Some(QueryParam::NotUtf8) => return Err(missing(component, "the parameter is not UTF-8")),
                None => return Err(missing(component, "the query has no such parameter")),
            },
            Name::Status => return Err(meaningless("@status has no meaning in a request")),
            Name::Field(name, form) => {
                self.write_field(&request.fields, component, name, form, limits, out)?;
            }
        }
        Ok(())
    }

    fn write_response_value(
        &self,
        response: &Response<'_>,
        component: &Component<'_>,
        limits: &Limits,
        out: &mut String,
    ) -> Result<(), Denial> {
        match component.name() {
            Name::Status => out.push_str(&response.status.to_string()),
            Name::Field(name, form) => {
                self.write_field(response.fields, component, name, form, limits, out)?
            }
            _ => return Err(missing(component, "a response has it of its request only, with ;req")),
        }
        Ok(())
    }

    /// The parameters of the query by name, decoded and encoded again. It is read once, however many are covered: that
    /// happens before any signature is checked.
    fn query_params(&self) -> &HashMap<String, QueryParam> {
        self.query_params.get_or_init(|| {
            let encoded = |text: &str| utf8_percent_encode(text, FORM_ENCODED).to_string();
            let mut params = HashMap::new();
            for (name, value) in form_urlencoded::parse(self.request.query().unwrap_or_default().as_bytes()) {
                // Whatever is not UTF-8 decodes to this character, and two different queries would give one line.
                let param =
                    if [&name, &value].into_iter().any(|text| text.contains(char::REPLACEMENT_CHARACTER)) {
                        QueryParam::NotUtf8
                    } else {
                        QueryParam::Once(encoded(&value))
                    };
                params.entry(encoded(&name)).and_modify(|known| *known = QueryParam::Twice).or_insert(param);
            }
            params
        })
    }

    fn write_field(
        &self,
        fields: &Fields<'_>,
        component: &Component<'_>,
        name: &str,
        form: &FieldForm<'_>,
        limits: &Limits,
        out: &mut String,
    ) -> Result<(), Denial> {
        let value = fields.combined(name).ok_or_else(|| missing(component, "there is no such header"))?;
        check_length(component, value.len(), limits)?;
        if fields.encoding() == Encoding::Merged {
            check_merged(component, form, &value)?;
        }
        match form {
            FieldForm::Combined => {
                let in_one_line = if SINGLE_LINE_WITH_COMMAS.contains(&name) {
                    fields.lines(name).count() == 1
                } else {
                    !SINGLE_LINE.contains(&name) || fields.is_one_line(name)
                };
                if !in_one_line {
                    return Err(missing(component, "the header came in more than one line, or may have"));
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
                    // An item cannot be split; a quoted comma in it could.
                    Some(FieldType::Item) if !fields.is_one_line(name) => {
                        return Err(missing(component, "the header came in more than one line, or may have"));
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
                // It is read once, however many members are covered: that happens before any signature is checked.
                let mut dictionaries = self.dictionaries.borrow_mut();
                let members = dictionaries
                    .entry((component.is_of_request(), name.to_owned()))
                    .or_insert_with(|| serialized_members(&value))
                    .as_ref()
                    .map_err(|problem| missing(component, &problem.to_string()))?;
                let member =
                    members.get(&**key).ok_or_else(|| missing(component, "the header has no such member"))?;
                out.push_str(member);
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

fn serialized_members(field: &[u8]) -> Members {
    let members = structured_field::dictionary(field, MAX_MEMBERS)?;
    let serialized = members.into_iter().map(|(key, member)| {
        let mut text = String::new();
        member.serialize(&mut text);
        (key.as_str().to_owned(), text)
    });
    Ok(serialized.collect())
}

fn check_length(component: &Component<'_>, bytes: usize, limits: &Limits) -> Result<(), Denial> {
    if bytes > limits.component_bytes {
        let reason = format!("its value has {bytes} bytes, more than {}", limits.component_bytes);
        return Err(missing(component, &reason));
    }
    Ok(())
}

/// In the merged mode, refuses every value that Envoy may have altered, or joined otherwise than the signer.
fn check_merged(component: &Component<'_>, form: &FieldForm<'_>, value: &[u8]) -> Result<(), Denial> {
    let has_bare_comma =
        || value.split(|byte| *byte == b',').skip(1).any(|after| after.first() != Some(&b' '));
    let reason = match form {
        FieldForm::Binary => "its lines and bytes are lost",
        _ if value.contains(&b'!') => "a ! may stand for a byte that was not UTF-8",
        FieldForm::Combined if has_bare_comma() => "a comma without a space may be a joint of two lines",
        _ => return Ok(()),
    };
    Err(missing(component, &format!("{reason}: set encode_raw_headers in Envoy's ext_authz filter")))
}

fn ascii<'v>(component: &Component<'_>, value: &'v [u8]) -> Result<&'v str, Denial> {
    std::str::from_utf8(value)
        .ok()
        .filter(|text| text.is_ascii())
        .ok_or_else(|| missing(component, "its value is not ASCII, which only ;bs can carry"))
}

fn meaningless(detail: &'static str) -> Denial {
    Denial::new(Code::ProofMalformed, detail)
}

fn missing(component: &Component<'_>, reason: &str) -> Denial {
    Denial::new(Code::ComponentMissing, format!("the component {component} has no value to verify: {reason}"))
}
