//! Whose names a document uses, so that a finding says what can be written in that document.

use super::node::Node;
use super::rule::Rule;

/// The API that a document is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    /// Also of patches, which hold Envoy's own messages.
    Envoy,
    Istio,
    /// Envoy Gateway, and the Gateway API under it.
    Gateway,
}

impl Api {
    pub(super) fn of(root: &Node<'_>) -> Self {
        match (root.text_of("apiVersion"), root.text_of("kind")) {
            (_, Some("EnvoyFilter" | "EnvoyPatchPolicy")) => Self::Envoy,
            (Some(api), Some(_)) if api.starts_with("gateway.") => Self::Gateway,
            (Some(_), Some(_)) => Self::Istio,
            _ if super::istio::mesh_configuration(root).is_some() => Self::Istio,
            _ => Self::Envoy,
        }
    }

    /// What to do about a rule: [`Rule::fix`] has Envoy's names, which stay where the others have no name of their own.
    pub(super) fn fix(self, rule: Rule) -> &'static str {
        let own = match self {
            Self::Envoy => None,
            Self::Istio => istio(rule),
            Self::Gateway => gateway(rule),
        };
        own.unwrap_or_else(|| rule.fix())
    }
}

fn istio(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::FailureModeAllow => "Set failOpen: false.",
        Rule::HttpService => "Use envoyExtAuthzGrpc.",
        Rule::NoBody => "Set includeRequestBodyInCheck with maxRequestBytes: 1048576.",
        Rule::PartialBody => "Set allowPartialMessage: false.",
        Rule::TextBody => "Set packAsBytes: true.",
        Rule::BodyLimit => "Set maxRequestBytes: 1048576, or raise limits.body_bytes of the relay as well.",
        Rule::NotRaw => {
            "Nothing here sets it: let an EnvoyFilter set encode_raw_headers: true, or live with the refusals."
        }
        Rule::ClearRouteCache => "Leave clearRouteCache out.",
        Rule::ShadowMode => {
            "Take the annotation istio.io/dry-run away; to roll out step by step, use a policy's `mode: observe`."
        }
        Rule::NoTimeout => "Set timeout: 0.5s.",
        Rule::StatusOnError => "Set statusOnError: \"503\".",
        Rule::PathAmbiguous => "Set pathNormalization.normalization: BASE, or leave it out.",
        Rule::RetryPolicy => {
            "Set retryOn to connect-failure, refused-stream and reset-before-request only, or attempts: 0."
        }
        _ => return None,
    })
}

fn gateway(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::FailureModeAllow => "Set failOpen: false.",
        Rule::HttpService => "Use extAuth.grpc.",
        Rule::RouteExempt => {
            "Give this policy extAuth as well, and write a policy of the relay with `proof: none` for what needs none."
        }
        Rule::NoBody => "Set bodyToExtAuth with maxRequestBytes: 1048576.",
        Rule::BodyLimit => "Set maxRequestBytes: 1048576, or raise limits.body_bytes of the relay as well.",
        Rule::NotRaw => {
            "Nothing here sets it: let an EnvoyPatchPolicy set encode_raw_headers and pack_as_bytes, or live with the refusals."
        }
        Rule::HiddenHeaders => "Leave headersToExtAuth out, so that the relay sees every one.",
        Rule::ClearRouteCache => "Leave recomputeRoute out.",
        Rule::PathAmbiguous => {
            "Let a SecurityPolicy with extAuth target the whole Gateway, so that the relay refuses such paths; or leave disableMergeSlashes out and set escapedSlashesAction: RejectRequest."
        }
        Rule::RewrittenBefore => "Take this entry out of filterOrder.",
        Rule::NoTimeout => "Set extAuth.timeout: 500ms.",
        Rule::Underscores => "Set headers.withUnderscoresAction: RejectRequest, or leave it out.",
        Rule::RetryPolicy => "Take the retry out.",
        _ => return None,
    })
}
