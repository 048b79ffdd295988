//! What the README shows is what happens.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use proof_messenger_relay::denial::Code;

use crate::support::shell;

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
    std::fs::write(folder.path().join("envoy/envoy.yaml"), with_ports(&envoy)).unwrap();
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
