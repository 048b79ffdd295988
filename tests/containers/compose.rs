//! `examples/compose`.

use std::path::Path;
use std::process::Command;

use super::container::docker;
use super::project::Project;
use crate::support::golden::assert_golden;
use crate::support::program::{run, stdout};

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
    project("proof-messenger-readme").walk();
}

#[test]
#[ignore = "needs the image: tests/containers/run"]
fn lets_only_envoy_reach_the_relay_and_the_backend() {
    const CONNECT: &str = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)";
    let project = project("proof-messenger-networks");
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

fn project(name: &'static str) -> Project {
    Project::new(name, "compose", ("ENVOY_PORT", 10_000))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
