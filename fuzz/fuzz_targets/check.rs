//! A whole check, from the bytes on the wire to the answer: what passes a policy that asks for a proof is the message
//! that was signed.
//!
//! The trust store holds one key, and nobody here has its private half. One message is known that it signed: the seed.
#![no_main]

use std::sync::{Arc, OnceLock};

use envoy_types::pb::envoy::service::auth::v3::authorization_server::Authorization as _;
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, attribute_context::HttpRequest};
use libfuzzer_sys::fuzz_target;
use proof_messenger_relay::config::Config;
use proof_messenger_relay::envoy::AuthorizationService;
use proof_messenger_relay::envoy::client::{Answer, answer};
use proof_messenger_relay::keys::{Directory, parse_jwk_set};
use proof_messenger_relay::relay::Relay;
use proof_messenger_relay::replay::MemoryStore;
use proof_messenger_relay::timestamp::{Clock, Timestamp};
use prost::Message as _;
use tokio::runtime::Runtime;
use tonic::Code;

// tests/properties/seeds.rs writes the keys and the seeds, and shows that the signed seed passes these policies.
const POLICIES: &str = include_str!("../seeds/policies.yaml");
const KEYS: &str = include_str!("../seeds/keys.jwks.json");

/// When the seed was signed.
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(1_700_000_000)
    }
}

struct Service {
    service: AuthorizationService,
    runtime: Runtime,
}

/// One for all inputs. Its replay store hides no forgery: another message is another claim.
fn service() -> &'static Service {
    static SERVICE: OnceLock<Service> = OnceLock::new();
    SERVICE.get_or_init(|| {
        let config = Config::parse(POLICIES, "fuzz", std::path::Path::new("")).expect("valid policies");
        let keys = parse_jwk_set(KEYS.as_bytes()).expect("a JWK Set").into_iter();
        let keys = Directory::new(keys.map(|key| key.expect("a key"))).expect("each id once");
        let store = Arc::new(MemoryStore::new(config.replay_capacity));
        let relay = Relay::new(config, keys, store, Arc::new(Still));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Service { service: AuthorizationService::new(Arc::new(relay)), runtime }
    })
}

fuzz_target!(|data: &[u8]| {
    let Ok(check) = CheckRequest::decode(data) else { return };
    let http = check.attributes.as_ref().and_then(|attributes| attributes.request.as_ref()?.http.clone());
    let Service { service, runtime } = service();
    match (runtime.block_on(service.check(tonic::Request::new(check))), http) {
        (Ok(response), Some(http)) => check_answer(&answer(response.into_inner()), &http),
        (Err(status), None) => assert_eq!(status.code(), Code::InvalidArgument),
        (answer, http) => panic!("{answer:?} to {http:?}"),
    }
});

fn check_answer(answer: &Answer, http: &HttpRequest) {
    let header =
        |name: &str| answer.headers.iter().find(|(known, _)| known == name).map(|(_, value)| &**value);
    if !answer.allowed {
        assert!(answer.status >= 400);
        return;
    }
    match header("x-proof-status") {
        Some("unsigned") => {
            assert_eq!(header("x-proof-policy"), Some("public"));
            assert!(http.method == "GET" && http.path.starts_with("/rates/"));
        }
        Some("verified") => {
            assert_eq!(header("x-proof-subject"), Some("alice"));
            assert_eq!((&*http.method, &*http.path), ("POST", "/transfers/7?on=monday"));
            assert!(http.scheme == "https" && http.host.eq_ignore_ascii_case("bank.example"));
            let body = if http.raw_body.is_empty() { http.body.as_bytes() } else { &http.raw_body };
            assert_eq!(body, br#"{"amount":10}"#);
        }
        other => panic!("allowed with the status {other:?}"),
    }
}
