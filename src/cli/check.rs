//! `check`: asks a running relay directly.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};

use super::request::{Described, ProxyArgs, RequestArgs, SignatureArgs};
use super::{Failure, output};
use crate::envoy::client::{self, Answer, ClientTls};
use crate::keys::private;

pub(super) const EXAMPLES: &str = "\
Examples:
  proof-messenger-relay check --relay http://127.0.0.1:8000 --url http://localhost:10000/rates/eur
  proof-messenger-relay check --key alice.jwk.json --method POST --url http://localhost:10000/transfers/7 --body '{}'
  proof-messenger-relay check --relay unix:/run/proof-messenger/relay.sock --url http://localhost:10000/rates/eur
  proof-messenger-relay check --relay https://127.0.0.1:8000 --tls-ca relay-ca.pem --tls-name relay.internal \
      --tls-cert envoy.pem --tls-key envoy.key.pem --url http://localhost:10000/rates/eur
A signature that is allowed is used up: the relay remembers it.";

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Where the relay serves gRPC: http://…, https://… or unix: and the path of its socket.
    #[arg(long, default_value = "http://127.0.0.1:8000", value_name = "URL")]
    relay: String,
    #[command(flatten)]
    tls: TlsArgs,
    /// How long to wait for the answer.
    #[arg(long, default_value = "5s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Sign the request first, with this private JWK.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    signature: SignatureArgs,
    #[command(flatten)]
    proxy: ProxyArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What a relay with TLS is reached with: what Envoy has, to try it.
#[derive(Debug, Args)]
struct TlsArgs {
    /// Certificates of the authorities that the relay's own must be by, in PEM.
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// The name that the relay's certificate must be for. Without it, the host of --relay.
    #[arg(long, value_name = "NAME", requires = "tls_ca")]
    tls_name: Option<String>,
    /// The certificate to show, in PEM, the own first.
    #[arg(long, value_name = "FILE", requires_all = ["tls_ca", "tls_key"])]
    tls_cert: Option<PathBuf>,
    /// Its private key, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

impl TlsArgs {
    /// What goes with this address.
    fn of(self, address: &str) -> Result<Option<ClientTls>, Failure> {
        let is_tls = address.starts_with("https://");
        if !is_tls && !address.starts_with("http://") && !address.starts_with("unix:") {
            return Err(Failure::usage(format!(
                "expected an address such as http://127.0.0.1:8000, https://relay.internal:8000 or unix:relay.sock, but found {address:?}"
            )));
        }
        let Some(authorities) = self.tls_ca else {
            return if is_tls { Err(Failure::usage("expected --tls-ca with https://")) } else { Ok(None) };
        };
        if !is_tls {
            return Err(Failure::usage(format!("expected https:// with --tls-ca, but found {address:?}")));
        }
        let read = |path: &PathBuf| fs::read(path).map_err(|error| Failure::at(path, error));
        let identity = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => {
                Some((read(certificate)?, private::read(key).map_err(Failure::failed)?))
            }
            _ => None,
        };
        Ok(Some(ClientTls { authorities: read(&authorities)?, name: self.tls_name, identity }))
    }
}

pub(super) fn run(args: CheckArgs) -> Result<(), Failure> {
    let tls = args.tls.of(&args.relay)?;
    let mut request: Described = args.request.described()?;
    if let Some(key) = &args.key {
        request.sign(key, &args.signature)?;
    }
    let mut request = request.request()?;
    args.proxy.add_to(&mut request);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let answer =
        runtime.block_on(client::check(&args.relay, tls, args.timeout, &request)).map_err(Failure::failed)?;
    print(&answer, args.json)?;
    // The answer is on standard output; the exit code says whether it was yes.
    if answer.allowed { Ok(()) } else { Err(Failure::Failed(String::new())) }
}

fn print(answer: &Answer, as_json: bool) -> Result<(), Failure> {
    if as_json {
        let headers: Map<String, Value> =
            answer.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let body = serde_json::from_str(&answer.body).unwrap_or(Value::Null);
        let printed = json!({
            "allowed": answer.allowed, "status": answer.status, "metadata": answer.metadata, "headers": headers,
            "removed": answer.removed, "body": body,
        });
        return output::json(&printed);
    }
    outln!("{} {}", if answer.allowed { "allowed" } else { "denied" }, answer.status);
    for (name, value) in &answer.metadata {
        outln!("{name}: {value}");
    }
    for (name, value) in &answer.headers {
        outln!("+ {name}: {value}");
    }
    for name in &answer.removed {
        outln!("- {name}");
    }
    if !answer.body.is_empty() {
        outln!("{}", answer.body);
    }
    Ok(())
}
