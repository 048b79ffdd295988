//! What the tests stand on: a relay with a clock that they set, signers, a real Envoy, a backend, clients.

pub mod ask;
pub mod backend;
pub mod client;
pub mod envoy;
pub mod relay;
pub mod signer;
