//! A pattern without parameters matches what decodes to it, and nothing else.

use percent_encoding::percent_decode_str;
use proof_messenger_relay::policy::{
    Evidence, External, Match, Mode, Path, PathPattern, Policies, Policy, Protect, Target, Terms,
};
use proof_messenger_relay::request::Request;
use proptest::prelude::*;

fn policies(pattern: &str) -> Policies {
    Policies::new(vec![Policy {
        name: "pattern".into(),
        matching: Some(Match { path: Some(PathPattern::parse(pattern).unwrap()), ..Match::default() }),
        condition: None,
        terms: Terms::Open,
        mode: Mode::Enforce,
        protect: Protect::default(),
        external: External::default(),
        upgrades: false,
        evidence: Evidence::Required,
    }])
}

fn matches(policies: &Policies, target: &str) -> bool {
    let request = Request::new("GET", "https", "bank.example", target);
    Target::of(&request).is_ok_and(|target| policies.matching(&target, None).next().is_some())
}

/// A literal pattern of a few short segments, so that targets made at random meet it.
fn literal() -> impl Strategy<Value = String> {
    prop::collection::vec("[ab]{1,2}|[a-z0-9._~!$&'()*+,=:@-]{1,6}", 1..4)
        .prop_filter("a dot segment is not a pattern", |segments| {
            let is_literal = |segment: &String| {
                !matches!(&**segment, "." | ".." | "*" | "**") && !segment.starts_with(':')
            };
            segments.iter().all(is_literal)
        })
        .prop_map(|segments| format!("/{}", segments.join("/")))
}

proptest! {
    #[test]
    fn every_spelling_of_a_path_matches(pattern in literal(), escapes: [Option<bool>; 32], query in "(\\?[a-z=&/.]{0,8})?") {
        let mut target = String::new();
        for (character, escape) in pattern.chars().zip(escapes.into_iter().cycle()) {
            match escape {
                Some(true) if character != '/' => target.push_str(&format!("%{:02X}", u32::from(character))),
                Some(false) if character != '/' => target.push_str(&format!("%{:02x}", u32::from(character))),
                _ => target.push(character),
            }
        }
        prop_assert!(matches(&policies(&pattern), &(target + &query)));
    }

    #[test]
    fn nothing_else_matches(pattern in literal(), target in "/([ab]|/|\\.|%2[eEfF]|%6[12]|%00|%|;|\\\\|\\?|#){0,8}|\\PC{0,12}") {
        if matches(&policies(&pattern), &target) {
            let path = target.split('?').next().unwrap();
            prop_assert_eq!(percent_decode_str(path).decode_utf8().unwrap(), pattern);
        }
    }

    /// A parameter is one segment that is not empty; the rest is at least that.
    #[test]
    fn parameters_take_whole_segments(segments in prop::collection::vec("[a-z]{0,3}", 1..5)) {
        let target = format!("/{}", segments.join("/"));
        let whole = segments.iter().all(|segment| !segment.is_empty());
        prop_assert_eq!(matches(&policies("/{account}"), &target), whole && segments.len() == 1);
        let begins = segments[0] == "a" && segments.len() > 1;
        let rest = segments.iter().skip(1).rev().skip(1).all(|segment| !segment.is_empty());
        let first_of_rest = segments.get(1).is_some_and(|segment| !segment.is_empty());
        prop_assert_eq!(matches(&policies("/a/{*rest}"), &target), begins && rest && first_of_rest);
    }

    #[test]
    fn no_path_has_two_readings(target in "/([ab]|/|\\.|%2[eEfF]|%5[cC]|%3[bB]|%[0-9a-f]{2}|%|;|\\\\){0,10}") {
        if Path::parse(&Request::new("GET", "https", "bank.example", &target)).is_ok() {
            let decoded = percent_decode_str(&target).collect::<Vec<u8>>();
            let count = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'/').count();
            prop_assert_eq!(count(&decoded), count(target.as_bytes()));
            prop_assert!(!decoded.windows(2).any(|two| two == b"//"));
            prop_assert!(!decoded.split(|byte| *byte == b'/').any(|segment| matches!(segment, b"." | b"..")));
            prop_assert!(!decoded.iter().any(|byte| byte.is_ascii_control() || b"\\;".contains(byte)));
        }
    }
}
