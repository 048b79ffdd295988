//! JSON Web Keys: thumbprints, the keys of RFC 9421, and the keys that Wycheproof wants refused.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use proof_messenger_relay::keys::{JwkError, Key, parse_jwk_set, parse_private_jwk, thumbprint};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{from_base64, from_hex, vectors};

type Jwk = Map<String, Value>;

/// Reads one key as an entry of a trust store, which says who owns it.
fn entry(jwk: &Jwk) -> Result<Key, JwkError> {
    let mut jwk = jwk.clone();
    jwk.insert("sub".into(), json!("somebody"));
    let set = json!({ "keys": [jwk] }).to_string();
    parse_jwk_set(set.as_bytes()).unwrap().remove(0)
}

fn public_half(jwk: &Jwk) -> Jwk {
    const PRIVATE: [&str; 6] = ["d", "p", "q", "dp", "dq", "qi"];
    jwk.iter()
        .filter(|(name, _)| !PRIVATE.contains(&name.as_str()))
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect()
}

#[derive(Deserialize)]
struct Thumbprints {
    cases: Vec<Thumbprint>,
}

#[derive(Deserialize)]
struct Thumbprint {
    id: String,
    jwk: Jwk,
    thumbprint_sha256_b64u: String,
}

/// RFC 8037 A.3 and RFC 9449 §6.1: the same hash, so the same canonical JSON. The third, RFC 7638 §3.1, is of an RSA key, which does not load.
#[test]
fn thumbprints_are_those_of_the_rfcs() {
    let Some(Thumbprints { cases }) = vectors("jws/jwk-thumbprints.json") else { return };
    assert_eq!(cases.len(), 3);
    let mut same = Vec::new();
    for case in cases {
        match entry(&case.jwk) {
            Ok(key) => {
                assert_eq!(&*key.thumbprint, case.thumbprint_sha256_b64u);
                assert_eq!(thumbprint(&key.public), case.thumbprint_sha256_b64u);
                // A key without a `kid` is found by its thumbprint.
                assert_eq!(key.id, key.thumbprint);
                same.push(case.id);
            }
            Err(error) => {
                assert_eq!((case.id.as_str(), error), ("rfc7638-3.1", JwkError::KeyType("RSA".into())));
            }
        }
    }
    assert_eq!(same, ["rfc8037-A.3", "rfc9449-6.1"]);
}

#[derive(Deserialize)]
struct TestKeys {
    keys: Vec<TestKey>,
}

#[derive(Deserialize)]
struct TestKey {
    kid: String,
    jwk: Option<Jwk>,
    secret_base64: Option<String>,
    public_raw_hex: Option<String>,
    public_sec1_uncompressed_hex: Option<String>,
}

/// RFC 9421 B.1: the two keys of supported algorithms load from their JWK, public and private, as the printed bytes.
#[test]
fn keys_of_rfc_9421_load_where_the_algorithm_is_supported() {
    let Some(TestKeys { keys }) = vectors("rfc9421/keys.json") else { return };
    assert_eq!(keys.len(), 5);
    let mut loaded = Vec::new();
    for key in keys {
        // The shared secret is printed without a JWK (RFC 7518 §6.4).
        let jwk = key.jwk.unwrap_or_else(|| {
            let secret = Base64UrlUnpadded::encode_string(&from_base64(&key.secret_base64.unwrap()));
            Jwk::from_iter([("kty".into(), json!("oct")), ("k".into(), json!(secret))])
        });
        let public = match entry(&public_half(&jwk)) {
            Ok(entry) => entry.public,
            Err(error) => {
                let expected = match key.kid.as_str() {
                    "test-shared-secret" => JwkError::Private("k"),
                    _ => JwkError::KeyType("RSA".into()),
                };
                assert_eq!(error, expected, "{}", key.kid);
                continue;
            }
        };
        let point = match public.coordinates() {
            (x, None) => (Some(x.to_vec()), None),
            (x, Some(y)) => (None, Some([&[4], x.as_slice(), &y].concat())),
        };
        let printed = (key.public_raw_hex, key.public_sec1_uncompressed_hex);
        assert_eq!(point, (printed.0.as_deref().map(from_hex), printed.1.as_deref().map(from_hex)));

        assert_eq!(entry(&jwk).unwrap_err(), JwkError::Private("d"), "{}", key.kid);
        let private = parse_private_jwk(json!(jwk).to_string().as_bytes()).unwrap();
        assert_eq!((private.id, private.key.public()), (key.kid.clone(), public));
        loaded.push(key.kid);
    }
    assert_eq!(loaded, ["test-key-ecc-p256", "test-key-ed25519"]);
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wycheproof {
    number_of_tests: usize,
    test_groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    /// Of key pairs: the set that verifies.
    public: Option<KeySet>,
    /// Of key pairs the set that signs; of shared secrets the only one.
    private: KeySet,
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Test {
    tc_id: u32,
    result: String,
}

/// Wycheproof tests whole JWS, with sets of keys. Here only the keys apply, and a set is taken whole or not at all.
///
/// None of the sets loads. Those of the five valid tests are of shared secrets and RSA keys, which are out by design,
/// as are most of the 21 invalid ones. In six tests a P-256 key is spoilt in one member, and refused for that member.
#[test]
fn keys_that_wycheproof_refuses_are_refused() {
    let Some(Wycheproof { number_of_tests, test_groups }) = vectors("wycheproof/json_web_key_test.json")
    else {
        return;
    };
    let mut tests = (0, 0);
    let mut p256 = Vec::new();
    for group in &test_groups {
        let set = group.public.as_ref().unwrap_or(&group.private);
        let problems: Vec<_> = set.keys.iter().filter_map(|jwk| entry(jwk).err()).collect();
        assert!(!problems.is_empty(), "{}: the whole set loads", group.tests[0].tc_id);
        for test in &group.tests {
            *if test.result == "valid" { &mut tests.0 } else { &mut tests.1 } += 1;
            if group.public.is_some() && set.keys.iter().any(|jwk| jwk.contains_key("crv")) {
                p256.extend(problems.iter().map(|problem| (test.tc_id, problem.to_string())));
            }
        }
    }
    assert_eq!((number_of_tests, tests), (26, (5, 21)));
    let algorithm = |found| format!("alg {found:?} does not go with the key: expected ES256");
    let expected = [
        (19, algorithm("ES521")),
        (20, algorithm("ES224")),
        (21, "the member \"use\" says that the key is not for verification".into()),
        (22, "the point is not on the curve, or not in its canonical form".into()),
        (23, "crv \"P-384\" is not supported: expected Ed25519 or P-256".into()),
        (24, "kty \"RSA\" is not supported: expected OKP or EC".into()),
    ];
    assert_eq!(p256, expected);
}
