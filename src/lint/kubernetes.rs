//! Routes as resources of Kubernetes: Istio's `VirtualService`, and `HTTPRoute` and `GRPCRoute` of the Gateway API. The
//! proxies apply them behind ext_authz.

use super::Linter;
use super::node::Node;
use super::rule::Rule;

/// When Istio repeats, where a `retries` does not say it.
const ISTIO_RETRIES_ON: &str = "connect-failure,refused-stream,unavailable,cancelled,503";

impl<'a> Linter<'a> {
    pub(super) fn virtual_service(&mut self, root: &Node<'a>) {
        self.understands("VirtualService", root);
        let Some(spec) = root.get("spec") else { return };
        for route in spec.list("http") {
            self.istio_headers(&route);
            for destination in route.list("route") {
                self.istio_headers(&destination);
            }
            self.proven(&route, "rewrite");
            if let Some(retries) = route.get("retries").filter(repeats) {
                let conditions = retries.text_of("retryOn").filter(|conditions| !conditions.is_empty());
                self.retried(&retries, conditions.unwrap_or(ISTIO_RETRIES_ON));
            }
        }
    }

    fn istio_headers(&mut self, holder: &Node<'a>) {
        let Some(request) = holder.path(&["headers", "request"]) else { return };
        for headers in ["set", "add"].iter().filter_map(|name| request.get(name)) {
            for (name, at) in headers.members() {
                self.header_set(name, &at);
            }
        }
        for name in request.list("remove") {
            self.header_removed(name.text().unwrap_or_default(), &name);
        }
    }

    /// An HTTPRoute or a GRPCRoute.
    pub(super) fn gateway_route(&mut self, kind: &'static str, root: &Node<'a>) {
        self.understands(kind, root);
        let Some(spec) = root.get("spec") else { return };
        for rule in spec.list("rules") {
            let backends = rule.list("backendRefs");
            for filter in std::iter::once(&rule).chain(&backends).flat_map(|holder| holder.list("filters")) {
                self.gateway_headers(&filter);
                self.proven(&filter, "urlRewrite");
            }
            if let Some(retry) = rule.get("retry").filter(repeats) {
                let found = "expected no repetition of what was sent, but found a retry";
                self.report(Rule::RetryPolicy, &retry, found);
            }
        }
    }

    fn gateway_headers(&mut self, filter: &Node<'a>) {
        let Some(modifier) = filter.get("requestHeaderModifier") else { return };
        for header in ["set", "add"].iter().flat_map(|name| modifier.list(name)) {
            self.header_set(header.text_of("name").unwrap_or_default(), &header);
        }
        for name in modifier.list("remove") {
            self.header_removed(name.text().unwrap_or_default(), &name);
        }
    }

    fn proven(&mut self, holder: &Node<'a>, rewrite: &str) {
        if let Some(node) = holder.get(rewrite) {
            let found = format!("expected the request as it was proven, but found {rewrite}");
            self.report(Rule::RouteRewrite, &node, found);
        }
    }
}

fn repeats(retries: &Node<'_>) -> bool {
    retries.get("attempts").and_then(|attempts| attempts.number()) != Some(0.0)
}
