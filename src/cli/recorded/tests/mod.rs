//! Recorded requests: the files in `tests/recorded` are what curl, browsers, proxies and Envoy write.
//!
//! Each of them carries a signature that was made when it was recorded, so reading one right means that it verifies.

mod arguments;
mod check;
mod curl;
mod har;
mod hostile;

use std::path::Path;

use crate::cli::Failure;
use crate::cli::recorded::{Overrides, Recorded, read};
use crate::denial::Denial;
use crate::keys::{Directory, parse_jwk_set};
use crate::limits::Limits;
use crate::proof::ProofFields;
use crate::request::{Body, Request};
use crate::timestamp::Timestamp;
use crate::verify::{FieldTypes, Message, Requirement, verify};

/// When the records were made.
const MADE: u64 = 1_795_591_555;
const BODY: &[u8] = b"{\"amount\":100}";

fn file(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    std::fs::read(folder.join(name)).unwrap()
}

fn text(name: &str) -> String {
    String::from_utf8(file(name)).unwrap()
}

fn with_body() -> Overrides {
    Overrides { body: Some(BODY.to_vec()), ..Overrides::default() }
}

fn entry(number: usize) -> Overrides {
    Overrides { entry: Some(number), ..Overrides::default() }
}

fn recorded(text: impl AsRef<[u8]>, overrides: Overrides) -> Recorded {
    read(text.as_ref(), "record", overrides).unwrap_or_else(|failure| panic!("{failure:?}"))
}

/// What is said of a record that cannot be read: always a mistake of who gives it.
fn problem(text: impl AsRef<[u8]>, overrides: Overrides) -> String {
    match read(text.as_ref(), "record", overrides) {
        Err(Failure::Usage(problem)) => problem,
        Err(Failure::Failed(problem)) => panic!("failed: {problem}"),
        Ok(_) => panic!("it was read"),
    }
}

fn request(recorded: &Recorded) -> Request<'_> {
    recorded.request(&Limits::default()).unwrap().unwrap()
}

fn denial(recorded: &Recorded) -> Denial {
    recorded.request(&Limits::default()).unwrap().unwrap_err()
}

fn lines<'a>(request: &Request<'a>, name: &str) -> Vec<&'a str> {
    request.fields.lines(name).map(|line| std::str::from_utf8(line).unwrap()).collect()
}

/// Whether it is what alice signed.
fn verified(request: &Request<'_>) -> Result<(), Denial> {
    let keys = parse_jwk_set(&file("people.jwks.json")).unwrap();
    let keys = Directory::new(keys.into_iter().collect::<Result<Vec<_>, _>>().unwrap()).unwrap();
    let types = FieldTypes::default();
    let message = Message::new(request, &types);
    let fields = ProofFields::of(&request.fields);
    let now = Timestamp::from_unix_seconds(MADE);
    verify(&fields, &message, &Requirement::default(), &keys, &Limits::default(), now).map(|_| ())
}

/// What every record of the transfer shows, whatever its form.
fn assert_transfer(request: &Request<'_>, scheme: &str) {
    assert_eq!((request.method, request.scheme, request.authority), ("POST", scheme, "bank.example"));
    assert_eq!(request.target.split('?').next(), Some("/transfers/7"));
    assert_eq!(request.body, Body::Complete(BODY));
    assert!(!request.fields.contains("host") && !request.upgrade);
    verified(request).unwrap();
}

#[test]
fn what_is_no_record_is_told_what_is_one() {
    for (text, begin) in [
        ("", "record: it is empty. Expected one of\n"),
        ("curl 'https://bank.example/' -H 'accept: */*'", "record: its form is unknown. Expected"),
        ("{\"level\": \"info\"}", "record: it is JSON, and none of those that are known. Expected"),
        ("{\"log\": {\"entries\": [}", "record: it begins like JSON, but expected value at line 1"),
        ("\u{FEFF}", "record: it is empty"),
    ] {
        let problem = problem(text, Overrides::default());
        assert!(problem.starts_with(begin), "{problem}");
        for kind in ["curl -v …", "HAR:", "Check in JSON:"] {
            assert!(problem.contains(kind), "{problem}");
        }
    }
    let utf16: Vec<u8> = "\u{FEFF}> GET / HTTP/1.1".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(problem(utf16, Overrides::default()), "record: it is UTF-16: save it as UTF-8");
}

#[test]
fn a_byte_order_mark_changes_nothing() {
    for (name, overrides) in [("http1.txt", with_body()), ("firefox.har", Overrides::default())] {
        let text = [b"\xEF\xBB\xBF", file(name).as_slice()].concat();
        verified(&request(&recorded(text, overrides))).unwrap();
    }
}
