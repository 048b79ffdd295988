//! `check`: asks a running relay directly.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};

use super::Failure;
use super::request::{Described, ProxyArgs, RequestArgs, SignatureArgs};
use crate::envoy::client::{self, Answer};

pub(super) const EXAMPLES: &str = "\
Examples:
  proof-messenger-relay check --relay http://127.0.0.1:8000 --url http://localhost:10000/rates/eur
  proof-messenger-relay check --key alice.jwk.json --method POST --url http://localhost:10000/transfers/7 --body '{}'
A signature that is allowed is used up: the relay remembers it.";

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Where the relay serves gRPC.
    #[arg(long, default_value = "http://127.0.0.1:8000", value_name = "URL")]
    relay: String,
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

pub(super) fn run(args: CheckArgs) -> Result<(), Failure> {
    if !args.relay.starts_with("http://") {
        return Err(Failure::usage(format!(
            "expected an address such as http://127.0.0.1:8000, but found {:?}",
            args.relay
        )));
    }
    let mut request: Described = args.request.described()?;
    if let Some(key) = &args.key {
        request.sign(key, &args.signature)?;
    }
    let mut request = request.request()?;
    args.proxy.add_to(&mut request);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let answer =
        runtime.block_on(client::check(&args.relay, args.timeout, &request)).map_err(Failure::failed)?;
    print(&answer, args.json);
    // The answer is on standard output; the exit code says whether it was yes.
    if answer.allowed { Ok(()) } else { Err(Failure::Failed(String::new())) }
}

fn print(answer: &Answer, as_json: bool) {
    if as_json {
        let headers: Map<String, Value> =
            answer.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let body = serde_json::from_str(&answer.body).unwrap_or(Value::Null);
        let printed = json!({
            "allowed": answer.allowed, "status": answer.status, "metadata": answer.metadata, "headers": headers,
            "removed": answer.removed, "body": body,
        });
        println!("{printed:#}");
        return;
    }
    println!("{} {}", if answer.allowed { "allowed" } else { "denied" }, answer.status);
    for (name, value) in &answer.metadata {
        println!("{name}: {value}");
    }
    for (name, value) in &answer.headers {
        println!("+ {name}: {value}");
    }
    for name in &answer.removed {
        println!("- {name}");
    }
    if !answer.body.is_empty() {
        println!("{}", answer.body);
    }
}
