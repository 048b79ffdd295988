//! The unit of `examples/systemd`, in a container that systemd runs as on a machine.

use std::process::{Command, Stdio};
use std::time::Instant;

use super::container::{Container, IMAGE, docker};
use crate::support::{LOOK_AGAIN, PATIENCE, shell};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const UNIT: &str = "proof-messenger-relay";

/// A machine. Its working folder has the example and the program, where the README expects them.
struct Machine(Container);

impl Machine {
    fn start() -> Self {
        docker(&[
            "build",
            "--quiet",
            "--tag=proof-messenger/machine",
            &format!("{ROOT}/tests/containers/machine"),
        ]);
        // What systemd needs to make the sandboxes of its units; a machine has all of it.
        let machine = Self(Container::of(&[
            "--cap-add=SYS_ADMIN",
            "--cap-add=SYS_PTRACE",
            "--security-opt=seccomp=unconfined",
            "--security-opt=apparmor=unconfined",
            "--tmpfs=/run:exec",
            "--tmpfs=/run/lock",
            "--cgroupns=host",
            "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
            "--workdir=/root",
            "proof-messenger/machine",
        ]));
        machine.run("mkdir -p target/release examples");
        let image = docker(&["create", IMAGE]);
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program").display().to_string();
        docker(&["cp", &format!("{image}:/proof-messenger-relay"), &program]);
        docker(&["rm", &image]);
        docker(&["cp", &program, &format!("{}:/root/target/release/proof-messenger-relay", machine.0.id())]);
        docker(&["cp", &format!("{ROOT}/examples/systemd"), &format!("{}:/root/examples/", machine.0.id())]);
        machine.until("systemctl is-system-running", "running");
        machine
    }

    fn try_to_run(&self, script: &str) -> std::process::Output {
        Command::new("docker")
            .args(["exec", self.0.id(), "bash", "-c", script])
            .stderr(Stdio::inherit())
            .output()
            .unwrap()
    }

    #[track_caller]
    fn run(&self, script: &str) -> String {
        let output = self.try_to_run(script);
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{script}\n{printed}");
        printed
    }

    #[track_caller]
    fn until(&self, script: &str, expected: &str) {
        let started = Instant::now();
        let mut printed = String::new();
        while started.elapsed() < PATIENCE {
            printed = String::from_utf8(self.try_to_run(script).stdout).unwrap();
            if printed.contains(expected) {
                return;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        panic!("{script}\nprinted no {expected:?}, but:\n{printed}");
    }
}

#[test]
#[ignore = "needs the image: tests/containers/run"]
fn the_unit_serves_within_its_sandbox() {
    let machine = Machine::start();
    let readme = std::fs::read_to_string(format!("{ROOT}/examples/systemd/README.md")).unwrap();
    let steps = shell::steps(&readme);
    assert!(steps.len() >= 3);
    for step in &steps {
        let printed = machine.run(&format!("set -e\n{}", step.commands));
        for line in &step.printed {
            assert!(printed.contains(line), "{}\nprinted no {line:?}, but:\n{printed}", step.commands);
        }
        if step.commands.contains("enable --now") {
            machine.until(&format!("journalctl --no-pager --unit {UNIT}"), "listening");
        }
    }

    // It is confined, and nobody else can read its key.
    let status =
        machine.run(&format!("cat /proc/$(systemctl show --property MainPID --value {UNIT})/status"));
    for line in ["CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.contains(line), "{line}\n{status}");
    }
    assert!(!status.contains("Uid:\t0"), "{status}");
    let limits = machine.run(&format!("systemctl show --property MemoryMax,CPUQuotaPerSecUSec {UNIT}"));
    assert!(
        limits.contains("MemoryMax=134217728\n") && limits.contains("CPUQuotaPerSecUSec=500ms\n"),
        "{limits}"
    );
    let others = machine.try_to_run(&format!(
        "setpriv --reuid=1234 --clear-groups cat /run/credentials/{UNIT}.service/evidence.jwk.json"
    ));
    assert!(!others.status.success());

    machine.run(&format!("systemctl reload {UNIT}"));
    machine.until(&format!("journalctl --no-pager --unit {UNIT}"), "nothing to reload");

    // It comes back, and goes on with its evidence.
    machine.run(&format!("systemctl kill --signal=KILL {UNIT}"));
    machine.until(
        &format!("systemctl show --property NRestarts,SubState {UNIT}"),
        "NRestarts=1\nSubState=running",
    );
    machine.until(&format!("journalctl --no-pager --unit {UNIT} | grep -c listening"), "2");
    machine.run(&format!("systemctl stop {UNIT}"));
    let result = machine.run(&format!("systemctl show --property Result {UNIT}"));
    assert_eq!(result, "Result=success\n");
    machine.run("test -s /var/lib/proof-messenger/checkpoint.txt");
}

/// What `systemd-analyze` counts: 0 is a service that can do nothing, 10 one without any confinement.
#[test]
#[ignore = "needs the image: tests/containers/run"]
fn the_unit_is_sound_and_little_exposed() {
    let machine = Machine::start();
    machine.run("install target/release/proof-messenger-relay /usr/local/bin");
    let found = machine.run("systemd-analyze verify examples/systemd/proof-messenger-relay.service 2>&1");
    assert_eq!(found, "");
    machine.run(
        "systemd-analyze security --offline=true --threshold=15 examples/systemd/proof-messenger-relay.service",
    );
}
