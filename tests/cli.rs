//! The program as a user meets it: commands, exit codes, what goes to which stream.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use proof_messenger_relay::evidence::note::{KeyKind, VerifierKey};
use proof_messenger_relay::keys::{PrivateJwk, Purpose, private, thumbprint};
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
    let serving = Serving::start(program(folder.path(), &["--listen", "127.0.0.1:0"]));
    let advice = &serving.said[0];
    assert_eq!(advice["level"], "WARN");
    let remark = advice["remark"].as_str().unwrap();
    assert!(remark.contains("every request is denied") && remark.contains("--config"), "{remark}");
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
    // They would be ignored: they belong behind the command.
    assert_eq!(exit(&["--config", "bad.yaml", "config", "check", "relay.yaml"]), Some(64));
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

/// What `keys new` is told for a key of the relay's own, and what it says to that.
fn new_key(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let made = run(folder, &[&["keys", "new", "--private", "relay.jwk.json"], arguments].concat());
    (made.status.code(), stdout(&made), stderr(&made))
}

#[test]
fn a_key_for_receipts_is_made_and_its_public_half_printed() {
    let folder = tempfile::tempdir().unwrap();
    let (exit, printed, error) = new_key(folder.path(), &["--use", "receipt"]);
    assert_eq!(exit, Some(0), "{error}");
    let file = folder.path().join("relay.jwk.json");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let private: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let mut public: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(public.get("d"), None);
    assert_eq!((&public["use"], &public["purpose"]), (&"sig".into(), &"receipt".into()));
    let PrivateJwk { id, key } = private::load(&file, Purpose::Receipt).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((&id, &id), (&thumbprint(&key.public()), &public["kid"].as_str().unwrap().to_owned()));
    public["d"] = private["d"].clone();
    assert_eq!(public, private);

    let (exit, _, error) = new_key(folder.path(), &["--use", "receipt"]);
    assert_eq!(exit, Some(1), "it exists already: {error}");
    std::fs::remove_file(&file).unwrap();
    let (_, printed, _) = new_key(folder.path(), &["--use", "receipt", "--id", "receipts-2"]);
    let public: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(public["kid"], "receipts-2");
}

#[test]
fn a_key_for_evidence_is_made_and_its_verifier_key_printed() {
    let folder = tempfile::tempdir().unwrap();
    let name = ["--use", "evidence", "--name", "bank.example/relay-1"];
    let (exit, printed, error) = new_key(folder.path(), &name);
    assert_eq!(exit, Some(0), "{error}");
    let file = folder.path().join("relay.jwk.json");
    let PrivateJwk { id, key } = private::load(&file, Purpose::Evidence).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(id, "bank.example/relay-1");
    let verifier: VerifierKey = printed.trim_end().parse().unwrap();
    assert_eq!(verifier, VerifierKey::new(&id, KeyKind::Ed25519, key.public()).unwrap());
    // By the implementation of others, too.
    assert!(signed_note::StandardVerifier::new(printed.trim_end()).is_ok(), "{printed}");
    assert!(private::load(&file, Purpose::Receipt).is_err());
    std::fs::remove_file(&file).unwrap();
    for name in ["", "bank example", "bank+example", "bank\u{2003}example"] {
        let (exit, _, error) = new_key(folder.path(), &["--use", "evidence", "--name", name]);
        assert_eq!(exit, Some(64), "{name:?}");
        assert!(error.starts_with("--name: expected a name that is not empty"), "{error}");
        assert!(!file.exists());
    }
}

#[test]
fn what_does_not_go_with_the_use_of_a_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let evidence = ["--use", "evidence", "--name", "a"];
    let receipt = ["--use", "receipt"];
    for (base, more, expected) in [
        (
            &evidence[..],
            &["--subject", "alice"][..],
            "expected no --subject with --use evidence, but found one",
        ),
        (&evidence, &["--role", "clerk"], "expected no --role with --use evidence, but found one"),
        (&evidence, &["--trust-store", "a"], "expected no --trust-store with --use evidence, but found one"),
        (&evidence, &["--id", "a"], "expected no --id with --use evidence, but found one"),
        (
            &evidence,
            &["--algorithm", "p256"],
            "expected --algorithm ed25519 with --use evidence, but found p256",
        ),
        (&evidence[..2], &[], "expected --name with --use evidence, but found none"),
        (&receipt, &["--subject", "alice"], "expected no --subject with --use receipt, but found one"),
        (&receipt, &["--name", "a"], "expected no --name with --use receipt, but found one"),
        (
            &receipt,
            &["--algorithm", "p256"],
            "expected --algorithm ed25519 with --use receipt, but found p256",
        ),
        (&receipt, &["--id", ""], "--id: expected a text that is not empty"),
        (&[], &["--trust-store", "a"], "expected --subject with --use proof, but found none"),
        (&[], &["--subject", "alice"], "expected --trust-store with --use proof, but found none"),
        (
            &[],
            &["--subject", "a", "--trust-store", "b", "--name", "c"],
            "expected no --name with --use proof, but found one",
        ),
    ] {
        let (exit, printed, error) = new_key(folder.path(), &[base, more].concat());
        assert_eq!(
            (exit, &*printed, &*error),
            (Some(64), "", &*format!("{expected}\n")),
            "{base:?} {more:?}"
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{base:?} {more:?}");
    }
}

#[test]
fn a_key_of_the_relays_own_signs_no_request() {
    let folder = tempfile::tempdir().unwrap();
    new_key(folder.path(), &["--use", "receipt"]);
    let signed = run(folder.path(), &["sign", "--key", "relay.jwk.json", "--url", "http://localhost/"]);
    assert_eq!((signed.status.code(), stdout(&signed)), (Some(64), String::new()));
    let expected = "relay.jwk.json: expected a key with the purpose proof, but found one with the purpose receipt: \
        keys new --use proof makes one\n";
    assert_eq!(stderr(&signed), expected);
}

const RECEIPTS: &str = r#"
listen: 127.0.0.1:0
admin: 127.0.0.1:0
receipts: {issuer: https://relay.bank.example, keys: [relay.jwk.json]}
policies: [{name: signed, match: {}, receipt: {audience: payments}}]
"#;

#[test]
fn it_says_where_it_serves_the_keys_of_receipts() {
    let folder = tempfile::tempdir().unwrap();
    new_key(folder.path(), &["--use", "receipt", "--id", "receipts-1"]);
    std::fs::write(folder.path().join("relay.yaml"), RECEIPTS).unwrap();
    let serving = Serving::start(program(folder.path(), &["serve", "--config", "relay.yaml"]));
    let admin: SocketAddr = serving.listening["admin"].as_str().unwrap().parse().unwrap();
    assert_eq!(serving.listening["receipt_key"], "receipts-1");
    let mut stream = TcpStream::connect(admin).unwrap();
    stream.write_all(b"GET /.well-known/jwks.json HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("\"kid\":\"receipts-1\""), "{answer}");

    // A second one cannot have the same port, and says which.
    let taken = admin.to_string();
    let second = run(folder.path(), &["serve", "--config", "relay.yaml", "--admin", &taken]);
    assert_eq!(second.status.code(), Some(1));
    assert!(stderr(&second).contains(&format!("cannot listen on {taken}")), "{}", stderr(&second));
}

#[test]
fn the_environment_sets_the_admin_port_and_nothing_is_remarked_then() {
    let folder = tempfile::tempdir().unwrap();
    let settings = RECEIPTS.replace("admin: 127.0.0.1:0\n", "").replace(", keys: [relay.jwk.json]", "");
    std::fs::write(folder.path().join("relay.yaml"), settings).unwrap();
    let checked = run(folder.path(), &["config", "check", "--strict", "relay.yaml"]);
    assert_eq!(checked.status.code(), Some(64));
    let remarks = stderr(&checked);
    assert!(remarks.contains("relay.yaml:3:1: no keys: one is made at each start"), "{remarks}");
    assert!(remarks.contains("receipts: admin is not set"), "{remarks}");

    let mut serve = program(folder.path(), &["serve", "--config", "relay.yaml"]);
    let serving = serve.env("PROOF_MESSENGER_ADMIN", "127.0.0.1:0").stderr(Stdio::piped()).spawn().unwrap();
    let mut serving = ChildGuard(serving);
    let mut log = BufReader::new(serving.0.stderr.take().unwrap());
    let mut lines = String::new();
    while !lines.contains("listening") {
        assert!(log.read_line(&mut lines).unwrap() > 0, "{lines}");
    }
    assert!(lines.contains("no keys: one is made at each start"), "{lines}");
    assert!(lines.contains("receipt_key="), "{lines}");
    assert!(lines.contains(" admin=127.0.0.1:"), "{lines}");
    assert!(!lines.contains("admin is not set"), "{lines}");
}

/// With what kills it politely, it ends, however many ports it serves.
#[test]
fn it_stops_on_both_ports() {
    let folder = tempfile::tempdir().unwrap();
    let serve = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let mut serving = Serving::start(program(folder.path(), &serve));
    let _idle = TcpStream::connect(serving.listening["admin"].as_str().unwrap()).unwrap();
    assert!(serving.stop().success());
}

#[test]
fn keys_of_receipts_that_cannot_be_used_are_wrong_configuration() {
    let folder = tempfile::tempdir().unwrap();
    new_key(folder.path(), &["--use", "receipt"]);
    let file = folder.path().join("relay.jwk.json");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(folder.path().join("relay.yaml"), RECEIPTS).unwrap();
    let serve = run(folder.path(), &["serve", "--config", "relay.yaml"]);
    assert_eq!(serve.status.code(), Some(64));
    let expected = "receipts cannot be signed: relay.jwk.json: expected a private key that only its owner can read and \
        write, but found the mode 0644: chmod 600 relay.jwk.json\n";
    assert_eq!(stderr(&serve), expected);
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
    while !line.contains("address=") {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0);
    }
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
