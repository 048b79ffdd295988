//! The program as a process of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::PATIENCE;

/// The program with these arguments, in this folder.
pub fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_proof-messenger-relay"));
    command.args(arguments).current_dir(folder).env_remove("PROOF_MESSENGER_CONFIG");
    command
}

pub fn run(folder: &Path, arguments: &[&str]) -> Output {
    program(folder, arguments).output().unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A relay of its own process.
pub struct Serving {
    child: ChildGuard,
    /// Lines of its log. They are read as they come: a relay whose log nobody reads waits.
    log: Receiver<String>,
    pub address: String,
    /// The line that says where it listens.
    pub listening: Value,
    /// What it said before.
    pub said: Vec<Value>,
}

impl Serving {
    /// Starts it and waits until it says where it listens. What it says of its configuration and its evidence comes before.
    pub fn start(mut command: Command) -> Self {
        let child = command.env("PROOF_MESSENGER_LOG_FORMAT", "json").stderr(Stdio::piped()).spawn().unwrap();
        let mut child = ChildGuard(child);
        let stderr = BufReader::new(child.0.stderr.take().unwrap());
        let (lines, log) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines() {
                let _ = lines.send(line.unwrap());
            }
        });
        let mut said = Vec::new();
        let listening = loop {
            let line = next_line(&log);
            if line["message"] == "listening" {
                break line;
            }
            said.push(line);
        };
        let address = format!("http://{}", listening["address"].as_str().unwrap());
        Self { child, log, address, listening, said }
    }

    /// Asks it to stop without delay, and waits until it has.
    pub fn stop(&mut self) -> std::process::ExitStatus {
        self.signal(Signal::INT);
        self.wait()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.0.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        self.child.0.wait().unwrap()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.0.id()
    }

    /// What it writes to standard output, where the command says that it is a pipe.
    pub fn take_stdout(&mut self) -> std::process::ChildStdout {
        self.child.0.stdout.take().unwrap()
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        self.child.0.kill().unwrap();
        self.child.0.wait().unwrap();
    }

    /// The next line of its log. It is written before the answer that it is about.
    pub fn next_line(&mut self) -> Value {
        next_line(&self.log)
    }
}

fn next_line(log: &Receiver<String>) -> Value {
    let line = log.recv_timeout(PATIENCE).expect("a line of the log");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// A process that ends with the test.
pub struct ChildGuard(pub Child);

impl Drop for ChildGuard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
