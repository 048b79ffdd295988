//! What the README shows is what happens.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use proof_messenger_relay::denial::Code;
use proof_messenger_relay::envoy::client::answer;
use proof_messenger_relay::lint::{Rule, Severity};
use proof_messenger_relay::policy::{Condition, PathPattern};
use proof_messenger_relay::timestamp::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::support::ask::{Ask, code};
use crate::support::program::{Serving, program, run, stderr};
use crate::support::receipts::parts;
use crate::support::relay::Relay;
use crate::support::shell;
use crate::support::signer::{Signer, trust_store};

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

#[test]
fn the_table_of_codes_is_complete_and_right() {
    let readme = readme();
    let rows: Vec<(String, u16)> = section(&readme, "Denials")
        .lines()
        .filter_map(|line| {
            let mut cells = line.split('|').map(str::trim);
            let code = cells.nth(1)?.strip_prefix('`')?.strip_suffix('`')?;
            Some((code.to_owned(), cells.next()?.parse().ok()?))
        })
        .collect();
    let codes: Vec<(String, u16)> = Code::ALL.iter().map(|code| (code.to_string(), code.status())).collect();
    assert_eq!(rows, codes);
}

#[test]
fn the_table_of_the_linter_lists_every_rule() {
    let readme = readme();
    let section = section(&readme, "Checking the proxy's configuration");
    let mut rows = Vec::new();
    for line in section.lines().filter(|line| line.starts_with("| `")) {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let (rules, severity) = (cells.next().unwrap(), cells.next().unwrap());
        rows.extend(rules.split(", ").map(|rule| (rule.trim_matches('`').to_owned(), severity.to_owned())));
    }
    let severity = |rule: &Rule| match rule.severity() {
        Severity::Error => "error".to_owned(),
        Severity::Note => "note".to_owned(),
    };
    let mut rules: Vec<_> = Rule::ALL.iter().map(|rule| (rule.to_string(), severity(rule))).collect();
    rows.sort();
    rules.sort();
    assert_eq!(rows, rules);
}

/// The section of the README with that heading.
fn section<'r>(readme: &'r str, heading: &str) -> &'r str {
    let (_, section) = readme.split_once(&format!("\n## {heading}\n")).unwrap();
    section.split_once("\n## ").unwrap().0
}

#[test]
fn the_walk_through_works_as_shown() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    // The files that the walk-through uses, and nothing of this machine's ports.
    let ports = ["8000", "8080", "10000", "9901"].map(|port| (port, shell::free_port()));
    let with_ports = |text: &str| {
        ports.iter().fold(text.to_owned(), |text, (port, free)| {
            let text = text.replace(&format!("localhost:{port}"), &format!("localhost:{free}"));
            let text = text.replace(&format!("--port {port}"), &format!("--port {free}"));
            text.replace(&format!("port_value: {port}"), &format!("port_value: {free}"))
        })
    };
    for path in ["envoy/obtain", "envoy/envoy.yaml", "examples/demo/backend.py"] {
        let to = folder.path().join(path);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(root.join(path), &to).unwrap();
    }
    let envoy = std::fs::read_to_string(root.join("envoy/envoy.yaml")).unwrap();
    // This machine may be busy with other tests, and the walk-through is not about giving up.
    let envoy = with_ports(&envoy).replace("timeout: 0.5s", "timeout: 30s");
    std::fs::write(folder.path().join("envoy/envoy.yaml"), envoy).unwrap();
    std::os::unix::fs::symlink(root.join("target"), folder.path().join("target")).unwrap();

    // One shell, as a reader has; the program is the one that this test was built with.
    let mut script = shell::preamble();
    writeln!(script, "export PROOF_MESSENGER_LISTEN=127.0.0.1:{}", ports[0].1).unwrap();
    let readme = readme();
    let steps = shell::steps(section(&readme, "A signed request by hand"));
    for (position, step) in steps.iter().enumerate() {
        let commands = step.commands.replace("cargo build --release\n", "");
        let commands = commands.replace("PATH=$PWD/target/release:$PATH\n", "");
        writeln!(script, "echo '=== {position}'\n{}", with_ports(&commands)).unwrap();
        if commands.trim_end().ends_with('&') {
            for (_, port) in ports {
                writeln!(script, "listens {port}").unwrap();
            }
        }
    }
    let output = Command::new("bash").arg("-c").arg(&script).current_dir(folder.path()).output().unwrap();
    shell::assert_printed(&steps, &output);
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[tokio::test]
async fn the_example_of_approvals_asks_for_a_clerk_and_two_managers() {
    let readme = readme();
    let (_, example) = section(&readme, "Who must approve what").split_once("```yaml\n").unwrap();
    let policies = example.split_once("```").unwrap().0;
    let person = |name: &str, role: &str| Signer::ed25519(name).with(json!({"roles": [role]}));
    let (clara, mona, max) = (person("clara", "clerk"), person("mona", "manager"), person("max", "manager"));
    let people = [&clara, &mona, &max];
    let folder = tempfile::tempdir().unwrap();
    let settings = format!("keys: [{{file: people.jwks.json}}]\n{policies}");
    std::fs::write(folder.path().join("relay.yaml"), settings).unwrap();
    std::fs::write(folder.path().join("people.jwks.json"), trust_store(&people).to_string()).unwrap();
    let checked = run(folder.path(), &["config", "check", "--strict", "relay.yaml"]);
    assert!(checked.status.success(), "{}", stderr(&checked));

    let relay = Relay::start(policies, &people).await;
    for (amount, signers, allowed_by, refused_with) in [
        ("25000", &[&clara, &mona, &max][..], "large-transfers", ""),
        ("25000", &[&clara, &mona], "", "approvals-insufficient"),
        ("10000", &[&clara], "transfers", ""),
        ("10000", &[&mona], "", "signer-not-permitted"),
        ("\"25000\"", &[&clara, &mona, &max], "", "condition-failed"),
    ] {
        let transfer = Ask::post("/transfers/7", format!(r#"{{"amount": {amount}}}"#).as_bytes())
            .header("content-type", "application/json");
        let cover = ["@method", "@target-uri", "content-type", "content-digest"];
        let signed =
            signers.iter().fold(transfer, |transfer, signer| transfer.signed_covering(signer, &cover));
        let answer = signed.of(&relay).await;
        let policy = if answer.allowed { answer.metadata["policy"].as_str() } else { "" };
        assert_eq!((policy, code(&answer)), (allowed_by, refused_with), "{amount}");
    }
}

#[tokio::test]
async fn conditions_are_what_the_table_says() {
    let readme = readme();
    let section = section(&readme, "Who must approve what");
    let (_, table) = section.split_once("| condition | is | |\n|---|---|---|\n").unwrap();
    let body = quoted(section).find(|text| text.starts_with("{\"amount\"")).unwrap();
    let signer = Signer::ed25519("batch");
    let mut rows = 0;
    for row in table.lines().take_while(|line| line.starts_with('|')) {
        rows += 1;
        let (condition, rest) = row.trim_start_matches("| `").split_once("` | ").unwrap();
        let expected = rest.split_once(" |").unwrap().0;
        if Condition::parse(condition, None).is_err() {
            assert_eq!(expected, "refused", "{condition}");
            continue;
        }
        let when = json!(condition);
        let settings = format!(
            "policies: [{{name: 'true', match: {{}}, when: {when}}}, {{name: 'false', match: {{}}}}]"
        );
        let relay = Relay::start(&settings, &[&signer]).await;
        let answer = Ask::post("/", body.as_bytes()).signed(&signer).of(&relay).await;
        let found = if answer.allowed { answer.metadata["policy"].as_str() } else { "denied" };
        assert_eq!(found, expected, "{condition}: {}", answer.body);
    }
    assert_eq!(rows, 9);
}

#[test]
fn conditions_know_what_the_readme_names() {
    let readme = readme();
    let section = section(&readme, "Who must approve what");
    let path = PathPattern::parse("/transfers/{account}").unwrap();
    let parses = |condition: &str| {
        let parsed = Condition::parse(condition, Some(&path));
        assert!(parsed.is_ok(), "{condition}: {parsed:?}");
    };

    let (_, table) = section.split_once("A condition is CEL over:\n\n| | |\n|---|---|\n").unwrap();
    for row in table.lines().take_while(|line| line.starts_with('|')) {
        let (names, meaning) = row.trim_start_matches("| ").split_once(" | ").unwrap();
        for name in quoted(names) {
            parses(&format!("{name} == {name}"));
        }
        if names == "`signers`" {
            for member in quoted(meaning) {
                parses(&format!("signers.all(s, s.{member} == s.{member})"));
            }
        }
    }

    let (_, functions) = section.split_once("functions are ").unwrap();
    let named: Vec<&str> = quoted(functions.split_once(".\n").unwrap().0).collect();
    let examples = [
        ("size", "size(body.items) < 10"),
        ("startsWith", "request.path.startsWith('/eu/')"),
        ("endsWith", "request.host.endsWith('.example')"),
        ("contains", "request.path.contains('7')"),
        ("matches", "body.iban.matches('^DE[0-9]{20}$')"),
        ("int", "int(path.account) > 7"),
        ("double", "double(body.amount) > 7"),
        ("has", "has(body.note)"),
        ("all", "signers.all(s, 'clerk' in s.roles)"),
        ("exists", "signers.exists(s, s.subject == 'alice')"),
        ("exists_one", "signers.exists_one(s, 'clerk' in s.roles)"),
        ("filter", "size(signers.filter(s, 'clerk' in s.roles)) == 1"),
        ("map", "'alice' in signers.map(s, s.subject)"),
    ];
    assert_eq!(named, examples.map(|(name, _)| name));
    examples.iter().for_each(|(_, example)| parses(example));
    let mistakes = Condition::parse("nothing_like_any()", None).unwrap_err();
    let listed = mistakes[0].message.split_once("expected one of ").unwrap().1;
    assert_eq!(listed.split(", ").collect::<Vec<_>>(), named);

    let (_, operators) = section.split_once("Operators are ").unwrap();
    for operator in quoted(operators.split_once(';').unwrap().0) {
        parses(&match operator {
            "!" => "!body.a".to_owned(),
            "?:" => "body.a ? body.b : body.c".to_owned(),
            "[]" => "body.items[0] == 1".to_owned(),
            "+" | "-" | "*" => format!("body.a {operator} body.b == 1"),
            operator => format!("body.a {operator} body.b"),
        });
    }
}

/// The commands and the configuration of the section, and its table, against a receipt that they lead to.
#[tokio::test]
async fn the_example_of_receipts_gives_one_with_the_claims_of_the_table() {
    let readme = readme();
    let section = section(&readme, "Receipts");
    let (_, example) = section.split_once("```yaml\n").unwrap();
    let settings = example.split_once("```").unwrap().0.replace("0.0.0.0:8001", "127.0.0.1:0");
    let alice = Signer::ed25519("alice");
    let folder = tempfile::tempdir().unwrap();
    let step = &shell::steps(section)[0];
    let script = shell::preamble() + &step.commands;
    let made = Command::new("bash").arg("-c").arg(script).current_dir(folder.path()).output().unwrap();
    assert!(made.status.success(), "{}", stderr(&made));
    let settings = format!("listen: 127.0.0.1:0\nkeys: [{{file: people.jwks.json}}]\n{settings}");
    std::fs::write(folder.path().join("relay.yaml"), settings).unwrap();
    std::fs::write(folder.path().join("people.jwks.json"), trust_store(&[&alice]).to_string()).unwrap();
    let checked = run(folder.path(), &["config", "check", "--strict", "relay.yaml"]);
    assert!(checked.status.success(), "{}", stderr(&checked));

    let serving = Serving::start(program(folder.path(), &["serve", "--config", "relay.yaml"]));
    let ask = Ask { created: SystemClock.now(), ..Ask::post("/transfers/7", b"{}") }.signed(&alice);
    let mut client = AuthorizationClient::connect(serving.address.clone()).await.unwrap();
    let answer = answer(client.check(ask.check_request()).await.unwrap().into_inner());
    let receipt = answer.headers.iter().find(|(name, _)| name == "x-proof-receipt");
    let (header, claims) = parts(&receipt.unwrap_or_else(|| panic!("{answer:?}")).1);
    assert!(section.contains(&format!("\"typ\": {}", header["typ"])), "{header}");
    let members = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let (_, table) = section.split_once("| claim | |\n|---|---|\n").unwrap();
    let rows: Vec<(&str, &str)> = table
        .lines()
        .take_while(|line| line.starts_with('|'))
        .map(|row| row.trim_start_matches("| ").split_once(" | ").unwrap())
        .collect();
    let named = rows.iter().flat_map(|(names, _)| quoted(names)).map(str::to_owned).collect();
    assert_eq!(members(&claims), named);
    let (_, of_proofs) = rows.iter().find(|(names, _)| *names == "`proofs`").unwrap();
    assert_eq!(members(&claims["proofs"][0]), quoted(of_proofs).map(str::to_owned).collect());
    assert_eq!(claims["htu"], "https://bank.example/transfers/7");

    // The public half is what a second entry takes.
    let second = serve_with(
        folder.path(),
        "keys: [receipts.jwk.json]",
        "keys: [new.jwk.json, receipts.public.jwk.json]",
    );
    assert_eq!(second.listening["receipt_key"], "new");
}

/// The relay after a change of its configuration, with a new key.
fn serve_with(folder: &Path, old: &str, new: &str) -> Serving {
    let made = run(folder, &["keys", "new", "--use", "receipt", "--id", "new", "--private", "new.jwk.json"]);
    assert!(made.status.success(), "{}", stderr(&made));
    let settings = std::fs::read_to_string(folder.join("relay.yaml")).unwrap();
    assert!(settings.contains(old), "{settings}");
    std::fs::write(folder.join("relay.yaml"), settings.replace(old, new)).unwrap();
    Serving::start(program(folder, &["serve", "--config", "relay.yaml"]))
}

/// The relay records, and the commands check, prove and tell, as a reader types them.
#[test]
fn the_example_of_evidence_is_checked_proven_and_told() {
    let readme = readme();
    let port = shell::free_port();
    let mut script = shell::preamble();
    writeln!(script, "export PROOF_MESSENGER_LISTEN=127.0.0.1:{port}").unwrap();
    for step in shell::steps(section(&readme, "Evidence")) {
        let commands =
            step.commands.replace("check --key", &format!("check --relay http://127.0.0.1:{port} --key"));
        script.push_str(&commands);
        if commands.trim_end().ends_with('&') {
            writeln!(script, "listens {port}").unwrap();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("bash").arg("-c").arg(&script).current_dir(folder.path()).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{}", stderr(&output));
    // The story names who signed what.
    for said in ["alice", "https://bank.example/transfers/7", "transfers"] {
        assert!(printed.contains(said), "{said}: {printed}");
    }
    let proof = std::fs::read_to_string(folder.path().join("transfer.tlog-proof")).unwrap();
    assert!(proof.starts_with("c2sp.org/tlog-proof@v1\nextra "), "{proof}");
}
