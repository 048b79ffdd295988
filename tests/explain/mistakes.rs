//! Clients that are broken in one way each: explain names it.

use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};
use proof_messenger_relay::crypto::sha256;
use proof_messenger_relay::signer::content_digest;

use super::{relay, signed_over_base, story, story_of, with_signature};
use crate::support::ask::Ask;
use crate::support::signer::Signer;

const POLICY: &str = "policies: [{name: all, match: {}, proof: {cover: ['@method']}}]";
const BODY: &[u8] = b"{\"amount\":100}";
const PARAMS: &str =
    r#"("@method" "@target-uri" "content-digest");created=1700000000;keyid="alice";nonce="n""#;
const PARTS: &str =
    r#"("@method" "@scheme" "@authority" "@path" "@query");created=1700000000;keyid="alice";nonce="n""#;

fn ask() -> Ask {
    Ask::post("/transfers/7?on=monday", BODY).header("x-forwarded-host", "www.bank.example")
}

/// The right base of these parameters.
fn right(params: &str) -> String {
    let digest = content_digest(BODY);
    let lines = [
        ("\"@method\"", "POST"),
        ("\"@scheme\"", "https"),
        ("\"@authority\"", "bank.example"),
        ("\"@path\"", "/transfers/7"),
        ("\"@query\"", "?on=monday"),
        ("\"@target-uri\"", "https://bank.example/transfers/7?on=monday"),
        ("\"content-digest\"", digest.as_str()),
    ];
    let list = params.split(')').next().unwrap();
    let lines: String = lines
        .iter()
        .filter(|(name, _)| list.contains(name))
        .map(|(name, value)| format!("{name}: {value}\n"))
        .collect();
    format!("{lines}\"@signature-params\": {params}")
}

/// The base with one piece of it replaced.
fn with(params: &str, old: &str, new: &str) -> String {
    let right = right(params);
    assert!(right.contains(old), "{old}");
    right.replacen(old, new, 1)
}

/// Bases as broken clients make them, with the parameters that they send and the name of the mistake.
fn broken() -> Vec<(&'static str, &'static str, String)> {
    let last_params = |params: &str| format!("\"@signature-params\": {params}");
    let hex: String = sha256(BODY).iter().map(|byte| format!("{byte:02x}")).collect();
    let digest = content_digest(BODY);
    let url = format!("sha-256=:{}:", Base64UrlUnpadded::encode_string(&sha256(BODY)));
    let method = "\"@method\": POST\n";
    let uri = "\"@target-uri\": https://bank.example/transfers/7?on=monday\n";
    let other_order = right(PARAMS).replace(method, "").replace(uri, &format!("{uri}{method}"));
    let list = r#"("@method" "@target-uri" "content-digest")"#;
    vec![
        ("trailing-newline", PARAMS, right(PARAMS) + "\n"),
        ("trailing-newline", PARTS, right(PARTS) + "\r\n"),
        ("crlf", PARAMS, right(PARAMS).replace('\n', "\r\n")),
        ("wrong-scheme", PARAMS, with(PARAMS, "https://", "http://")),
        ("wrong-scheme", PARTS, with(PARTS, "https", "http")),
        ("wrong-authority", PARTS, with(PARTS, ": bank.example", ": bank.example:443")),
        ("wrong-authority", PARAMS, with(PARAMS, "//bank.example", "//BANK.EXAMPLE")),
        ("wrong-authority", PARAMS, with(PARAMS, "//bank.example", "//www.bank.example")),
        (
            "wrong-scheme-and-authority",
            PARAMS,
            with(PARAMS, "https://bank.example", "http://bank.example:80"),
        ),
        ("wrong-query", PARAMS, with(PARAMS, "?on=monday", "")),
        ("wrong-query", PARAMS, with(PARAMS, "https://bank.example", "")),
        ("wrong-query", PARTS, with(PARTS, "/transfers/7\n", "/transfers/7?on=monday\n")),
        ("wrong-query", PARTS, with(PARTS, "?on=monday", "on=monday")),
        ("wrong-path", PARAMS, with(PARAMS, "/7?", "/7/?")),
        ("method-case", PARAMS, with(PARAMS, "POST", "post")),
        ("component-order", PARAMS, other_order.clone()),
        (
            "component-order",
            PARAMS,
            other_order.replace(r#"("@method" "@target-uri""#, r#"("@target-uri" "@method""#),
        ),
        ("component-missing", PARAMS, with(PARAMS, method, "")),
        ("component-missing", PARAMS, with(PARAMS, method, "").replace(r#"("@method" "#, "(")),
        ("component-extra", PARAMS, with(PARAMS, uri, &format!("{uri}\"@path\": /transfers/7\n"))),
        ("component-extra", PARAMS, with(PARAMS, uri, &format!("\"content-length\": 14\n{uri}"))),
        (
            "params-order",
            PARAMS,
            with(PARAMS, r#"created=1700000000;keyid="alice""#, r#"keyid="alice";created=1700000000"#),
        ),
        ("params-dropped", PARAMS, with(PARAMS, r#";nonce="n""#, "")),
        ("params-dropped", PARAMS, with(PARAMS, r#";created=1700000000;keyid="alice";nonce="n""#, "")),
        ("params-added", PARAMS, with(PARAMS, ";nonce", r#";alg="ed25519";nonce"#)),
        ("params-quoting", PARAMS, with(PARAMS, r#"keyid="alice""#, "keyid=alice")),
        ("params-quoting", PARAMS, with(PARAMS, "created=1700000000", r#"created="1700000000""#)),
        ("params-spelling", PARAMS, with(PARAMS, PARAMS, &PARAMS.replace(';', "; "))),
        ("label-included", PARAMS, with(PARAMS, ": (", ": sig=(")),
        ("params-line", PARAMS, with(PARAMS, &format!("\n{}", last_params(PARAMS)), "")),
        ("params-line", PARAMS, with(PARAMS, "\"@signature-params\"", "@signature-params")),
        (
            "unquoted-identifiers",
            PARAMS,
            ["@method", "@target-uri", "content-digest"].iter().fold(right(PARAMS), |base, name| {
                base.replacen(&format!("\"{name}\": "), &format!("{name}: "), 1)
            }),
        ),
        ("identifier-case", PARAMS, with(PARAMS, "\"content-digest\":", "\"Content-Digest\":")),
        ("space-after-colon", PARAMS, right(PARAMS).replace("\": ", "\":")),
        ("digest-of-other-body", PARAMS, with(PARAMS, &digest, &content_digest(b""))),
        ("digest-encoding", PARAMS, with(PARAMS, &digest, &format!("sha-256=:{hex}:"))),
        ("digest-encoding", PARAMS, with(PARAMS, &digest, &url)),
        ("value-whitespace", PARAMS, with(PARAMS, ": sha-256", ":  sha-256")),
        ("line-ends", PARAMS, right(PARAMS).replace('\n', "\\n")),
        ("hashed-first", PARAMS, Base64::encode_string(&sha256(right(PARAMS).as_bytes()))),
        ("component-order", list, right(list).replace(method, "").replace(uri, &format!("{uri}{method}"))),
    ]
}

#[test]
fn every_mistake_is_named_without_the_base_of_the_client() {
    let alice = Signer::ed25519("alice");
    for (name, params, base) in broken() {
        let ask = signed_over_base(ask(), &alice, params, base.as_bytes());
        // A proof without keyid names no key, and nothing can be tried.
        if !params.contains("keyid") {
            continue;
        }
        let story = story(POLICY, &[&alice], &ask);
        assert_eq!(story.decision.decision, "denied", "{name}");
        let mistake = story.proofs[0].mistake.as_ref().unwrap_or_else(|| panic!("{name}: {base}"));
        assert_eq!(mistake.name, name, "{base}\n{mistake:?}");
        assert_eq!(story.mistake.as_ref(), Some(mistake), "{name}");
        assert_eq!(serde_json::to_value(&story).unwrap()["mistake"]["name"], name);
        let text = proof_messenger_relay::explain::Text(&story).to_string();
        assert!(text.contains(&format!("[{name}]")), "{text}");
    }
}

#[test]
fn every_mistake_is_named_in_the_base_that_the_client_printed() {
    let alice = Signer::ed25519("alice");
    let relay = relay(POLICY, &[&alice]);
    for (name, params, base) in broken() {
        let signed = signed_over_base(ask(), &alice, params, base.as_bytes());
        let story = story_of(&relay, &signed.check_request(), Some(base.as_bytes()));
        let difference = story.base_difference.unwrap();
        assert_eq!(difference.mistakes[0].name, name, "{base}\n{difference:?}");
        let right = right(params);
        let first = right.bytes().zip(base.bytes()).take_while(|(one, two)| one == two).count();
        assert_eq!(difference.first.unwrap().byte, first, "{name}");
    }
}

#[test]
fn a_signature_that_is_right_in_another_form_is_told_so() {
    let bob = Signer::p256("bob");
    let params = PARAMS.replace("alice", "bob");
    let base = right(&params);
    let signature = bob.key.sign(base.as_bytes());
    let der = p256::ecdsa::Signature::from_slice(&signature).unwrap().to_der();
    let hex: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
    let base64 = Base64::encode_string(&signature);
    for (name, bytes) in [
        ("signature-der", der.as_bytes()),
        ("signature-encoding", hex.as_bytes()),
        ("signature-encoding", base64.as_bytes()),
    ] {
        let story = story(POLICY, &[&bob], &with_signature(ask(), &params, bytes));
        assert_eq!(story.mistake.unwrap().name, name);
        assert_eq!(story.decision.code, Some("signature-invalid"));
    }
}

#[test]
fn a_signature_of_another_key_is_told_so() {
    let (alice, bob) = (Signer::ed25519("alice"), Signer::ed25519("bob"));
    let ask_by_bob = signed_over_base(ask(), &bob, PARAMS, right(PARAMS).as_bytes());
    let found = story(POLICY, &[&alice, &bob], &ask_by_bob).mistake.unwrap();
    assert_eq!(found.name, "other-key");
    assert!(found.sentence.contains("the key bob of bob"), "{}", found.sentence);
    // Also where the id is not known at all.
    let unknown = PARAMS.replace("alice", "carol");
    let ask_by_bob = signed_over_base(ask(), &bob, &unknown, right(&unknown).as_bytes());
    let told = story(POLICY, &[&alice, &bob], &ask_by_bob);
    assert_eq!((told.decision.code, told.mistake.unwrap().name), (Some("key-unknown"), "other-key"));
}

#[test]
fn what_no_mistake_explains_is_not_explained() {
    let alice = Signer::ed25519("alice");
    let ask = signed_over_base(ask(), &alice, PARAMS, b"something else");
    let story = story(POLICY, &[&alice], &ask);
    assert_eq!((story.decision.code, story.mistake), (Some("signature-invalid"), None));
    let text = proof_messenger_relay::explain::Text(&story_of(
        &relay(POLICY, &[&alice]),
        &ask.check_request(),
        None,
    ))
    .to_string();
    assert!(text.contains("--base FILE"), "{text}");
}

#[test]
fn values_of_secret_headers_are_not_printed_when_a_line_is_too_many() {
    let alice = Signer::ed25519("alice");
    let extra = format!("\"authorization\": Bearer marker\n{}", right(PARAMS));
    let ask =
        signed_over_base(ask().header("authorization", "Bearer marker"), &alice, PARAMS, extra.as_bytes());
    let story = story(POLICY, &[&alice], &ask);
    assert_eq!(story.mistake.as_ref().unwrap().name, "component-extra");
    let told =
        format!("{}{}", proof_messenger_relay::explain::Text(&story), serde_json::to_string(&story).unwrap());
    assert!(told.contains("\"authorization\\\"") && !told.contains("marker"), "{told}");
}

#[test]
fn names_that_only_the_proxy_or_only_clients_know_are_told_apart() {
    let alice = Signer::ed25519("alice");
    let settings = "policies: [{name: all, match: {hosts: [relay.internal]}, external: {scheme: https, authority: bank.example}}]";
    let mut inside = ask();
    inside.authority = "relay.internal:10000".to_owned();
    inside.scheme = "http".to_owned();
    for (name, old, new) in [
        ("wrong-authority", "bank.example", "relay.internal:10000"),
        ("wrong-scheme", "https", "http"),
        ("wrong-scheme-and-authority", "https://bank.example", "http://relay.internal:10000"),
    ] {
        let base = with(PARAMS, old, new);
        let signed = signed_over_base(inside.clone(), &alice, PARAMS, base.as_bytes());
        let found = story(settings, &[&alice], &signed).mistake.unwrap();
        assert_eq!(found.name, name);
        assert!(found.sentence.contains("external."), "{}", found.sentence);
    }
    // And where the policy should say it, but does not.
    let outside = signed_over_base(inside, &alice, PARAMS, right(PARAMS).as_bytes());
    let other = ", {name: other, match: {hosts: [other.internal]}, external: {authority: bank.example}}]";
    let settings = POLICY.replace("]}}]", "]}}") + other;
    assert_eq!(story(&settings, &[&alice], &outside).mistake.unwrap().name, "wrong-scheme-and-authority");
}

#[test]
fn many_components_are_tried_in_reasonable_time() {
    let alice = Signer::ed25519("alice");
    let names: Vec<String> = (0..60).map(|at| format!("x-h{at}")).collect();
    let ask = names.iter().fold(ask(), |ask, name| ask.header(name, "v".repeat(900)));
    let list: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let params = format!("({});created=1700000000;keyid=\"alice\"", list.join(" "));
    let ask = signed_over_base(ask, &alice, &params, b"something else");
    let began = std::time::Instant::now();
    assert_eq!(story(POLICY, &[&alice], &ask).mistake, None);
    assert!(began.elapsed() < crate::support::PATIENCE);
}
