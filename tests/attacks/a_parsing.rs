//! A: `Signature-Input` and `Signature` that parsers read differently, or that make them fall over.

use base64ct::Encoding as _;

use super::{SIGNED, denies, passes};
use crate::support::ask::{Ask, add_line, http, remove_lines, signing};
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
    let forged = both.clone().without("signature").header("signature", honest.value("signature"));
    let forged = forged.header("signature", honest.value("signature").replace("alice=", "bob="));
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

#[tokio::test]
async fn a6_parameters_in_an_order_of_the_clients_own() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let lines = ["\"@method\": GET", "\"@target-uri\": https://bank.example/accounts"];
    let signed = |params: &str| Ask::get("/accounts").signed_over(&alice, params, &lines);
    let components = "(\"@method\" \"@target-uri\")";
    for params in [
        ";keyid=\"alice\";created=1700000000",
        ";nonce=\"a6\";keyid=\"alice\";expires=1700000100;created=1700000000",
        // Parameters that nobody knows are part of what was signed.
        ";x-note=\"b\";created=1700000000;a;keyid=\"alice\";z=?0;d=1.5;t=a/b;bytes=:AAAA:",
    ] {
        passes(&relay, &signed(&format!("{components}{params}"))).await;
    }
    let params = ";created=1700000000;keyid=\"alice\";x-note=\"b\"";
    let honest = signed(&format!("{components}{params}"));
    for (old, new) in [
        (";x-note=\"b\"", ""),
        (";x-note=\"b\"", ";x-note=\"c\""),
        (";x-note=\"b\"", ";x-note=\"b\";more"),
        (params, ";keyid=\"alice\";created=1700000000;x-note=\"b\""),
        ("\"@method\" \"@target-uri\"", "\"@target-uri\" \"@method\""),
    ] {
        denies(&relay, &honest.clone().rewrite("signature-input", old, new), "signature-invalid").await;
    }
    passes(&relay, &honest).await;
}

#[tokio::test]
async fn a7_times_that_are_no_whole_seconds() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let honest = Ask::get("/accounts").signed(&alice);
    for time in [
        "=-1",
        "=-999999999999999",
        "=1700000000.0",
        "=\"1700000000\"",
        "=@1700000000",
        "=?1",
        "=soon",
        "=:AAAA:",
        "",
        "=1000000000000000",
        "=99999999999999999999999999",
        "=1e9",
        "=0x6553f100",
        "=",
        "=+1700000000",
        "=--1",
        "=1.",
    ] {
        let created = honest.clone().rewrite("signature-input", "=1700000000", time);
        denies(&relay, &created, "proof-malformed").await;
        let expires = format!(";expires{time};keyid");
        denies(&relay, &honest.clone().rewrite("signature-input", ";keyid", &expires), "proof-malformed")
            .await;
    }
    let far = honest.clone().rewrite("signature-input", "=1700000000", "=999999999999999");
    denies(&relay, &far, "proof-from-future").await;
    let long_ago = honest.clone().rewrite("signature-input", "=1700000000", "=0");
    denies(&relay, &long_ago, "proof-too-old").await;
    passes(&relay, &honest).await;
}

#[tokio::test]
async fn a8_duplicate_parameter() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let honest = Ask::get("/accounts").signed(&alice);
    for twice in [
        ";created=1700000000",
        ";keyid=\"mallory\"",
        ";nonce=\"another\"",
        ";x;x",
        ";tag=\"a\";tag=\"a\"",
        ";alg=\"ed25519\";alg=\"ed25519\"",
        ";expires=1700000100;expires=1700000100",
    ] {
        let ask =
            honest.clone().replace("signature-input", format!("{}{twice}", honest.value("signature-input")));
        denies(&relay, &ask, "proof-malformed").await;
    }
    let component = honest.clone().rewrite("signature-input", "\"@method\"", "\"x\";key=\"a\";key=\"b\"");
    denies(&relay, &component, "proof-malformed").await;
    passes(&relay, &honest).await;
}

#[tokio::test]
async fn a11_component_name_in_another_spelling() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let honest = Ask::get("/accounts").header("x-note", "a").signed(&alice);
    for name in [
        "X-Note",
        " x-note",
        "x-note ",
        "x note",
        "",
        "x-note:",
        ":method",
        ":path",
        ":authority",
        "@Method",
        "@method ",
        " @method",
        "x(note)",
        "x\\\"note",
        "x\\\\note",
    ] {
        let spelled = format!("(\"{name}\" ");
        denies(&relay, &honest.clone().rewrite("signature-input", "(", &spelled), "proof-malformed").await;
    }
    passes(&relay, &honest).await;
    let covering = signing("alice", &["@method", "@target-uri", "x-note"]);
    passes(&relay, &Ask::get("/accounts").header("x-note", "a").signed_as(&alice, &covering)).await;
}

#[tokio::test]
async fn a12_signature_params_as_a_component() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let honest = Ask::get("/accounts").signed(&alice);
    for component in ["\"@signature-params\"", "\"@signature-params\";sf"] {
        let listed = honest.clone().rewrite("signature-input", "(", &format!("({component} "));
        denies(&relay, &listed, "proof-malformed").await;
    }
    passes(&relay, &honest).await;
}

#[tokio::test]
async fn a10_bytes_that_forge_lines() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let covering = signing("alice", &["@method", "@target-uri", "x-note"]);
    let honest = Ask::get("/accounts").header("x-note", "a\tb").signed_as(&alice, &covering);
    for byte in ["\n", "\r", "\r\n", "\0", "\x0b", "\x1b", "\x7f"] {
        // Without the check, `x-note: a` and a forged line would have one base.
        let with = |name: &str, value: String| {
            let mut check = honest.check_request();
            remove_lines(&mut check, name);
            add_line(&mut check, name, value);
            check
        };
        denies(&relay, with("x-note", format!("a{byte}\"@method\": DELETE")), "request-malformed").await;
        let input = honest.value("signature-input").replace("=\"alice", &format!("=\"alice{byte}"));
        denies(&relay, with("signature-input", input), "request-malformed").await;
        let lines = [format!("\"@method\": GET{byte}"), "\"@target-uri\": https://bank.example/".to_owned()];
        let params = "(\"@method\" \"@target-uri\");created=1700000000;keyid=\"alice\"";
        let signed = Ask::get("/").signed_over(&alice, params, &lines.each_ref().map(String::as_str));
        let mut method = signed.check_request();
        http(&mut method).method = format!("GET{byte}");
        remove_lines(&mut method, ":method");
        denies(&relay, method, "component-missing").await;
        denies(&relay, &Ask::get(&format!("/{byte}")), "path-ambiguous").await;
        let mut host = Ask::get("/");
        host.authority = format!("bank.example{byte}");
        denies(&relay, &host, "request-malformed").await;
    }
    let umlaut = honest.clone().rewrite("signature-input", "keyid=\"alice", "keyid=\"älice");
    denies(&relay, &umlaut, "proof-malformed").await;
    let tab = honest.clone().rewrite("signature-input", "keyid=\"alice", "keyid=\"\talice");
    denies(&relay, &tab, "proof-malformed").await;
    passes(&relay, &honest).await;
}
