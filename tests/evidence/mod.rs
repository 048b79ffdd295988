//! Logs of evidence: sound ones pass, and what was done to others is named.

mod commands;
mod forgery;
mod pipelines;
mod sound;
mod tampering;
