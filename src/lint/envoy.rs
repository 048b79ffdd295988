//! Envoy: connection managers, wherever they stand.

use super::Linter;
use super::facts::{is_connection_manager, is_ext_authz, is_route_configuration};
use super::node::{Message, Node};
use super::rule::Rule;

/// How much of something a file states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it: what is not there has its default.
    Whole,
    /// A patch: what is not there is as it was, and nothing can be said of it.
    Patch,
}

impl<'a> Linter<'a> {
    /// Walks a tree of Envoy's configuration. Bootstraps, discovery responses and configuration dumps nest differently,
    /// but what they nest says of which type it is.
    pub(super) fn envoy(&mut self, node: &Node<'a>) {
        if is_connection_manager(node) {
            self.understands("HTTP connection manager", node);
            return self.connection_manager(node, Extent::Whole);
        }
        if is_route_configuration(node) {
            self.understands("route configuration", node);
            return self.route_configuration(node);
        }
        match Message::of(node) {
            // A filter that comes by itself, over ECDS.
            Some(message) if message.is_ext_authz() => {
                self.understands("ext_authz configuration", node);
                return self.ext_authz(node, &message, Extent::Whole);
            }
            Some(message) if message.name.ends_with(".VirtualHost") => {
                self.understands("virtual host", node);
                return self.virtual_host(node);
            }
            Some(message) if message.name.ends_with(".Cluster") => self.understands("cluster", node),
            _ => {}
        }
        if node.get("filter_chains").is_some() {
            self.understands("listener", node);
            let within = std::mem::replace(&mut self.internal, node.get("internal_listener").is_some());
            self.listener(node);
            self.inside(node);
            self.internal = within;
        } else {
            self.inside(node);
        }
    }

    fn inside(&mut self, node: &Node<'a>) {
        for item in node.items() {
            self.envoy(&item);
        }
        for (_, member) in node.members() {
            self.envoy(&member);
        }
    }

    /// A connection manager, or a patch of one.
    pub(super) fn connection_manager(&mut self, manager: &Node<'a>, extent: Extent) {
        let filters = manager.list("http_filters");
        // Where one speaks gRPC, those that speak HTTP are somebody else's.
        let one_speaks_grpc = filters.iter().any(|filter| asks_by(filter, "grpc_service"));
        let is_anothers = |filter: &Node<'_>| one_speaks_grpc && asks_by(filter, "http_service");
        let is_the_relays = |filter: &Node<'_>| is_ext_authz(filter) && !is_anothers(filter);
        let at = filters.iter().position(is_the_relays);
        if at.is_none() && extent == Extent::Whole {
            return self.without_ext_authz(manager);
        }
        if let Some(at) = at {
            self.filters_around(&filters, at);
        }
        for filter in filters.iter().filter(|filter| is_the_relays(filter)) {
            self.asks("ext_authz filter", filter);
            self.http_filter(filter, extent);
        }
        for filter in filters.iter().filter(|filter| is_anothers(filter)) {
            self.ignores("HTTP ext_authz filter", filter);
        }
        self.early_mutations(manager);
        self.upgrades(manager);
        self.normalisation(manager);
        self.addresses(manager, extent);
        self.header_limits(manager, extent);
        if extent == Extent::Whole {
            self.paths(manager);
        }
        self.routes_of(manager);
    }

    /// An ext_authz filter in its place in a list.
    pub(super) fn http_filter(&mut self, filter: &Node<'a>, extent: Extent) {
        if let Some(disabled) = filter.get("disabled").filter(Node::may_be_on) {
            let found = format!("expected the filter to be on, but found disabled: {}", disabled.shown());
            self.report(Rule::FilterDisabled, &disabled, found);
        }
        let Some(config) = filter.get("typed_config") else {
            // Until it is discovered, this holds.
            if let Some(config) = filter.path(&["config_discovery", "default_config"])
                && let Some(message) = Message::of(&config)
            {
                self.ext_authz(&config, &message, extent);
            }
            // A patch without one leaves it as it was.
            if extent == Extent::Patch && filter.get("config_discovery").is_none() {
                return;
            }
            let name = filter.text_of("name").unwrap_or_default();
            if !self.facts.discovered_filters.contains(name) {
                let message = format!("expected the filter {name:?} among the files, but found it nowhere");
                self.report(Rule::UnseenFilter, filter, message);
            }
            return;
        };
        if let Some(message) = Message::of(&config) {
            self.ext_authz(&config, &message, extent);
        }
    }

    fn upgrades(&mut self, manager: &Node<'a>) {
        for upgrade in manager.list("upgrade_configs") {
            self.upgrade(&upgrade);
        }
    }

    /// An entry of `upgrade_configs`, of a connection manager or a route. It is on unless it says otherwise.
    pub(super) fn upgrade(&mut self, upgrade: &Node<'a>) {
        if upgrade.get("enabled").and_then(|enabled| enabled.flag()) != Some(false) {
            let kind = upgrade.get("upgrade_type").map(|kind| kind.shown()).unwrap_or_default();
            self.report(Rule::Upgrades, upgrade, format!("expected no upgrades, but found {kind}"));
        }
    }

    /// What rewrites the parts of a request that clients sign, before any filter sees them.
    fn normalisation(&mut self, manager: &Node<'a>) {
        let switches = [
            "normalize_path",
            "merge_slashes",
            "strip_matching_host_port",
            "strip_any_host_port",
            "strip_trailing_host_dot",
        ];
        for switch in switches {
            if let Some(node) = manager.get(switch).filter(Node::may_be_on) {
                self.report(
                    Rule::RewritesSigned,
                    &node,
                    format!("expected {switch}: false, but found {}", node.shown()),
                );
            }
        }
        if let Some(action) = manager.get("path_with_escaped_slashes_action")
            && let Some(word @ ("UNESCAPE_AND_REDIRECT" | "UNESCAPE_AND_FORWARD")) =
                action.word(super::path::ESCAPED_SLASHES)
        {
            self.report(Rule::RewritesSigned, &action, format!("expected REJECT_REQUEST, but found {word}"));
        }
        if let Some(scheme) = manager.path(&["scheme_header_transformation", "scheme_to_overwrite"]) {
            let message = format!("expected the scheme as it came, but found {}", scheme.shown());
            self.report(Rule::RewritesSigned, &scheme, message);
        }
    }

    fn addresses(&mut self, manager: &Node<'a>, extent: Extent) {
        match manager.get("use_remote_address") {
            Some(node) if node.flag() == Some(true) => {}
            Some(node) => {
                let message = format!("expected use_remote_address: true, but found {}", node.shown());
                self.report(Rule::TrustedAddress, &node, message);
            }
            None if extent == Extent::Whole => {
                let message = "expected use_remote_address: true, but found none";
                self.report(Rule::TrustedAddress, manager, message);
            }
            None => {}
        }
    }
}

/// Whether a filter is ext_authz and asks a service of that kind.
fn asks_by(filter: &Node<'_>, service: &str) -> bool {
    let message = Message::of_filter(filter).filter(Message::is_ext_authz);
    message.is_some_and(|message| message.fields.get(service).is_some())
}
