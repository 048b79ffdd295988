//! TLS with an authority of one's own.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use proof_messenger_relay::evidence::witness::{Witness, WitnessError};

use super::log::{Log, signer};
use crate::envoy::clients;
use crate::support::witness::Witness as StandIn;

/// A terminator of TLS that ends with this value.
struct Terminator(Child);

impl Drop for Terminator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_witness_may_have_a_certificate_of_an_authority_that_is_named() {
    clients::installed();
    let (root, folder) = (Path::new(env!("CARGO_MANIFEST_DIR")), tempfile::tempdir().unwrap());
    let python = || {
        let mut python = Command::new(root.join("target/clients/venv/bin/python"));
        python.current_dir(folder.path());
        python
    };
    let certificates = root.join("tests/clients/certificates.py");
    assert!(python().arg(certificates).arg("witness=localhost").status().unwrap().success());

    let stand_in = StandIn::start(&[&signer().verifier().to_string()]);
    let mut terminator = python();
    terminator.arg(root.join("tests/clients/tls_terminator.py")).arg("witness");
    terminator.arg(stand_in.address().port().to_string()).stdout(Stdio::piped());
    let mut terminator = Terminator(terminator.spawn().unwrap());
    let mut port = String::new();
    BufReader::new(terminator.0.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let url = format!("https://localhost:{}/witness", port.trim());

    let authority = std::fs::read(folder.path().join("ca.pem")).unwrap();
    let trusting = Witness::new(&url, StandIn::key(), Some(&authority)).unwrap();
    let mut log = Log::start(0, trusting);
    let checkpoint = log.submit(3);
    log.cosigned(&checkpoint, &StandIn::key());

    let mut log = Log::start(0, Witness::new(&url, StandIn::key(), None).unwrap());
    log.submit(4);
    let failure = log.failure();
    assert!(matches!(&failure, WitnessError::Transport(error) if error.contains("certificate")), "{failure}");
    assert_eq!(stand_in.answers(), [(0, 200)]);
}
