//! `Signature-Input`: a proof that can be read says the same when it is written and read again.
//!
//! The value of `@signature-params` is written from what was parsed (RFC 9421 §2.3), so a difference would be a message
//! that nobody signed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proof_messenger_relay::limits::Limits;
use proof_messenger_relay::proof::{Proof, ProofFields};
use proof_messenger_relay::request::{Encoding, Field, Fields};
use proof_messenger_relay::structured_field::{self, Member};

fuzz_target!(|data: &[u8]| {
    let limits = Limits::default();
    // As a field's value is read (RFC 9110 §5.5).
    let data = data.trim_ascii();
    // Every label has a signature, so that no proof fails for want of one.
    let labels = structured_field::dictionary(data, limits.labels).unwrap_or_default();
    let signatures: Vec<_> = labels.iter().map(|(label, _)| format!("{}=:AAAA:", label.as_str())).collect();
    let signatures = signatures.join(", ");
    let lines = vec![
        Field { name: "signature-input", value: data },
        Field { name: "signature", value: signatures.as_bytes() },
    ];
    let Ok(fields) = Fields::new(lines, Encoding::Raw, &limits) else { return };
    let fields = ProofFields::of(&fields);
    let Ok(claims) = fields.claims(&limits) else { return };
    assert_eq!(claims.len(), labels.len());
    for claim in claims {
        let Ok(proof) = claim.proof() else { continue };
        assert_eq!(proof.signature(), [0; 3]);
        let written = written(&proof);
        let member = format!("again={written}");
        let mut again =
            structured_field::dictionary(member.as_bytes(), 1).expect("what was written can be read");
        let Some((label, Member::InnerList(input))) = again.pop() else { panic!("{member}") };
        let again = Proof::unsigned(label.as_str(), input, &limits).expect("what was a proof is one");
        assert_eq!(self::written(&again), written);
        assert_eq!(again.parameters(), proof.parameters());
        let names = |proof: &Proof<'_>| -> Vec<String> {
            proof.components().iter().map(|component| format!("{:?}", component.name())).collect()
        };
        assert_eq!(names(&again), names(&proof));
    }
});

fn written(proof: &Proof<'_>) -> String {
    let mut written = String::new();
    proof.write_signature_params(&mut written);
    written
}
