//! Signature bases beside the request that they are said to be of: what the verifier core makes of the one must be the other.

use crate::denial::quoted;
use crate::evidence::record::{self, Proof};
use crate::evidence::redaction;
use crate::limits::Limits;
use crate::proof::{self, Name};
use crate::request::Request;
use crate::structured_field::{self, BareItem, InnerList, Member};
use crate::verify::{FieldTypes, Message};

/// What the signature is over and how it was made: the last line of the base (RFC 9421 §2.5).
///
/// # Errors
/// When there is no such line, in words.
pub fn signature_params(base: &str) -> Result<InnerList<'_>, String> {
    let line = base.rsplit_once('\n').map_or(base, |(_, line)| line);
    let params = line.strip_prefix("\"@signature-params\": ");
    let params = params.ok_or_else(|| "the base does not end with @signature-params".to_owned())?;
    let mut members = structured_field::list(params.as_bytes())
        .map_err(|error| format!("@signature-params in the base: {error}"))?;
    match (members.pop(), members.is_empty()) {
        (Some(Member::InnerList(list)), true) => Ok(list),
        _ => Err("@signature-params in the base is no inner list".to_owned()),
    }
}

/// The request of a record, as far as it was recorded.
pub(super) fn request<'a>(recorded: &'a record::Request<'_>) -> Request<'a> {
    Request::new(&recorded.method, &recorded.scheme, &recorded.authority, &recorded.path)
}

/// Whether the base is one of this request and of the recorded key. Of fields nothing was recorded, and signers may know the
/// request under another scheme and authority.
pub(super) fn check(proof: &Proof<'_>, request: &Request<'_>, types: &FieldTypes) -> Result<(), String> {
    // What the relay took is taken here, whatever its limits were.
    let limits = Limits {
        components: usize::MAX,
        component_bytes: usize::MAX,
        nonce_bytes: usize::MAX,
        ..Limits::default()
    };
    let input = signature_params(&proof.base)?;
    names_key(&input, &proof.key.kid)?;
    let claimed = proof::Proof::unsigned(&proof.label, input, &limits)
        .map_err(|error| format!("@signature-params in the base: {error}"))?;
    let message = Message::new(request, types);
    let mut lines = proof.base.split('\n');
    for component in claimed.components() {
        let mut identifier = String::new();
        component.write_identifier(&mut identifier);
        let line = lines.next().and_then(|line| line.strip_prefix(&*identifier)?.strip_prefix(": "));
        let Some(value) = line else {
            return Err(format!("the base does not have {} where it says so", quoted(&identifier)));
        };
        let is_redacted = |name: &str| proof.redacted.iter().any(|redacted| redacted == name);
        let is_of_request = match component.name() {
            _ if redaction::lines(&proof.base)
                .any(|line| line.identifier == identifier && is_redacted(line.name)) =>
            {
                true
            }
            Name::Method | Name::Path | Name::Query | Name::RequestTarget | Name::QueryParam(_) => {
                message.value(component, &limits).is_ok_and(|expected| expected == value)
            }
            Name::TargetUri => is_uri_of(value, request.target),
            Name::Authority | Name::Scheme | Name::Status | Name::Field(..) => true,
        };
        if !is_of_request {
            return Err(format!("the base has another {} than the request", quoted(&identifier)));
        }
    }
    match (lines.next(), lines.next()) {
        (Some(_), None) => Ok(()),
        _ => Err("the base has lines that it does not name".to_owned()),
    }
}

/// Whether the target stands behind a scheme and an authority.
fn is_uri_of(uri: &str, target: &str) -> bool {
    let origin = uri.strip_suffix(target).and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(_, authority)| !authority.contains(['/', '?']))
}

fn names_key(input: &InnerList<'_>, kid: &str) -> Result<(), String> {
    let keyid = input.parameters.iter().find(|(name, _)| name.as_str() == "keyid");
    match keyid {
        Some((_, BareItem::String(keyid))) if keyid.as_str() == kid => Ok(()),
        Some(_) => Err(format!("the base names another key than {}", quoted(kid))),
        None => Err("the base names no key".to_owned()),
    }
}
