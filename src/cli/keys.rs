//! `keys new`, `keys list`.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64ct::{Base64UrlUnpadded, Encoding as _};
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::Failure;
use crate::crypto::{Algorithm, PrivateKey};
use crate::keys::{parse_jwk_set, public_jwk, store, thumbprint};
use crate::timestamp::{Clock as _, SystemClock};

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Make a key pair: a private JWK for the signer, and its public half in a trust-store file.
    #[command(
        after_help = "Example:\n  proof-messenger-relay keys new --subject alice --role clerk --private alice.jwk.json --trust-store keys/people.jwks.json"
    )]
    New(NewKey),
    /// Show what a trust store holds.
    #[command(after_help = "Example:\n  proof-messenger-relay keys list keys/*.jwks.json")]
    List {
        /// JWK Set files, or globs of them.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct NewKey {
    /// Who the key belongs to.
    #[arg(long)]
    subject: String,
    /// A role of the subject. May be repeated.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// The kind of key.
    #[arg(long, value_enum, default_value_t = KeyKind::Ed25519)]
    algorithm: KeyKind,
    /// How proofs name the key; its thumbprint (RFC 7638) where nothing is said.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Where to write the private JWK. It must not exist; only its owner can read it.
    #[arg(long, value_name = "FILE")]
    private: PathBuf,
    /// The JWK Set file to add the public key to. It is made where it does not exist.
    #[arg(long, value_name = "FILE")]
    trust_store: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum KeyKind {
    Ed25519,
    #[value(name = "p256")]
    P256,
}

pub(super) fn run(command: KeysCommand) -> Result<(), Failure> {
    match command {
        KeysCommand::New(args) => new(&args),
        KeysCommand::List { files, json } => list(&files, json),
    }
}

fn new(args: &NewKey) -> Result<(), Failure> {
    let algorithm = match args.algorithm {
        KeyKind::Ed25519 => Algorithm::Ed25519,
        KeyKind::P256 => Algorithm::EcdsaP256Sha256,
    };
    let key = PrivateKey::generate(algorithm).map_err(Failure::failed)?;
    let mut public = public_jwk(&key.public());
    let id = args.id.clone().unwrap_or_else(|| thumbprint(&key.public()));
    public.insert("kid".into(), json!(id));
    let mut private = public.clone();
    public.insert("sub".into(), json!(args.subject));
    if !args.roles.is_empty() {
        public.insert("roles".into(), json!(args.roles));
    }
    if args.private == args.trust_store {
        return Err(Failure::usage("the private key and the trust store need files of their own"));
    }
    let folder = folder_of(&args.trust_store);
    if !folder.is_dir() {
        return Err(Failure::usage(format!("{}: there is no such folder", folder.display())));
    }
    let set = with_key(&args.trust_store, Value::Object(public))?;

    // The private key first: a trust store must not name a key that nobody holds.
    private.insert("d".into(), json!(Base64UrlUnpadded::encode_string(key.to_bytes().as_slice())));
    let text = Zeroizing::new(format!("{:#}\n", Value::Object(private)));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&args.private)
        .map_err(|error| Failure::at(&args.private, error))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|error| Failure::at(&args.private, error))?;
    if let Err(error) = replace(&args.trust_store, &format!("{set:#}\n")) {
        // A key that no trust store names would only be in the way of the next attempt.
        let _ = fs::remove_file(&args.private);
        return Err(Failure::at(&args.trust_store, error));
    }

    println!("{id}");
    Ok(())
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

fn list(files: &[PathBuf], as_json: bool) -> Result<(), Failure> {
    let directory = store::load(files).map_err(Failure::usage)?;
    let mut keys: Vec<_> = directory.iter().collect();
    keys.sort_by(|a, b| (&a.subject, &a.id).cmp(&(&b.subject, &b.id)));
    if as_json {
        let keys: Vec<Value> = keys
            .iter()
            .map(|key| {
                json!({
                    "kid": key.id, "sub": key.subject, "roles": key.roles, "algorithm": key.public.algorithm().name(),
                    "thumbprint": key.thumbprint, "nbf": key.not_before, "exp": key.expires,
                    "revoked_at": key.revoked_at,
                })
            })
            .collect();
        println!("{:#}", Value::Array(keys));
        return Ok(());
    }
    let now = SystemClock.now().unix_seconds();
    for key in keys {
        let roles = if key.roles.is_empty() { "-".to_owned() } else { key.roles.join(",") };
        let state = if key.revoked_at.is_some_and(|time| time <= now) {
            "revoked"
        } else if key.expires.is_some_and(|time| time <= now) {
            "expired"
        } else if key.not_before.is_some_and(|time| now < time) {
            "not yet valid"
        } else {
            "valid"
        };
        println!("{}  {}  {roles}  {}  {state}", key.subject, key.public.algorithm().name(), key.id);
    }
    Ok(())
}
