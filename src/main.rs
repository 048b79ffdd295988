//! The process: an allocator, and the command line.
#![forbid(unsafe_code)]

use std::process::ExitCode;

/// A check allocates many small things, which the system's allocator is slower at.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    proof_messenger_relay::cli::run()
}
