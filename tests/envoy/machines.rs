//! Services behind a real Envoy with mTLS: `examples/policies/machine-to-machine`, and the settings that its README shows.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::clients;
use crate::support::ask::Ask;
use crate::support::deployed::Deployed;
use crate::support::envoy::EnvoySetup;
use crate::support::people::People;

/// The filter chain of the README, with the files of this test.
fn mtls(people: &People) -> String {
    let readme = include_str!("../../examples/policies/machine-to-machine/README.md");
    let (_, settings) = readme.split_once("```yaml\n").unwrap();
    let settings = settings.split_once("```").unwrap().0;
    let folder = people.folder().display();
    settings.replace("filename: ", &format!("filename: {folder}/"))
}

/// Certificates for Envoy and the services.
fn certificates(people: &People) {
    clients::installed();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let status = Command::new(root.join("target/clients/venv/bin/python"))
        .arg(root.join("tests/clients/certificates.py"))
        .args(["server=ledger.internal", "billing=spiffe://shop.example/billing"])
        .args(["orders=spiffe://shop.example/orders", "test=spiffe://test.shop.example/billing"])
        .current_dir(people.folder())
        .status();
    assert!(status.unwrap().success());
}

/// Sends it with curl, on a connection that the certificate of that name opens. Status and body, or nothing where
/// Envoy does not let anybody in.
async fn send(deployed: &Deployed, request: &Ask, certificate: Option<&str>) -> Option<(String, Value)> {
    let mut curl = tokio::process::Command::new("curl");
    curl.args([
        "--silent",
        "--show-error",
        "--noproxy",
        "*",
        "--cacert",
        "ca.pem",
        "--write-out",
        "\n%{http_code}",
    ]);
    curl.current_dir(deployed.people.folder());
    curl.arg("--connect-to").arg(format!("::127.0.0.1:{}", deployed.envoy.address().port()));
    if let Some(name) = certificate {
        curl.args(["--cert", &format!("{name}.pem"), "--key", &format!("{name}.key")]);
    }
    for (name, value) in &request.headers {
        curl.arg("--header").arg(format!("{name}: {}", String::from_utf8_lossy(value)));
    }
    curl.args(["--request", &request.method, "--data-binary"]);
    curl.arg(String::from_utf8_lossy(request.body.as_deref().unwrap_or_default()).as_ref());
    curl.arg(format!("{}://{}{}", request.scheme, request.authority, request.target));
    let output = curl.output().await.unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let (body, status) = printed.rsplit_once('\n').unwrap();
    (status != "000").then(|| (status.to_owned(), serde_json::from_str(body).unwrap_or_default()))
}

#[tokio::test]
async fn a_signature_counts_on_the_connection_of_its_service() {
    let add = |people: &People| {
        for (service, role) in [("billing", "ledger-writer"), ("orders", "ledger-reader")] {
            people.add(service, service, &[role], "ed25519", &format!("services/{service}.jwks.json"));
        }
        certificates(people);
    };
    let change = |setup: &mut EnvoySetup, people: &People| {
        let chain = "    filter_chains:\n    - filters:\n";
        setup.edits.push((chain, format!("    filter_chains:\n    -\n{}      filters:\n", mtls(people))));
    };
    let deployed = Deployed::start("machine-to-machine", add, change).await;
    let entry = || {
        let mut entry = Ask::new("POST", "/entries").header("content-type", "application/json");
        entry.authority = "ledger.internal".to_owned();
        entry.body = Some(br#"{"debit": 12}"#.to_vec());
        deployed.people.sign(entry, "billing", &["--tag", "ledger"])
    };

    let (status, answer) = send(&deployed, &entry(), Some("billing")).await.unwrap();
    assert_eq!(status, "200", "{answer}");
    deployed.last_received("billing");
    // Captured, and sent by another service; or by one of that name in another trust domain.
    for other in ["orders", "test"] {
        let (status, answer) = send(&deployed, &entry(), Some(other)).await.unwrap();
        assert_eq!((status.as_str(), &answer["code"]), ("403", &"no-policy".into()), "{other}");
    }
    assert_eq!(send(&deployed, &entry(), None).await, None, "no certificate, no connection");
    assert_eq!(deployed.backend.requests().len(), 1);
}
