//! Logs of evidence: sound ones pass, and what was done to others is named.

mod sound;
mod tampering;
