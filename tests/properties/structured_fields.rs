//! What is parsed and written again is the same: a signature base is built from what was parsed.

use proof_messenger_relay::structured_field::{
    self, Item, MAX_MEMBERS, Member, serialize_dictionary, serialize_list,
};
use proptest::prelude::*;

/// An item's value as RFC 9651 §3.3 has it, in every type.
fn bare_item() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?[0-9]{1,15}",
        "-?[0-9]{1,12}\\.[0-9]{1,3}",
        "\"([ !#-\\[\\]-~]|\\\\[\"\\\\]){0,20}\"",
        "[A-Za-z*][A-Za-z0-9:/!#$%&'*+.^_`|~-]{0,12}",
        ":([A-Za-z0-9+/]{4}){0,8}:",
        "\\?[01]",
        "@-?[0-9]{1,12}",
    ]
}

fn key() -> impl Strategy<Value = String> {
    "[a-z*][a-z0-9_.*-]{0,8}"
}

fn parameters() -> impl Strategy<Value = String> {
    let value = prop_oneof![Just(String::new()), bare_item().prop_map(|value| format!("={value}"))];
    prop::collection::btree_map(key(), value, 0..4).prop_map(|parameters| {
        parameters.into_iter().map(|(name, value)| format!(";{name}{value}")).collect()
    })
}

fn item() -> impl Strategy<Value = String> {
    (bare_item(), parameters()).prop_map(|(value, parameters)| value + &parameters)
}

fn member() -> impl Strategy<Value = String> {
    let inner_list = (prop::collection::vec(item(), 0..4), parameters())
        .prop_map(|(items, parameters)| format!("({}){parameters}", items.join(" ")));
    prop_oneof![item(), inner_list]
}

fn members() -> impl Strategy<Value = String> {
    prop::collection::btree_map(key(), member(), 0..5).prop_map(|members| {
        let members: Vec<_> = members.into_iter().map(|(key, member)| format!("{key}={member}")).collect();
        members.join(", ")
    })
}

fn written(item: &Item<'_>) -> String {
    let mut text = String::new();
    item.serialize(&mut text);
    text
}

fn assert_item_is_kept(text: &[u8]) -> Result<(), TestCaseError> {
    let Ok(item) = structured_field::item(text) else { return Ok(()) };
    let again = written(&item);
    prop_assert_eq!(structured_field::item(again.as_bytes()), Ok(item));
    Ok(())
}

fn assert_list_is_kept(text: &[u8]) -> Result<(), TestCaseError> {
    let Ok(list) = structured_field::list(text) else { return Ok(()) };
    let again = serialize_list(&list);
    prop_assert_eq!(structured_field::list(again.as_bytes()), Ok(list));
    Ok(())
}

fn assert_dictionary_is_kept(text: &[u8]) -> Result<(), TestCaseError> {
    let Ok(dictionary) = structured_field::dictionary(text, MAX_MEMBERS) else { return Ok(()) };
    for (key, member) in &dictionary {
        let mut alone = format!("{}=", key.as_str());
        member.serialize(&mut alone);
        let read = structured_field::dictionary(alone.as_bytes(), 1);
        prop_assert_eq!(read, Ok(vec![(*key, member.clone())]), "{}", alone);
    }
    let again = serialize_dictionary(&dictionary);
    prop_assert_eq!(structured_field::dictionary(again.as_bytes(), MAX_MEMBERS), Ok(dictionary));
    Ok(())
}

proptest! {
    #[test]
    fn items_are_kept(text in item()) {
        prop_assert!(structured_field::item(text.as_bytes()).is_ok(), "{}", text);
        assert_item_is_kept(text.as_bytes())?;
    }

    #[test]
    fn lists_are_kept(members in prop::collection::vec(member(), 0..5)) {
        let text = members.join(", ");
        prop_assert!(structured_field::list(text.as_bytes()).is_ok(), "{}", text);
        assert_list_is_kept(text.as_bytes())?;
    }

    #[test]
    fn dictionaries_are_kept(text in members()) {
        prop_assert!(structured_field::dictionary(text.as_bytes(), MAX_MEMBERS).is_ok(), "{}", text);
        assert_dictionary_is_kept(text.as_bytes())?;
    }

    /// One byte is replaced, so much of this is not quite a structured field.
    #[test]
    fn what_can_be_read_is_kept(text in members(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut text = text.into_bytes();
        if !text.is_empty() {
            let at = at.index(text.len());
            text[at] = byte;
        }
        assert_item_is_kept(&text)?;
        assert_list_is_kept(&text)?;
        assert_dictionary_is_kept(&text)?;
    }

    /// RFC 9651 keeps the last of two; another reader may keep the first.
    #[test]
    fn a_key_that_stands_twice_is_refused(key in key(), one in member(), other in member()) {
        let text = format!("{key}={one}, {key}={other}");
        prop_assert!(structured_field::dictionary(text.as_bytes(), MAX_MEMBERS).is_err(), "{}", text);
    }
}

#[test]
fn a_bare_key_is_true() {
    let dictionary = structured_field::dictionary(b"a;b", 1).unwrap();
    assert!(matches!(&*dictionary, [(_, Member::Item(_))]));
    assert_eq!(serialize_dictionary(&dictionary), "a;b");
    // Standing alone it is a value, not the absence of one: what a base holds for `;key="a"` (RFC 9421 §2.1.2).
    let mut alone = String::new();
    dictionary[0].1.serialize(&mut alone);
    assert_eq!(alone, "?1;b");
}
