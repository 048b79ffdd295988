//! A real Envoy, with what the README shows for both ends.

use std::net::SocketAddr;
use std::path::Path;

use proof_messenger_relay::lint::{File, lint};

use super::{ENVOY, Files, Relay};
use crate::support::ask::Ask;
use crate::support::backend::Backend;
use crate::support::client;
use crate::support::envoy::{Edit, Envoy, EnvoySetup};
use crate::support::gateway::assert_refused;
use crate::support::program::{run, stderr};
use crate::support::shell;
use crate::support::signer::Signer;

/// What Envoy is told of the relay where it is not an address, before that is edited.
const NO_ADDRESS: &str = "socket_address: {address: 127.0.0.1, port_value: 1}";

fn section() -> String {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let (_, section) = readme.split_once("\n## Between Envoy and the relay\n").unwrap();
    section.split_once("\n## ").unwrap().0.to_owned()
}

/// The example that begins so.
fn example(begins: &str) -> String {
    let section = section();
    let examples =
        section.split("```yaml\n").skip(1).map(|rest| rest.split_once("```").unwrap().0.to_owned());
    examples.into_iter().find(|example| example.trim_start().starts_with(begins)).unwrap()
}

/// With the files of the test.
fn replaced(text: &str, pieces: &[(&str, String)]) -> String {
    pieces.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from} is not in {text}");
        text.replace(from, to)
    })
}

/// Signed requests pass, others do not, and the linter has nothing against it.
async fn assert_protected(alice: &Signer, relay: SocketAddr, edit: Edit) {
    let backend = Backend::start().await;
    let mut setup = EnvoySetup::new(relay, backend.address());
    setup.edits.push(edit);
    let text = setup.configuration();
    let findings = |text: String| {
        let mut reports = lint(&[File { name: "envoy.yaml".to_owned(), text }]).unwrap();
        reports.remove(0).findings.into_iter().map(|finding| finding.rule.to_string()).collect::<Vec<_>>()
    };
    let shipped = findings(EnvoySetup::new(relay, backend.address()).configuration());
    assert_eq!(findings(text), shipped);

    let envoy = Envoy::start(setup).await;
    let signed = Ask::post("/transfers/7", b"{}").for_envoy().signed(alice);
    let answer = client::http1(envoy.address(), &signed.http1()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(backend.requests().len(), 1);
    let unsigned = Ask::post("/transfers/7", b"{}").for_envoy();
    assert_refused(&client::http1(envoy.address(), &unsigned.http1()).await, 401, "proof-missing");
    assert_eq!(backend.requests().len(), 1);
}

#[tokio::test]
async fn envoy_asks_over_mtls() {
    let alice = Signer::ed25519("alice");
    let files = Files::new(&format!("listen: 127.0.0.1:0\n{}", example("tls:")), &[&alice]);
    files.clients.certify(&[ENVOY]).write(files.path(), "envoy");
    std::fs::write(files.path().join("relay-ca.pem"), files.relays.pem()).unwrap();
    let checked = run(files.path(), &["config", "check", "--strict", "relay.yaml"]);
    assert!(checked.status.success(), "{}", stderr(&checked));
    let folder = format!("{}/", files.path().display());
    let relay = Relay::serve(files).await;
    let socket = replaced(&example("transport_socket:"), &[("/etc/envoy/", folder)]);
    let cluster = "  - name: relay\n    type: STATIC\n";
    let port = relay.port();
    assert_protected(&alice, port, (cluster, format!("{cluster}{socket}"))).await;

    // The command that is shown for it.
    let mut script = shell::preamble();
    let steps = shell::steps(&section());
    for step in &steps {
        let commands = replaced(&step.commands, &[("127.0.0.1:8000", port.to_string())]);
        script.push_str(&format!("echo '=== '\n{commands}"));
    }
    let mut bash = tokio::process::Command::new("bash");
    let output = bash.args(["-c", &script]).current_dir(relay.files.path()).output().await.unwrap();
    shell::assert_printed(&steps, &output);
}

/// Envoy's own certificate is what opens the port.
#[tokio::test]
async fn j12_envoy_with_another_certificate() {
    let alice = Signer::ed25519("alice");
    let files = Files::new(&format!("listen: 127.0.0.1:0\n{}", example("tls:")), &[&alice]);
    files.clients.certify(&["other.internal"]).write(files.path(), "envoy");
    std::fs::write(files.path().join("relay-ca.pem"), files.relays.pem()).unwrap();
    let folder = format!("{}/", files.path().display());
    let relay = Relay::serve(files).await;
    let socket = replaced(&example("transport_socket:"), &[("/etc/envoy/", folder)]);
    let cluster = "  - name: relay\n    type: STATIC\n";
    let backend = Backend::start().await;
    let mut setup = EnvoySetup::new(relay.port(), backend.address());
    setup.edits.push((cluster, format!("{cluster}{socket}")));
    let envoy = Envoy::start(setup).await;
    let signed = Ask::post("/transfers/7", b"{}").for_envoy().signed(&alice);
    assert_eq!(client::http1(envoy.address(), &signed.http1()).await.status, 503);
    assert!(backend.requests().is_empty());
}

#[tokio::test]
async fn envoy_asks_over_a_unix_socket() {
    let alice = Signer::ed25519("alice");
    let listen = example("listen:").replace("/run/proof-messenger/", "");
    let files = Files::new(&listen, &[&alice]);
    let path = files.path().join("relay.sock").display().to_string();
    let relay = Relay::serve(files).await;
    assert_eq!(relay.address.to_string(), format!("unix:{path}"));
    let pipe = replaced(example("pipe:").trim(), &[("/run/proof-messenger/relay.sock", path)]);
    assert_protected(&alice, "127.0.0.1:1".parse().unwrap(), (NO_ADDRESS, pipe)).await;
}
