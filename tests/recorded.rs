//! Checks as JSON: whoever has the message can write it so, and nothing is lost.

use envoy_types::pb::envoy::service::auth::v3::CheckRequest;
use proof_messenger_relay::envoy::{FILE_DESCRIPTOR_SET, RecordedCheck, read_request};
use proof_messenger_relay::limits::Limits;
use proof_messenger_relay::request::{Encoding, Fields, Request};
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};

use crate::support::ask::{Ask, add_line, http};
use crate::support::signer::Signer;

/// As a program that has the message writes it.
fn json_of(check: &CheckRequest, options: &SerializeOptions) -> String {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
    let descriptor = pool.get_message_by_name("envoy.service.auth.v3.CheckRequest").unwrap();
    let mut message = DynamicMessage::new(descriptor);
    message.transcode_from(check).unwrap();
    let mut text = serde_json::Serializer::new(Vec::new());
    message.serialize_with_options(&mut text, options).unwrap();
    String::from_utf8(text.into_inner()).unwrap()
}

/// All of a request. Lines are sorted: the order of merged headers is the map's own.
fn parts(request: &Request<'_>) -> String {
    let mut lines: Vec<_> = request.fields.iter().map(|line| (line.name, line.value)).collect();
    if request.fields.encoding() == Encoding::Merged {
        lines.sort();
    }
    let others = Request { fields: Fields::default(), ..request.clone() };
    format!("{others:?} {:?} {lines:?}", request.fields.encoding())
}

#[test]
fn a_check_stays_the_same_through_json() {
    let alice = Signer::ed25519("alice");
    let mut ask =
        Ask::post("/transfers/7?a=b", &[0, 255, 7]).header("x-note", "one").header("x-note", &b"\xFF"[..]);
    ask.policy = Some("transfers".to_owned());
    let ask = ask.signed(&alice);
    let mut truncated = ask.check_request();
    http(&mut truncated).raw_body.pop();
    let mut marked_twice = ask.check_request();
    add_line(&mut marked_twice, "x-envoy-auth-partial-body", "true");
    for check in [
        ask.check_request(),
        ask.merged_check_request(),
        Ask::get("/").check_request(),
        truncated,
        marked_twice,
    ] {
        for options in [
            SerializeOptions::new(),
            SerializeOptions::new().use_proto_field_name(true).skip_default_fields(false),
            SerializeOptions::new().stringify_64_bit_integers(false),
        ] {
            let record = RecordedCheck::parse(&json_of(&check, &options)).unwrap();
            let found = record.read(&Limits::default()).unwrap();
            let expected = read_request(&check, &Limits::default()).unwrap();
            assert_eq!(found.map(|request| parts(&request)), expected.map(|request| parts(&request)));
        }
    }
}
