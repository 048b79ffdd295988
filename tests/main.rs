//! The integration tests: one binary, and this is its index.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // tests do I/O

mod attacks;
mod cli;
mod config;
mod conformance;
mod containers;
mod denials;
mod deployment;
mod descriptors;
mod draining;
mod envoy;
mod evidence;
mod examples;
mod explain;
mod lint;
mod memory;
mod monitoring;
mod policies;
mod properties;
mod purity;
mod readme;
mod receipts;
mod recorded;
mod recording;
mod reloading;
mod replicas;
mod support;
mod transport;
mod witnesses;
