//! From a decision to its record.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::borrow::Cow;
use std::sync::Arc;

use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};

use super::record::{self, Kind, Outcome, Text};
use super::redaction::redact;
use crate::crypto::PublicKey;
use crate::keys::{Key, kty_and_crv};
use crate::policy::Place;
use crate::relay::{Decision, Observation, Verdict};
use crate::request::Request;
use crate::rules::Rules;
use crate::timestamp::Timestamp;
use crate::verify::CheckedSignature;

/// What a decision rests on besides the request: gathered on the way, and true whatever the decision is.
#[derive(Debug, Default)]
pub struct Grounds {
    /// The signatures that were checked.
    pub checked: Vec<CheckedSignature>,
    /// Who gave which approval: the role that was asked for, and the label of the proof.
    pub approvals: Vec<(Option<Box<str>>, Box<str>)>,
    /// Whether the policy has a condition, and it held.
    pub condition_held: bool,
}

impl Grounds {
    /// Notes who gives which approval.
    pub fn approve(&mut self, places: &[Place<'_>]) {
        let given = places.iter().filter_map(|place| Some((place.role.map(Into::into), place.by?.into())));
        self.approvals = given.collect();
    }
}

/// What every record of a log says of where it comes from.
#[derive(Debug, Clone)]
pub struct Provenance {
    /// The origin of the log.
    pub log: Box<str>,
    /// Which relay.
    pub instance: Box<str>,
    /// Components whose values are not kept.
    pub redact: Vec<Box<str>>,
}

/// The version of the relay.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

impl Provenance {
    /// The record of a decision that was made at that time, under the configuration with this digest.
    #[must_use]
    pub fn decision<'a>(
        &'a self,
        decision: &'a Decision,
        request: Option<&'a Request<'_>>,
        grounds: &'a Grounds,
        config: &'a str,
        at: Timestamp,
    ) -> record::Decision<'a> {
        let (outcome, denial) = match &decision.verdict {
            Verdict::Allowed(_) => (Outcome::Allow, None),
            Verdict::Observed => (Outcome::Observe, decision.denial()),
            Verdict::Denied { denial, .. } => (Outcome::Deny, Some(denial)),
        };
        // What an observing policy says is the decision itself where it decided.
        let observed = decision.observed.as_ref().filter(|_| outcome != Outcome::Observe);
        let verified = grounds.checked.iter().any(|checked| checked.verified);
        record::Decision {
            approvals: match outcome {
                Outcome::Allow => grounds.approvals.iter().map(approval).collect(),
                Outcome::Deny | Outcome::Observe => Vec::new(),
            },
            code: denial.map(|denial| denial.code.as_str().into()),
            condition: grounds.condition_held.then_some(record::Condition::Held),
            config: config.into(),
            decision: outcome,
            detail: denial.map(|denial| (&*denial.detail).into()),
            id: decision.id.to_string().into(),
            instance: (&*self.instance).into(),
            log: (&*self.log).into(),
            observed: observed.map(observation),
            particulars: denial.and_then(|denial| said(&denial.particulars)),
            policy: decision.policy.as_deref().map(Into::into),
            presented: request.filter(|_| !verified).and_then(presented),
            proofs: grounds.checked.iter().map(|checked| proof(checked, &self.redact)).collect(),
            request: request.map(asked),
            time: rfc3339(at).into(),
            kind: Kind::Decision,
            version: VERSION.into(),
        }
    }

    /// The record of a relay that begins to decide by these rules.
    #[must_use]
    pub fn start<'a>(&'a self, rules: &'a Rules, at: Timestamp) -> record::Start<'a> {
        record::Start {
            config: (&*rules.digest).into(),
            instance: (&*self.instance).into(),
            keys: rules.key_digests.iter().map(|digest| (&**digest).into()).collect(),
            log: (&*self.log).into(),
            set_aside: None,
            taken_up: None,
            time: rfc3339(at).into(),
            kind: Kind::Start,
            version: VERSION.into(),
        }
    }

    /// The record of decisions that have none.
    #[must_use]
    pub fn lost<'a>(&'a self, losses: &'a Losses, at: Timestamp) -> record::Lost<'a> {
        record::Lost {
            allowed: losses.allowed,
            config: (&*losses.config).into(),
            denied: losses.denied,
            instance: (&*self.instance).into(),
            log: (&*self.log).into(),
            since: rfc3339(losses.since).into(),
            time: rfc3339(at).into(),
            kind: Kind::Lost,
            until: rfc3339(losses.until).into(),
            version: VERSION.into(),
        }
    }
}

/// Decisions that were answered without a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Losses {
    pub allowed: u64,
    pub denied: u64,
    pub since: Timestamp,
    pub until: Timestamp,
    /// SHA-256 of the configuration that the last of them was made under, in hexadecimal.
    pub config: Arc<str>,
}

impl Losses {
    /// One decision.
    #[must_use]
    pub fn one(allowed: bool, config: Arc<str>, at: Timestamp) -> Self {
        Self { allowed: u64::from(allowed), denied: u64::from(!allowed), since: at, until: at, config }
    }

    /// Both together; the other came later.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            allowed: self.allowed.saturating_add(other.allowed),
            denied: self.denied.saturating_add(other.denied),
            since: self.since.min(other.since),
            until: self.until.max(other.until),
            config: other.config,
        }
    }
}

/// RFC 3339, in UTC with microseconds. A time that no calendar has reads as the epoch.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    let micros = i64::try_from(at.since_epoch().as_micros()).ok();
    let time = micros.and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok()).unwrap_or_default();
    format!("{time:.6}")
}

fn said(text: &str) -> Option<Text<'_>> {
    (!text.is_empty()).then_some(text.into())
}

fn approval((role, label): &(Option<Box<str>>, Box<str>)) -> record::Approval<'_> {
    record::Approval { label: (&**label).into(), role: role.as_deref().map(Into::into) }
}

fn observation(Observation { policy, denial, .. }: &Observation) -> record::Observed<'_> {
    record::Observed {
        code: denial.code.as_str().into(),
        detail: (&*denial.detail).into(),
        particulars: said(&denial.particulars),
        policy: (&**policy).into(),
    }
}

fn asked<'a>(request: &'a Request<'_>) -> record::Request<'a> {
    record::Request {
        authority: request.authority.into(),
        method: request.method.into(),
        path: request.target.into(),
        scheme: request.scheme.into(),
        source_address: request.source.address.map(Into::into),
        source_principal: request.source.principal.map(Into::into),
        stream_id: said(request.stream_id),
    }
}

/// Where a proof was claimed and none verified: what was claimed. Bytes that are not UTF-8 read as U+FFFD.
fn presented<'a>(request: &'a Request<'_>) -> Option<record::Presented<'a>> {
    let field =
        |name| request.fields.combined(name).map(|value| String::from_utf8_lossy(&value).into_owned());
    let (signature, signature_input) = (field("signature"), field("signature-input"));
    if signature.is_none() && signature_input.is_none() {
        return None;
    }
    let text = |value: Option<String>| Cow::Owned(value.unwrap_or_default());
    Some(record::Presented { signature: text(signature), signature_input: text(signature_input) })
}

fn proof<'a>(checked: &'a CheckedSignature, names: &'a [Box<str>]) -> record::Proof<'a> {
    let (base, redacted) = match redact(&checked.base, names) {
        None => (Cow::Borrowed(&*checked.base), Vec::new()),
        Some((base, found)) => (Cow::Owned(base), found.into_iter().map(Into::into).collect()),
    };
    record::Proof {
        base,
        key: key(&checked.key),
        label: (&*checked.label).into(),
        redacted,
        signature: Base64::encode_string(&checked.signature).into(),
        verified: checked.verified,
    }
}

fn key(key: &Key) -> record::Key<'_> {
    record::Key {
        jwk: jwk(&key.public),
        kid: (&*key.id).into(),
        roles: key.roles.iter().map(|role| (&**role).into()).collect(),
        sub: (&*key.subject).into(),
        thumbprint: (&*key.thumbprint).into(),
    }
}

fn jwk(key: &PublicKey) -> record::Jwk<'static> {
    let (x, y) = key.coordinates();
    let (kty, crv) = kty_and_crv(key.algorithm());
    let coordinate = |bytes: [u8; 32]| Base64UrlUnpadded::encode_string(&bytes).into();
    record::Jwk { crv: crv.into(), kty: kty.into(), x: coordinate(x), y: y.map(coordinate) }
}
