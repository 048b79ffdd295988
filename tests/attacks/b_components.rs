//! B: what a signature covers, and what it only seems to cover.

use std::path::Path;

use proof_messenger_relay::config::Config;

use super::{SIGNED, denies, passes};
use crate::support::ask::{Ask, add_line, signing};
use crate::support::relay::Relay;
use crate::support::signer::Signer;

/// The parameters of a proof by alice that covers `components`.
fn params(components: &str) -> String {
    format!("({components});created=1700000000;keyid=\"alice\"")
}

#[tokio::test]
async fn b1_empty_coverage() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    denies(&relay, &Ask::get("/").signed_over(&alice, &params(""), &[]), "component-uncovered").await;
    passes(&relay, &Ask::get("/").signed(&alice)).await;
    let allows_it = "policies: [{name: signed, match: {}, proof: {cover: []}}]";
    assert!(Config::parse(allows_it, "test", Path::new("")).is_err());
}

#[tokio::test]
async fn b2_required_component_not_covered() {
    let alice = Signer::ed25519("alice");
    let settings = "policies:
  - {name: parts, match: {path: /parts}, proof: {cover: ['@method', 'x-parts;key=\"a\"'], query: free}}
  - {name: signed, match: {}}";
    let relay = Relay::start(settings, &[&alice]).await;
    let all = ["@method", "@target-uri", "content-digest"];
    for left_out in all {
        let cover: Vec<&str> = all.into_iter().filter(|component| *component != left_out).collect();
        let ask = Ask::post("/", b"{}").signed_as(&alice, &signing("alice", &cover));
        denies(&relay, &ask, "component-uncovered").await;
    }
    passes(&relay, &Ask::post("/", b"{}").signed_as(&alice, &signing("alice", &all))).await;
    // The identifier counts with its parameters.
    let parts = |component| {
        let signing = signing("alice", &["@method", component]);
        Ask::get("/parts").header("x-parts", "a=1, b=2").signed_as(&alice, &signing)
    };
    denies(&relay, &parts("x-parts;key=\"b\""), "component-uncovered").await;
    denies(&relay, &parts("x-parts;bs"), "component-uncovered").await;
    passes(&relay, &parts("x-parts;key=\"a\"")).await;
    passes(&relay, &parts("x-parts;sf;key=\"a\"")).await;
}

#[tokio::test]
async fn b3_covered_header_absent() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let signing = signing("alice", &["@method", "@target-uri", "x-note"]);
    let honest = Ask::get("/").header("x-note", "").signed_as(&alice, &signing);
    denies(&relay, &honest.clone().without("x-note"), "component-missing").await;
    // An absent member is no empty one either.
    let lines = ["\"@method\": GET", "\"@target-uri\": https://bank.example/", "\"x-note\";key=\"a\": "];
    let params = params("\"@method\" \"@target-uri\" \"x-note\";key=\"a\"");
    let member = Ask::get("/").header("x-note", "b=1").signed_over(&alice, &params, &lines);
    denies(&relay, &member, "component-missing").await;
    passes(&relay, &honest).await;
}

#[tokio::test]
async fn b4_component_covered_twice() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let ask = Ask::get("/?a=1").header("x-parts", "a=1");
    for (one, other) in [
        ("\"@method\"", "\"@method\""),
        ("\"x-parts\"", "\"x-parts\""),
        ("\"x-parts\";key=\"a\"", "\"x-parts\";key=\"a\""),
        ("\"x-parts\";key=\"a\"", "\"x-parts\";key=\"a\";sf"),
        ("\"x-parts\";sf;key=\"a\"", "\"x-parts\";key=\"a\";sf"),
        ("\"@query-param\";name=\"a\"", "\"@query-param\";name=\"a\""),
    ] {
        let signed = ask.clone().signed_over(&alice, &params(&format!("{one} {other}")), &[]);
        denies(&relay, &signed, "proof-malformed").await;
    }
    let cover = ["@method", "@target-uri", "x-parts", "x-parts;key=\"a\"", "x-parts;bs"];
    passes(&relay, &ask.signed_as(&alice, &signing("alice", &cover))).await;
}

#[tokio::test]
async fn b5_one_member_covered_where_the_whole_is_asked_for() {
    let alice = Signer::ed25519("alice");
    let settings =
        "policies: [{name: signed, match: {}, proof: {cover: ['@method', '@target-uri', x-parts]}}]
structured_fields: {x-parts: dictionary}";
    let relay = Relay::start(settings, &[&alice]).await;
    let signed = |parts: &str, digest: &str| {
        let signing = signing("alice", &["@method", "@target-uri", "x-parts", digest]);
        let ask = Ask::post("/", b"{}").header("x-parts", "a=1, b=2").signed_as(&alice, &signing);
        ask.rewrite("signature-input", "\"x-parts\"", &format!("\"x-parts\"{parts}"))
    };
    denies(&relay, &signed(";key=\"a\"", "content-digest"), "component-uncovered").await;
    denies(&relay, &signed("", "content-digest;key=\"sha-256\""), "component-uncovered").await;
    passes(&relay, &signed("", "content-digest;sf")).await;
    passes(&relay, &signed("", "content-digest;bs")).await;
}

#[tokio::test]
async fn b6_trusted_header_not_covered() {
    let alice = Signer::ed25519("alice");
    let settings = "policies:
  - {name: removing, match: {path: /removing}, protect: [x-tenant], protect_by: removing}
  - {name: open, match: {path: /open}, proof: none, protect: [x-tenant]}
  - {name: denying, match: {}, protect: [x-tenant]}";
    let relay = Relay::start(settings, &[&alice]).await;
    for name in ["x-tenant", "x_tenant"] {
        let spoofed = |path: &str| Ask::get(path).signed(&alice).header(name, "other");
        denies(&relay, &spoofed("/denying"), "field-uncovered").await;
        denies(&relay, &spoofed("/open"), "field-uncovered").await;
        assert_eq!(passes(&relay, &spoofed("/removing")).await.removed, [name]);
    }
    let covered = |path: &str| {
        let signing = signing("alice", &["@method", "@target-uri", "x-tenant"]);
        Ask::get(path).header("x-tenant", "own").signed_as(&alice, &signing)
    };
    // A twin that some backends take for the same header makes the covered one worth nothing.
    denies(&relay, &covered("/denying").header("x_tenant", "other"), "field-uncovered").await;
    assert_eq!(passes(&relay, &covered("/removing").header("x_tenant", "o")).await.removed, ["x_tenant"]);
    // Every proof that counts has to cover it.
    let second = signing("second", &["@method", "@target-uri"]);
    denies(&relay, &covered("/denying").signed_as(&alice, &second), "field-uncovered").await;
    passes(&relay, &covered("/denying")).await;
    passes(&relay, &Ask::get("/open")).await;
}

#[tokio::test]
async fn b16_components_of_responses() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    for component in ["\"@status\"", "\"@method\";req", "\"x-note\";req", "\"signature\";req;key=\"a\""] {
        let cover = format!("\"@method\" \"@target-uri\" {component}");
        let signed = Ask::get("/").header("x-note", "a").signed_over(&alice, &params(&cover), &[]);
        denies(&relay, &signed, "proof-malformed").await;
    }
    // Those of a request that it might answer do not stand for its own.
    let signed = Ask::get("/").signed_over(&alice, &params("\"@method\";req \"@target-uri\";req"), &[]);
    denies(&relay, &signed, "component-uncovered").await;
    passes(&relay, &Ask::get("/").signed(&alice)).await;
}

#[tokio::test]
async fn b17_trailers() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    // A header of that name is there. It is not the trailer.
    for component in ["\"x-note\";tr", "\"x-note\";tr;bs", "\"@method\";tr"] {
        let signed = Ask::get("/").header("x-note", "a").signed_over(&alice, &params(component), &[]);
        denies(&relay, &signed, "proof-malformed").await;
    }
    passes(&relay, &Ask::get("/").signed(&alice)).await;
}

#[tokio::test]
async fn b18_bytes_without_raw_headers() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let signing = signing("alice", &["@method", "@target-uri", "x-note;bs"]);
    let honest =
        Ask::get("/").header("x-note", "caf\u{e9}").header("x-note", "b").signed_as(&alice, &signing);
    let answer = denies(&relay, honest.merged_check_request(), "component-missing").await;
    assert!(answer.body.contains("encode_raw_headers"), "{answer:?}");
    // Line by line, byte by byte: what `;bs` is for.
    for altered in [&["caf\u{e9}, b"][..], &["b", "caf\u{e9}"], &["caf\u{e8}", "b"], &["caf\u{e9}", "b", ""]]
    {
        let altered =
            altered.iter().fold(honest.clone().without("x-note"), |ask, line| ask.header("x-note", *line));
        denies(&relay, &altered, "signature-invalid").await;
    }
    passes(&relay, &honest).await;
}

#[tokio::test]
async fn b19_structured_form_of_an_unknown_field() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let lines = ["\"@method\": GET", "\"@target-uri\": https://bank.example/"];
    let signed = |component: &str, name: &str, value: &str, line: &str| {
        let params = params(&format!("\"@method\" \"@target-uri\" {component}"));
        Ask::get("/").header(name, value).signed_over(&alice, &params, &[lines[0], lines[1], line])
    };
    let unknown = signed("\"x-note\";sf", "x-note", "a", "\"x-note\";sf: a");
    denies(&relay, &unknown, "component-missing").await;
    for unparsable in ["u=", "u=1,", "U=1", "u=1;;", "\"u\"", "u=1, u=2"] {
        let line = format!("\"priority\";sf: {unparsable}");
        denies(&relay, &signed("\"priority\";sf", "priority", unparsable, &line), "component-missing").await;
        let line = "\"priority\";key=\"u\": 1";
        denies(&relay, &signed("\"priority\";key=\"u\"", "priority", unparsable, line), "component-missing")
            .await;
    }
    passes(&relay, &signed("\"priority\";sf", "priority", "u=1,i=?1", "\"priority\";sf: u=1, i")).await;
    passes(&relay, &signed("\"priority\";key=\"u\"", "priority", "i, u=1", "\"priority\";key=\"u\": 1"))
        .await;
}

#[tokio::test]
async fn b20_component_parameters_that_contradict() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    for component in [
        "\"x-note\";sf;bs",
        "\"x-note\";bs;key=\"a\"",
        "\"x-note\";nope",
        "\"x-note\";sf=?0",
        "\"x-note\";bs=1",
        "\"x-note\";key",
        "\"x-note\";key=a",
        "\"x-note\";name=\"a\"",
        "\"@method\";sf",
        "\"@method\";key=\"a\"",
        "\"@path\";name=\"a\"",
        "\"@query-param\"",
        "\"@query-param\";name=a",
        "\"@query-param\";name=\"a\";sf",
    ] {
        let signed = Ask::get("/?a=1").header("x-note", "a=1").signed_over(&alice, &params(component), &[]);
        denies(&relay, &signed, "proof-malformed").await;
    }
    let cover = ["@method", "@target-uri", "x-note;key=\"a\";sf"];
    passes(&relay, &Ask::get("/?a=1").header("x-note", "a=1").signed_as(&alice, &signing("alice", &cover)))
        .await;
}

#[tokio::test]
async fn b21_derived_component_that_nobody_knows() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    for name in ["@foo", "@", "@@method", "@METHOD", "@query-params", "@host", "@body", "@request-response"] {
        let signed = Ask::get("/").signed_over(&alice, &params(&format!("\"{name}\"")), &[]);
        denies(&relay, &signed, "proof-malformed").await;
    }
    // A header of such a name could pass for what the proxy saw.
    let honest = Ask::get("/").signed(&alice);
    let mut check = honest.check_request();
    add_line(&mut check, "@method", "DELETE");
    denies(&relay, check, "request-malformed").await;
    passes(&relay, &honest).await;
}
