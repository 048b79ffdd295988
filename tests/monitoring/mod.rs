//! What operators see: metrics, probes, health.

mod metrics;
mod readiness;
