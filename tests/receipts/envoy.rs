//! Receipts through a real Envoy.

use serde_json::json;

use crate::support::ask::Ask;
use crate::support::gateway::{Gateway, PROTOCOLS};
use crate::support::receipts::{KeyFiles, claims, key, settings};
use crate::support::signer::Signer;

#[tokio::test]
async fn the_backend_sees_the_receipt_and_no_other() {
    let alice = Signer::ed25519("alice");
    let files = KeyFiles::new();
    let policies = "[{name: signed, match: {path: /signed}, receipt: {audience: payments}},
        {name: open, match: {path: /open}, proof: none},
        {name: observed, match: {path: /observed}, mode: observe, receipt: {audience: payments}}]";
    let gateway = Gateway::start(&settings(&[files.private("receipts-1")], policies), &[&alice]).await;
    for protocol in PROTOCOLS {
        let forged = |path: &str| {
            Ask::get(path).for_envoy().header("x-proof-receipt", "forged").header("x-proof-receipt", "twice")
        };
        let answer = gateway.send(protocol, &forged("/signed").signed(&alice)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let received = gateway.last_received();
        let receipts = received.header("x-proof-receipt");
        assert_eq!(receipts.len(), 1, "{receipts:?}");
        let claims = claims(&receipts[0], &key("receipts-1").public());
        assert_eq!((&claims["sub"], &claims["htm"]), (&json!("alice"), &json!("GET")));
        assert_eq!(claims["jti"], json!(received.header("x-proof-id")[0]));

        for (path, status) in [("/open", "unsigned"), ("/observed", "observed")] {
            gateway.send(protocol, &forged(path)).await;
            let received = gateway.last_received();
            assert_eq!(received.header("x-proof-status"), [status]);
            assert_eq!(received.header("x-proof-receipt"), [""; 0]);
        }
        let reached = gateway.received().len();
        let answer = gateway.send(protocol, &forged("/signed")).await;
        assert_eq!((answer.status, answer.header("x-proof-receipt")), (401, None));
        assert_eq!(gateway.received().len(), reached);
    }
}
