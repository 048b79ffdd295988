//! Every reason to refuse a request: its code, its status, and the two texts that go with it.

use std::borrow::Cow;
use std::fmt;

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $code:literal, $status:literal, $title:literal;)*) => {
        /// A stable reason code. Clients, dashboards and alerts rely on these names.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($(#[doc = $doc])* $name,)* }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code as it stands in answers, logs and metadata.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The HTTP status of the answer.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// What the code means, in a few words: the `title` of the problem details (RFC 9457 §3.1.3).
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

codes! {
    /// The policy asks for a proof and the request carries none.
    ProofMissing = "proof-missing", 401, "The request carries no proof";
    /// A proof that counts cannot be read, or lacks a parameter that is required.
    ProofMalformed = "proof-malformed", 401, "The proof cannot be read";
    /// The `expires` parameter has passed.
    ProofExpired = "proof-expired", 401, "The proof has expired";
    /// `created` is longer ago than the policy's `max_age`.
    ProofTooOld = "proof-too-old", 401, "The proof is too old";
    /// `created` lies in the future by more than the clock skew.
    ProofFromFuture = "proof-from-future", 401, "The proof was created in the future";
    /// A component that the policy requires is not covered by the signature.
    ComponentUncovered = "component-uncovered", 401, "The proof does not cover a required component";
    /// The signature covers a component that the request lacks, or that cannot be shown to be as it was sent.
    ComponentMissing = "component-missing", 401, "The proof covers a component that the request lacks";
    /// No proof carries the tag that the policy asks for.
    TagMismatch = "tag-mismatch", 401, "No proof carries the required tag";
    /// The trust store holds no key of that id.
    KeyUnknown = "key-unknown", 401, "The signing key is not known";
    /// The key was revoked.
    KeyRevoked = "key-revoked", 401, "The signing key is revoked";
    /// The key is not valid yet, or no longer, now or when the proof was created.
    KeyNotValidNow = "key-not-valid-now", 401, "The signing key is outside its validity";
    /// The `alg` parameter names another algorithm than the key's.
    AlgorithmMismatch = "algorithm-mismatch", 401, "The algorithm is not the signing key's";
    /// The signature does not verify.
    SignatureInvalid = "signature-invalid", 401, "The signature does not verify";
    /// There is a body and no usable `Content-Digest`.
    DigestMissing = "digest-missing", 401, "The body has no digest";
    /// `Content-Digest` is not the digest of the body.
    DigestMismatch = "digest-mismatch", 401, "The digest is not that of the body";
    /// The proof was used before.
    Replayed = "replayed", 409, "The proof was used before";
    /// Fewer people than the policy asks for approved the request.
    ApprovalsInsufficient = "approvals-insufficient", 403, "Too few people approved this request";
    /// A signer does not hold a role that the policy asks for.
    SignerNotPermitted = "signer-not-permitted", 403, "A signer is not permitted here";
    /// The policy's condition cannot be evaluated for this request.
    ConditionFailed = "condition-failed", 403, "The policy's condition cannot be evaluated";
    /// No policy matches the request.
    NoPolicy = "no-policy", 403, "No policy allows this request";
    /// A field that the backend trusts is present and not covered.
    FieldUncovered = "field-uncovered", 403, "A protected field is not covered by the proof";
    /// Two parsers could read the path differently.
    PathAmbiguous = "path-ambiguous", 400, "The path is ambiguous";
    /// Two parsers could read the body differently, and the policy looks into it.
    BodyAmbiguous = "body-ambiguous", 400, "The body is ambiguous";
    /// The request, or what the proxy says of it, contradicts itself or a limit.
    RequestMalformed = "request-malformed", 400, "The request is malformed";
    /// An upgrade or CONNECT: what follows it cannot be proven.
    UpgradeRefused = "upgrade-refused", 400, "Upgrades are not allowed here";
    /// The body did not arrive whole.
    BodyTruncated = "body-truncated", 413, "The body is larger than can be verified";
    /// There must be a body, and the proxy did not send it.
    BodyUnavailable = "body-unavailable", 500, "The proxy did not pass on the body";
    /// More checks are in flight than the relay takes.
    Overloaded = "overloaded", 503, "Too many requests are being checked";
    /// The replay store is full, slow or gone.
    ReplayStoreUnavailable = "replay-store-unavailable", 503, "Replays cannot be ruled out";
    /// The decision cannot be recorded, and nothing passes without a record.
    EvidenceUnavailable = "evidence-unavailable", 503, "The decision cannot be recorded";
}

impl Code {
    /// Whether the relay failed rather than the request.
    ///
    /// Envoy is then told of an error instead of a denial, counts it as one and honours the operator's
    /// `failure_mode_allow`. `overloaded` and the body codes are not among them: a client can cause those, and must
    /// not be able to switch the check off.
    #[must_use]
    pub const fn is_internal(self) -> bool {
        matches!(self, Self::ReplayStoreUnavailable | Self::EvidenceUnavailable)
    }

    /// Whether another proof could change the answer: then `Accept-Signature` says which.
    #[must_use]
    pub const fn asks_for_proof(self) -> bool {
        matches!(self.status(), 401 | 409)
            || matches!(self, Self::FieldUncovered | Self::ApprovalsInsufficient)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal, with one text for the client and one for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}{}{}", if .particulars.is_empty() { "" } else { " | " }, .particulars)]
pub struct Denial {
    /// The reason.
    pub code: Code,
    /// One plain sentence that helps the honest client. It never says what the trust store holds.
    pub detail: Cow<'static, str>,
    /// What only the operator may know: for the log.
    pub particulars: Cow<'static, str>,
}

impl Denial {
    #[must_use]
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), particulars: Cow::Borrowed("") }
    }

    /// Adds what only the operator may know.
    #[must_use]
    pub fn with_particulars(mut self, particulars: impl Into<Cow<'static, str>>) -> Self {
        self.particulars = particulars.into();
        self
    }
}

/// `text` fit for a message: printable ASCII, and short. Denials quote names and labels that a stranger chose.
#[must_use]
pub fn quoted(text: &str) -> String {
    const LONGEST: usize = 64;
    let mut quoted: String =
        text.chars().take(LONGEST).map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect();
    if text.chars().nth(LONGEST).is_some() {
        quoted.push('…');
    }
    quoted
}
