//! A condition, and a body that it looks into: whatever both are, the evaluation ends, twice with the same answer; and
//! a body that is read is JSON to others too.
//!
//! The input is the condition up to the first line feed, and then the body.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use proof_messenger_relay::policy::{Condition, Facts, PathPattern};
use proof_messenger_relay::request::{Body, Request};

/// Few enough that an evaluation is short, and enough for every operator.
const STEPS: usize = 2000;

/// It holds whenever the body can be read.
fn readable() -> &'static Condition {
    static READABLE: OnceLock<Condition> = OnceLock::new();
    READABLE.get_or_init(|| Condition::parse("size([body]) == 1", None).expect("a condition"))
}

fuzz_target!(|data: &[u8]| {
    let (source, body) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &b"{}"[..]),
    };
    let mut request =
        Request::new("POST", "https", "bank.example", "/transfers/DE02?on=monday&on=tuesday&by=alice");
    request.body = Body::Complete(body);
    let facts = Facts::of(&request).expect("a plain path");
    if readable().holds(&facts, None, STEPS).is_ok() {
        assert!(serde_json::from_slice::<serde_json::Value>(body).is_ok());
    }
    let Ok(source) = std::str::from_utf8(source) else { return };
    let path = PathPattern::parse("/transfers/{account}").expect("a pattern");
    let condition = match Condition::parse(source, Some(&path)) {
        Ok(condition) => condition,
        Err(mistakes) => {
            assert!(!mistakes.is_empty() && mistakes.iter().all(|mistake| mistake.at <= source.len()));
            return;
        }
    };
    let first = condition.holds(&facts, None, STEPS);
    assert_eq!(first, condition.holds(&facts, None, STEPS));
});
