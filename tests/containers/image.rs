//! What is in the image, and how it is run.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Command;
use std::time::Instant;

use super::container::{IMAGE, docker};
use crate::support::{LOOK_AGAIN, PATIENCE, shell};

const BASE: &str = "gcr.io/distroless/cc-debian12:nonroot";
const MOST_BYTES: u64 = 30_000_000;
/// What the base has of the C library and the compiler's runtime.
const LIBRARIES: [&str; 4] = ["libc.so.6", "libgcc_s.so.1", "libm.so.6", "ld-linux"];

#[test]
#[ignore = "needs the image: tests/containers/run"]
fn holds_one_program_beside_the_base() {
    let files = |image: &str| -> BTreeSet<String> {
        let container = docker(&["create", image, "none"]);
        let list = format!("docker export {container} | tar --list");
        let listed = Command::new("bash").args(["-c", &list]).output().unwrap();
        docker(&["rm", &container]);
        String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect()
    };
    let (base, image) = (files(BASE), files(IMAGE));
    assert!(base.len() > 100, "{base:?}");
    let added: Vec<&String> = image.difference(&base).collect();
    assert_eq!(added, ["proof-messenger-relay"]);
}

#[test]
#[ignore = "needs the image: tests/containers/run"]
fn the_program_is_small_and_needs_the_c_library_alone() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program").display().to_string();
    let container = docker(&["create", IMAGE]);
    docker(&["cp", &format!("{container}:/proof-messenger-relay"), &program]);
    docker(&["rm", &container]);
    let bytes = std::fs::metadata(&program).unwrap().len();
    eprintln!("the program has {bytes} bytes");
    assert!(bytes < MOST_BYTES, "{bytes}");

    let dynamic = Command::new("readelf").args(["--dynamic", &program]).output().unwrap();
    let dynamic = String::from_utf8(dynamic.stdout).unwrap();
    let needed: Vec<&str> = dynamic.lines().filter(|line| line.contains("(NEEDED)")).collect();
    assert!(!needed.is_empty(), "{dynamic}");
    for library in needed {
        assert!(LIBRARIES.iter().any(|known| library.contains(known)), "{library}");
    }
}

#[test]
#[ignore = "needs the image: tests/containers/run"]
fn says_what_it_is() {
    let config = docker(&[
        "inspect",
        "--format={{.Config.User}} {{json .Config.ExposedPorts}} {{json .Config.Entrypoint}} {{json .Config.Healthcheck.Test}}",
        IMAGE,
    ]);
    assert_eq!(
        config,
        r#"65532:65532 {"8000/tcp":{},"8001/tcp":{}} ["/proof-messenger-relay"] ["CMD","/proof-messenger-relay","health"]"#
    );
    let version = docker(&["run", "--rm", IMAGE, "--version"]);
    assert_eq!(version, format!("proof-messenger-relay {}", env!("CARGO_PKG_VERSION")));
}

#[test]
#[ignore = "needs the image: tests/containers/run"]
fn becomes_healthy_and_stops_when_it_is_told() {
    let container = docker(&["run", "--detach", "--health-interval=1s", IMAGE]);
    let health = || docker(&["inspect", "--format={{.State.Health.Status}}", &container]);
    let started = Instant::now();
    while health() != "healthy" {
        assert!(started.elapsed() < PATIENCE, "{}", docker(&["logs", &container]));
        std::thread::sleep(LOOK_AGAIN);
    }
    docker(&["stop", "--time=30", &container]);
    let code = docker(&["inspect", "--format={{.State.ExitCode}}", &container]);
    docker(&["rm", &container]);
    assert_eq!(code, "0");
}

#[test]
#[ignore = "needs the image: tests/containers/run"]
fn runs_as_the_readme_says() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, section) = readme.split_once("\n## Containers\n").unwrap();
    let steps = shell::steps(section.split_once("\n## ").unwrap().0);
    assert!(steps.len() >= 3);
    let folder = tempfile::tempdir().unwrap();
    // A name and a port that nobody else has.
    let port = shell::free_port();
    let name = format!("relay-{port}");
    let mut script =
        format!("{}trap 'docker rm --force {name} >/dev/null 2>&1 || true' EXIT\n", shell::preamble());
    for (position, step) in steps.iter().enumerate() {
        // What `tests/containers/run` has built.
        let commands = step.commands.replace("docker build --tag proof-messenger/relay-server .\n", "");
        let commands = commands.replace("8000:8000", &format!("{port}:8000"));
        let commands = commands.replace("--name relay", &format!("--name {name}"));
        let commands = commands.replace("container:relay", &format!("container:{name}"));
        let commands = commands.replace("--force relay", &format!("--force {name}"));
        let serves = format!(
            "until docker logs {name} 2>&1 | grep -q listening; do sleep 0.1; done\ndocker logs {name}"
        );
        let commands = commands.replace("docker logs relay", &serves);
        writeln!(script, "echo '=== {position}'\n{commands}").unwrap();
    }
    let output = Command::new("bash").arg("-c").arg(&script).current_dir(folder.path()).output().unwrap();
    shell::assert_printed(&steps, &output);
}
