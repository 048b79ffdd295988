//! The relay stops without losing anything.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::support::ask::{Ask, code};
use crate::support::program::{Serving, program};
use crate::support::recording::{Recording, ask, connect};

const OPEN: &str = "policies: [{name: open, match: {}, proof: none}]";

fn serve(folder: &tempfile::TempDir, drain: &str) -> Serving {
    let settings = format!("listen: 127.0.0.1:0\ndrain: {drain}\n{OPEN}");
    std::fs::write(folder.path().join("relay.yaml"), settings).unwrap();
    Serving::start(program(folder.path(), &["serve", "--config", "relay.yaml"]))
}

async fn health(address: &str, service: &str) -> i32 {
    let channel = Channel::from_shared(address.to_owned()).unwrap().connect().await.unwrap();
    let request = HealthCheckRequest { service: service.to_owned() };
    HealthClient::new(channel).check(request).await.unwrap().into_inner().status
}

fn until_message(relay: &mut Serving, message: &str) {
    while !relay.next_line()["message"].as_str().unwrap_or_default().starts_with(message) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_drains_it_is_not_ready_and_answers_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut relay = serve(&folder, "{delay: 1h}");
    for service in ["", "envoy.service.auth.v3.Authorization"] {
        assert_eq!(health(&relay.address, service).await, 1, "SERVING");
    }
    let mut before = connect(&relay.address).await;
    relay.signal(Signal::TERM);
    until_message(&mut relay, "draining");
    for service in ["", "envoy.service.auth.v3.Authorization"] {
        assert_eq!(health(&relay.address, service).await, 2, "NOT_SERVING");
    }
    // Whoever has not seen it yet is served, on old connections and new ones.
    let mut after = connect(&relay.address).await;
    for client in [&mut before, &mut after] {
        assert_eq!(code(&ask(client, &Ask::get("/")).await.unwrap()), "");
    }
    // A second signal loses no time.
    relay.signal(Signal::TERM);
    assert!(relay.wait().success());
    assert!(ask(&mut before, &Ask::get("/")).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_delay_ends_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut relay = serve(&folder, "{delay: 1s}");
    relay.signal(Signal::TERM);
    until_message(&mut relay, "draining");
    until_message(&mut relay, "stopping");
    assert!(relay.wait().success());
}

/// A check waits for its record, and the relay is told to stop in the meantime.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_flight_is_answered_and_recorded() {
    let policies = json!([{"name": "open", "match": {}, "proof": "none"}]);
    let recording = Recording::new(&json!({"stdout": true}), &policies, &[]);
    let mut command = recording.serve();
    command.stdout(Stdio::piped());
    let mut relay = Serving::start(command);
    let channel = Channel::from_shared(relay.address.clone()).unwrap().connect().await.unwrap();
    let mut client = connect(&relay.address).await;
    // A pipe that is full: nobody reads yet.
    let long = Ask::get(&format!("/{}", "x".repeat(4000)));
    while code(&ask(&mut client, &long).await.unwrap()).is_empty() {}
    let mut waiting =
        envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient::new(
            channel.clone(),
        );
    let last = Ask::get("/last");
    let mut in_flight = std::pin::pin!(ask(&mut waiting, &last));
    let mut health = HealthClient::new(channel);
    tokio::select! {
        biased;
        _ = &mut in_flight => panic!("it waits for its record"),
        // On the same connection, so the check before it has arrived.
        answer = health.check(HealthCheckRequest::default()) => answer.unwrap(),
    };
    relay.signal(Signal::INT);
    until_message(&mut relay, "stopping");
    let lines = BufReader::new(relay.take_stdout()).lines();
    let read = std::thread::spawn(move || lines.map(Result::unwrap).collect::<Vec<_>>());
    let answer = in_flight.await.expect("an answer");
    assert_eq!(code(&answer), "");
    assert!(relay.wait().success());
    let log = read.join().unwrap();
    let recorded = |line: &String| {
        serde_json::from_str::<Value>(line).unwrap()["evidence"]["id"] == answer.metadata["id"]
    };
    assert!(log.iter().any(recorded));
    // And sealed.
    assert!(log.last().unwrap().starts_with("{\"checkpoint\""), "{log:?}");
}

/// A connection that says nothing and never ends.
#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_end_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let mut relay = serve(&folder, "{timeout: 1s}");
    let address = relay.address.trim_start_matches("http://").to_owned();
    let _silent = TcpStream::connect(address).await.unwrap();
    // Connections are accepted in their order, so the silent one is there.
    assert_eq!(health(&relay.address, "").await, 1);
    relay.signal(Signal::INT);
    // Without a delay there is nothing to say of one.
    let first = relay.next_line();
    assert!(first["message"].as_str().unwrap().starts_with("stopping"), "{first}");
    until_message(&mut relay, "what is still in flight is cut off");
    assert!(relay.wait().success());
}
