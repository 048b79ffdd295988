//! JSON Web Signatures: receipts are such.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use proof_messenger_relay::keys::parse_private_jwk;
use proof_messenger_relay::receipt::compact_jws;
use serde::Deserialize;
use serde_json::Value;

use super::{from_base64, vectors};

#[derive(Deserialize)]
struct Examples {
    count: usize,
    cases: Vec<Example>,
}

#[derive(Deserialize)]
struct Example {
    id: String,
    alg: Option<String>,
    protected_b64u: Option<String>,
    payload_base64: Option<String>,
    compact: Option<String>,
    jwk: Option<Value>,
}

/// RFC 8037 A.4, byte for byte; and of the others the one whose algorithm we have, ES256, whose signature is made with
/// another nonce and verifies.
#[test]
fn the_signatures_of_the_rfcs() {
    let Some(Examples { count, cases }) = vectors("jws/jws-rfc-examples.json") else { return };
    assert_eq!((count, cases.len()), (12, 12));
    let mut signed = Vec::new();
    for case in cases {
        let (Some(alg), Some(jwk), Some(header), Some(payload), Some(compact)) =
            (case.alg, case.jwk, case.protected_b64u, case.payload_base64, case.compact)
        else {
            continue;
        };
        let Ok(private) = parse_private_jwk(jwk.to_string().as_bytes()) else { continue };
        let ours = compact_jws(&header, &from_base64(&payload), &private.key);
        if alg == "EdDSA" {
            assert_eq!(ours, compact, "{}", case.id);
        }
        for jws in [ours, compact] {
            let (input, signature) = jws.rsplit_once('.').unwrap();
            let signature = Base64UrlUnpadded::decode_vec(signature).unwrap();
            private.key.public().verify(input.as_bytes(), &signature).unwrap();
        }
        signed.push((case.id, alg));
    }
    let expected = [("rfc7515-A.3", "ES256"), ("rfc8037-A.4", "EdDSA")];
    assert_eq!(signed, expected.map(|(id, alg)| (id.to_owned(), alg.to_owned())));
}
