//! `sign`: the reference client.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Map, json};

use super::request::{Described, RequestArgs, SignatureArgs};
use super::{Failure, output};

pub(super) const EXAMPLES: &str = "\
Examples:
  curl $(proof-messenger-relay sign --key alice.jwk.json --method POST --url http://localhost:10000/transfers/7 \\
      --body '{\"amount\":1}' --output curl)
  The request stands in files of the folder for temporary files: remove them, or let the system do it.
  A second signer takes the first one's headers along:
  proof-messenger-relay sign --key alice.jwk.json --label alice … > headers
  proof-messenger-relay sign --key bob.jwk.json --label bob -H @headers …";

#[derive(Debug, Args)]
pub(super) struct SignArgs {
    /// The private JWK to sign with.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    signature: SignatureArgs,
    /// What to print: header lines; arguments for curl, whose whole request stands in a file that they name; or JSON.
    #[arg(long, value_enum, default_value_t = Output::Lines)]
    output: Output,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    Lines,
    Curl,
    Json,
}

pub(super) fn run(args: SignArgs) -> Result<(), Failure> {
    let mut request = args.request.described()?;
    request.sign(&args.key, &args.signature)?;
    match args.output {
        Output::Lines => {
            for (name, value) in added(&request) {
                outln!("{name}: {value}");
            }
        }
        Output::Json => {
            let headers: Map<_, _> =
                added(&request).map(|(name, value)| (name.to_owned(), json!(value))).collect();
            output::json(&headers)?;
        }
        Output::Curl => outln!("--config {}", curl_config(&request)?),
    }
    Ok(())
}

/// The headers that signing added.
fn added(request: &Described) -> impl Iterator<Item = (&str, &str)> {
    request
        .headers
        .iter()
        .filter(|(name, _)| request.added.contains(name))
        .map(|(name, value)| (name.as_str(), value.as_str()))
}

/// Writes the request as a curl configuration file, and returns its path.
///
/// A shell splits `$(…)` at every space and knows no quotes in it, so the headers themselves cannot stand there. The
/// file is readable by its owner only, since whoever reads it first could send the request first.
fn curl_config(request: &Described) -> Result<String, Failure> {
    let mut config = String::new();
    let mut option = |name: &str, value: &str| {
        let value =
            value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r");
        config.push_str(&format!("{name} = \"{value}\"\n"));
    };
    option("url", &request.url);
    option("request", &request.method);
    for (name, value) in &request.headers {
        // curl leaves a header with no value out, unless a semicolon stands for the colon.
        let header = if value.is_empty() { format!("{name};") } else { format!("{name}: {value}") };
        option("header", &header);
    }
    let data = match &request.body {
        Some(body) => Some(format!("@{}", kept("body", body)?)),
        // It makes curl say content-length: 0. Without a length nobody can tell that there is no body.
        None => matches!(request.method.as_str(), "POST" | "PUT" | "PATCH").then(String::new),
    };
    if let Some(data) = data {
        option("data-binary", &data);
        if !request.headers.iter().any(|(name, _)| name == "content-type") {
            // Without a word on it curl says that every body is a form.
            option("header", "content-type:");
        }
    }
    // The path is signed as it stands.
    config.push_str("path-as-is\ngloboff\n");
    kept("curl", config.as_bytes())
}

fn kept(suffix: &str, content: &[u8]) -> Result<String, Failure> {
    let mut file = tempfile::Builder::new()
        .prefix("proof-messenger-relay-")
        .suffix(&format!(".{suffix}"))
        .tempfile()
        .map_err(Failure::failed)?;
    file.write_all(content).map_err(Failure::failed)?;
    let (_, path) = file.keep().map_err(Failure::failed)?;
    match path.to_str() {
        Some(path) if !path.contains(char::is_whitespace) => Ok(path.to_owned()),
        _ => Err(Failure::failed(
            "the folder for temporary files has a space in its name: set TMPDIR to another",
        )),
    }
}
