//! A real Envoy, running the configuration that this repository ships.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::client::{self, Answer};
use super::{LOOK_AGAIN, PATIENCE};

const SHIPPED: &str = include_str!("../../envoy/envoy.yaml");

/// A piece of the shipped configuration, and what stands there instead.
pub type Edit = (&'static str, String);

/// The shipped configuration, with the addresses of this test.
pub struct EnvoySetup {
    pub relay: SocketAddr,
    pub backend: SocketAddr,
    /// Whether the relay gets the headers as they were received, or joined as Istio has them.
    pub raw_headers: bool,
    /// How long Envoy waits for the relay. As long as tests do, unless the test is about giving up: this machine may
    /// be busy with others.
    pub relay_timeout: &'static str,
    /// What this test changes besides. Each piece must occur exactly once.
    pub edits: Vec<Edit>,
}

impl EnvoySetup {
    /// The timeout that is shipped.
    pub const SHIPPED_TIMEOUT: &str = "0.5s";

    pub fn new(relay: SocketAddr, backend: SocketAddr) -> Self {
        Self { relay, backend, raw_headers: true, relay_timeout: "30s", edits: Vec::new() }
    }

    /// The upgrades that the shipped configuration refuses and explains.
    pub fn websocket() -> Edit {
        let setting = "          codec_type: AUTO";
        let upgrades = "          upgrade_configs: [{upgrade_type: websocket}]";
        (setting, format!("{upgrades}\n{setting}"))
    }

    /// CONNECT, likewise. It needs a route as well.
    pub fn connect_upgrade() -> Edit {
        let setting = "          codec_type: AUTO";
        let upgrades = "          upgrade_configs: [{upgrade_type: CONNECT}]";
        (setting, format!("{upgrades}\n{setting}"))
    }

    pub fn connect_route() -> Edit {
        let first = "              routes:\n";
        let tunnel =
            "              - match: {connect_matcher: {}}\n                route: {cluster: backend}\n";
        (first, format!("{first}{tunnel}"))
    }

    /// No body ever reaches the relay.
    pub fn no_body() -> Edit {
        let start = SHIPPED.find("              with_request_body:").expect("a setting");
        let end = SHIPPED.find("              # The relay may set and remove").expect("what follows it");
        (&SHIPPED[start..end], String::new())
    }

    /// A route below `/public` about which the relay is not asked.
    pub fn exempt_route() -> Edit {
        let last = "              - match: {prefix: /}\n";
        let exempt = r#"              - match: {prefix: /public}
                route: {cluster: backend}
                typed_per_filter_config:
                  envoy.filters.http.ext_authz:
                    "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute
                    disabled: true
"#;
        (last, format!("{exempt}{last}"))
    }

    /// A backend that is spoken to over HTTP/2, as gRPC needs it.
    pub fn grpc_backend() -> Edit {
        let setting = "    connect_timeout: 1s\n";
        let http2 = r#"    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
"#;
        (setting, format!("{setting}{http2}"))
    }

    pub fn configuration(&self) -> String {
        let address = |at: SocketAddr| format!("{{address: {}, port_value: {}}}", at.ip(), at.port());
        // Port 0: tests run side by side, and with whatever else runs on the machine.
        let anywhere = String::from("{address: 127.0.0.1, port_value: 0}");
        let mut edits = vec![
            ("{address: 127.0.0.1, port_value: 9901}", anywhere.clone()),
            ("{address: 0.0.0.0, port_value: 10000}", anywhere),
            ("{address: 127.0.0.1, port_value: 8000}", address(self.relay)),
            ("{address: 127.0.0.1, port_value: 8080}", address(self.backend)),
            ("timeout: 0.5s", format!("timeout: {}", self.relay_timeout)),
        ];
        if !self.raw_headers {
            let merged = String::from("encode_raw_headers: false");
            edits.push(("encode_raw_headers: true", merged));
        }
        edits.extend(self.edits.iter().cloned());

        edits.into_iter().fold(SHIPPED.to_owned(), |text, (from, to)| {
            // Otherwise a test would go on to test something else than it says.
            assert_eq!(text.matches(from).count(), 1, "times that envoy.yaml holds {from:?}");
            text.replace(from, &to)
        })
    }
}

/// A running Envoy, which ends with this value.
pub struct Envoy {
    process: Child,
    files: TempDir,
    admin: SocketAddr,
    address: SocketAddr,
}

impl Envoy {
    /// Starts an Envoy and waits until it takes requests.
    ///
    /// Panics when there is no Envoy: a test of the real thing that is skipped looks like one that passed.
    pub async fn start(setup: EnvoySetup) -> Self {
        let files = tempfile::tempdir().expect("a temporary folder");
        let config = files.path().join("envoy.yaml");
        fs::write(&config, setup.configuration()).expect("envoy.yaml is written");

        let process = Command::new(binary())
            .arg("--config-path")
            .arg(config)
            .arg("--admin-address-path")
            .arg(files.path().join("admin"))
            .arg("--log-path")
            .arg(files.path().join("log"))
            .args(["--log-level", "warning"])
            .args(["--concurrency", "1"])
            // Hot restart would tie together the Envoys of tests that run side by side.
            .arg("--disable-hot-restart")
            // Access log lines are held back for 10 s otherwise.
            .args(["--file-flush-interval-msec", "10"])
            .stdin(Stdio::null())
            .stdout(File::create(files.path().join("access.log")).expect("an access log"))
            .stderr(File::create(files.path().join("stderr")).expect("a file for stderr"))
            .spawn()
            .expect("Envoy starts");

        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut envoy = Self { process, files, admin: nowhere, address: nowhere };
        envoy.admin = envoy.admin_address().await;
        envoy.until_ready().await;
        envoy.address = envoy.listener_address().await;
        envoy
    }

    /// Where clients send their requests.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The value of a counter or gauge, by its full name.
    pub async fn stat(&self, name: &str) -> u64 {
        let stats = self.ask_admin(&format!("/stats?filter=^{name}$")).await.text();
        let value = stats
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .unwrap_or_else(|| panic!("Envoy has no stat {name}"));
        value.parse().expect("a number")
    }

    /// The access log, as soon as it has this many lines.
    pub async fn access_log(&self, lines: usize) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = self.read("access.log");
            if log.matches('\n').count() >= lines {
                return log.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
            }
            assert!(Instant::now() < deadline, "the access log has fewer than {lines} lines:\n{log}");
            sleep(LOOK_AGAIN).await;
        }
    }

    async fn admin_address(&mut self) -> SocketAddr {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // The file is there before its text is.
            if let Ok(address) = self.read("admin").parse() {
                return address;
            }
            self.starting(deadline).await;
        }
    }

    async fn until_ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.ask_admin("/ready").await.status != 200 {
            self.starting(deadline).await;
        }
    }

    async fn listener_address(&self) -> SocketAddr {
        let listeners = self.ask_admin("/listeners?format=json").await.json();
        let socket = &listeners["listener_statuses"][0]["local_address"]["socket_address"];
        let (Some(address), Some(port)) = (socket["address"].as_str(), socket["port_value"].as_u64()) else {
            panic!("Envoy lists no listener with an address: {listeners}");
        };
        format!("{address}:{port}").parse().expect("an address")
    }

    /// A short wait for an Envoy that can still become ready.
    async fn starting(&mut self, deadline: Instant) {
        if let Some(status) = self.process.try_wait().expect("a child of ours") {
            panic!("Envoy ended at its start with {status}:\n{}", self.log());
        }
        assert!(Instant::now() < deadline, "Envoy did not become ready:\n{}", self.log());
        sleep(LOOK_AGAIN).await;
    }

    async fn ask_admin(&self, path: &str) -> Answer {
        let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
        client::http1(self.admin, request.as_bytes()).await
    }

    fn log(&self) -> String {
        self.read("log") + &self.read("stderr")
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.files.path().join(file)).unwrap_or_default()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing left to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("Envoy's log:\n{}", self.log());
        }
    }
}

/// The Envoy that `envoy/obtain` finds or installs: `$ENVOY` where that is set.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let obtain = concat!(env!("CARGO_MANIFEST_DIR"), "/envoy/obtain");
        let output = Command::new(obtain).stderr(Stdio::inherit()).output().expect("envoy/obtain runs");
        assert!(output.status.success(), "these tests need Envoy, and envoy/obtain got none");
        let path = String::from_utf8(output.stdout).expect("a path in UTF-8");
        PathBuf::from(path.trim_end())
    })
}
