//! `proof-messenger-relay lint`, as a user meets it.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::folder;

fn lint(arguments: &[&str]) -> Output {
    program(arguments).output().unwrap()
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_proof-messenger-relay"));
    command.arg("lint").args(arguments).current_dir(folder(""));
    command
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_sound_file_is_said_to_be_sound() {
    let output = lint(&["sound/bootstrap.yaml"]);
    assert_eq!((output.status.code(), &*stderr(&output)), (Some(0), ""));
    assert_eq!(stdout(&output), "sound/bootstrap.yaml: sound: 1 ext_authz filter\n");
}

#[test]
fn a_finding_says_where_what_why_and_what_to_do() {
    let output = lint(&["faulty/failure_mode_allow.yaml"]);
    assert_eq!((output.status.code(), &*stderr(&output)), (Some(1), ""));
    assert_eq!(
        stdout(&output),
        "faulty/failure_mode_allow.yaml:47:15: error[failure-mode-allow]: expected failure_mode_allow: false, but found true
    Whoever makes the relay fail or slow gets every request through without a proof.
    Set failure_mode_allow: false.
faulty/failure_mode_allow.yaml: unsound: 1 finding
"
    );
}

#[test]
fn a_note_is_no_failure() {
    let output = lint(&["faulty/retries.yaml"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains(": note[retry-policy]: "), "{}", stdout(&output));
    assert!(stdout(&output).ends_with("faulty/retries.yaml: sound: 1 ext_authz filter\n"));
}

#[test]
fn findings_are_an_array_of_json() {
    let output = lint(&["--json", "sound/bootstrap.yaml", "faulty/careless.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    let findings: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let findings = findings.as_array().unwrap();
    assert_eq!(findings.len(), 9);
    let last = findings.last().unwrap();
    assert_eq!(last["file"], "faulty/careless.yaml");
    assert_eq!((&last["rule"], &last["severity"]), (&"failure-mode-allow".into(), &"error".into()));
    assert_eq!((&last["line"], &last["column"]), (&25.into(), &15.into()));
    for member in ["message", "gain", "fix"] {
        assert!(last[member].is_string(), "{last}");
    }
    assert_eq!(stdout(&lint(&["--json", "sound/bootstrap.yaml"])), "[]\n");
}

#[test]
fn what_is_not_looked_into_is_said_beside_the_findings() {
    let file = std::fs::read_to_string(folder("sound/istio.yaml")).unwrap();
    let others = ["Service", "Deployment", "Ingress", "ConfigMap", "Deployment"]
        .map(|kind| format!("---\napiVersion: v1\nkind: {kind}\n"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.yaml");
    std::fs::write(&path, file + &others.concat()).unwrap();
    let path = path.to_str().unwrap();
    let said = format!("{path}: ignored: 2 Deployments, 1 Ingress, 1 Service\n");
    let output = lint(&[path]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), said.clone()));
    let output = lint(&["--json", path]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), said));
    assert_eq!(serde_json::from_str::<Value>(&stdout(&output)).unwrap().as_array().unwrap().len(), 1);
}

#[test]
fn a_rule_can_be_accepted() {
    let output = lint(&["--allow", "route-exempt", "faulty/route_exempt.yaml"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stdout(&output), "faulty/route_exempt.yaml: sound: 1 ext_authz filter\n");
    let output = lint(&["--allow", "route-exmpt", "faulty/route_exempt.yaml"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(stderr(&output).contains("route-exempt"), "{}", stderr(&output));
}

#[test]
fn standard_input_is_a_file() {
    let mut child = program(&["-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let text = std::fs::read(folder("faulty/websocket.yaml")).unwrap();
    child.stdin.take().unwrap().write_all(&text).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).starts_with("standard input:17:13: error[upgrades]: "), "{}", stdout(&output));
}

#[test]
fn a_file_that_cannot_be_linted_is_a_mistake_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text, expected) in [
        ("broken.yaml", &b"a: [1\n"[..], "broken.yaml:"),
        ("bytes.yaml", b"\xff\xfe\xfd", "bytes.yaml: "),
        (
            "other.yaml",
            b"policies: []\n",
            "other.yaml: expected a configuration of Envoy, Istio or Envoy Gateway",
        ),
        (
            "no_filter.yaml",
            b"static_resources: {listeners: [{filter_chains: []}]}\n",
            "no_filter.yaml: expected an ext_authz filter, but found none",
        ),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let output = lint(&[path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(64), "{name}");
        assert!(stderr(&output).contains(expected), "{name}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{name}");
    }
    let missing = lint(&["sound/bootstrap.yaml", "missing.yaml"]);
    assert_eq!(missing.status.code(), Some(64));
    assert!(stderr(&missing).starts_with("missing.yaml: "), "{}", stderr(&missing));
    assert_eq!(lint(&[]).status.code(), Some(64));
}

#[test]
fn what_a_file_holds_does_not_steer_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let escapes = "\\e]0;a\\a\\x9b2J\\u202e\\x7f";
    let sound = std::fs::read_to_string(super::folder("sound/bootstrap.yaml")).unwrap();
    let ext_authz = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz";
    let texts = [
        sound.replace(
            &format!("\"@type\": {ext_authz}"),
            &format!("\"@type\": \"a/{escapes}.filters.http.ext_authz.ExtAuthz\""),
        ),
        sound
            .replace(
                "path_with_escaped_slashes_action: ",
                "upgrade_configs: [{upgrade_type: UPGRADE}]\n          path_with_escaped_slashes_action: ",
            )
            .replace("UPGRADE", &format!("[\"{escapes}\"]")),
        format!("\"{escapes}\": [1\n"),
        format!("\"{escapes}\": 1\n\"{escapes}\": 1\n"),
    ];
    for (at, text) in texts.iter().enumerate() {
        for arguments in [&[][..], &["--json"]] {
            let path = folder.path().join(format!("{at}\u{1b}[2J\u{202e}\n.yaml"));
            std::fs::write(&path, text).unwrap();
            let output = lint(&[&[path.to_str().unwrap()], arguments].concat());
            assert!(matches!(output.status.code(), Some(1 | 64)), "{text}");
            let printed = stdout(&output) + &stderr(&output);
            // JSON has escapes of its own, for all but what it lets stand.
            let fits = |c: char| c == '\n' || c == '…' || matches!(c, ' '..='~');
            assert!(!arguments.is_empty() || printed.chars().all(fits), "{printed:?}");
            assert!(!printed.contains('\u{1b}'), "{printed:?}");
        }
    }
}
