//! What the client makes of witnesses of every manner.

use std::io;
use std::time::Duration;

use proof_messenger_relay::crypto::{Algorithm, PrivateKey};
use proof_messenger_relay::evidence::note::{Cosigner, Signer, Unverified};
use proof_messenger_relay::evidence::witness::{Witness, WitnessError, WitnessSettingsError};

use super::log::{Log, ORIGIN, range, signer, witness};
use crate::support::witness::{Manner, Witness as StandIn};

fn stand_in() -> StandIn {
    StandIn::start(&[&signer().verifier().to_string()])
}

fn log(size: u64, stand_in: &StandIn) -> Log {
    Log::start(size, witness(&stand_in.url(), StandIn::key()))
}

#[test]
fn a_log_is_cosigned_as_it_grows() {
    let stand_in = stand_in();
    let mut log = log(0, &stand_in);
    for size in [1, 2, 3, 8, 9, 21, 21, 64, 100] {
        let checkpoint = log.submit(size);
        log.cosigned(&checkpoint, &StandIn::key());
    }
    // The same checkpoint again is cosigned again. Nobody had to ask for a size.
    let olds: Vec<_> = stand_in.answers();
    assert_eq!(
        olds,
        [(0, 200), (1, 200), (2, 200), (3, 200), (8, 200), (9, 200), (21, 200), (21, 200), (64, 200)]
    );
}

#[test]
fn a_witness_that_knows_the_log_already_is_given_a_proof_from_there() {
    let stand_in = stand_in();
    stand_in.recall(ORIGIN, Some((7, range(0, 7).root())));
    let mut log = log(20, &stand_in);
    let checkpoint = log.submit(30);
    log.cosigned(&checkpoint, &StandIn::key());
    let checkpoint = log.submit(31);
    log.cosigned(&checkpoint, &StandIn::key());
    assert_eq!(stand_in.answers(), [(0, 409), (7, 200), (30, 200)]);
}

#[test]
fn a_witness_that_cosigned_the_newest_checkpoint_already_does_so_again() {
    let stand_in = stand_in();
    stand_in.recall(ORIGIN, Some((20, range(0, 20).root())));
    let mut log = log(20, &stand_in);
    let checkpoint = log.submit(20);
    log.cosigned(&checkpoint, &StandIn::key());
    assert_eq!(stand_in.answers(), [(0, 409), (20, 200)]);
}

#[test]
fn a_witness_that_forgot_is_given_the_log_anew() {
    let stand_in = stand_in();
    let mut log = log(0, &stand_in);
    let checkpoint = log.submit(10);
    log.cosigned(&checkpoint, &StandIn::key());
    stand_in.recall(ORIGIN, Some((4, range(0, 4).root())));
    let checkpoint = log.submit(12);
    log.cosigned(&checkpoint, &StandIn::key());
    stand_in.recall(ORIGIN, None);
    let checkpoint = log.submit(13);
    log.cosigned(&checkpoint, &StandIn::key());
    assert_eq!(stand_in.answers(), [(0, 200), (10, 409), (4, 200), (12, 409), (0, 200)]);
}

#[test]
fn a_log_that_was_cut_off_is_noticed() {
    let stand_in = stand_in();
    stand_in.recall(ORIGIN, Some((50, range(0, 50).root())));
    let mut log = log(20, &stand_in);
    log.submit(30);
    let failure = log.failure();
    assert_eq!(failure, WitnessError::Ahead { witness: 50, log: 30 });
    assert!(failure.contradicts());
}

#[test]
fn a_log_that_was_forked_is_noticed() {
    let stand_in = stand_in();
    let mut log = log(0, &stand_in);
    stand_in.recall(ORIGIN, Some((30, [7; 32])));
    log.submit(30);
    assert_eq!(log.failure(), WitnessError::Forked(30));
    assert_eq!(stand_in.answers()[..2], [(0, 409), (30, 409)]);
    log.submit(31);
    // It may be asked about the 30 once more before.
    let failure =
        std::iter::repeat_with(|| log.failure()).find(|failure| *failure != WitnessError::Forked(30));
    assert_eq!(failure, Some(WitnessError::Inconsistent(30)));
    assert!(failure.unwrap().contradicts());
    assert!(stand_in.answers().ends_with(&[(0, 409), (30, 422)]));
}

#[test]
fn a_log_that_cannot_be_read_again_says_so() {
    let stand_in = stand_in();
    stand_in.recall(ORIGIN, Some((7, range(0, 7).root())));
    let unreadable = |_, _| Err(io::Error::other("no such file"));
    let mut log = Log::start_with(20, witness(&stand_in.url(), StandIn::key()), unreadable);
    log.submit(20);
    let failure = log.failure();
    assert_eq!(failure, WitnessError::NoProof { old: 7, error: "no such file".to_owned() });
    assert!(!failure.contradicts());
}

#[test]
fn a_witness_that_does_not_know_the_log_or_its_key() {
    let unknown = StandIn::start(&[]);
    let mut one = log(0, &unknown);
    one.submit(1);
    assert_eq!(one.failure(), WitnessError::UnknownLog);

    let other = Signer::new(ORIGIN, PrivateKey::from_bytes(Algorithm::Ed25519, &[2; 32]).unwrap()).unwrap();
    let other = StandIn::start(&[&other.verifier().to_string()]);
    let mut two = log(0, &other);
    two.submit(1);
    assert_eq!(two.failure(), WitnessError::Refused);
}

#[test]
fn a_witness_that_comes_back_is_asked_about_the_newest_checkpoint() {
    let stand_in = stand_in();
    let mut log = log(0, &stand_in);
    let checkpoint = log.submit(5);
    log.cosigned(&checkpoint, &StandIn::key());
    stand_in.behave(Manner::Down);
    log.submit(8);
    assert!(matches!(log.failure(), WitnessError::Transport(_)));
    log.submit(13);
    let newest = log.submit(20);
    stand_in.behave(Manner::Honest);
    log.cosigned_at_last(&newest, &StandIn::key());
    // Nobody asked about 13 leaves, and the proof went from where the witness stood.
    assert_eq!(stand_in.answers(), [(0, 200), (5, 200)]);
}

#[test]
fn a_failure_is_tried_again_without_a_new_checkpoint() {
    let stand_in = stand_in();
    stand_in.behave(Manner::Down);
    let mut log = log(0, &stand_in);
    let checkpoint = log.submit(5);
    assert!(matches!(log.failure(), WitnessError::Transport(_)));
    stand_in.behave(Manner::Honest);
    log.cosigned_at_last(&checkpoint, &StandIn::key());
    assert_eq!(stand_in.answers(), [(0, 200)]);
}

#[test]
fn a_cosignature_of_another_key_does_not_count() {
    let stand_in = stand_in();
    stand_in.behave(Manner::Impostor);
    let mut log = log(0, &stand_in);
    log.submit(5);
    assert_eq!(log.failure(), WitnessError::Cosignature(Unverified::NoKnownKey));
}

#[test]
fn neither_silence_nor_verbosity_nor_redirects_hold_it_up() {
    let stand_in = stand_in();
    let failure = |manner, witness| {
        stand_in.behave(manner);
        let mut log = Log::start(0, witness);
        log.submit(1);
        log.failure().to_string()
    };
    let witness = || witness(&stand_in.url(), StandIn::key());
    let silence = failure(Manner::Silent, witness().with_timeout(Duration::from_millis(200)));
    assert!(silence.contains("timeout"), "{silence}");
    let verbosity = failure(Manner::Verbose, witness());
    assert!(verbosity.contains("limit"), "{verbosity}");
    let redirect = failure(Manner::Redirecting, witness());
    assert_eq!(redirect, "the witness answers with status 307");
    assert_eq!(stand_in.answers(), []);
}

#[test]
fn what_was_not_submitted_yet_is_when_the_log_ends() {
    let stand_in = stand_in();
    let mut log = log(0, &stand_in);
    let checkpoint = log.submit(5);
    let reports = log.stop();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].result.as_ref().unwrap().checkpoint, checkpoint);
}

#[test]
fn a_witness_in_trouble_does_not_hold_up_the_end() {
    let stand_in = stand_in();
    stand_in.behave(Manner::Down);
    let mut log = log(0, &stand_in);
    log.submit(5);
    log.failure();
    assert!(log.stop().len() <= 1);
}

#[test]
fn what_is_no_witness_is_refused() {
    let refused = |url: &str| Witness::new(url, StandIn::key(), None).map(|_| ()).unwrap_err();
    for url in [
        "",
        "witness.example",
        "/witness",
        "ftp://witness.example",
        "file:///etc/passwd",
        "https://alice:secret@witness.example",
        "https://witness.example?key=secret",
        "https://witness.example#there",
    ] {
        assert_eq!(refused(url), WitnessSettingsError::Url, "{url}");
    }
    let log_key = signer().verifier().clone();
    let one = Witness::new("https://witness.example", log_key, None).map(|_| ());
    assert_eq!(one, Err(WitnessSettingsError::KeyKind));
    for pem in ["", "no certificate", "-----BEGIN CERTIFICATE-----\n"] {
        let one = Witness::new("https://witness.example", StandIn::key(), Some(pem.as_bytes())).map(|_| ());
        assert!(matches!(one, Err(WitnessSettingsError::Authorities(_))), "{pem:?}");
    }
    let key = PrivateKey::from_bytes(Algorithm::Ed25519, &[3; 32]).unwrap();
    let key = Cosigner::new("w", key).unwrap().verifier().clone();
    assert!(Witness::new("https://witness.example/prefix/", key, None).is_ok());
}
