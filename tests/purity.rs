//! The verifier core does no I/O, knows no clock and no wire type. Lints hold the calls; this holds the names.

use std::path::{Path, PathBuf};

const PURE: &[&str] = &[
    "request.rs",
    "structured_field.rs",
    "limits.rs",
    "denial.rs",
    "crypto.rs",
    "signer.rs",
    "receipt.rs",
    "proof",
    "keys/mod.rs",
    "keys/jwk.rs",
    "verify",
    "policy",
    "evidence/decided.rs",
    "evidence/redaction.rs",
    "evidence/log.rs",
    "evidence/line.rs",
    "evidence/record.rs",
    "evidence/sealed.rs",
    "evidence/check",
    "evidence/merkle",
    "evidence/note",
    "evidence/checkpoint.rs",
    "evidence/tlog_proof.rs",
    "evidence/witness/exchange.rs",
    "evidence/witness/progress.rs",
];

const FORBIDDEN: &[&str] = &[
    "tonic",
    "prost",
    "envoy_types",
    "tokio",
    "tracing",
    "std::fs",
    "std::io",
    "std::net::Tcp",
    "std::env",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "crate::envoy",
    "crate::server",
    "crate::cli",
    "crate::config",
    "async ",
];

fn sources(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(path).unwrap().flat_map(|entry| sources(&entry.unwrap().path())).collect();
    found.sort();
    found
}

#[test]
fn the_core_names_nothing_of_the_world_outside() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for source in PURE.iter().flat_map(|name| sources(&src.join(name))) {
        let text = std::fs::read_to_string(&source).unwrap();
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap();
            let found = FORBIDDEN.iter().find(|name| code.contains(**name));
            assert_eq!(found, None, "{}:{}: {line}", source.display(), number + 1);
        }
    }
}

#[test]
fn protobuf_stops_in_the_envoy_module() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    // The server registers the generated service, and names nothing else of it.
    let allowed = [src.join("envoy"), src.join("server")];
    for source in
        sources(&src).iter().filter(|source| !allowed.iter().any(|folder| source.starts_with(folder)))
    {
        assert!(!std::fs::read_to_string(source).unwrap().contains("envoy_types"), "{}", source.display());
    }
}
