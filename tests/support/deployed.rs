//! An example as a reader deploys it: the relay as a process of its own, a real Envoy before it, a backend behind.

use std::path::Path;

use super::backend::{Backend, Received};
use super::envoy::{Envoy, EnvoySetup};
use super::people::People;
use super::program::{Serving, program};

pub struct Deployed {
    pub people: People,
    pub backend: Backend,
    pub envoy: Envoy,
    _relay: Serving,
}

impl Deployed {
    /// The example of that name, with the keys of these people, and what the test changes in Envoy's configuration.
    pub async fn start(
        example: &str,
        add: impl FnOnce(&People),
        change: impl FnOnce(&mut EnvoySetup, &People),
    ) -> Self {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/policies");
        let people = People::with_files_of(&examples.join(example));
        add(&people);
        let serve = ["serve", "--config", "relay.yaml", "--listen", "127.0.0.1:0"];
        let relay = Serving::start(program(people.folder(), &serve));
        let backend = Backend::start().await;
        let address = relay.address.trim_start_matches("http://").parse().unwrap();
        let mut setup = EnvoySetup::new(address, backend.address());
        change(&mut setup, &people);
        Self { people, backend, envoy: Envoy::start(setup).await, _relay: relay }
    }

    /// The newest request that reached the backend, which says that these signed it.
    #[track_caller]
    pub fn last_received(&self, subjects: &str) -> Received {
        let received = self.backend.requests().pop().expect("a request that reached the backend");
        assert_eq!(received.header("x-proof-status"), ["verified"]);
        assert_eq!(received.header("x-proof-subject"), [subjects]);
        received
    }
}
