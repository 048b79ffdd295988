//! The way of a request, from what the proxy showed to the answer.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;
use uuid::Uuid;

use crate::admission::{Admission, Place};
use crate::config::Config;
use crate::denial::{Code, Denial};
use crate::evidence::Unavailable;
use crate::evidence::decided::Grounds;
use crate::evidence::recorder::Recorder;
use crate::keys::Key;
use crate::keys::store::TrustStore;
use crate::metrics::{Metrics, Stage, Stopwatch};
use crate::observed::Observed;
use crate::policy::{Challenge, Evidence, Facts, Mode, Open, Permitted, Policies, Policy};
use crate::proof::ProofFields;
use crate::receipt::Receipts;
use crate::replay::{Guard, ReplayStore, Unused};
use crate::request::Request;
use crate::rules::Rules;
use crate::timestamp::{Clock, Timestamp};
use crate::traces::Traces;
use crate::verify;

/// What the relay decides by.
pub struct Relay {
    rules: RwLock<Arc<Rules>>,
    /// Tells of proofs by keys that nobody knows.
    pub misses: watch::Sender<()>,
    pub guard: Guard,
    pub clock: Arc<dyn Clock>,
    /// Who is let in to be checked at all. A place is taken before any work is queued.
    pub admission: Admission,
    pub metrics: Metrics,
    /// How often policies that only observe would have denied.
    pub observed: Observed,
    /// Where decisions are recorded; nowhere, if the operator wants no evidence.
    pub evidence: Option<Recorder>,
    /// What backends are told in a way that they can check, where anything is.
    pub receipts: Option<Receipts>,
    /// Who follows requests, if anybody does.
    pub traces: Option<Traces>,
}

/// Why a request may pass. It can be had only from the policy and the replay guard.
#[derive(Debug)]
pub enum Grant {
    /// The policy asks for no proof.
    Unsigned(Open),
    /// The proofs are true, enough and new.
    Verified(Unused),
}

impl Grant {
    /// The keys that signed.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        match self {
            Self::Unsigned(_) => None,
            Self::Verified(unused) => Some(unused.permitted().keys()),
        }
        .into_iter()
        .flatten()
    }

    /// Names of fields that must not reach the backend.
    #[must_use]
    pub fn fields_to_remove(&self) -> &[String] {
        match self {
            Self::Unsigned(open) => open.fields_to_remove(),
            Self::Verified(unused) => unused.permitted().fields_to_remove(),
        }
    }
}

/// What a policy permits, before anything is claimed.
enum Permit {
    Unsigned(Open),
    Proven(Permitted),
}

/// What becomes of the request.
#[derive(Debug)]
pub enum Verdict {
    Allowed(Grant),
    /// It would have been denied, but the policy only observes, and none below it enforces anything here.
    Observed,
    Denied {
        denial: Denial,
        /// What to sign instead, where that would help.
        challenge: Option<Challenge>,
    },
}

impl Verdict {
    /// As logs, metadata and traces call it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Allowed(_) => "allow",
            Self::Observed => "observe",
            Self::Denied { .. } => "deny",
        }
    }
}

/// What a policy that only observes would have denied.
#[derive(Debug)]
pub struct Observation {
    pub policy: Arc<str>,
    pub denial: Denial,
    /// How often it did so with this code, this time included.
    pub times: u64,
}

/// The answer to one check.
#[derive(Debug)]
pub struct Decision {
    /// Names this decision in the answer, the log and the evidence: a UUIDv7 (RFC 9562 §5.7).
    pub id: Uuid,
    /// The policy that decided, where one was found.
    pub policy: Option<Arc<str>>,
    pub verdict: Verdict,
    /// What was observed on the way, whatever the verdict is.
    pub observed: Option<Observation>,
    /// Why the decision is not recorded, where it passes all the same.
    pub unrecorded: Option<Unavailable>,
    /// The receipt for the backend, where proofs were verified and the policy has one.
    pub receipt: Option<String>,
}

impl Relay {
    /// A relay by this configuration, with these keys. `store` remembers used proofs for as long as any of the policies
    /// would accept them.
    #[must_use]
    pub fn new(
        mut config: Config,
        keys: impl Into<TrustStore>,
        store: Arc<dyn ReplayStore>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let acceptance = config.policies.acceptance();
        Self {
            guard: Guard::new(std::mem::take(&mut config.enforcement_point), store, acceptance),
            misses: watch::Sender::new(()),
            clock,
            admission: Admission::new(config.in_flight, config.in_flight_bytes),
            metrics: Metrics::new(),
            observed: Observed::default(),
            evidence: None,
            receipts: None,
            traces: None,
            rules: RwLock::new(Arc::new(Rules::new(config, keys.into()))),
        }
    }

    /// What decisions are made by now.
    #[must_use]
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Decides by these rules from now on. The log tells of them first, where it can.
    pub async fn replace(&self, rules: Rules) {
        let now = self.clock.now();
        if let Some(evidence) = &self.evidence
            && let Err(error) = evidence.begin(&rules, now).await
        {
            // A key that was taken out of the trust store must not go on working because a disk is full.
            tracing::error!(%error, "the change of the rules is not recorded");
        }
        self.guard.remember(rules.policies.acceptance(), now);
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    /// Decides by these rules about a request, or about the reason why it could not even be read.
    ///
    /// Whatever the outcome, it is recorded before it is answered. The stopwatch was started when the message came.
    pub async fn check(
        &self,
        rules: &Rules,
        request: Result<Request<'_>, Denial>,
        place: Option<Place>,
        stopwatch: &mut Stopwatch,
    ) -> Decision {
        stopwatch.lap(&self.metrics, Stage::Read);
        let id = id_at(self.clock.now());
        let (decision, grounds) = match &request {
            Err(denial) => (Decision::denied(id, denial.clone()), Grounds::default()),
            Ok(_) if place.is_none() => {
                let denial = Denial::new(Code::Overloaded, "try again later");
                (Decision::denied(id, denial), Grounds::default())
            }
            Ok(request) => self.decide(rules, id, request, stopwatch).await,
        };
        let mut decision = self.record(rules, decision, request.as_ref().ok(), &grounds).await;
        if self.evidence.is_some() {
            stopwatch.lap(&self.metrics, Stage::Record);
        }
        decision.receipt = request.as_ref().ok().and_then(|request| self.receipt(rules, &decision, request));
        if decision.receipt.is_some() {
            stopwatch.lap(&self.metrics, Stage::Receipt);
        }
        self.metrics.decided(&decision, stopwatch.total());
        if decision.code() == Some(Code::KeyUnknown) {
            self.misses.send_replace(());
        }
        decision.log(stopwatch.total());
        decision
    }

    /// The first policy whose condition holds decides. One that cannot be evaluated decides too: it denies.
    ///
    /// A policy that only observes decides where none below it enforces: whatever it would say, what an older policy
    /// protects stays protected.
    async fn decide(
        &self,
        rules: &Rules,
        id: Uuid,
        request: &Request<'_>,
        stopwatch: &mut Stopwatch,
    ) -> (Decision, Grounds) {
        let facts = match Facts::of(request) {
            Ok(facts) => facts,
            Err(denial) => {
                stopwatch.lap(&self.metrics, Stage::Decide);
                return (Decision::denied(id, denial), Grounds::default());
            }
        };
        let mut observing: Option<(&Policy, Result<Permit, Denial>, Grounds)> = None;
        let mut left_out = Vec::new();
        for policy in rules.policies.matching(facts.target(), request.route_policy) {
            if observing.is_some() && policy.mode == Mode::Observe {
                continue;
            }
            let mut grounds = Grounds::default();
            let permit = match self.permit(rules, &facts, policy, &mut grounds) {
                Ok(Some(permit)) => Ok(permit),
                Ok(None) => {
                    left_out.push(&*policy.name);
                    continue;
                }
                Err(denial) => Err(denial),
            };
            if policy.mode == Mode::Observe {
                observing = Some((policy, permit, grounds));
                continue;
            }
            let observed =
                observing.and_then(|(policy, permit, _)| Some(self.observe(policy, permit.err()?)));
            let policy_name = Some(Arc::clone(&policy.name));
            let verdict = match self.grant(request, permit, stopwatch).await {
                Ok(grant) => Verdict::Allowed(grant),
                Err(denial) => {
                    let asks = denial.code.asks_for_proof();
                    let challenge = asks.then(|| Challenge::new(policy, request)).flatten();
                    Verdict::Denied { denial, challenge }
                }
            };
            return (Decision::new(id, policy_name, verdict, observed), grounds);
        }
        let Some((policy, permit, grounds)) = observing else {
            let denial = Policies::none_for(facts.target(), request.path(), &left_out);
            stopwatch.lap(&self.metrics, Stage::Decide);
            return (Decision::denied(id, denial), Grounds::default());
        };
        let (verdict, observed) = match self.grant(request, permit, stopwatch).await {
            Ok(grant) => (Verdict::Allowed(grant), None),
            Err(denial) => (Verdict::Observed, Some(self.observe(policy, denial))),
        };
        let policy = Some(Arc::clone(&policy.name));
        (Decision::new(id, policy, verdict, observed), grounds)
    }

    /// Record, then answer. What cannot be recorded does not pass, unless its policy says so.
    async fn record(
        &self,
        rules: &Rules,
        mut decision: Decision,
        request: Option<&Request<'_>>,
        grounds: &Grounds,
    ) -> Decision {
        let Some(evidence) = &self.evidence else { return decision };
        let now = self.clock.now();
        let Err(unavailable) = evidence.record(&decision, request, grounds, &rules.digest, now).await else {
            return decision;
        };
        let passes = !matches!(decision.verdict, Verdict::Denied { .. });
        let policy = decision.policy.as_deref().and_then(|name| rules.policies.named(name));
        let best_effort = policy.is_some_and(|policy| policy.evidence == Evidence::BestEffort);
        if passes && best_effort {
            decision.unrecorded = Some(unavailable);
        } else if passes {
            let denial = Denial::new(Code::EvidenceUnavailable, "try again later")
                .with_particulars(unavailable.to_string());
            decision.verdict = Verdict::Denied { denial, challenge: None };
        }
        evidence.lose(decision.unrecorded.is_some(), Arc::clone(&rules.digest), now);
        decision
    }

    fn observe(&self, policy: &Policy, denial: Denial) -> Observation {
        let times = self.observed.count(&policy.name, denial.code);
        Observation { policy: Arc::clone(&policy.name), denial, times }
    }

    /// What is checked, and in what order. Each step takes what only the step before can make. Nothing comes of it where
    /// the policy's condition is false.
    fn permit(
        &self,
        rules: &Rules,
        facts: &Facts<'_>,
        policy: &Policy,
        grounds: &mut Grounds,
    ) -> Result<Option<Permit>, Denial> {
        let request = facts.request();
        if !policy.applies(facts, None, &rules.limits)? {
            return Ok(None);
        }
        grounds.condition_held =
            policy.condition.as_ref().is_some_and(|condition| !condition.reads().signers);
        policy.admit(request)?;
        let Some(requirement) = policy.requirement() else {
            return Ok(Some(Permit::Unsigned(policy.open(request)?)));
        };
        let fields = ProofFields::of(&request.fields);
        let message = policy.message(request, &rules.field_types);
        let now = self.clock.now();
        let noted = self.evidence.is_some().then_some(&mut grounds.checked);
        let verified =
            verify::verify_noting(&fields, &message, requirement, &rules.keys, &rules.limits, now, noted)?;
        if !policy.applies(facts, Some(&verified), &rules.limits)? {
            return Ok(None);
        }
        grounds.condition_held = policy.condition.is_some();
        if self.evidence.is_some() {
            grounds.approve(&policy.approvals_given(&verified, now));
        }
        Ok(Some(Permit::Proven(policy.permit(&verified, request, now)?)))
    }

    /// The last step: the proofs are claimed, once the policy that decides is found.
    async fn grant(
        &self,
        request: &Request<'_>,
        permit: Result<Permit, Denial>,
        stopwatch: &mut Stopwatch,
    ) -> Result<Grant, Denial> {
        stopwatch.lap(&self.metrics, Stage::Decide);
        match permit? {
            Permit::Unsigned(open) => Ok(Grant::Unsigned(open)),
            Permit::Proven(permitted) => {
                let unused = self.guard.claim(permitted, request.stream_id, self.clock.now()).await;
                stopwatch.lap(&self.metrics, Stage::Claim);
                Ok(Grant::Verified(unused?.at(self.clock.now())?))
            }
        }
    }
}

impl Relay {
    /// The receipt of a decision: nothing but a claimed proof gets one.
    fn receipt(&self, rules: &Rules, decision: &Decision, request: &Request<'_>) -> Option<String> {
        let Verdict::Allowed(Grant::Verified(unused)) = &decision.verdict else { return None };
        let receipts = self.receipts.as_ref()?;
        let policy = rules.policies.named(decision.policy.as_deref()?)?;
        let message = policy.message(request, &rules.field_types);
        receipts.write(policy.receipt_for()?, decision, &message, unused, self.clock.now())
    }
}

impl Decision {
    fn new(id: Uuid, policy: Option<Arc<str>>, verdict: Verdict, observed: Option<Observation>) -> Self {
        Self { id, policy, verdict, observed, unrecorded: None, receipt: None }
    }

    /// A denial that no policy made.
    fn denied(id: Uuid, denial: Denial) -> Self {
        Self::new(id, None, Verdict::Denied { denial, challenge: None }, None)
    }

    /// The reason to deny, or why it would have been denied; none where the request is allowed on its merits.
    #[must_use]
    pub fn denial(&self) -> Option<&Denial> {
        match &self.verdict {
            Verdict::Allowed(_) => None,
            Verdict::Observed => self.observed.as_ref().map(|observed| &observed.denial),
            Verdict::Denied { denial, .. } => Some(denial),
        }
    }

    /// The code of that reason.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        self.denial().map(|denial| denial.code)
    }

    /// Writes what every decision leaves in the log: no header value, no body, no signature base.
    fn log(&self, duration: Duration) {
        let id = self.id;
        let policy = self.policy.as_deref().unwrap_or_default();
        let duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        // As texts, which the log quotes: a label or key id must not be able to forge fields of the line.
        if let Some(Observation { policy, denial, times }) = &self.observed {
            let (policy, code) = (&**policy, denial.code.as_str());
            let (detail, particulars) = (&*denial.detail, &*denial.particulars);
            tracing::warn!(%id, decision = "observe", code, policy, times, detail, particulars, duration_us);
        }
        if let Some(reason) = &self.unrecorded {
            tracing::error!(%id, policy, %reason, "allowed without a record");
        }
        match &self.verdict {
            // Its line stands above.
            Verdict::Observed => {}
            Verdict::Allowed(grant) => {
                let key_id = joined(grant.keys().map(|key| &*key.id));
                let subject = joined(grant.keys().map(|key| &*key.subject));
                tracing::info!(%id, decision = "allow", code = "", policy, key_id, subject, duration_us);
            }
            Verdict::Denied { denial, .. } => {
                let (code, detail, particulars) =
                    (denial.code.as_str(), &*denial.detail, &*denial.particulars);
                if denial.code.is_internal() {
                    tracing::error!(%id, decision = "deny", code, policy, detail, particulars, duration_us);
                } else {
                    tracing::info!(%id, decision = "deny", code, policy, detail, particulars, duration_us);
                }
            }
        }
    }
}

/// Comma separated, as headers and logs have it.
pub(crate) fn joined<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    let mut joined = String::new();
    for part in parts {
        if !joined.is_empty() {
            joined.push(',');
        }
        joined.push_str(part);
    }
    joined
}

fn id_at(now: Timestamp) -> Uuid {
    let since_epoch = now.since_epoch();
    Uuid::new_v7(uuid::Timestamp::from_unix(
        uuid::NoContext,
        since_epoch.as_secs(),
        since_epoch.subsec_nanos(),
    ))
}
