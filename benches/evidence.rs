//! What evidence costs: checks per second over gRPC, without evidence and with it: `cargo bench --bench evidence`.
//!
//! Server and client share this process and the machine's cores, so what the client costs is in every number; nothing
//! reads the relay's own log lines. The evidence lies below `target/tmp`. The machine's speed changes from moment to
//! moment, so the subjects take turns: a ratio is that of two turns of one round, and medians are of all rounds.
//!
//! `-- --check` fails where evidence costs more than its goal; `-- --only written` runs one of them, for a profiler.
//! `-- --records 10000000` sends that many records through a log, and fails if memory grows with it.
#![allow(clippy::disallowed_methods)] // a benchmark reads the clock

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64ct::{Base64UrlUnpadded, Encoding as _};
use envoy_types::pb::envoy::config::core::v3::HeaderValue;
use envoy_types::pb::envoy::service::auth::v3::CheckRequest;
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use proof_messenger_relay::config::Config;
use proof_messenger_relay::crypto::{Algorithm, PrivateKey, sha256};
use proof_messenger_relay::envoy::client::check_request;
use proof_messenger_relay::evidence::appender::Appender;
use proof_messenger_relay::evidence::line::Line;
use proof_messenger_relay::evidence::log::Log;
use proof_messenger_relay::evidence::merkle::{CompactRange, leaf_hash};
use proof_messenger_relay::evidence::note::Signer;
use proof_messenger_relay::evidence::record::Record;
use proof_messenger_relay::keys::public_jwk;
use proof_messenger_relay::limits::Limits;
use proof_messenger_relay::request::{Body, Encoding, Field, Fields, Request};
use proof_messenger_relay::server::Server;
use proof_messenger_relay::signer::{Signing, content_digest, sign};
use proof_messenger_relay::timestamp::{Clock as _, SystemClock};
use proof_messenger_relay::verify::{FieldTypes, Message};
use serde_json::json;
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const ROUNDS: usize = 8;
const TURN: Duration = Duration::from_millis(1500);
/// A turn ends early where it has no more of them.
const REQUESTS: usize = 30_000;
const CONCURRENT: usize = 64;
const CONNECTIONS: usize = 4;
const NAME: &str = "bank.example/relay";

/// The subjects: what their configuration has besides, their policy has besides, and how much of the throughput without
/// evidence is left at least, where that is a goal.
const SUBJECTS: [(&str, &str, &str, Option<f64>); 4] = [
    ("without evidence", "", "", None),
    ("written", WRITTEN, "", Some(0.90)),
    ("synced", SYNCED, "", Some(0.70)),
    ("written, with receipts", WRITTEN_WITH_RECEIPTS, ", receipt: {audience: payments}", None),
];
const WRITTEN: &str = "evidence: {key: evidence.jwk.json, file: evidence.jsonl}";
const SYNCED: &str = "evidence: {key: evidence.jwk.json, file: evidence.jsonl, durability: synced}";
const WRITTEN_WITH_RECEIPTS: &str = "evidence: {key: evidence.jwk.json, file: evidence.jsonl}
receipts: {issuer: \"https://relay.bank.example\", keys: [receipts.jwk.json]}";

fn client_key() -> PrivateKey {
    PrivateKey::from_bytes(Algorithm::Ed25519, &sha256(b"a client of this benchmark")).unwrap()
}

/// A private key of the relay's own, as `keys new` writes it.
fn write_key(path: &Path, kid: &str, purpose: &str) {
    let secret = sha256(purpose.as_bytes());
    let mut jwk = public_jwk(&PrivateKey::from_bytes(Algorithm::Ed25519, &secret).unwrap().public());
    jwk.extend([
        ("d".into(), json!(Base64UrlUnpadded::encode_string(&secret))),
        ("kid".into(), json!(kid)),
        ("purpose".into(), json!(purpose)),
    ]);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    serde_json::to_writer(file, &jwk).unwrap();
}

/// A relay that serves, and connections to it.
struct Relay {
    connections: Vec<Channel>,
    folder: TempDir,
}

impl Relay {
    async fn start(settings: &str, of_policy: &str) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let path = |name: &str| folder.path().join(name);
        write_key(&path("evidence.jwk.json"), NAME, "evidence");
        write_key(&path("receipts.jwk.json"), "receipts-2026", "receipt");
        let mut jwk = public_jwk(&client_key().public());
        jwk.extend([
            ("kid".into(), json!("alice-2026")),
            ("sub".into(), json!("alice")),
            ("roles".into(), json!(["clerk"])),
        ]);
        fs::write(path("clients.jwks.json"), json!({"keys": [jwk]}).to_string()).unwrap();
        let policy = format!(
            "{{name: transfers, match: {{hosts: [bank.example], methods: [POST], path: '/transfers/{{account}}'}}, \
             proof: {{cover: ['@method', '@target-uri'], max_age: 1h, require: [nonce], roles: [clerk]}}{of_policy}}}"
        );
        let settings = format!(
            "listen: 127.0.0.1:0\nkeys: [{{file: clients.jwks.json}}]\npolicies: [{policy}]\n{settings}\n"
        );
        let config = Config::parse(&settings, "the benchmark", folder.path())
            .unwrap_or_else(|problems| panic!("{problems}"));
        let server = Server::bind(config, Arc::new(SystemClock)).await.unwrap();
        let endpoint = Endpoint::from_shared(format!("http://{}", server.address())).unwrap();
        tokio::spawn(server.serve(std::future::pending(), std::future::pending()));
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(endpoint.connect().await.unwrap());
        }
        Self { connections, folder }
    }

    fn evidence(&self) -> PathBuf {
        self.folder.path().join("evidence.jsonl")
    }

    /// Asks as much as it can for one turn.
    async fn turn(&self, requests: &Arc<Requests>) -> Turn {
        let next = Arc::new(AtomicUsize::new(0));
        let (started, before) = (Instant::now(), cpu_time());
        let clients = (0..CONCURRENT).map(|at| {
            let mut client = AuthorizationClient::new(self.connections[at % CONNECTIONS].clone());
            let (requests, next) = (Arc::clone(requests), Arc::clone(&next));
            tokio::spawn(async move {
                let mut answered = 0_u32;
                while started.elapsed() < TURN
                    && let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let answer = client.check(request).await.unwrap().into_inner();
                    assert_eq!(answer.status.unwrap().code, 0);
                    answered += 1;
                }
                answered
            })
        });
        let clients: Vec<_> = clients.collect();
        let mut answered = 0;
        for client in clients {
            answered += client.await.unwrap();
        }
        let answered = f64::from(answered);
        Turn {
            rate: answered / started.elapsed().as_secs_f64(),
            cpu: (cpu_time() - before).as_secs_f64() * 1e6 / answered,
        }
    }
}

/// What came of one turn.
#[derive(Clone, Copy)]
struct Turn {
    /// Checks per second.
    rate: f64,
    /// What a check took of the processor, server and client together, in µs.
    cpu: f64,
}

/// Signed requests, each with a nonce of its own: a relay takes each once.
struct Requests {
    unsigned: CheckRequest,
    /// The values of `signature-input` and `signature`.
    signatures: Vec<[String; 2]>,
}

impl Requests {
    fn sign(round: usize, count: usize) -> Self {
        let body =
            format!("{{\"amount\":120,\"currency\":\"EUR\",\"memo\":\"{}\"}}", "m".repeat(983)).into_bytes();
        assert_eq!(body.len(), 1024);
        let digest = content_digest(&body);
        let token = format!("Bearer {}", "t".repeat(200));
        let lines = [
            ("user-agent", "bank-client/3.2 (linux)"),
            ("accept", "application/json"),
            ("accept-encoding", "gzip, br"),
            ("content-type", "application/json"),
            ("content-length", "1024"),
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-proto", "https"),
            ("x-request-id", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
            ("authorization", &token),
            ("content-digest", &digest),
        ];
        let limits = Limits::default();
        let lines = lines.iter().map(|(name, value)| Field { name, value: value.as_bytes() }).collect();
        let mut request =
            Request::new("POST", "https", "bank.example", "/transfers/DE02120300000000202051?on=2026-11-23");
        request.fields = Fields::new(lines, Encoding::Raw, &limits).unwrap();
        request.body = Body::Complete(&body);
        let (field_types, key) = (FieldTypes::default(), client_key());
        let message = Message::new(&request, &field_types);
        let created = SystemClock.now();
        let signatures = (0..count).map(|at| {
            let signing = Signing {
                label: "sig".into(),
                cover: ["@method", "@target-uri", "content-digest"].map(Into::into).into(),
                created: Some(created),
                expires: None,
                nonce: Some(format!("Jw4HYQ1Tu0x-{round:02}-{at:06}")),
                tag: None,
                alg: None,
            };
            let fields = sign(&message, &key, "alice-2026", &signing, &limits).unwrap();
            [fields.signature_input, fields.signature]
        });
        Self { unsigned: check_request(&request), signatures: signatures.collect() }
    }

    fn get(&self, at: usize) -> Option<CheckRequest> {
        let [signature_input, signature] = self.signatures.get(at)?;
        let mut request = self.unsigned.clone();
        let http = request.attributes.as_mut()?.request.as_mut()?.http.as_mut()?;
        let header = |key: &str, value: &str| HeaderValue {
            key: key.into(),
            value: String::new(),
            raw_value: value.as_bytes().to_vec(),
        };
        http.header_map
            .as_mut()?
            .headers
            .extend([header("signature-input", signature_input), header("signature", signature)]);
        Some(request)
    }
}

/// Lets the subjects take turns and prints the medians. Says whether all goals are reached.
async fn throughput(only: Option<&str>) -> bool {
    let subjects = SUBJECTS.into_iter().filter(|(name, ..)| only.is_none_or(|only| only == *name));
    let subjects: Vec<_> = subjects.collect();
    let mut relays = Vec::new();
    for (_, settings, of_policy, _) in &subjects {
        relays.push(Relay::start(settings, of_policy).await);
    }
    let mut turns = vec![Vec::new(); relays.len()];
    for round in 0..=ROUNDS {
        let requests = Arc::new(Requests::sign(round, REQUESTS));
        for turn in 0..relays.len() {
            let at = (round + turn) % relays.len();
            let turn = relays[at].turn(&requests).await;
            // The first round warms up.
            if round > 0 {
                turns[at].push(turn);
            }
        }
    }
    println!("medians of {ROUNDS} rounds, {CONCURRENT} checks at a time");
    println!("  {:<28} {:>12} {:>8} {:>16}", "", "checks/s", "ratio", "µs of CPU each");
    let mut reached = true;
    for ((name, .., goal), of_subject) in subjects.iter().zip(&turns) {
        let ratio = median(of_subject.iter().zip(&turns[0]).map(|(turn, without)| turn.rate / without.rate));
        let (rate, cpu) =
            (median(of_subject.iter().map(|turn| turn.rate)), median(of_subject.iter().map(|turn| turn.cpu)));
        println!("  {name:<28} {rate:>12.0} {ratio:>8.3} {cpu:>16.1}");
        if goal.is_some_and(|goal| ratio < goal) {
            eprintln!("{name}: the ratio is {ratio:.3}, below the goal of {}", goal.unwrap_or_default());
            reached = false;
        }
    }
    reached
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Sends so many records through a log, as its thread does, and prints what memory that took. Says whether memory stayed
/// as it was after the first tenth.
async fn records(count: u64) -> bool {
    /// The file is emptied where it gets longer.
    const LONGEST: u64 = 64 * 1024 * 1024;
    const A_BATCH: u64 = 32;
    const A_CHECKPOINT: u64 = 1000;
    const GROWTH_KIB: u64 = 1024;

    // A record that a relay made.
    let (_, settings, of_policy, _) = SUBJECTS[1];
    let relay = Relay::start(settings, of_policy).await;
    relay.turn(&Arc::new(Requests::sign(0, 1))).await;
    let written = fs::read_to_string(relay.evidence()).unwrap();
    let Line::Record(line) = Line::read(written.lines().last().unwrap()).unwrap() else {
        panic!("the last line is no record");
    };
    let Record::Decision(mut decision) = Record::parse(line.evidence).unwrap() else {
        panic!("the last record is no decision");
    };
    println!("{count} records of {} bytes", line.evidence.len());

    let path = relay.folder.path().join("many.jsonl");
    let file = OpenOptions::new().append(true).create_new(true).open(&path).unwrap();
    let mut appender = Appender::new(file, 0);
    let key = PrivateKey::from_bytes(Algorithm::Ed25519, &sha256(b"evidence")).unwrap();
    let signer = Signer::new(NAME, key).unwrap();
    let mut log = Log::new(signer, NAME.into(), CompactRange::starting_at(0), 0);
    let (mut size, mut emptied, mut printed, mut after_a_tenth) = (0, 0, 0, 0);
    while size < count {
        let mut batch = log.batch();
        for index in size..(size + A_BATCH).min(count) {
            decision.id = format!("019ab1f0-0000-7000-8000-{index:012}").into();
            let record = Record::Decision(decision.clone()).canonical().unwrap();
            batch.record(&record, &leaf_hash(&record));
        }
        if batch.unsealed() >= A_CHECKPOINT {
            batch.seal().unwrap();
        }
        appender.append(batch.lines(), false).unwrap();
        size += batch.commit().len() as u64;
        if appender.length() - emptied > LONGEST {
            File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
            emptied = appender.length();
        }
        if size * 10 / count > printed {
            printed = size * 10 / count;
            let (resident, most) = (kib("VmRSS"), kib("VmHWM"));
            println!(
                "  {:>3} % {size:>10} records: resident {resident} KiB, at most {most} KiB",
                printed * 10
            );
            if printed == 1 {
                after_a_tenth = resident;
            }
        }
    }
    let grown = kib("VmRSS").saturating_sub(after_a_tenth);
    println!("  grown by {grown} KiB since the first tenth");
    grown <= GROWTH_KIB
}

/// What this process took of the processor so far. The kernel's own threads, which write files, are not in it.
fn cpu_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    // The name of the program may have spaces in it.
    let (_, stat) = stat.rsplit_once(')').unwrap();
    let ticks: Vec<u64> =
        stat.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse().unwrap()).collect();
    Duration::from_millis(ticks.iter().sum::<u64>() * 10)
}

/// What the system says of this process.
fn kib(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |word: &str| {
        let at = arguments.iter().position(|argument| argument == word)?;
        arguments.get(at + 1).map(String::as_str)
    };
    let good = match after("--records") {
        Some(count) => records(count.parse().unwrap()).await,
        None => throughput(after("--only")).await || !arguments.iter().any(|argument| argument == "--check"),
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
