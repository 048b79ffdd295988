//! The example policies: each answers the requests beside it as they say, and its README shows what happens.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use envoy_types::pb::envoy::service::auth::v3::CheckRequest;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::Peer;
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use proof_messenger_relay::envoy::client::{Answer, answer};
use serde::Deserialize;

use crate::support::ask::Ask;
use crate::support::people::People;
use crate::support::program::{Serving, program, run, stderr, stdout};
use crate::support::shell;

/// `requests.yaml` of an example.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Example {
    /// Who has a key, by the name of the key.
    people: BTreeMap<String, Person>,
    /// What every request is, where it says nothing else.
    request: Request,
    requests: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Person {
    /// Whose key it is, where that is not its name.
    subject: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default = "ed25519")]
    algorithm: String,
    #[serde(default = "people")]
    trust_store: String,
}

fn ed25519() -> String {
    "ed25519".to_owned()
}

fn people() -> String {
    "people.jwks.json".to_owned()
}

/// A request, or what of one is different.
#[derive(Deserialize, Clone, Default)]
#[serde(deny_unknown_fields, default)]
struct Request {
    method: Option<String>,
    url: Option<String>,
    /// An empty value takes the header away.
    headers: BTreeMap<String, String>,
    /// An empty text is no body.
    body: Option<String>,
    /// The client's certificate, as Envoy tells.
    principal: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    title: String,
    /// The configuration that decides.
    #[serde(default = "relay")]
    relay: String,
    #[serde(default)]
    request: Request,
    #[serde(default)]
    signed: Vec<Signature>,
    /// What somebody changes after the signatures.
    #[serde(default)]
    changed: Request,
    decision: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    policy: String,
    #[serde(default)]
    subjects: String,
    /// The code with which the same bytes are refused when they come once more.
    again: Option<String>,
}

fn relay() -> String {
    "relay.yaml".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    by: String,
    /// How long ago.
    age: Option<String>,
    #[serde(default)]
    cover: Vec<String>,
    #[serde(default)]
    options: Vec<String>,
    /// What the signer was shown, where it was not the request.
    of: Option<Request>,
}

impl Request {
    /// The request with what is said here.
    fn change(&self, mut ask: Ask) -> Ask {
        if let Some(method) = &self.method {
            ask.method.clone_from(method);
        }
        if let Some(url) = &self.url {
            let (scheme, rest) = url.split_once("://").expect("a scheme");
            let (authority, target) = rest.split_at(rest.find('/').expect("a path"));
            [ask.scheme, ask.authority, ask.target] = [scheme, authority, target].map(str::to_owned);
        }
        for (name, value) in &self.headers {
            ask = if value.is_empty() { ask.without(name) } else { ask.replace(name, value.as_str()) };
        }
        if let Some(body) = &self.body {
            ask = ask.without("content-length");
            ask.body = (!body.is_empty()).then(|| body.clone().into_bytes());
        }
        let length = ask.body.as_ref().map(|body| body.len().to_string());
        match length {
            Some(length) => ask.replace("content-length", length),
            None => ask,
        }
    }
}

impl Signature {
    fn options(&self) -> Vec<String> {
        let mut options = self.options.clone();
        if let Some(age) = &self.age {
            let age: Duration = humantime::parse_duration(age).unwrap();
            let created = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() - age;
            options.extend(["--created".to_owned(), created.as_secs().to_string()]);
        }
        options.extend(self.cover.iter().flat_map(|component| ["--cover".to_owned(), component.clone()]));
        options
    }

    /// The request with this signature.
    fn sign(&self, people: &People, ask: Ask) -> Ask {
        let options = self.options();
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let Some(shown) = &self.of else { return people.sign(ask, &self.by, &options) };
        // Only the signature of what the signer was shown is taken along, beside those that are there.
        let signed = people.sign(shown.change(ask.clone().without("content-digest")), &self.by, &options);
        let mut mixed = ask;
        for name in ["signature-input", "signature"] {
            mixed = mixed.replace(name, signed.value(name));
        }
        mixed
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/policies")
}

/// The folder of every example.
fn examples() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut examples: Vec<PathBuf> = entries.filter(|entry| entry.is_dir()).collect();
    examples.sort();
    assert!(examples.len() >= 5, "{examples:?}");
    examples
}

/// The configurations of an example.
fn configurations(example: &Path) -> BTreeSet<String> {
    let names =
        std::fs::read_dir(example).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".yaml") && name != "requests.yaml").collect()
}

async fn ask(relay: &Serving, request: CheckRequest) -> Answer {
    let mut client = AuthorizationClient::connect(relay.address.clone()).await.unwrap();
    answer(client.check(request).await.unwrap().into_inner())
}

/// Decision, code, policy and subjects, as Envoy, the backend and the log are told.
async fn outcome(relay: &mut Serving, request: CheckRequest) -> [String; 4] {
    let answer = ask(relay, request).await;
    let text = |member: &str| answer.metadata.get(member).cloned().unwrap_or_default();
    let header = |name: &str| {
        let found = answer.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let subjects = if answer.allowed { header("x-proof-subject") } else { String::new() };
    let told = [text("decision"), text("code"), text("policy"), subjects];
    let [decision, code, policy, subjects] = &told;
    assert_eq!(answer.allowed, decision != "deny");
    if answer.allowed {
        assert_eq!(&header("x-proof-policy"), policy);
        let status = match (decision.as_str(), subjects.as_str()) {
            ("observe", _) => "observed",
            (_, "") => "unsigned",
            _ => "verified",
        };
        assert_eq!(header("x-proof-status"), status);
    }
    let line = relay.next_line();
    for (member, expected) in
        [("decision", decision), ("code", code), ("policy", policy), ("subject", subjects)]
    {
        assert_eq!(line[member].as_str().unwrap_or_default(), expected, "{line}");
    }
    assert_eq!(line["id"], text("id").as_str(), "{line}");
    told
}

#[tokio::test]
async fn every_example_answers_as_it_says() {
    for path in examples() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(path.join("requests.yaml"))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let example: Example =
            serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let people = People::with_files_of(&path);
        for (key, Person { subject, roles, algorithm, trust_store }) in &example.people {
            let roles: Vec<&str> = roles.iter().map(String::as_str).collect();
            people.add(key, subject.as_deref().unwrap_or(key), &roles, algorithm, trust_store);
        }
        let configurations = configurations(&path);
        let asked: BTreeSet<String> = example.requests.iter().map(|case| case.relay.clone()).collect();
        assert_eq!(configurations, asked, "{name}: configurations, and those that the requests are for");
        for configuration in configurations {
            let checked = run(people.folder(), &["config", "check", "--strict", &configuration]);
            let printed = stdout(&checked);
            assert!(
                printed.starts_with(&format!("{configuration}: sound: ")),
                "{name}: {}",
                stderr(&checked)
            );
            let serve = ["serve", "--config", &configuration, "--listen", "127.0.0.1:0"];
            let mut relay = Serving::start(program(people.folder(), &serve));
            for case in example.requests.iter().filter(|case| case.relay == configuration) {
                is_answered(&name, case, &example.request, &people, &mut relay).await;
            }
        }
    }
}

async fn is_answered(name: &str, case: &Case, usual: &Request, people: &People, relay: &mut Serving) {
    let shown = case.request.change(usual.change(Ask::get("/")));
    let signed = case.signed.iter().fold(shown, |ask, signature| signature.sign(people, ask));
    let mut request = case.changed.change(signed).check_request();
    if let Some(principal) = case.request.principal.as_ref().or(usual.principal.as_ref()) {
        // As Envoy does where no certificate came: an empty text.
        let peer = Peer { principal: principal.clone(), ..Peer::default() };
        request.attributes.as_mut().unwrap().source = Some(peer);
    }
    let expected = [&case.decision, &case.code, &case.policy, &case.subjects];
    let told = outcome(relay, request.clone()).await;
    assert_eq!(told.each_ref(), expected, "{name}: {}", case.title);
    if let Some(code) = &case.again {
        let [decision, told, ..] = outcome(relay, request).await;
        assert_eq!([&*decision, &*told], ["deny", code], "{name}: {}, once more", case.title);
    }
}

#[test]
fn the_index_has_every_example() {
    let index = std::fs::read_to_string(folder().join("README.md")).unwrap();
    for example in examples() {
        let name = example.file_name().unwrap().to_string_lossy().into_owned();
        assert!(index.contains(&format!("({name}/README.md)")), "{name} is not in the index");
    }
}

/// In one shell, as a reader has, but that the relay listens on a port that is free.
#[test]
fn what_the_readme_of_every_example_shows_is_what_happens() {
    for path in examples() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let readme =
            std::fs::read_to_string(path.join("README.md")).unwrap_or_else(|error| panic!("{name}: {error}"));
        let (_, try_it) = readme.split_once("\n## Try it\n").unwrap_or_else(|| panic!("{name}"));
        let steps = shell::steps(try_it);
        assert!(steps.iter().any(|step| step.commands.contains("proof-messenger-relay check")), "{name}");
        let people = People::with_files_of(&path);
        let port = shell::free_port();
        let at = format!("proof-messenger-relay check --relay http://127.0.0.1:{port}");
        let mut script = shell::preamble();
        // Once it runs in the background, it listens before anything else happens.
        let background = format!("&\nlistens {port}\n");
        writeln!(script, "export PROOF_MESSENGER_LISTEN=127.0.0.1:{port}").unwrap();
        for (position, step) in steps.iter().enumerate() {
            let commands =
                step.commands.replace("proof-messenger-relay check", &at).replace("&\n", &background);
            // A check that is denied ends with 1, and a check of the configuration that fails with 64.
            let denied = step.printed.first().is_some_and(|line| line.starts_with("denied"));
            let ends = if denied { " && exit 1 || test $? = 1" } else { "" };
            writeln!(script, "echo '=== {position}'\n{}{ends}", commands.trim_end()).unwrap();
        }
        // Nothing is left running that would be in the way of the next example.
        let ended = "for _ in $(seq 600); do test -z \"$(jobs -rp)\" && exit; sleep 0.05; done; exit 1";
        writeln!(script, "{ended}").unwrap();
        let output =
            Command::new("bash").arg("-c").arg(&script).current_dir(people.folder()).output().unwrap();
        shell::assert_printed(&steps, &output);
    }
}
