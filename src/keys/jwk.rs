//! JSON Web Keys (RFC 7517, RFC 7518 §6.2, RFC 8037), with the members that the trust store adds.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::Key;
use crate::crypto::{Algorithm, KeyError, PrivateKey, PublicKey, sha256};

/// What is wrong with a JWK, or with a JWK Set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwkError {
    #[error("not JSON: {0}")]
    Json(String),
    #[error("not a JWK Set: expected an object with the member \"keys\", an array")]
    NotASet,
    #[error("expected an object")]
    NotAnObject,
    #[error("the member {0:?} is missing")]
    Missing(&'static str),
    #[error("the member {member:?}: expected {expected}")]
    Type { member: &'static str, expected: &'static str },
    #[error("a private or symmetric key (member {0:?}): a trust store holds public keys only")]
    Private(&'static str),
    #[error("kty {} is not supported: expected OKP or EC", named(_0))]
    KeyType(String),
    #[error("crv {} is not supported: expected Ed25519 or P-256", named(_0))]
    Curve(String),
    #[error("the member {0:?} says that the key is not for verification")]
    NotForVerification(&'static str),
    #[error("alg {} does not go with the key: expected {expected}", named(found))]
    Algorithm { found: String, expected: &'static str },
    #[error("a passkey (member \"webauthn\"): this version verifies no passkeys")]
    Passkey,
    #[error("purpose {} is unknown: expected proof, evidence or receipt", named(_0))]
    UnknownPurpose(String),
    #[error(
        "expected a key with the purpose {expected}, but found one with the purpose {found}: keys new --use {expected} makes one"
    )]
    Purpose { expected: Purpose, found: Purpose },
    #[error("expected an Ed25519 key for the purpose {0}, but found one of P-256")]
    NotEd25519(Purpose),
    #[error("{0}")]
    Key(#[from] KeyError),
}

/// What a key is for: the member `purpose`, which no registered member can say. RFC 7517 has `use: sig` for all of them.
///
/// A key for one is refused for another. A signature by a relay must never count as somebody's proof, and what evidence
/// is sealed with must not be what backends are told to trust for receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A person's or machine's: it signs requests. A key that says nothing is one.
    Proof,
    /// The relay's own: it signs checkpoints of the evidence.
    Evidence,
    /// The relay's own: it signs receipts for backends.
    Receipt,
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Proof => "proof",
            Self::Evidence => "evidence",
            Self::Receipt => "receipt",
        })
    }
}

/// A public key of the relay's own, with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicJwk {
    pub id: String,
    pub key: PublicKey,
}

/// A private key, with its name.
pub struct PrivateJwk {
    pub id: String,
    pub key: PrivateKey,
}

/// Members that only private and symmetric keys have (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "k", "p", "q", "dp", "dq", "qi", "oth"];

/// Reads a JWK Set: each entry by itself, so that a report can name every bad one.
///
/// # Errors
/// When the text is not a JWK Set at all.
pub fn parse_jwk_set(text: &[u8]) -> Result<Vec<Result<Key, JwkError>>, JwkError> {
    let keys = entries(text)?;
    Ok(keys.iter().map(|jwk| parse_key(jwk, None)).collect())
}

/// Whose all keys of a set are, whatever it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub subject: Box<str>,
    pub roles: Box<[Box<str>]>,
}

/// Reads a JWK Set that somebody else publishes, for readers that know more kinds of keys: what cannot be a key for
/// signatures here is passed over (RFC 7517 §5).
///
/// # Errors
/// When the text is not a JWK Set, and the first entry that could be one and is wrong.
pub fn parse_published_jwk_set(text: &[u8], owner: Option<&Owner>) -> Result<Vec<Key>, JwkError> {
    let keys = entries(text)?;
    let keys = keys.iter().map(|jwk| parse_key(jwk, owner)).filter(|key| {
        !matches!(key, Err(JwkError::KeyType(_) | JwkError::Curve(_) | JwkError::NotForVerification(_)))
    });
    keys.collect()
}

/// Whether this is a JWK Set without any entry.
pub(crate) fn is_empty_jwk_set(text: &[u8]) -> bool {
    entries(text).is_ok_and(|entries| entries.is_empty())
}

/// Reads the private JWK of somebody who signs requests, as `keys new` writes it.
///
/// # Errors
/// As [`parse_private_jwk_for`].
pub fn parse_private_jwk(text: &[u8]) -> Result<PrivateJwk, JwkError> {
    parse_private_jwk_for(Purpose::Proof, text)
}

/// Reads a private JWK that was made for this.
///
/// The private member is decoded from where it stands in `text`: no copy is left behind, and no error quotes it.
///
/// # Errors
/// When it is not a private key of a supported kind or is for something else, and when its public members are those of
/// another key.
pub fn parse_private_jwk_for(purpose: Purpose, text: &[u8]) -> Result<PrivateJwk, JwkError> {
    let Members { public: members, secret } = Members::read(text)?;
    let public = parse_public(&members)?;
    check_purpose(&members, purpose, &public)?;
    let secret = secret.ok_or(JwkError::Missing("d"))?;
    // Decoded, it is shorter. What is wrong with it may show half-way, so the buffer is overwritten in any case.
    let mut decoded = Zeroizing::new(vec![0; secret.len()]);
    let secret = Base64UrlUnpadded::decode(secret, &mut decoded).map_err(|_| not_base64("d"))?;
    let key = PrivateKey::from_bytes(public.algorithm(), secret)?;
    if key.public() != public {
        return Err(KeyError::Mismatch.into());
    }
    Ok(PrivateJwk { id: id_of(&members, &public)?, key })
}

/// Reads a public JWK that was made for this.
///
/// # Errors
/// When it is a private key, when it is not of a supported kind, and when it is for something else.
pub fn parse_public_jwk_for(purpose: Purpose, text: &[u8]) -> Result<PublicJwk, JwkError> {
    let Members { public: members, secret } = Members::read(text)?;
    if let Some(member) = private_member(&members).or(secret.map(|_| "d")) {
        return Err(JwkError::Private(member));
    }
    let key = parse_public(&members)?;
    check_use(&members, key.algorithm())?;
    check_purpose(&members, purpose, &key)?;
    Ok(PublicJwk { id: id_of(&members, &key)?, key })
}

/// The members of a JWK. The private one is borrowed: read into a [`Value`], it would stay in memory.
struct Members<'t> {
    public: Map<String, Value>,
    secret: Option<&'t str>,
}

impl<'t> Members<'t> {
    fn read(text: &'t [u8]) -> Result<Self, JwkError> {
        serde_json::from_slice(text).map_err(|error| match error.classify() {
            // These say what the parser expected, and where. The others quote what they found.
            Category::Syntax | Category::Eof | Category::Io => JwkError::Json(error.to_string()),
            Category::Data if text.trim_ascii_start().starts_with(b"{") => {
                JwkError::Type { member: "d", expected: "one text without escapes" }
            }
            Category::Data => JwkError::NotAnObject,
        })
    }
}

impl<'t> Deserialize<'t> for Members<'t> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'t> Visitor<'t> for MembersVisitor {
    type Value = Members<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JWK")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Members<'t>, A::Error> {
        let mut members = Members { public: Map::new(), secret: None };
        while let Some(name) = map.next_key::<String>()? {
            if name != "d" {
                members.public.insert(name, map.next_value()?);
            } else if members.secret.replace(map.next_value()?).is_some() {
                return Err(A::Error::duplicate_field("d"));
            }
        }
        Ok(members)
    }
}

/// The members `kty` and `crv` of a key for this algorithm (RFC 7518 §6.2.1, RFC 8037 §2).
pub(crate) const fn kty_and_crv(algorithm: Algorithm) -> (&'static str, &'static str) {
    match algorithm {
        Algorithm::Ed25519 => ("OKP", "Ed25519"),
        Algorithm::EcdsaP256Sha256 => ("EC", "P-256"),
    }
}

/// The members of a public JWK that make up the key.
#[must_use]
pub fn public_jwk(key: &PublicKey) -> Map<String, Value> {
    let (x, y) = key.coordinates();
    let (kty, crv) = kty_and_crv(key.algorithm());
    let mut jwk = Map::new();
    jwk.insert("kty".into(), json!(kty));
    jwk.insert("crv".into(), json!(crv));
    jwk.insert("x".into(), json!(Base64UrlUnpadded::encode_string(&x)));
    if let Some(y) = y {
        jwk.insert("y".into(), json!(Base64UrlUnpadded::encode_string(&y)));
    }
    jwk
}

/// The thumbprint of a key with SHA-256 (RFC 7638 §3, RFC 8037 §2), base64url.
#[must_use]
pub fn thumbprint(key: &PublicKey) -> String {
    let (x, y) = key.coordinates();
    let x = Base64UrlUnpadded::encode_string(&x);
    // The required members in the order of their names, without white space.
    let members = match y {
        None => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#),
        Some(y) => {
            let y = Base64UrlUnpadded::encode_string(&y);
            format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#)
        }
    };
    Base64UrlUnpadded::encode_string(&sha256(members.as_bytes()))
}

fn entries(text: &[u8]) -> Result<Vec<Value>, JwkError> {
    let set: Value = serde_json::from_slice(text).map_err(|error| JwkError::Json(error.to_string()))?;
    let Value::Object(mut set) = set else { return Err(JwkError::NotASet) };
    match set.remove("keys") {
        Some(Value::Array(keys)) => Ok(keys),
        _ => Err(JwkError::NotASet),
    }
}

fn parse_key(jwk: &Value, owner: Option<&Owner>) -> Result<Key, JwkError> {
    let jwk = jwk.as_object().ok_or(JwkError::NotAnObject)?;
    if let Some(member) = private_member(jwk) {
        return Err(JwkError::Private(member));
    }
    // Without its assertion checks a passkey's key would verify more than its owner ever approved.
    if jwk.contains_key("webauthn") {
        return Err(JwkError::Passkey);
    }
    let public = parse_public(jwk)?;
    check_use(jwk, public.algorithm())?;
    check_purpose(jwk, Purpose::Proof, &public)?;
    let thumbprint = thumbprint(&public).into_boxed_str();
    let id = match optional_string(jwk, "kid")? {
        Some("") => return Err(JwkError::Type { member: "kid", expected: "a string that is not empty" }),
        Some(id) => id.into(),
        None => thumbprint.clone(),
    };
    let subject = match owner {
        Some(owner) => &owner.subject,
        None => optional_string(jwk, "sub")?.ok_or(JwkError::Missing("sub"))?,
    };
    // Subjects travel to the backend in a header, separated by commas.
    if subject.is_empty() || !subject.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',') {
        return Err(JwkError::Type { member: "sub", expected: "printable ASCII without spaces and commas" });
    }
    if !id.bytes().all(|byte: u8| byte.is_ascii_graphic() && byte != b',') {
        return Err(JwkError::Type { member: "kid", expected: "printable ASCII without spaces and commas" });
    }
    Ok(Key {
        id,
        thumbprint,
        subject: subject.into(),
        roles: owner.map_or_else(|| roles(jwk), |owner| Ok(owner.roles.clone()))?,
        not_before: numeric_date(jwk, "nbf")?,
        expires: numeric_date(jwk, "exp")?,
        revoked_at: numeric_date(jwk, "revoked_at")?,
        public,
    })
}

fn private_member(jwk: &Map<String, Value>) -> Option<&'static str> {
    PRIVATE_MEMBERS.into_iter().find(|member| jwk.contains_key(*member))
}

fn id_of(jwk: &Map<String, Value>, key: &PublicKey) -> Result<String, JwkError> {
    match optional_string(jwk, "kid")? {
        Some("") => Err(JwkError::Type { member: "kid", expected: "a string that is not empty" }),
        id => Ok(id.map_or_else(|| thumbprint(key), str::to_owned)),
    }
}

fn check_purpose(jwk: &Map<String, Value>, expected: Purpose, key: &PublicKey) -> Result<(), JwkError> {
    let found = match optional_string(jwk, "purpose")? {
        None | Some("proof") => Purpose::Proof,
        Some("evidence") => Purpose::Evidence,
        Some("receipt") => Purpose::Receipt,
        Some(other) => return Err(JwkError::UnknownPurpose(other.to_owned())),
    };
    if found != expected {
        return Err(JwkError::Purpose { expected, found });
    }
    // EdDSA is what their readers are told to pin.
    if expected != Purpose::Proof && key.algorithm() != Algorithm::Ed25519 {
        return Err(JwkError::NotEd25519(expected));
    }
    Ok(())
}

fn parse_public(jwk: &Map<String, Value>) -> Result<PublicKey, JwkError> {
    let kty = optional_string(jwk, "kty")?.ok_or(JwkError::Missing("kty"))?;
    let crv = optional_string(jwk, "crv")?;
    match (kty, crv) {
        ("OKP", Some("Ed25519")) => Ok(PublicKey::ed25519(&bytes(jwk, "x")?)?),
        ("EC", Some("P-256")) => Ok(PublicKey::p256(&bytes(jwk, "x")?, &bytes(jwk, "y")?)?),
        ("OKP" | "EC", Some(crv)) => Err(JwkError::Curve(crv.to_owned())),
        ("OKP" | "EC", None) => Err(JwkError::Missing("crv")),
        ("oct", _) => Err(JwkError::Private("k")),
        _ => Err(JwkError::KeyType(kty.to_owned())),
    }
}

/// RFC 7517 §4.2 to §4.4: what the key says of itself must allow verification.
fn check_use(jwk: &Map<String, Value>, algorithm: Algorithm) -> Result<(), JwkError> {
    if optional_string(jwk, "use")?.is_some_and(|usage| usage != "sig") {
        return Err(JwkError::NotForVerification("use"));
    }
    if let Some(operations) = jwk.get("key_ops") {
        let operations = operations
            .as_array()
            .ok_or(JwkError::Type { member: "key_ops", expected: "an array of strings" })?;
        if !operations.iter().any(|operation| operation == "verify") {
            return Err(JwkError::NotForVerification("key_ops"));
        }
    }
    let (accepted, expected): (&[&str], _) = match algorithm {
        Algorithm::Ed25519 => (&["EdDSA", "Ed25519"], "EdDSA or Ed25519"),
        Algorithm::EcdsaP256Sha256 => (&["ES256"], "ES256"),
    };
    match optional_string(jwk, "alg")? {
        Some(found) if !accepted.contains(&found) => {
            Err(JwkError::Algorithm { found: found.to_owned(), expected })
        }
        _ => Ok(()),
    }
}

fn roles(jwk: &Map<String, Value>) -> Result<Box<[Box<str>]>, JwkError> {
    const EXPECTED: JwkError = JwkError::Type { member: "roles", expected: "an array of strings" };
    match jwk.get("roles") {
        None => Ok(Box::default()),
        Some(roles) => roles
            .as_array()
            .ok_or(EXPECTED)?
            .iter()
            .map(|role| role.as_str().map(Into::into).ok_or(EXPECTED))
            .collect(),
    }
}

fn optional_string<'j>(
    jwk: &'j Map<String, Value>,
    member: &'static str,
) -> Result<Option<&'j str>, JwkError> {
    match jwk.get(member) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or(JwkError::Type { member, expected: "a string" }),
    }
}

fn bytes(jwk: &Map<String, Value>, member: &'static str) -> Result<Vec<u8>, JwkError> {
    let text = optional_string(jwk, member)?.ok_or(JwkError::Missing(member))?;
    Base64UrlUnpadded::decode_vec(text).map_err(|_| not_base64(member))
}

/// A name as an error may quote it. What is longer than any registered one may be a secret in the wrong place.
fn named(name: &str) -> String {
    match name.len() {
        0..=16 => format!("{name:?}"),
        length => format!("of {length} bytes"),
    }
}

fn not_base64(member: &'static str) -> JwkError {
    JwkError::Type { member, expected: "base64url without padding" }
}

/// RFC 7519 §2. A misread date would keep a revoked key alive, so anything but whole seconds is refused.
fn numeric_date(jwk: &Map<String, Value>, member: &'static str) -> Result<Option<i64>, JwkError> {
    match jwk.get(member) {
        None => Ok(None),
        Some(value) => value
            .as_i64()
            .filter(|seconds| *seconds >= 0)
            .map(Some)
            .ok_or(JwkError::Type { member, expected: "whole seconds since 1970" }),
    }
}
