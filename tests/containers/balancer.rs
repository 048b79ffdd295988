//! `examples/load-balancer`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::project::Project;
use crate::support::ask::{Ask, code};
use crate::support::recording::{ask, connect};

const CLIENTS: usize = 8;

fn project(name: &'static str) -> Project {
    Project::new(name, "load-balancer", ("RELAY_PORT", 8000))
}

#[test]
#[ignore = "needs the image: tests/containers/run"]
fn shows_what_its_readme_says() {
    project("proof-messenger-balancer").walk();
}

/// What a rolling restart costs behind nginx: at most what is in flight as a connection is closed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the image: tests/containers/run"]
async fn a_restart_costs_no_more_than_what_is_in_flight() {
    let project = project("proof-messenger-restart");
    project.run("docker compose up --detach");
    let address = format!("http://127.0.0.1:{}", project.port);
    crate::support::shell::until_listens(project.port);
    let (stop, failed, passed) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let (address, stop) = (address.clone(), Arc::clone(&stop));
        let (failed, passed) = (Arc::clone(&failed), Arc::clone(&passed));
        clients.push(tokio::spawn(async move {
            let mut client = connect(&address).await;
            while !stop.load(Ordering::SeqCst) {
                let answer = ask(&mut client, &Ask::get("/rates/eur")).await;
                let is_allowed = answer.is_some_and(|answer| code(&answer).is_empty());
                let counter = if is_allowed { &passed } else { &failed };
                counter.fetch_add(1, Ordering::SeqCst);
            }
        }));
    }
    for relay in 1..=3 {
        project.run(&format!(
            "docker compose stop --timeout 30 relay-{relay} && docker compose start relay-{relay}"
        ));
    }
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    let (failed, passed) = (failed.load(Ordering::SeqCst), passed.load(Ordering::SeqCst));
    println!("three relays behind nginx were restarted: {failed} of {} checks failed", failed + passed);
    assert!(failed <= 3 * CLIENTS && passed > 1000, "{failed} failed, {passed} passed");
}
