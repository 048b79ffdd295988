//! The relay is killed under load, again and again, and goes on with the same file.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use proof_messenger_relay::timestamp::{Clock as _, SystemClock};
use serde_json::json;

use crate::support::ask::{Ask, signing};
use crate::support::program::Serving;
use crate::support::recording::{Recording, ask, connect};
use crate::support::signer::Signer;

const KILLS: usize = 50;
const CLIENTS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_saw_allowed_is_in_the_log_after_every_kill() {
    let alice = Arc::new(Signer::ed25519("alice"));
    // Checkpoints fall between the kills and among the records.
    let evidence = json!({"file": "evidence.jsonl", "checkpoint": {"records": 7, "file": "checkpoint.txt"}});
    let policies = json!([{"name": "transfers", "match": {}}]);
    let recording = Recording::new(&evidence, &policies, &[&alice]);
    let allowed = Arc::new(Mutex::new(HashSet::new()));
    for kill in 0..KILLS {
        let mut relay = Serving::start(recording.serve());
        let seen = Arc::new(AtomicUsize::new(0));
        // Sooner or later: after the first answer, or after many.
        let enough = 1 + kill * 7 % 40;
        let clients = (0..CLIENTS).map(|_| {
            let (alice, address) = (Arc::clone(&alice), relay.address.clone());
            let (allowed, seen) = (Arc::clone(&allowed), Arc::clone(&seen));
            tokio::spawn(async move {
                let mut client = connect(&address).await;
                loop {
                    let now = SystemClock.now();
                    let signing = proof_messenger_relay::signer::Signing {
                        created: Some(now),
                        ..signing("sig", &["@method", "@target-uri"])
                    };
                    let request = Ask::get("/transfers/7").signed_as(&alice, &signing);
                    let Some(answer) = ask(&mut client, &request).await else { return };
                    assert!(answer.allowed, "{answer:?}");
                    allowed.lock().unwrap().insert(answer.metadata["id"].clone());
                    seen.fetch_add(1, Ordering::SeqCst);
                }
            })
        });
        let clients: Vec<_> = clients.collect();
        while seen.load(Ordering::SeqCst) < enough {
            tokio::task::yield_now().await;
        }
        relay.kill();
        for client in clients {
            client.await.unwrap();
        }
    }
    // The last start finds what the last kill left.
    drop(Serving::start(recording.serve()));
    let records = recording.records("evidence.jsonl");
    let recorded: HashSet<String> =
        records.iter().filter_map(|record| Some(record["id"].as_str()?.to_owned())).collect();
    let allowed = allowed.lock().unwrap();
    assert!(allowed.len() > KILLS, "{}", allowed.len());
    assert_eq!(allowed.difference(&recorded).count(), 0);
    assert_eq!(records.iter().filter(|record| record["type"] == "start").count(), KILLS + 1);
    recording.is_sound(&["--checkpoint", "checkpoint.txt", "evidence.jsonl"]);
}
