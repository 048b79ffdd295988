//! A thousand reloads under load, one in ten of them broken.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use proof_messenger_relay::timestamp::{Clock as _, SystemClock};
use serde_json::json;

use super::{Reloading, settings};
use crate::support::ask::{Ask, signing};
use crate::support::recording::{ask, connect};
use crate::support::signer::Signer;

const RELOADS: usize = 1000;
const CLIENTS: usize = 4;

/// Alice may always, and by the policy of one version or the next. Mallory's key is in no version; Carol's is in every other.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_reloads_under_load_make_no_wrong_decision_and_drop_no_request() {
    let (alice, carol, mallory) =
        (Arc::new(Signer::ed25519("alice")), Signer::ed25519("carol"), Arc::new(Signer::ed25519("mallory")));
    let version = |number: usize| {
        json!([{"name": if number.is_multiple_of(2) { "even" } else { "odd" }, "match": {"path": "/transfers/{id}"},
            "proof": {"max_age": format!("{}s", 60 + number)}}])
    };
    let mut relay = Reloading::start(&settings(&version(0)), &[&alice, &carol]).await;
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients = (0..CLIENTS).map(|_| {
        let (alice, mallory, address) =
            (Arc::clone(&alice), Arc::clone(&mallory), relay.relay.address.clone());
        let (stop, served) = (Arc::clone(&stop), Arc::clone(&served));
        tokio::spawn(async move {
            let mut client = connect(&address).await;
            let mut policies = BTreeMap::new();
            while !stop.load(Ordering::SeqCst) {
                for signer in [&alice, &mallory] {
                    let signing = proof_messenger_relay::signer::Signing {
                        created: Some(SystemClock.now()),
                        ..signing("sig", &["@method", "@target-uri"])
                    };
                    let request = Ask::get("/transfers/7").signed_as(signer, &signing);
                    let answer = ask(&mut client, &request).await.expect("an answer");
                    assert_eq!(answer.allowed, signer.id == "alice", "{answer:?}");
                    served.fetch_add(1, Ordering::SeqCst);
                    if answer.allowed {
                        *policies.entry(answer.metadata["policy"].clone()).or_insert(0) += 1;
                    } else {
                        assert_eq!(answer.metadata["code"], "key-unknown");
                    }
                }
            }
            policies
        })
    });
    let clients: Vec<_> = clients.collect();
    let mut memory = Vec::new();
    for number in 1..=RELOADS {
        let is_broken = number.is_multiple_of(10);
        if is_broken {
            relay.write("relay.yaml", &settings(&version(number)).to_string().replace("transfers", "{*all}"));
        } else {
            relay.write_settings(&settings(&version(number)));
            let both: &[&Signer] = &[&alice, &carol];
            relay.write_keys(if number.is_multiple_of(2) { both } else { &both[..1] });
        }
        relay.hang_up();
        let expected = if is_broken { "not reloaded" } else { "reloaded" };
        while !relay.outcome()["message"].as_str().unwrap().starts_with(expected) {}
        if number.is_multiple_of(50) {
            let carols = relay.decides(&carol).await;
            assert_eq!(carols, "key-unknown", "the version before the broken one, {}, is odd", number - 1);
            memory.push(resident_kib(relay.relay.id()));
        }
    }
    stop.store(true, Ordering::SeqCst);
    let mut policies = BTreeMap::new();
    for client in clients {
        for (policy, count) in client.await.unwrap() {
            *policies.entry(policy).or_insert(0) += count;
        }
    }
    assert!(served.load(Ordering::SeqCst) > RELOADS, "{policies:?}");
    assert!(policies["even"] > 0 && policies["odd"] > 0, "{policies:?}");
    // Used proofs take some memory, and the allocator some to grow into; versions that are left behind take none.
    let (first, last) = (memory[0], memory[memory.len() - 1]);
    assert!(last < first + 16 * 1024, "resident KiB: {memory:?}");
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}
