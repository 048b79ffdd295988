//! Three relays behind one Envoy, under steady load. One after another goes away.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::support::ask::{Ask, signing};
use crate::support::backend::Backend;
use crate::support::client;
use crate::support::envoy::{Edit, Envoy, EnvoySetup};
use crate::support::program::{Serving, program};
use crate::support::signer::{Signer, trust_store};
use crate::support::slow_relay::{SlowRelay, serve};
use crate::support::{LOOK_AGAIN, PATIENCE, shell};

const RELAYS: usize = 3;
const CLIENTS: usize = 8;

/// Relays by one configuration, each on a port of its own.
struct Replicas {
    folder: TempDir,
    ports: [u16; RELAYS],
    relays: Vec<Serving>,
}

impl Replicas {
    fn start(alice: &Signer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("people.jwks.json"), trust_store(&[alice]).to_string()).unwrap();
        let settings = json!({
            "keys": [{"file": "people.jwks.json"}],
            "policies": [{"name": "transfers", "match": {}}],
            "drain": {"delay": "2s"},
            "log": {"level": "warn"},
        });
        std::fs::write(folder.path().join("relay.yaml"), settings.to_string()).unwrap();
        let mut replicas =
            Self { folder, ports: [(); RELAYS].map(|()| shell::free_port()), relays: Vec::new() };
        replicas.relays = replicas.ports.iter().map(|port| replicas.serve(*port)).collect();
        replicas
    }

    fn serve(&self, port: u16) -> Serving {
        let listen = format!("127.0.0.1:{port}");
        // What it says of where it listens is information.
        let arguments = [
            "serve",
            "--config",
            "relay.yaml",
            "--listen",
            &listen,
            "--admin",
            "127.0.0.1:0",
            "--log-level",
            "info",
        ];
        Serving::start(program(self.folder.path(), &arguments))
    }

    /// Envoy with the pieces of the README.
    async fn envoy(&self, backend: &Backend) -> Envoy {
        self.envoy_with(backend, "30s").await
    }

    async fn envoy_with(&self, backend: &Backend, timeout: &'static str) -> Envoy {
        let [first, second, third] = self.ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let mut setup = EnvoySetup::new(first, backend.address());
        setup.relay_timeout = timeout;
        let cluster = "  - name: relay\n    type: STATIC\n";
        let checks = example("    health_checks:").replace("1s", "0.2s");
        setup.edits.push((cluster, format!("{cluster}{checks}")));
        let endpoints = "      cluster_name: relay\n      endpoints:\n      - lb_endpoints:\n";
        let endpoint = |at: SocketAddr| {
            format!(
                "        - endpoint: {{address: {{socket_address: {{address: {}, port_value: {}}}}}}}\n",
                at.ip(),
                at.port()
            )
        };
        setup.edits.push((endpoints, format!("{endpoints}{}{}", endpoint(second), endpoint(third))));
        setup.edits.push(retry_policy(timeout));
        Envoy::start(setup).await
    }

    /// Checks that this one answered.
    async fn answered(&self, at: usize) -> f64 {
        let admin = self.relays[at].listening["admin"].as_str().unwrap().parse().unwrap();
        let text = crate::support::relay::ask_admin(admin, "GET", "/metrics").await.text();
        let series = "proof_messenger_checks_total{decision=\"allow\",code=\"none\",policy=\"transfers\"} ";
        text.lines().find_map(|line| line.strip_prefix(series)?.parse().ok()).unwrap_or_default()
    }

    /// Waits until it is asked again.
    async fn until_asked(&self, at: usize) {
        let before = self.answered(at).await;
        let asked = async {
            while self.answered(at).await < before + 5.0 {
                sleep(LOOK_AGAIN).await;
            }
        };
        timeout(PATIENCE, asked).await.expect("requests");
    }
}

/// What the README shows in its section about replicas, by how it begins.
fn example(begins: &str) -> String {
    let readme = include_str!("../README.md");
    let section = readme.split_once("\n## More than one replica\n").unwrap().1.split_once("\n## ").unwrap().0;
    let examples = section.split("```yaml\n").skip(1).map(|rest| rest.split_once("```").unwrap().0);
    examples.filter(|example| example.starts_with(begins)).collect()
}

/// The README's, for a filter that waits this long.
fn retry_policy(timeout: &str) -> Edit {
    let policy = example("                retry_policy:");
    let shipped = format!("max_interval: {}", EnvoySetup::SHIPPED_TIMEOUT);
    assert!(policy.contains(&shipped), "{policy}");
    let service = "                envoy_grpc: {cluster_name: relay}\n";
    (service, format!("{service}{}", policy.replace(&shipped, &format!("max_interval: {timeout}"))))
}

/// A request that somebody signs now.
fn signed(signer: &Signer) -> Ask {
    let request = Ask::get("/transfers/7").for_envoy();
    let signing = proof_messenger_relay::signer::Signing {
        created: Some(request.created),
        ..signing("sig", &["@method", "@target-uri"])
    };
    request.signed_as(signer, &signing)
}

/// Clients that send signed requests until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    /// What was answered instead of what the backend says.
    failed: Arc<Mutex<Vec<String>>>,
    passed: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(envoy: SocketAddr, alice: &Arc<Signer>) -> Self {
        let (stop, failed, passed) = (Arc::default(), Arc::default(), Arc::default());
        let mut load = Self { stop, failed, passed, clients: Vec::new() };
        for _ in 0..CLIENTS {
            let alice = Arc::clone(alice);
            let (stop, failed, passed) =
                (Arc::clone(&load.stop), Arc::clone(&load.failed), Arc::clone(&load.passed));
            load.clients.push(tokio::spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    let answer = client::http1(envoy, &signed(&alice).http1()).await;
                    if answer.status == 200 {
                        passed.fetch_add(1, Ordering::SeqCst);
                    } else {
                        let headers = &answer.headers;
                        let text = format!("{} {headers:?} {}", answer.status, answer.text());
                        failed.lock().unwrap().push(text);
                    }
                    // Steady, and not all that the machine can do.
                    sleep(Duration::from_millis(5)).await;
                }
            }));
        }
        load
    }

    async fn until_passed(&self, more: usize) {
        let enough = self.passed.load(Ordering::SeqCst) + more;
        let passed = async {
            while self.passed.load(Ordering::SeqCst) < enough {
                sleep(LOOK_AGAIN).await;
            }
        };
        timeout(PATIENCE, passed).await.expect("requests that pass");
    }

    fn failed(&self) -> usize {
        self.failed.lock().unwrap().len()
    }

    /// What failed, and how many passed.
    async fn stop(self) -> (Vec<String>, usize) {
        self.stop.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.await.unwrap();
        }
        let failed = std::mem::take(&mut *self.failed.lock().unwrap());
        (failed, self.passed.load(Ordering::SeqCst))
    }
}

async fn under_load() -> (Replicas, Backend, Envoy, Load) {
    let alice = Arc::new(Signer::ed25519("alice"));
    let replicas = Replicas::start(&alice);
    let backend = Backend::start().await;
    let envoy = replicas.envoy(&backend).await;
    let load = Load::start(envoy.address(), &alice);
    (replicas, backend, envoy, load)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_loses_no_request() {
    let (mut replicas, _backend, _envoy, load) = under_load().await;
    for at in 0..RELAYS {
        replicas.until_asked(at).await;
        replicas.relays[at].signal(Signal::TERM);
        let stand_in = Serving::start(idle(&replicas));
        let mut stopping = std::mem::replace(&mut replicas.relays[at], stand_in);
        assert!(tokio::task::spawn_blocking(move || stopping.wait()).await.unwrap().success());
        replicas.relays[at] = replicas.serve(replicas.ports[at]);
        replicas.until_asked(at).await;
    }
    let (failed, passed) = load.stop().await;
    assert!(failed.is_empty(), "beside {passed} that passed: {failed:#?}");
    assert!(passed > 500, "{passed}");
}

/// Stands in for one that is away.
fn idle(replicas: &Replicas) -> std::process::Command {
    program(replicas.folder.path(), &["serve", "--listen", "127.0.0.1:0"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_killed_takes_what_is_in_flight_there_and_nothing_else() {
    let (mut replicas, _backend, _envoy, load) = under_load().await;
    for at in 0..RELAYS {
        replicas.until_asked(at).await;
    }
    replicas.relays[0].kill();
    load.until_passed(200).await;
    let in_flight = load.failed();
    // Each client has one request at a time, and each of Envoy's workers a connection whose end it has to notice.
    let workers = std::thread::available_parallelism().unwrap().get();
    assert!(in_flight <= CLIENTS * workers, "{in_flight}");
    load.until_passed(500).await;
    let (failed, _) = load.stop().await;
    assert_eq!(failed.len(), in_flight, "of later ones none: {failed:#?}");
}

/// Envoy's own pause before a retry is longer than the filter has: then more fails than what was in flight.
#[tokio::test(flavor = "multi_thread")]
async fn one_client_loses_one_request_at_most_when_a_relay_is_killed() {
    let alice = Arc::new(Signer::ed25519("alice"));
    let mut replicas = Replicas::start(&alice);
    let backend = Backend::start().await;
    let envoy = replicas.envoy_with(&backend, EnvoySetup::SHIPPED_TIMEOUT).await;
    for at in 0..RELAYS {
        let mut failed = 0;
        for sent in 0..60 {
            if sent == 10 {
                replicas.relays[at].kill();
            }
            let answer = client::http1(envoy.address(), &signed(&alice).http1()).await;
            failed += usize::from(answer.status != 200);
        }
        assert!(failed <= 1, "{failed}");
        replicas.relays[at] = replicas.serve(replicas.ports[at]);
        // Envoy looks whether it is there again.
        while client::http1(envoy.address(), &signed(&alice).http1()).await.status != 200
            || replicas.answered(at).await < 1.0
        {}
    }
}

/// The longest pause before a retry is Envoy's limit for every try, too.
#[tokio::test]
async fn the_retry_policy_leaves_a_check_all_the_time_that_the_filter_has() {
    let alice = Signer::ed25519("alice");
    let relay = SlowRelay::new(r#"{"policies": [{"name": "all", "match": {}}]}"#, &[&alice]);
    let backend = Backend::start().await;
    let mut setup = EnvoySetup::new(serve(relay.service.clone()).await, backend.address());
    setup.relay_timeout = EnvoySetup::SHIPPED_TIMEOUT;
    setup.edits.push(retry_policy(EnvoySetup::SHIPPED_TIMEOUT));
    let envoy = Envoy::start(setup).await;

    // The store does not answer, so the filter's time is up at some point. Envoy tells the relay of it (grpc-timeout), and
    // either of them may be the first to give up.
    let began = Instant::now();
    assert_eq!(client::http1(envoy.address(), &signed(&alice).http1()).await.status, 503);
    assert!(began.elapsed() > Duration::from_millis(400), "{:?}", began.elapsed());
    assert_eq!(envoy.stat("cluster.relay.upstream_rq_per_try_timeout").await, 0);
}
