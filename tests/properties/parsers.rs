//! No parser panics, whatever it is given. That the test ends is the assertion.

use std::path::Path as FilePath;

use proof_messenger_relay::config::Config;
use proof_messenger_relay::keys::{parse_jwk_set, parse_private_jwk};
use proof_messenger_relay::limits::Limits;
use proof_messenger_relay::policy::{HostPattern, Path, PathPattern};
use proof_messenger_relay::proof::{Name, ProofFields};
use proof_messenger_relay::request::{Encoding, Field, Fields, Request};
use proof_messenger_relay::structured_field::{self, MAX_MEMBERS};
use proof_messenger_relay::verify::content_digest;
use proptest::prelude::*;

use super::hostile;

fn any_line() -> impl Strategy<Value = (String, Vec<u8>)> {
    (prop_oneof![3 => "[a-z-]{1,12}", 1 => "\\PC{0,12}"], hostile::bytes())
}

proptest! {
    #[test]
    fn structured_fields(value in hostile::bytes()) {
        let _ = structured_field::item(&value);
        let _ = structured_field::list(&value);
        let _ = structured_field::dictionary(&value, MAX_MEMBERS);
    }

    #[test]
    fn proof_fields(input in hostile::bytes(), signature in hostile::bytes()) {
        let lines = vec![
            Field { name: "signature-input", value: &input },
            Field { name: "signature", value: &signature },
            Field { name: "signature-input", value: &signature },
        ];
        // Control characters are refused first, so they are left to the structured fields above.
        if let Ok(fields) = Fields::new(lines, Encoding::Raw, &Limits::default())
            && let Ok(claims) = ProofFields::of(&fields).claims(&Limits::default())
        {
            for claim in claims {
                let _ = claim.proof();
            }
        }
    }

    #[test]
    fn field_lines(lines in prop::collection::vec(any_line(), 0..8)) {
        let lines = lines.iter().map(|(name, value)| Field { name, value }).collect();
        if let Ok(fields) = Fields::new(lines, Encoding::Merged, &Limits::default()) {
            for name in fields.names() {
                prop_assert!(fields.combined(name).is_some());
            }
        }
    }

    #[test]
    fn digests(field in hostile::bytes(), body in hostile::bytes()) {
        let _ = content_digest::check(&field, &body);
    }

    #[test]
    fn paths(method in "[A-Z]{0,7}", target in hostile::text(), authority in hostile::text()) {
        let request = Request::new(&method, "https", &authority, &target);
        let _ = Path::parse(&request);
        let _ = request.normalized_authority();
    }

    #[test]
    fn what_operators_write(text in hostile::text()) {
        let _ = Name::parse(&text);
        let _ = PathPattern::parse(&text);
        let _ = HostPattern::parse(&text);
        let _ = Config::parse(&text, "test", FilePath::new(""));
    }

    #[test]
    fn json_web_keys(text in hostile::bytes(), x in "[A-Za-z0-9_-]{0,50}", y in "[A-Za-z0-9_-]{43}", d in "[A-Za-z0-9_-]{43}") {
        let _ = parse_jwk_set(&text);
        let _ = parse_private_jwk(&text);
        for key in [
            format!(r#"{{"kty":"OKP","crv":"Ed25519","sub":"a","x":"{x}"}}"#),
            format!(r#"{{"kty":"EC","crv":"P-256","sub":"a","x":"{d}","y":"{y}"}}"#),
        ] {
            let _ = parse_jwk_set(format!(r#"{{"keys":[{key}]}}"#).as_bytes());
            let _ = parse_private_jwk(key.replacen('{', &format!(r#"{{"d":"{d}","#), 1).as_bytes());
        }
    }
}
