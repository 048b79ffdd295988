//! `Content-Digest` (RFC 9530 §2).

use base64ct::{Base64, Encoding as _};

use crate::crypto::{sha256, sha512};
use crate::denial::{Code, Denial, quoted};
use crate::request::Fields;
use crate::structured_field::{self, BareItem, MAX_MEMBERS, Member};

/// Why a `Content-Digest` does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    #[error("Content-Digest cannot be read: {0}")]
    Malformed(String),
    #[error("Content-Digest has neither sha-256 nor sha-512")]
    Unsupported,
    #[error("the {0} in Content-Digest is not that of the body")]
    Mismatch(&'static str),
}

/// Checks every digest of a known algorithm. All must match, and at least one must be there.
///
/// Others are ignored, as RFC 9530 §3.1 has it: `md5`, `sha` and their like prove nothing (§5), so they never count.
///
/// # Errors
/// When the field cannot be read, when it holds no known algorithm, and when a digest is not that of the body.
pub fn check(field: &[u8], body: &[u8]) -> Result<(), DigestError> {
    let digests = structured_field::dictionary(field, MAX_MEMBERS)
        .map_err(|problem| DigestError::Malformed(problem.to_string()))?;
    let mut known = false;
    for (algorithm, member) in &digests {
        let Member::Item(structured_field::Item { value: BareItem::ByteSequence(digest), .. }) = member
        else {
            return Err(DigestError::Malformed(format!(
                "{}: expected a byte sequence",
                quoted(algorithm.as_str())
            )));
        };
        let (name, matches) = match algorithm.as_str() {
            "sha-256" => ("sha-256", digest == &sha256(body)),
            "sha-512" => ("sha-512", digest == &sha512(body)),
            _ => continue,
        };
        if !structured_field::is_canonical_base64(field, algorithm, digest) {
            return Err(DigestError::Malformed(format!("{algorithm}: the base64 is not canonical")));
        }
        if !matches {
            return Err(DigestError::Mismatch(name));
        }
        known = true;
    }
    if known { Ok(()) } else { Err(DigestError::Unsupported) }
}

/// The digests of a field that [`check`] compares with the body, without what nobody has looked at.
#[must_use]
pub fn compared(field: &[u8]) -> Option<String> {
    let digests = structured_field::dictionary(field, MAX_MEMBERS).ok()?;
    let compared = digests.iter().filter_map(|(algorithm, member)| match (algorithm.as_str(), member) {
        (
            algorithm @ ("sha-256" | "sha-512"),
            Member::Item(structured_field::Item { value: BareItem::ByteSequence(digest), .. }),
        ) => Some(format!("{algorithm}=:{}:", Base64::encode_string(digest))),
        _ => None,
    });
    let compared = compared.collect::<Vec<_>>().join(", ");
    (!compared.is_empty()).then_some(compared)
}

/// Checks the field of a request, every line of it.
pub(super) fn check_fields(fields: &Fields<'_>, body: &[u8]) -> Result<(), Denial> {
    let Some(field) = fields.combined("content-digest") else {
        return Err(Denial::new(
            Code::DigestMissing,
            "the request has a body, and no Content-Digest (RFC 9530)",
        ));
    };
    check(&field, body).map_err(|error| {
        let code = match error {
            DigestError::Mismatch(_) => Code::DigestMismatch,
            DigestError::Malformed(_) | DigestError::Unsupported => Code::DigestMissing,
        };
        Denial::new(code, error.to_string())
    })
}
