//! `examples/compose`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::container::docker;
use crate::support::golden::assert_golden;
use crate::support::program::{run, stdout};
use crate::support::shell;

/// What differs from the Envoy configuration that is shipped: where the relay and the backend are.
const DIFFERENCES: [(&str, &str); 4] = [
    ("  - name: relay\n    type: STATIC\n", "  - name: relay\n    type: STRICT_DNS\n"),
    ("  - name: backend\n    type: STATIC\n", "  - name: backend\n    type: STRICT_DNS\n"),
    ("{address: 127.0.0.1, port_value: 8000}", "{address: relay, port_value: 8000}"),
    ("{address: 127.0.0.1, port_value: 8080}", "{address: backend, port_value: 8080}"),
];

#[test]
fn its_envoy_is_the_shipped_one_but_for_addresses() {
    let shipped = std::fs::read_to_string(root().join("envoy/envoy.yaml")).unwrap();
    let expected = DIFFERENCES.iter().fold(shipped, |text, (shipped, there)| {
        assert_eq!(text.matches(shipped).count(), 1, "{shipped}");
        text.replace(shipped, there)
    });
    assert_golden("examples/compose/envoy.yaml", expected.as_bytes());
}

#[test]
fn its_envoy_passes_the_linter() {
    let linted = run(root(), &["lint", "examples/compose/envoy.yaml"]);
    assert!(linted.status.success(), "{}", stdout(&linted));
}

#[test]
#[ignore = "needs the image: tests/containers/run"]
fn shows_what_its_readme_says() {
    let project = Project::new("proof-messenger-readme");
    let steps = shell::steps(&std::fs::read_to_string(folder().join("README.md")).unwrap());
    assert!(steps.len() >= 3);
    let mut script = format!("{}{}", shell::preamble(), project.preamble());
    for (position, step) in steps.iter().enumerate() {
        // What `tests/containers/run` has built.
        let commands = step.commands.replace("docker build --tag proof-messenger/relay-server ../..\n", "");
        let commands = commands.replace("localhost:10000", &format!("localhost:{}", project.port));
        writeln!(script, "echo '=== {position}'\n{commands}").unwrap();
    }
    let output = Command::new("bash").arg("-c").arg(&script).current_dir(folder()).output().unwrap();
    shell::assert_printed(&steps, &output);
}

#[test]
#[ignore = "needs the image: tests/containers/run"]
fn lets_only_envoy_reach_the_relay_and_the_backend() {
    const CONNECT: &str = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)";
    let project = Project::new("proof-messenger-networks");
    project.run("docker compose build && docker compose up --detach envoy");
    for (service, port) in [("relay", "8000"), ("backend", "8080")] {
        let id = project.run(&format!("docker compose ps --quiet {service}"));
        let address = docker(&[
            "inspect",
            "--format={{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
            id.trim(),
        ]);
        let connects = |network: &str| {
            let network = format!("--network={}_{network}", project.name);
            let image = "proof-messenger/compose-demo:latest";
            let arguments = ["run", "--rm", &network, image, "python3", "-c", CONNECT, &address, port];
            Command::new("docker").args(arguments).output().unwrap().status.success()
        };
        for network in ["clients", "relay", "backend"] {
            assert_eq!(connects(network), network == service, "{network} to {service}");
        }
    }
}

/// What this test starts of the example. It is gone with this.
struct Project {
    name: &'static str,
    /// Envoy's, on this machine.
    port: u16,
}

impl Project {
    fn new(name: &'static str) -> Self {
        Self { name, port: shell::free_port() }
    }

    /// What a script begins with. `docker compose` is what there is of it.
    fn preamble(&self) -> String {
        let Self { name, port } = self;
        format!(
            "export COMPOSE_PROJECT_NAME={name} ENVOY_PORT={port}\n\
             command docker compose version >/dev/null 2>&1 || docker() {{\n\
               if [ \"$1\" = compose ]; then docker-compose \"${{@:2}}\"; else command docker \"$@\"; fi\n\
             }}\n"
        )
    }

    #[track_caller]
    fn run(&self, commands: &str) -> String {
        let script = format!("set -e\n{}{commands}", self.preamble());
        let output = Command::new("bash").arg("-c").arg(&script).current_dir(folder()).output().unwrap();
        assert!(output.status.success(), "{commands}: {}", String::from_utf8_lossy(&output.stderr));
        stdout(&output)
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        self.run("docker compose down --volumes");
    }
}

fn folder() -> PathBuf {
    root().join("examples/compose")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
