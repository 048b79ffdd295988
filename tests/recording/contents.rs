//! What a record says, and what it must not say.

use std::fs;
use std::io::Read as _;
use std::process::Stdio;

use proof_messenger_relay::signer::Signing;
use proof_messenger_relay::timestamp::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::support::ask::{Ask, code, signing};
use crate::support::program::Serving;
use crate::support::recording::{NAME, Recording, ask, connect, records};
use crate::support::signer::Signer;

fn now(label: &str, cover: &[&str]) -> Signing {
    Signing { created: Some(SystemClock.now()), ..signing(label, cover) }
}

const COVER: [&str; 3] = ["@method", "@target-uri", "content-digest"];

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_with_its_proofs_its_approvals_and_its_condition() {
    let clerk = Signer::ed25519("clara").with(json!({"roles": ["clerk"]}));
    let manager = Signer::p256("mona").with(json!({"roles": ["manager"]}));
    let policies = json!([{
        "name": "transfers", "match": {}, "when": "body.amount > 100",
        "approvals": [{"role": "clerk"}, {"role": "manager"}],
    }]);
    let recording = Recording::new(
        &json!({"file": "evidence.jsonl", "instance": "here"}),
        &policies,
        &[&clerk, &manager],
    );
    let mut relay = Serving::start(recording.serve());
    let mut client = connect(&relay.address).await;
    let transfer =
        Ask::post("/transfers/7?on=monday", br#"{"amount":101}"#).header("content-type", "application/json");
    let alone = transfer.clone().signed_as(&clerk, &now("one", &COVER));
    let both = transfer.signed_as(&clerk, &now("one", &COVER)).signed_as(&manager, &now("two", &COVER));
    let denied = ask(&mut client, &alone).await.unwrap();
    assert_eq!(code(&denied), "approvals-insufficient");
    let allowed = ask(&mut client, &both).await.unwrap();
    assert_eq!(code(&allowed), "");
    relay.stop();
    recording.is_sound(&["evidence.jsonl"]);

    let records = recording.records("evidence.jsonl");
    let [start, deny, allow] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!(
        (&start["type"], &start["log"], &start["instance"]),
        (&json!("start"), &json!(NAME), &json!("here"))
    );
    let digest = |name: &str| {
        let bytes = fs::read(recording.path(name)).unwrap();
        proof_messenger_relay::crypto::hex(&proof_messenger_relay::crypto::sha256(&bytes))
    };
    assert_eq!(start["config"], digest("relay.yaml"));
    assert_eq!(start["keys"], json!([digest("people.jwks.json")]));

    assert_eq!(deny["id"], denied.metadata["id"]);
    assert_eq!((&deny["decision"], &deny["code"]), (&json!("deny"), &json!("approvals-insufficient")));
    assert!(deny["particulars"].as_str().unwrap().contains("manager 0 of 1"), "{deny}");
    assert_eq!(deny["proofs"].as_array().unwrap().len(), 1);
    assert_eq!(deny.get("approvals"), None);

    assert_eq!(allow["id"], allowed.metadata["id"]);
    assert_eq!(allow["condition"], "held");
    assert_eq!(
        allow["approvals"],
        json!([{"label": "one", "role": "clerk"}, {"label": "two", "role": "manager"}])
    );
    assert_eq!(allow["request"]["path"], "/transfers/7?on=monday");
    let base = allow["proofs"][1]["base"].as_str().unwrap();
    assert!(
        base.starts_with("\"@method\": POST\n\"@target-uri\": https://bank.example/transfers/7?on=monday\n"),
        "{base}"
    );
    assert_eq!(allow["proofs"][1]["key"]["kid"], "mona");
    assert_eq!(allow["proofs"][1]["key"]["jwk"]["kty"], "EC");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_signature_is_recorded_with_what_it_should_have_been_over() {
    let alice = Signer::ed25519("alice");
    let recording =
        Recording::new(&json!({"file": "evidence.jsonl"}), &json!([{"name": "all", "match": {}}]), &[&alice]);
    let mut relay = Serving::start(recording.serve());
    let mut client = connect(&relay.address).await;
    let mut forged = Ask::get("/accounts").signed_as(&alice, &now("sig", &["@method", "@target-uri"]));
    forged.target = "/accounts/of/others".to_owned();
    assert_eq!(code(&ask(&mut client, &forged).await.unwrap()), "signature-invalid");
    relay.stop();
    recording.is_sound(&["evidence.jsonl"]);
    let record = recording.records("evidence.jsonl").pop().unwrap();
    assert_eq!(record["proofs"][0]["verified"], false);
    assert!(record["proofs"][0]["base"].as_str().unwrap().contains("/accounts/of/others"));
    assert!(record["presented"]["signature_input"].as_str().unwrap().starts_with("sig="), "{record}");
}

#[tokio::test(flavor = "multi_thread")]
async fn j9_secrets_are_hashed_and_said_to_be() {
    let alice = Signer::ed25519("alice");
    let evidence = json!({"file": "evidence.jsonl", "redact": ["authorization", "x-pin"]});
    let recording = Recording::new(&evidence, &json!([{"name": "all", "match": {}}]), &[&alice]);
    let mut relay = Serving::start(recording.serve());
    let mut client = connect(&relay.address).await;
    let cover = ["@method", "@target-uri", "authorization", "x-pin", "x-other"];
    let secrets = Ask::get("/accounts")
        .header("authorization", "Bearer s3cr3t-token")
        .header("x-pin", "494949")
        .header("x-other", "shown")
        .header("cookie", "session=n0t-covered")
        .signed_as(&alice, &now("sig", &cover));
    assert_eq!(code(&ask(&mut client, &secrets).await.unwrap()), "");
    relay.stop();
    recording.is_sound(&["evidence.jsonl"]);
    let log = fs::read_to_string(recording.path("evidence.jsonl")).unwrap();
    for secret in ["s3cr3t", "494949", "n0t-covered"] {
        assert!(!log.contains(secret), "{log}");
    }
    let proof = &recording.records("evidence.jsonl")[1]["proofs"][0];
    assert_eq!(proof["redacted"], json!(["authorization", "x-pin"]));
    let base = proof["base"].as_str().unwrap();
    assert!(base.contains("\"authorization\": sha-256=:") && base.contains("\"x-other\": shown"), "{base}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_start_on_standard_output_is_another_log() {
    let recording = Recording::new(
        &json!({"stdout": true}),
        &json!([{"name": "all", "match": {}, "proof": "none"}]),
        &[],
    );
    let mut origins = Vec::new();
    let mut all = String::new();
    for _ in 0..2 {
        let mut command = recording.serve();
        command.stdout(Stdio::piped());
        let mut relay = Serving::start(command);
        let mut client = connect(&relay.address).await;
        assert_eq!(code(&ask(&mut client, &Ask::get("/")).await.unwrap()), "");
        let mut output = relay.take_stdout();
        assert!(relay.stop().success());
        let mut log = String::new();
        output.read_to_string(&mut log).unwrap();
        let of = records(&log);
        assert_eq!(of.len(), 2);
        origins.push(of[0]["log"].as_str().unwrap().to_owned());
        all.push_str(&log);
    }
    assert!(origins.iter().all(|origin| origin.starts_with(&format!("{NAME}/"))));
    assert_ne!(origins[0], origins[1]);
    fs::write(recording.path("both.jsonl"), all).unwrap();
    recording.is_sound(&["both.jsonl"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_observed_and_what_can_not_be_read_are_recorded_too() {
    let policies = json!([
        {"name": "strict", "match": {"path": "/a"}, "mode": "observe"},
        {"name": "open", "match": {"path": "/a"}, "proof": "none"},
        {"name": "new", "match": {"path": "/b"}, "mode": "observe"},
    ]);
    let recording = Recording::new(&json!({"file": "evidence.jsonl"}), &policies, &[]);
    let mut relay = Serving::start(recording.serve());
    let mut client = connect(&relay.address).await;
    for target in ["/a", "/b"] {
        ask(&mut client, &Ask::get(target)).await.unwrap();
    }
    ask(&mut client, &Ask::new("post", "/b")).await.unwrap();
    relay.stop();
    recording.is_sound(&["evidence.jsonl"]);
    let records: Vec<Value> = recording.records("evidence.jsonl");
    assert_eq!(records[1]["decision"], "allow");
    assert_eq!(records[1]["observed"]["policy"], "strict");
    assert_eq!((&records[2]["decision"], &records[2]["code"]), (&json!("observe"), &json!("proof-missing")));
    assert_eq!((&records[3]["code"], records[3].get("request")), (&json!("request-malformed"), None));
}
