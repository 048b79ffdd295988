//! E: replay stores that are full, slow, broken or shared.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use proof_messenger_relay::config::Config;
use proof_messenger_relay::envoy::client::answer;
use proof_messenger_relay::replay::{Claim, MemoryStore, Outcome, ReplayStore, StoreFailure};
use proof_messenger_relay::timestamp::Timestamp;

use super::{SIGNED, denies, passes};
use crate::support::ask::{Ask, code, respond};
use crate::support::relay::{Relay, TestClock};
use crate::support::service::Service;
use crate::support::signer::Signer;

type Claiming<'a> = Pin<Box<dyn Future<Output = Result<Outcome, StoreFailure>> + Send + 'a>>;

/// A store that lets time pass before it says yes.
struct Slow(Arc<TestClock>, u64);

impl ReplayStore for Slow {
    fn claim<'a>(&'a self, _: &'a [Claim], _: Timestamp, _: i64) -> Claiming<'a> {
        self.0.advance(self.1);
        Box::pin(std::future::ready(Ok(Outcome::Claimed)))
    }

    fn fill(&self, _: Timestamp) -> (usize, usize) {
        (0, 1)
    }
}

/// A store that does not answer but panic.
struct Panicking;

impl ReplayStore for Panicking {
    fn claim<'a>(&'a self, _: &'a [Claim], _: Timestamp, _: i64) -> Claiming<'a> {
        Box::pin(async { panic!("a store's mistake") })
    }

    fn fill(&self, _: Timestamp) -> (usize, usize) {
        (0, 1)
    }
}

#[tokio::test]
async fn e4_proof_that_runs_out_while_it_is_checked() {
    let alice = Signer::ed25519("alice");
    // 300 s of max_age and 30 s of skew.
    for (seconds, expected) in [(330, ""), (331, "proof-too-old")] {
        let clock = TestClock::new();
        let store = Arc::new(Slow(clock.clone(), seconds));
        let service = Service::new(SIGNED, &[&alice], clock, store, 1);
        let answer = answer(service.respond(&Ask::get("/").signed(&alice)).await.unwrap());
        assert_eq!(code(&answer), expected, "{answer:?}");
        assert_eq!(answer.allowed, expected.is_empty());
    }
}

#[tokio::test]
async fn e8_full_store() {
    let alice = Signer::ed25519("alice");
    let settings = "replay: {memory: {capacity: 2}}
policies: [{name: signed, match: {}, proof: {max_age: 60s, clock_skew: 0s}}]";
    let relay = Relay::start(settings, &[&alice]).await;
    let first = Ask::get("/").signed(&alice);
    passes(&relay, &first).await;
    passes(&relay, &Ask::get("/").signed(&alice)).await;
    let third = Ask::get("/").signed(&alice);
    let answer = denies(&relay, &third, "replay-store-unavailable").await;
    assert_eq!(answer.status, 503);
    // Envoy is told of an error, not of a denial.
    let response = respond(&relay, third.check_request()).await.unwrap();
    assert_eq!(response.status.unwrap().code, tonic::Code::Unavailable as i32);
    assert!(matches!(response.http_response, Some(HttpResponse::ErrorResponse(_))));
    // Nothing was forgotten to make room, and none of it was used up.
    denies(&relay, &first, "replayed").await;
    relay.clock.advance(60);
    denies(&relay, &third, "replay-store-unavailable").await;
    // A minute longer than it could be replayed, should the clock be set back.
    relay.clock.advance(61);
    let mut later = crate::support::ask::signing("alice", &["@method", "@target-uri"]);
    later.created = Some(crate::support::ask::now(&relay));
    passes(&relay, &Ask::get("/").signed_as(&alice, &later)).await;
}

#[tokio::test]
async fn e8_store_without_room_at_all() {
    let alice = Signer::ed25519("alice");
    let none = format!("replay: {{memory: {{capacity: 0}}}}\n{SIGNED}");
    assert!(Config::parse(&none, "test", Path::new("")).is_err());
    let relay = Relay::start(SIGNED, &[&alice]).await;
    passes(&relay, &Ask::get("/").signed(&alice)).await;
}

#[tokio::test]
async fn e8_broken_store() {
    let alice = Signer::ed25519("alice");
    let service = Service::new(SIGNED, &[&alice], TestClock::new(), Arc::new(Panicking), 1);
    for _ in 0..2 {
        let status = service.respond(&Ask::get("/").signed(&alice)).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::Internal);
        assert!(!status.message().contains("a store's mistake"), "{status}");
        // Its place is free again, and other requests are decided.
        let denied = answer(service.respond(&Ask::get("/")).await.unwrap());
        assert_eq!(code(&denied), "proof-missing");
    }
}

#[tokio::test]
async fn e10_gateway_and_sidecar_check_one_request() {
    let alice = Signer::ed25519("alice");
    let store = Arc::new(MemoryStore::new(10));
    let at = |point: &str| {
        let settings = format!("enforcement_point: {point}\n{SIGNED}");
        Service::new(&settings, &[&alice], TestClock::new(), store.clone(), 1)
    };
    let (gateway, other_gateway, sidecar) = (at("gateway"), at("gateway"), at("sidecar"));
    let honest = Ask::get("/").signed(&alice);
    for (service, expected) in [
        (&gateway, ""),
        (&sidecar, ""),
        (&other_gateway, "replayed"),
        (&sidecar, "replayed"),
        (&gateway, "replayed"),
    ] {
        let answer = answer(service.respond(&honest).await.unwrap());
        assert_eq!(code(&answer), expected, "{answer:?}");
    }
}
