//! Policies and what becomes of requests under them, written as data: each file in `cases/` is a list of groups, and says
//! in its head what it is about. Whoever wants to know what the relay does in some case adds it there, without Rust.
//!
//! ```yaml
//! - group: what the cases have in common
//!   policies:             # as in a configuration file
//!     - {name: transfers, match: {}}
//!   people:               # the trust store
//!     alice: {roles: [clerk]}                     # one key, named alice
//!     bob: {keys: {bob-1: {}, bob-2: {roles: [manager], revoked: 1h ago}}}
//!   request: {body: '{"amount": 1}'}              # POST https://bank.example/transfers/7, if nothing else is said
//!   signed_by: [alice]
//!   cases:
//!     - why: the reason, in one sentence
//!       request: {path: /other}                   # what is different
//!       signed_by: [alice, {key: bob-1, created: 2h ago, tag: approve, over: {body: '{"amount": 2}'}}]
//!       expect: deny signature-invalid by transfers
//! ```
//!
//! `expect` is `allow by POLICY`, `deny CODE`, `deny CODE by POLICY` and `observe CODE by POLICY`; and, where another policy
//! observed before, `, after CODE by POLICY` behind it.

mod case;
mod run;

use std::path::Path;

use run::run;

/// The files, each with a test.
const FILES: [&str; 6] = ["amounts", "approvals", "bodies", "choosing", "conditions", "observe"];

#[tokio::test]
async fn amounts() {
    run("amounts").await;
}

#[tokio::test]
async fn approvals() {
    run("approvals").await;
}

#[tokio::test]
async fn bodies() {
    run("bodies").await;
}

#[tokio::test]
async fn choosing() {
    run("choosing").await;
}

#[tokio::test]
async fn conditions() {
    run("conditions").await;
}

#[tokio::test]
async fn observe() {
    run("observe").await;
}

#[test]
fn every_file_is_run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policies/cases");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, FILES.map(|name| format!("{name}.yaml")));
}
