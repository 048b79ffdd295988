//! What Envoy's access log says of a decision.

use serde_json::{Value, json};

use super::{EVERYTHING, alice, get, post};
use crate::support::gateway::{Gateway, PROTOCOLS, assert_refused};

#[tokio::test]
async fn allowed_requests_are_logged_under_the_id_that_the_backend_got() {
    let gateway = Gateway::start(EVERYTHING, &[&alice()]).await;
    for (at, protocol) in PROTOCOLS.into_iter().enumerate() {
        let answer = gateway.send(protocol, &post("/transfers/7?pin=1234", b"{}").signed(&alice())).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let line = gateway.envoy.access_log(at + 1).await.pop().unwrap();
        let [id] = gateway.last_received().header("x-proof-id").try_into().unwrap();
        let proof = json!({
            "decision": "allow", "code": "", "policy": "transfers", "id": id,
            "observed_policy": null, "observed_code": null,
        });
        assert_eq!(by_name(&line["proof"]), by_name(&proof));
        assert_eq!(line["path"], "/transfers/7");
        assert!(!line.to_string().contains("1234"), "queries are nobody's business: {line}");
    }
}

#[tokio::test]
async fn denied_requests_are_logged_under_the_id_that_the_client_got() {
    let settings = "replay: {memory: {capacity: 1}}
policies: [{name: transfers, match: {path: '/transfers/{account}'}}]";
    let gateway = Gateway::start(settings, &[&alice()]).await;
    let replayed = get("/transfers/7").signed(&alice());
    assert_eq!(gateway.http1(&replayed).await.status, 200);
    let refused = [
        (get("/transfers/7"), 401, "proof-missing", "transfers"),
        (replayed, 409, "replayed", "transfers"),
        (get("/rates").signed(&alice()), 403, "no-policy", ""),
        (get("//transfers").signed(&alice()), 400, "path-ambiguous", ""),
        (get("/transfers/8").signed(&alice()), 503, "replay-store-unavailable", "transfers"),
    ];
    for (at, (ask, status, code, policy)) in refused.into_iter().enumerate() {
        let answer = gateway.http1(&ask).await;
        assert_refused(&answer, status, code);
        let line = gateway.envoy.access_log(at + 2).await.pop().unwrap();
        let id = &answer.json()["id"];
        let proof = json!({
            "decision": "deny", "code": code, "policy": policy, "id": id,
            "observed_policy": null, "observed_code": null,
        });
        assert_eq!(by_name(&line["proof"]), by_name(&proof));
        assert_eq!(line["status"], status);
    }
}

#[tokio::test]
async fn what_is_observed_is_logged_beside_what_another_policy_decided() {
    let settings = "policies:
  - {name: expiring, match: {path: '/transfers/{account}'}, mode: observe, proof: {require: [expires]}}
  - {name: transfers, match: {path: '/transfers/{account}'}}
  - {name: everything-else, match: {}, mode: observe}";
    let gateway = Gateway::start(settings, &[&alice()]).await;
    for (at, (ask, status, told)) in [
        (
            get("/transfers/7").signed(&alice()),
            200,
            ["allow", "", "transfers", "expiring", "proof-malformed"],
        ),
        (get("/transfers/7"), 401, ["deny", "proof-missing", "transfers", "expiring", "proof-missing"]),
        (get("/rates"), 200, ["observe", "proof-missing", "everything-else", "", ""]),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(gateway.http1(&ask).await.status, status);
        let line = gateway.envoy.access_log(at + 1).await.pop().unwrap();
        let logged = ["decision", "code", "policy", "observed_policy", "observed_code"]
            .map(|member| line["proof"][member].as_str().unwrap_or_default());
        assert_eq!(logged, told, "{line}");
    }
}

/// The members in the order of their names.
fn by_name(object: &Value) -> Vec<(&String, &Value)> {
    let mut members: Vec<_> = object.as_object().unwrap().iter().collect();
    members.sort_by_key(|(name, _)| *name);
    members
}
