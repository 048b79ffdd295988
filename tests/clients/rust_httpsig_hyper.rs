//! Signs with the crate httpsig-hyper, which another team wrote: what its users' requests look like.

use base64ct::{Base64UrlUnpadded, Encoding};
use http_body_util::Full;
use httpsig_hyper::prelude::message_component::HttpMessageComponentId;
use httpsig_hyper::prelude::{AlgorithmName, HttpSignatureParams, SecretKey};
use httpsig_hyper::{ContentDigestType, MessageSignatureReq, RequestContentDigest};
use hyper::body::Bytes;
use hyper::{Method, Request, Uri};
use serde_json::Value;

/// A request that covers `@method`, `@target-uri` and, when there is a body, `content-digest`.
///
/// `url` is absolute, and stays so in the request: hyper-util's client turns it into `Host` and a path, a bare
/// hyper connection does not.
pub async fn signed_request(
    private_jwk: &Value,
    kid: &str,
    method: Method,
    url: &str,
    body: Option<Vec<u8>>,
) -> Request<Full<Bytes>> {
    // The library signs the URL as `Uri` has it: nothing is normalised but `http://host`, to `http://host/`.
    let url: Uri = url.parse().expect("a URL");
    let mut covered = vec!["@method", "@target-uri"];
    let content = Bytes::from(body.clone().unwrap_or_default());
    let mut request = Request::builder().method(method).uri(url).body(Full::new(content.clone())).unwrap();
    if body.is_some() {
        covered.push("content-digest");
        let digested = request.set_content_digest(&ContentDigestType::Sha256).await.expect("a digest");
        request = digested.map(|_| Full::new(content));
    }

    let covered: Vec<_> = covered
        .into_iter()
        .map(|name| HttpMessageComponentId::try_from(name).expect("a component"))
        .collect();
    let key = secret_key(private_jwk);
    let mut params = HttpSignatureParams::try_new(&covered).expect("components, each once");
    params.set_key_info(&key).set_keyid(kid).set_random_nonce();
    request.set_message_signature(&params, &key, Some("sig1")).await.expect("a signature");
    request
}

fn secret_key(private_jwk: &Value) -> SecretKey {
    let algorithm = match private_jwk["crv"].as_str() {
        Some("Ed25519") => AlgorithmName::Ed25519,
        Some("P-256") => AlgorithmName::EcdsaP256Sha256,
        curve => panic!("expected a key on Ed25519 or P-256, but found {curve:?}"),
    };
    let secret = Base64UrlUnpadded::decode_vec(private_jwk["d"].as_str().expect("d")).expect("base64url");
    SecretKey::from_bytes(&algorithm, &secret).expect("a private key")
}
