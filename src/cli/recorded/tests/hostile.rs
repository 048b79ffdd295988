//! Whatever a record says, it is read or refused.

use crate::cli::recorded::{Overrides, read};
use crate::limits::Limits;
use proptest::prelude::*;

use super::{file, problem, recorded, request};

const FILES: [&str; 12] = [
    "http1.txt",
    "http2.txt",
    "https.txt",
    "meter.txt",
    "proxy.txt",
    "quoting.txt",
    "redirect.txt",
    "times.txt",
    "chrome.har",
    "firefox.har",
    "mitmproxy.har",
    "check-merged.json",
];

type Given = (Option<String>, Option<Vec<u8>>, Option<usize>);

fn given() -> impl Strategy<Value = Given> {
    let body = prop::option::of(prop::collection::vec(any::<u8>(), 0..20));
    (prop::option::of("https?"), body, prop::option::of(0..4_usize))
}

/// Pieces that mean something to one of the readers.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "> ", "* ", "< ", "{ ", "GET / HTTP/1.1", "POST http://a/b HTTP/2", "CONNECT :1 HTTP/1.1", "Host: ", "a.example", ":", "\r",
            "\n", "[:path: /]", "[:", "]", "#0", "Re-using existing ", "Connected to ", " port 443 ", "--:--:--", "Content-Length: ",
            "1", "\u{FEFF}", "{\"log\":{\"entries\":[", "{\"request\":", "{\"url\":\"", "\"", "}", "{\"attributes\":", "://", "@",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), line());
    (prop::sample::select(FILES.to_vec()), change).prop_map(|(name, (one, other, put))| {
        let mut text = file(name);
        let (one, other) = (one.index(text.len()), other.index(text.len()));
        text.splice(one.min(other)..one.max(other).min(one.min(other) + 60), put);
        text
    })
}

fn is_answered(text: &[u8], overrides: Overrides) {
    if let Ok(record) = read(text, "record", overrides) {
        let _ = record.request(&Limits::default());
        let _ = (record.format().to_string(), record.notes(), record.time());
    }
}

#[test]
fn no_input_panics() {
    proptest!(ProptestConfig::with_cases(1024), |(text in prop_oneof![damaged(), line()], (scheme, body, entry) in given())| {
        is_answered(&text, Overrides { scheme, body, entry });
    });
}

#[test]
fn large_records_are_read_in_time_that_grows_as_they_do() {
    let mut text = b"* a\n> GET / HTTP/1.1\n> Host: a.example\n> \n< HTTP/1.1 200 OK\n< \n".to_vec();
    text.extend("0 - Re-using > GET / HTTP/1.1\n".repeat(300_000).bytes());
    text.extend(std::iter::repeat_n(b'*', 10_000_000));
    let record = recorded(&text, Overrides::default());
    assert_eq!(request(&record).authority, "a.example");
    is_answered(&b"[".repeat(1_000_000), Overrides::default());
    is_answered(&b"{\"attributes\":".repeat(100_000), Overrides::default());
    assert!(
        problem(vec![b' '; 256 * 1024 * 1024 + 1], Overrides::default())
            .contains("more than 268435456 bytes")
    );
}
