//! Policies and keys change while the relay serves.

mod files;
mod load;
mod published;

use std::fs;
use std::path::Path;

use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use proof_messenger_relay::signer::Signing;
use proof_messenger_relay::timestamp::{Clock as _, SystemClock};
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::transport::Channel;

use crate::support::ask::{Ask, signing};
use crate::support::program::{Serving, program};
use crate::support::recording::{ask, connect};
use crate::support::signer::{Signer, trust_store};

/// A relay by files that a test changes.
struct Reloading {
    relay: Serving,
    client: AuthorizationClient<Channel>,
    folder: TempDir,
}

/// The settings of a relay with these policies.
fn settings(policies: &Value) -> Value {
    json!({"listen": "127.0.0.1:0", "keys": [{"file": "people.jwks.json"}], "policies": policies})
}

/// One policy, for everything.
fn policy(name: &str) -> Value {
    json!([{"name": name, "match": {}}])
}

/// Replaces a file in one step, as editors and tools that care do.
fn write(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, path).unwrap();
}

impl Reloading {
    async fn start(settings: &Value, signers: &[&Signer]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("relay.yaml"), &settings.to_string());
        write(&folder.path().join("people.jwks.json"), &trust_store(signers).to_string());
        Self::serve(folder, "relay.yaml").await
    }

    async fn serve(folder: TempDir, config: &str) -> Self {
        let relay = Serving::start(program(folder.path(), &["serve", "--config", config]));
        let client = connect(&relay.address).await;
        Self { relay, client, folder }
    }

    fn write(&self, name: &str, text: &str) {
        write(&self.folder.path().join(name), text);
    }

    fn write_settings(&self, settings: &Value) {
        self.write("relay.yaml", &settings.to_string());
    }

    fn write_keys(&self, signers: &[&Signer]) {
        self.write("people.jwks.json", &trust_store(signers).to_string());
    }

    /// Asks it to look at once.
    fn hang_up(&self) {
        self.relay.signal(rustix::process::Signal::HUP);
    }

    /// The next line of the log that is about a reload.
    fn outcome(&mut self) -> Value {
        loop {
            let line = self.relay.next_line();
            let message = line["message"].as_str().unwrap_or_default();
            if message.contains("reload") {
                return line;
            }
        }
    }

    /// What becomes of a request that somebody signs now: the policy that allows it, or the code.
    async fn decides(&mut self, signer: &Signer) -> String {
        let signing =
            Signing { created: Some(SystemClock.now()), ..signing("sig", &["@method", "@target-uri"]) };
        let request = Ask::get("/transfers/7").signed_as(signer, &signing);
        let answer = ask(&mut self.client, &request).await.unwrap();
        let name = if answer.allowed { "policy" } else { "code" };
        answer.metadata[name].clone()
    }
}
