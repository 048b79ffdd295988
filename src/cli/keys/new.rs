//! `keys new`: a key pair, for whoever signs requests or for the relay itself.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64ct::{Base64UrlUnpadded, Encoding as _};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::cli::{Failure, output};
use crate::crypto::{Algorithm, PrivateKey};
use crate::evidence::note::{KeyKind, VerifierKey};
use crate::keys::{Purpose, parse_jwk_set, public_jwk, thumbprint};

pub(super) const EXAMPLES: &str = "Examples:
  proof-messenger-relay keys new --subject alice --role clerk --private alice.jwk.json --trust-store keys/people.jwks.json
  proof-messenger-relay keys new --use receipt --private receipts.jwk.json
  proof-messenger-relay keys new --use evidence --name bank.example/relay-1 --private evidence.jwk.json";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct NewKey {
    /// What the key is for. A key for one is refused for another.
    #[arg(long = "use", value_enum, default_value_t = Use::Proof)]
    purpose: Use,
    /// Who the key belongs to. Needed for proofs.
    #[arg(long)]
    subject: Option<String>,
    /// A role of the subject. May be repeated.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// The kind of key. Evidence and receipts are signed with Ed25519.
    #[arg(long, value_enum, default_value_t = KeyAlgorithm::Ed25519)]
    algorithm: KeyAlgorithm,
    /// How proofs or receipts name the key; its thumbprint (RFC 7638) where nothing is said.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// How evidence names the key: a URL without a scheme, such as bank.example/relay-1. Needed for evidence.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Where to write the private JWK. It must not exist; only its owner can read it.
    #[arg(long, value_name = "FILE")]
    private: PathBuf,
    /// The JWK Set file to add the public key to. It is made where it does not exist. Needed for proofs.
    #[arg(long, value_name = "FILE")]
    trust_store: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum KeyAlgorithm {
    Ed25519,
    #[value(name = "p256")]
    P256,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Use {
    /// Signs requests.
    Proof,
    /// Signs checkpoints of the relay's evidence. The verifier key (C2SP signed-note) is printed.
    Evidence,
    /// Signs the relay's receipts for backends. The public JWK is printed.
    Receipt,
}

pub(super) fn run(args: &NewKey) -> Result<(), Failure> {
    match args.purpose {
        Use::Proof => for_proofs(args),
        Use::Evidence => for_evidence(args),
        Use::Receipt => for_receipts(args),
    }
}

fn for_proofs(args: &NewKey) -> Result<(), Failure> {
    let subject = needed(args.subject.as_ref(), "--subject", "proof")?;
    let trust_store = needed(args.trust_store.as_ref(), "--trust-store", "proof")?;
    refused(args.name.is_some(), "--name", "proof")?;
    let algorithm = match args.algorithm {
        KeyAlgorithm::Ed25519 => Algorithm::Ed25519,
        KeyAlgorithm::P256 => Algorithm::EcdsaP256Sha256,
    };
    let key = PrivateKey::generate(algorithm).map_err(Failure::failed)?;
    let mut public = public_jwk(&key.public());
    let id = args.id.clone().unwrap_or_else(|| thumbprint(&key.public()));
    public.insert("kid".into(), json!(id));
    let private = public.clone();
    public.insert("sub".into(), json!(subject));
    if !args.roles.is_empty() {
        public.insert("roles".into(), json!(args.roles));
    }
    if args.private == *trust_store {
        return Err(Failure::usage("the private key and the trust store need files of their own"));
    }
    let folder = folder_of(trust_store);
    if !folder.is_dir() {
        return Err(Failure::usage(format!("{}: there is no such folder", folder.display())));
    }
    let set = with_key(trust_store, Value::Object(public))?;

    // The private key first: a trust store must not name a key that nobody holds.
    write_private(&args.private, &private, &key)?;
    if let Err(error) = replace(trust_store, &format!("{set:#}\n")) {
        // A key that no trust store names would only be in the way of the next attempt.
        let _ = fs::remove_file(&args.private);
        return Err(Failure::at(trust_store, error));
    }

    outln!("{id}");
    Ok(())
}

fn for_evidence(args: &NewKey) -> Result<(), Failure> {
    let name = needed(args.name.as_ref(), "--name", "evidence")?;
    refused(args.id.is_some(), "--id", "evidence")?;
    let key = of_the_relay(args, "evidence")?;
    let verifier = VerifierKey::new(name, KeyKind::Ed25519, key.public())
        .map_err(|error| Failure::usage(format!("--name: {error}")))?;
    write_private(&args.private, &jwk_of_the_relay(&key, name, Purpose::Evidence), &key)?;
    outln!("{verifier}");
    Ok(())
}

fn for_receipts(args: &NewKey) -> Result<(), Failure> {
    refused(args.name.is_some(), "--name", "receipt")?;
    let key = of_the_relay(args, "receipt")?;
    let id = args.id.clone().unwrap_or_else(|| thumbprint(&key.public()));
    if id.is_empty() {
        return Err(Failure::usage("--id: expected a text that is not empty"));
    }
    let public = jwk_of_the_relay(&key, &id, Purpose::Receipt);
    write_private(&args.private, &public, &key)?;
    output::json(&public)
}

/// A key that nobody else has: it stands in no trust store, and has no subject and no roles.
fn of_the_relay(args: &NewKey, purpose: &str) -> Result<PrivateKey, Failure> {
    refused(args.subject.is_some(), "--subject", purpose)?;
    refused(!args.roles.is_empty(), "--role", purpose)?;
    refused(args.trust_store.is_some(), "--trust-store", purpose)?;
    match args.algorithm {
        KeyAlgorithm::Ed25519 => PrivateKey::generate(Algorithm::Ed25519).map_err(Failure::failed),
        KeyAlgorithm::P256 => {
            Err(Failure::usage(format!("expected --algorithm ed25519 with --use {purpose}, but found p256")))
        }
    }
}

fn jwk_of_the_relay(key: &PrivateKey, id: &str, purpose: Purpose) -> Map<String, Value> {
    let mut jwk = public_jwk(&key.public());
    jwk.insert("kid".into(), json!(id));
    jwk.insert("use".into(), json!("sig"));
    jwk.insert("purpose".into(), json!(purpose.to_string()));
    jwk
}

fn needed<'a, T>(value: Option<&'a T>, option: &str, purpose: &str) -> Result<&'a T, Failure> {
    value.ok_or_else(|| Failure::usage(format!("expected {option} with --use {purpose}, but found none")))
}

fn refused(is_there: bool, option: &str, purpose: &str) -> Result<(), Failure> {
    if is_there {
        return Err(Failure::usage(format!("expected no {option} with --use {purpose}, but found one")));
    }
    Ok(())
}

/// Writes a private JWK: the public members, and `d`.
fn write_private(path: &Path, public: &Map<String, Value>, key: &PrivateKey) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Private<'a> {
        #[serde(flatten)]
        public: &'a Map<String, Value>,
        d: &'a str,
    }
    let d = Zeroizing::new(Base64UrlUnpadded::encode_string(key.to_bytes().as_slice()));
    // Room for all of it at once: a buffer that grows leaves its first half somewhere.
    let mut text = Zeroizing::new(Vec::with_capacity(Value::Object(public.clone()).to_string().len() + 256));
    serde_json::to_writer_pretty(&mut *text, &Private { public, d: &d }).map_err(Failure::failed)?;
    text.push(b'\n');
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| Failure::at(path, error))?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(|error| Failure::at(path, error))
}

/// The JWK Set of that file with one key more, if the whole of it can then be used.
fn with_key(path: &Path, key: Value) -> Result<Value, Failure> {
    let mut set = match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?,
        Err(error) if error.kind() == ErrorKind::NotFound => json!({"keys": []}),
        Err(error) => return Err(Failure::at(path, error)),
    };
    match set.get_mut("keys").and_then(Value::as_array_mut) {
        Some(keys) => {
            if keys.iter().any(|known| known.get("kid") == key.get("kid")) {
                return Err(Failure::usage(format!("{}: there is a key of that id already", path.display())));
            }
            keys.push(key);
        }
        None => return Err(Failure::usage(format!("{}: not a JWK Set", path.display()))),
    }
    let entries = parse_jwk_set(set.to_string().as_bytes()).map_err(Failure::usage)?;
    for (position, entry) in entries.into_iter().enumerate() {
        if let Err(problem) = entry {
            return Err(Failure::usage(format!("{}: keys[{position}]: {problem}", path.display())));
        }
    }
    Ok(set)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes beside the file and renames, so that a relay never reads half of it.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = folder_of(path);
    let mut file =
        tempfile::Builder::new().prefix(".jwks").permissions(public_permissions()).tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()
}

/// A trust store is no secret: the relay runs as another user than whoever makes keys.
fn public_permissions() -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o644)
}
