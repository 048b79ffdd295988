//! A: `Signature-Input` and `Signature` that parsers read differently, or that make them fall over.

use base64ct::Encoding as _;

use super::{SIGNED, denies, passes};
use crate::support::ask::{Ask, signing};
use crate::support::relay::Relay;
use crate::support::signer::Signer;

const FIELDS: [&str; 2] = ["signature-input", "signature"];

#[tokio::test]
async fn a1_duplicate_label() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let honest = Ask::get("/accounts").signed(&alice);
    for name in FIELDS {
        // RFC 9651 keeps the last of two, others the first.
        let twice = format!("{0}, {0}", honest.value(name));
        denies(&relay, &honest.clone().replace(name, twice), "proof-malformed").await;
        let decoy = format!("alice=:AAAA:, {}", honest.value(name));
        denies(&relay, &honest.clone().replace(name, decoy), "proof-malformed").await;
    }
    passes(&relay, &honest).await;
}

#[tokio::test]
async fn a2_label_split_over_two_lines() {
    let (alice, bob) = (Signer::ed25519("alice"), Signer::ed25519("bob"));
    let relay = Relay::start(SIGNED, &[&alice, &bob]).await;
    let honest = Ask::get("/accounts").signed(&alice);
    for name in FIELDS {
        let split = honest.clone().header(name, honest.value(name));
        denies(&relay, &split, "proof-malformed").await;
        denies(&relay, split.merged_check_request(), "proof-malformed").await;
    }
    // Two labels in two lines are one dictionary.
    let other = Ask::get("/accounts").signed(&bob);
    let both = FIELDS.into_iter().fold(honest.clone(), |both, name| both.header(name, other.value(name)));
    let answer = passes(&relay, &both).await;
    assert!(answer.headers.contains(&("x-proof-subject".to_owned(), "alice,bob".to_owned())), "{answer:?}");
    // The second line is not overlooked: a forgery in it counts.
    let elsewhere = Ask::get("/elsewhere").signed(&bob);
    let forged = both.clone().without("signature").header("signature", honest.value("signature"));
    let forged = forged.header("signature", elsewhere.value("signature"));
    denies(&relay, &forged, "signature-invalid").await;
}

#[tokio::test]
async fn a3_label_in_one_field_only() {
    let alice = Signer::ed25519("alice");
    let settings = "policies:
  - {name: tagged, match: {path: /tagged}, proof: {tag: transfer}}
  - {name: any, match: {}}";
    let relay = Relay::start(settings, &[&alice]).await;
    let honest = Ask::get("/accounts").signed(&alice);
    let with = |ask: &Ask, name: &str, member: &str| {
        ask.clone().replace(name, format!("{}, {member}", ask.value(name)))
    };
    // A claim without a signature is a claim that does not hold. A signature that claims nothing is only bytes.
    denies(&relay, &with(&honest, "signature-input", "b=(\"@method\");created=1"), "proof-malformed").await;
    denies(&relay, &honest.clone().without("signature"), "proof-malformed").await;
    denies(&relay, &honest.clone().without("signature-input"), "proof-malformed").await;
    denies(&relay, &honest.clone().replace("signature", "b=:AAAA:"), "proof-malformed").await;
    passes(&relay, &with(&honest, "signature", "b=:AAAA:")).await;
    // Where a tag selects, what does not carry it is no concern of the policy.
    let signing = proof_messenger_relay::signer::Signing {
        tag: Some("transfer".to_owned()),
        ..signing("sig", &["@method", "@target-uri"])
    };
    let tagged = Ask::get("/tagged").signed_as(&alice, &signing);
    passes(&relay, &with(&tagged, "signature-input", "b=(\"@method\");created=1")).await;
}

#[tokio::test]
async fn a4_member_of_the_wrong_type() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let honest = Ask::get("/accounts").signed(&alice);
    let signature = honest.value("signature").replace("alice=", "");
    let inputs = [
        "alice=\"@method\"",
        "alice=1",
        "alice",
        "alice=()(",
        "alice=(@method)",
        "alice=(1)",
        "alice=((\"@method\"))",
        "alice=(\"@method\"",
        "alice=(\"@method\",\"@path\")",
        "alice=(\"@method\"\"@path\")",
        ",",
        "=()",
        "alice=",
        "Alice=()",
    ];
    for input in inputs {
        denies(&relay, &honest.clone().replace("signature-input", input), "proof-malformed").await;
    }
    for wrong in ["\"AAAA\"", "AAAA", "?1", "1", &format!("({signature})"), &signature.replace(':', "\"")] {
        let wrong = format!("alice={wrong}");
        denies(&relay, &honest.clone().replace("signature", wrong), "proof-malformed").await;
    }
    passes(&relay, &honest).await;
}

#[tokio::test]
async fn a4_white_space_is_read_as_structured_fields_have_it() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let honest = Ask::get("/accounts").signed(&alice);
    // Only spaces separate components and precede parameters (RFC 9651 §4.2.1.2, §4.2.3.2).
    for (old, new) in
        [("(", "(\t"), ("\" \"", "\"\t\""), (");", ")\t;"), (";keyid=", "; \tkeyid="), ("=(", "= (")]
    {
        let spaced = honest.clone().rewrite("signature-input", old, new);
        denies(&relay, &spaced, "proof-malformed").await;
    }
    // Where white space is allowed, the base has its canonical form.
    for (old, new) in [("(", "(  "), ("\" \"", "\"   \""), (";keyid=", ";  keyid="), ("alice", " \talice")] {
        let spaced = Ask::get("/accounts").signed(&alice).rewrite("signature-input", old, new);
        passes(&relay, &spaced).await;
    }
}

#[tokio::test]
async fn a5_signature_bytes_of_no_use() {
    for signer in [Signer::ed25519("alice"), Signer::p256("alice")] {
        let relay = Relay::start(SIGNED, &[&signer]).await;
        let honest = Ask::get("/accounts").signed(&signer);
        let signature = honest.value("signature");
        let bare = signature.trim_end_matches("==:");
        let malformed = [
            "alice=:!!!!:".to_owned(),
            "alice=:AAA".to_owned(),
            "alice=:AA-_:".to_owned(),
            "alice=:AA AA:".to_owned(),
            // 64 bytes in base64 end with two padding characters, before them four bits that must be zero.
            format!("{bare}:"),
            format!("{bare}=:"),
            format!("{bare}===:"),
            format!("{}==:", with_stray_bits(bare)),
        ];
        for malformed in malformed {
            denies(&relay, &honest.clone().replace("signature", malformed), "proof-malformed").await;
        }
        for bytes in [0, 1, 63, 65, 128, 6000] {
            let wrong = base64ct::Base64::encode_string(&vec![7; bytes]);
            let wrong = honest.clone().replace("signature", format!("alice=:{wrong}:"));
            denies(&relay, &wrong, "signature-invalid").await;
        }
        passes(&relay, &honest).await;
    }
}

#[tokio::test]
async fn a5_canonical_base64_elsewhere_does_not_excuse_another_spelling() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let honest = Ask::get("/accounts").signed(&alice);
    let signature = honest.value("signature");
    let spelled = signature.trim_start_matches("alice=");
    let stray = format!("alice={}==:", with_stray_bits(spelled.trim_end_matches("==:")));
    for decoy in
        [format!("{stray};x=\"{spelled}\""), format!("{stray}, b={spelled}"), format!("b={spelled}, {stray}")]
    {
        denies(&relay, &honest.clone().replace("signature", decoy), "proof-malformed").await;
    }
    passes(&relay, &honest).await;
}

/// Base64 whose last character says one bit more, which decoders drop.
fn with_stray_bits(base64: &str) -> String {
    let (rest, last) = base64.split_at(base64.len() - 1);
    let next = match last {
        "A" => "B",
        "Q" => "R",
        "g" => "h",
        "w" => "x",
        other => panic!("{other} ends no 64 bytes"),
    };
    format!("{rest}{next}")
}
