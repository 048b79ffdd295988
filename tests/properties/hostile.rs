//! Text and bytes that come near to what is expected, and those that do not.

use proptest::prelude::*;

/// Pieces that parsers act on, in any order.
const PIECES: &[&str] = &[
    "sig",
    "a",
    "=",
    "(",
    ")",
    "\"@method\"",
    "\"@target-uri\"",
    "\"@query-param\";name=\"q\"",
    "\"content-digest\"",
    "\"x\";sf",
    "\"x\";bs",
    "\"x\";key=\"a\"",
    ";",
    ";created=1700000000",
    ";expires=",
    ";keyid=\"alice\"",
    ";alg=\"ed25519\"",
    ";nonce=\"n\"",
    ";tag=\"t\"",
    "sha-256=",
    ":AAAA:",
    ":",
    ",",
    ", ",
    " ",
    "\t",
    "\"",
    "\\",
    "?1",
    "-1",
    "999999999999999",
    "1.5",
    "@1",
    "%\"c3%\"",
    "/",
    "//",
    "/./",
    "/../",
    "%2f",
    "%2F",
    "%",
    "%00",
    "{",
    "}",
    "{*rest}",
    "*.",
    "bank.example",
    ":443",
    "[::1]",
    "!",
    "#",
    "é",
    "\u{0}",
    "\n",
    "\r\n",
    "policies",
    ": ",
    "- ",
    "[",
    "]",
    "{\"keys\":[",
    "null",
];

pub(super) fn text() -> impl Strategy<Value = String> {
    let pieces =
        prop::collection::vec(prop::sample::select(PIECES), 0..24).prop_map(|pieces| pieces.concat());
    prop_oneof![4 => pieces, 1 => any::<String>()]
}

pub(super) fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![3 => text().prop_map(String::into_bytes), 1 => prop::collection::vec(any::<u8>(), 0..200)]
}
