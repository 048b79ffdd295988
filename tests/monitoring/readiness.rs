//! Who asks whether the relay is ready gets the truth.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::support::ask::{Ask, code};
use crate::support::program::{Serving, program, run, stderr, stdout};
use crate::support::publisher::Publisher;
use crate::support::recording::{Recording, ask, connect};
use crate::support::relay::{Relay, admin, ask_admin};
use crate::support::shell;
use crate::support::signer::{Signer, trust_store};
use crate::support::{LOOK_AGAIN, PATIENCE};

fn admin_of(relay: &Serving) -> SocketAddr {
    relay.listening["admin"].as_str().unwrap().parse().unwrap()
}

/// Waits until the gRPC health service says this: 1 is SERVING, 2 NOT_SERVING.
async fn until_health(address: &str, status: i32) {
    let channel = Channel::from_shared(address.to_owned()).unwrap().connect().await.unwrap();
    let mut client = HealthClient::new(channel);
    let asked = async {
        while client.check(HealthCheckRequest::default()).await.unwrap().into_inner().status != status {
            sleep(LOOK_AGAIN).await;
        }
    };
    timeout(PATIENCE, asked).await.expect("the health that is expected");
}

#[tokio::test]
async fn a_relay_that_serves_is_alive_and_ready() {
    let relay = Relay::start("admin: 127.0.0.1:0\npolicies: [{name: signed, match: {}}]", &[]).await;
    let live = admin(&relay, "GET", "/livez").await;
    assert_eq!((live.status, live.text().as_str()), (200, "ok\n"));
    let ready = admin(&relay, "GET", "/readyz").await;
    assert_eq!(ready.status, 200);
    assert_eq!(ready.text(), "policies ok: 1\nkeys ok: 0\nreplay ok: 0 of 900000\n");
}

/// J5: not before it has its keys.
#[tokio::test(flavor = "multi_thread")]
async fn j5_a_relay_is_not_ready_before_its_keys_are_there() {
    let alice = Signer::ed25519("alice");
    let publisher = Publisher::start("").await;
    publisher.publish(503, "");
    let settings = format!(
        "admin: 127.0.0.1:0\nlisten: 127.0.0.1:0\nkeys: [{{url: '{}', cooldown: 0s}}]\npolicies: [{{name: one, match: {{}}}}]",
        publisher.url()
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("relay.yaml"), settings).unwrap();
    let relay = Serving::start(program(folder.path(), &["serve", "--config", "relay.yaml"]));
    let ready = ask_admin(admin_of(&relay), "GET", "/readyz").await;
    assert_eq!(ready.status, 503);
    let line = format!("keys at {} failing: not fetched, or not confirmed for too long\n", publisher.url());
    assert!(ready.text().contains(&line), "{}", ready.text());
    until_health(&relay.address, 2).await;
    publisher.publish(200, &trust_store(&[&alice]).to_string());
    until_health(&relay.address, 1).await;
    assert_eq!(ask_admin(admin_of(&relay), "GET", "/readyz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_written_stands_in_the_way_until_it_can() {
    let policies = json!([{"name": "rates", "match": {"methods": ["GET"]}, "proof": "none"}]);
    let recording = Recording::new(&json!({"file": "evidence.jsonl"}), &policies, &[]);
    recording.set("admin", json!("127.0.0.1:0"));
    let relay = Serving::start(recording.serve_after("trap '' XFSZ; ulimit -S -f 8"));
    until_health(&relay.address, 1).await;
    let mut client = connect(&relay.address).await;
    while code(&ask(&mut client, &Ask::get("/rates/eur")).await.unwrap()).is_empty() {}
    until_health(&relay.address, 2).await;
    let ready = ask_admin(admin_of(&relay), "GET", "/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(
        ready.text().contains("evidence failing: it cannot be written: the log says why\n"),
        "{}",
        ready.text()
    );
    let pid = relay.id().to_string();
    let room = std::process::Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status();
    if !room.is_ok_and(|status| status.success()) {
        eprintln!("PRLIMIT IS MISSING: that the relay is ready when there is room again was not tried.");
        return;
    }
    // Nobody asks it anything in the meantime.
    until_health(&relay.address, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_version_is_told_of_and_stands_in_nobodys_way() {
    let folder = tempfile::tempdir().unwrap();
    let good = "admin: 127.0.0.1:0\nlisten: 127.0.0.1:0\npolicies: [{name: one, match: {}}]";
    let write = |text: &str| std::fs::write(folder.path().join("relay.yaml"), text).unwrap();
    write(good);
    let mut relay = Serving::start(program(folder.path(), &["serve", "--config", "relay.yaml"]));
    let address = admin_of(&relay);
    let reload = |relay: &mut Serving, message: &str| {
        relay.signal(rustix::process::Signal::HUP);
        while !relay.next_line()["message"].as_str().unwrap_or_default().contains(message) {}
    };
    write("policies: 7");
    reload(&mut relay, "not reloaded");
    let metrics = async || ask_admin(address, "GET", "/metrics").await.text();
    let ready = ask_admin(address, "GET", "/readyz").await;
    let line = "policies ok: 1, of the last good version: the log says what is wrong with the new one\n";
    assert_eq!((ready.status, ready.text().contains(line)), (200, true), "{}", ready.text());
    let text = metrics().await;
    assert!(text.contains("proof_messenger_reload_success{what=\"policies\"} 0\n"), "{text}");
    assert!(text.contains("proof_messenger_reload_success{what=\"keys\"} 1\n"), "{text}");
    write(&good.replace("one", "two"));
    reload(&mut relay, "reloaded");
    let text = metrics().await;
    assert!(text.contains("proof_messenger_reload_success{what=\"policies\"} 1\n"), "{text}");
    let failed = "proof_messenger_reloads_total{what=\"policies\",result=\"failure\"} ";
    assert!(text.contains(failed), "{text}");
}

/// The program asks itself, as in a container without a shell.
#[tokio::test(flavor = "multi_thread")]
async fn the_program_says_whether_it_is_ready() {
    let folder = tempfile::tempdir().unwrap();
    let [listen, admin] = [shell::free_port(), shell::free_port()];
    let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
    let policies = "policies: [{name: one, match: {}}]";
    write(
        "both.yaml",
        format!("listen: 0.0.0.0:{listen}\nadmin: 0.0.0.0:{admin}\ndrain: {{delay: 1h}}\n{policies}"),
    );
    write("grpc.yaml", format!("listen: 0.0.0.0:{listen}\n{policies}"));
    let health = |config: &str| run(folder.path(), &["health", "--config", config]);
    for config in ["both.yaml", "grpc.yaml"] {
        let output = health(config);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains("127.0.0.1:"), "{}", stderr(&output));
    }
    let mut relay = Serving::start(program(folder.path(), &["serve", "--config", "both.yaml"]));
    let output = health("both.yaml");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output), "policies ok: 1\nkeys ok: 0\nreplay ok: 0 of 900000\n");
    assert!(health("grpc.yaml").status.success());
    // Who says where it is needs no file that can be read.
    write("broken.yaml", "policies: [".to_owned());
    assert_eq!(health("broken.yaml").status.code(), Some(64));
    let there = format!("127.0.0.1:{admin}");
    let output = run(folder.path(), &["health", "--config", "broken.yaml", "--admin", &there]);
    assert!(output.status.success(), "{}", stderr(&output));
    relay.signal(rustix::process::Signal::TERM);
    while relay.next_line()["message"].as_str().is_none_or(|message| !message.starts_with("draining")) {}
    until_health(&relay.address.replace("0.0.0.0", "127.0.0.1"), 2).await;
    let output = health("both.yaml");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("drain failing: the relay is about to stop"), "{}", stderr(&output));
    let output = health("grpc.yaml");
    assert_eq!((output.status.code(), stderr(&output).trim()), (Some(1), "not ready"));
    assert_eq!(run(Path::new("/"), &["health", "--config", "/nonexistent"]).status.code(), Some(64));
}

/// Whoever opens connections and says nothing takes a place for a while, and nothing from anybody else.
#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_of_the_admin_port_hold_up_nobody_for_long() {
    let relay =
        Relay::start("admin: 127.0.0.1:0\npolicies: [{name: open, match: {}, proof: none}]", &[]).await;
    let address = relay.admin.unwrap();
    let mut silent = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /livez HT").await.unwrap();
        silent.push(stream);
    }
    let answer = crate::support::ask::ask(&relay, Ask::get("/").check_request()).await;
    assert!(answer.allowed);
    let live = timeout(PATIENCE, admin(&relay, "GET", "/livez")).await.expect("an answer");
    assert_eq!(live.status, 200);
    // Neither can those who ask, and do not read the answer.
    let mut deaf = Vec::new();
    for _ in 0..64 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all("GET /metrics HTTP/1.1\r\nhost: relay\r\n\r\n".repeat(400).as_bytes())
            .await
            .unwrap();
        deaf.push(stream);
    }
    let live = timeout(PATIENCE, admin(&relay, "GET", "/livez")).await.expect("an answer");
    assert_eq!(live.status, 200);
    // The first of them was shown the door.
    let mut rest = Vec::new();
    timeout(PATIENCE, silent[0].read_to_end(&mut rest)).await.expect("an end").unwrap();
}

/// Whoever reads the pipe may stop for a while. Nothing fails then, and nothing is written either.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_not_written_in_time_stands_in_the_way_until_it_is() {
    let policies = json!([{"name": "all", "match": {}, "proof": "none"}]);
    let evidence = json!({"stdout": true, "checkpoint": {"interval": "1h"}});
    let recording = Recording::new(&evidence, &policies, &[]);
    recording.set("admin", json!("127.0.0.1:0"));
    let mut command = recording.serve();
    command.stdout(Stdio::piped());
    let mut relay = Serving::start(command);
    let mut client = connect(&relay.address).await;
    // A pipe takes some 64 KiB.
    let long = Ask::get(&format!("/{}", "x".repeat(4000)));
    while code(&ask(&mut client, &long).await.unwrap()).is_empty() {}
    until_health(&relay.address, 2).await;
    let text = ask_admin(admin_of(&relay), "GET", "/metrics").await.text();
    assert!(!text.contains("proof_messenger_evidence_failures_total 0\n"), "{text}");
    let mut records = relay.take_stdout();
    std::thread::spawn(move || std::io::copy(&mut records, &mut std::io::sink()));
    // Nobody asks it anything in the meantime.
    until_health(&relay.address, 1).await;
}

/// Nobody asks a relay that is not ready, so it has to forget by itself what cannot be replayed any more.
#[tokio::test]
async fn a_full_replay_store_stands_in_the_way_until_proofs_run_out() {
    let alice = Signer::ed25519("alice");
    let settings =
        "admin: 127.0.0.1:0\nreplay: {memory: {capacity: 1}}\npolicies: [{name: signed, match: {}}]";
    let relay = Relay::start(settings, &[&alice]).await;
    assert!(Ask::get("/").signed(&alice).of(&relay).await.allowed);
    let full = admin(&relay, "GET", "/readyz").await;
    assert!(full.status == 503 && full.text().contains("replay failing: 1 of 1\n"), "{}", full.text());
    relay.clock.advance(3600);
    let room = admin(&relay, "GET", "/readyz").await;
    assert!(room.status == 200 && room.text().contains("replay ok: 0 of 1\n"), "{}", room.text());
}

/// A relay that goes on with the last good version must not be restarted for the mistake in the new one: it would not start.
#[test]
fn a_mistake_in_the_file_says_nothing_about_a_relay_that_serves() {
    let folder = tempfile::tempdir().unwrap();
    let [listen, admin] = [shell::free_port(), shell::free_port()];
    let path = folder.path().join("relay.yaml");
    let addresses = format!("listen: 127.0.0.1:{listen}\nadmin: 127.0.0.1:{admin}\n");
    std::fs::write(&path, format!("{addresses}policies: [{{name: one, match: {{}}}}]")).unwrap();
    let mut relay = Serving::start(program(folder.path(), &["serve", "--config", "relay.yaml"]));
    std::fs::write(&path, format!("{addresses}policies: nonsense")).unwrap();
    let health = || run(folder.path(), &["health", "--config", "relay.yaml"]);
    let output = health();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("policies ok: 1"), "{}", stdout(&output));
    relay.kill();
    assert_eq!(health().status.code(), Some(1));
    for (text, expected) in [("admin: nowhere", "relay.yaml:1:8: expected"), ("admin: [", "relay.yaml:")] {
        std::fs::write(&path, text).unwrap();
        let output = health();
        assert_eq!(output.status.code(), Some(64), "{}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
}

/// Slow in another way: the request is there, its body never comes, and the answer is not read.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_end_their_requests_do_not_keep_their_places() {
    let relay = Relay::start("admin: 127.0.0.1:0\npolicies: []", &[]).await;
    let address = relay.admin.unwrap();
    let mut slow = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nhost: relay\r\ncontent-length: 100000\r\n\r\n{")
            .await
            .unwrap();
        slow.push(stream);
    }
    let live = timeout(PATIENCE, admin(&relay, "GET", "/livez")).await.expect("an answer");
    assert_eq!(live.status, 200);
}
