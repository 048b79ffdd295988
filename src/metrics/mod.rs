//! What the relay counts and measures, for Prometheus. Labels are names from the configuration and closed sets: nothing that a
//! client sends becomes one.

mod process;
mod stopwatch;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, prometheus_text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::denial::Code;
use crate::relay::{Decision, Relay, Verdict};
pub use stopwatch::{Stage, Stopwatch};

/// Upper bounds, in seconds: a check of one Ed25519 signature takes some 50 µs, and Envoy waits for half a second as it is
/// shipped.
const BUCKETS: [f64; 12] =
    [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0];

/// What a running relay takes new versions of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reloaded {
    Policies,
    Keys,
    Certificates,
}

/// A label value that is one of a few.
macro_rules! label_values {
    ($type:ident { $($name:ident = $value:literal),* }) => {
        impl EncodeLabelValue for $type {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
                EncodeLabelValue::encode(&match self { $(Self::$name => $value,)* }, encoder)
            }
        }
    };
}

impl EncodeLabelValue for Stage {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        EncodeLabelValue::encode(&self.as_str(), encoder)
    }
}

label_values!(Reloaded { Policies = "policies", Keys = "keys", Certificates = "certificates" });
label_values!(Outcome { Success = "success", Failure = "failure" });
label_values!(Decided { Allow = "allow", Deny = "deny", Observe = "observe" });

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Outcome {
    Success,
    Failure,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Decided {
    Allow,
    Deny,
    Observe,
}

/// A code, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct CodeLabel(Option<Code>);

impl EncodeLabelValue for CodeLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        EncodeLabelValue::encode(&self.0.map_or("none", Code::as_str), encoder)
    }
}

/// The name of a policy, or none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct PolicyLabel(Option<Arc<str>>);

impl EncodeLabelValue for PolicyLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        EncodeLabelValue::encode(&self.0.as_deref().unwrap_or("none"), encoder)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCheck {
    decision: Decided,
    code: CodeLabel,
    policy: PolicyLabel,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStage {
    stage: Stage,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfReload {
    what: Reloaded,
    result: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct What {
    what: Reloaded,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfObservation {
    policy: PolicyLabel,
    code: CodeLabel,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfUrl {
    url: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfLoss {
    decision: Decided,
}

#[derive(Debug, Clone)]
struct Histograms;

impl MetricConstructor<Histogram> for Histograms {
    fn new_metric(&self) -> Histogram {
        Histogram::new(BUCKETS)
    }
}

/// Every metric. What others count or hold already is read when somebody asks, so that no request pays for it.
pub struct Metrics {
    registry: Registry,
    checks: Family<OfCheck, Counter>,
    refused: Counter,
    duration: Histogram,
    stages: [Histogram; Stage::ALL.len()],
    reloads: Family<OfReload, Counter>,
    reload_success: Family<What, Gauge>,
    reloaded_at: Family<What, Gauge>,
    keys_fetched: Family<OfUrl, Gauge>,
    certificate_expires: Gauge,
    read: Read,
}

/// What is read when somebody asks.
#[derive(Default)]
struct Read {
    in_flight: Gauge,
    in_flight_limit: Gauge,
    policies: Gauge,
    keys: Gauge,
    replay_entries: Gauge,
    replay_capacity: Gauge,
    observed: Family<OfObservation, Counter>,
    ready: Gauge,
    evidence_queue: Gauge,
    evidence_records: Counter,
    evidence_failures: Counter,
    evidence_lost: Family<OfLoss, Counter>,
    evidence_checkpoint: Gauge,
    evidence_size: Gauge,
    resident: Gauge,
    open_files: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    #[must_use]
    pub fn new() -> Self {
        let mut root = Registry::default();
        let registry = root.sub_registry_with_prefix("proof_messenger");
        let stages = Family::<OfStage, Histogram, Histograms>::new_with_constructor(Histograms);
        let of = |stage| stages.get_or_create_owned(&OfStage { stage });
        let metrics = Self {
            checks: Family::default(),
            refused: Counter::default(),
            duration: Histogram::new(BUCKETS),
            stages: Stage::ALL.map(of),
            reloads: Family::default(),
            reload_success: Family::default(),
            reloaded_at: Family::default(),
            keys_fetched: Family::default(),
            certificate_expires: Gauge::default(),
            read: Read::default(),
            registry: Registry::default(),
        };
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Which version runs", version);
        registry.register(
            "checks",
            "Checks that were answered, by what became of them",
            metrics.checks.clone(),
        );
        let help = "Messages that were refused before they were read";
        registry.register("messages_refused", help, metrics.refused.clone());
        let help = "How long a check took, from its message to its answer";
        registry.register_with_unit("check_duration", help, Unit::Seconds, metrics.duration.clone());
        let help = "How long a part of a check took";
        registry.register_with_unit("stage_duration", help, Unit::Seconds, stages);
        registry.register("reloads", "New versions that were read", metrics.reloads.clone());
        let help = "Whether the last version that was read could be used";
        registry.register("reload_success", help, metrics.reload_success.clone());
        let help = "When the version in force was taken up, in seconds since 1970";
        registry.register_with_unit("reload_timestamp", help, Unit::Seconds, metrics.reloaded_at.clone());
        let help = "Whether the keys at a URL could be fetched the last time";
        registry.register("keys_fetch_success", help, metrics.keys_fetched.clone());
        let help =
            "When the certificate of the gRPC port expires, in seconds since 1970; 0 where it has none";
        let expires = metrics.certificate_expires.clone();
        registry.register_with_unit("certificate_expiry_timestamp", help, Unit::Seconds, expires);
        metrics.read.register(registry);
        metrics.read.register_process(&mut root);
        Self { registry: root, ..metrics }
    }

    /// Counts a check that was decided like this.
    pub(crate) fn decided(&self, decision: &Decision, took: Duration) {
        let decided = match decision.verdict {
            Verdict::Allowed(_) => Decided::Allow,
            Verdict::Observed => Decided::Observe,
            Verdict::Denied { .. } => Decided::Deny,
        };
        let labels = OfCheck {
            decision: decided,
            code: CodeLabel(decision.code()),
            policy: PolicyLabel(decision.policy.clone()),
        };
        self.checks.get_or_create(&labels).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// Counts a message that was refused before it was read.
    pub(crate) fn refused(&self) {
        self.refused.inc();
    }

    /// Counts a version that was read.
    pub fn reloaded(&self, what: Reloaded, is_good: bool) {
        let result = if is_good { Outcome::Success } else { Outcome::Failure };
        self.reloads.get_or_create(&OfReload { what, result }).inc();
        self.reload_success.get_or_create(&What { what }).set(i64::from(is_good));
        if is_good {
            self.reloaded_at.get_or_create(&What { what }).set(now());
        }
    }

    /// Notes whether the keys at a URL of the configuration could be fetched.
    pub fn fetched(&self, url: &str, is_good: bool) {
        self.keys_fetched.get_or_create(&OfUrl { url: url.to_owned() }).set(i64::from(is_good));
    }

    /// Whether the last version that was read of this is in force, and since when, in seconds since 1970.
    #[must_use]
    pub fn last_reload(&self, what: Reloaded) -> (bool, i64) {
        let (success, at) = (self.reload_success.get(&What { what }), self.reloaded_at.get(&What { what }));
        (success.is_none_or(|success| success.get() == 1), at.map(|at| at.get()).unwrap_or_default())
    }

    /// Notes when the certificate of the gRPC port expires, in seconds since 1970.
    pub fn certificate_expires(&self, at: i64) {
        self.certificate_expires.set(at);
    }

    /// Everything, in the text format of Prometheus (version 0.0.4).
    #[must_use]
    pub fn text(&self, relay: &Relay, is_ready: bool) -> String {
        self.read.from(relay, is_ready);
        let mut text = String::new();
        // Nothing but the writer of a text can fail, and none does.
        let _ = prometheus_text::encode(&mut text, &self.registry);
        text
    }
}

impl Read {
    fn register(&self, registry: &mut Registry) {
        registry.register("checks_in_flight", "Checks that are being answered", self.in_flight.clone());
        let help = "How many checks may be in flight: one more is overloaded";
        registry.register("checks_in_flight_limit", help, self.in_flight_limit.clone());
        registry.register("policies", "Policies in force", self.policies.clone());
        registry.register("trust_store_keys", "Keys in force", self.keys.clone());
        let help = "Used proofs that are remembered";
        registry.register("replay_entries", help, self.replay_entries.clone());
        let help = "Used proofs that can be remembered: one more is replay-store-unavailable";
        registry.register("replay_capacity", help, self.replay_capacity.clone());
        let help = "Requests that a policy which only observes would have denied";
        registry.register("observed", help, self.observed.clone());
        registry.register("ready", "Whether the relay is ready", self.ready.clone());
        registry.register("evidence_queue", "Records that wait to be written", self.evidence_queue.clone());
        registry.register("evidence_records", "Records that were written", self.evidence_records.clone());
        let help = "Times that records could not be written, or not in time";
        registry.register("evidence_failures", help, self.evidence_failures.clone());
        let help = "Decisions that were answered without a record";
        registry.register("evidence_lost", help, self.evidence_lost.clone());
        let help = "When the last checkpoint was written, in seconds since 1970";
        let checkpoint = self.evidence_checkpoint.clone();
        registry.register_with_unit("evidence_checkpoint_timestamp", help, Unit::Seconds, checkpoint);
        registry.register("evidence_size", "Records in the log", self.evidence_size.clone());
    }

    /// Under the names that every exporter has.
    fn register_process(&self, registry: &mut Registry) {
        let help = "When the process started, in seconds since 1970";
        registry.register("process_start_time_seconds", help, ConstGauge::new(now()));
        registry.register("process_resident_memory_bytes", "Memory that is in use", self.resident.clone());
        registry.register("process_open_fds", "Open file descriptors", self.open_files.clone());
    }

    fn from(&self, relay: &Relay, is_ready: bool) {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let rules = relay.rules();
        self.in_flight.set(count(relay.admission.in_flight()));
        self.in_flight_limit.set(count(relay.admission.limit()));
        self.policies.set(count(rules.policies.len()));
        self.keys.set(count(rules.keys.len()));
        let (entries, capacity) = relay.guard.fill(relay.clock.now());
        self.replay_entries.set(count(entries));
        self.replay_capacity.set(count(capacity));
        for (policy, code, times) in relay.observed.counts() {
            let labels = OfObservation { policy: PolicyLabel(Some(policy)), code: CodeLabel(Some(code)) };
            self.observed.get_or_create(&labels).inner().store(times, Ordering::Relaxed);
        }
        self.ready.set(i64::from(is_ready));
        self.resident.set(process::resident_bytes().unwrap_or_default());
        self.open_files.set(count(process::open_files().unwrap_or_default()));
        let Some(evidence) = &relay.evidence else { return };
        let counts = evidence.counts();
        self.evidence_queue.set(count(counts.waiting));
        self.evidence_records.inner().store(counts.written, Ordering::Relaxed);
        self.evidence_failures.inner().store(counts.failures, Ordering::Relaxed);
        for (decision, lost) in [(Decided::Allow, counts.lost_allowed), (Decided::Deny, counts.lost_denied)] {
            self.evidence_lost.get_or_create(&OfLoss { decision }).inner().store(lost, Ordering::Relaxed);
        }
        self.evidence_checkpoint.set(i64::try_from(counts.sealed_at).unwrap_or(i64::MAX));
        self.evidence_size.set(i64::try_from(counts.size).unwrap_or(i64::MAX));
    }
}

fn now() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX)
}
