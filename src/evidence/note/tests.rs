use super::*;
use crate::crypto::{Algorithm, PrivateKey};

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_bytes(Algorithm::Ed25519, &[seed; 32]).unwrap()
}

fn signer() -> Signer {
    Signer::new("bank.example/relay", key(1)).unwrap()
}

fn note(text: &str) -> Note {
    Note::new(text.to_owned(), vec![signer().sign(text)]).unwrap()
}

#[test]
fn a_note_comes_back() {
    for text in ["one line\n", "\n", "an empty line\n\n— behind it\n", "\n\n", "—\n"] {
        let note = note(text);
        let parsed = Note::parse(note.to_string().as_bytes()).unwrap();
        assert_eq!(parsed, note);
        assert_eq!(parsed.text(), text);
        assert_eq!(parsed.verify(&[signer().verifier().clone()]).unwrap().len(), 1);
    }
}

#[test]
fn only_known_keys_count() {
    let other = Signer::new("bank.example/relay", key(2)).unwrap();
    let note = note("text\n").with(other.sign("text\n")).unwrap();
    let known = [signer().verifier().clone()];
    let verified = note.verify(&known).unwrap();
    assert_eq!(verified.iter().map(|one| one.key).collect::<Vec<_>>(), [&known[0]]);
    assert_eq!(note.verify(&[]), Err(Unverified::NoKnownKey));
    let renamed = Signer::new("bank.example/other", key(1)).unwrap();
    assert_eq!(note.verify(&[renamed.verifier().clone()]), Err(Unverified::NoKnownKey));
}

#[test]
fn a_false_signature_of_a_known_key_spoils_the_note() {
    let second = Signer::new("second.example", key(2)).unwrap();
    let note = note("text\n").with(second.sign("another text\n")).unwrap();
    let known = [signer().verifier().clone(), second.verifier().clone()];
    assert_eq!(note.verify(&known), Err(Unverified::BadSignature("second.example".to_owned())));
    assert!(note.verify(&known[..1]).is_ok());
}

#[test]
fn a_cosignature_has_a_time() {
    let witness = Cosigner::new("witness.example", key(3)).unwrap();
    let known = [witness.verifier().clone()];
    let cosigned = |timestamp| note("text\n").with(witness.cosign("text\n", timestamp)).unwrap();
    let note = cosigned(1_700_000_000);
    assert_eq!(note.verify(&known).unwrap()[0].timestamp, Some(1_700_000_000));
    assert!(cosigned(i64::MAX as u64).verify(&known).is_ok());
    assert!(cosigned(1 << 63).verify(&known).is_err());
    // The same key under the other type is another key.
    let plain = Signer::new("witness.example", key(3)).unwrap();
    assert_ne!(plain.verifier().id(), witness.verifier().id());
    assert_eq!(note.verify(&[plain.verifier().clone()]), Err(Unverified::NoKnownKey));
}

#[test]
fn a_number_of_signatures_is_too_many() {
    let mut many = note("text\n");
    for _ in 1..MAX_SIGNATURES {
        many = many.with(signer().sign("text\n")).unwrap();
    }
    assert_eq!(Note::parse(many.to_string().as_bytes()), Ok(many.clone()));
    let line = format!("{}\n", signer().sign("text\n"));
    let more = Note::parse(format!("{many}{line}").as_bytes());
    assert_eq!(more, Err(NoteError::TooManySignatures));
    assert_eq!(many.with(signer().sign("text\n")), Err(NoteError::TooManySignatures));
    assert_eq!(Note::parse(&vec![b'a'; MAX_NOTE + 1]), Err(NoteError::TooLong(MAX_NOTE + 1)));
}

#[test]
fn what_is_no_note_is_refused() {
    let line = signer().sign("text\n").to_string();
    let base64 = line.rsplit_once(' ').unwrap().1;
    let refused = |note: &str| Note::parse(note.as_bytes()).unwrap_err();
    assert_eq!(refused(""), NoteError::Unfinished);
    assert_eq!(refused("text\n"), NoteError::Unsigned);
    assert_eq!(refused("text\n\n"), NoteError::Unsigned);
    assert_eq!(refused(&format!("text\n{line}\n")), NoteError::Unsigned);
    assert_eq!(refused(&format!("\n{line}\n")), NoteError::Unsigned);
    assert_eq!(refused(&format!("text\n\n{line}")), NoteError::Unfinished);
    assert_eq!(refused(&format!("te\txt\n\n{line}\n")), NoteError::ControlCharacter);
    assert_eq!(refused(&format!("text\r\n\r\n{line}\r\n")), NoteError::ControlCharacter);
    let signature = |line: &str| match refused(&format!("text\n\n{line}\n")) {
        NoteError::Signature(1, error) => error,
        other => panic!("{line}: {other}"),
    };
    assert_eq!(signature("- a AAAAAAA="), SignatureError::Form);
    assert_eq!(signature("— a"), SignatureError::Form);
    assert_eq!(signature(&format!("—  {base64}")), SignatureError::Name);
    assert_eq!(signature(&format!("— a+b {base64}")), SignatureError::Name);
    assert_eq!(signature(&format!("— a\u{a0}b {base64}")), SignatureError::Name);
    assert_eq!(signature(&format!("— a b {base64}")), SignatureError::Base64);
    assert_eq!(signature(&format!("— a {base64} ")), SignatureError::Base64);
    for base64 in ["", "AAAA", "AAAAAA==", "AAAAAAB=", "AAAAAAA"] {
        assert_eq!(signature(&format!("— a {base64}")), SignatureError::Base64, "{base64:?}");
    }
    assert_eq!(Note::new("text".to_owned(), vec![]), Err(NoteError::UnfinishedText));
    assert_eq!(Note::new("text\n".to_owned(), vec![]), Err(NoteError::Unsigned));
}

#[test]
fn a_verifier_key_comes_back() {
    for key in [signer().verifier().clone(), Cosigner::new("w", key(4)).unwrap().verifier().clone()] {
        assert_eq!(key.to_string().parse(), Ok(key));
    }
    let p256 = PrivateKey::from_bytes(Algorithm::EcdsaP256Sha256, &[1; 32]).unwrap();
    assert!(matches!(Signer::new("a", p256), Err(VerifierKeyError::Algorithm(_))));
    assert!(matches!(Signer::new("a b", key(1)), Err(VerifierKeyError::Name)));
}

#[test]
fn what_is_no_verifier_key_is_refused() {
    let good = signer().verifier().to_string();
    let refused = |text: &str| text.parse::<VerifierKey>().unwrap_err();
    let parts: Vec<&str> = good.splitn(3, '+').collect();
    assert_eq!(refused("a+b"), VerifierKeyError::Form);
    assert_eq!(refused(&format!("+{}+{}", parts[1], parts[2])), VerifierKeyError::Name);
    assert_eq!(refused(&format!("{}+{}+?", parts[0], parts[1])), VerifierKeyError::Base64);
    assert_eq!(refused(&format!("{}+{}+", parts[0], parts[1])), VerifierKeyError::Base64);
    assert!(matches!(refused("a+00000000+AgAA"), VerifierKeyError::Kind(2)));
    assert!(matches!(refused("a+00000000+AQAA"), VerifierKeyError::Key(_)));
    for id in ["00000000", &parts[1].to_uppercase(), &parts[1][1..], ""] {
        let expected = signer().verifier().id();
        let other = refused(&format!("{}+{id}+{}", parts[0], parts[2]));
        assert_eq!(other, VerifierKeyError::Id { expected, found: id.to_owned() });
    }
}
