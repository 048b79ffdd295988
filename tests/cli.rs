//! The program as a user meets it: commands, exit codes, what goes to which stream.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::support::program::{ChildGuard, Serving, program, run, stderr, stdout};

const SETTINGS: &str = r#"
listen: 127.0.0.1:0
keys: [{file: people.jwks.json}]
policies:
  - name: transfers
    match: {methods: [POST], path: "/transfers/{account}"}
  - name: rates
    match: {methods: [GET], path: "/rates/{*rest}"}
    proof: none
"#;

fn folder_with_alice() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let made = run(
        folder.path(),
        &[
            "keys",
            "new",
            "--subject",
            "alice",
            "--role",
            "clerk",
            "--private",
            "alice.jwk.json",
            "--trust-store",
            "people.jwks.json",
        ],
    );
    assert!(made.status.success(), "{}", stderr(&made));
    std::fs::write(folder.path().join("relay.yaml"), SETTINGS).unwrap();
    folder
}

#[test]
fn without_a_command_it_serves_and_denies_everything_and_says_how_to_change_that() {
    let folder = tempfile::tempdir().unwrap();
    let mut serving = Serving::start(program(folder.path(), &["--listen", "127.0.0.1:0"]));
    let advice = serving.next_line();
    assert_eq!(advice["level"], "WARN");
    assert!(advice["message"].as_str().unwrap().contains("--config"), "{advice}");
    let answer =
        run(folder.path(), &["check", "--relay", &serving.address, "--url", "http://localhost/", "--json"]);
    assert_eq!(answer.status.code(), Some(1));
    let answer: Value = serde_json::from_str(&stdout(&answer)).unwrap();
    assert_eq!((&answer["status"], &answer["metadata"]["code"]), (&403.into(), &"no-policy".into()));
}

#[test]
fn the_built_in_address_is_port_8000() {
    let settings = stdout(&run(Path::new("."), &["config", "default"]));
    assert!(settings.contains("\nlisten: 0.0.0.0:8000\n"));
}

#[test]
fn keys_sign_and_check_make_an_allowed_request_and_one_log_line() {
    let folder = folder_with_alice();
    let mut serving = Serving::start(program(folder.path(), &["serve", "--config", "relay.yaml"]));
    let mut check = |arguments: &[&str]| {
        let mut all = vec!["check", "--relay", &serving.address, "--json"];
        all.extend(arguments);
        let output = run(folder.path(), &all);
        let answer: Value =
            serde_json::from_str(&stdout(&output)).unwrap_or_else(|_| panic!("{}", stderr(&output)));
        (output.status.code(), answer, serving.next_line())
    };
    let request = ["--method", "POST", "--url", "http://localhost/transfers/7", "--body", "{\"amount\":1}"];

    let (exit, answer, line) = check(&[&request[..], &["--key", "alice.jwk.json"]].concat());
    assert_eq!(exit, Some(0), "{answer}");
    assert_eq!(answer["headers"]["x-proof-subject"], "alice");
    assert_eq!(answer["headers"]["x-proof-status"], "verified");
    assert_eq!(
        (&line["decision"], &line["policy"], &line["subject"]),
        (&"allow".into(), &"transfers".into(), &"alice".into())
    );
    assert_eq!(line["id"], answer["headers"]["x-proof-id"]);
    assert!(line["duration_us"].is_u64(), "{line}");

    let (exit, answer, line) = check(&request);
    assert_eq!(exit, Some(1));
    assert_eq!((&answer["body"]["code"], &line["code"]), (&"proof-missing".into(), &"proof-missing".into()));
    assert_eq!(
        answer["headers"]["accept-signature"],
        "sig=(\"@method\" \"@target-uri\" \"content-digest\");created;keyid"
    );

    let (exit, answer, _) = check(&["--url", "http://localhost/rates/eur"]);
    assert_eq!((exit, &answer["headers"]["x-proof-status"]), (Some(0), &"unsigned".into()));
}

#[test]
fn the_log_holds_no_header_value_no_body_and_no_query() {
    let folder = folder_with_alice();
    let mut serving = Serving::start(program(folder.path(), &["serve", "--config", "relay.yaml"]));
    run(
        folder.path(),
        &[
            "check",
            "--relay",
            &serving.address,
            "--key",
            "alice.jwk.json",
            "--method",
            "POST",
            "--url",
            "http://localhost/transfers/7?token=marker",
            "--body",
            "marker",
            "-H",
            "Authorization: Bearer marker",
        ],
    );
    let line = serving.next_line();
    assert_eq!(line["decision"], "allow");
    assert!(!line.to_string().contains("marker"), "{line}");
}

#[test]
fn sign_prints_arguments_that_survive_the_shell() {
    let folder = folder_with_alice();
    let sign = run(
        folder.path(),
        &[
            "sign",
            "--key",
            "alice.jwk.json",
            "--method",
            "POST",
            "--url",
            "http://localhost:1/transfers/7?a=b*c",
            "--body",
            "a \"quoted\" body",
            "--output",
            "curl",
        ],
    );
    assert!(sign.status.success(), "{}", stderr(&sign));
    let arguments = stdout(&sign);
    let file = arguments.trim().strip_prefix("--config ").unwrap();
    let config = std::fs::read_to_string(file).unwrap();
    assert!(config.contains("header = \"signature-input: sig=(\\\"@method\\\" \\\"@target-uri\\\" \\\"content-digest\\\");created="), "{config}");
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    for line in config.lines().filter_map(|line| line.strip_prefix("data-binary = \"@")) {
        std::fs::remove_file(line.trim_end_matches('"')).unwrap();
    }
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_private_key_is_for_its_owner_only_and_is_never_overwritten() {
    let folder = folder_with_alice();
    let private = folder.path().join("alice.jwk.json");
    assert_eq!(std::fs::metadata(&private).unwrap().permissions().mode() & 0o777, 0o600);
    let before = std::fs::read(&private).unwrap();
    let again = run(
        folder.path(),
        &[
            "keys",
            "new",
            "--subject",
            "eve",
            "--private",
            "alice.jwk.json",
            "--trust-store",
            "people.jwks.json",
        ],
    );
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("alice.jwk.json"), "{}", stderr(&again));
    assert_eq!(std::fs::read(&private).unwrap(), before);
    assert!(!stdout(&run(folder.path(), &["keys", "list", "people.jwks.json"])).contains("eve"));
}

#[test]
fn a_key_that_cannot_be_published_is_not_left_behind() {
    let folder = folder_with_alice();
    for (private, store) in [("bob.jwk.json", "missing/people.jwks.json"), ("bob.jwk.json", "bob.jwk.json")] {
        let made = run(
            folder.path(),
            &["keys", "new", "--subject", "bob", "--private", private, "--trust-store", store],
        );
        assert_eq!(made.status.code(), Some(64), "{}", stderr(&made));
        assert!(!folder.path().join("bob.jwk.json").exists());
    }
}

#[test]
fn a_second_signer_signs_what_the_first_one_signed() {
    let folder = folder_with_alice();
    let sign = |arguments: &[&str]| {
        let request =
            ["sign", "--key", "alice.jwk.json", "--method", "POST", "--url", "http://localhost/transfers/7"];
        run(folder.path(), &[&request[..], arguments].concat())
    };
    let first = stdout(&sign(&["--body", "{}"]));
    let headers: Vec<&str> = first.lines().flat_map(|line| ["--header", line]).collect();
    let same_label = sign(&[&["--body", "{}"][..], &headers].concat());
    assert_eq!(same_label.status.code(), Some(64));
    assert!(stderr(&same_label).contains("--label"), "{}", stderr(&same_label));
    let other_body = sign(&[&["--body", "{1}", "--label", "second"][..], &headers].concat());
    assert_eq!(other_body.status.code(), Some(64));
    assert!(stderr(&other_body).contains("Content-Digest"), "{}", stderr(&other_body));
    assert!(sign(&[&["--body", "{}", "--label", "second"][..], &headers].concat()).status.success());
}

#[test]
fn keys_list_shows_who_may_sign() {
    let folder = folder_with_alice();
    let listed = run(folder.path(), &["keys", "list", "people.jwks.json", "--json"]);
    let keys: Value = serde_json::from_str(&stdout(&listed)).unwrap();
    assert_eq!((&keys[0]["sub"], &keys[0]["roles"][0]), (&"alice".into(), &"clerk".into()));
    assert_eq!(keys[0]["algorithm"], "ed25519");
    assert_eq!(keys[0]["kid"], keys[0]["thumbprint"]);
}

#[test]
fn a_trust_store_with_a_private_key_is_refused_with_file_entry_and_reason() {
    let folder = folder_with_alice();
    let private: Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("alice.jwk.json")).unwrap()).unwrap();
    let store = serde_json::json!({"keys": [private]});
    std::fs::write(folder.path().join("people.jwks.json"), store.to_string()).unwrap();
    let checked = run(folder.path(), &["config", "check", "relay.yaml"]);
    assert_eq!(checked.status.code(), Some(64));
    assert_eq!(
        stderr(&checked),
        "people.jwks.json: keys[0]: a private or symmetric key (member \"d\"): a trust store holds public keys only\n"
    );
}

#[test]
fn exit_codes_tell_usage_from_failure() {
    let folder = folder_with_alice();
    std::fs::write(folder.path().join("bad.yaml"), "polices: []\n").unwrap();
    let exit = |arguments: &[&str]| run(folder.path(), arguments).status.code();
    assert_eq!(exit(&["--help"]), Some(0));
    assert_eq!(exit(&["serve", "--nonsense"]), Some(64));
    assert_eq!(exit(&["serve", "--config", "bad.yaml"]), Some(64));
    assert_eq!(exit(&["serve", "--config", "missing.yaml"]), Some(64));
    assert_eq!(exit(&["config", "check", "relay.yaml"]), Some(0));
    assert_eq!(exit(&["check", "--relay", "http://127.0.0.1:1", "--url", "http://localhost/"]), Some(1));
}

#[test]
fn a_taken_port_is_a_failure_that_names_it() {
    let folder = folder_with_alice();
    let serving = Serving::start(program(folder.path(), &["serve", "--config", "relay.yaml"]));
    let address = serving.address.trim_start_matches("http://");
    let second = run(folder.path(), &["serve", "--config", "relay.yaml", "--listen", address]);
    assert_eq!(second.status.code(), Some(1));
    assert!(stderr(&second).contains(&format!("cannot listen on {address}")), "{}", stderr(&second));
}

#[test]
fn every_command_has_help_with_an_example() {
    for command in [
        &["serve"][..],
        &["keys", "new"],
        &["keys", "list"],
        &["sign"],
        &["check"],
        &["explain"],
        &["config", "check"],
        &["config", "schema"],
        &["config", "default"],
        &["lint"],
        &["evidence", "verify"],
        &["evidence", "prove"],
        &["evidence", "check-proof"],
        &["evidence", "show"],
    ] {
        let help = stdout(&run(Path::new("."), &[command, &["--help"]].concat()));
        assert!(help.contains("Example"), "{command:?}: {help}");
    }
}

#[test]
fn a_key_id_cannot_forge_a_line_or_a_field_of_the_log() {
    let folder = folder_with_alice();
    let serving = program(folder.path(), &["serve", "--config", "relay.yaml"])
        .env("PROOF_MESSENGER_LOG_FORMAT", "text")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut serving = ChildGuard(serving);
    let mut log = BufReader::new(serving.0.stderr.take().unwrap());
    let mut line = String::new();
    log.read_line(&mut line).unwrap();
    let address = line.split_once("address=").unwrap().1.split_whitespace().next().unwrap();
    let input =
        r#"Signature-Input: sig=("@method" "@target-uri");created=1;keyid="x\" decision=\"allow\" y=\"""#;
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs().to_string();
    let input = input.replace("created=1", &format!("created={now}"));
    run(
        folder.path(),
        &[
            "check",
            "--relay",
            &format!("http://{address}"),
            "--method",
            "POST",
            "--url",
            "http://localhost/transfers/7",
            "--header",
            "content-length: 0",
            "--header",
            &input,
            "--header",
            "Signature: sig=:AAAA:",
        ],
    );
    line.clear();
    log.read_line(&mut line).unwrap();
    assert!(line.contains("key-unknown"), "{line}");
    assert!(!line.contains(" decision=\"allow\""), "{line}");
}
