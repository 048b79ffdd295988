//! What the tests stand on: a relay with a clock that they set, signers, a real Envoy, a backend behind it, clients in
//! front of it.

pub mod ask;
pub mod backend;
pub mod certificates;
pub mod client;
pub mod collector;
pub mod deployed;
pub mod envoy;
pub mod evidence;
pub mod gateway;
pub mod golden;
pub mod people;
pub mod program;
pub mod publisher;
pub mod receipts;
pub mod recording;
pub mod relay;
pub mod service;
pub mod shell;
pub mod signer;
pub mod slow_relay;
pub mod tamperer;
pub mod witness;

use std::time::Duration;

/// How long a test waits for a fact before it fails. Only failures take this long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often a fact that cannot be awaited is looked for.
pub const LOOK_AGAIN: Duration = Duration::from_millis(10);
