//! The process: an allocator, and the command line.
#![forbid(unsafe_code)]

use std::process::ExitCode;

/// A check allocates some forty small things; the system's allocator takes twice as long for them.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    proof_messenger_relay::cli::run()
}
