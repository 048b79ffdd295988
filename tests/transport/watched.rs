//! The relay takes new certificates, keys and authorities up by itself, and when it is asked to.

use std::fs;
use std::os::unix::fs::symlink;

use rustix::process::Signal;
use rustls::version::TLS13;
use serde_json::{Value, json};

use super::refusals::{BROKEN, client_config, talk_to};
use super::{ENVOY, Files, RELAY, WITH_NAMES};
use crate::support::certificates::{Authority, Certificate, write_private};
use crate::support::program::{Serving, program};
use crate::support::relay::ask_admin;

/// A relay of its own process, by files that a test changes.
struct Watched {
    files: Files,
    relay: Serving,
}

impl Watched {
    fn start() -> Self {
        let files = Files::new(&format!("listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n{WITH_NAMES}"), &[]);
        Self::serve(files)
    }

    fn serve(files: Files) -> Self {
        let relay = Serving::start(program(files.path(), &["serve", "--config", "relay.yaml"]));
        Self { files, relay }
    }

    fn write(&self, name: &str, text: &str) {
        write_private(&self.files.path().join(name), text);
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.files.path().join(name)).unwrap()
    }

    fn hang_up(&self) {
        self.relay.signal(Signal::HUP);
    }

    /// The next line of the log that is about a reload.
    fn outcome(&mut self) -> Value {
        loop {
            let line = self.relay.next_line();
            if line["message"].as_str().is_some_and(|message| message.contains("reload")) {
                return line;
            }
        }
    }

    #[track_caller]
    fn assert_kept(&mut self, why: &str) {
        let line = self.outcome();
        assert_eq!(line["message"], "not reloaded: the last good version stays in force");
        assert!(line["problem"].as_str().unwrap().contains(why), "{line}");
    }

    /// Whether a client with this certificate gets in, where it trusts this authority of the relay.
    async fn lets_in(&self, client: &Certificate, relays: &Authority) -> bool {
        let config = client_config(&relays.pem(), Some(client), &TLS13, &[b"h2"]);
        let address = self.relay.listening["address"].as_str().unwrap().parse().unwrap();
        talk_to(address, config, BROKEN).await.is_ok_and(|answer| !answer.is_empty())
    }

    /// The value of a metric.
    async fn metric(&self, series: &str) -> i64 {
        let admin = self.relay.listening["admin"].as_str().unwrap().parse().unwrap();
        let text = ask_admin(admin, "GET", "/metrics").await.text();
        let value = text.lines().find_map(|line| line.strip_prefix(&format!("proof_messenger_{series} ")));
        value.unwrap_or_else(|| panic!("{series}: {text}")).parse().unwrap()
    }
}

const EXPIRES: &str = "certificate_expiry_timestamp_seconds";
const IS_GOOD: &str = "reload_success{what=\"certificates\"}";

/// Whoever renews certificates knows nothing of policies, and need not wait until somebody mends them.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_though_the_policies_are_broken() {
    let mut watched = Watched::start();
    let client = watched.files.clients.certify(&[ENVOY]);
    assert!(watched.lets_in(&client, &watched.files.relays).await);
    let good = watched.read("relay.yaml");
    watched.write("relay.yaml", "policies: [{name: two, mtach: {}}]");
    watched.assert_kept("mtach");

    let next = Authority::new("the next");
    let renewed = next.certify_with(&[RELAY], |params| params.not_after = rcgen::date_time_ymd(2090, 1, 1));
    // One file after the other: what does not fit together for a moment does no harm.
    watched.write("server.key.pem", &renewed.key);
    watched.assert_kept("the key does not belong to the certificate");
    assert!(watched.lets_in(&client, &watched.files.relays).await);
    assert_eq!(watched.metric(IS_GOOD).await, 0);
    watched.write("server.pem", &renewed.pem);
    let line = watched.outcome();
    assert_eq!(
        (&line["message"], &line["certificate_expires"]),
        (&json!("reloaded"), &json!(3_786_912_000_u64))
    );
    assert!(watched.lets_in(&client, &next).await);
    assert!(!watched.lets_in(&client, &watched.files.relays).await);
    assert_eq!((watched.metric(IS_GOOD).await, watched.metric(EXPIRES).await), (1, 3_786_912_000));

    // The policies are still those that were broken, and then those that were good.
    watched.hang_up();
    watched.assert_kept("mtach");
    watched.write("relay.yaml", &good);
    let message = watched.outcome()["message"].clone();
    assert_eq!(message, "nothing to reload: the files are again those that are in force");
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_taken_though_the_certificate_is_broken() {
    let mut watched = Watched::start();
    let client = watched.files.clients.certify(&[ENVOY]);
    let good = watched.read("server.pem");
    watched.write("server.pem", "nonsense");
    watched.assert_kept("server.pem: expected certificates in PEM");
    let settings = watched.read("relay.yaml");
    assert!(settings.contains("name: signed"));
    watched.write("relay.yaml", &settings.replace("name: signed", "name: proven"));
    assert_eq!(watched.outcome()["policy_changes"], "added proven; removed signed");
    // It was said once, and is said to whoever asks, with nothing after it that says otherwise.
    for _ in 0..2 {
        watched.hang_up();
        watched.assert_kept("server.pem: expected certificates in PEM");
    }
    assert!(watched.lets_in(&client, &watched.files.relays).await);
    watched.write("server.pem", &good);
    watched.hang_up();
    assert_eq!(watched.outcome()["message"], "nothing to reload: no file changed");
    assert_eq!(watched.metric(IS_GOOD).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn j12_authority_that_is_taken_out_of_the_file() {
    let mut watched = Watched::start();
    let (old, next) = (watched.files.clients.certify(&[ENVOY]), Authority::new("clients"));
    let new = next.certify(&[ENVOY]);
    watched.write("clients.pem", &(watched.read("clients.pem") + &next.pem()));
    assert_eq!(watched.outcome()["message"], "reloaded");
    for client in [&old, &new] {
        assert!(watched.lets_in(client, &watched.files.relays).await);
    }
    watched.write("clients.pem", &next.pem());
    watched.hang_up();
    assert_eq!(watched.outcome()["message"], "reloaded");
    assert!(!watched.lets_in(&old, &watched.files.relays).await);
    assert!(watched.lets_in(&new, &watched.files.relays).await);
}

/// Kubernetes swaps the link to a folder, and with it all files at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_swapped_by_its_link() {
    const NAMES: [&str; 2] = ["server.pem", "server.key.pem"];
    let files = Files::new(&format!("listen: 127.0.0.1:0\n{WITH_NAMES}"), &[]);
    let client = files.clients.certify(&[ENVOY]);
    let (one, two) = (Authority::new("one"), Authority::new("two"));
    let folder = files.path().to_owned();
    let version = |name: &str, authority: &Authority| {
        fs::create_dir(folder.join(name)).unwrap();
        authority.certify(&[RELAY]).write(&folder.join(name), "server");
        symlink(name, folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    };
    version("..2026_01", &one);
    for name in NAMES {
        fs::remove_file(folder.join(name)).unwrap();
        symlink(format!("..data/{name}"), folder.join(name)).unwrap();
    }
    let mut watched = Watched::serve(files);
    assert!(watched.lets_in(&client, &one).await);
    version("..2026_02", &two);
    assert_eq!(watched.outcome()["message"], "reloaded");
    assert!(watched.lets_in(&client, &two).await);
    assert!(!watched.lets_in(&client, &one).await);
}

/// Unlike the files of the trust store, those of TLS are named one by one.
#[tokio::test(flavor = "multi_thread")]
async fn a_path_is_no_pattern() {
    let settings = WITH_NAMES.replace("server", "relay[1]/server");
    let files = Files::new(&format!("listen: 127.0.0.1:0\n{settings}"), &[]);
    let client = files.clients.certify(&[ENVOY]);
    let folder = files.path().join("relay[1]");
    fs::create_dir(&folder).unwrap();
    files.relays.certify(&[RELAY]).write(&folder, "server");
    let mut watched = Watched::serve(files);
    let next = Authority::new("the next");
    let renewed = next.certify(&[RELAY]);
    write_private(&folder.join("server.key.pem"), &renewed.key);
    watched.assert_kept("the key does not belong to the certificate");
    write_private(&folder.join("server.pem"), &renewed.pem);
    assert_eq!(watched.outcome()["message"], "reloaded");
    assert!(watched.lets_in(&client, &next).await);
}
