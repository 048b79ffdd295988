//! Witnesses (C2SP tlog-witness): others who watch that a log only grows, and say so with cosignatures.
//!
//! Whoever believes them need not believe the log: to cut something off, or to show one log to one and another one to
//! another, it would need the witnesses' consent.

mod client;
mod exchange;
mod progress;
mod runner;

pub use client::{Witness, WitnessSettingsError};
pub use exchange::{Cosigned, WitnessError};
pub use runner::{Report, Witnesses};
