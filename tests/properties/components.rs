//! Component identifiers: what an operator reads in a denial or a challenge is what he may write.

use proof_messenger_relay::proof::Name;
use proptest::prelude::*;

proptest! {
    #[test]
    fn what_is_shown_can_be_read(
        name in "@method|@query-param|[a-z-]{1,8}",
        parameter in "|;sf|;bs|;(key|name)=\"([ !#-\\[\\]-~]|\\\\[\"\\\\]){0,8}\"",
    ) {
        if let Ok(name) = Name::parse(&format!("{name}{parameter}")) {
            prop_assert_eq!(Name::parse(&name.to_string()), Ok(name));
        }
    }
}
