//! HAR.

use crate::cli::recorded::{Format, Overrides};
use crate::denial::Code;
use crate::request::Body;
use crate::timestamp::Timestamp;
use serde_json::{Value, json};

use super::{BODY, MADE, assert_transfer, denial, entry, file, lines, problem, recorded, request, with_body};

fn har(name: &str) -> Value {
    serde_json::from_slice(&file(name)).unwrap()
}

/// A lone request, changed.
fn changed(change: impl FnOnce(&mut Value)) -> String {
    let mut request = har("firefox.har")["log"]["entries"][0]["request"].take();
    change(&mut request);
    request.to_string()
}

fn time() -> Option<Timestamp> {
    Some(Timestamp::from(std::time::Duration::from_millis(MADE * 1000 + 500)))
}

#[test]
fn what_browsers_and_proxies_export_verifies() {
    for (name, number, http1) in
        [("chrome.har", 2, false), ("firefox.har", 1, true), ("mitmproxy.har", 1, false)]
    {
        let record = recorded(file(name), entry(number));
        assert_eq!((record.format(), record.time()), (Format::Har, time()), "{name}");
        let request = request(&record);
        assert_transfer(&request, "https");
        assert_eq!(request.http1, http1, "{name}");
        assert_eq!(lines(&request, "x-note"), ["one", "two"], "{name}");
    }
}

#[test]
fn one_of_several_must_be_chosen() {
    let expected = "record: 2 requests: choose one with --entry\
        \n  1: GET https://bank.example/#start, 2026-11-25T07:25:54.901Z\
        \n  2: POST https://bank.example/transfers/7, 2026-11-25T07:25:55.500Z, signed";
    assert_eq!(problem(file("chrome.har"), Overrides::default()), expected);
    assert!(
        problem(file("chrome.har"), entry(3)).starts_with("record: there is no request 3, but 2\n  1: GET")
    );
    let record = recorded(file("chrome.har"), entry(1));
    assert_eq!((request(&record).target, request(&record).body), ("/", Body::Absent));
    assert!(problem(r#"{"log": {"entries": []}}"#, Overrides::default()).contains("no entries"));

    let mut many = har("firefox.har");
    let one = many["log"]["entries"][0].clone();
    many["log"]["entries"] = vec![one; 1000].into();
    let problem = problem(many.to_string(), Overrides::default());
    assert!(problem.ends_with("\n  … and 960 more"), "{problem}");
}

#[test]
fn an_entry_and_a_request_are_read_by_themselves() {
    let entry = har("firefox.har")["log"]["entries"][0].take();
    let record = recorded(entry.to_string(), Overrides::default());
    assert_eq!(record.time(), time());
    assert_transfer(&request(&record), "https");
    let record = recorded(changed(|_| ()), Overrides::default());
    assert_eq!(record.time(), None);
    assert_transfer(&request(&record), "https");
}

#[test]
fn times_have_any_offset() {
    for (text, expected) in [
        ("2026-11-25T07:25:55.500Z", time()),
        ("2026-11-25T02:55:55.5-04:30", time()),
        ("1969-12-31T23:59:59Z", None),
        ("yesterday", None),
        ("", None),
    ] {
        let mut entry = har("firefox.har")["log"]["entries"][0].take();
        entry["startedDateTime"] = text.into();
        let record = recorded(entry.to_string(), Overrides::default());
        assert_eq!(
            (record.time(), record.notes().len()),
            (expected, usize::from(expected.is_none())),
            "{text}"
        );
    }
}

#[test]
fn a_body_that_is_not_there_as_it_was_sent_is_not_known() {
    let params =
        json!({"mimeType": "application/x-www-form-urlencoded", "params": [{"name": "a", "value": "b"}]});
    for (data, said) in [
        (Value::Null, "does not hold the body"),
        (params, "postData.params"),
        (json!({"text": "caf\u{FFFD} {\"a\":1}"}), "U+FFFD"),
        (json!({"text": "another"}), "content-length"),
        (json!({"text": "???", "encoding": "base64"}), "base64"),
        (json!({"text": "", "params": []}), "does not hold the body"),
    ] {
        let text = changed(|request| request["postData"] = data);
        let record = recorded(&text, Overrides::default());
        let why = record.unknown_body.unwrap();
        assert!(why.contains(said), "{why}");
        assert_eq!(request(&record).body, Body::Unavailable { evidence: why });
        assert_transfer(&request(&recorded(&text, with_body())), "https");
    }
    let text = changed(|request| {
        request["postData"] = json!({"text": "eyJhbW91bnQiOjEwMH0=", "encoding": "base64"})
    });
    assert_eq!(request(&recorded(text, Overrides::default())).body, Body::Complete(BODY));
    // Exports leave content-length out.
    let text = changed(|request| {
        request["headers"].as_array_mut().unwrap().retain(|header| header["name"] != "Content-Length")
    });
    assert_transfer(&request(&recorded(text, Overrides::default())), "https");
}

#[test]
fn the_authority_is_what_was_sent_or_the_urls() {
    let without = changed(|request| {
        request["url"] = "https://alice:secret@bank.example/transfers/7#top".into();
        request["headers"].as_array_mut().unwrap().retain(|header| header["name"] != "Host");
    });
    assert_transfer(&request(&recorded(without, Overrides::default())), "https");
    let another = recorded(
        changed(|request| request["headers"][0]["value"] = "other.example".into()),
        Overrides::default(),
    );
    assert_eq!(request(&another).authority, "other.example");
    assert!(another.notes()[0].contains("Host is what was sent"), "{:?}", another.notes());
    let same = recorded(
        changed(|request| request["headers"][0]["value"] = "Bank.example:443".into()),
        Overrides::default(),
    );
    assert_eq!((request(&same).authority, same.notes().len()), ("Bank.example:443", 0));
    let twice = changed(|request| request["headers"][1] = json!({"name": "host", "value": "b.example"}));
    assert_eq!(denial(&recorded(twice, Overrides::default())).code, Code::RequestMalformed);
}

#[test]
fn pseudo_headers_must_agree() {
    for (name, value, said) in [
        (":path", "/transfers/8", "contradicts itself: :path"),
        (":method", "GET", "contradicts itself: :method"),
        (":authority", "b.example", "contradicts itself: :authority"),
        (":scheme", "http", "contradicts itself: :scheme"),
    ] {
        let text = changed(|request| request["headers"][1] = json!({"name": name, "value": value}));
        let problem = problem(text, Overrides::default());
        assert!(problem.contains(said), "{problem}");
    }
    // Both: the server says what it thinks of that.
    let text =
        changed(|request| request["headers"][1] = json!({"name": ":authority", "value": "bank.example"}));
    let record = recorded(&text, Overrides::default());
    assert_eq!(lines(&request(&record), "host"), ["bank.example"]);
    let upgrade =
        changed(|request| request["headers"][1] = json!({"name": ":protocol", "value": "websocket"}));
    assert!(request(&recorded(upgrade, Overrides::default())).upgrade);
}

#[test]
fn only_http_urls_are_read() {
    for url in [
        "data:text/plain,a",
        "blob:https://bank.example/1",
        "chrome-extension://a/b",
        "",
        "https://",
        "https://a b/",
    ] {
        let problem = problem(changed(|request| request["url"] = url.into()), Overrides::default());
        assert!(problem.contains("expected a"), "{problem}");
    }
    let record = recorded(
        changed(|request| request["url"] = "wss://bank.example/transfers/7".into()),
        Overrides::default(),
    );
    assert_eq!(request(&record).scheme, "https");
    let problem =
        problem(changed(|request| *request = json!({"url": "https://a.example/"})), Overrides::default());
    assert_eq!(problem, "record: not a HAR: missing field `method` at line 1 column 28");
}

/// What an entry holds is anybody's, and stands on a terminal before one is chosen.
#[test]
fn a_list_of_entries_neither_steers_a_terminal_nor_tells_a_password() {
    let request = |method: &str, url: &str| json!({"method": method, "url": url, "headers": []});
    let escapes = "\u{1b}]0;a\u{7}\u{9b}2J\u{202e}\n";
    let entries = json!({"log": {"entries": [
        {"startedDateTime": escapes, "request": request(escapes, &format!("https://bank.example/{escapes}"))},
        {"request": request("GET", "https://alice:secret@bank.example/a@b")},
    ]}});
    let listed = problem(entries.to_string(), Overrides::default());
    assert!(listed.chars().all(|c| c == '\n' || matches!(c, ' '..='~')), "{listed:?}");
    assert_eq!(listed.lines().count(), 3, "{listed:?}");
    assert!(listed.contains("GET https://bank.example/a@b, ") && !listed.contains("secret"), "{listed:?}");

    let other = json!({"request": request("GET", "ftp://alice:secret@bank.example/")});
    let refused = problem(other.to_string(), Overrides::default());
    assert!(refused.contains("ftp://bank.example/") && !refused.contains("secret"), "{refused:?}");
}
