//! The base that a client printed, against that of the relay.

use proof_messenger_relay::explain::{Difference, FirstDifference};

use super::{relay, signed_over_base, story_of};
use crate::support::ask::{Ask, signing};
use crate::support::signer::Signer;

const POLICY: &str = "policies: [{name: all, match: {}}]";
const PARAMS: &str = r#"("@method" "@target-uri");created=1700000000;keyid="alice""#;
const RIGHT: &str = "\"@method\": GET\n\"@target-uri\": https://bank.example/rates\n\"@signature-params\": (\"@method\" \"@target-uri\");created=1700000000;keyid=\"alice\"";

/// `signed` is what the client signed, `printed` what it printed.
fn difference(signed: &str, printed: &str) -> Difference {
    let alice = Signer::ed25519("alice");
    let ask = signed_over_base(Ask::get("/rates"), &alice, PARAMS, signed.as_bytes());
    let story = story_of(&relay(POLICY, &[&alice]), &ask.check_request(), Some(printed.as_bytes()));
    story.base_difference.unwrap()
}

fn names(difference: &Difference) -> Vec<&'static str> {
    difference.mistakes.iter().map(|mistake| mistake.name).collect()
}

#[test]
fn the_first_byte_is_shown_with_its_line_and_what_cannot_be_seen() {
    let wrong = RIGHT.replace("example/rates", "example\t/rates");
    let found = difference(&wrong, &wrong);
    assert_eq!(
        found.first,
        Some(FirstDifference {
            byte: 50,
            line: 2,
            column: 36,
            relay: "\"@target-uri\": https://bank.example/rates\\n".to_owned(),
            client: "\"@target-uri\": https://bank.example\\t/rates\\n".to_owned(),
            caret: 35,
        })
    );
    assert_eq!((found.signature_verifies, names(&found)), (Some(true), vec!["other-value"]));
}

#[test]
fn the_newline_of_a_printed_base_is_a_mistake_only_where_it_was_signed() {
    let with_newline = format!("{RIGHT}\n");
    let found = difference(RIGHT, &with_newline);
    assert_eq!((found.first, found.signature_verifies), (None, Some(true)));
    let found = difference(&with_newline, &with_newline);
    assert_eq!((names(&found), found.signature_verifies), (vec!["trailing-newline"], Some(true)));
    let first = found.first.unwrap();
    assert_eq!(
        (first.byte, first.client.ends_with("\\n"), first.relay.ends_with("\\n")),
        (RIGHT.len(), true, false)
    );
}

#[test]
fn a_right_base_with_another_signature_is_told_so() {
    let found = difference("another text", RIGHT);
    assert_eq!((names(&found), found.first), (vec!["other-signature"], None));
}

#[test]
fn more_than_one_mistake_is_found_line_by_line() {
    let wrong = RIGHT.replace("https", "http").replace("\"@method\": GET\n", "\"@path\": /rates\n");
    let wrong = wrong.replace(";keyid", ";alg=\"x\";keyid");
    let found = difference(&wrong, &wrong);
    assert_eq!(names(&found), ["component-missing", "component-extra", "other-value", "other-params"]);
}

#[test]
fn the_proof_whose_parameters_the_base_has_is_the_one_compared() {
    let (alice, bob) = (Signer::ed25519("alice"), Signer::ed25519("bob"));
    let ask = Ask::get("/rates").signed_as(&bob, &signing("bob", &["@method", "@target-uri"])).signed_over(
        &alice,
        PARAMS,
        &["\"@method\": GET", "\"@target-uri\": https://bank.example/rates"],
    );
    let story = story_of(&relay(POLICY, &[&alice, &bob]), &ask.check_request(), Some(RIGHT.as_bytes()));
    let found = story.base_difference.unwrap();
    assert_eq!((found.label.as_str(), found.first, found.signature_verifies), ("alice", None, Some(true)));
}

#[test]
fn a_credential_that_is_not_covered_is_not_shown() {
    let wrong = format!("\"authorization\": Bearer marker\n{RIGHT}");
    let found = difference(&wrong, &wrong);
    assert_eq!(
        (names(&found), found.first.unwrap().client.as_str()),
        (vec!["component-extra"], "\"authorization\": …")
    );
}
