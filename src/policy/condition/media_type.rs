//! What a request says of its body: a condition looks only into one that is JSON to everybody.
//!
//! Whoever signs a request chooses its content type too. `{"amount":1,"memo":"&amount=20000&"}` is one amount to a parser
//! of JSON and another to one of forms, and many backends take both.

use super::json::ambiguous;
use crate::denial::{Code, Denial, quoted};
use crate::request::{Fields, is_same_to_backends};

/// # Errors
/// `condition-failed` where the body is said to be something else than JSON; `body-ambiguous` where it is in another
/// encoding than its bytes show, or said to be two things.
pub(super) fn check(fields: &Fields<'_>) -> Result<(), Denial> {
    let is_twin = |name: &&str| {
        ["content-type", "content-encoding"]
            .iter()
            .any(|known| name != known && is_same_to_backends(known, name))
    };
    if let Some(twin) = fields.names().find(is_twin) {
        return Err(ambiguous(&format!("some backends go by the header {}", quoted(twin))));
    }
    let identity = |line: &[u8]| line.eq_ignore_ascii_case(b"identity");
    if !fields.lines("content-encoding").all(identity) {
        return Err(ambiguous("content-encoding says that it is encoded"));
    }
    let mut lines = fields.lines("content-type");
    let Some(line) = lines.next() else { return Ok(()) };
    if lines.next().is_some() {
        return Err(ambiguous("content-type came in more than one line"));
    }
    let text = String::from_utf8_lossy(line).to_ascii_lowercase();
    let mut parts = text.split(';').map(str::trim);
    if !is_json(parts.next().unwrap_or_default()) {
        let detail = "the policy looks into the body, and content-type does not say that it is JSON";
        return Err(Denial::new(Code::ConditionFailed, detail));
    }
    // RFC 8259 §11 defines no charset, and yet some backends decode by it, also where it is spelt as RFC 2231 has it:
    // charset*=utf-8''utf-7.
    let is_plain = |parameter: &str| match parameter.split_once('=') {
        Some(("charset", charset)) => matches!(charset.trim_matches('"'), "utf-8" | "utf8"),
        _ => !parameter.contains("charset") && !parameter.contains('*'),
    };
    if !parts.all(is_plain) {
        return Err(ambiguous("content-type names another charset than UTF-8, or in another way"));
    }
    Ok(())
}

/// Whether the media type is JSON (RFC 8259 §11, RFC 6839 §3.1) to everybody: some backends take what begins like a form
/// for one, and end the type at a space.
fn is_json(media_type: &str) -> bool {
    let Some(subtype) = media_type.strip_prefix("application/") else { return false };
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
    subtype.bytes().all(is_token)
        && (subtype == "json" || subtype.ends_with("+json"))
        && !subtype.starts_with("x-www-form-urlencoded")
}
