//! Trees of any size and shape, proofs altered in any way, and parsers of notes, checkpoints and proofs.

use proof_messenger_relay::crypto::{Algorithm, PrivateKey};
use proof_messenger_relay::evidence::checkpoint::Checkpoint;
use proof_messenger_relay::evidence::merkle::{
    CompactRange, Hash, consistency_proof, inclusion_proof, leaf_hash, verify_consistency, verify_inclusion,
};
use proof_messenger_relay::evidence::note::{Cosigner, Note, Signer, VerifierKey};
use proof_messenger_relay::evidence::tlog_proof::TlogProof;
use proptest::prelude::*;

use super::hostile;

/// The leaves `[begin, end)` of a log.
fn range(begin: u64, end: u64) -> CompactRange {
    let mut range = CompactRange::starting_at(begin);
    (begin..end).for_each(|index| range.push(leaf_hash(&index.to_be_bytes())));
    range
}

/// What can be done to the hashes of a proof.
#[derive(Debug, Clone)]
enum Change {
    Bit(prop::sample::Index, usize),
    Insert(prop::sample::Index, Hash),
    Remove(prop::sample::Index),
    Swap(prop::sample::Index, prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), 0_usize..256).prop_map(|(at, bit)| Change::Bit(at, bit)),
        (at(), any::<Hash>()).prop_map(|(at, hash)| Change::Insert(at, hash)),
        at().prop_map(Change::Remove),
        (at(), at()).prop_map(|(one, other)| Change::Swap(one, other)),
    ]
}

/// The altered proof, or nothing where the change changes nothing.
fn altered(proof: &[Hash], change: &Change) -> Option<Vec<Hash>> {
    let mut altered = proof.to_vec();
    match change {
        Change::Insert(at, hash) => altered.insert(at.index(proof.len() + 1), *hash),
        _ if proof.is_empty() => {}
        Change::Bit(at, bit) => altered[at.index(proof.len())][bit / 8] ^= 1 << (bit % 8),
        Change::Remove(at) => drop(altered.remove(at.index(proof.len()))),
        Change::Swap(one, other) => altered.swap(one.index(proof.len()), other.index(proof.len())),
    }
    (altered != proof).then_some(altered)
}

proptest! {
    #[test]
    fn inclusion((size, index) in (1_u64..3000).prop_flat_map(|size| (Just(size), 0..size)), change in change()) {
        let leaf = leaf_hash(&index.to_be_bytes());
        let root = range(0, size).root();
        let proof = inclusion_proof(&range(0, index), &range(index + 1, size));
        prop_assert_eq!(verify_inclusion(index, size, &leaf, &proof, &root), Ok(()));

        if let Some(altered) = altered(&proof, &change) {
            prop_assert!(verify_inclusion(index, size, &leaf, &altered, &root).is_err());
        }
        for other in [index ^ 1, index + 1, index.wrapping_sub(1), index / 2, index + size] {
            prop_assert!(other == index || verify_inclusion(other, size, &leaf, &proof, &root).is_err());
        }
        prop_assert!(verify_inclusion(index, size, &root, &proof, &leaf).is_err() || size == 1);
        prop_assert!(verify_inclusion(index, size, &[0; 32], &proof, &root).is_err());
    }

    #[test]
    fn consistency((new, old) in (1_u64..3000).prop_flat_map(|new| (Just(new), 1..=new)), change in change()) {
        let (before, since) = (range(0, old), range(old, new));
        let (old_root, new_root) = (before.root(), range(0, new).root());
        let proof = consistency_proof(&before, &since);
        prop_assert_eq!(verify_consistency(old, new, &proof, &old_root, &new_root), Ok(()));

        if let Some(altered) = altered(&proof, &change) {
            prop_assert!(verify_consistency(old, new, &altered, &old_root, &new_root).is_err());
        }
        prop_assert!(verify_consistency(old, new, &proof, &[0; 32], &new_root).is_err());
        prop_assert!(verify_consistency(old, new, &proof, &old_root, &[0; 32]).is_err());
        if old < new {
            prop_assert!(verify_consistency(new, old, &proof, &new_root, &old_root).is_err());
            prop_assert!(verify_consistency(old, old, &proof, &old_root, &new_root).is_err());
        }
    }

    /// Whatever it is given, at any size, a verifier ends, and does not believe it.
    #[test]
    fn proofs_of_nothing(
        (one, other) in (any::<u64>(), any::<u64>()),
        proof in prop::collection::vec(any::<Hash>(), 0..70),
        (first, second) in (any::<Hash>(), any::<Hash>()),
    ) {
        prop_assert!(verify_inclusion(one, other, &first, &proof, &second).is_err());
        prop_assert!(verify_consistency(one, other, &proof, &first, &second).is_err());
    }

    /// A proof near the largest size verifies too: the tree is made up of subtrees that nobody could fill.
    #[test]
    fn the_largest_trees(old in (1_u64..1 << 63), more in 1_u64..1000) {
        let count = usize::try_from(old.count_ones()).unwrap();
        let hashes = (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect();
        let before = CompactRange::restored(0, old, hashes).unwrap();
        let (mut all, mut since) = (before.clone(), CompactRange::starting_at(old));
        for n in 0..more {
            all.push(leaf_hash(&n.to_be_bytes()));
            since.push(leaf_hash(&n.to_be_bytes()));
        }
        let proof = consistency_proof(&before, &since);
        prop_assert_eq!(verify_consistency(old, old + more, &proof, &before.root(), &all.root()), Ok(()));
        let mut after = CompactRange::starting_at(old + 1);
        (1..more).for_each(|n| after.push(leaf_hash(&n.to_be_bytes())));
        let (proof, leaf) = (inclusion_proof(&before, &after), leaf_hash(&0_u64.to_be_bytes()));
        prop_assert_eq!(verify_inclusion(old, old + more, &leaf, &proof, &all.root()), Ok(()));
    }

    #[test]
    fn a_note_comes_back(lines in "(\\PC{0,20}\n){1,5}", name in "[a-z./é]{1,20}", time in 0..=i64::MAX as u64) {
        let key = || PrivateKey::from_bytes(Algorithm::Ed25519, &[5; 32]).unwrap();
        let (signer, witness) = (Signer::new(&name, key()).unwrap(), Cosigner::new(&name, key()).unwrap());
        let note = Note::new(lines.clone(), vec![signer.sign(&lines), witness.cosign(&lines, time)]).unwrap();
        let parsed = Note::parse(note.to_string().as_bytes()).unwrap();
        prop_assert_eq!(&parsed, &note);
        let known = [signer.verifier().clone(), witness.verifier().clone()];
        let times: Vec<_> = parsed.verify(&known).unwrap().iter().map(|one| one.timestamp).collect();
        prop_assert_eq!(times, [None, Some(time)]);
        for key in &known {
            prop_assert_eq!(&key.to_string().parse::<VerifierKey>().unwrap(), key);
        }
    }

    /// What a parser takes, it writes again as it was.
    #[test]
    fn parsers(bytes in hostile::bytes(), index in any::<u64>(), hashes in prop::collection::vec(any::<Hash>(), 0..64)) {
        if let Ok(note) = Note::parse(&bytes) {
            prop_assert_eq!(note.to_string().into_bytes(), bytes.clone());
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(checkpoint) = text.parse::<Checkpoint>() {
            prop_assert_eq!(checkpoint.to_string(), text.as_ref());
        }
        if let Ok(key) = text.parse::<VerifierKey>() {
            prop_assert_eq!(key.to_string(), text.as_ref());
        }
        let _ = text.parse::<TlogProof>();
        let proof = TlogProof { extra: Some(bytes), index, hashes, checkpoint: "a\n".to_owned() };
        prop_assert_eq!(proof.to_string().parse(), Ok(proof));
    }
}
