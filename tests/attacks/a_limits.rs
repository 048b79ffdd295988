//! A9: more of everything than anybody needs. It is refused before a signature is checked.

use super::{SIGNED, denies, passes};
use crate::support::ask::{Ask, signing};
use crate::support::relay::Relay;
use crate::support::signer::Signer;

#[tokio::test]
async fn a9_too_many_labels() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let labelled = |ask: Ask, at: usize| {
        ask.signed_as(&alice, &signing(&format!("sig{at}"), &["@method", "@target-uri"]))
    };
    let most = (0..16).fold(Ask::get("/accounts"), labelled);
    passes(&relay, &most).await;
    denies(&relay, &labelled(most, 16), "proof-malformed").await;
}

#[tokio::test]
async fn a9_too_many_components() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let names: Vec<String> = (0..62).map(|at| format!("x-{at}")).collect();
    let ask = names.iter().fold(Ask::get("/accounts"), |ask, name| ask.header(name, "a"));
    let cover: Vec<&str> =
        ["@method", "@target-uri"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let most = ask.signed_as(&alice, &signing("sig", &cover));
    denies(&relay, &most.clone().rewrite("signature-input", "(", "(\"@path\" "), "proof-malformed").await;
    passes(&relay, &most).await;
}

#[tokio::test]
async fn a9_too_many_parameters() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let lines = ["\"@method\": GET", "\"@target-uri\": https://bank.example/"];
    let signed = |more: usize| {
        let more: String = (0..more).map(|at| format!(";x{at}")).collect();
        let params = format!("(\"@method\" \"@target-uri\");created=1700000000;keyid=\"alice\"{more}");
        Ask::get("/").signed_over(&alice, &params, &lines)
    };
    passes(&relay, &signed(30)).await;
    denies(&relay, &signed(31), "proof-malformed").await;
}

#[tokio::test]
async fn a9_too_much_of_headers() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let honest = Ask::get("/accounts").signed(&alice);
    passes(&relay, &honest.clone().header("x-note", "a".repeat(60_000))).await;
    denies(&relay, &honest.clone().header("x-note", "a".repeat(66_000)), "request-malformed").await;
    let lines = |count| (0..count).fold(Ask::get("/accounts").signed(&alice), |ask, _| ask.header("x", "a"));
    passes(&relay, &lines(254)).await;
    denies(&relay, &lines(255), "request-malformed").await;
    let covering = signing("alice", &["@method", "@target-uri", "x-note"]);
    let long = |bytes| Ask::get("/accounts").header("x-note", "a".repeat(bytes));
    let at_most = long(8192).signed_as(&alice, &covering);
    denies(&relay, &at_most.clone().replace("x-note", "a".repeat(8193)), "component-missing").await;
    passes(&relay, &at_most).await;
    // A member is as long as the field that has to be parsed for it.
    let member = signing("alice", &["@method", "@target-uri", "x-note;key=\"a\""]);
    let parts = |bytes: usize| Ask::get("/accounts").header("x-note", format!("a, b={}", "b".repeat(bytes)));
    let small = parts(8187).signed_as(&alice, &member);
    denies(&relay, &small.clone().replace("x-note", parts(8188).value("x-note")), "component-missing").await;
    passes(&relay, &small).await;
}

#[tokio::test]
async fn a9_too_long_a_target() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(
        "policies: [{name: signed, match: {}, proof: {query: free, cover: [\"@path\"]}}]",
        &[&alice],
    )
    .await;
    let signed = |bytes: usize| {
        let target = format!("/accounts?{}", "a&".repeat(bytes / 2));
        Ask::get(&target).signed_as(&alice, &signing("alice", &["@path"]))
    };
    passes(&relay, &signed(32 * 1024)).await;
    // It is not among the headers, and counts as they do: a component may make the relay read it again and again.
    denies(&relay, &signed(66 * 1024), "request-malformed").await;
}
