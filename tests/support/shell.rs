//! What a document shows for a shell, and what it says that is printed then.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{LOOK_AGAIN, PATIENCE};

/// A block of commands, with the lines that the block after it shows as their output.
pub struct Step {
    pub commands: String,
    pub printed: Vec<String>,
}

/// The blocks of a text in Markdown. Those in other languages are not for a shell.
pub fn steps(markdown: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in markdown.split("```").skip(1).step_by(2) {
        let (kind, text) = block.split_once('\n').unwrap();
        match kind {
            "sh" => steps.push(Step { commands: text.to_owned(), printed: Vec::new() }),
            "text" => steps.last_mut().unwrap().printed = text.lines().map(str::to_owned).collect(),
            _ => {}
        }
    }
    steps
}

/// What a script begins with: it ends at the first failure, and with it all that it started, which may have ended
/// already. The program is the one
/// that this test was built with.
pub fn preamble() -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_proof-messenger-relay")).parent().unwrap();
    format!(
        "set -e\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\nPATH={}:$PATH\n\
         listens() {{ for _ in $(seq 600); do (exec 3<>/dev/tcp/127.0.0.1/$1) 2>/dev/null && return; sleep 0.05; done; exit 1; }}\n",
        program.display()
    )
}

/// A port that is free, for a program that must be told one. It is below those that the system chooses by itself, for
/// listeners and for connections: other tests ask for many of them between this call and the start of the program.
pub fn free_port() -> u16 {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    loop {
        // Where other test runs begin elsewhere.
        let start = std::process::id().wrapping_mul(64);
        let step = start.wrapping_add(ASKED.fetch_add(1, Ordering::Relaxed)) % 20_000;
        let port = u16::try_from(10_000 + step).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Waits until somebody listens there.
pub fn until_listens(port: u16) {
    let started = std::time::Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(started.elapsed() < PATIENCE, "nobody listens on {port}");
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Each step, which the script announced with `=== `, printed its lines.
#[track_caller]
pub fn assert_printed(steps: &[Step], output: &Output) {
    let printed = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    let context = format!("{printed}\n--- standard error\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{context}");
    let printed: Vec<&str> = printed.split("=== ").skip(1).collect();
    assert_eq!(printed.len(), steps.len(), "{context}");
    for (Step { commands, printed: expected }, printed) in steps.iter().zip(printed) {
        for line in expected {
            assert!(printed.contains(line), "{commands}\nprinted no {line:?}:\n{context}");
        }
    }
}
