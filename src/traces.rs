//! Spans of checks, for those who follow a request through a system (OpenTelemetry, sent as OTLP).
//!
//! A check is one span, with its stages below it. It continues the trace that Envoy names in the call itself, or else the one
//! that the request carries (W3C Trace Context). Nothing of it is on the way of an answer: spans are made of times that are taken
//! anyway, and a thread of the SDK sends them.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{
    Span as _, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use tonic::metadata::MetadataMap;

use crate::metrics::Stopwatch;
use crate::relay::Decision;
use crate::request::Fields;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// So long a batch of spans may take to be sent.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where spans go, and of which checks.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceSettings {
    /// The collector: OTLP over gRPC.
    pub url: Box<str>,
    /// Certificates of the authorities that its own is checked against, in PEM.
    pub ca: Option<PathBuf>,
    /// Of the requests that are in no trace, the share that begins one: from 0 to 1.
    pub sample: f64,
}

/// Why spans cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    #[error("{}: {source}", path.display())]
    Authorities { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Exporter(#[from] ExporterBuildError),
}

/// Makes spans of checks.
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    propagator: TraceContextPropagator,
}

impl Traces {
    /// Traces that go there. Nothing is sent yet, and no collector is asked for. To be called on a runtime of tokio.
    ///
    /// # Errors
    /// When certificates cannot be read.
    pub fn new(settings: &TraceSettings, instance: String) -> Result<Self, TracesError> {
        let mut exporter =
            SpanExporter::builder().with_tonic().with_endpoint(&*settings.url).with_timeout(PATIENCE);
        if settings.url.starts_with("https:") {
            let tls = ClientTlsConfig::new();
            exporter = exporter.with_tls_config(match &settings.ca {
                Some(path) => {
                    let read = fs::read(path);
                    let pem =
                        read.map_err(|source| TracesError::Authorities { path: path.clone(), source })?;
                    tls.ca_certificate(Certificate::from_pem(pem))
                }
                None => tls.with_webpki_roots(),
            });
        }
        let resource = Resource::builder()
            .with_service_name("proof-messenger-relay")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("service.instance.id", instance))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.sample))))
            .with_batch_exporter(exporter.build()?)
            .build();
        let tracer = provider.tracer("proof-messenger-relay");
        Ok(Self { provider, tracer, propagator: TraceContextPropagator::new() })
    }

    /// The span of Envoy that the call is part of.
    #[must_use]
    pub fn of_call(&self, metadata: &MetadataMap) -> Option<Context> {
        self.parent(|name| Some(metadata.get(name)?.to_str().ok()?.to_owned()))
    }

    /// The span that the request itself names. Whoever sends it chose that.
    #[must_use]
    pub fn of_request(&self, fields: &Fields<'_>) -> Option<Context> {
        self.parent(|name| String::from_utf8(fields.combined(name)?.into_owned()).ok())
    }

    fn parent(&self, value: impl Fn(&str) -> Option<String>) -> Option<Context> {
        let mut carrier = HashMap::from([(TRACEPARENT.to_owned(), value(TRACEPARENT)?)]);
        carrier.extend(value(TRACESTATE).map(|state| (TRACESTATE.to_owned(), state)));
        let context = self.propagator.extract_with_context(&Context::new(), &carrier);
        context.has_active_span().then_some(context)
    }

    /// Makes the spans of a check that is over.
    pub fn record(&self, parent: Option<Context>, decision: &Decision, stopwatch: &Stopwatch) {
        let (now, at) = (SystemTime::now(), Instant::now());
        let time = |instant: Instant| now.checked_sub(at.duration_since(instant)).unwrap_or(now);
        let (begin, end) = (stopwatch.started(), stopwatch.started() + stopwatch.total());
        let check = self
            .tracer
            .span_builder("envoy.service.auth.v3.Authorization/Check")
            .with_kind(SpanKind::Server)
            .with_start_time(time(begin))
            .with_attributes(attributes(decision));
        let mut check = self.tracer.build_with_context(check, &parent.unwrap_or_default());
        if !check.is_recording() {
            return;
        }
        // A denial is what the relay is for. It failed where it could not decide.
        if let Some(code) = decision.code().filter(|code| code.status() >= 500) {
            check.set_status(Status::error(code.as_str()));
        }
        let below = Context::new().with_remote_span_context(SpanContext::clone(check.span_context()));
        for (stage, from, to) in stopwatch.laps() {
            let lap = self.tracer.span_builder(stage.as_str()).with_start_time(time(from));
            self.tracer.build_with_context(lap, &below).end_with_timestamp(time(to));
        }
        check.end_with_timestamp(time(end));
    }

    /// Sends what is left. It blocks, for no longer than some seconds.
    pub fn close(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(PATIENCE) {
            tracing::warn!(%error, "the last spans could not be sent");
        }
    }
}

/// What the metrics tell too, and the id that the log and the evidence have: nothing of the request itself.
fn attributes(decision: &Decision) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("rpc.system", "grpc"),
        KeyValue::new("proof.id", decision.id.to_string()),
        KeyValue::new("proof.decision", decision.verdict.as_str()),
    ];
    attributes.extend(decision.code().map(|code| KeyValue::new("proof.code", code.as_str())));
    attributes.extend(
        { decision.policy.as_deref() }.map(|policy| KeyValue::new("proof.policy", policy.to_owned())),
    );
    attributes
}
