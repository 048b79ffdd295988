//! A request in which a single bit of what was signed differs is not the request that was signed.

use envoy_types::pb::envoy::service::auth::v3::CheckRequest;
use proof_messenger_relay::signer::content_digest;
use proptest::prelude::*;

use crate::support::ask::{Ask, code, signing};
use crate::support::service::Blocking;
use crate::support::signer::Signer;

const COVER: &[&str] = &["@method", "@target-uri", "content-digest", "x-amount"];

/// The parts of a request that a signature covers, and the signature itself.
#[derive(Debug, Clone, Copy)]
enum Part {
    Method,
    Scheme,
    Authority,
    Target,
    Body,
    Name(&'static str),
    Value(&'static str),
}

fn part() -> impl Strategy<Value = Part> {
    let field = || prop::sample::select(vec!["content-digest", "x-amount", "signature-input", "signature"]);
    prop_oneof![
        1 => Just(Part::Method),
        1 => Just(Part::Scheme),
        1 => Just(Part::Authority),
        1 => Just(Part::Target),
        1 => Just(Part::Body),
        1 => field().prop_map(Part::Name),
        4 => field().prop_map(Part::Value),
    ]
}

/// Nothing where the result is no text, which the message of a check cannot hold.
fn flipped_text(text: &str, bit: prop::sample::Index) -> Option<String> {
    String::from_utf8(flipped(text.as_bytes(), bit)).ok()
}

fn flipped(bytes: &[u8], bit: prop::sample::Index) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let bit = bit.index(bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

fn tampered(ask: &Ask, part: Part, bit: prop::sample::Index) -> Option<CheckRequest> {
    let mut check = ask.check_request();
    let http = check.attributes.as_mut()?.request.as_mut()?.http.as_mut()?;
    let headers = &mut http.header_map.as_mut()?.headers;
    // Envoy shows these twice, so both change.
    let (attribute, pseudo) = match part {
        Part::Method => (&mut http.method, ":method"),
        Part::Scheme => (&mut http.scheme, ":scheme"),
        Part::Authority => (&mut http.host, ":authority"),
        Part::Target => (&mut http.path, ":path"),
        Part::Body => {
            http.raw_body = flipped(&http.raw_body, bit);
            return Some(check);
        }
        Part::Name(name) => {
            let header = headers.iter_mut().find(|header| header.key == name)?;
            header.key = flipped_text(name, bit)?;
            return Some(check);
        }
        Part::Value(name) => {
            let header = headers.iter_mut().find(|header| header.key == name)?;
            header.raw_value = flipped(&header.raw_value, bit);
            return Some(check);
        }
    };
    let text = flipped_text(attribute, bit)?;
    // Hosts are compared without case (RFC 9421 §2.2.3), so this is the same host.
    if matches!(part, Part::Authority) && text.eq_ignore_ascii_case(attribute) {
        return None;
    }
    *attribute = text;
    headers.iter_mut().find(|header| header.key == pseudo)?.raw_value = attribute.clone().into_bytes();
    Some(check)
}

#[test]
fn no_flipped_bit_passes() {
    let signers = [Signer::ed25519("alice"), Signer::p256("bob")];
    let service = Blocking::new("policies: [{name: all, match: {}}]", &[&signers[0], &signers[1]]);
    let request = (
        "POST|PUT|PATCH|DELETE",
        "/[a-z]{1,8}/[A-Za-z0-9-]{1,8}(\\?[a-z]{1,4}=[0-9]{1,4})?",
        prop::collection::vec(any::<u8>(), 1..64),
        "[ -~]{0,8}[!-~]",
    );
    proptest!(ProptestConfig::with_cases(512), |(
        (method, target, body, amount) in request, signer in 0..2_usize, part in part(), bit: prop::sample::Index,
    )| {
        let mut ask = Ask::new(&method, &target)
            .header("content-length", body.len().to_string())
            .header("content-digest", content_digest(&body))
            .header("x-amount", amount);
        ask.body = Some(body);
        let ask = ask.signed_as(&signers[signer], &signing("sig", COVER));
        if let Some(check) = tampered(&ask, part, bit) {
            let answer = service.ask(check.clone());
            prop_assert!(!answer.allowed, "{:?}: {:?}", part, check);
            // It was not taken for the genuine one, which nobody had sent yet.
            prop_assert_ne!(code(&answer), "replayed");
        }
        // The bit was the reason, and the forgery did not use up the genuine proof.
        let answer = service.ask(ask.check_request());
        prop_assert!(answer.allowed, "{:?}", answer);
    });
}
