//! A log that is as long as a test wants, its witness, and what comes of submissions.

use std::io;
use std::sync::mpsc::{Receiver, channel};

use proof_messenger_relay::crypto::{Algorithm, PrivateKey};
use proof_messenger_relay::evidence::checkpoint::Checkpoint;
use proof_messenger_relay::evidence::merkle::{CompactRange, Hash, consistency_proof, leaf_hash};
use proof_messenger_relay::evidence::note::{Note, Signer, VerifierKey};
use proof_messenger_relay::evidence::witness::{Cosigned, Report, Witness, WitnessError, Witnesses};

use crate::support::PATIENCE;

pub const ORIGIN: &str = "bank.example/relay";

pub struct Log {
    tree: CompactRange,
    witnesses: Witnesses,
    reports: Receiver<Report>,
}

pub fn signer() -> Signer {
    Signer::new(ORIGIN, PrivateKey::from_bytes(Algorithm::Ed25519, &[1; 32]).unwrap()).unwrap()
}

/// The leaves `[begin, end)`, whichever log it is.
pub fn range(begin: u64, end: u64) -> CompactRange {
    let mut range = CompactRange::starting_at(begin);
    (begin..end).for_each(|index| range.push(leaf_hash(&index.to_be_bytes())));
    range
}

/// The proof as the file would give it.
fn prove(old: u64, new: u64) -> io::Result<Vec<Hash>> {
    Ok(consistency_proof(&range(0, old), &range(old, new)))
}

pub fn witness(url: &str, key: VerifierKey) -> Witness {
    Witness::new(url, key, None).unwrap()
}

impl Log {
    pub fn start(size: u64, witness: Witness) -> Self {
        Self::start_with(size, witness, prove)
    }

    /// A log of so many leaves that gives these proofs.
    pub fn start_with(
        size: u64,
        witness: Witness,
        prove: impl Fn(u64, u64) -> io::Result<Vec<Hash>> + Send + Sync + 'static,
    ) -> Self {
        let (sender, reports) = channel();
        let tell = move |report| drop(sender.send(report));
        let witnesses = Witnesses::start(size, vec![witness], prove, tell).unwrap();
        Self { tree: range(0, size), witnesses, reports }
    }

    /// Grows to so many leaves, and asks about the checkpoint.
    pub fn submit(&mut self, size: u64) -> Note {
        for index in self.tree.end()..size {
            let leaf = leaf_hash(&index.to_be_bytes());
            self.tree.push(leaf);
            self.witnesses.push(leaf);
        }
        let text = Checkpoint::new(ORIGIN, size, self.tree.root()).unwrap().to_string();
        let note = Note::new(text.clone(), vec![signer().sign(&text)]).unwrap();
        self.witnesses.submit(note.clone(), self.tree.clone());
        note
    }

    pub fn report(&self) -> Report {
        self.reports.recv_timeout(PATIENCE).expect("a report")
    }

    /// The next report, which is a cosignature of this checkpoint.
    pub fn cosigned(&self, checkpoint: &Note, key: &VerifierKey) -> Cosigned {
        self.check(self.report(), checkpoint, key)
    }

    /// The first report that is no failure to reach the witness, which is a cosignature of this checkpoint.
    pub fn cosigned_at_last(&self, checkpoint: &Note, key: &VerifierKey) -> Cosigned {
        loop {
            let report = self.report();
            if !matches!(report.result, Err(WitnessError::Transport(_))) {
                return self.check(report, checkpoint, key);
            }
        }
    }

    fn check(&self, report: Report, checkpoint: &Note, key: &VerifierKey) -> Cosigned {
        assert_eq!(report.witness, key.name());
        let cosigned = report.result.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(cosigned.checkpoint, *checkpoint);
        let note = checkpoint.clone().with(cosigned.signature.clone()).unwrap();
        let known = [signer().verifier().clone(), key.clone()];
        let times: Vec<_> = note.verify(&known).unwrap().iter().map(|one| one.timestamp).collect();
        assert_eq!(times, [None, Some(cosigned.timestamp)]);
        cosigned
    }

    /// The next report, which is a failure.
    pub fn failure(&self) -> WitnessError {
        self.report().result.expect_err("no cosignature")
    }

    /// Ends the threads, and gives what they reported until then.
    pub fn stop(self) -> Vec<Report> {
        drop(self.witnesses);
        self.reports.iter().collect()
    }
}
