//! What the README shows is what happens.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

use proof_messenger_relay::denial::Code;
use proof_messenger_relay::lint::{Rule, Severity};

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

#[test]
fn the_table_of_codes_is_complete_and_right() {
    let readme = readme();
    let (_, section) = readme.split_once("\n## Denials\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows: Vec<(String, u16)> = section
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
    let (_, section) = readme.split_once("\n## Checking the proxy's configuration\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
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

/// The shell blocks of the walk-through, each with the lines that the README shows as its output.
fn walk_through(readme: &str) -> Vec<(String, Vec<String>)> {
    let (_, section) = readme.split_once("\n## A signed request by hand\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let mut steps: Vec<(String, Vec<String>)> = Vec::new();
    for block in section.split("```").skip(1).step_by(2) {
        let (kind, text) = block.split_once('\n').unwrap();
        match kind {
            "sh" => steps.push((text.to_owned(), Vec::new())),
            "text" => steps.last_mut().unwrap().1 = text.lines().map(str::to_owned).collect(),
            other => panic!("a block of {other}"),
        }
    }
    steps
}

/// A free port that the system gives to nobody by itself: tests run side by side, and each asks it for ports.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(port < 32_000, "no free port");
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

#[test]
fn the_walk_through_works_as_shown() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    // The files that the walk-through uses, and nothing of this machine's ports.
    let ports = [("8000", free_port()), ("8080", free_port()), ("10000", free_port()), ("9901", free_port())];
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
    std::fs::write(folder.path().join("envoy/envoy.yaml"), with_ports(&envoy)).unwrap();
    std::os::unix::fs::symlink(root.join("target"), folder.path().join("target")).unwrap();

    // One shell, as a reader has; the program is the one that this test was built with.
    let program = Path::new(env!("CARGO_BIN_EXE_proof-messenger-relay")).parent().unwrap();
    let mut script = format!(
        "set -e\ntrap 'kill $(jobs -p) 2>/dev/null' EXIT\nexport PROOF_MESSENGER_LISTEN=127.0.0.1:{}\n\
         listens() {{ for _ in $(seq 600); do (exec 3<>/dev/tcp/127.0.0.1/$1) 2>/dev/null && return; sleep 0.05; done; exit 1; }}\n",
        ports[0].1
    );
    let steps = walk_through(&readme());
    for (position, (commands, _)) in steps.iter().enumerate() {
        let commands = commands
            .replace("cargo build --release\n", "")
            .replace("$PWD/target/release", &program.display().to_string());
        writeln!(script, "echo '=== {position}'\n{}", with_ports(&commands)).unwrap();
        if commands.trim_end().ends_with('&') {
            for (_, port) in ports {
                writeln!(script, "listens {port}").unwrap();
            }
        }
    }
    let output = Command::new("bash").arg("-c").arg(&script).current_dir(folder.path()).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    let context = format!("{printed}\n--- standard error\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{context}");
    let printed: Vec<&str> = printed.split("=== ").skip(1).collect();
    assert_eq!(printed.len(), steps.len(), "{context}");
    for ((commands, expected), printed) in steps.iter().zip(printed) {
        for line in expected {
            assert!(printed.contains(line), "{commands}\nprinted no {line:?}:\n{context}");
        }
    }
}
