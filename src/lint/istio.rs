//! Istio: providers in the mesh configuration, and the policies that send requests to them.

use super::Linter;
use super::body::BUFFER_SETTINGS;
use super::envoy::Extent;
use super::node::Node;
use super::rule::Rule;

/// What in an operation or a source of a rule leaves requests out.
const LIMITING: &[&str] = &[
    "hosts",
    "notHosts",
    "ports",
    "notPorts",
    "methods",
    "notMethods",
    "paths",
    "notPaths",
    "principals",
    "notPrincipals",
    "requestPrincipals",
    "notRequestPrincipals",
    "namespaces",
    "notNamespaces",
    "serviceAccounts",
    "notServiceAccounts",
    "ipBlocks",
    "notIpBlocks",
    "remoteIpBlocks",
    "notRemoteIpBlocks",
];

/// The mesh configuration in a document: alone (also in the ConfigMap of Istio), as a Helm value, or as a part of a
/// resource of one of the operators.
pub(super) fn mesh_configuration<'a>(root: &Node<'a>) -> Option<Node<'a>> {
    let of_resource: &[&[&str]] = match root.text_of("kind") {
        Some("IstioOperator") => &[&["spec", "meshConfig"], &["spec", "values", "meshConfig"]],
        Some("Istio") => &[&["spec", "values", "meshConfig"]],
        Some("ServiceMeshControlPlane") => &[&["spec", "techPreview", "meshConfig"]],
        Some(_) => return None,
        None => &[&["meshConfig"]],
    };
    of_resource.iter().find_map(|path| root.path(path)).or_else(|| {
        let alone = ["extensionProviders", "pathNormalization"].iter().any(|name| root.get(name).is_some());
        (root.get("kind").is_none() && alone).then(|| root.clone())
    })
}

impl<'a> Linter<'a> {
    /// A Kubernetes resource, by its kind.
    pub(super) fn istio(&mut self, kind: &str, root: &Node<'a>) {
        match kind {
            "AuthorizationPolicy" => self.authorization_policy(root),
            "EnvoyFilter" => self.envoy_filter(root),
            "VirtualService" => self.virtual_service(root),
            "HTTPRoute" => self.gateway_route("HTTPRoute", root),
            "GRPCRoute" => self.gateway_route("GRPCRoute", root),
            // What a ConfigMap holds are documents of their own.
            "IstioOperator" | "Istio" | "ServiceMeshControlPlane" | "ConfigMap" => {
                self.mesh_configuration(root)
            }
            _ => self.ignores(kind, root),
        }
    }

    pub(super) fn mesh_configuration(&mut self, root: &Node<'a>) {
        let Some(mesh) = mesh_configuration(root) else { return };
        self.understands("mesh configuration", &mesh);
        for provider in mesh.list("extensionProviders") {
            if let Some(grpc) = provider.get("envoyExtAuthzGrpc") {
                self.asks("ext_authz provider", &provider);
                self.grpc_provider(&grpc);
            } else if let Some(http) = provider.get("envoyExtAuthzHttp") {
                // Beside a gRPC provider, one that speaks HTTP is somebody else's.
                if !self.facts.grpc_providers.is_empty() {
                    self.ignores("HTTP ext_authz provider", &provider);
                    continue;
                }
                self.asks("ext_authz provider", &provider);
                let found = "expected envoyExtAuthzGrpc, but found envoyExtAuthzHttp";
                self.report(Rule::HttpService, &http, found);
            }
        }
        if let Some(node) = mesh.path(&["pathNormalization", "normalization"]) {
            match node.text() {
                Some("NONE") => {
                    let found = "expected paths to be normalised, but found NONE";
                    self.report(Rule::PathAmbiguous, &node, found);
                }
                Some(level @ ("MERGE_SLASHES" | "DECODE_AND_MERGE_SLASHES")) => {
                    let found = format!("expected paths as they were signed, but found {level}");
                    self.report(Rule::RewritesSigned, &node, found);
                }
                _ => {}
            }
        }
    }

    fn grpc_provider(&mut self, provider: &Node<'a>) {
        self.off(Rule::FailureModeAllow, provider, "failOpen");
        self.off(Rule::ClearRouteCache, provider, "clearRouteCache");
        match provider.get("includeRequestBodyInCheck") {
            Some(settings) => self.body(&settings, &BUFFER_SETTINGS, Extent::Whole),
            None => {
                self.report(Rule::NoBody, provider, "expected includeRequestBodyInCheck, but found none");
            }
        }
        self.timeout(provider, "600s");
        self.report(
            Rule::NotRaw,
            provider,
            "expected raw headers, but found a provider of Istio, which joins header lines",
        );
        match provider.get("statusOnError") {
            None => {
                let found = "expected statusOnError, but found none: it is 403";
                self.report(Rule::StatusOnError, provider, found);
            }
            Some(node) if node.number().is_some_and(|number| number < 400.0) => {
                let found = format!("expected the status of a failure, but found {}", node.shown());
                self.report(Rule::StatusOnError, &node, found);
            }
            Some(_) => {}
        }
    }

    fn authorization_policy(&mut self, root: &Node<'a>) {
        let Some(spec) = root.get("spec") else { return };
        // Other actions decide by themselves; whatever they deny, they do not let more through.
        if spec.text_of("action") != Some("CUSTOM") {
            return self.understands("AuthorizationPolicy", root);
        }
        self.asks("CUSTOM AuthorizationPolicy", root);
        if let Some(dry) = root.path(&["metadata", "annotations", "istio.io/dry-run"]).filter(Node::may_be_on)
        {
            let found = format!("expected a policy that decides, but found a dry run: {}", dry.shown());
            self.report(Rule::ShadowMode, &dry, found);
        }
        match spec.path(&["provider", "name"]) {
            None => {
                self.report(Rule::UnknownProvider, &spec, "expected the name of a provider, but found none");
            }
            Some(name) => self.provider_name(&name),
        }
        self.rules(&spec);
    }

    fn provider_name(&mut self, name: &Node<'a>) {
        let facts = &self.facts;
        let known = name
            .text()
            .is_some_and(|text| facts.grpc_providers.contains(text) || facts.http_providers.contains(text));
        if known {
            return;
        }
        if facts.mesh_seen {
            let found = format!("expected a provider of the mesh configuration, but found {}", name.shown());
            self.report(Rule::UnknownProvider, name, found);
        } else {
            let found =
                format!("expected the provider {} among the files, but found it nowhere", name.shown());
            self.report(Rule::UnseenFilter, name, found);
        }
    }

    /// One rule that matches everything is enough: rules are alternatives.
    fn rules(&mut self, spec: &Node<'a>) {
        let rules = spec.list("rules");
        if rules.is_empty() {
            let at = spec.get("rules").unwrap_or_else(|| spec.clone());
            return self.report(
                Rule::PolicyScope,
                &at,
                "expected a rule, but found none: nothing ever matches",
            );
        }
        if rules.iter().any(|rule| limits(rule).is_empty()) {
            return;
        }
        for limit in rules.iter().flat_map(limits) {
            self.report(Rule::PolicyScope, &limit.0, limit.1);
        }
    }
}

/// What limits a rule, and what that means. Alternatives within `to` and `from` count only where all of them limit.
fn limits<'a>(rule: &Node<'a>) -> Vec<(Node<'a>, String)> {
    let mut found = Vec::new();
    for (name, part) in [("to", "operation"), ("from", "source")] {
        let entries = rule.list(name);
        let of_entries: Vec<Vec<(Node<'a>, String)>> =
            entries.iter().map(|entry| fields(entry, part)).collect();
        if of_entries.iter().all(|fields| !fields.is_empty()) {
            found.extend(of_entries.into_iter().flatten());
        }
    }
    if let Some(when) = rule.get("when").filter(|when| !when.items().is_empty()) {
        found.push((when, "expected every request to be checked, but found a condition".to_owned()));
    }
    found
}

fn fields<'a>(entry: &Node<'a>, part: &str) -> Vec<(Node<'a>, String)> {
    let Some(operation) = entry.get(part) else { return Vec::new() };
    let limiting = LIMITING.iter().filter_map(|name| Some((*name, operation.get(name)?)));
    limiting
        .filter(|(name, node)| !matches_everything(name, node))
        .map(|(name, node)| {
            let found = format!("expected every request to be checked, but found {name} {}", node.shown());
            (node, found)
        })
        .collect()
}

/// `*` and `/*` are all paths, and `*` all hosts and methods. Of a source it is not all: `*` asks for an identity.
fn matches_everything(name: &str, list: &Node<'_>) -> bool {
    let all = |item: &Node<'_>| {
        matches!(
            (name, item.text()),
            ("paths" | "hosts" | "methods", Some("*")) | ("paths", Some("/*" | "/{**}"))
        )
    };
    list.items().is_empty() || list.items().iter().any(all)
}
