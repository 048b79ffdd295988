//! The judge is judged: an exchange that the tests of litewitness have, from `$CONFORMANCE_DIR`.

use serde::Deserialize;

use crate::conformance::vectors;
use crate::support::witness::Witness;

#[derive(Deserialize)]
struct Sequence {
    log_vkey: String,
    log_origin: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    old_size: u64,
    consistency_proof_b64: Vec<String>,
    checkpoint: String,
    http_status: u16,
}

/// Litewitness answers 403 where it does not know the log. The specification says 404, and so does the stand-in.
#[test]
fn the_stand_in_answers_as_litewitness() {
    let Some(sequence) = vectors::<Sequence>("tlog/witness-sequence.json") else { return };
    assert_eq!(sequence.steps.len(), 9);
    let witness = Witness::start(&[&sequence.log_vkey]);
    for (number, step) in sequence.steps.iter().enumerate() {
        let proof: String = step.consistency_proof_b64.iter().flat_map(|hash| [hash, "\n"]).collect();
        let body = format!("old {}\n{proof}\n{}", step.old_size, step.checkpoint);
        let known = step.checkpoint.starts_with(&format!("{}\n", sequence.log_origin));
        let expected = if known { step.http_status } else { 404 };
        assert_eq!(witness.add_checkpoint(&body).0, expected, "step {number}");
    }
}
