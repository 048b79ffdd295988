//! Containers of the image.

use std::process::{Command, Stdio};

pub const IMAGE: &str = "proof-messenger/relay-server:latest";

/// How the README says that the image is run.
pub const HARDENED: [&str; 6] = [
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--user=65532",
    "--publish",
    "127.0.0.1::8000",
];

/// What docker prints, once it has succeeded.
#[track_caller]
pub fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "docker {arguments:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// A volume with the home of the image's user, to whom it belongs. It is removed with this.
pub struct Home(String);

impl Home {
    pub fn new() -> Self {
        Self(docker(&["volume", "create"]))
    }

    /// The option that mounts it.
    pub fn option(&self) -> String {
        format!("--volume={}:/home/nonroot", self.0)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        docker(&["volume", "rm", &self.0]);
    }
}

/// A container that runs. It is removed with this.
pub struct Container(String);

impl Container {
    /// What `docker run` makes of these arguments.
    pub fn of(arguments: &[&str]) -> Self {
        Self(docker(&[&["run", "--detach"], arguments].concat()))
    }

    /// A relay.
    pub fn relay(options: &[&str]) -> Self {
        Self::of(&[&HARDENED, options, &[IMAGE]].concat())
    }

    pub fn id(&self) -> &str {
        &self.0
    }

    /// Where it serves gRPC.
    pub fn address(&self) -> String {
        format!("http://{}", docker(&["port", &self.0, "8000/tcp"]))
    }

    pub fn inspect(&self, format: &str) -> String {
        docker(&["inspect", "--format", format, &self.0])
    }

    /// Whether it is still the process that was started.
    #[track_caller]
    pub fn assert_running(&self) {
        let state = self.inspect("{{.State.Running}} {{.State.OOMKilled}} {{.RestartCount}}");
        assert_eq!(state, "true false 0", "running, killed for memory, restarts\n{}", self.log());
    }

    pub fn log(&self) -> String {
        let output = Command::new("docker").args(["logs", "--tail=50", &self.0]).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// Its process, as the engine's machine counts.
    pub fn process(&self) -> u32 {
        self.inspect("{{.State.Pid}}").parse().unwrap()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        docker(&["rm", "--force", "--volumes", &self.0]);
    }
}
