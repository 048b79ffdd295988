//! RFC 9651: the test suite of the HTTP working group.
//!
//! The core differs from the RFC on purpose in two ways, and [`REFUSED`] names every case that shows it: a key or a
//! parameter that stands twice is refused where the RFC keeps the last, and there are fewer parameters to an item than
//! the 256 that the RFC asks parsers to support.

use std::borrow::Cow;

use proof_messenger_relay::structured_field::{
    self, BareItem, InnerList, Item, MAX_MEMBERS, Member, Parameters, serialize_dictionary, serialize_list,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::vectors;

/// Each file of parsing tests with the number of its cases, 1,591 in all.
const FILES: [(&str, usize); 20] = [
    ("binary", 15),
    ("boolean", 12),
    ("date", 17),
    ("dictionary", 26),
    ("display-string", 22),
    ("examples", 21),
    ("item", 5),
    ("key-generated", 640),
    ("large-generated", 11),
    ("list", 11),
    ("listlist", 12),
    ("number", 37),
    ("number-generated", 193),
    ("param-dict", 14),
    ("param-list", 20),
    ("param-listlist", 3),
    ("string", 14),
    ("string-generated", 256),
    ("token", 6),
    ("token-generated", 256),
];

/// The cases that the RFC accepts and the core refuses, with the reason.
const REFUSED: [(&str, &str, &str); 5] = [
    ("dictionary", "duplicate key dictionary", "the member a stands twice"),
    ("key-generated", "0x2c in dictionary key", "the member a stands twice"),
    ("key-generated", "0x3b in parameterised list key", "the parameter a stands twice"),
    ("large-generated", "large params", "more than 32 parameters"),
    ("param-list", "duplicate parameter with different positions", "the parameter b stands twice"),
];

/// More members than any dictionary here has: the caller sets the limit.
const UNLIMITED: usize = usize::MAX;

#[derive(Deserialize)]
struct Case {
    name: String,
    #[serde(default)]
    raw: Vec<String>,
    header_type: String,
    #[serde(default)]
    expected: Value,
    #[serde(default)]
    must_fail: bool,
    #[serde(default)]
    can_fail: bool,
    canonical: Option<Vec<String>>,
}

impl Case {
    /// The value of the field, all lines of it.
    fn value(&self) -> String {
        self.raw.join(", ")
    }

    fn canonical(&self) -> String {
        self.canonical.as_ref().unwrap_or(&self.raw).join(", ")
    }
}

fn cases(file: &str) -> Option<Vec<Case>> {
    vectors(&format!("structured-fields/{file}.json"))
}

/// What the core reads, in the notation of the suite and in canonical form.
fn read(header_type: &str, value: &[u8]) -> Result<(Value, String), String> {
    let problem = |invalid: structured_field::Invalid| invalid.to_string();
    match header_type {
        "item" => {
            let item = structured_field::item(value).map_err(problem)?;
            Ok((item_value(&item), serialized(&item)))
        }
        "list" => {
            let members = structured_field::list(value).map_err(problem)?;
            let canonical = serialize_list(&members);
            // The same members one by one, as the signature base has them.
            let each: Vec<String> = members.iter().map(serialized_member).collect();
            assert_eq!(each.join(", "), canonical);
            Ok((members.iter().map(member_value).collect(), canonical))
        }
        "dictionary" => {
            let members = structured_field::dictionary(value, UNLIMITED).map_err(problem)?;
            let canonical = serialize_dictionary(&members);
            let value = members.iter().map(|(key, member)| json!([key.as_str(), member_value(member)]));
            Ok((value.collect(), canonical))
        }
        other => panic!("the type {other}"),
    }
}

#[test]
fn fields_are_read_as_the_rfc_has_it_and_serialised_canonically() {
    let mut read_cases = 0;
    let mut refused_cases = 0;
    let mut differences = Vec::new();
    for (file, count) in FILES {
        let Some(cases) = cases(file) else { return };
        assert_eq!(cases.len(), count, "{file}");
        for case in cases {
            let name = format!("{file}: {}: {:?}", case.name, case.raw);
            match read(&case.header_type, case.value().as_bytes()) {
                Ok((value, canonical)) => {
                    assert!(!case.must_fail, "{name}");
                    assert_eq!(value, case.expected, "{name}");
                    assert_eq!(canonical, case.canonical(), "{name}");
                    read_cases += 1;
                }
                Err(_) if case.must_fail || case.can_fail => refused_cases += 1,
                Err(reason) => differences.push((file, case.name, reason)),
            }
        }
    }
    let differences: Vec<_> =
        differences.iter().map(|(file, name, reason)| (*file, name.as_str(), reason.as_str())).collect();
    assert_eq!(differences, REFUSED);
    assert_eq!((read_cases, refused_cases), (722, 864));
}

/// RFC 9651 asks for 1,024 members. No field that HTTP defines comes near, and none goes unbounded here.
#[test]
fn the_large_dictionary_is_read_only_where_the_caller_allows_it() {
    let Some(cases) = cases("large-generated") else { return };
    let case = cases.iter().find(|case| case.name == "large dictionary").unwrap();
    let value = case.value();
    assert_eq!(structured_field::dictionary(value.as_bytes(), 1024).unwrap().len(), 1024);
    let invalid = structured_field::dictionary(value.as_bytes(), MAX_MEMBERS).unwrap_err();
    assert_eq!(invalid.to_string(), "more than 128 members");
}

/// The 544 cases of serialisation. What must fail there fails here earlier: there are no such values to serialise.
#[test]
fn values_that_cannot_be_serialised_cannot_be_made() {
    let mut written = 0;
    let mut refused = 0;
    for (file, count) in
        [("key-generated", 378), ("number", 9), ("string-generated", 33), ("token-generated", 124)]
    {
        let Some(cases) = cases(&format!("serialisation-tests/{file}")) else { return };
        assert_eq!(cases.len(), count, "{file}");
        for case in cases {
            let name = format!("{file}: {}", case.name);
            match write(&case) {
                Ok(canonical) => {
                    assert!(!case.must_fail, "{name}: {canonical}");
                    assert_eq!(canonical, case.canonical(), "{name}");
                    written += 1;
                }
                Err(error) => {
                    assert!(case.must_fail, "{name}: {error}");
                    refused += 1;
                }
            }
        }
    }
    assert_eq!((written, refused), (5, 539));
}

/// Makes the value of a serialisation test and serialises it: a dictionary or list with one key, or a bare item.
fn write(case: &Case) -> Result<String, sfv::Error> {
    match case.header_type.as_str() {
        "dictionary" => {
            let key = sfv::KeyRef::from_str(case.expected[0][0].as_str().unwrap())?;
            let item = Item { value: bare_item(&case.expected[0][1][0])?, parameters: Vec::new() };
            Ok(serialize_dictionary(&vec![(key, Member::Item(item))]))
        }
        "list" => {
            let key = sfv::KeyRef::from_str(case.expected[0][1][0][0].as_str().unwrap())?;
            let parameters = vec![(key, bare_item(&case.expected[0][1][0][1])?)];
            let item = Item { value: bare_item(&case.expected[0][0])?, parameters };
            Ok(serialize_list(&[Member::Item(item)]))
        }
        _ => Ok(serialized(&Item { value: bare_item(&case.expected[0])?, parameters: Vec::new() })),
    }
}

fn bare_item(value: &Value) -> Result<BareItem<'_>, sfv::Error> {
    Ok(match value {
        Value::String(text) => BareItem::String(Cow::Borrowed(sfv::StringRef::from_str(text)?)),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => BareItem::Integer(integer.try_into()?),
            None => BareItem::Decimal(number.as_f64().unwrap().try_into()?),
        },
        other => {
            assert_eq!(other["__type"], "token");
            BareItem::Token(sfv::TokenRef::from_str(other["value"].as_str().unwrap())?)
        }
    })
}

fn serialized(item: &Item<'_>) -> String {
    let mut canonical = String::new();
    item.serialize(&mut canonical);
    canonical
}

fn serialized_member(member: &Member<'_>) -> String {
    let mut canonical = String::new();
    member.serialize(&mut canonical);
    canonical
}

fn member_value(member: &Member<'_>) -> Value {
    match member {
        Member::Item(item) => item_value(item),
        Member::InnerList(InnerList { items, parameters }) => {
            let items: Vec<_> = items.iter().map(item_value).collect();
            json!([items, parameters_value(parameters)])
        }
    }
}

fn item_value(item: &Item<'_>) -> Value {
    json!([bare_item_value(&item.value), parameters_value(&item.parameters)])
}

fn parameters_value(parameters: &Parameters<'_>) -> Value {
    parameters.iter().map(|(name, value)| json!([name.as_str(), bare_item_value(value)])).collect()
}

fn bare_item_value(value: &BareItem<'_>) -> Value {
    match value {
        BareItem::Integer(integer) => json!(i64::from(*integer)),
        BareItem::Decimal(decimal) => json!(f64::from(*decimal)),
        BareItem::String(text) => json!(text.as_str()),
        BareItem::Boolean(boolean) => json!(boolean),
        BareItem::Token(token) => json!({"__type": "token", "value": token.as_str()}),
        BareItem::ByteSequence(bytes) => json!({"__type": "binary", "value": base32(bytes)}),
        BareItem::Date(date) => json!({"__type": "date", "value": i64::from(date.unix_seconds())}),
        BareItem::DisplayString(text) => json!({"__type": "displaystring", "value": text}),
    }
}

/// RFC 4648 §6.
fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::new();
    for chunk in bytes.chunks(5) {
        let mut padded = [0; 8];
        padded[3..3 + chunk.len()].copy_from_slice(chunk);
        let bits = u64::from_be_bytes(padded);
        let digits = (chunk.len() * 8).div_ceil(5);
        for position in 0..8 {
            let digit = usize::try_from(bits >> (35 - 5 * position) & 31).unwrap();
            text.push(if position < digits { char::from(ALPHABET[digit]) } else { '=' });
        }
    }
    text
}
