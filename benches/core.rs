//! What a verification costs beside its signature check alone: `cargo bench`.
//!
//! `cargo bench -- --check` fails where a ratio is above its goal; `-- --once ed25519` runs one verification, for a
//! profiler.
#![allow(clippy::disallowed_methods)] // a benchmark reads the clock

mod support;

use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;

use proof_messenger_relay::config::Config;
use proof_messenger_relay::crypto::{Algorithm, PrivateKey, sha256};
use proof_messenger_relay::keys::{Directory, parse_jwk_set, public_jwk};
use proof_messenger_relay::limits::Limits;
use proof_messenger_relay::policy::{Condition, Facts, Permitted};
use proof_messenger_relay::proof::ProofFields;
use proof_messenger_relay::request::{Body, Encoding, Field, Fields, Request};
use proof_messenger_relay::signer::{Signing, content_digest, sign};
use proof_messenger_relay::timestamp::Timestamp;
use proof_messenger_relay::verify::{self, Message, signature_base};
use serde_json::json;

use support::{Subject, medians};

/// The allocator of the program: a third of what this measures is allocation.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_700_000_000);

const POLICIES: &str = r#"
listen: 127.0.0.1:0
policies:
  - name: public
    match: {methods: [GET], path: "/rates/{*rest}"}
    proof: none
  - name: transfers
    match: {hosts: [bank.example], methods: [POST], path: "/transfers/{account}"}
    proof: {cover: ["@method", "@target-uri"], max_age: 60s, require: [nonce], roles: [clerk]}
"#;

/// A signed request as a client of a bank would send it, and what verifies it.
struct Case {
    config: Config,
    keys: Directory,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    base: String,
    signature: Vec<u8>,
}

impl Case {
    fn new(algorithm: Algorithm) -> Self {
        let key = PrivateKey::from_bytes(algorithm, &sha256(b"a key of this benchmark")).unwrap();
        let mut jwk = public_jwk(&key.public());
        jwk.extend([
            ("kid".into(), json!("alice-2026")),
            ("sub".into(), json!("alice")),
            ("roles".into(), json!(["clerk"])),
        ]);
        let set = json!({"keys": [jwk]}).to_string();
        let keys = parse_jwk_set(set.as_bytes()).unwrap().into_iter().map(Result::unwrap);
        let body =
            format!("{{\"amount\":120,\"currency\":\"EUR\",\"memo\":\"{}\"}}", "m".repeat(983)).into_bytes();
        assert_eq!(body.len(), 1024);
        let headers = vec![
            ("user-agent", "bank-client/3.2 (linux)".into()),
            ("accept", "application/json".into()),
            ("accept-encoding", "gzip, br".into()),
            ("content-type", "application/json".into()),
            ("content-length", "1024".into()),
            ("x-forwarded-for", "192.0.2.7".into()),
            ("x-forwarded-proto", "https".into()),
            ("x-request-id", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6".into()),
            ("authorization", format!("Bearer {}", "t".repeat(200))),
            ("content-digest", content_digest(&body)),
        ];
        let mut case = Self {
            config: Config::parse(POLICIES, "the benchmark", Path::new("")).unwrap(),
            keys: Directory::new(keys).unwrap(),
            headers,
            body,
            base: String::new(),
            signature: Vec::new(),
        };
        case.sign(&key);
        case
    }

    fn sign(&mut self, key: &PrivateKey) {
        let signing = Signing {
            label: "sig".into(),
            cover: ["@method", "@target-uri", "content-digest"].map(Into::into).into(),
            created: Some(NOW),
            expires: None,
            nonce: Some("Jw4HYQ1Tu0x-2X1TnGRYnQ".into()),
            tag: None,
            alg: None,
        };
        let request = self.request();
        let message = Message::new(&request, &self.config.field_types);
        let fields = sign(&message, key, "alice-2026", &signing, &self.config.limits).unwrap();
        self.headers.extend([("signature-input", fields.signature_input), ("signature", fields.signature)]);

        let request = self.request();
        let message = Message::new(&request, &self.config.field_types);
        let fields = ProofFields::of(&request.fields);
        let proof = fields.claims(self.limits()).unwrap().remove(0).proof().unwrap();
        let base = signature_base(&proof, &message, self.limits()).unwrap();
        let signature = proof.signature().to_vec();
        (self.base, self.signature) = (base, signature);
    }

    fn limits(&self) -> &Limits {
        &self.config.limits
    }

    fn request(&self) -> Request<'_> {
        let lines =
            self.headers.iter().map(|(name, value)| Field { name, value: value.as_bytes() }).collect();
        let mut request =
            Request::new("POST", "https", "bank.example", "/transfers/DE02120300000000202051?on=2026-11-23");
        request.fields = Fields::new(lines, Encoding::Raw, self.limits()).unwrap();
        request.body = Body::Complete(&self.body);
        request
    }

    /// All that the pure core does with a request, as `Relay::check` has it.
    fn decide(&self) -> Permitted {
        let request = self.request();
        let facts = Facts::of(&request).unwrap();
        let policy = self.config.policies.matching(facts.target(), None).next().unwrap();
        assert!(policy.applies(&facts, None, self.limits()).unwrap());
        policy.admit(&request).unwrap();
        let requirement = policy.requirement().unwrap();
        let fields = ProofFields::of(&request.fields);
        let message = policy.message(&request, &self.config.field_types);
        let verified =
            verify::verify(&fields, &message, requirement, &self.keys, self.limits(), NOW).unwrap();
        policy.permit(&verified, &request, NOW).unwrap()
    }
}

/// Measures one algorithm and prints it. Returns the ratio of the whole to the signature check.
fn bench(algorithm: Algorithm) -> f64 {
    let case = Case::new(algorithm);
    let public = &case.keys.iter().next().unwrap().public;
    let request = case.request();
    let message = Message::new(&request, &case.config.field_types);
    let fields = ProofFields::of(&request.fields);
    let proof = fields.claims(case.limits()).unwrap().remove(0).proof().unwrap();
    let digest = request.fields.combined("content-digest").unwrap();

    let condition = Condition::parse("body.amount > 10000", None).unwrap();
    let mut subjects = [
        Subject::new("signature check alone", || {
            public.verify(case.base.as_bytes(), &case.signature).unwrap()
        }),
        Subject::new("whole verification", || case.decide()),
        Subject::new("  read and check fields", || case.request()),
        Subject::new("  choose policy", || {
            let facts = Facts::of(&request).unwrap();
            case.config.policies.matching(facts.target(), None).next().unwrap().name.len()
        }),
        Subject::new("  parse proof", || {
            ProofFields::of(&request.fields)
                .claims(case.limits())
                .unwrap()
                .remove(0)
                .proof()
                .unwrap()
                .label()
                .len()
        }),
        Subject::new("  build base", || signature_base(&proof, &message, case.limits()).unwrap()),
        Subject::new("  hash base", || sha256(case.base.as_bytes())),
        Subject::new("  check digest", || verify::content_digest::check(&digest, &case.body).unwrap()),
        // Not part of the whole: what a policy with a condition on the body costs besides.
        Subject::new("condition on the body", || {
            let facts = Facts::of(&request).unwrap();
            assert!(!condition.holds(&facts, None, case.limits().condition_steps).unwrap());
        }),
    ];
    let [alone, whole, ..] = medians(algorithm.name(), &mut subjects);
    println!("  {:<28} {:>8.3}\n", "whole / alone", whole / alone);
    whole / alone
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    // What a verification may cost, beside the signature check that nothing can save.
    let goals = [(Algorithm::Ed25519, 1.10), (Algorithm::EcdsaP256Sha256, 1.05)];
    let mut exit = ExitCode::SUCCESS;
    for (algorithm, goal) in goals {
        if has("--once") {
            if has(algorithm.name()) {
                black_box(Case::new(algorithm).decide());
            }
            continue;
        }
        let ratio = bench(algorithm);
        if ratio > goal && has("--check") {
            eprintln!("{}: the ratio is {ratio:.3}, above the goal of {goal}", algorithm.name());
            exit = ExitCode::FAILURE;
        }
    }
    exit
}
