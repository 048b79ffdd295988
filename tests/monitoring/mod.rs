//! What operators see: metrics, probes, health.

mod alerts;
mod metrics;
mod readiness;
mod traces;
