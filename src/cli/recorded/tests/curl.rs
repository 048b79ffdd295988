//! `curl -v`.

use crate::cli::recorded::{Format, Overrides};
use crate::denial::Code;
use crate::request::Body;

use super::{
    BODY, assert_transfer, denial, entry, file, lines, problem, recorded, request, text, verified, with_body,
};

#[test]
fn what_curl_prints_verifies() {
    for (name, scheme, http1) in [
        ("http1.txt", "http", true),
        ("meter.txt", "http", true),
        ("http2.txt", "http", false),
        ("https.txt", "https", false),
    ] {
        let record = recorded(file(name), with_body());
        assert_eq!((record.format(), record.time()), (Format::Curl, None), "{name}");
        assert_eq!(record.notes(), [""; 0], "{name}");
        let request = request(&record);
        assert_transfer(&request, scheme);
        assert_eq!(request.http1, http1, "{name}");
        assert_eq!(lines(&request, "x-note"), ["one", "two"], "{name}");
        assert_eq!(lines(&request, "content-length"), ["14"], "{name}");
    }
    assert_eq!(request(&recorded(file("http1.txt"), with_body())).target, "/transfers/7?a=b");
}

#[test]
fn an_announced_body_that_is_not_given_is_not_known() {
    let record = recorded(file("http1.txt"), Overrides::default());
    let why = record.unknown_body.unwrap();
    assert!(why.contains("--body-file"), "{why}");
    assert_eq!(request(&record).body, Body::Unavailable { evidence: why });

    let short = Overrides { body: Some(BODY[..5].to_vec()), ..Overrides::default() };
    let record = recorded(file("http1.txt"), short);
    assert!(matches!(request(&record).body, Body::Truncated { .. }));
    let long = Overrides { body: Some([BODY, BODY].concat()), ..Overrides::default() };
    assert_eq!(denial(&recorded(file("http1.txt"), long)).code, Code::RequestMalformed);
}

#[test]
fn no_body_is_no_body() {
    for text in [
        "> GET / HTTP/1.1\r\n> Host: a.example\r\n> \r\n",
        "> POST / HTTP/1.1\n> Host: a.example\n> Content-Length: 0\n>\n",
    ] {
        let record = recorded(text, Overrides::default());
        assert_eq!((record.unknown_body, request(&record).body), (None, Body::Absent), "{text}");
    }
    // Chunks, and HTTP/2 without a length, may be anything.
    for head in ["POST / HTTP/1.1\n> Transfer-Encoding: chunked", "PUT / HTTP/2"] {
        let text = format!("> {head}\n> Host: a.example\n>\n");
        assert!(recorded(&text, Overrides::default()).unknown_body.is_some(), "{text}");
        assert_eq!(request(&recorded(&text, with_body())).body, Body::Complete(BODY), "{text}");
        let empty = Overrides { body: Some(Vec::new()), ..Overrides::default() };
        assert_eq!(request(&recorded(&text, empty)).body, Body::Complete(b""), "{text}");
    }
}

#[test]
fn the_last_request_counts_unless_another_is_chosen() {
    let record = recorded(file("redirect.txt"), Overrides::default());
    assert_eq!(request(&record).target, "/rates/eur");
    assert_eq!(record.notes(), ["request 3 of 3: POST /rates/eur"]);
    for (number, target) in [(1, "/old"), (2, "/transfers/7"), (3, "/rates/eur")] {
        let record = recorded(file("redirect.txt"), entry(number));
        let request = request(&record);
        assert_eq!((request.target, request.scheme, request.authority), (target, "http", "bank.example"));
        assert_eq!(lines(&request, "content-type"), ["application/x-www-form-urlencoded"]);
    }
    for number in [0, 4, usize::MAX] {
        assert_eq!(
            problem(file("redirect.txt"), entry(number)),
            format!(
                "record: there is no request {number}, but 3\n  1: POST /old\n  2: POST /transfers/7\n  3: POST /rates/eur"
            )
        );
    }
}

#[test]
fn a_request_in_the_body_of_an_answer_is_not_a_request() {
    let first = recorded(file("quoting.txt"), entry(1));
    assert_eq!(request(&first).target, "/notes");
    let last = recorded(file("quoting.txt"), Overrides::default());
    assert_eq!((request(&last).target, request(&last).authority), ("/rates/eur", "bank.example"));
    assert_eq!(
        last.notes(),
        [
            "request 2 of 2: GET /rates/eur",
            "what looks like a request and stands in an answer was passed over (1)"
        ]
    );
    // As a terminal shows it: the answer's body comes before what curl says of its end.
    let text = text("quoting.txt");
    let body = "> POST /forged HTTP/1.1\n> Host: forged.example\n> \n";
    let end = "* Connection #0 to host (nil) left intact\n";
    let text =
        text.replacen(&format!("{end}a quoted mail:\n{body}that was it\n"), &format!("{body}{end}"), 1);
    assert!(text.contains(&format!("data]\n{body}{end}")));
    assert_eq!(problem(&text, entry(3)).lines().count(), 3, "{text}");
    // And with the body right behind.
    let text = text.replacen(&format!("{body}{end}"), &format!("{end}{body}"), 1);
    assert_eq!(problem(&text, entry(3)).lines().count(), 3);
    let alert = "* TLSv1.3 (OUT), TLS alert, close notify (256):\n} [2 bytes data]\n";
    let text = text.replacen(&format!("{end}{body}"), &format!("* Closing connection 0\n{alert}{body}"), 1);
    assert!(text.contains(alert));
    assert_eq!(problem(text, entry(3)).lines().count(), 3);
}

#[test]
fn answers_that_do_not_end_their_line_hide_no_request() {
    for remark in [
        "Re-using existing connection #0 with host a.example",
        "Reusing existing http: connection with host a.example",
    ] {
        let text = format!(
            "* Connected to a.example (192.0.2.1) port 80 (#0)\n> GET /one HTTP/1.1\n> Host: a.example\n> \n\
             < HTTP/1.1 200 OK\n< \n{{\"ok\":true}}* {remark}\n> GET /two HTTP/1.1\n> Host: a.example\n> \n"
        );
        assert_eq!(request(&recorded(text, Overrides::default())).target, "/two");
    }
}

#[test]
fn times_and_the_meter_stand_before_lines() {
    let record = recorded(file("times.txt"), Overrides::default());
    assert_eq!((request(&record).target, request(&record).scheme), ("/notes", "http"));
    let meter = "  0     0    0     0    0     0      0      0 --:--:-- --:--:-- --:--:--     0";
    let text = format!(
        "\r{meter}*   Trying 192.0.2.1:443...\n* Connected to a.example (192.0.2.1) port 443\n\r{meter}\r{meter}> GET /late HTTP/2\r\n\
         > Host: a.example\r\n> \r\n\r{meter}< HTTP/2 200 \r\n< \r\n"
    );
    let record = recorded(text, Overrides::default());
    assert_eq!((request(&record).target, request(&record).scheme), ("/late", "https"));
    let text = "09:00:00.123456 [0-0] * Connected to a.example (192.0.2.1) port 80\n09:00:00.123456 [0-0] > GET /ids HTTP/1.1\n\
                09:00:00.123456 [0-0] > Host: a.example\n09:00:00.123456 [0-0] > \n";
    assert_eq!(request(&recorded(text, Overrides::default())).target, "/ids");
}

#[test]
fn the_scheme_is_what_the_connection_shows() {
    let scheme = |remarks: &str, protocol: &str| {
        let text = format!("{remarks}> GET / {protocol}\n> Host: a.example\n> \n");
        let record = recorded(text, Overrides::default());
        (request(&record).scheme.to_owned(), record.notes().len())
    };
    let https = ("https".to_owned(), 0);
    let http = ("http".to_owned(), 0);
    for remarks in [
        "* Connected to a.example (192.0.2.1) port 443 (#0)\n",
        "* Established connection to a.example (192.0.2.1 port 443) from 192.0.2.9 port 50000 \n* using HTTP/1.x\n",
        "* Connected to a.example (192.0.2.1) port 8443\n* ALPN: curl offers h2,http/1.1\n",
        "* Connected to a.example (192.0.2.1) port 8443\n* SSL connection using TLSv1.3 / TLS_AES_256_GCM_SHA384\n",
        "* Reusing existing https: connection with host a.example\n",
        "* Connected to a (::1) port 8443 (#1)\n* ALPN: offers h2\n* Connected to b (::1) port 80 (#2)\n* Re-using existing connection #1 with host a\n",
    ] {
        assert_eq!(scheme(remarks, "HTTP/1.1"), https, "{remarks}");
    }
    assert_eq!(scheme("", "HTTP/3"), https);
    assert_eq!(scheme("* [HTTP/2] [1] [:scheme: https]\n", "HTTP/2"), https);
    assert_eq!(scheme("* Connected to a.example (192.0.2.1) port 80\n", "HTTP/1.1"), http);
    assert_eq!(scheme("", "HTTP/1.1"), ("http".to_owned(), 1));
    let overrides = Overrides { scheme: Some("https".to_owned()), ..Overrides::default() };
    let record = recorded(file("http2.txt"), overrides);
    assert_eq!(request(&record).scheme, "https");
}

#[test]
fn newer_curls_show_pseudo_headers_in_another_form() {
    let old = text("https.txt");
    let new = old
        .replace("* h2h3 [", "* [HTTP/2] [1] [")
        .replace("* Using Stream ID: 1", "* [HTTP/2] [1] OPENED stream for");
    let record = recorded(&new, with_body());
    assert_transfer(&request(&record), "https");
    // Where there is no Host line, there is :authority.
    let without = new.replace("> Host: bank.example\r\n", "");
    assert_transfer(&request(&recorded(without, with_body())), "https");
}

#[test]
fn a_proxy_is_asked_for_whole_urls_and_tunnels() {
    let record = recorded(file("proxy.txt"), Overrides::default());
    let found = request(&record);
    assert_eq!((found.scheme, found.authority, found.target), ("http", "bank.example", "/rates/eur"));

    let tunnel = "* Connected to proxy.example (192.0.2.3) port 3128\n* CONNECT tunnel: HTTP/1.1 negotiated\n\
                  > CONNECT bank.example:443 HTTP/1.1\n> Host: bank.example:443\n> \n< HTTP/1.1 200 OK\n< \n\
                  * CONNECT tunnel established, response 200\n* SSL connection using TLSv1.3\n> GET /a HTTP/1.1\n\
                  > Host: bank.example\n> \n";
    let record = recorded(tunnel, Overrides::default());
    let found = request(&record);
    assert_eq!(
        (found.scheme, found.authority, found.target, found.upgrade),
        ("https", "bank.example", "/a", false)
    );
    let record = recorded(tunnel, entry(1));
    let found = request(&record);
    assert_eq!((found.authority, found.target, found.upgrade), ("bank.example:443", "", true));
}

#[test]
fn only_the_lines_that_were_sent_suffice() {
    let sent: String = text("http1.txt")
        .lines()
        .filter(|line| line.starts_with('>'))
        .map(|line| format!("{}\n", line.trim_end()))
        .collect();
    let record = recorded(&sent, with_body());
    assert_transfer(&request(&record), "http");
    let cut = sent.trim_end_matches(">\n");
    let record = recorded(cut, with_body());
    verified(&request(&record)).unwrap();
    assert!(record.notes().iter().any(|note| note.contains("no empty line")), "{:?}", record.notes());
}

#[test]
fn what_is_wrong_with_the_request_is_said_as_the_server_would() {
    let with = |line: &str| format!("> GET / HTTP/1.1\n> Host: a.example\n> {line}\n> \n");
    let two_hosts = recorded(with("host: b.example"), Overrides::default());
    assert_eq!(
        (denial(&two_hosts).code, &*denial(&two_hosts).detail),
        (Code::RequestMalformed, "Host or :authority is not a host with an optional port")
    );
    for line in ["a b: c", ": c", "a\u{e9}: c", "a: b\u{1}c", "content-length: 1x"] {
        assert_eq!(
            denial(&recorded(with(line), Overrides::default())).code,
            Code::RequestMalformed,
            "{line}"
        );
    }
    let many = "a: b\n> ".repeat(300);
    assert_eq!(
        denial(&recorded(with(&many[..many.len() - 3]), Overrides::default())).code,
        Code::RequestMalformed
    );
    let upgrade = recorded(with("Upgrade: h2c"), Overrides::default());
    assert!(request(&upgrade).upgrade);
}

#[test]
fn what_is_no_header_is_named_with_its_line() {
    let text = "> GET / HTTP/1.1\n> Host: a.example\n> no colon here\n> \n";
    assert_eq!(
        problem(text, Overrides::default()),
        "record: line 3: expected a header as Name: value, but found \"no colon here\""
    );
    let text = b"> GET /\xFF HTTP/1.1\n> Host: a.example\n> \n";
    assert_eq!(problem(text, Overrides::default()), "record: line 1: the target is not UTF-8");
    // A line's end is the end of it, also on Windows; no other control character is.
    let text = "> GET / HTTP/1.1\r\r\n> Host: a.example\r\r\n> a: b\r\r\n> \r\r\n";
    assert_eq!(lines(&request(&recorded(text, Overrides::default())), "a"), ["b"]);
    let text = "> GET / HTTP/1.1\n> Host: a.example\n> a: b\u{c}\n> \n";
    assert_eq!(denial(&recorded(text, Overrides::default())).code, Code::RequestMalformed);
    // A value may be any bytes.
    let text = b"> GET / HTTP/1.1\n> Host: a.example\n> a: \xFF\n> \n";
    let record = recorded(text, Overrides::default());
    assert_eq!(request(&record).fields.lines("a").collect::<Vec<_>>(), [b"\xFF"]);
}

#[test]
fn no_message_tells_a_password() {
    let line = "> GET http://alice:secret@bank.example/ HTTP/1.1\n> Host: bank.example\n> \n";
    for record in [line.to_owned(), line.repeat(2)] {
        let refused = problem(record, Overrides { entry: Some(1), ..Overrides::default() });
        assert!(!refused.contains("secret"), "{refused:?}");
    }
    let listed = problem(line, Overrides { entry: Some(3), ..Overrides::default() });
    assert!(listed.contains("GET http://bank.example/") && !listed.contains("secret"), "{listed:?}");
}
