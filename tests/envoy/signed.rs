//! What is signed passes, what is not is refused, and the backend learns who signed.

use serde_json::json;

use super::{EVERYTHING, alice, bob, get, post};
use crate::support::gateway::{Gateway, PROTOCOLS, assert_refused};

#[tokio::test]
async fn signed_requests_pass_and_the_backend_learns_who_signed() {
    for raw_headers in [true, false] {
        let signers = [alice(), bob()];
        let known: Vec<_> = signers.iter().collect();
        let gateway = Gateway::start_with(EVERYTHING, &known, |setup| setup.raw_headers = raw_headers).await;
        for protocol in PROTOCOLS {
            for signer in &signers {
                for ask in [get("/transfers?after=7"), post("/transfers/7", br#"{"amount": 12}"#)] {
                    let context = format!("{protocol:?}, {}, {}, raw {raw_headers}", signer.id, ask.method);
                    let ask = ask.signed(signer);
                    let answer = gateway.send(protocol, &ask).await;
                    assert_eq!(answer.status, 200, "{context}: {}", answer.text());

                    let received = gateway.last_received();
                    assert_eq!((&received.method, &received.target), (&ask.method, &ask.target), "{context}");
                    assert_eq!(received.body, ask.body.unwrap_or_default(), "{context}");
                    assert_eq!(received.header("x-proof-status"), ["verified"], "{context}");
                    assert_eq!(received.header("x-proof-subject"), [signer.id.as_str()], "{context}");
                    assert_eq!(received.header("x-proof-key-id"), [signer.id.as_str()], "{context}");
                    assert_eq!(received.header("x-proof-policy"), ["transfers"], "{context}");
                    let [id] = received.header("x-proof-id").try_into().expect("one id");
                    assert_eq!(uuid_version(&id), Some(7), "{context}: {id}");
                }
            }
        }
    }
}

#[tokio::test]
async fn two_signers_are_named_in_the_order_of_their_labels() {
    let (alice, bob) = (alice(), bob());
    let gateway = Gateway::start(EVERYTHING, &[&alice, &bob]).await;
    let answer = gateway.http1(&post("/transfers/7", b"{}").signed(&bob).signed(&alice)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(gateway.last_received().header("x-proof-subject"), ["bob,alice"]);
    assert_eq!(gateway.last_received().header("x-proof-key-id"), ["bob,alice"]);
}

#[tokio::test]
async fn unsigned_requests_are_refused_and_never_reach_the_backend() {
    for raw_headers in [true, false] {
        let gateway = Gateway::start_with(EVERYTHING, &[], |setup| setup.raw_headers = raw_headers).await;
        for protocol in PROTOCOLS {
            let answer = gateway.send(protocol, &post("/transfers/7", b"{}")).await;
            assert_refused(&answer, 401, "proof-missing");
            let problem = answer.json();
            assert_eq!(problem["type"], json!("urn:proof-messenger-relay:proof-missing"));
            assert_eq!(uuid_version(problem["id"].as_str().unwrap()), Some(7), "{problem}");
            assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");

            assert_eq!(
                answer.header("accept-signature"),
                Some(r#"sig=("@method" "@target-uri" "content-digest");created;keyid"#)
            );
            assert_eq!(answer.header("want-content-digest"), Some("sha-256=10, sha-512=5"));
            assert_eq!(answer.header("cache-control"), Some("no-store"));

            let answer = gateway.send(protocol, &get("/transfers")).await;
            assert_refused(&answer, 401, "proof-missing");
            assert_eq!(
                answer.header("accept-signature"),
                Some(r#"sig=("@method" "@target-uri");created;keyid"#)
            );
            assert_eq!(answer.header("want-content-digest"), None);
        }
        gateway.assert_untouched();
        assert_eq!(gateway.envoy.stat("http.ingress.ext_authz.relay.denied").await, 4);
        assert_eq!(gateway.envoy.stat("http.ingress.ext_authz.relay.error").await, 0);
    }
}

#[tokio::test]
async fn headers_that_only_the_relay_may_send_never_come_from_a_client() {
    let alice = alice();
    let settings = "policies: [{name: rates, match: {path: /rates}, proof: none}, {name: rest, match: {}}]";
    let gateway = Gateway::start(settings, &[&alice]).await;
    for protocol in PROTOCOLS {
        for (target, status, subject) in
            [("/rates", "unsigned", None), ("/transfers", "verified", Some("alice"))]
        {
            let ask = get(target)
                .header("x-proof-status", "verified")
                .header("x-proof-subject", "mallory")
                .header("x-proof-subject", "mallory too")
                .header("x-proof-key-id", "mallory")
                .header("x-proof-receipt", "e30.e30.e30")
                .header("x-proof-anything", "mallory")
                .signed(&alice);
            let answer = gateway.send(protocol, &ask).await;
            assert_eq!(answer.status, 200, "{}", answer.text());

            let received = gateway.last_received();
            assert_eq!(received.header("x-proof-status"), [status]);
            assert_eq!(received.header("x-proof-subject"), Vec::from_iter(subject));
            assert_eq!(received.header("x-proof-key-id"), Vec::from_iter(subject));
            assert!(received.header("x-proof-receipt").is_empty());
            assert!(received.header("x-proof-anything").is_empty());
        }
    }
}

#[tokio::test]
async fn an_observing_policy_lets_pass_and_vouches_for_nobody() {
    let settings = "policies: [{name: rollout, match: {}, mode: observe}]";
    let gateway = Gateway::start(settings, &[]).await;
    let answer =
        gateway.http1(&get("/transfers").header("x-proof-subject", "mallory").signed(&alice())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let received = gateway.last_received();
    assert_eq!(received.header("x-proof-status"), ["observed"]);
    assert_eq!(received.header("x-proof-policy"), ["rollout"]);
    assert!(received.header("x-proof-subject").is_empty());
}

#[tokio::test]
async fn an_opaque_denial_says_nothing_but_its_id() {
    let settings = format!("denials: opaque\n{EVERYTHING}");
    let gateway = Gateway::start(&settings, &[]).await;
    let answer = gateway.http1(&get("/transfers")).await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.header("accept-signature"), None);
    let problem = answer.json();
    let members: Vec<&str> = problem.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["type", "title", "status", "id"]);
    gateway.assert_untouched();
}

/// The version of an id, if it is a UUID (RFC 9562 §4).
fn uuid_version(id: &str) -> Option<u32> {
    let groups: Vec<usize> = id.split('-').map(str::len).collect();
    (groups == [8, 4, 4, 4, 12]).then(|| id.chars().nth(14)?.to_digit(16)).flatten()
}
