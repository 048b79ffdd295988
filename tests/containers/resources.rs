//! A small container is enough: 128 MiB of memory without swap, and half a processor.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::service::auth::v3::CheckResponse;
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use proof_messenger_relay::envoy::client::answer;
use proof_messenger_relay::timestamp::{Clock as _, SystemClock};
use tonic::transport::{Channel, Endpoint};

use super::container::{Container, Home, IMAGE, docker};
use crate::support::ask::{Ask, code};
use crate::support::signer::{Signer, trust_store};
use crate::support::{LOOK_AGAIN, PATIENCE};

const SMALL: [&str; 3] = ["--memory=128m", "--memory-swap=128m", "--cpus=0.5"];
/// Requests at a time, each over a connection of its own.
const CONCURRENT: usize = 64;
const LOAD: Duration = Duration::from_secs(30);
const SETTINGS: &str = "
keys: [{file: people.jwks.json}]
evidence: {key: /home/nonroot/evidence.jwk.json, file: /home/nonroot/evidence.jsonl}
log: {level: warn}
policies:
  - name: transfers
    match: {methods: [POST], path: '/transfers/{account}'}
    proof: {require: [nonce]}
";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the image: tests/containers/run"]
async fn suffice_for_requests_of_a_kilobyte() {
    let relay = Relay::start(1).await;
    let answered = relay.load(1024, LOAD).await;
    assert_eq!(answered.other, 0, "{:?}", answered.first_other);
    relay.report("a trust store of 1 key", &answered);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the image: tests/containers/run"]
async fn suffice_with_a_trust_store_of_ten_thousand_keys() {
    let relay = Relay::start(10_000).await;
    let answered = relay.load(1024, LOAD).await;
    assert_eq!(answered.other, 0, "{:?}", answered.first_other);
    relay.report("a trust store of 10,000 keys", &answered);
}

/// Not all at once: those that find no place are told so, and the relay lives.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the image: tests/containers/run"]
async fn survive_bodies_of_a_megabyte() {
    let relay = Relay::start(1).await;
    let answered = relay.bursts(1024 * 1024, LOAD).await;
    assert!(answered.allowed > 0);
    assert!(answered.first_other.as_deref().is_none_or(|other| other == "overloaded"), "{answered:?}");
    relay.report("bodies of 1 MiB", &answered);
}

/// The limits of the tests above are ones: whoever takes more memory is killed.
#[test]
#[ignore = "needs the image: tests/containers/run"]
fn are_limits() {
    let hog = Container::of(&[&SMALL[..], &["debian:bookworm-slim", "tail", "/dev/zero"]].concat());
    docker(&["wait", hog.id()]);
    assert_eq!(hog.inspect("{{.State.OOMKilled}} {{.State.ExitCode}}"), "true 137");
}

/// A relay in a small container.
struct Relay {
    container: Container,
    signer: Signer,
    _home: Home,
    _configuration: tempfile::TempDir,
}

/// What became of requests.
#[derive(Debug, Default)]
struct Answered {
    allowed: u64,
    other: u64,
    /// A code, or what gRPC says.
    first_other: Option<String>,
    seconds: f64,
}

impl Answered {
    fn count(&mut self, checked: Result<tonic::Response<CheckResponse>, tonic::Status>) {
        let other = match checked {
            Ok(checked) => {
                let answer = answer(checked.into_inner());
                (!answer.allowed).then(|| code(&answer).to_owned())
            }
            Err(status) => Some(status.to_string()),
        };
        match other {
            None => self.allowed += 1,
            Some(other) => {
                self.other += 1;
                self.first_other.get_or_insert(other);
            }
        }
    }
}

impl Relay {
    /// One that trusts so many keys, and keeps evidence.
    async fn start(keys: usize) -> Self {
        let home = Home::new();
        let mounted = home.option();
        let mut make_key = vec!["run", "--rm", &mounted, IMAGE, "keys", "new", "--use", "evidence"];
        make_key.extend(["--name=bank.example/relay", "--private=/home/nonroot/evidence.jwk.json"]);
        docker(&make_key);

        let folder = tempfile::tempdir().unwrap();
        let signers: Vec<Signer> = (0..keys).map(|at| Signer::ed25519(&format!("person-{at}"))).collect();
        let trusted: Vec<&Signer> = signers.iter().collect();
        fs::write(folder.path().join("people.jwks.json"), trust_store(&trusted).to_string()).unwrap();
        fs::write(folder.path().join("relay.yaml"), SETTINGS).unwrap();
        open_to_all(folder.path());
        let configuration = format!("--volume={}:/etc/proof-messenger:ro", folder.path().display());
        let mut options = vec![mounted.as_str(), &configuration];
        options.push("--env=PROOF_MESSENGER_CONFIG=/etc/proof-messenger/relay.yaml");
        options.extend(SMALL);
        let container = Container::relay(&options);
        let signer = signers.into_iter().next_back().unwrap();
        Self { container, signer, _home: home, _configuration: folder }
    }

    /// Connected, once it answers. The engine accepts connections before.
    async fn connect(&self) -> Channel {
        let endpoint = Endpoint::from_shared(self.container.address()).unwrap();
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Ok(channel) = endpoint.connect().await {
                let mut client = AuthorizationClient::new(channel.clone());
                if client.check(Ask::get("/").check_request()).await.is_ok() {
                    return channel;
                }
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        panic!("no answer within {PATIENCE:?}:\n{}", self.container.log());
    }

    async fn clients(&self) -> Vec<AuthorizationClient<Channel>> {
        let mut clients = Vec::new();
        for _ in 0..CONCURRENT {
            clients.push(AuthorizationClient::new(self.connect().await));
        }
        clients
    }

    /// Asks about signed requests with bodies of so many bytes, as many as it answers for so long.
    async fn load(&self, body_bytes: usize, duration: Duration) -> Answered {
        let clients = self.clients().await;
        let transfer = Arc::new(transfer(body_bytes));
        let started = Instant::now();
        let mut loads = tokio::task::JoinSet::new();
        for mut client in clients {
            let (transfer, signer) = (Arc::clone(&transfer), Signer::ed25519(&self.signer.id));
            loads.spawn(async move {
                let mut answered = Answered::default();
                while started.elapsed() < duration {
                    let request = (*transfer).clone().signed(&signer).check_request();
                    answered.count(client.check(request).await);
                }
                answered
            });
        }
        let mut all = Answered::default();
        for answered in loads.join_all().await {
            all.allowed += answered.allowed;
            all.other += answered.other;
            all.first_other = all.first_other.or(answered.first_other);
        }
        self.container.assert_running();
        Answered { seconds: started.elapsed().as_secs_f64(), ..all }
    }

    /// Asks about as many at the same moment, and again when all have been answered.
    async fn bursts(&self, body_bytes: usize, duration: Duration) -> Answered {
        let clients = self.clients().await;
        let transfer = transfer(body_bytes);
        let started = Instant::now();
        let mut all = Answered::default();
        while started.elapsed() < duration {
            let mut burst = tokio::task::JoinSet::new();
            let requests: Vec<_> =
                clients.iter().map(|_| transfer.clone().signed(&self.signer).check_request()).collect();
            for (client, request) in clients.iter().zip(requests) {
                let mut client = client.clone();
                burst.spawn(async move { client.check(request).await });
            }
            burst.join_all().await.into_iter().for_each(|answer| all.count(answer));
        }
        self.container.assert_running();
        Answered { seconds: started.elapsed().as_secs_f64(), ..all }
    }

    /// Prints what it took.
    fn report(&self, subject: &str, answered: &Answered) {
        let process = self.container.process();
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim();
        let Answered { allowed, other, seconds, .. } = answered;
        println!(
            "{subject}: {allowed} allowed, {other} not, {:.0} a second; {:.2} of a processor; at most {resident} resident, \
             and {} MiB in its cgroup, which counts files that the system keeps in memory",
            *allowed as f64 / seconds,
            cpu_time(process).as_secs_f64() / seconds,
            peak_of_cgroup(process) >> 20,
        );
    }
}

fn transfer(body_bytes: usize) -> Ask {
    let mut transfer = Ask::post("/transfers/7", &vec![b'm'; body_bytes]);
    transfer.created = SystemClock.now();
    transfer
}

/// The most memory that the cgroup of a process had, in bytes.
fn peak_of_cgroup(process: u32) -> u64 {
    let cgroups = fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap();
    let of = |controller: &str| {
        cgroups.lines().find_map(|line| line.split_once(controller)).map(|(_, path)| path.to_owned())
    };
    let file = match of(":memory:") {
        Some(path) => format!("/sys/fs/cgroup/memory{path}/memory.max_usage_in_bytes"),
        None => format!("/sys/fs/cgroup{}/memory.peak", of("0::").unwrap()),
    };
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}")).trim().parse().unwrap()
}

/// What a process took of the processor so far.
fn cpu_time(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, stat) = stat.rsplit_once(')').unwrap();
    let ticks = stat.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

/// A temporary folder is for its owner alone, and the image's user is another.
fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
}
