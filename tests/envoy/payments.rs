//! Dual control through a real Envoy: `examples/policies/dual-control-payments` as it stands, keys that `keys new` made,
//! and signatures by `sign` and by a library of another team.

use std::path::Path;
use std::process::Stdio;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::clients;
use crate::support::ask::Ask;
use crate::support::backend::Received;
use crate::support::client::{self, Answer};
use crate::support::deployed::Deployed;
use crate::support::envoy::EnvoySetup;
use crate::support::gateway::{assert_refused, assert_refused_saying};
use crate::support::people::People;

const LARGE: &str = r#"{"amount": 25000}"#;
const ALL: [&str; 5] = ["@method", "@target-uri", "content-digest", "content-type", "idempotency-key"];

/// The bank: a clerk, two managers, and the second key of one of them.
struct Bank(Deployed);

impl Bank {
    async fn open() -> Self {
        Self::open_with(|_| {}, |_| {}).await
    }

    async fn open_with(change: impl FnOnce(&mut EnvoySetup), prepare: impl FnOnce(&People)) -> Self {
        let add = |people: &People| {
            for (key, subject, role, algorithm) in [
                ("clara", "clara", "clerk", "ed25519"),
                ("mona", "mona", "manager", "p256"),
                ("mona-phone", "mona", "manager", "ed25519"),
                ("max", "max", "manager", "ed25519"),
            ] {
                people.add(key, subject, &[role], algorithm, "people.jwks.json");
            }
            prepare(people);
        };
        Self(Deployed::start("dual-control-payments", add, |setup, _| change(setup)).await)
    }

    /// The transfer with one signature more.
    fn sign(&self, transfer: Ask, key: &str) -> Ask {
        self.sign_with(transfer, key, &[])
    }

    fn sign_with(&self, transfer: Ask, key: &str, options: &[&str]) -> Ask {
        let cover = ALL.iter().flat_map(|component| ["--cover", component]);
        self.0.people.sign(transfer, key, &cover.chain(options.iter().copied()).collect::<Vec<_>>())
    }

    fn signed_by(&self, transfer: Ask, keys: &[&str]) -> Ask {
        keys.iter().fold(transfer, |transfer, key| self.sign(transfer, key))
    }

    async fn send(&self, transfer: &Ask) -> Answer {
        client::http1(self.0.envoy.address(), &transfer.http1()).await
    }

    /// It passes, and this is what the backend saw.
    #[track_caller]
    fn passed(&self, answer: &Answer, subjects: &str) -> Received {
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.0.last_received(subjects)
    }

    /// The library signs and sends. Envoy is a proxy to it, so that it signs the name of the bank.
    async fn python(&self, body: &str, signer: &str, more: &[&str]) -> Answer {
        clients::installed();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let file = self.0.people.folder().join("python.body");
        std::fs::write(&file, body).unwrap();
        let mut command = tokio::process::Command::new(root.join("target/clients/venv/bin/python"));
        command.arg(root.join("tests/clients/python_http_message_signatures.py"));
        command.args(["--method", "POST", "--url", "http://bank.example/transfers/7", "--body"]).arg(file);
        command.args(["--kid", signer, "--label", signer, "--key"]).arg(self.0.people.private_key(signer));
        command.args(["--proxy", &format!("http://{}", self.0.envoy.address())]);
        command.args(["--header", "content-type: application/json", "--header", "idempotency-key: 7f3a"]);
        command.args(["--cover", "content-type", "--cover", "idempotency-key"]).args(more);
        let output = command.stderr(Stdio::piped()).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        let status = u16::try_from(answer["status"].as_u64().unwrap()).unwrap();
        Answer { status, body: answer["body"].as_str().unwrap().into(), ..Answer::default() }
    }

    /// `--also` for this signer.
    fn also(&self, key: &str) -> [String; 3] {
        ["--also".to_owned(), key.to_owned(), self.0.people.private_key(key).display().to_string()]
    }
}

fn transfer(body: &str) -> Ask {
    let mut transfer = Ask::new("POST", "/transfers/7").for_envoy();
    transfer.body = Some(body.as_bytes().to_vec());
    transfer
        .header("content-type", "application/json")
        .header("content-length", body.len().to_string())
        .header("idempotency-key", "7f3a")
}

/// The transfer with another body, and the signatures as they were.
fn with_body(transfer: Ask, body: &str) -> Ask {
    let mut changed = transfer.replace("content-length", body.len().to_string());
    changed.body = Some(body.as_bytes().to_vec());
    changed
}

fn hours_ago(hours: u64) -> String {
    (SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() - hours * 3600).to_string()
}

#[tokio::test]
async fn a_clerk_and_two_managers_pass_once_and_the_backend_learns_who() {
    for raw_headers in [true, false] {
        let bank = Bank::open_with(|setup| setup.raw_headers = raw_headers, |_| {}).await;
        // An approval of yesterday; the order is that of the labels.
        let approved = bank.sign_with(transfer(LARGE), "mona", &["--created", &hours_ago(23)]);
        let approved = bank.sign(approved, "max");
        let signed = bank.sign(approved.clone(), "clara");
        let received = bank.passed(&bank.send(&signed).await, "mona,max,clara");
        assert_eq!(received.header("x-proof-key-id"), ["mona,max,clara"]);
        assert_eq!(received.header("x-proof-policy"), ["large-transfers"]);
        assert_eq!(received.header("idempotency-key"), ["7f3a"]);
        assert_eq!(received.body, LARGE);

        // Neither the same bytes nor a new submission of the same approvals.
        assert_refused(&bank.send(&signed).await, 409, "replayed");
        assert_refused(&bank.send(&bank.sign(approved, "clara")).await, 409, "replayed");
        assert_eq!(bank.0.backend.requests().len(), 1);

        // New approvals are another transaction.
        let again = bank.signed_by(transfer(LARGE), &["clara", "max", "mona"]);
        let answer = client::http2(bank.0.envoy.address(), again.http2()).await.unwrap();
        bank.passed(&answer, "clara,max,mona");
    }
}

#[tokio::test]
async fn approvals_may_stand_in_lines_of_their_own() {
    let bank = Bank::open().await;
    let digest = bank.sign(transfer(LARGE), "clara").value("content-digest");
    let transfer = transfer(LARGE).header("content-digest", digest);
    let mut together = transfer.clone();
    for key in ["mona", "clara", "max"] {
        let alone = bank.sign(transfer.clone(), key);
        for name in ["signature-input", "signature"] {
            together = together.header(name, alone.value(name));
        }
    }
    bank.passed(&bank.send(&together).await, "mona,clara,max");
}

#[tokio::test]
async fn a_small_transfer_needs_a_clerk_alone() {
    let bank = Bank::open().await;
    let small = |key| bank.sign(transfer(r#"{"amount": 10000}"#), key);
    let received = bank.passed(&bank.send(&small("clara")).await, "clara");
    assert_eq!(received.header("x-proof-policy"), ["transfers"]);
    assert_refused(&bank.send(&small("max")).await, 403, "signer-not-permitted");
}

#[tokio::test]
async fn too_few_people_are_refused() {
    let bank = Bank::open().await;
    let code = "approvals-insufficient";
    for (keys, given) in [
        (&["clara"][..], 1),
        (&["clara", "max"], 2),
        // One manager with two keys, under two labels.
        (&["clara", "mona", "mona-phone"], 2),
    ] {
        let answer = bank.send(&bank.signed_by(transfer(LARGE), keys)).await;
        let saying = format!("needs 3 approvals by different people, and has {given}");
        assert_refused_saying(&answer, 403, code, &saying);
        // Who is missing is not for everybody to know.
        assert!(!answer.text().contains("manager"), "{}", answer.text());
    }
    // One key under two labels, with a nonce for each.
    let once = bank.signed_by(transfer(LARGE), &["clara", "max"]);
    let twice = bank.sign_with(once, "max", &["--label", "another"]);
    assert_refused(&bank.send(&twice).await, 403, code);
    // Whoever is on the way takes an approval away.
    let signed = bank.signed_by(transfer(LARGE), &["clara", "max"]);
    let stripped = bank
        .sign(signed.clone(), "mona")
        .replace("signature-input", signed.value("signature-input"))
        .replace("signature", signed.value("signature"));
    assert_refused(&bank.send(&stripped).await, 403, code);
    assert_refused(
        &bank.send(&bank.signed_by(transfer(LARGE), &["mona", "max"])).await,
        403,
        "signer-not-permitted",
    );
    assert!(bank.0.backend.requests().is_empty());
}

/// The trust store says that Mona's key is also that of somebody else. Which of the two signed, nobody can tell.
#[tokio::test]
async fn two_names_for_one_key_are_one_person() {
    let share = |people: &People| {
        let file = people.folder().join("people.jwks.json");
        let mut store: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let keys = store["keys"].as_array_mut().unwrap();
        let mut shared = keys.iter().find(|key| key["kid"] == "mona").unwrap().clone();
        (shared["kid"], shared["sub"]) = (json!("mia"), json!("mia"));
        keys.push(shared);
        std::fs::write(file, store.to_string()).unwrap();
        let private = std::fs::read(people.private_key("mona")).unwrap();
        let mut private: Value = serde_json::from_slice(&private).unwrap();
        private["kid"] = json!("mia");
        std::fs::write(people.private_key("mia"), private.to_string()).unwrap();
    };
    let bank = Bank::open_with(|_| {}, share).await;
    let refused = |keys: &'static [&'static str]| bank.signed_by(transfer(LARGE), keys);
    for keys in [&["clara", "mona", "mia"][..], &["clara", "mia", "mona-phone"]] {
        assert_refused(&bank.send(&refused(keys)).await, 403, "approvals-insufficient");
    }
    let signed = bank.signed_by(transfer(LARGE), &["clara", "mia", "max"]);
    bank.passed(&bank.send(&signed).await, "clara,mia,max");
}

#[tokio::test]
async fn old_approvals_and_old_submissions_are_refused() {
    let bank = Bank::open().await;
    let stale = bank.sign_with(transfer(LARGE), "mona", &["--created", &hours_ago(25)]);
    let stale = bank.signed_by(stale, &["max", "clara"]);
    assert_refused(&bank.send(&stale).await, 401, "proof-too-old");
    let submitted = bank.signed_by(transfer(LARGE), &["mona", "max"]);
    let submitted = bank.sign_with(submitted, "clara", &["--created", &hours_ago(1)]);
    assert_refused(&bank.send(&submitted).await, 401, "proof-too-old");
    assert!(bank.0.backend.requests().is_empty());
}

#[tokio::test]
async fn approvals_are_for_this_amount_and_this_transaction() {
    let bank = Bank::open().await;
    let signed = bank.signed_by(transfer(LARGE), &["clara", "mona"]);
    // Max approved something else, and his signature is put beside those of this transfer.
    for other in [
        transfer(r#"{"amount": 20000}"#),
        transfer(LARGE).replace("idempotency-key", "99d2"),
        transfer(LARGE).replace("content-type", "text/plain"),
        {
            let mut other = transfer(LARGE);
            other.target = "/transfers/8".to_owned();
            other
        },
    ] {
        let approval = bank.sign(other, "max");
        let mut mixed = signed.clone();
        for name in ["signature-input", "signature"] {
            mixed = mixed.replace(name, format!("{}, {}", signed.value(name), approval.value(name)));
        }
        assert_refused(&bank.send(&mixed).await, 401, "signature-invalid");
    }
    let signed = bank.sign(signed, "max");
    for amount in [26000, 10] {
        let changed = with_body(signed.clone(), &format!(r#"{{"amount": {amount}}}"#));
        assert_refused(&bank.send(&changed).await, 401, "digest-mismatch");
    }
    let other_key = signed.clone().replace("idempotency-key", "99d2");
    assert_refused(&bank.send(&other_key).await, 401, "signature-invalid");
    let second_key = signed.clone().header("idempotency-key", "99d2");
    assert_refused(&bank.send(&second_key).await, 401, "component-missing");
    assert!(bank.0.backend.requests().is_empty());
    // None of that has used up an approval.
    bank.passed(&bank.send(&signed).await, "clara,mona,max");
}

#[tokio::test]
async fn an_amount_that_is_not_one_number_is_neither_large_nor_small() {
    let bank = Bank::open().await;
    for (body, status, code) in [
        (r#"{"amount": "25000"}"#, 403, "condition-failed"),
        (r#"{"amount": null}"#, 403, "condition-failed"),
        (r#"{"amount": [25000]}"#, 403, "condition-failed"),
        (r#"{"sum": 25000}"#, 403, "condition-failed"),
        (r#"{"amount": 10, "amount": 25000}"#, 400, "body-ambiguous"),
        (r#"{"amount": 10, "\u0061mount": 25000}"#, 400, "body-ambiguous"),
        (r#"{"amount": 10} {"amount": 25000}"#, 400, "body-ambiguous"),
        ("amount=10", 403, "condition-failed"),
    ] {
        for keys in [&["clara"][..], &["clara", "mona", "max"]] {
            assert_refused(&bank.send(&bank.signed_by(transfer(body), keys)).await, status, code);
        }
    }
    assert!(bank.0.backend.requests().is_empty());
}

#[tokio::test]
async fn a_library_of_another_team_signs_for_three_people() {
    let bank = Bank::open().await;
    let also = |keys: &[&str]| keys.iter().flat_map(|key| bank.also(key)).collect::<Vec<_>>();
    let python = async |body: &str, keys: &[&str]| {
        let also = also(keys);
        bank.python(body, "clara", &also.iter().map(String::as_str).collect::<Vec<_>>()).await
    };
    bank.passed(&python(LARGE, &["mona", "max"]).await, "clara,mona,max");
    bank.passed(&python(r#"{"amount": 10}"#, &[]).await, "clara");
    let reached = bank.0.backend.requests().len();
    for keys in [&["mona"][..], &["mona", "mona-phone"]] {
        let answer = python(LARGE, keys).await;
        assert_eq!((answer.status, &answer.json()["code"]), (403, &json!("approvals-insufficient")));
    }
    assert_eq!(bank.0.backend.requests().len(), reached);
}

#[tokio::test]
async fn a_library_of_another_team_adds_the_last_signature() {
    let bank = Bank::open().await;
    let approved = bank.signed_by(transfer(LARGE), &["mona", "max"]);
    let headers: Vec<String> = ["signature-input", "signature", "content-digest"]
        .iter()
        .flat_map(|name| ["--header".to_owned(), format!("{name}: {}", approved.value(name))])
        .collect();
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let received = bank.passed(&bank.python(LARGE, "clara", &headers).await, "mona,max,clara");
    assert_eq!(received.body, LARGE);
}
