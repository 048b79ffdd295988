//! The client of tlog-witness, against a stand-in that is itself held to the vectors of another implementation.

mod client;
mod log;
mod sequence;
mod tls;
