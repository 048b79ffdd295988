//! Conditions: whatever they say, and whatever a request says, they come to an end; and numbers are compared exactly.

use std::cell::Cell;
use std::cmp::Ordering;

use proof_messenger_relay::denial::{Code, Denial};
use proof_messenger_relay::policy::{Condition, Facts, PathPattern};
use proof_messenger_relay::request::{Body, Encoding, Field, Fields, Request};
use proof_messenger_relay::signer::content_digest;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::hostile;
use crate::support::ask::Ask;
use crate::support::service::Blocking;
use crate::support::signer::Signer;

const BUDGET: usize = 10_000;

fn holds(condition: &Condition, body: &[u8], budget: usize) -> Result<bool, Denial> {
    let mut request = Request::new("POST", "https", "bank.example", "/transfers/7?a=1&b=x%20y&b=2");
    let line = |name, value: &'static str| Field { name, value: value.as_bytes() };
    let lines = vec![line("x-kind", "urgent"), line("x-twice", "1"), line("x-twice", "2")];
    request.fields = Fields::new(lines, Encoding::Raw, &Default::default()).unwrap();
    request.body = Body::Complete(body);
    condition.holds(&Facts::of(&request).unwrap(), None, budget)
}

fn parse(text: &str) -> Result<Condition, Vec<proof_messenger_relay::policy::Mistake>> {
    Condition::parse(text, Some(&PathPattern::parse("/transfers/{account}").unwrap()))
}

/// Words that conditions are made of, in any order.
const WORDS: &[&str] = &[
    "body",
    ".amount",
    ".list",
    "[0]",
    "[\"a\"]",
    "request",
    ".headers",
    ".query",
    "path.account",
    "source.address",
    "signers",
    "x",
    "has(",
    "size(",
    "int(",
    "double(",
    ".all(x, ",
    ".exists(x, ",
    ".map(x, ",
    ".filter(x, ",
    ".exists_one(x, ",
    ".startsWith(",
    ".matches(",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    "?",
    ":",
    " && ",
    " || ",
    "!",
    "-",
    " + ",
    " * ",
    " / ",
    " % ",
    " == ",
    " != ",
    " < ",
    " >= ",
    " in ",
    "null",
    "true",
    "false",
    "1",
    "10000.01",
    "1e400",
    "0x10",
    "9u",
    "\"a\"",
    "'é'",
    "\"[\"",
    "b\"a\"",
    "r\"\\\\\"",
    "\"\\u0061\"",
    "\"",
    "\\",
    "\n",
    "//",
    "é",
    "\u{0}",
    "dyn(",
    "timestamp(",
    "Foo{",
    ".?",
    "[?",
    "@",
    "$",
];

fn nonsense() -> impl Strategy<Value = String> {
    let words = prop::collection::vec(prop::sample::select(WORDS), 0..16).prop_map(|words| words.concat());
    prop_oneof![4 => words, 1 => hostile::text()]
}

/// Expressions, one of each type.
#[derive(Debug, Clone)]
struct Typed {
    truth: String,
    number: String,
    text: String,
    list: String,
}

/// Conditions that can be read, and that some bodies have a value for.
fn condition() -> impl Strategy<Value = String> {
    fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
        prop::sample::select(texts).prop_map(str::to_owned)
    }
    let leaf = (
        one_of(&["true", "false", "has(body.amount)", "body.a", "\"a\" in body", "has(source.principal)"]),
        one_of(&[
            "1",
            "-2.5",
            "1e3",
            "body.amount",
            "body.list[0]",
            "body[1]",
            "size(body)",
            "int(request.query.a)",
        ]),
        one_of(&[
            "\"a\"",
            "body.a",
            "request.method",
            "request.headers[\"x-kind\"]",
            "request.headers[\"x-twice\"]",
            "request.query.a",
            "request.query.b",
            "path.account",
            "source.principal",
        ]),
        one_of(&["[]", "[1, 2]", "body", "body.list", "[body.amount, 0.1]"]),
    );
    let leaf = leaf.prop_map(|(truth, number, text, list)| Typed { truth, number, text, list });
    let typed = leaf.prop_recursive(4, 24, 2, |inner| {
        let truths = one_of(&[
            "(T && U)",
            "(T || U)",
            "!T",
            "(N < M)",
            "(N == M)",
            "(S != R)",
            "(S >= R)",
            "(T ? U : T)",
            "(L == K)",
            "(N in L)",
            "L.all(x, x > N)",
            "L.exists(x, T || x == N)",
            "L.exists_one(x, x <= M)",
            "S.startsWith(R)",
            "S.contains(R)",
            "S.matches(\"^[a-z]*$\")",
            "(L.filter(x, U) == K)",
            "(size(S) < N)",
        ]);
        let numbers =
            one_of(&["(N + M)", "(N - M)", "(N * M)", "-(N)", "size(L)", "double(S)", "(T ? N : M)", "L[0]"]);
        let texts = one_of(&["(S + R)", "(T ? S : R)", "S"]);
        let lists = one_of(&["L.filter(x, x > N)", "L.map(x, x * N)", "(L + K)", "[N, M]", "L"]);
        (inner.clone(), inner, truths, numbers, texts, lists).prop_map(
            |(one, two, truth, number, text, list)| {
                let filled = |pattern: String| {
                    let mut filled = String::new();
                    for letter in pattern.chars() {
                        match letter {
                            'T' => filled.push_str(&one.truth),
                            'U' => filled.push_str(&two.truth),
                            'N' => filled.push_str(&one.number),
                            'M' => filled.push_str(&two.number),
                            'S' => filled.push_str(&one.text),
                            'R' => filled.push_str(&two.text),
                            'L' => filled.push_str(&one.list),
                            'K' => filled.push_str(&two.list),
                            _ => filled.push(letter),
                        }
                    }
                    filled
                };
                Typed { truth: filled(truth), number: filled(number), text: filled(text), list: filled(list) }
            },
        )
    });
    typed.prop_map(|typed| typed.truth)
}

/// JSON of the members that expressions ask for, and of others. No name stands twice in any case.
fn json_value() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<i32>().prop_map(|number| json!(number)),
        (-1_000_000_000..1_000_000_000_i64, 1..6_u32)
            .prop_map(|(digits, scale)| serde_json::from_str(&format!("{digits}e-{scale}")).unwrap()),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(|truth| json!(truth)),
        number,
        "[a-z]{0,3}|\\PC{0,6}".prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        let name = prop_oneof![
            prop::sample::select(vec!["amount", "list", "a"]).prop_map(str::to_owned),
            "[a-z\"\\\\\n😀]{0,4}",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let expected =
        (any::<i32>(), prop::collection::vec(-9..9_i32, 0..6), json_value()).prop_map(|(amount, list, a)| {
            json!({"amount": amount, "list": list, "a": a}).to_string().into_bytes()
        });
    prop_oneof![
        4 => expected,
        2 => prop::collection::vec(-9..9_i32, 0..6).prop_map(|list| json!(list).to_string().into_bytes()),
        4 => json_value().prop_map(|value| serde_json::to_vec(&value).unwrap()),
        1 => hostile::bytes(),
    ]
}

/// Whatever the answer, it is one of those that there are, and a larger budget changes it only where it was too small.
fn answered(condition: &Condition, body: &[u8], budget: usize) -> Result<(), TestCaseError> {
    let known = [Code::ConditionFailed, Code::BodyAmbiguous];
    let whole = holds(condition, body, BUDGET);
    if let Err(denial) = &whole {
        prop_assert!(known.contains(&denial.code), "{}", denial);
    }
    // No step is free.
    prop_assert!(is_too_costly(&holds(condition, body, 0)), "{}", condition.source());
    let smaller = holds(condition, body, budget);
    prop_assert!(
        is_too_costly(&smaller) || smaller == whole,
        "{}: {:?} {:?}",
        condition.source(),
        smaller,
        whole
    );
    Ok(())
}

fn is_too_costly(result: &Result<bool, Denial>) -> bool {
    result.as_ref().is_err_and(|denial| denial.detail.contains("costs too much"))
}

#[test]
fn no_condition_and_no_body_is_too_much() {
    proptest!(ProptestConfig::with_cases(1024), |(text in nonsense(), body in body(), budget in 0..200_usize)| {
        if let Ok(condition) = parse(&text) {
            answered(&condition, &body, budget)?;
        }
    });
    let (read, held) = (Cell::new(0), Cell::new(0));
    proptest!(ProptestConfig::with_cases(2048), |(text in condition(), body in body(), budget in 0..200_usize)| {
        if let Ok(condition) = parse(&text) {
            read.update(|count| count + 1);
            answered(&condition, &body, budget)?;
            held.update(|count| count + usize::from(holds(&condition, &body, BUDGET).is_ok()));
        }
    });
    // Most of them mean something, and some have a value.
    assert!(read.get() > 1500 && held.get() > 300, "{read:?} {held:?}");
}

/// What the operator writes may be long or deep; it is read, or refused, and the process lives on.
#[test]
fn long_and_deep_conditions_are_read_or_refused() {
    let pieces = [
        ("", "!", "true"),
        ("", "-", "1 == 1"),
        ("", "(", ""),
        ("", "[", ""),
        ("", "true && ", "true"),
        ("", "1 + ", "1 == 1"),
        ("", "true ? true : ", "true"),
        ("body", ".a", " == 1"),
        ("body", "[0]", " == 1"),
        ("body", ".map(x,x)", " == 1"),
        ("body.all(x,", "body.all(x,", ""),
    ];
    let all = move || {
        for (start, piece, end) in pieces {
            for times in [10, 40, 60, 120, 200, 450, 1000, 4000, 100_000] {
                let text = format!("{start}{}{end}", piece.repeat(times));
                if let Ok(condition) = parse(&text) {
                    let _ = holds(&condition, b"[]", BUDGET);
                }
                assert!(text.len() < 4096 || parse(&text).is_err(), "{times} times {piece}");
            }
        }
    };
    // As much stack as the main thread has.
    std::thread::Builder::new().stack_size(8 << 20).spawn(all).unwrap().join().unwrap();
    // Where no brackets nest, conditions of some length are usual.
    let long: Vec<String> = (0..150).map(|at| format!("body.kind == \"{at}\"")).collect();
    assert_eq!(holds(&parse(&long.join(" || ")).unwrap(), br#"{"kind":"149"}"#, BUDGET), Ok(true));
    assert_eq!(holds(&parse(&long.join(" || ")).unwrap(), br#"{"kind":"150"}"#, BUDGET), Ok(false));
}

/// A number with its digits and exponent.
#[derive(Debug, Clone, Copy)]
struct Number {
    digits: i64,
    exponent: i32,
}

fn number(most: i64) -> impl Strategy<Value = Number> {
    // Of the same size often enough that a digit decides.
    let digits = prop_oneof![-most..=most, 0..20_i64, 9_990..10_010_i64];
    (digits, -8..8_i32).prop_map(|(digits, exponent)| Number { digits, exponent })
}

impl Number {
    /// How much it is in hundred-millionths, which is exact.
    fn scaled(self) -> i128 {
        i128::from(self.digits) * 10_i128.pow(u32::try_from(self.exponent + 8).unwrap())
    }

    fn compare(self, other: Self) -> Ordering {
        self.scaled().cmp(&other.scaled())
    }

    /// In digits, in one of the ways of writing it.
    fn written(self, with_exponent: bool) -> String {
        let Self { digits, exponent } = self;
        if with_exponent {
            return format!("{digits}e{exponent}");
        }
        let (sign, digits) = (if digits < 0 { "-" } else { "" }, digits.unsigned_abs().to_string());
        match usize::try_from(-exponent) {
            Ok(0) => format!("{sign}{digits}"),
            Ok(behind) => {
                let digits = format!("{digits:0>width$}", width = behind + 1);
                let (whole, fraction) = digits.split_at(digits.len() - behind);
                format!("{sign}{whole}.{fraction}")
            }
            Err(_) => {
                format!("{sign}{digits}{}", "0".repeat(usize::try_from(exponent).unwrap())).replace("-0", "0")
            }
        }
        .trim_start_matches("00")
        .to_owned()
    }
}

fn compared(condition: &str, amount: Number, limit: Number, body: &str) -> Result<(), TestCaseError> {
    let expected = amount.compare(limit);
    for (operator, holds_for) in [
        ("<", expected.is_lt()),
        ("<=", expected.is_le()),
        (">", expected.is_gt()),
        (">=", expected.is_ge()),
        ("==", expected.is_eq()),
        ("!=", expected.is_ne()),
    ] {
        let text = condition.replace("OPERATOR", operator);
        let condition =
            parse(&text).map_err(|mistakes| TestCaseError::fail(format!("{text}: {mistakes:?}")))?;
        let found = holds(&condition, body.as_bytes(), BUDGET);
        prop_assert_eq!(found, Ok(holds_for), "{} of {}", text, body);
    }
    Ok(())
}

proptest! {
    #[test]
    fn amounts_are_compared_exactly(
        amount in number(999_999_999_999_999), limit in number(99_999_999_999), with_exponent: [bool; 2],
    ) {
        let (written, limited) = (amount.written(with_exponent[0]), limit.written(with_exponent[1]));
        // A text of zeros is not a number to JSON.
        prop_assume!(serde_json::from_str::<Value>(&written).is_ok() && serde_json::from_str::<Value>(&limited).is_ok());
        compared(&format!("body.amount OPERATOR {limited}"), amount, limit, &format!("{{\"amount\":{written}}}"))?;
        compared("body.amount OPERATOR body.limit", amount, limit, &format!("{{\"amount\":{written},\"limit\":{limited}}}"))?;
    }

    /// In strings no double limits the digits.
    #[test]
    fn amounts_in_strings_are_compared_exactly(
        amount in number(i64::MAX), limit in number(99_999_999_999), with_exponent: [bool; 2],
    ) {
        let (written, limited) = (amount.written(with_exponent[0]), limit.written(with_exponent[1]));
        prop_assume!(serde_json::from_str::<Value>(&written).is_ok() && serde_json::from_str::<Value>(&limited).is_ok());
        let body = format!("{{\"amount\":\"{written}\"}}");
        compared(&format!("double(body.amount) OPERATOR {limited}"), amount, limit, &body)?;
    }

    #[test]
    fn honest_json_is_read_as_it_is(value in json_value(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let is_null = holds(&parse("body == null").unwrap(), text.as_bytes(), BUDGET);
        prop_assert_eq!(is_null, Ok(value.is_null()), "{}", text);
        let size = match &value {
            Value::Array(values) => values.len(),
            Value::Object(members) => members.len(),
            Value::String(text) => text.chars().count(),
            _ => return Ok(()),
        };
        let has_size = parse(&format!("size(body) == {size}")).unwrap();
        prop_assert_eq!(holds(&has_size, text.as_bytes(), BUDGET), Ok(true), "{}", text);
    }

    /// Whatever the relay reads, other parsers read too.
    #[test]
    fn what_is_read_is_json(mut text in json_value().prop_map(|value| value.to_string()), at: prop::sample::Index, piece in "[\\PC\\\\\"{}\\[\\]:,.eE+\\-0-9 \n\t]{0,3}") {
        let positions: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        let at = *at.get(&positions);
        text.insert_str(at, &piece);
        if holds(&parse("body == null").unwrap(), text.as_bytes(), BUDGET).is_ok() {
            prop_assert!(serde_json::from_str::<Value>(&text).is_ok(), "{}", text);
        }
    }
}

/// A weaker policy stands below, which does not even ask for a digest.
#[test]
fn no_changed_byte_of_a_body_gets_to_a_weaker_policy() {
    let policies = "policies:
  - {name: large, match: {}, when: body.amount > 10000, approvals: [{role: clerk}]}
  - {name: small, match: {}, proof: {cover: ['@method'], body: free}}";
    let alice = Signer::ed25519("alice").with(json!({"roles": ["clerk"]}));
    let service = Blocking::new(policies, &[&alice]);
    let body = (10_001..99_999_u32, "[a-z ]{0,12}")
        .prop_map(|(amount, note)| json!({"amount": amount, "note": note}).to_string().into_bytes());
    proptest!(ProptestConfig::with_cases(512), |(body in body, at: prop::sample::Index, change in 1..=255_u8)| {
        let honest = Ask::post("/transfers/7", &body).signed(&alice);
        let mut changed = body.clone();
        changed[at.index(body.len())] ^= change;
        let forged = Ask { body: Some(changed.clone()), ..honest.clone() };
        let with_digest = forged.clone().replace("content-digest", content_digest(&changed));
        let without_digest = forged.clone().without("content-digest");
        for forged in [forged, with_digest, without_digest] {
            let answer = service.ask(forged.check_request());
            prop_assert!(!answer.allowed, "{:?}: {:?}", String::from_utf8_lossy(&changed), answer);
        }
        let answer = service.ask(honest.check_request());
        prop_assert_eq!(answer.metadata.get("policy").map(String::as_str), Some("large"));
        prop_assert!(answer.allowed, "{:?}", answer);
    });
}
