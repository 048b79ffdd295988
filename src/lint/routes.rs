//! Routes: where the relay is not asked, and what changes a request after the decision.

use super::Linter;
use super::facts::visit;
use super::node::{Message, Node};
use super::rule::Rule;

/// Conditions for a retry under which the backend did not get the request.
const NOT_SENT: &[&str] = &["connect-failure", "refused-stream", "reset-before-request"];

impl<'a> Linter<'a> {
    /// The routes of a connection manager, where they stand in it. Those that it names are looked at by themselves.
    pub(super) fn routes_of(&mut self, manager: &Node<'a>) {
        if let Some(routes) = manager.get("route_config") {
            self.route_configuration(&routes);
        }
        if let Some(name) = manager.path(&["rds", "route_config_name"])
            && !name.text().is_some_and(|text| self.facts.routes.contains_key(text))
        {
            let found =
                format!("expected the routes {} among the files, but found them nowhere", name.shown());
            self.report(Rule::UnseenRoutes, &name, found);
        }
        for routes in scoped_routes(manager) {
            self.route_configuration(&routes);
        }
        if let Some(scoped) = manager.get("scoped_routes").filter(|scoped| !is_whole(scoped)) {
            let found = "expected routes in a file, but found that they are chosen by scope";
            self.report(Rule::UnseenRoutes, &scoped, found);
        }
    }

    pub(super) fn route_configuration(&mut self, routes: &Node<'a>) {
        self.holder(routes, true);
        for host in routes.list("virtual_hosts") {
            self.virtual_host(&host);
        }
        if let Some(vhds) = routes.get("vhds") {
            let found = "expected virtual hosts in a file, but found that they are discovered (VHDS)";
            self.report(Rule::UnseenRoutes, &vhds, found);
        }
    }

    pub(super) fn virtual_host(&mut self, host: &Node<'a>) {
        let routes = host.list("routes");
        // Without routes of its own it may be a patch, or matched otherwise.
        let forwards = routes.is_empty() || routes.iter().any(forwards);
        self.holder(host, forwards);
        self.retries(host);
        for route in &routes {
            self.route(route);
        }
        if let Some(matcher) = host.get("matcher") {
            self.matched_routes(&matcher);
        }
    }

    /// The routes that are actions of a matcher, however deep they stand in it.
    fn matched_routes(&mut self, matcher: &Node<'a>) {
        let mut routes = Vec::new();
        visit(matcher, &mut |node| {
            let Some(message) = Message::of(node) else { return };
            match message.name {
                "envoy.config.route.v3.Route" => routes.push(message.fields),
                "envoy.config.route.v3.RouteList" => routes.extend(message.fields.list("routes")),
                _ => {}
            }
        });
        for route in &routes {
            self.route(route);
        }
    }

    pub(super) fn route(&mut self, route: &Node<'a>) {
        // A patch of a route may say nothing of what it does.
        let forwards =
            forwards(route) || (route.get("direct_response").is_none() && route.get("redirect").is_none());
        self.holder(route, forwards);
        let Some(action) = route.get("route") else { return };
        self.retries(&action);
        for upgrade in action.list("upgrade_configs") {
            self.upgrade(&upgrade);
        }
        for cluster in
            action.get("weighted_clusters").map(|clusters| clusters.list("clusters")).unwrap_or_default()
        {
            self.holder(&cluster, true);
            self.rewrites(&cluster);
        }
        self.rewrites(&action);
    }

    /// What routes, virtual hosts and clusters of routes have in common.
    fn holder(&mut self, holder: &Node<'a>, forwards: bool) {
        self.per_filter(holder, forwards);
        for option in holder.list("request_headers_to_add") {
            let Some(key) = option.path(&["header", "key"]) else { continue };
            self.header_set(key.text().unwrap_or_default(), &key);
        }
        for name in holder.list("request_headers_to_remove") {
            self.header_removed(name.text().unwrap_or_default(), &name);
        }
    }

    fn rewrites(&mut self, action: &Node<'a>) {
        for name in [
            "prefix_rewrite",
            "regex_rewrite",
            "path_rewrite_policy",
            "path_rewrite",
            "host_rewrite_literal",
            "host_rewrite_header",
            "host_rewrite_path_regex",
            "host_rewrite",
            "auto_host_rewrite",
        ] {
            if let Some(node) = action.get(name).filter(|node| node.flag() != Some(false)) {
                let found = format!("expected the request as it was proven, but found {name}");
                self.report(Rule::RouteRewrite, &node, found);
            }
        }
    }

    fn retries(&mut self, holder: &Node<'a>) {
        let Some(policy) = holder.get("retry_policy") else { return };
        let Some(conditions) = policy.text_of("retry_on") else { return };
        self.retried(&policy, conditions);
    }

    /// A policy that repeats on these conditions, separated by commas.
    pub(super) fn retried(&mut self, policy: &Node<'a>, conditions: &str) {
        let sent = conditions.split(',').map(str::trim).find(|condition| !NOT_SENT.contains(condition));
        if let Some(condition) = sent {
            let found = format!("expected no repetition of what was sent, but found one on {condition:?}");
            self.report(Rule::RetryPolicy, policy, found);
        }
    }
}

fn scopes<'a>(scoped: &Node<'a>) -> Vec<Node<'a>> {
    let list = scoped.path(&["scoped_route_configurations_list", "scoped_route_configurations"]);
    list.map(|list| list.items()).unwrap_or_default()
}

/// The routes of scopes, where they stand in a connection manager.
pub(super) fn scoped_routes<'a>(manager: &Node<'a>) -> Vec<Node<'a>> {
    let scopes = manager.get("scoped_routes").map(|scoped| scopes(&scoped)).unwrap_or_default();
    scopes.iter().filter_map(|scope| scope.get("route_configuration")).collect()
}

/// Whether every scope has its routes with it.
fn is_whole(scoped: &Node<'_>) -> bool {
    let scopes = scopes(scoped);
    !scopes.is_empty() && scopes.iter().all(|scope| scope.get("route_configuration").is_some())
}

/// Whether a route sends requests to a backend.
pub(super) fn forwards(route: &Node<'_>) -> bool {
    route.get("route").is_some()
}
