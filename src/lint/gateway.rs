//! Envoy Gateway.

use super::Linter;
use super::body::BodyNames;
use super::envoy::Extent;
use super::node::Node;
use super::rule::Rule;

/// Envoy Gateway knows neither partial bodies nor bytes.
const BODY: BodyNames =
    BodyNames { max_bytes: "maxRequestBytes", partial: "allowPartialMessage", as_bytes: None };

/// Filters that may change requests, by the names that `filterOrder` has for them.
const REWRITING: &[&str] = &[
    "envoy.filters.http.lua",
    "envoy.filters.http.ext_proc",
    "envoy.filters.http.wasm",
    "envoy.filters.http.oauth2",
    "envoy.filters.http.credential_injector",
];

const EXT_AUTHZ: &str = "envoy.filters.http.ext_authz";

/// The kinds that a policy is attached to.
pub(super) fn targets<'a>(policy: &Node<'a>) -> Vec<&'a str> {
    let Some(spec) = policy.get("spec") else { return Vec::new() };
    let mut targets = spec.list("targetRefs");
    targets.extend(spec.get("targetRef"));
    targets.extend(spec.list("targetSelectors"));
    targets.iter().filter_map(|target| target.text_of("kind")).collect()
}

/// Whether a policy without extAuth takes the place of one with it: the most specific applies, and applies alone.
pub(super) fn replaces(policy: &Node<'_>) -> bool {
    let of_routes = targets(policy).iter().any(|kind| matches!(*kind, "HTTPRoute" | "GRPCRoute"));
    of_routes && policy.path(&["spec", "mergeType"]).is_none()
}

/// The Gateways that a policy names, by namespace and name, and whether it is for all of their listeners.
fn gateways<'a>(policy: &Node<'a>) -> Vec<((&'a str, &'a str), bool)> {
    let namespace = policy.path(&["metadata", "namespace"]).and_then(|name| name.text()).unwrap_or_default();
    let Some(spec) = policy.get("spec") else { return Vec::new() };
    let mut targets = spec.list("targetRefs");
    targets.extend(spec.get("targetRef"));
    targets.retain(|target| target.text_of("kind") == Some("Gateway"));
    let named =
        |target: &Node<'a>| Some(((namespace, target.text_of("name")?), target.get("sectionName").is_none()));
    targets.iter().filter_map(named).collect()
}

/// Those that it is for as a whole.
pub(super) fn whole_gateways<'a>(policy: &Node<'a>) -> Vec<(&'a str, &'a str)> {
    gateways(policy).into_iter().filter(|(_, whole)| *whole).map(|(gateway, _)| gateway).collect()
}

impl<'a> Linter<'a> {
    /// A resource of Envoy Gateway, by its kind.
    pub(super) fn envoy_gateway(&mut self, kind: &str, root: &Node<'a>) {
        let Some(spec) = root.get("spec") else { return };
        match kind {
            "SecurityPolicy" => self.security_policy(root, &spec),
            "ClientTrafficPolicy" => {
                self.understands("ClientTrafficPolicy", root);
                self.client_traffic(root, &spec);
            }
            "EnvoyExtensionPolicy" => {
                self.understands("EnvoyExtensionPolicy", root);
                // By default these come behind ext_authz.
                for name in ["lua", "extProc", "wasm"] {
                    for extension in spec.list(name) {
                        let found =
                            format!("expected requests to stay as they were proven, but found {name}");
                        self.report(Rule::RewritingFilter, &extension, found);
                    }
                }
            }
            "EnvoyPatchPolicy" => {
                self.understands("EnvoyPatchPolicy", root);
                for patch in spec.list("jsonPatches") {
                    self.json_patch(&patch);
                }
            }
            "EnvoyProxy" => {
                self.understands("EnvoyProxy", root);
                self.filter_order(&spec);
            }
            _ => self.ignores(kind, root),
        }
    }

    fn security_policy(&mut self, root: &Node<'a>, spec: &Node<'a>) {
        let Some(ext_auth) = spec.get("extAuth") else {
            self.understands("SecurityPolicy", root);
            if self.facts.gateway_asks && replaces(root) {
                let found =
                    "expected extAuth as for the Gateway, but found a policy that replaces it without";
                self.report(Rule::RouteExempt, spec, found);
            }
            return;
        };
        self.asks("SecurityPolicy with extAuth", root);
        if let Some(http) = ext_auth.get("http") {
            self.report(Rule::HttpService, &http, "expected extAuth.grpc, but found http");
        }
        self.off(Rule::FailureModeAllow, &ext_auth, "failOpen");
        self.off(Rule::ClearRouteCache, &ext_auth, "recomputeRoute");
        if let Some(headers) = ext_auth.get("headersToExtAuth").filter(|node| !node.items().is_empty()) {
            let found = format!("expected every header to be shown, but found {}", headers.shown());
            self.report(Rule::HiddenHeaders, &headers, found);
        }
        match ext_auth.get("bodyToExtAuth") {
            Some(settings) => self.body(&settings, &BODY, Extent::Whole),
            None => self.report(Rule::NoBody, &ext_auth, "expected bodyToExtAuth, but found none"),
        }
        self.timeout(&ext_auth, "10s");
        if ext_auth.get("grpc").is_some() {
            let found =
                "expected raw headers and bodies, but found extAuth of Envoy Gateway, which shows text";
            self.report(Rule::NotRaw, &ext_auth, found);
        }
    }

    fn client_traffic(&mut self, root: &Node<'a>, spec: &Node<'a>) {
        // Envoy Gateway cannot refuse such paths by a route. Where every route of the Gateway asks the relay, that does it;
        // elsewhere they reach a route that no SecurityPolicy targets: //transfers is not below /transfers, but below /.
        let gateways = gateways(root);
        let all_ask = spec.get("targetSelectors").is_none()
            && !gateways.is_empty()
            && !self.facts.gateway_exempts
            && gateways.iter().all(|(gateway, _)| self.facts.asking_gateways.contains(gateway));
        if let Some(path) = spec.get("path").filter(|_| !all_ask) {
            self.off(Rule::PathAmbiguous, &path, "disableMergeSlashes");
            if let Some(action) = path.get("escapedSlashesAction")
                && action.text() == Some("KeepUnchanged")
            {
                let found = "expected RejectRequest, but found KeepUnchanged";
                self.report(Rule::PathAmbiguous, &action, found);
            }
        }
        if let Some(action) = spec.path(&["headers", "withUnderscoresAction"])
            && action.text() == Some("Allow")
        {
            self.report(Rule::Underscores, &action, "expected RejectRequest, but found Allow");
        }
        for name in ["set", "add", "addIfAbsent"] {
            let Some(early) = spec.path(&["headers", "earlyRequestHeaders", name]) else { continue };
            for header in early.items() {
                let key = header.get("name").map(|key| key.shown()).unwrap_or_default();
                let found = format!("expected headers to be removed only, but found that {key} is set");
                self.report(Rule::EarlyMutation, &header, found);
            }
        }
    }

    /// An order that puts a filter that may change requests in front of ext_authz, or ext_authz behind one.
    fn filter_order(&mut self, spec: &Node<'a>) {
        for position in spec.list("filterOrder") {
            let name = |member: &str| position.text_of(member).unwrap_or_default();
            let rewriting = if name("before") == EXT_AUTHZ {
                name("name")
            } else if name("name") == EXT_AUTHZ {
                name("after")
            } else {
                continue;
            };
            if REWRITING.contains(&rewriting) {
                let found = format!(
                    "expected no filter that can change requests before ext_authz, but found {rewriting}"
                );
                self.report(Rule::RewrittenBefore, &position, found);
            }
        }
    }
}
