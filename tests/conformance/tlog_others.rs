//! What Cloudflare's crates of the same formats make is read here, and they read what is made here.

use base64ct::{Base64, Encoding as _};
use proof_messenger_relay::crypto::{Algorithm, PrivateKey};
use proof_messenger_relay::evidence::checkpoint::Checkpoint;
use proof_messenger_relay::evidence::merkle::{
    CompactRange, Hash, consistency_proof, inclusion_proof, leaf_hash, verify_consistency, verify_inclusion,
};
use proof_messenger_relay::evidence::note::{Note, Signer};
use signed_note::{StandardSigner, StandardVerifier, VerifierList};
use tlog_tiles::tlog::{self, HashReader};

const NAME: &str = "bank.example/relay";
/// What [`signer`] has, as Go's `sumdb/note` writes it.
const SEED: [u8; 32] = [9; 32];

fn signer() -> Signer {
    Signer::new(NAME, PrivateKey::from_bytes(Algorithm::Ed25519, &SEED).unwrap()).unwrap()
}

fn their_signer() -> StandardSigner {
    let key = Base64::encode_string(&[[1].as_slice(), &SEED].concat());
    StandardSigner::new(&format!("PRIVATE+KEY+{NAME}+{:08x}+{key}", signer().verifier().id())).unwrap()
}

fn their_verifiers() -> VerifierList {
    let verifier = StandardVerifier::new(&signer().verifier().to_string()).unwrap();
    VerifierList::new(vec![Box::new(verifier)])
}

#[test]
fn a_checkpoint_made_here_is_read_there() {
    let checkpoint = Checkpoint::new(NAME, 17, [7; 32]).unwrap().to_string();
    let note = Note::new(checkpoint.clone(), vec![signer().sign(&checkpoint)]).unwrap().to_string();

    let theirs = signed_note::Note::from_bytes(note.as_bytes()).unwrap();
    assert_eq!(theirs.verify(&their_verifiers()).unwrap().0.len(), 1);
    assert_eq!(theirs.to_bytes(), note.as_bytes());
    let theirs = tlog_tiles::Checkpoint::from_bytes(theirs.text()).unwrap();
    assert_eq!((theirs.origin(), theirs.size(), theirs.hash().0), (NAME, 17, [7; 32]));
    assert_eq!(theirs.to_bytes(), checkpoint.as_bytes());
}

#[test]
fn a_checkpoint_made_there_is_read_here() {
    let text = tlog_tiles::Checkpoint::new(NAME, 18, tlog::Hash([8; 32]), "extension\n").unwrap().to_bytes();
    let mut theirs = signed_note::Note::new(&text, &[]).unwrap();
    theirs.add_sigs(&[&their_signer()]).unwrap();

    let note = Note::parse(&theirs.to_bytes()).unwrap();
    assert!(note.verify(&[signer().verifier().clone()]).is_ok());
    // Ed25519 is deterministic.
    assert_eq!(note.signatures(), [signer().sign(note.text())]);
    let checkpoint: Checkpoint = note.text().parse().unwrap();
    assert_eq!((checkpoint.origin(), checkpoint.size(), checkpoint.root()), (NAME, 18, &[8; 32]));
    assert_eq!(checkpoint.extensions(), ["extension"]);
}

#[test]
fn a_verifier_key_made_here_is_one_there() {
    use signed_note::Verifier as _;
    for name in ["bank.example/relay", "a", "wörter.example"] {
        let signer = Signer::new(name, PrivateKey::generate(Algorithm::Ed25519).unwrap()).unwrap();
        let theirs = StandardVerifier::new(&signer.verifier().to_string()).unwrap();
        assert_eq!((theirs.name(), theirs.key_id()), (name, signer.verifier().id()));
    }
}

/// All nodes of a tree, as `tlog_tiles` numbers them.
#[derive(Default)]
struct Nodes(Vec<tlog::Hash>);

impl HashReader for Nodes {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog::Error> {
        Ok(indexes.iter().map(|index| self.0[usize::try_from(*index).unwrap()]).collect())
    }
}

#[test]
fn proofs_are_the_same_here_and_there() {
    const SIZE: u64 = 70;
    let leaves: Vec<Hash> = (0..SIZE).map(|index| leaf_hash(&index.to_be_bytes())).collect();
    let range = |begin: u64, end: u64| {
        let mut range = CompactRange::starting_at(begin);
        (begin..end).for_each(|index| range.push(leaves[usize::try_from(index).unwrap()]));
        range
    };
    let theirs = |proof: &[Hash]| -> Vec<tlog::Hash> { proof.iter().map(|hash| tlog::Hash(*hash)).collect() };
    let ours = |proof: Vec<tlog::Hash>| -> Vec<Hash> { proof.iter().map(|hash| hash.0).collect() };

    let mut nodes = Nodes::default();
    for size in 1..=SIZE {
        let leaf = tlog::record_hash(&(size - 1).to_be_bytes());
        let new = tlog::stored_hashes_for_record_hash(size - 1, leaf, &nodes).unwrap();
        nodes.0.extend(new);
        let root = tlog::tree_hash(size, &nodes).unwrap();
        assert_eq!(range(0, size).root(), root.0, "{size}");
        for index in 0..size {
            let proof = inclusion_proof(&range(0, index), &range(index + 1, size));
            let leaf = leaves[usize::try_from(index).unwrap()];
            tlog::check_record(&theirs(&proof), size, root, index, tlog::Hash(leaf)).unwrap();
            let proof = ours(tlog::prove_record(size, index, &nodes).unwrap());
            assert_eq!(verify_inclusion(index, size, &leaf, &proof, &root.0), Ok(()), "{index} of {size}");
        }
        for old in 1..=size {
            let proof = consistency_proof(&range(0, old), &range(old, size));
            let old_root = range(0, old).root();
            tlog::check_tree(&theirs(&proof), size, root, old, tlog::Hash(old_root)).unwrap();
            let proof = ours(tlog::prove_tree(size, old, &nodes).unwrap());
            assert_eq!(verify_consistency(old, size, &proof, &old_root, &root.0), Ok(()), "{old} to {size}");
        }
    }
}
