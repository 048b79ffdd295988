//! What the proxy sends at once does not decide how much memory the relay takes.

use std::sync::Arc;

use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use proof_messenger_relay::envoy::client::answer;
use tonic::transport::Endpoint;

use crate::support::ask::{Ask, code};
use crate::support::program::{Serving, program};

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
