//! What to tell a client that another proof would help: `Accept-Signature` and `Want-Content-Digest`.

use super::{Policy, Terms};
use crate::proof::Name;
use crate::request::{Body, Request};
use crate::structured_field::string;
use crate::verify::{BodyRule, QueryRule};

/// The fields of a denial that say what to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// `Accept-Signature` (RFC 9421 §5.1).
    pub accept_signature: String,
    /// `Want-Content-Digest` (RFC 9530 §4), where the digest is asked for.
    pub want_content_digest: Option<&'static str>,
}

impl Challenge {
    /// What the policy asks of this request, where it asks for anything.
    #[must_use]
    pub fn new(policy: &Policy, request: &Request<'_>) -> Option<Self> {
        let Terms::Proof { requirement, .. } = &policy.terms else { return None };
        let mut cover: Vec<String> = requirement.cover.iter().map(ToString::to_string).collect();
        let mut add = |component: String| {
            if !cover.contains(&component) {
                cover.push(component);
            }
        };
        let covers_query = requirement
            .cover
            .iter()
            .any(|name| matches!(name, Name::TargetUri | Name::Query | Name::RequestTarget));
        if requirement.query == QueryRule::Bound && request.query().is_some() && !covers_query {
            add(Name::Query.to_string());
        }
        for field in policy.protect.fields.iter().filter(|field| request.fields.contains(field)) {
            add(format!("\"{field}\""));
        }
        let has_body = !matches!(request.body, Body::Absent | Body::Complete([]));
        if requirement.body == BodyRule::Bound && has_body {
            add("\"content-digest\"".to_owned());
        }
        let asks_for_digest = cover.iter().any(|component| component == "\"content-digest\"");
        let mut signature = format!("({});created;keyid", cover.join(" "));
        if requirement.expires_required {
            signature.push_str(";expires");
        }
        // A signature for each tag. Labels mean nothing beyond this message (RFC 9421 §5.1).
        let accept_signature = match requirement.tags.as_slice() {
            [] => format!("sig={signature}"),
            // A tag is printable ASCII: the configuration checks that.
            [tag] => format!("sig={signature};tag={}", string(tag)),
            tags => {
                let members =
                    (1..).zip(tags).map(|(at, tag)| format!("sig{at}={signature};tag={}", string(tag)));
                members.collect::<Vec<_>>().join(", ")
            }
        };
        Some(Self {
            accept_signature,
            want_content_digest: asks_for_digest.then_some("sha-256=10, sha-512=5"),
        })
    }
}
