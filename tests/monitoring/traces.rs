//! Spans: what a check adds to the trace that it is part of.

use std::collections::BTreeMap;

use proof_messenger_relay::signer::Signing;
use proof_messenger_relay::timestamp::{Clock as _, SystemClock};
use serde_json::{Value, json};
use tonic::Request;

use crate::support::ask::{Ask, signing};
use crate::support::certificates::Authority;
use crate::support::collector::{Collector, Span, Taken};
use crate::support::envoy::EnvoySetup;
use crate::support::gateway::Gateway;
use crate::support::program::Serving;
use crate::support::recording::{Recording, connect};
use crate::support::signer::Signer;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const OTHER: &str = "5bd66ef5095369c7b0d1f8f4bd33716a";
const PARENT: &str = "b7ad6b7169203331";

fn traceparent(trace: &str, flags: &str) -> String {
    format!("00-{trace}-{PARENT}-{flags}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn now(ask: Ask, signer: &Signer) -> Ask {
    let created = Some(SystemClock.now());
    ask.signed_as(signer, &Signing { created, ..signing("sig", &["@method", "@target-uri"]) })
}

/// What a relay sends of these calls: metadata and request.
async fn spans(sample: f64, calls: &[(Option<String>, Ask)]) -> Vec<Taken> {
    let collector = Collector::start().await;
    let settings = json!({"otlp": collector.url(), "sample": sample});
    spans_to(&collector, settings, calls).await
}

async fn spans_to(collector: &Collector, settings: Value, calls: &[(Option<String>, Ask)]) -> Vec<Taken> {
    let alice = Signer::ed25519("alice");
    let policies = json!([{"name": "accounts", "match": {}, "receipt": {"audience": "backend"}}]);
    let recording = Recording::new(&json!({"file": "evidence.jsonl"}), &policies, &[&alice]);
    recording.set("traces", settings);
    recording.set("receipts", json!({"issuer": "relay.bank.example"}));
    let mut relay = Serving::start(recording.serve());
    let mut client = connect(&relay.address).await;
    for (metadata, ask) in calls {
        let mut call = Request::new(ask.check_request());
        if let Some(traceparent) = metadata {
            call.metadata_mut().insert("traceparent", traceparent.parse().unwrap());
        }
        client.check(call).await.unwrap();
    }
    // What is left is sent before it ends.
    assert!(relay.stop().success());
    collector.taken()
}

fn named<'s>(spans: &'s [Taken], name: &str) -> Vec<&'s Span> {
    spans.iter().map(|taken| &taken.span).filter(|span| span.name == name).collect()
}

const CHECK: &str = "envoy.service.auth.v3.Authorization/Check";

#[tokio::test(flavor = "multi_thread")]
async fn a_check_is_a_span_of_the_trace_of_the_call_with_its_stages_below() {
    let alice = Signer::ed25519("alice");
    let ask = now(Ask::get("/accounts?secret=1"), &alice).header("traceparent", traceparent(OTHER, "01"));
    let spans = spans(0.0, &[(Some(traceparent(TRACE, "01")), ask)]).await;
    let [check] = named(&spans, CHECK)[..] else { panic!("{spans:#?}") };
    assert_eq!((hex(&check.trace_id), hex(&check.parent_span_id)), (TRACE.to_owned(), PARENT.to_owned()));
    let taken = spans.iter().find(|taken| taken.span.name == CHECK).unwrap();
    assert_eq!(taken.service, "proof-messenger-relay");
    assert_eq!(taken.attribute("proof.decision"), Some("allow"));
    assert_eq!(taken.attribute("proof.policy"), Some("accounts"));
    assert_eq!(taken.attribute("proof.code"), None);
    assert!(taken.attribute("proof.id").is_some());
    assert!(!format!("{spans:?}").contains("secret"), "{spans:#?}");

    let stages = ["read", "decide", "claim", "record", "receipt"].map(|stage| named(&spans, stage)[0]);
    assert_eq!(spans.len(), 1 + stages.len());
    let mut at = check.start_time_unix_nano;
    for stage in stages {
        assert_eq!((&stage.trace_id, &stage.parent_span_id), (&check.trace_id, &check.span_id));
        assert!(at <= stage.start_time_unix_nano && stage.start_time_unix_nano <= stage.end_time_unix_nano);
        at = stage.end_time_unix_nano;
    }
    assert!(at <= check.end_time_unix_nano, "{spans:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_the_request_is_continued_where_the_call_is_in_none() {
    let ask = |traceparent: &str| Ask::get("/accounts").header("traceparent", traceparent);
    let calls = [
        (None, ask(&traceparent(OTHER, "01"))),
        // These say that nobody follows them, or nothing that could be read.
        (None, ask(&traceparent(TRACE, "00"))),
        (Some(traceparent(TRACE, "00")), ask(&traceparent(OTHER, "01"))),
        (None, ask("00-zz")),
        (None, Ask::get("/accounts")),
    ];
    let spans = spans(0.0, &calls).await;
    let [check] = named(&spans, CHECK)[..] else { panic!("{spans:#?}") };
    assert_eq!(hex(&check.trace_id), OTHER);
    let taken = spans.iter().find(|taken| taken.span.name == CHECK).unwrap();
    assert_eq!(
        (taken.attribute("proof.decision"), taken.attribute("proof.code")),
        (Some("deny"), Some("proof-missing"))
    );
    // A denial is no failure of the relay.
    assert_eq!(check.status.clone().unwrap_or_default().code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_of_what_is_in_no_trace_begins_one() {
    let calls = [(None, Ask::get("/accounts")), (Some(traceparent(TRACE, "00")), Ask::get("/accounts"))];
    let spans = spans(1.0, &calls).await;
    let [check] = named(&spans, CHECK)[..] else { panic!("{spans:#?}") };
    assert_eq!(hex(&check.parent_span_id), "");
    assert_ne!(hex(&check.trace_id), TRACE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_shows_a_certificate_of_the_authority_that_the_operator_named() {
    let folder = tempfile::tempdir().unwrap();
    let (own, other) = (Authority::new("own"), Authority::new("other"));
    let collector = Collector::start_tls(&own.certify(&["localhost"])).await;
    for (authority, spans) in [(&own, 1), (&other, 0)] {
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, authority.pem()).unwrap();
        let url = format!("https://localhost:{}", collector.address.port());
        let settings = json!({"otlp": url, "ca": ca, "sample": 1});
        let sent = spans_to(&collector, settings, &[(None, Ask::get("/accounts"))]).await;
        assert_eq!(named(&sent, CHECK).len(), spans);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_holds_nothing_up() {
    let recording = Recording::new(
        &json!({"file": "evidence.jsonl"}),
        &json!([{"name": "open", "match": {}, "proof": "none"}]),
        &[],
    );
    // Nobody listens there: the port was free a moment ago, and is not asked for again.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    recording.set("traces", json!({"otlp": format!("http://{free}"), "sample": 1}));
    let mut relay = Serving::start(recording.serve());
    let mut client = connect(&relay.address).await;
    client.check(Ask::get("/").check_request()).await.unwrap();
    assert!(relay.stop().success());
    // Whoever operates it is told.
    while relay.next_line()["level"] != "ERROR" {}
}

/// The trace of the call is that of the request, since Envoy is in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_envoy_and_the_relay_tell_one_story() {
    let collector = Collector::start().await;
    let (host, port) = (collector.address.ip(), collector.address.port());
    let settings = format!(
        "traces: {{otlp: {}}}\npolicies: [{{name: open, match: {{}}, proof: none}}]",
        collector.url()
    );
    let tracing = "          codec_type: AUTO";
    let provider = r#"          tracing:
            random_sampling: {value: 100}
            provider:
              name: envoy.tracers.opentelemetry
              typed_config:
                "@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig
                grpc_service: {envoy_grpc: {cluster_name: collector}}
                service_name: envoy
"#;
    let clusters = "  clusters:\n";
    let cluster = format!(
        r#"  clusters:
  - name: collector
    type: STATIC
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{}}}}
    load_assignment:
      cluster_name: collector
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: {host}, port_value: {port}}}}}}}}}]}}]
"#
    );
    let gateway = Gateway::start_with(&settings, &[], move |setup: &mut EnvoySetup| {
        setup.edits.push((tracing, format!("{provider}{tracing}")));
        setup.edits.push((clusters, cluster));
    })
    .await;
    let ask = Ask::get("/open").header("traceparent", traceparent(TRACE, "01")).for_envoy();
    assert_eq!(gateway.http1(&ask).await.status, 200);
    let mut services: BTreeMap<Vec<u8>, String> = BTreeMap::new();
    let check = loop {
        let Taken { service, span } = collector.next();
        services.insert(span.span_id.clone(), service);
        if span.name == CHECK {
            break span;
        }
    };
    assert_eq!(hex(&check.trace_id), TRACE);
    // Its parent is a span of Envoy, not the one that the client named.
    assert_ne!(hex(&check.parent_span_id), PARENT);
    while !services.contains_key(&check.parent_span_id) {
        let Taken { service, span } = collector.next();
        services.insert(span.span_id, service);
    }
    assert_eq!(services[&check.parent_span_id], "envoy");
}
