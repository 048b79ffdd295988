//! Messages of vector files as the core takes them.

use proof_messenger_relay::denial::Denial;
use proof_messenger_relay::limits::Limits;
use proof_messenger_relay::proof::{Proof, ProofFields};
use proof_messenger_relay::request::{Body, Encoding, Field, Fields, Request};
use proof_messenger_relay::structured_field::{self, Member};
use proof_messenger_relay::verify::{FieldType, FieldTypes, Message, Response, signature_base};
use serde::Deserialize;

/// A request that a vector file holds.
pub(super) struct Received {
    pub(super) method: String,
    pub(super) scheme: String,
    pub(super) authority: String,
    pub(super) target: String,
    /// Names in lower case, as HTTP/2 and Envoy have them.
    pub(super) lines: Vec<(String, String)>,
    pub(super) body: String,
}

impl Received {
    pub(super) fn request(&self) -> Request<'_> {
        self.try_request().unwrap()
    }

    pub(super) fn try_request(&self) -> Result<Request<'_>, Denial> {
        let mut request = Request::new(&self.method, &self.scheme, &self.authority, &self.target);
        let lines = self.lines.iter().map(|(name, value)| Field { name, value: value.as_bytes() }).collect();
        request.fields = Fields::new(lines, Encoding::Raw, &Limits::default())?;
        if !self.body.is_empty() {
            request.body = Body::Complete(self.body.as_bytes());
        }
        Ok(request)
    }

    /// The signature base of the proof under `label`, in a response of that status to this request.
    pub(super) fn base_in_response(
        &self,
        response: &Received,
        status: u16,
        label: &str,
    ) -> Result<String, Denial> {
        let limits = Limits::default();
        let (request, response) = (self.request(), response.request());
        let fields = ProofFields::of(&response.fields);
        let proof =
            fields.claims(&limits)?.into_iter().find(|claim| claim.label() == label).unwrap().proof()?;
        let types = field_types();
        let message =
            Message::new(&request, &types).with_response(Response { status, fields: &response.fields });
        signature_base(&proof, &message, &limits)
    }

    /// The signature base of the proof under `label`.
    pub(super) fn base(&self, label: &str) -> Result<String, Denial> {
        let limits = Limits::default();
        let request = self.request();
        let fields = ProofFields::of(&request.fields);
        let claims = fields.claims(&limits)?;
        let proof = claims.into_iter().find(|claim| claim.label() == label).unwrap().proof()?;
        signature_base(&proof, &Message::new(&request, &field_types()), &limits)
    }

    /// The signature base over the components of `input`, an inner list, or why there is none.
    pub(super) fn base_over(&self, input: &str) -> Result<String, String> {
        let limits = Limits::default();
        let request = self.request();
        let member = format!("sig={input}");
        let members = structured_field::dictionary(member.as_bytes(), 1).unwrap();
        let Some((label, Member::InnerList(input))) = members.into_iter().next() else {
            panic!("not an inner list: {input}")
        };
        let proof =
            Proof::unsigned(label.as_str(), input, &limits).map_err(|malformed| malformed.to_string())?;
        signature_base(&proof, &Message::new(&request, &field_types()), &limits)
            .map_err(|denial| denial.to_string())
    }
}

/// A message as the files of RFC 9421 write it.
#[derive(Deserialize)]
pub(super) struct VectorMessage {
    pub(super) kind: String,
    pub(super) status: Option<u16>,
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
    /// The message that a response answers, where the file names none.
    pub(super) fn unknown() -> Received {
        Received {
            method: String::new(),
            scheme: String::new(),
            authority: String::new(),
            target: String::new(),
            lines: Vec::new(),
            body: String::new(),
        }
    }

    pub(super) fn received(self) -> Received {
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

/// The standard types, and that of the one dictionary which the RFC invents for its examples.
fn field_types() -> FieldTypes {
    FieldTypes::default().with([("example-dict".into(), FieldType::Dictionary)])
}
