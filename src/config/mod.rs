//! What the operator wrote, and what the program uses.
//!
//! A configuration is taken whole or refused, with every problem at once. The schema that is printed is the schema that
//! is enforced: both come from the types in [`mod@file`].

mod addresses;
mod advice;
mod consistency;
pub(crate) mod document;
pub mod file;
pub mod format;
mod listen;
mod lower;
mod problem;
mod scalar;
mod schema;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use addresses::Addresses;
pub use advice::{on_keys, on_publishing};
pub use listen::{ClientName, Listen, TlsClients, TlsSettings};
pub use problem::{Location, Problem, Problems};
pub use schema::json_schema;

use crate::crypto::{hex, sha256};
use crate::envoy::Denials;
use crate::evidence::note::VerifierKey;
use crate::evidence::recorder::Target;
use crate::evidence::{Durability, Pace};
use crate::keys::remote::RemoteSettings;
use crate::limits::Limits;
use crate::policy::Policies;
use crate::traces::TraceSettings;
use crate::verify::FieldTypes;
use document::Document;

/// The built-in settings, commented. They deny everything.
pub const DEFAULT: &str = include_str!("default.yaml");

/// A configuration in use.
#[derive(Debug)]
pub struct Config {
    /// Where gRPC is served.
    pub listen: Listen,
    /// How gRPC is protected on the way, if it is.
    pub tls: Option<TlsSettings>,
    /// Where HTTP is served, if anywhere.
    pub admin: Option<SocketAddr>,
    /// Names this place in replay claims.
    pub enforcement_point: Box<str>,
    /// Paths and globs of JWK Set files.
    pub key_files: Vec<PathBuf>,
    /// URLs of JWK Sets.
    pub key_urls: Vec<RemoteSettings>,
    pub policies: Policies,
    pub receipts: Option<ReceiptSettings>,
    pub evidence: Option<EvidenceSettings>,
    /// Proofs that the replay store remembers at once.
    pub replay_capacity: usize,
    pub limits: Limits,
    /// Checks in flight.
    pub in_flight: usize,
    /// Their bodies together, in bytes.
    pub in_flight_bytes: usize,
    pub denials: Denials,
    pub field_types: FieldTypes,
    pub traces: Option<TraceSettings>,
    pub drain: Drain,
    pub log: file::Log,
    /// The file that this was read from, if it was one.
    pub path: Option<PathBuf>,
    /// What was written of the settings that hold for as long as the relay runs.
    pub fixed: serde_json::Map<String, serde_json::Value>,
    /// SHA-256 of the text that this was read from, in hexadecimal.
    pub digest: Box<str>,
    /// What is allowed, and perhaps not meant.
    pub remarks: Vec<Problem>,
}

/// How the relay stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain {
    /// For how long it answers before it takes no more connections.
    pub delay: Duration,
    /// For how long what is in flight may take after that.
    pub timeout: Duration,
}

/// The members that a running relay takes a new version of. Any other needs a restart, and so do the URLs of keys.
const RELOADED: &[&str] = &["keys", "policies", "denials", "structured_fields"];

fn fixed(document: &Document) -> serde_json::Map<String, serde_json::Value> {
    let mut fixed = document.value.as_object().cloned().unwrap_or_default();
    fixed.retain(|name, _| !RELOADED.contains(&&**name));
    let sources = document.value.get("keys").and_then(serde_json::Value::as_array);
    let urls = sources.into_iter().flatten().filter(|source| source.get("url").is_some());
    fixed.insert("keys.url".to_owned(), urls.cloned().collect());
    fixed
}

/// Where decisions are recorded, and how.
#[derive(Debug)]
pub struct EvidenceSettings {
    pub key_file: PathBuf,
    pub target: Target,
    pub durability: Durability,
    pub pace: Pace,
    /// A file that holds the newest checkpoint.
    pub checkpoint_file: Option<PathBuf>,
    /// Whether checkpoints are printed.
    pub checkpoint_stdout: bool,
    /// Who cosigns checkpoints.
    pub witnesses: Vec<WitnessSettings>,
    /// Fields whose values are not kept.
    pub redact: Vec<Box<str>>,
    /// Names this relay.
    pub instance: Box<str>,
}

/// A witness, and how to reach it.
#[derive(Debug)]
pub struct WitnessSettings {
    pub url: String,
    pub key: VerifierKey,
    /// Certificates of the authorities that its own is checked against.
    pub ca: Option<PathBuf>,
}

/// What receipts say, and where their keys are.
#[derive(Debug)]
pub struct ReceiptSettings {
    pub issuer: Box<str>,
    /// The first signs, all are published. Where there is none, a key is made.
    pub key_files: Vec<PathBuf>,
    /// Seconds for which a receipt holds.
    pub lifetime: i64,
}

impl Config {
    /// The built-in settings.
    ///
    /// # Errors
    /// Never, as a test shows: they are checked like any other.
    pub fn built_in() -> Result<Self, Problems> {
        Self::parse(DEFAULT, "built-in settings", Path::new(""))
    }

    /// The file, or the built-in settings where there is none.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_or_built_in(path: Option<&Path>) -> Result<Self, Problems> {
        path.map_or_else(Self::built_in, Self::load)
    }

    /// Reads a file. Paths in it are relative to its folder.
    ///
    /// # Errors
    /// Every problem, with line and column.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        let name = path.display().to_string();
        let text = fs::read_to_string(path)
            .map_err(|error| Problems::new(&name, vec![Problem::everywhere(error.to_string())]))?;
        let config = Self::parse(&text, &name, path.parent().unwrap_or(Path::new("")))?;
        Ok(Self { path: Some(path.to_owned()), ..config })
    }

    /// Reads a text. `name` stands before each problem, `folder` before each relative path.
    ///
    /// # Errors
    /// Every problem, with line and column.
    pub fn parse(text: &str, name: &str, folder: &Path) -> Result<Self, Problems> {
        let refused = |problems| Problems::new(name, problems);
        let document = Document::parse(text).map_err(|problem| refused(vec![problem]))?;
        let mut problems = schema::check(&document);
        problems.extend(consistency::check(&document));
        if !problems.is_empty() {
            return Err(refused(problems));
        }
        let file: file::ConfigFile = document.typed().map_err(|problem| refused(vec![problem]))?;
        let mut config = file.lower(folder).map_err(|problem| refused(vec![problem]))?;
        config.fixed = fixed(&document);
        config.digest = hex(&sha256(text.as_bytes())).into();
        config.remarks = advice::on_policies(&document, &config.policies);
        config.remarks.extend(advice::on_receipts(&document, &config));
        Ok(config)
    }
}
