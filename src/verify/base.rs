//! The signature base (RFC 9421 §2.5).

use super::Message;
use crate::denial::Denial;
use crate::limits::Limits;
use crate::proof::Proof;

/// Builds the bytes that were signed: one line a component, then the signature parameters, no line feed at the end.
///
/// # Errors
/// `component-missing` and `proof-malformed` when a component has no value here that could have been signed.
pub fn signature_base(proof: &Proof<'_>, message: &Message<'_>, limits: &Limits) -> Result<String, Denial> {
    let mut base = String::with_capacity(1024);
    for component in proof.components() {
        component.write_identifier(&mut base);
        base.push_str(": ");
        message.write_value(component, limits, &mut base)?;
        base.push('\n');
    }
    base.push_str("\"@signature-params\": ");
    proof.write_signature_params(&mut base);
    Ok(base)
}
