//! A relay that records its decisions, as a process of its own, and what it wrote.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use proof_messenger_relay::envoy::client::{Answer, answer};
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::transport::Channel;

use super::ask::Ask;
use super::program::{program, run, stderr, stdout};
use super::signer::{Signer, trust_store};

/// The name of the log's key.
pub const NAME: &str = "bank.example/relay-1";

/// A folder with a trust store, a key of evidence and a configuration.
pub struct Recording {
    folder: TempDir,
    pub verifier_key: String,
}

impl Recording {
    /// `evidence` are settings of that name besides `key`.
    pub fn new(evidence: &Value, policies: &Value, signers: &[&Signer]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = run(
            folder.path(),
            &["keys", "new", "--use", "evidence", "--name", NAME, "--private", "evidence.jwk.json"],
        );
        assert!(made.status.success(), "{}", stderr(&made));
        let verifier_key = stdout(&made).trim().to_owned();
        fs::write(folder.path().join("people.jwks.json"), trust_store(signers).to_string()).unwrap();
        let mut evidence = evidence.clone();
        evidence["key"] = json!("evidence.jwk.json");
        let config = json!({
            "listen": "127.0.0.1:0",
            "keys": [{"file": "people.jwks.json"}],
            "evidence": evidence,
            "policies": policies,
        });
        fs::write(folder.path().join("relay.yaml"), config.to_string()).unwrap();
        Self { folder, verifier_key }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// Changes one setting.
    pub fn set(&self, name: &str, value: Value) {
        let path = self.path("relay.yaml");
        let mut config: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        config[name] = value;
        fs::write(path, config.to_string()).unwrap();
    }

    /// The command that serves.
    pub fn serve(&self) -> Command {
        program(self.folder(), &["serve", "--config", "relay.yaml"])
    }

    /// The command that serves, begun by a shell in which these commands came before.
    pub fn serve_after(&self, commands: &str) -> Command {
        let mut shell = Command::new("bash");
        let relay = env!("CARGO_BIN_EXE_proof-messenger-relay");
        shell.args(["-c", &format!("{commands}; exec \"$0\" serve --config relay.yaml"), relay]);
        shell.current_dir(self.folder()).env_remove("PROOF_MESSENGER_CONFIG");
        shell
    }

    /// `evidence verify` of these files.
    pub fn verify(&self, arguments: &[&str]) -> Output {
        let all = [&["evidence", "verify", "--key", &self.verifier_key], arguments].concat();
        run(self.folder(), &all)
    }

    /// Asserts that `evidence verify` finds nothing wrong.
    pub fn is_sound(&self, arguments: &[&str]) {
        let verified = self.verify(arguments);
        assert!(verified.status.success(), "{}{}", stdout(&verified), stderr(&verified));
    }

    /// The records of a file, in its order.
    pub fn records(&self, name: &str) -> Vec<Value> {
        records(&fs::read_to_string(self.path(name)).unwrap())
    }
}

/// The records of a log, in its order.
pub fn records(log: &str) -> Vec<Value> {
    let values = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    values.filter_map(|mut value| value.get_mut("evidence").map(Value::take)).collect()
}

/// A connection to the relay.
pub async fn connect(address: &str) -> AuthorizationClient<Channel> {
    AuthorizationClient::connect(address.to_owned()).await.unwrap()
}

/// Asks; nothing where the relay is gone.
pub async fn ask(client: &mut AuthorizationClient<Channel>, ask: &Ask) -> Option<Answer> {
    Some(answer(client.check(ask.check_request()).await.ok()?.into_inner()))
}
