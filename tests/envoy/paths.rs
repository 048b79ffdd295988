//! Paths that two servers could read differently.

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{EVERYTHING, alice, get};
use crate::support::ask::Ask;
use crate::support::envoy::EnvoySetup;
use crate::support::gateway::Gateway;

/// Each of them is `/admin`, or no path at all, to some server.
const AMBIGUOUS: &[&str] = &[
    "//admin",
    "/public//admin",
    "/public/../admin",
    "/public/./admin",
    "/public/..",
    "/public/%2e%2e/admin",
    "/public/.%2E/admin",
    "/public%2fadmin",
    "/public/..%2Fadmin",
    "/public%5cadmin",
    "/public\\..\\admin",
    "/public/..;/admin",
    "/public;v=1/admin",
    "/admin%00.png",
    "/admin%",
    "/admin%4",
    "/admin%zz",
    "/admin#top",
    "/caf\u{e9}",
];

#[tokio::test]
async fn ambiguous_paths_never_reach_the_backend() {
    let settings =
        "policies: [{name: public, match: {path: '/public/{*rest}'}, proof: none}, {name: rest, match: {}}]";
    for raw_headers in [true, false] {
        let gateway =
            Gateway::start_with(settings, &[&alice()], |setup| setup.raw_headers = raw_headers).await;
        for path in AMBIGUOUS {
            let ask = get(path);
            let ask = if path.is_ascii() { ask.signed(&alice()) } else { ask };
            let answer = gateway.http1(&ask).await;
            assert_eq!(answer.status, 400, "{path}: {}", answer.text());
            // What no client library sends over HTTP/2, ours cannot either.
            if hyper::Uri::try_from(format!("http://bank.example{path}")).is_ok() && !path.contains('#') {
                let answer = gateway.http2(&ask).await;
                assert_eq!(answer.status, 400, "{path} over HTTP/2: {}", answer.text());
            }
        }
        gateway.assert_untouched();
        for path in ["/transfers/%41%7e", "/a.b/..c/.d", "/public/", "/a/?x=//../%2f"] {
            let answer = gateway.http1(&get(path).signed(&alice())).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert_eq!(gateway.last_received().target, path, "it is left as it was signed");
        }
    }
}

/// The reason why the first routes of envoy.yaml stand first.
#[tokio::test]
async fn a_route_that_is_exempt_from_the_relay_is_no_way_around_it() {
    let gateway =
        Gateway::start_with(EVERYTHING, &[&alice()], |setup| setup.edits.push(EnvoySetup::exempt_route()))
            .await;
    // A parameter that belongs to `public` leads nowhere else.
    let leading_out = |path: &&&str| path.starts_with("/public") && !path.starts_with("/public;");
    for path in AMBIGUOUS.iter().filter(leading_out) {
        let answer = gateway.http1(&get(path)).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
    }
    gateway.assert_untouched();
    let asked = gateway.envoy.stat("cluster.relay.upstream_rq_total").await;
    let answer = gateway.http1(&get("/public/rates")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(gateway.envoy.stat("cluster.relay.upstream_rq_total").await, asked, "it is exempt");
}

/// Over HTTP/2 Envoy shows the relay `!` for a byte of the path that is not UTF-8, and forwards the byte.
#[tokio::test]
async fn a_signed_exclamation_mark_never_stands_for_another_byte_of_the_path() {
    for raw_headers in [true, false] {
        let gateway =
            Gateway::start_with(EVERYTHING, &[&alice()], |setup| setup.raw_headers = raw_headers).await;
        let signed = get("/transfers/a!b").signed(&alice());
        for (at, path) in [b"/transfers/a\xffb".as_slice(), b"/transfers/a!b\xff"].into_iter().enumerate() {
            let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
            stream.write_all(&http2_bytes(&signed, path)).await.unwrap();
            let line = gateway.envoy.access_log(at + 1).await.pop().unwrap();
            assert_eq!(line["protocol"], "HTTP/2", "{line}");
            assert_eq!(line["status"], 400, "{line}");
            assert_eq!(line["proof"]["decision"], "deny", "{line}");
        }
        gateway.assert_untouched();
    }
}

/// The frames of a request to this path, which no HTTP/2 library would send.
fn http2_bytes(ask: &Ask, path: &[u8]) -> Vec<u8> {
    let pseudo = [
        (":method", ask.method.as_bytes()),
        (":scheme", ask.scheme.as_bytes()),
        (":authority", ask.authority.as_bytes()),
        (":path", path),
    ];
    let lines = ask.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
    let mut block = Vec::new();
    for (name, value) in pseudo.into_iter().chain(lines) {
        block.push(0); // a literal, which no table remembers (RFC 7541 §6.2.2)
        for text in [name.as_bytes(), value] {
            let mut length = text.len();
            block.push(length.min(127) as u8); // RFC 7541 §5.1
            if length >= 127 {
                length -= 127;
                while length >= 128 {
                    block.push((length % 128 + 128) as u8);
                    length /= 128;
                }
                block.push(length as u8);
            }
            block.extend(text);
        }
    }
    let end_of_stream_and_headers = 0x05;
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend([0, 0, 0, 0x04, 0, 0, 0, 0, 0]); // SETTINGS, none
    bytes.extend(&(block.len() as u32).to_be_bytes()[1..]);
    bytes.extend([0x01, end_of_stream_and_headers, 0, 0, 0, 1]); // HEADERS of stream 1
    bytes.extend(block);
    bytes
}
