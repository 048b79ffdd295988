//! What makes the relay reload, what it takes, and what it leaves.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Reloading, policy, settings, write};
use crate::support::LOOK_AGAIN;
use crate::support::signer::{Signer, trust_store};

/// By then a key that was taken out of the trust store no longer works.
const REVOKED_WITHIN: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_taken_out_stops_working_within_two_seconds() {
    let (alice, bob) = (Signer::ed25519("alice"), Signer::ed25519("bob"));
    let mut relay = Reloading::start(&settings(&policy("one")), &[&alice, &bob]).await;
    assert_eq!(relay.decides(&bob).await, "one");
    let changed = Instant::now();
    relay.write_keys(&[&alice]);
    while relay.decides(&bob).await != "key-unknown" {
        assert!(changed.elapsed() < REVOKED_WITHIN);
    }
    assert_eq!(relay.decides(&alice).await, "one");
    let line = relay.outcome();
    assert_eq!(line["message"], "reloaded");
    assert_eq!((&line["key_changes"], &line["policy_changes"]), (&json!("removed bob"), &json!("none")));
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_policies_decide_without_a_restart() {
    let alice = Signer::ed25519("alice");
    let mut relay = Reloading::start(&settings(&policy("one")), &[&alice]).await;
    assert_eq!(relay.decides(&alice).await, "one");
    relay.write_settings(&settings(&policy("two")));
    assert_eq!(relay.outcome()["policy_changes"], "added two; removed one");
    assert_eq!(relay.decides(&alice).await, "two");
    relay.write_settings(&settings(&json!([{"name": "two", "match": {}, "proof": {"roles": ["clerk"]}}])));
    assert_eq!(relay.outcome()["policy_changes"], "changed two");
    assert_eq!(relay.decides(&alice).await, "signer-not-permitted");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubernetes_swaps_a_link_to_a_folder() {
    let alice = Signer::ed25519("alice");
    let folder = tempfile::tempdir().unwrap();
    let version = |name: &str, of_policy: &str| {
        let version = folder.path().join(name);
        fs::create_dir(&version).unwrap();
        fs::write(version.join("relay.yaml"), settings(&policy(of_policy)).to_string()).unwrap();
        fs::write(version.join("people.jwks.json"), trust_store(&[&alice]).to_string()).unwrap();
        symlink(name, folder.path().join("..data_tmp")).unwrap();
        fs::rename(folder.path().join("..data_tmp"), folder.path().join("..data")).unwrap();
    };
    version("..2026_01", "one");
    for name in ["relay.yaml", "people.jwks.json"] {
        symlink(format!("..data/{name}"), folder.path().join(name)).unwrap();
    }
    let data = folder.path().join("..data");
    version("..2026_02", "two");
    assert!(data.join("relay.yaml").exists());
    let mut relay = Reloading::serve(folder, "relay.yaml").await;
    assert_eq!(relay.decides(&alice).await, "two");
    let folder = relay.folder.path();
    let next = folder.join("..2026_03");
    fs::create_dir(&next).unwrap();
    fs::write(next.join("relay.yaml"), settings(&policy("three")).to_string()).unwrap();
    fs::write(next.join("people.jwks.json"), trust_store(&[&alice]).to_string()).unwrap();
    symlink("..2026_03", folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), data).unwrap();
    fs::remove_dir_all(folder.join("..2026_02")).unwrap();
    assert_eq!(relay.outcome()["policy_changes"], "added three; removed two");
    assert_eq!(relay.decides(&alice).await, "three");
}

/// J6: whatever is wrong with the files, the last good version decides.
#[tokio::test(flavor = "multi_thread")]
async fn j6_a_broken_version_changes_nothing_and_is_said_once() {
    let (alice, bob) = (Signer::ed25519("alice"), Signer::ed25519("bob"));
    let mut relay = Reloading::start(&settings(&policy("one")), &[&alice]).await;
    relay.write("relay.yaml", "policies: [{name: two, mtach: {}}]");
    let line = relay.outcome();
    assert_eq!(line["message"], "not reloaded: the last good version stays in force");
    let problem = line["problem"].as_str().unwrap();
    assert!(problem.starts_with("relay.yaml:1:24: ") && problem.contains("mtach"), "{problem}");
    assert_eq!(relay.decides(&alice).await, "one");
    // Keys are taken all the same: a mistake in a policy must keep no key in force.
    relay.write_keys(&[&bob]);
    assert_eq!(relay.outcome()["key_changes"], "added bob; removed alice");
    assert_eq!(relay.decides(&alice).await, "key-unknown");
    assert_eq!(relay.decides(&bob).await, "one");
    // A broken trust store keeps its last good version, and the policies that came with it out.
    relay.write("people.jwks.json", "{\"keys\": [{\"kty\": \"oct\", \"k\": \"AAAA\"}]}");
    let problem = relay.outcome()["problem"].as_str().unwrap().to_owned();
    assert!(problem.contains("people.jwks.json: keys[0]: "), "{problem}");
    relay.write_settings(&settings(&policy("three")));
    relay.hang_up();
    assert!(relay.outcome()["problem"].as_str().unwrap().contains("people.jwks.json"));
    assert_eq!(relay.decides(&bob).await, "one");
    relay.write_keys(&[&alice]);
    let line = relay.outcome();
    assert_eq!(line["policy_changes"], "added three; removed one");
    assert_eq!(relay.decides(&alice).await, "three");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_gone_changes_nothing() {
    let alice = Signer::ed25519("alice");
    let mut relay = Reloading::start(&settings(&policy("one")), &[&alice]).await;
    for name in ["people.jwks.json", "relay.yaml"] {
        let path = relay.folder.path().join(name);
        let text = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        relay.hang_up();
        assert!(relay.outcome()["problem"].as_str().unwrap().contains(name));
        assert_eq!(relay.decides(&alice).await, "one");
        fs::write(&path, text).unwrap();
        let message = relay.outcome()["message"].clone();
        assert_eq!(message, "nothing to reload: the files are again those that are in force");
    }
}

/// Whoever can touch one file must not keep the revocation of a key in another one out.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_never_comes_to_rest_keeps_no_key_in_force() {
    let (alice, bob) = (Signer::ed25519("alice"), Signer::ed25519("bob"));
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("keys")).unwrap();
    let path = |name: &str| folder.path().join("keys").join(name);
    let (of_alice, of_bob) = (path("alice.jwks.json"), path("bob.jwks.json"));
    fs::write(&of_alice, trust_store(&[&alice]).to_string()).unwrap();
    fs::write(&of_bob, trust_store(&[&bob]).to_string()).unwrap();
    let settings = json!({
        "listen": "127.0.0.1:0", "keys": [{"file": "keys/*.jwks.json"}], "policies": policy("one"),
    });
    fs::write(folder.path().join("relay.yaml"), settings.to_string()).unwrap();
    let text = trust_store(&[&alice]).to_string();
    let mut relay = Reloading::serve(folder, "relay.yaml").await;
    let stop = Arc::new(AtomicBool::new(false));
    let (stopped, touched) = (Arc::clone(&stop), of_alice.clone());
    let touching = std::thread::spawn(move || {
        while !stopped.load(Ordering::SeqCst) {
            write(&touched, &text);
            std::thread::sleep(LOOK_AGAIN);
        }
    });
    fs::remove_file(of_bob).unwrap();
    let removed = relay.outcome();
    stop.store(true, Ordering::SeqCst);
    touching.join().unwrap();
    assert_eq!(removed["key_changes"], "removed bob");
    assert_eq!(relay.decides(&bob).await, "key-unknown");
    assert_eq!(relay.decides(&alice).await, "one");
}

/// A pipe that nobody writes to would hold every later change up.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_file_is_not_waited_for() {
    let (alice, bob) = (Signer::ed25519("alice"), Signer::ed25519("bob"));
    let mut relay = Reloading::start(&settings(&policy("one")), &[&alice]).await;
    let path = relay.folder.path().join("people.jwks.json");
    fs::remove_file(&path).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::from(0o600)).unwrap();
    assert!(relay.outcome()["problem"].as_str().unwrap().contains("expected a regular file"));
    relay.write_keys(&[&bob]);
    assert_eq!(relay.outcome()["key_changes"], "added bob; removed alice");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_restart_is_refused_by_name() {
    let alice = Signer::ed25519("alice");
    let mut relay = Reloading::start(&settings(&policy("one")), &[&alice]).await;
    let mut other = settings(&policy("two"));
    other["enforcement_point"] = json!("gateway");
    other["limits"] = json!({"labels": 4});
    relay.write_settings(&other);
    relay.hang_up();
    let expected = "relay.yaml: a change of enforcement_point, limits needs a restart";
    assert_eq!(relay.outcome()["problem"], expected);
    assert_eq!(relay.decides(&alice).await, "one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_without_a_change_says_so_and_is_no_end() {
    let alice = Signer::ed25519("alice");
    let mut relay = Reloading::start(&settings(&policy("one")), &[&alice]).await;
    relay.hang_up();
    assert_eq!(relay.outcome()["message"], "nothing to reload: no file changed");
    assert_eq!(relay.decides(&alice).await, "one");
}

/// Decisions name the configuration that they were made under, and the log tells when it changed.
#[tokio::test(flavor = "multi_thread")]
async fn evidence_tells_of_each_change() {
    let alice = Signer::ed25519("alice");
    let evidence = json!({"file": "evidence.jsonl"});
    let recording = crate::support::recording::Recording::new(&evidence, &policy("one"), &[&alice]);
    let folder = recording.folder().to_owned();
    let mut config: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.join("relay.yaml")).unwrap()).unwrap();
    let relay = crate::support::program::Serving::start(recording.serve());
    let client = crate::support::recording::connect(&relay.address).await;
    let mut relay = Reloading { relay, client, folder: tempfile::tempdir().unwrap() };
    assert_eq!(relay.decides(&alice).await, "one");
    config["policies"] = policy("two");
    super::write(&folder.join("relay.yaml"), &config.to_string());
    relay.outcome();
    assert_eq!(relay.decides(&alice).await, "two");
    assert!(relay.relay.stop().success());
    let records = recording.records("evidence.jsonl");
    let types: Vec<&str> = records.iter().map(|record| record["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["start", "decision", "start", "decision"]);
    assert_eq!(records[0]["config"], records[1]["config"]);
    assert_ne!(records[1]["config"], records[2]["config"]);
    assert_eq!(records[2]["config"], records[3]["config"]);
    assert_eq!(records[0]["keys"], records[2]["keys"]);
    recording.is_sound(&["evidence.jsonl"]);
}
