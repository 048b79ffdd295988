//! What the proxy sends at once does not decide how much memory the relay takes.

use std::sync::Arc;
use std::time::Instant;

use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use http_body_util::StreamBody;
use hyper::Request;
use hyper::body::{Bytes, Frame};
use proof_messenger_relay::envoy::client::answer;
use tokio_stream::StreamExt as _;
use tonic::transport::Endpoint;

use crate::support::PATIENCE;
use crate::support::ask::{Ask, code};
use crate::support::client;
use crate::support::program::{Serving, program};
use crate::support::relay::Relay;

const BODY: usize = 1024 * 1024;
const AT_ONCE: usize = 256;
const CONNECTIONS: usize = 64;

/// Twice as much as fits: each is allowed or refused, and the relay lives on well within its 128 MiB.
#[tokio::test(flavor = "multi_thread")]
async fn many_large_bodies_at_once_stay_within_memory() {
    let folder = tempfile::tempdir().unwrap();
    let settings = "listen: 127.0.0.1:0\npolicies: [{name: open, match: {}, proof: none}]";
    std::fs::write(folder.path().join("relay.yaml"), settings).unwrap();
    let relay = Serving::start(program(folder.path(), &["serve", "--config", "relay.yaml"]));
    let check = Arc::new(Ask::post("/uploads", &vec![b'x'; BODY]).check_request());
    let mut channels = Vec::new();
    for _ in 0..CONNECTIONS {
        channels.push(Endpoint::from_shared(relay.address.clone()).unwrap().connect().await.unwrap());
    }
    let asking = (0..AT_ONCE).map(|at| {
        let (mut client, check) =
            (AuthorizationClient::new(channels[at % CONNECTIONS].clone()), Arc::clone(&check));
        tokio::spawn(async move { client.check((*check).clone()).await })
    });
    let mut allowed = 0;
    for asking in asking.collect::<Vec<_>>() {
        match asking.await.unwrap() {
            Ok(response) => match code(&answer(response.into_inner())) {
                "" => allowed += 1,
                refused => assert_eq!(refused, "overloaded"),
            },
            Err(status) => assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status}"),
        }
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", relay.id())).unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let most: u64 = most.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(most < 96 * 1024, "{most} KiB");
    assert!(allowed > 0);
    println!("{allowed} of {AT_ONCE} allowed, {most} KiB");
}

/// Places are few: whoever takes them and falls silent must not keep the others out.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_fall_silent_hold_up_nobody() {
    let relay = Relay::start("policies: [{name: open, match: {}, proof: none}]", &[]).await;
    // All of a prefix but its last byte; and all places, announced and never filled.
    let announcing = |length: u32| [&[0][..], &length.to_be_bytes()].concat();
    let mut beginnings = vec![vec![0], vec![0, 0, 0]];
    beginnings.extend((0..14).map(|_| announcing(1024 * 1024)));
    let silent: Vec<_> = beginnings
        .into_iter()
        .map(|begin| {
            let frames = tokio_stream::iter([Ok::<_, std::io::Error>(Frame::data(Bytes::from(begin)))]);
            let body = StreamBody::new(frames.chain(tokio_stream::pending()));
            let request =
                Request::post(format!("http://{}/envoy.service.auth.v3.Authorization/Check", relay.address))
                    .header("content-type", "application/grpc")
                    .body(body)
                    .unwrap();
            tokio::spawn(client::http2(relay.address, request))
        })
        .collect();
    let mut client = AuthorizationClient::connect(format!("http://{}", relay.address)).await.unwrap();
    let check = Ask::get("/").check_request();
    let ends = Instant::now() + PATIENCE;
    while client.check(check.clone()).await.is_err() {
        assert!(Instant::now() < ends, "nobody else is answered");
    }
    // They are told, and the relay counts them.
    for silent in silent {
        let answer = silent.await.unwrap().unwrap();
        let status = answer.header("grpc-status").or(answer.trailer("grpc-status"));
        assert!(matches!(status, Some("4" | "8")), "{answer:?}");
    }
}
