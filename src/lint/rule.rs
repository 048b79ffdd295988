//! What the linter knows to be wrong: one name, one severity, what it is worth to an attacker, and what to do.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// Whether a finding undoes the protection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It does, and the command fails.
    Error,
    /// It does not, but the operator should know.
    Note,
}

macro_rules! rules {
    ($($rule:ident $severity:ident $name:literal gain $gain:literal fix $fix:literal)*) => {
        /// A rule. Its name is a contract: scripts and `--allow` use it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rule { $(#[doc = $gain] $rule),* }

        impl Rule {
            /// Every rule.
            pub const ALL: &'static [Self] = &[$(Self::$rule),*];

            /// Its stable name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$rule => $name),* }
            }

            /// What a breach of it means.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self { $(Self::$rule => Severity::$severity),* }
            }

            /// What an attacker gains, or what the operator should know.
            #[must_use]
            pub fn gain(self) -> &'static str {
                match self { $(Self::$rule => $gain),* }
            }

            /// What to do about it.
            #[must_use]
            pub fn fix(self) -> &'static str {
                match self { $(Self::$rule => $fix),* }
            }
        }
    };
}

rules! {
    FailureModeAllow Error "failure-mode-allow"
        gain "Whoever makes the relay fail or slow gets every request through without a proof."
        fix "Set failure_mode_allow: false."
    ShadowMode Error "shadow-mode"
        gain "A denied request reaches the backend all the same."
        fix "Leave shadow_mode out; to roll out step by step, use a policy's `mode: observe`."
    FilterDisabled Error "filter-disabled"
        gain "The relay is asked only about routes that turn the filter on; all others need no proof."
        fix "Leave `disabled` out, and exempt single routes instead."
    FilterEnabled Error "filter-enabled"
        gain "Requests that are not chosen reach the backend without a proof: sending again is enough."
        fix "Leave filter_enabled out, or set deny_at_disable with default_value: true."
    EnabledByMetadata Error "enabled-by-metadata"
        gain "A request without that metadata reaches the backend without a proof."
        fix "Leave filter_enabled_metadata out, or set deny_at_disable with default_value: true."
    ConditionalFilter Error "conditional-filter"
        gain "A request that is made so that the matcher skips the filter needs no proof."
        fix "Use the ext_authz filter itself, without ExtensionWithMatcher."
    FilterRemoved Error "filter-removed"
        gain "Where the patch applies, no request needs a proof."
        fix "Take the patch out."
    RouteExempt Error "route-exempt"
        gain "Requests on this route reach the backend without a proof, with any x-proof-* header that the client likes."
        fix "Take the exemption out and write a policy with `proof: none`, so that the relay still cleans the request."
    WayAround Error "way-around"
        gain "Whoever reaches this listener or filter chain gets to a protected backend without a proof, with any x-proof-* header that they like."
        fix "Put ext_authz in front of it as well, or let it lead to other backends only."
    PolicyScope Error "policy-scope"
        gain "The relay is not asked about any other request: it reaches the workload without a proof."
        fix "Use one empty rule (`rules: [{}]`) and leave exemptions to the relay's policies."
    UnknownProvider Error "unknown-provider"
        gain "The relay is never asked: Istio denies every request, until somebody takes the policy out."
        fix "Name a provider of meshConfig.extensionProviders."
    TwiceNamed Error "twice-named"
        gain "The proxy takes the one that stands last, a reader the one seen first: what is off may be on."
        fix "Leave one of the two out."
    HttpService Error "http-service"
        gain "The relay speaks gRPC only: every check fails, and nothing passes until somebody sets failure_mode_allow."
        fix "Use grpc_service."
    RelayProtocol Error "relay-protocol"
        gain "gRPC needs HTTP/2: every check fails, and nothing passes until somebody sets failure_mode_allow."
        fix "Give the cluster typed_extension_protocol_options (HttpProtocolOptions) with explicit_http_config: {http2_protocol_options: {}}."
    UnseenFilter Error "unseen-filter"
        gain "Its settings can undo the protection, and were not checked."
        fix "Pass the file that defines it as well."
    TransportVersion Error "transport-api-version"
        gain "Envoy refuses the configuration, or calls a service that the relay does not offer."
        fix "Set transport_api_version: V3."
    V2Type Error "v2-type"
        gain "Envoy refuses a type of its removed v2 API, so the filter is not there."
        fix "Use type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz."
    NoBody Error "no-body"
        gain "The relay denies what must have a body, but a chunked one on a GET or DELETE looks like none and reaches the backend unchecked."
        fix "Set with_request_body with max_request_bytes: 1048576."
    PartialBody Error "partial-body"
        gain "The relay is shown the beginning of a large body only, and has to deny every such request."
        fix "Set allow_partial_message: false."
    TextBody Error "text-body"
        gain "Each byte that is not UTF-8 reaches the relay as `!`: different bodies look the same, so honest ones are denied."
        fix "Set pack_as_bytes: true."
    BodyLimit Note "body-limit"
        gain "The relay refuses bodies above its own limit, and Envoy holds them in memory for nothing."
        fix "Set max_request_bytes: 1048576, or raise limits.body_bytes of the relay as well."
    RawHeaders Error "raw-headers"
        gain "Envoy joins header lines and replaces bytes, so that different requests look the same; the relay refuses what it cannot tell apart."
        fix "Set encode_raw_headers: true."
    NotRaw Note "not-raw"
        gain "Different requests look the same; the relay refuses what it cannot tell apart, honest requests among them."
        fix "Nothing here sets it: let an EnvoyFilter of Istio or an EnvoyPatchPolicy of Envoy Gateway set encode_raw_headers and pack_as_bytes, or live with the refusals."
    HiddenHeaders Error "hidden-headers"
        gain "A field that the relay never sees is neither verified nor protected: the client can write it."
        fix "Leave the lists of headers out, so that the relay sees every one."
    HeaderMutations Error "header-mutations"
        gain "The relay can remove nothing: a client's own `x-proof-status: verified` reaches the backend."
        fix "Set disallow_system: true instead of disallow_all."
    ForgedHeader Error "forged-header"
        gain "The backend takes it for the word of the relay."
        fix "Leave headers that begin with x-proof- to the relay."
    ClearRouteCache Error "clear-route-cache"
        gain "The route is chosen again after the decision: a request can reach a backend that its policy was not chosen for."
        fix "Leave clear_route_cache out."
    PathAmbiguous Error "path-ambiguous"
        gain "The relay refuses such paths, but wherever it is not asked, /public/../transfers or //transfers is a way around it."
        fix "Refuse such paths by the first route of each virtual host, or set normalize_path and merge_slashes; and set path_with_escaped_slashes_action: REJECT_REQUEST."
    RewrittenBefore Error "rewritten-before"
        gain "The relay checks something else than the client signed: who steers this filter steers what is proven."
        fix "Put ext_authz in front of it."
    CachedBefore Error "cached-before"
        gain "Answers come from the cache without a proof: one honest request opens them to everybody."
        fix "Put ext_authz in front of the cache."
    EarlyMutation Error "early-mutation"
        gain "The relay sees what the proxy wrote, not what the client signed."
        fix "Only remove headers here; let the backend or a filter behind ext_authz add them."
    Upgrades Error "upgrades"
        gain "A proof covers the handshake; whatever follows it is unsigned and never checked."
        fix "Leave upgrade_configs out, or accept this rule where a policy of the relay says `upgrades: true`."
    RewritingFilter Note "rewriting-filter"
        gain "The backend may get something else than was proven, or the relay something else than was signed."
        fix "Be sure of what it changes and where it stands: nothing that a proof covers, and behind ext_authz."
    RemovedHeader Note "removed-header"
        gain "The backend does not learn what the relay found, and cannot tell who is verified."
        fix "Remove headers that begin with x-proof- before ext_authz only, where clients may have sent them."
    RouteRewrite Note "route-rewrite"
        gain "The backend gets another path or host than was signed and decided about."
        fix "Be sure that no two signed paths become one resource that a stricter policy protects."
    RetryPolicy Note "retry-policy"
        gain "Envoy repeats a request that was proven once, and does not ask the relay again."
        fix "Retry only on connect-failure, refused-stream or reset-before-request, or not at all."
    RewritesSigned Note "rewrites-signed"
        gain "It rewrites what was signed before the relay sees it: honest signatures over another spelling fail."
        fix "Leave requests as they were signed, and refuse what is ambiguous."
    Underscores Note "underscores"
        gain "Some backends read x_tenant and x-tenant as one field: an unsigned x_tenant overrides the signed x-tenant."
        fix "Set common_http_protocol_options: {headers_with_underscores_action: REJECT_REQUEST}."
    UncheckedMutations Note "unchecked-mutations"
        gain "A relay that was taken over can put into a request what no header may hold."
        fix "Set validate_mutations: true."
    HeaderLimit Note "header-limit"
        gain "The relay refuses headers above its own limit of 64 KiB, and Envoy holds them in memory for nothing."
        fix "Set max_request_headers_kb to 64 at most, or raise limits.header_bytes of the relay as well."
    TrustedAddress Note "trusted-address"
        gain "A client can state its own address in x-forwarded-for, and logs and backends believe it."
        fix "Set use_remote_address: true, and xff_num_trusted_hops to the number of your own proxies."
    NoTimeout Note "no-timeout"
        gain "Too short, and each stall fails honest requests; too long, and a relay that hangs makes the proxy hold the bodies of everyone."
        fix "Set a timeout of 0.5s, and max_interval of a retry policy to the same."
    StatusOnError Note "status-on-error"
        gain "Clients and monitoring take a failure of the relay for a decision."
        fix "Set status_on_error to 503."
    RuntimeSwitch Note "runtime-switch"
        gain "Whoever can change the runtime of Envoy turns the filter off."
        fix "Leave filter_enabled out, or deny_at_disable without a runtime key."
    NoExtAuthz Note "no-ext-authz"
        gain "What arrives here needs no proof."
        fix "Be sure that no protected backend can be reached this way."
    UnseenRoutes Note "unseen-routes"
        gain "Routes can exempt requests from the relay, and these were not checked."
        fix "Pass the file that defines them as well."
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Rule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|rule| rule.name() == text).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|rule| rule.name()).collect();
            format!("expected one of {}, but found {text:?}", names.join(", "))
        })
    }
}
