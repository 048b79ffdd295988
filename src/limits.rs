//! What one request may ask of the relay. Every limit is checked before the work that it bounds.

/// Limits of one request. The defaults are the ones that the README promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Names and values of all header lines together, in bytes.
    pub header_bytes: usize,
    /// Header lines. Envoy's own default is 100.
    pub header_lines: usize,
    /// The body, in bytes: as Envoy is told in `max_request_bytes`.
    pub body_bytes: usize,
    /// Labels in `Signature-Input`: each may cost a signature check.
    pub labels: usize,
    /// Covered components of one proof.
    pub components: usize,
    /// The value of one covered component, in bytes.
    pub component_bytes: usize,
    /// The `nonce` parameter, in bytes.
    pub nonce_bytes: usize,
    /// Steps that the evaluation of conditions may take, all of them together.
    pub condition_steps: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 64 * 1024,
            header_lines: 256,
            body_bytes: 1024 * 1024,
            labels: 16,
            components: 64,
            component_bytes: 8 * 1024,
            nonce_bytes: 256,
            condition_steps: 10_000,
        }
    }
}
