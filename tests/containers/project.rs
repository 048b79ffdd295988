//! An example for Compose, started for one test.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::program::stdout;
use crate::support::shell;

/// What a test starts of an example. It is gone with this.
pub struct Project {
    pub name: &'static str,
    pub folder: PathBuf,
    /// The setting of the port that it publishes, and what that is by itself.
    published: (&'static str, u16),
    /// What it is here.
    pub port: u16,
}

impl Project {
    pub fn new(name: &'static str, example: &str, published: (&'static str, u16)) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(example);
        Self { name, folder, published, port: shell::free_port() }
    }

    /// What a script begins with. `docker compose` is what there is of it.
    fn preamble(&self) -> String {
        let Self { name, published: (setting, _), port, .. } = self;
        format!(
            "export COMPOSE_PROJECT_NAME={name} {setting}={port}\n\
             command docker compose version >/dev/null 2>&1 || docker() {{\n\
               if [ \"$1\" = compose ]; then docker-compose \"${{@:2}}\"; else command docker \"$@\"; fi\n\
             }}\n"
        )
    }

    pub fn output(&self, commands: &str) -> Output {
        let script = format!("set -e\n{}{commands}", self.preamble());
        Command::new("bash").arg("-c").arg(&script).current_dir(&self.folder).output().unwrap()
    }

    #[track_caller]
    pub fn run(&self, commands: &str) -> String {
        let output = self.output(commands);
        assert!(output.status.success(), "{commands}: {}", String::from_utf8_lossy(&output.stderr));
        stdout(&output)
    }

    /// The README of the example is true.
    #[track_caller]
    pub fn walk(&self) {
        let steps = shell::steps(&std::fs::read_to_string(self.folder.join("README.md")).unwrap());
        assert!(steps.len() >= 3);
        let mut script = shell::preamble();
        for (position, step) in steps.iter().enumerate() {
            // What `tests/containers/run` has built.
            let commands =
                step.commands.replace("docker build --tag proof-messenger/relay-server ../..\n", "");
            let (_, published) = self.published;
            let port = self.port;
            let commands = commands.replace(&format!(":{published}"), &format!(":{port}"));
            writeln!(script, "echo '=== {position}'\n{commands}").unwrap();
        }
        shell::assert_printed(&steps, &self.output(&script));
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        self.run("docker compose down --volumes");
    }
}
