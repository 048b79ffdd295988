//! A gRPC backend: calls are HTTP/2 requests with a body whose length is not announced.

use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::{EVERYTHING, alice, post};
use crate::support::ask::Ask;
use crate::support::client::{self, Answer, of_unknown_length};
use crate::support::envoy::EnvoySetup;
use crate::support::gateway::Gateway;

/// One message, not compressed, of five bytes.
const MESSAGE: &[u8] = b"\0\0\0\0\x05\x0a\x03foo";

async fn gateway() -> Gateway {
    Gateway::start_with(EVERYTHING, &[&alice()], |setup| setup.edits.push(EnvoySetup::grpc_backend())).await
}

fn unary() -> Ask {
    post("/bank.v1.Transfers/Make", MESSAGE)
        .without("content-length")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
}

async fn call(gateway: &Gateway, ask: &Ask) -> Answer {
    let body = ask.body.clone().unwrap();
    let request = ask.http2().map(|_| of_unknown_length(body));
    client::http2(gateway.address(), request).await.expect("an answer, and no reset")
}

#[tokio::test]
async fn a_signed_call_passes() {
    let gateway = gateway().await;
    let answer = call(&gateway, &unary().signed(&alice())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.trailer("grpc-status"), Some("0"));

    let received = gateway.last_received();
    assert_eq!(received.version, hyper::Version::HTTP_2);
    assert_eq!(received.body, MESSAGE);
    assert_eq!(received.header("te"), ["trailers"]);
    assert_eq!(received.header("x-proof-subject"), ["alice"]);
}

/// They come after the decision. envoy.yaml says so, and that a backend must not trust them.
#[tokio::test]
async fn no_proof_covers_trailers() {
    let gateway = gateway().await;
    let frames = || {
        let trailers =
            HeaderMap::from_iter([(HeaderName::from_static("x-tenant"), HeaderValue::from_static("7"))]);
        let frames =
            [Ok::<_, std::io::Error>(Frame::data(Bytes::from(MESSAGE))), Ok(Frame::trailers(trailers))];
        StreamBody::new(tokio_stream::iter(frames))
    };
    let send = |ask: Ask| client::http2(gateway.address(), ask.http2().map(|_| frames()));
    let answer = send(unary().signed(&alice())).await.unwrap();
    assert_eq!(answer.trailer("grpc-status"), Some("0"), "{answer:?}");
    assert_eq!(gateway.last_received().trailers["x-tenant"], "7");

    let cover = &["@method", "@target-uri", "content-digest", "x-tenant"];
    let covered = unary().header("x-tenant", "7").signed_covering(&alice(), cover).without("x-tenant");
    let answer = send(covered).await.unwrap();
    assert_eq!(answer.header("grpc-status"), Some("16"), "a trailer is no header: {answer:?}");
    assert_eq!(gateway.received().len(), 1);
}

#[tokio::test]
async fn what_is_not_proven_gets_a_grpc_status() {
    let gateway = gateway().await;
    let unsigned = unary();
    let mut tampered = unary().signed(&alice());
    tampered.body = Some(b"\0\0\0\0\x05\x0a\x03bar".to_vec());
    for ask in [unsigned, tampered] {
        let answer = call(&gateway, &ask).await;
        assert_eq!(answer.status, 200, "gRPC carries its status in a header: {answer:?}");
        assert_eq!(answer.header("grpc-status"), Some("16"), "unauthenticated: {answer:?}");
        assert!(answer.header("accept-signature").is_some(), "{answer:?}");
    }
    gateway.assert_untouched();
}
