//! Bodies: of every length, with and without an announced one, and what Envoy shows of them.

use proof_messenger_relay::signer::content_digest;

use super::{EVERYTHING, alice, get, post};
use crate::support::ask::Ask;
use crate::support::client::{self, of_unknown_length};
use crate::support::envoy::EnvoySetup;
use crate::support::gateway::{Gateway, PROTOCOLS, assert_refused, assert_refused_saying};

/// What envoy.yaml and the relay take.
const LIMIT: usize = 1024 * 1024;

async fn gateway() -> Gateway {
    Gateway::start(EVERYTHING, &[&alice()]).await
}

async fn gateway_with(from: &'static str, to: &str) -> Gateway {
    Gateway::start_with(EVERYTHING, &[&alice()], |setup| setup.edits.push((from, to.to_owned()))).await
}

/// Signed, but without a length: the body's end is the end.
fn of_no_announced_length(body: &[u8]) -> Ask {
    post("/transfers/7", body).without("content-length").signed(&alice())
}

#[tokio::test]
async fn bodies_of_every_length_up_to_the_limit_pass() {
    let gateway = gateway().await;
    for protocol in PROTOCOLS {
        for length in [0, 1, 16 * 1024, LIMIT] {
            // Every byte there is, so that no text encoding survives.
            let body: Vec<u8> = (0..length).map(|at| (at % 256) as u8).collect();
            let answer = gateway.send(protocol, &post("/transfers/7", &body).signed(&alice())).await;
            assert_eq!(answer.status, 200, "{protocol:?}, {length} bytes");
            assert!(gateway.last_received().body == body, "{protocol:?}, {length} bytes: the body changed");
        }
    }
}

/// Envoy answers by itself, except where the limit is crossed by the last frame of an HTTP/2 body: then it asks the
/// relay about the part that fits, and the relay answers.
#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let gateway = gateway().await;
    for protocol in PROTOCOLS {
        for length in [LIMIT + 1, 2 * LIMIT] {
            let ask = post("/transfers/7", &vec![b'a'; length]).signed(&alice());
            let answer = gateway.send(protocol, &ask).await;
            assert_eq!(answer.status, 413, "{protocol:?}: {}", answer.text());
        }
    }
    gateway.assert_untouched();
}

#[tokio::test]
async fn a_part_of_a_body_is_refused_when_envoy_sends_parts() {
    let gateway = Gateway::start_with(EVERYTHING, &[&alice()], |setup| {
        let parts = ("allow_partial_message: false", "allow_partial_message: true".to_owned());
        let small = ("max_request_bytes: 1048576", "max_request_bytes: 1024".to_owned());
        setup.edits.extend([parts, small]);
    })
    .await;
    for protocol in PROTOCOLS {
        let ask = post("/transfers/7", &[b'a'; 1025]).signed(&alice());
        assert_refused(&gateway.send(protocol, &ask).await, 413, "body-truncated");
        // The digest of the part proves nothing about the rest.
        let mut ask = post("/transfers/7", &[b'a'; 1024]).without("content-length").signed(&alice());
        ask.body = Some(vec![b'a'; 1025]);
        let ask = ask.header("content-length", "1025");
        assert_refused(&gateway.send(protocol, &ask).await, 413, "body-truncated");
    }
    gateway.assert_untouched();
}

#[tokio::test]
async fn chunked_bodies_pass() {
    let gateway = gateway().await;
    let mut ask = of_no_announced_length(b"{\"amount\": 12}").header("transfer-encoding", "chunked");
    ask.body = Some(b"5\r\n{\"amo\r\n9\r\nunt\": 12}\r\n0\r\n\r\n".to_vec());
    let answer = gateway.http1(&ask).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(gateway.last_received().body, "{\"amount\": 12}");

    let mut empty = of_no_announced_length(b"").header("transfer-encoding", "chunked");
    empty.body = Some(b"0\r\n\r\n".to_vec());
    let answer = gateway.http1(&empty).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(gateway.last_received().body, "");
}

#[tokio::test]
async fn http2_bodies_without_a_length_pass() {
    let gateway = gateway().await;
    for body in ["", "{\"amount\": 12}"] {
        let request = of_no_announced_length(body.as_bytes()).http2().map(|_| of_unknown_length(body));
        let answer = client::http2(gateway.address(), request).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(gateway.last_received().body, body);
        assert!(gateway.last_received().header("x-proof-status") == ["verified"]);
    }
}

#[tokio::test]
async fn a_post_that_says_nothing_of_a_body_is_told_how_to() {
    let gateway = gateway().await;
    let mut ask = get("/transfers/7");
    ask.method = "POST".to_owned();
    let answer = gateway.http1(&ask.clone().signed(&alice())).await;
    assert_refused_saying(&answer, 500, "body-unavailable", "content-length: 0");
    gateway.assert_untouched();
    let answer = gateway.http1(&ask.header("content-length", "0").signed(&alice())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn tampered_bodies_are_refused() {
    let gateway = gateway().await;
    for protocol in PROTOCOLS {
        let signed = post("/transfers/7", b"{\"amount\": 12}").signed(&alice());
        let other = b"{\"amount\": 99}";
        let mut body_changed = signed.clone();
        body_changed.body = Some(other.to_vec());
        let digest_changed = signed.replace("content-digest", content_digest(other));
        let mut both_changed = digest_changed.clone();
        both_changed.body = Some(other.to_vec());

        assert_refused(&gateway.send(protocol, &body_changed).await, 401, "digest-mismatch");
        assert_refused(&gateway.send(protocol, &digest_changed).await, 401, "signature-invalid");
        assert_refused(&gateway.send(protocol, &both_changed).await, 401, "signature-invalid");
        let no_digest = both_changed.without("content-digest");
        assert_refused(&gateway.send(protocol, &no_digest).await, 401, "digest-missing");

        let uncovered = post("/transfers/7", other).signed_covering(&alice(), &["@method", "@target-uri"]);
        assert_refused(&gateway.send(protocol, &uncovered).await, 401, "component-uncovered");
    }
    let mut body_added = get("/transfers/7").signed(&alice()).header("content-length", "2");
    body_added.body = Some(b"{}".to_vec());
    assert_refused(&gateway.http1(&body_added).await, 401, "digest-missing");
    gateway.assert_untouched();
}

#[tokio::test]
async fn without_buffering_no_body_passes_unseen() {
    for raw_headers in [true, false] {
        let gateway = Gateway::start_with(EVERYTHING, &[&alice()], |setup| {
            setup.raw_headers = raw_headers;
            setup.edits.push(EnvoySetup::no_body());
        })
        .await;
        for protocol in PROTOCOLS {
            for mark in [None, Some("false"), Some("true")] {
                let mut ask = post("/transfers/7", b"{}").signed(&alice());
                ask.headers.extend(mark.map(|mark| ("x-envoy-auth-partial-body".to_owned(), mark.into())));
                let answer = gateway.send(protocol, &ask).await;
                assert_refused_saying(&answer, 500, "body-unavailable", "with_request_body");
            }
        }
        let chunked = of_no_announced_length(b"").header("transfer-encoding", "chunked");
        let answer = gateway.http1(&Ask { body: Some(b"0\r\n\r\n".to_vec()), ..chunked }).await;
        assert_refused_saying(&answer, 500, "body-unavailable", "with_request_body");
        gateway.assert_untouched();

        let answer = gateway.http1(&get("/transfers").signed(&alice())).await;
        assert_eq!(answer.status, 200, "there is no body to miss: {}", answer.text());
    }
}

/// envoy.yaml says so of streaming routes: the relay cannot even see whether there is a body.
#[tokio::test]
async fn a_route_without_buffering_needs_a_policy_that_leaves_bodies_free() {
    let settings = "policies: [
        {name: streams, match: {path: '/streams/{*rest}'}, proof: {body: free}},
        {name: rest, match: {}}]";
    let signers = [&alice()];
    let gateway =
        Gateway::start_with(settings, &signers, |setup| setup.edits.push(EnvoySetup::no_body())).await;
    let signed = |target: &str| {
        post(target, b"{}").without("content-digest").signed_covering(&alice(), &["@method", "@target-uri"])
    };
    let answer = gateway.http1(&signed("/streams/1")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_refused(&gateway.http1(&signed("/transfers/1")).await, 500, "body-unavailable");
}

#[tokio::test]
async fn a_body_that_envoy_may_have_altered_is_refused() {
    let gateway = gateway_with("pack_as_bytes: true", "pack_as_bytes: false").await;
    for body in [b"caf\xe9", b"caf!"] {
        let answer = gateway.http1(&post("/transfers/7", body.as_slice()).signed(&alice())).await;
        assert_refused_saying(&answer, 500, "body-unavailable", "pack_as_bytes");
    }
    gateway.assert_untouched();
    let answer = gateway.http1(&post("/transfers/7", b"{}").signed(&alice())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn a_clients_own_mark_of_a_partial_body_changes_nothing() {
    for raw_headers in [true, false] {
        let gateway =
            Gateway::start_with(EVERYTHING, &[&alice()], |setup| setup.raw_headers = raw_headers).await;
        for protocol in PROTOCOLS {
            for mark in ["true", "false", "anything"] {
                let marked = |ask: Ask| ask.header("x-envoy-auth-partial-body", mark);
                for ask in [get("/transfers"), post("/transfers/7", b"{}"), post("/transfers/7", b"")] {
                    let answer = gateway.send(protocol, &marked(ask).signed(&alice())).await;
                    assert_eq!(answer.status, 200, "{protocol:?}, {mark}: {}", answer.text());
                }
                let mut tampered = marked(post("/transfers/7", b"{}")).signed(&alice());
                tampered.body = Some(b"[]".to_vec());
                assert_refused(&gateway.send(protocol, &tampered).await, 401, "digest-mismatch");
            }
        }
    }
}
