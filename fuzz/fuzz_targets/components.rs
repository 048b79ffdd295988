//! Component identifiers, their values and the signature base: a base has one line a component, and no value can add
//! another (RFC 9421 §7.5.5).
//!
//! The input is lines: identifiers separated by white space, then a target, then the values of the header `x`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proof_messenger_relay::limits::Limits;
use proof_messenger_relay::proof::{Name, Proof};
use proof_messenger_relay::request::{Encoding, Field, Fields, Request};
use proof_messenger_relay::structured_field::{self, Member};
use proof_messenger_relay::verify::{FieldType, FieldTypes, Message, signature_base};

fuzz_target!(|data: &[u8]| {
    let limits = Limits::default();
    let mut lines = data.split(|byte| *byte == b'\n');
    let identifiers = lines.next().unwrap_or_default();
    let target = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let lines: Vec<_> = lines.map(|value| Field { name: "x", value }).collect();

    if let Some(identifier) = std::str::from_utf8(identifiers).ok().and_then(|text| text.split(' ').next())
        && let Ok(name) = Name::parse(identifier)
    {
        assert_eq!(Name::parse(&name.to_string()), Ok(name), "what is shown can be read");
    }

    let input = [b"sig=(", identifiers, b");created=1"].concat();
    let Ok(mut members) = structured_field::dictionary(&input, 1) else { return };
    let Some((label, Member::InnerList(list))) = members.pop() else { return };
    let Ok(proof) = Proof::unsigned(label.as_str(), list, &limits) else { return };
    let mut request = Request::new("POST", "https", "bank.example", &target);
    let Ok(fields) = Fields::new(lines, Encoding::Raw, &limits) else { return };
    request.fields = fields;
    for x in [FieldType::Item, FieldType::List, FieldType::Dictionary] {
        let types = FieldTypes::default().with([("x".into(), x)]);
        let message = Message::new(&request, &types);
        let Ok(base) = signature_base(&proof, &message, &limits) else { continue };
        let lines: Vec<&str> = base.split('\n').collect();
        assert_eq!(lines.len(), proof.components().len() + 1, "{base}");
        for (line, component) in lines.iter().zip(proof.components()) {
            let mut identifier = String::new();
            component.write_identifier(&mut identifier);
            assert!(line.starts_with(&format!("{identifier}: ")), "{base}");
        }
        assert!(lines.last().is_some_and(|line| line.starts_with("\"@signature-params\": (")), "{base}");
        assert!(base.bytes().all(|byte| byte.is_ascii_graphic() || b" \t\n".contains(&byte)), "{base:?}");
    }
});
