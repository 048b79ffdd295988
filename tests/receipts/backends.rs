//! The backends of `examples/receipts`, in languages of their own, with receipts of a real relay and forged ones.

use std::cell::Cell;
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::receipt;
use crate::envoy::clients_are_installed;
use crate::support::ask::Ask;
use crate::support::people::People;
use crate::support::program::{run, stderr};
use crate::support::receipts::{AUDIENCE, ISSUER, KeyFiles, key, parts, receipt_of, settings, signed};
use crate::support::relay::Relay;
use crate::support::shell;
use crate::support::signer::Signer;

const URL: &str = "http://bank.example/transfers/7?on=monday";
const BODY: &str = "{\"amount\":100}";

/// What a backend is asked, and whether it must accept it.
struct Case {
    name: &'static str,
    request: Value,
    accepted: bool,
}

/// The first is what the relay wrote. Everything else is a forgery, or another request.
async fn cases(relay: &Relay, alice: &Signer) -> Vec<Case> {
    let genuine = || async {
        let ask = Ask::post("/transfers/7?on=monday", BODY.as_bytes()).for_envoy().signed(alice);
        receipt(&ask.of(relay).await).expect("a receipt").to_owned()
    };
    let first = genuine().await;
    let about = |receipt: &str| json!({"method": "POST", "url": URL, "body": BODY, "receipt": receipt});
    let (header, claims) = parts(&first);
    let count = Cell::new(0);
    let with = |member: &str, value: Value| {
        let mut claims = claims.clone();
        // Each by itself has never been used.
        count.set(count.get() + 1);
        claims["jti"] = json!(format!("forged-{}", count.get()));
        claims[member] = value;
        claims
    };
    let kid = header["kid"].as_str().unwrap();
    let ours = |claims: &Value| receipt_of(&key("receipts-1"), kid, claims);
    let header_with = |member: &str, value: Value| {
        let mut header = header.clone();
        header[member] = value;
        signed(&key("receipts-1"), &header, &with("unused", json!(true)))
    };
    let mut without_digest = with("unused", json!(true));
    without_digest.as_object_mut().unwrap().remove("content_digest");
    let none = {
        let header = json!({"alg": "none", "kid": kid, "typ": header["typ"]});
        let unsigned = signed(&key("receipts-1"), &header, &with("unused", json!(true)));
        unsigned.rsplit_once('.').unwrap().0.to_owned() + "."
    };
    let tampered = {
        let (head, rest) = first.split_once('.').unwrap();
        let (_, signature) = rest.rsplit_once('.').unwrap();
        let forged = ours(&with("sub", json!("mallory")));
        format!("{head}.{}.{signature}", forged.split('.').nth(1).unwrap())
    };
    let now = claims["iat"].as_i64().unwrap();
    let other = |member: &str, value: &str| {
        let mut request = about(&ours(&with("unused", json!(true))));
        request[member] = json!(value);
        request
    };
    let mut cases: Vec<Case> = Vec::new();
    let mut case = |name, request, accepted| cases.push(Case { name, request, accepted });
    case("genuine", about(&first), true);
    case("once more", about(&first), false);
    case("another genuine one", about(&genuine().await), true);
    case("a claim more", about(&ours(&with("unused", json!(true)))), true);
    case("tampered", about(&tampered), false);
    case("expired", about(&ours(&with("exp", json!(now - 60)))), false);
    case("without exp", about(&ours(&with("exp", Value::Null))), false);
    case("another backend's", about(&ours(&with("aud", json!("ledger")))), false);
    case("another issuer's", about(&ours(&with("iss", json!("https://other.example")))), false);
    case("another path", other("url", "http://bank.example/transfers/8?on=monday"), false);
    case("another query", other("url", "http://bank.example/transfers/7?on=tuesday"), false);
    case("another method", other("method", "PUT"), false);
    case("another body", other("body", "{\"amount\":900}"), false);
    case("no body", other("body", ""), false);
    case("a body and no digest", about(&ours(&without_digest)), false);
    case("no algorithm", about(&none), false);
    case("another type", about(&header_with("typ", json!("JWT"))), false);
    case("another algorithm", about(&header_with("alg", json!("HS256"))), false);
    case("an unknown key", about(&receipt_of(&key("mallory"), "mallory", &with("unused", json!(1)))), false);
    case(
        "the key id of the relay's",
        about(&receipt_of(&key("mallory"), kid, &with("unused", json!(2)))),
        false,
    );
    // The evidence is signed by another key, over another text.
    case(
        "a key of evidence",
        about(&receipt_of(&key("evidence"), "bank.example/relay-1", &with("unused", json!(true)))),
        false,
    );
    case("nothing", about(""), false);
    case("no receipt", about("a.b.c"), false);
    cases
}

/// Runs a backend and compares what it says of each case.
async fn is_a_sound_backend(make: impl FnOnce(&Path, &[&str]) -> Command) {
    let alice = Signer::ed25519("alice");
    let files = KeyFiles::new();
    let policies = format!("[{{name: transfers, match: {{}}, receipt: {{audience: {AUDIENCE}}}}}]");
    let relay = Relay::start_now(&settings(&[files.private("receipts-1")], &policies), &[&alice]).await;
    let cases = cases(&relay, &alice).await;
    let folder = TempDir::new().unwrap();
    let keys = format!("http://{}/.well-known/jwks.json", relay.admin.unwrap());
    let mut command = make(folder.path(), &[&keys, ISSUER, AUDIENCE]);
    let input: String = cases.iter().map(|case| format!("{}\n", case.request)).collect();
    let output = tokio::task::spawn_blocking(move || {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It reads while it answers, and all of it fits into the pipes.
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    });
    let output = output.await.unwrap();
    let (said, error) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{error}");
    assert_eq!(said.lines().count(), cases.len(), "{said}{error}");
    for (case, said) in cases.iter().zip(said.lines()) {
        let expected = if case.accepted { "accepted: alice" } else { "refused: " };
        assert!(said.starts_with(expected), "{}: {said}", case.name);
        assert!(!case.accepted || said == expected, "{}: {said}", case.name);
    }
}

fn example(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/receipts").join(name).display().to_string()
}

fn installed(program: &str) -> Command {
    clients_are_installed();
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients/venv/bin").join(program))
}

#[tokio::test]
async fn python() {
    is_a_sound_backend(|_, arguments| {
        let mut command = installed("python");
        let named = ["--jwks", "--issuer", "--audience"].into_iter().zip(arguments);
        command.arg(example("check_receipt.py")).args(named.flat_map(|(name, value)| [name, *value]));
        command
    })
    .await;
}

#[tokio::test]
async fn node() {
    is_a_sound_backend(|folder, arguments| {
        let mut command = installed("node");
        // Node.js looks for packages beside the script.
        let script = folder.join("check_receipt.mjs");
        std::fs::copy(example("check_receipt.mjs"), &script).unwrap();
        let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients/node_modules");
        symlink(packages, folder.join("node_modules")).unwrap();
        command.arg(script).args(arguments);
        command
    })
    .await;
}

#[tokio::test]
async fn go() {
    if Command::new("go").arg("version").output().is_err() {
        // Not `eprintln!`: the test harness swallows that where the test passes.
        let notice = b"\nNOT RUN: receipts::backends::go: there is no go on the PATH\n";
        std::io::stderr().write_all(notice).unwrap();
        return;
    }
    is_a_sound_backend(|_, arguments| {
        let mut command = Command::new("go");
        command.arg("run").arg(example("check_receipt.go")).args(arguments);
        command
    })
    .await;
}

/// In one shell, as a reader has, but that the relay listens on ports that are free.
#[test]
fn what_the_readme_of_the_example_shows_is_what_happens() {
    clients_are_installed();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = People::with_files_of(&root.join("examples/receipts"));
    symlink(root.join("target/clients/node_modules"), files.folder().join("node_modules")).unwrap();
    let readme = std::fs::read_to_string(root.join("examples/receipts/README.md")).unwrap();
    let steps = shell::steps(readme.split_once("\n## Try it\n").unwrap().1);
    let (listen, admin) = (shell::free_port(), shell::free_port());
    let mut script = shell::preamble();
    let packages = root.join("target/clients/venv/bin");
    writeln!(script, "PATH={}:$PATH", packages.display()).unwrap();
    writeln!(
        script,
        "export PROOF_MESSENGER_LISTEN=127.0.0.1:{listen} PROOF_MESSENGER_ADMIN=127.0.0.1:{admin}"
    )
    .unwrap();
    let check = format!("proof-messenger-relay check --relay http://127.0.0.1:{listen}");
    for (position, step) in steps.iter().enumerate() {
        let commands = step.commands.replace("proof-messenger-relay check", &check);
        let commands = commands.replace("127.0.0.1:8001", &format!("127.0.0.1:{admin}"));
        let commands = commands.replace("&\n", &format!("&\nlistens {listen}\nlistens {admin}\n"));
        writeln!(script, "echo '=== {position}'\n{commands}").unwrap();
    }
    let output = Command::new("bash").arg("-c").arg(&script).current_dir(files.folder()).output().unwrap();
    shell::assert_printed(&steps, &output);
}

#[test]
fn the_configuration_of_the_example_is_sound() {
    let files = People::with_files_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/receipts"));
    files.add("alice", "alice", &[], "ed25519", "people.jwks.json");
    let checked = run(files.folder(), &["config", "check", "--strict", "relay.yaml"]);
    assert!(checked.status.success(), "{}", stderr(&checked));
}
