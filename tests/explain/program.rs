//! `explain` as a user runs it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::signed_over_base;
use crate::support::ask::{Ask, signing};
use crate::support::golden::assert_golden;
use crate::support::relay::START;
use crate::support::signer::{Signer, trust_store};

const SETTINGS: &str = r#"
keys: [{file: people.jwks.json}]
policies:
  - {name: rates, match: {methods: [GET], path: "/rates/{*rest}"}, proof: none}
  - name: large
    match: {methods: [POST], path: "/transfers/{account}"}
    when: body.amount > 1000
    approvals: [{role: boss}]
  - name: transfers
    match: {methods: [POST], path: "/transfers/{account}"}
    proof: {max_age: 60s, roles: [clerk]}
  - {name: inside, match: {path: /inside}, when: "source.address == '192.0.2.1' && source.principal == 'spiffe://a'", proof: none}
  - {name: seen, match: {path: /seen}, mode: observe}
"#;

fn alice() -> Signer {
    Signer::ed25519("alice").with(serde_json::json!({"roles": ["clerk"]}))
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("relay.yaml", SETTINGS);
    write("people.jwks.json", &trust_store(&[&alice()]).to_string());
    write("alice.jwk.json", &alice().private_jwk().to_string());
    folder
}

/// Runs it with `input` on its standard input.
fn run_with(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_proof-messenger-relay"))
        .arg("explain")
        .args(arguments)
        .current_dir(folder)
        .env("PROOF_MESSENGER_CONFIG", "relay.yaml")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    run_with(folder, arguments, "")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What `curl -v` prints of a request.
fn curl(ask: &Ask) -> String {
    let sent = String::from_utf8(ask.http1()).unwrap();
    let head = sent.split("\r\n\r\n").next().unwrap();
    let lines: String = head.lines().map(|line| format!("> {line}\r\n")).collect();
    format!(
        "* Connected to bank.example (192.0.2.1) port 443 (#0)\n* SSL connection using TLSv1.3\n{lines}> \r\n"
    )
}

/// A transfer that was signed with a newline at the end of the base.
fn broken() -> Ask {
    let params = r#"("@method" "@target-uri" "content-digest");created=1700000000;keyid="alice";nonce="c29tZSBub25jZSBvZiAxMjgg""#;
    let ask = Ask::post("/transfers/7", b"{\"amount\":100}");
    let digest = ask.value("content-digest");
    let base = format!(
        "\"@method\": POST\n\"@target-uri\": https://bank.example/transfers/7\n\"content-digest\": {digest}\n\"@signature-params\": {params}\n"
    );
    signed_over_base(ask, &alice(), params, base.as_bytes())
}

const BODY: [&str; 4] = ["--recorded", "-", "--body", "{\"amount\":100}"];

#[test]
fn a_whole_story_as_text_and_as_json() {
    let folder = folder();
    let sent = curl(&broken());
    let told = run_with(folder.path(), &[&BODY[..], &["--at", "2023-11-14T22:13:25Z"]].concat(), &sent);
    assert_eq!(told.status.code(), Some(1), "{told:?}");
    assert!(told.stderr.is_empty());
    assert_golden("tests/golden/explained.txt", &told.stdout);

    let mut base = broken_base();
    base.push('\n');
    std::fs::write(folder.path().join("base.txt"), base).unwrap();
    let arguments =
        [&BODY[..], &["--at", "signed", "--base", "base.txt", "--label", "sig", "--json"]].concat();
    let told = run_with(folder.path(), &arguments, &sent);
    assert_eq!(told.status.code(), Some(1));
    assert_golden("tests/golden/explained.json", &told.stdout);
}

/// The base that the relay builds of the broken transfer.
fn broken_base() -> String {
    let folder = folder();
    let told = run_with(folder.path(), &[&BODY[..], &["--json"]].concat(), &curl(&broken()));
    json(&told)["proofs"][0]["base"].as_str().unwrap().to_owned()
}

#[test]
fn a_request_is_described_signed_and_decided() {
    let folder = folder();
    let transfer =
        ["--method", "POST", "--url", "https://bank.example/transfers/7", "--body", "{\"amount\":1}"];
    let told = run(folder.path(), &[&transfer[..], &["--key", "alice.jwk.json", "--json"]].concat());
    assert_eq!(told.status.code(), Some(0), "{}", text(&told));
    let story = json(&told);
    assert_eq!(
        (&story["decision"]["allowed"], &story["decision"]["policy"], &story["proofs"][0]["serves_as"][0]),
        (&true.into(), &"transfers".into(), &"submission".into())
    );
    let told = run(folder.path(), &transfer);
    assert_eq!(told.status.code(), Some(1));
    assert!(
        text(&told).contains("✗ denied: proof-missing, by the policy transfers, status 401"),
        "{}",
        text(&told)
    );
    assert!(!text(&told).contains(alice().private_jwk()["d"].as_str().unwrap()));
    let told =
        run(folder.path(), &["--url", "https://bank.example/rates/eur", "--policy", "transfers", "--json"]);
    assert_eq!(json(&told)["policies"][0]["mismatches"][0]["property"], "method");
}

#[test]
fn the_source_is_for_conditions() {
    let folder = folder();
    let url = ["--url", "https://bank.example/inside"];
    let known = ["--source-address", "192.0.2.1", "--source-principal", "spiffe://a"];
    assert_eq!(run(folder.path(), &[&url[..], &known].concat()).status.code(), Some(0));
    let told = run(folder.path(), &url);
    assert_eq!(told.status.code(), Some(1));
    assert!(text(&told).contains("the proxy did not say the address of the client"), "{}", text(&told));
}

#[test]
fn the_time_is_said_and_why() {
    let folder = folder();
    let transfer = Ask::post("/transfers/7", b"{\"amount\":100}")
        .signed_as(&alice(), &signing("sig", &["@method", "@target-uri", "content-digest"]));
    let story = |arguments: &[&str]| {
        let told = run_with(folder.path(), &[&BODY[..], arguments, &["--json"]].concat(), &curl(&transfer));
        json(&told)
    };
    for (at, unix, code) in [
        ("signed", START, Value::Null),
        ("1700000060", START + 60, Value::Null),
        ("2023-11-14T22:13:20Z", START, Value::Null),
        ("2023-11-15T00:13:20+02:00", START, Value::Null),
        ("1700000091", START + 91, "proof-too-old".into()),
    ] {
        let told = story(&["--at", at]);
        assert_eq!((&told["time"]["unix"], &told["decision"]["code"]), (&unix.into(), &code), "{at}");
    }
    assert_eq!(story(&["--at", "signed"])["time"]["why"], "when the newest proof was created");
    let now = story(&[]);
    assert_eq!((&now["time"]["why"], &now["decision"]["code"]), (&"now".into(), &"proof-too-old".into()));
    let told = run_with(folder.path(), &BODY, &curl(&transfer));
    assert!(text(&told).contains("ask with --at signed"), "{}", text(&told));
    assert!(now["time"].get("code_now").is_none(), "{now}");
    assert_eq!(story(&["--at", "signed"])["time"]["code_now"], "proof-too-old");
    let told = run_with(folder.path(), &[&BODY[..], &["--at", "signed"]].concat(), &curl(&transfer));
    assert!(text(&told).contains("✗ now it would be denied: proof-too-old"), "{}", text(&told));
    let url = ["--url", "https://bank.example/rates/eur", "--at"];
    let told = run(folder.path(), &[&url[..], &["signed"]].concat());
    assert!(text(&told).contains("now, since no proof says when it was created"), "{}", text(&told));
    let told = run(folder.path(), &[&url[..], &["soon"]].concat());
    assert_eq!(told.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&told.stderr).contains("expected seconds since 1970"), "{told:?}");
}

#[test]
fn records_of_every_kind_are_explained() {
    let records = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    let folder = folder();
    std::fs::copy(records.join("people.jwks.json"), folder.path().join("people.jwks.json")).unwrap();
    let of = |name: &str, arguments: &[&str]| {
        let file = records.join(name);
        let told =
            run(folder.path(), &[&["--recorded", file.to_str().unwrap(), "--json"], arguments].concat());
        (told.status.code(), json(&told))
    };
    let (exit, told) = of("http1.txt", &["--at", "signed", "--body", "{\"amount\":100}"]);
    assert_eq!((exit, &told["decision"]["decision"]), (Some(0), &"allowed".into()), "{told:#}");
    let (exit, told) = of("http1.txt", &["--at", "signed", "--body", "{\"amount\":999}"]);
    assert_eq!((exit, &told["decision"]["code"]), (Some(1), &"digest-mismatch".into()));
    assert_eq!(told["request"]["source"], "a record: output of curl -v");
    let (_, told) = of("http1.txt", &["--at", "signed"]);
    assert_eq!(told["decision"]["code"], "body-unavailable");
    assert!(told["request"]["body"].as_str().unwrap().contains("--body-file"), "{told:#}");
    // A HAR and a check know when they were made.
    for (name, arguments) in [("firefox.har", &[][..]), ("check-merged.json", &[])] {
        let (exit, told) = of(name, arguments);
        assert_eq!(
            (exit, &told["time"]["why"]),
            (Some(0), &"when the request was recorded".into()),
            "{told:#}"
        );
    }
    let (exit, told) = of("check-merged.json", &["--at", "2026-11-25T08:00:00Z"]);
    assert_eq!((exit, &told["decision"]["code"]), (Some(1), &"proof-too-old".into()));
}

#[test]
fn what_is_only_observed_is_allowed_and_says_so() {
    let told = run(folder().path(), &["--url", "https://bank.example/seen"]);
    assert_eq!(told.status.code(), Some(0));
    assert!(
        text(&told).contains("✗ observed: proof-missing, by the policy seen, status 200"),
        "{}",
        text(&told)
    );
}

#[test]
fn wrong_usage_is_told_from_a_denial() {
    let folder = folder();
    let exit = |arguments: &[&str]| {
        let output = run(folder.path(), arguments);
        assert!(output.stdout.is_empty() || output.status.code() != Some(64), "{output:?}");
        output.status.code()
    };
    let url = ["--url", "https://bank.example/rates/eur"];
    assert_eq!(exit(&url), Some(0));
    assert_eq!(exit(&[]), Some(64));
    assert_eq!(exit(&[&url[..], &["--config", "missing.yaml"]].concat()), Some(64));
    assert_eq!(exit(&["--recorded", "-", "--key", "alice.jwk.json"]), Some(64));
    assert_eq!(exit(&["--recorded", "-"]), Some(64));
    assert_eq!(exit(&[&url[..], &["--base", "missing.txt"]].concat()), Some(1));
    std::fs::write(folder.path().join("people.jwks.json"), "{}").unwrap();
    assert_eq!(exit(&url), Some(64));
}

#[test]
fn the_readme_shows_what_is_told() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let (_, section) = readme.split_once("\n## Why was it refused?\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let blocks: Vec<(&str, &str)> =
        section.split("```").skip(1).step_by(2).map(|block| block.split_once('\n').unwrap()).collect();
    let [("sh", commands), ("text", refused), ("text", compared)] = blocks[..] else { panic!("{blocks:?}") };

    let folder = folder();
    let params = r#"("@method" "@target-uri" "content-digest");created=1700000000;keyid="alice""#;
    let ask = Ask::post("/transfers/7", b"{\"amount\":100}");
    let digest = ask.value("content-digest");
    let base = format!(
        "\"@method\": POST\n\"@target-uri\": http://bank.example/transfers/7\n\"content-digest\": {digest}\n\"@signature-params\": {params}"
    );
    let sent = curl(&signed_over_base(ask, &alice(), params, base.as_bytes()));
    std::fs::write(folder.path().join("sent.txt"), sent).unwrap();
    std::fs::write(folder.path().join("base.txt"), base).unwrap();
    // What a reader types, but for curl itself.
    let mut commands = commands.lines().filter(|line| line.contains(" explain "));
    let [now, signed] = [commands.next().unwrap(), commands.next().unwrap()];
    assert_eq!(format!("{now} --at signed"), signed);
    let too_old = "  ✗ denied: proof-too-old, by the policy transfers, status 401\n";
    let program = env!("CARGO_BIN_EXE_proof-messenger-relay");
    for (command, arguments, shown) in
        [(now, "", too_old), (signed, "", refused), (signed, " --base base.txt", compared)]
    {
        let command = command.replace("proof-messenger-relay", program);
        let told = Command::new("bash")
            .args(["-c", &format!("{command}{arguments}")])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert_eq!(told.status.code(), Some(1));
        for line in shown.lines() {
            assert!(text(&told).contains(&format!("{line}\n")), "{line}\n{}", text(&told));
        }
    }
}
