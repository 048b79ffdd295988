//! `check` over TLS and a Unix socket.

use std::os::unix::fs::PermissionsExt as _;

use super::{ENVOY, Files, WITH_NAMES};
use crate::support::program::{Serving, program, run, stderr, stdout};

#[test]
fn check_reaches_a_relay_as_envoy_does() {
    let files = Files::new(&format!("listen: 127.0.0.1:0\n{WITH_NAMES}"), &[]);
    let folder = files.path();
    files.clients.certify(&[ENVOY]).write(folder, "envoy");
    files.clients.certify(&["other.internal"]).write(folder, "other");
    std::fs::write(folder.join("relay-ca.pem"), files.relays.pem()).unwrap();
    let serving = Serving::start(program(folder, &["serve", "--config", "relay.yaml"]));
    let relay = serving.address.replace("http://", "https://");
    let url = ["--url", "http://localhost:10000/rates/eur"];
    let check = |arguments: &[&str]| {
        let output = run(folder, &[&["check", "--relay", &relay], arguments, &url].concat());
        (output.status.code(), stdout(&output), stderr(&output))
    };
    let trusting = ["--tls-ca", "relay-ca.pem", "--tls-name", "relay.internal"];
    let good = check(&[&trusting[..], &["--tls-cert", "envoy.pem", "--tls-key", "envoy.key.pem"]].concat());
    assert!(good.1.starts_with("allowed 200\n"), "{good:?}");
    for arguments in [
        &trusting[..],
        &[&trusting[..], &["--tls-cert", "other.pem", "--tls-key", "other.key.pem"]].concat(),
        &["--tls-ca", "relay-ca.pem"],
        &["--tls-ca", "clients.pem", "--tls-name", "relay.internal"],
    ] {
        let refused = check(arguments);
        assert_eq!((refused.0, &*refused.1), (Some(1), ""), "{arguments:?}: {refused:?}");
        assert!(!refused.2.is_empty());
    }
    let without = check(&[]);
    assert_eq!(without, (Some(64), String::new(), "expected --tls-ca with https://\n".to_owned()));
    for (relay, arguments) in
        [("http://127.0.0.1:1", &trusting[..]), ("unix:relay.sock", &trusting), ("127.0.0.1:8000", &[])]
    {
        let output = run(folder, &[&["check", "--relay", relay], arguments, &url].concat());
        assert_eq!(output.status.code(), Some(64), "{}", stderr(&output));
    }
}

#[test]
fn files_that_cannot_be_used_are_wrong_configuration() {
    let files = Files::new(&format!("listen: 127.0.0.1:0\n{WITH_NAMES}"), &[]);
    let refused = |expected: &str| {
        let output = run(files.path(), &["serve", "--config", "relay.yaml"]);
        assert_eq!((output.status.code(), &*stderr(&output)), (Some(64), expected));
    };
    let key = files.path().join("server.key.pem");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    refused(
        "TLS cannot be served: server.key.pem: expected a private key that only its owner can read and write, but \
         found the mode 0640: chmod 600 server.key.pem\n",
    );
    files.relays.certify_expired(&["relay.internal"]).write(files.path(), "server");
    refused(
        "TLS cannot be served: server.pem: the certificate is over since 1580515200 (seconds since 1970)\n",
    );
    std::fs::remove_file(files.path().join("clients.pem")).unwrap();
    refused("TLS cannot be served: clients.pem: No such file or directory (os error 2)\n");
}

#[test]
fn check_gives_up_in_time_on_a_port_that_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let files = Files::new("", &[]);
    std::fs::write(folder.path().join("ca.pem"), files.relays.pem()).unwrap();
    let relay = format!("https://{}", silent.local_addr().unwrap());
    let output = run(
        folder.path(),
        &["check", "--relay", &relay, "--tls-ca", "ca.pem", "--timeout", "200ms", "--url", "http://a/b"],
    );
    assert!(stderr(&output).contains("no connection within 200ms"), "{}", stderr(&output));
}

#[test]
fn check_reaches_a_socket() {
    let files = Files::new("listen: unix:relay.sock\n", &[]);
    let _serving = Serving::start(program(files.path(), &["serve", "--config", "relay.yaml"]));
    let arguments = ["check", "--relay", "unix:relay.sock", "--url", "http://localhost:10000/rates/eur"];
    let output = run(files.path(), &arguments);
    assert!(stdout(&output).starts_with("allowed 200\n"), "{}{}", stdout(&output), stderr(&output));
}

#[test]
fn health_asks_at_a_socket_and_says_what_it_needs_with_tls() {
    let files = Files::new("listen: unix:relay.sock\n", &[]);
    let health = || run(files.path(), &["health", "--config", "relay.yaml"]);
    assert_eq!(health().status.code(), Some(1));
    let _serving = Serving::start(program(files.path(), &["serve", "--config", "relay.yaml"]));
    assert!(health().status.success(), "{}", stderr(&health()));

    let settings = format!("listen: 127.0.0.1:0\nadmin: 127.0.0.1:1\n{WITH_NAMES}");
    let files = Files::new(&settings, &[]);
    let output = run(files.path(), &["health", "--config", "relay.yaml"]);
    assert!(stderr(&output).starts_with("http://127.0.0.1:1/readyz: "), "{}", stderr(&output));
    let files = Files::new(&format!("listen: 127.0.0.1:0\n{WITH_NAMES}"), &[]);
    let output = run(files.path(), &["health", "--config", "relay.yaml"]);
    let expected = "expected `admin` as well: with `tls`, gRPC answers its clients alone\n";
    assert_eq!((output.status.code(), &*stderr(&output)), (Some(64), expected));
}
