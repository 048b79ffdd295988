//! The records of a log, in the canonical form of RFC 8785.
//!
//! The members stand in the order of their names, as JCS has them, and no number is larger than 2^53: so what serde writes
//! is the canonical form. A test compares.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A text that is borrowed where it can be.
pub type Text<'a> = Cow<'a, str>;

/// A record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Record<'a> {
    Decision(Box<Decision<'a>>),
    Start(Start<'a>),
    Lost(Lost<'a>),
}

/// The kinds of records: the member `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Decision,
    Start,
    Lost,
}

/// What the relay decided about a request, and what about the request made it decide so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision<'a> {
    /// Who gave which approval, where approvals were asked for and given.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approval<'a>>,
    /// Why not, where it is no plain allow.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Text<'a>>,
    /// Where the policy has a condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
    /// SHA-256 of the configuration file in force, in hexadecimal.
    #[serde(borrow)]
    pub config: Text<'a>,
    pub decision: Outcome,
    /// The sentence that the client saw.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Text<'a>>,
    /// The id of the decision.
    #[serde(borrow)]
    pub id: Text<'a>,
    /// Which relay.
    #[serde(borrow)]
    pub instance: Text<'a>,
    /// The origin of the log that this was written to.
    #[serde(borrow)]
    pub log: Text<'a>,
    /// What a policy that only observes would have denied, where another one decided.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<Observed<'a>>,
    /// What only the operator saw.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub particulars: Option<Text<'a>>,
    /// The policy that decided.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Text<'a>>,
    /// The fields that claimed proofs, where none was verified.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub presented: Option<Presented<'a>>,
    /// The proofs whose signature was checked, in the order of their labels.
    #[serde(borrow)]
    pub proofs: Vec<Proof<'a>>,
    /// The request, as far as it could be read.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Request<'a>>,
    #[serde(borrow)]
    pub time: Text<'a>,
    #[serde(rename = "type")]
    pub kind: Kind,
    #[serde(borrow)]
    pub version: Text<'a>,
}

/// What became of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Allow,
    Deny,
    /// Allowed, though its policy would have denied it: that policy only observes.
    Observe,
}

/// What came of a policy's condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    Held,
}

/// One approval: which was asked for, and which proof gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval<'a> {
    #[serde(borrow)]
    pub label: Text<'a>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Text<'a>>,
}

/// What a policy that only observes would have denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observed<'a> {
    #[serde(borrow)]
    pub code: Text<'a>,
    #[serde(borrow)]
    pub detail: Text<'a>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub particulars: Option<Text<'a>>,
    #[serde(borrow)]
    pub policy: Text<'a>,
}

/// The fields that claimed proofs, as they came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Presented<'a> {
    #[serde(borrow)]
    pub signature: Text<'a>,
    #[serde(borrow)]
    pub signature_input: Text<'a>,
}

/// A proof whose signature was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof<'a> {
    /// The signature base (RFC 9421 §2.5).
    #[serde(borrow)]
    pub base: Text<'a>,
    #[serde(borrow)]
    pub key: Key<'a>,
    #[serde(borrow)]
    pub label: Text<'a>,
    /// Names of components whose value is replaced by its hash in `base`.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub redacted: Vec<Text<'a>>,
    /// Base64.
    #[serde(borrow)]
    pub signature: Text<'a>,
    /// Whether it is one over `base` by `key`.
    pub verified: bool,
}

/// A key of the trust store, as it was then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key<'a> {
    #[serde(borrow)]
    pub jwk: Jwk<'a>,
    #[serde(borrow)]
    pub kid: Text<'a>,
    #[serde(borrow)]
    pub roles: Vec<Text<'a>>,
    #[serde(borrow)]
    pub sub: Text<'a>,
    /// SHA-256 (RFC 7638), base64url.
    #[serde(borrow)]
    pub thumbprint: Text<'a>,
}

/// The required members of a public JWK (RFC 7638 §3.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwk<'a> {
    #[serde(borrow)]
    pub crv: Text<'a>,
    #[serde(borrow)]
    pub kty: Text<'a>,
    #[serde(borrow)]
    pub x: Text<'a>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub y: Option<Text<'a>>,
}

/// The request as the proxy showed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request<'a> {
    #[serde(borrow)]
    pub authority: Text<'a>,
    #[serde(borrow)]
    pub method: Text<'a>,
    /// With the query.
    #[serde(borrow)]
    pub path: Text<'a>,
    #[serde(borrow)]
    pub scheme: Text<'a>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub source_address: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub source_principal: Option<Text<'a>>,
    /// The proxy's own id of the request.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub stream_id: Option<Text<'a>>,
}

/// A relay begins to write, or goes on with another configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start<'a> {
    #[serde(borrow)]
    pub config: Text<'a>,
    #[serde(borrow)]
    pub instance: Text<'a>,
    /// SHA-256 of each trust-store file, in hexadecimal.
    #[serde(borrow)]
    pub keys: Vec<Text<'a>>,
    #[serde(borrow)]
    pub log: Text<'a>,
    /// An unfinished last line that was moved out of the file.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub set_aside: Option<SetAside<'a>>,
    /// How many records behind the last checkpoint the relay found and goes on from: those before this one. A crash leaves some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_up: Option<u64>,
    #[serde(borrow)]
    pub time: Text<'a>,
    #[serde(rename = "type")]
    pub kind: Kind,
    #[serde(borrow)]
    pub version: Text<'a>,
}

/// What a crash left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetAside<'a> {
    pub bytes: u64,
    /// In hexadecimal.
    #[serde(borrow)]
    pub sha256: Text<'a>,
}

/// Decisions that were answered without a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lost<'a> {
    pub allowed: u64,
    #[serde(borrow)]
    pub config: Text<'a>,
    pub denied: u64,
    #[serde(borrow)]
    pub instance: Text<'a>,
    #[serde(borrow)]
    pub log: Text<'a>,
    #[serde(borrow)]
    pub since: Text<'a>,
    #[serde(borrow)]
    pub time: Text<'a>,
    #[serde(rename = "type")]
    pub kind: Kind,
    #[serde(borrow)]
    pub until: Text<'a>,
    #[serde(borrow)]
    pub version: Text<'a>,
}

impl<'a> Record<'a> {
    /// Reads a record.
    ///
    /// # Errors
    /// When it is none of those that this version knows: a member too many, too few, twice, or of another type.
    pub fn parse(json: &'a str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Typed {
            #[serde(rename = "type")]
            kind: Kind,
        }
        match serde_json::from_str::<Typed>(json)?.kind {
            Kind::Decision => serde_json::from_str(json).map(Record::Decision),
            Kind::Start => serde_json::from_str(json).map(Record::Start),
            Kind::Lost => serde_json::from_str(json).map(Record::Lost),
        }
    }

    /// The canonical form (RFC 8785).
    ///
    /// # Errors
    /// Never: it consists of texts and small numbers.
    pub fn canonical(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}
