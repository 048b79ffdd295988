//! RFC 9530: the digests of its examples, and of those in RFC 9421.

use std::collections::BTreeMap;

use proof_messenger_relay::verify::content_digest::{DigestError, check};
use serde::Deserialize;

use super::{from_base64, vectors};

#[derive(Deserialize)]
struct Digests {
    cases: Vec<Digest>,
}

#[derive(Deserialize)]
struct Digest {
    id: String,
    value: String,
    input_base64: String,
    expect: String,
}

#[test]
fn digests_match_or_fail_as_the_rfc_has_it() {
    let Some(Digests { cases }) = vectors("content-digest/content-digest.json") else { return };
    let mut verdicts = BTreeMap::new();
    for case in cases {
        let verdict = match check(case.value.as_bytes(), &from_base64(&case.input_base64)) {
            Ok(()) => "match",
            Err(DigestError::Mismatch(_)) => "mismatch",
            Err(DigestError::Malformed(_)) => "malformed",
            Err(DigestError::Unsupported) => "unsupported-algorithm",
        };
        assert_eq!(verdict, case.expect, "{}", case.id);
        *verdicts.entry(verdict).or_insert(0) += 1;
    }
    let expected = [("match", 19), ("mismatch", 5), ("malformed", 1), ("unsupported-algorithm", 6)];
    assert_eq!(verdicts, BTreeMap::from(expected));
}
