//! The keys of receipts: where backends get them, how they change, and which are refused.

use std::path::{Path, PathBuf};

use base64ct::{Base64UrlUnpadded, Encoding as _};
use proof_messenger_relay::config::Config;
use proof_messenger_relay::crypto::PublicKey;
use proof_messenger_relay::keys::{Purpose, private};
use proof_messenger_relay::server::Server;
use proof_messenger_relay::timestamp::SystemClock;
use serde_json::{Value, json};

use super::receipt;
use crate::support::ask::Ask;
use crate::support::receipts::{
    KeyFiles, claims, key, parts, private_jwk, public_key_jwk, receipt_of, settings,
};
use crate::support::relay::Relay;
use crate::support::relay::admin;
use crate::support::signer::Signer;

const KEYS: &str = "/.well-known/jwks.json";
const POLICIES: &str = "[{name: signed, match: {}, receipt: {audience: payments}}]";

#[tokio::test]
async fn backends_fetch_the_public_keys() {
    let files = KeyFiles::new();
    let keys = [files.private("receipts-1"), files.private("receipts-2"), files.public("receipts-3")];
    let relay = Relay::start(&settings(&keys, POLICIES), &[]).await;
    let answer = admin(&relay, "GET", KEYS).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/jwk-set+json"));
    assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
    let x = |name| Base64UrlUnpadded::encode_string(&key(name).public().coordinates().0);
    let jwk = |name| json!({"kty": "OKP", "crv": "Ed25519", "x": x(name), "kid": name, "use": "sig", "alg": "EdDSA"});
    let expected = ["receipts-1", "receipts-2", "receipts-3"].map(jwk);
    assert_eq!(answer.json(), json!({ "keys": expected }));

    assert_eq!(admin(&relay, "HEAD", KEYS).await.status, 200);
    assert_eq!(admin(&relay, "POST", KEYS).await.status, 405);
    for path in ["/", "/.well-known/", "/.well-known/jwks.json/", "/.well-known/jwks", "//"] {
        assert_eq!(admin(&relay, "GET", path).await.status, 404, "{path}");
    }
}

/// An empty set would say that no key is good.
#[tokio::test]
async fn without_receipts_there_is_no_key_set() {
    let relay = Relay::start("admin: 127.0.0.1:0\npolicies: [{name: signed, match: {}}]", &[]).await;
    assert_eq!(admin(&relay, "GET", KEYS).await.status, 404);
    let relay = Relay::start("policies: []", &[]).await;
    assert_eq!(relay.admin, None);
}

/// The published key of that id.
fn find(set: &Value, kid: &Value) -> Option<PublicKey> {
    let jwk = set["keys"].as_array().unwrap().iter().find(|jwk| jwk["kid"] == *kid)?;
    Some(PublicKey::ed25519(&Base64UrlUnpadded::decode_vec(jwk["x"].as_str().unwrap()).unwrap()).unwrap())
}

/// The steps of the README. At each, a backend with the keys of the step before, or after, accepts the receipts.
#[tokio::test]
async fn keys_change_without_a_receipt_that_cannot_be_checked() {
    let alice = Signer::ed25519("alice");
    let files = KeyFiles::new();
    let (old, new) = (files.private("old"), files.private("new"));
    let steps = [
        vec![old.clone()],
        vec![old, files.public("new")],
        vec![new.clone(), files.public("old")],
        vec![new],
    ];
    let mut observed = Vec::new();
    for keys in steps {
        let relay = Relay::start(&settings(&keys, POLICIES), &[&alice]).await;
        let set = admin(&relay, "GET", KEYS).await.json();
        let answer = Ask::get("/").signed(&alice).of(&relay).await;
        observed.push((set, receipt(&answer).unwrap().to_owned()));
    }
    let kids: Vec<Value> = observed.iter().map(|(_, receipt)| parts(receipt).0["kid"].clone()).collect();
    assert_eq!(kids, ["old", "old", "new", "new"]);
    for pair in observed.windows(2) {
        for (set, receipt) in pair.iter().flat_map(|(set, _)| pair.iter().map(move |(_, r)| (set, r))) {
            let kid = &parts(receipt).0["kid"];
            claims(receipt, &find(set, kid).unwrap_or_else(|| panic!("{kid} is not in {set}")));
        }
    }
}

#[tokio::test]
async fn without_key_files_each_start_has_a_key_of_its_own() {
    let alice = Signer::ed25519("alice");
    let mut kids = Vec::new();
    for _ in 0..2 {
        let relay = Relay::start(&settings(&[], POLICIES), &[&alice]).await;
        let set = admin(&relay, "GET", KEYS).await.json();
        let answer = Ask::get("/").signed(&alice).of(&relay).await;
        let receipt = receipt(&answer).unwrap();
        let kid = parts(receipt).0["kid"].clone();
        claims(receipt, &find(&set, &kid).unwrap());
        kids.push(kid);
    }
    assert_ne!(kids[0], kids[1]);
}

async fn refusal(keys: &[PathBuf]) -> String {
    let settings = format!("listen: 127.0.0.1:0\n{}", settings(keys, POLICIES));
    let config = Config::parse(&settings, "test", Path::new("")).unwrap();
    match Server::bind(config, std::sync::Arc::new(SystemClock)).await {
        Ok(_) => panic!("{keys:?} are taken"),
        Err(error) => error.to_string(),
    }
}

/// A wrong key is refused with its file and the reason, and the message holds nothing of it.
/// A pipe that nobody writes into must not keep the relay from saying what is wrong.
#[test]
fn a_pipe_is_no_key_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.fifo");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let refused = proof_messenger_relay::keys::private::read(&path).unwrap_err().to_string();
        sender.send(refused)
    });
    let refused = receiver.recv_timeout(crate::support::PATIENCE).expect("an answer");
    assert!(refused.ends_with("expected a regular file"), "{refused}");
}

#[tokio::test]
async fn keys_that_are_refused() {
    let files = KeyFiles::new();
    let good = files.private("good");
    let jwk = |name, purpose| private_jwk(name, purpose).to_string();
    let mut without_purpose = private_jwk("a", "receipt");
    without_purpose.as_object_mut().unwrap().remove("purpose");
    let mut of_another = private_jwk("a", "receipt");
    of_another["x"] = public_key_jwk("b", "receipt")["x"].clone();
    let p256 = Signer::p256("a").private_jwk().to_string().replacen('{', r#"{"purpose":"receipt","#, 1);
    let d = private_jwk("a", "receipt")["d"].as_str().unwrap().to_owned();
    let with_d = |to: &str| jwk("a", "receipt").replace(&format!("\"{d}\""), to);
    let escaped = with_d(&format!("\"\\u0041{d}\""));
    let purpose = "expected a key with the purpose receipt, but found one with the purpose";
    for (name, text, mode, expected) in [
        ("open", jwk("a", "receipt"), 0o644, "found the mode 0644: chmod 600 ".to_owned()),
        ("group", jwk("a", "receipt"), 0o660, "found the mode 0660: chmod 600 ".to_owned()),
        (
            "evidence",
            jwk("a", "evidence"),
            0o600,
            format!("{purpose} evidence: keys new --use receipt makes one"),
        ),
        (
            "proof",
            without_purpose.to_string(),
            0o600,
            format!("{purpose} proof: keys new --use receipt makes one"),
        ),
        ("other", jwk("a", "other"), 0o600, "purpose \"other\" is unknown".to_owned()),
        // What is too long for a name may be the secret, in the wrong place.
        ("misplaced", jwk("a", &"s".repeat(43)), 0o600, "purpose of 43 bytes is unknown".to_owned()),
        (
            "p256",
            p256,
            0o600,
            "expected an Ed25519 key for the purpose receipt, but found one of P-256".to_owned(),
        ),
        ("another", of_another.to_string(), 0o600, "does not belong to the public key".to_owned()),
        (
            "public",
            public_key_jwk("a", "receipt").to_string(),
            0o600,
            "the member \"d\" is missing".to_owned(),
        ),
        ("short", with_d("\"AAAA\""), 0o600, "expected 32 bytes, but found 3".to_owned()),
        (
            "padded",
            with_d(&format!("\"{d}=\"")),
            0o600,
            "\"d\": expected base64url without padding".to_owned(),
        ),
        ("number", with_d("5550123"), 0o600, "\"d\": expected one text without escapes".to_owned()),
        ("escaped", escaped, 0o600, "\"d\": expected one text without escapes".to_owned()),
        (
            "twice",
            jwk("a", "receipt").replacen('{', &format!("{{\"d\":\"{d}\","), 1),
            0o600,
            "\"d\": expected one".to_owned(),
        ),
        ("nested", with_d(&format!("{{\"{d}\":1}}")), 0o600, "\"d\": expected one".to_owned()),
        (
            "cut",
            jwk("a", "receipt").replace(&d, &d[..20]).trim_end_matches('}').to_owned(),
            0o600,
            "not JSON: ".to_owned(),
        ),
        ("bare", d.clone(), 0o600, "not JSON: ".to_owned()),
        ("quoted", format!("\"{d}\""), 0o600, "expected an object".to_owned()),
        (
            "long",
            " ".repeat(20_000),
            0o600,
            "expected a private key, but found more than 16384 bytes".to_owned(),
        ),
    ] {
        let path = files.with_mode(name, &text, mode);
        let shown = path.display().to_string();
        let first = refusal(std::slice::from_ref(&path)).await;
        assert!(first.starts_with(&format!("receipts cannot be signed: {shown}: ")), "{first}");
        assert!(first.contains(&expected), "{name}: {first}");
        if name != "public" {
            let second = refusal(&[good.clone(), path]).await;
            assert!(second.contains(&expected), "{name}: {second}");
        }
        for secret in [&d[..8], &d[12..20], &d[d.len() - 8..], "5550123"] {
            assert!(!first.contains(secret), "{name}: {first}");
        }
    }
    let folder = files.0.path().to_owned();
    assert!(refusal(&[folder]).await.ends_with("expected a regular file"));
    let missing = refusal(&[files.0.path().join("missing")]).await;
    assert!(missing.contains("/missing: No such file"), "{missing}");
    let twice = refusal(&[good.clone(), good]).await;
    assert!(twice.ends_with("the key id \"good\" stands twice among the keys of receipts"), "{twice}");
}

/// As Kubernetes mounts a Secret: links to links. The mode is that of the file.
#[test]
fn links_are_followed_and_the_file_is_what_is_checked() {
    let files = KeyFiles::new();
    let file = files.private("key");
    let link = files.0.path().join("..data");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let second = files.0.path().join("link");
    std::os::unix::fs::symlink("..data", &second).unwrap();
    assert_eq!(private::load(&second, Purpose::Receipt).map_err(|e| e.to_string()).unwrap().id, "key");
    files.with_mode("key", &private_jwk("key", "receipt").to_string(), 0o604);
    assert!(private::load(&second, Purpose::Receipt).is_err());
}

/// Neither kind of key of the relay's own gets into a trust store, and none of them signs a request.
#[test]
fn keys_of_the_relay_are_nobodys_proof() {
    use proof_messenger_relay::keys::{parse_jwk_set, parse_private_jwk};
    for purpose in ["receipt", "evidence"] {
        let mut public = public_key_jwk("a", purpose);
        public["sub"] = json!("relay");
        let set = json!({ "keys": [public] }).to_string();
        let refused = parse_jwk_set(set.as_bytes()).unwrap().remove(0).unwrap_err().to_string();
        let expected =
            format!("expected a key with the purpose proof, but found one with the purpose {purpose}");
        assert!(refused.starts_with(&expected), "{refused}");
        let refused = parse_private_jwk(private_jwk("a", purpose).to_string().as_bytes()).err().unwrap();
        assert!(refused.to_string().starts_with(&expected), "{refused}");
    }
    let explicit = private_jwk("a", "proof").to_string();
    assert!(parse_private_jwk(explicit.as_bytes()).is_ok());
    // What the helpers of these tests write is what the relay writes.
    let claims = json!({"a": 1});
    assert_eq!(super::keys::claims(&receipt_of(&key("a"), "a", &claims), &key("a").public()), claims);
}
