//! A witness cosigns what a relay seals: its cosignature stands in the log and in the checkpoint file.

use std::fs;

use serde_json::json;

use crate::support::ask::{Ask, code};
use crate::support::program::Serving;
use crate::support::recording::{Recording, ask, connect};
use crate::support::witness::Witness;

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_cosigns_across_restarts() {
    let policies = json!([{"name": "rates", "match": {}, "proof": "none"}]);
    let recording = Recording::new(&json!({"file": "evidence.jsonl"}), &policies, &[]);
    let key = recording.verifier_key.clone();
    // It has a runtime of its own, which must not end on this one.
    let witness = tokio::task::spawn_blocking(move || Witness::start(&[&key])).await.unwrap();
    let path = recording.path("relay.yaml");
    let mut config: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    config["evidence"]["checkpoint"] = json!({
        "records": 4, "file": "checkpoint.txt",
        "witnesses": [{"url": witness.url(), "key": Witness::key().to_string()}],
    });
    fs::write(&path, config.to_string()).unwrap();
    for start in 1..=2 {
        let mut relay = Serving::start(recording.serve());
        let mut client = connect(&relay.address).await;
        for _ in 0..5 {
            assert_eq!(code(&ask(&mut client, &Ask::get("/rates/eur")).await.unwrap()), "");
        }
        drop(client);
        assert!(relay.stop().success());
        // The last checkpoint is cosigned before the relay ends, after a restart from where the witness stands.
        let checkpoint = fs::read_to_string(recording.path("checkpoint.txt")).unwrap();
        assert_eq!(checkpoint.lines().nth(1), Some(&*(start * 6).to_string()), "{checkpoint}");
        assert_eq!(checkpoint.matches('—').count(), 2, "{checkpoint}");
    }
    let witness_key = Witness::key().to_string();
    recording.is_sound(&["--witness", &witness_key, "--checkpoint", "checkpoint.txt", "evidence.jsonl"]);
    tokio::task::spawn_blocking(move || drop(witness)).await.unwrap();
}
