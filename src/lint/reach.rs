//! Ways to a backend that do not lead past the relay: other listeners and filter chains.
//!
//! What they reach decides. A cluster that routes behind ext_authz use as well, by its name or by its address, is a way
//! around the relay. Any other may hold something to protect: a note. What answers by itself, or leads to Envoy's own
//! admin interface, reaches no backend.

use std::collections::HashSet;

use super::Linter;
use super::clusters::addresses;
use super::facts::{Facts, is_connection_manager, visit};
use super::node::{Message, Node};
use super::rule::Rule;

/// Network filters that end a chain and reach nothing.
const ANSWERING: &[&str] = &[".echo.", ".direct_response."];

impl<'a> Linter<'a> {
    /// A listener, whose filter chains are not all of HTTP.
    pub(super) fn listener(&mut self, listener: &Node<'a>) {
        for chain in listener.list("filter_chains").iter().chain(&listener.get("default_filter_chain")) {
            self.filter_chain(chain);
        }
    }

    pub(super) fn filter_chain(&mut self, chain: &Node<'a>) {
        let filters = chain.list("filters");
        let http = |filter: &Node<'_>| {
            filter.get("typed_config").is_some_and(|config| is_connection_manager(&config))
                || filter.text_of("name").is_some_and(|name| name.contains("http_connection_manager"))
        };
        // The last one is the one that ends the chain.
        if let Some(last) = filters.last()
            && !filters.iter().any(http)
        {
            self.network_filter(last);
        }
    }

    /// A network filter that is not a connection manager, and ends a chain.
    pub(super) fn network_filter(&mut self, filter: &Node<'a>) {
        let Some(config) = filter.get("typed_config") else {
            return self.reaches(filter, &[], "a filter that is not among the files");
        };
        let name = Message::of(&config).map(|message| message.name).unwrap_or_default();
        if ANSWERING.iter().any(|part| name.contains(part)) {
            return;
        }
        let kind = name.rsplit_once('.').map_or(name, |(_, kind)| kind);
        self.reaches(&config, &clusters(&config), kind);
    }

    /// A connection manager without ext_authz.
    pub(super) fn without_ext_authz(&mut self, manager: &Node<'a>) {
        let found = "a connection manager without it";
        match self.facts.routes_of(manager) {
            Some(routes) => {
                let reached = backends(&routes, &|_| false);
                if !reached.is_empty() {
                    self.reaches(manager, &reached, found);
                }
            }
            None => self.reaches(manager, &[], found),
        }
    }

    /// Clusters that are reached without the relay; none where that is not known.
    fn reaches(&mut self, at: &Node<'a>, clusters: &[&str], found: &str) {
        // An internal listener is reached through clusters only, and those are looked at where they are used.
        if !self.facts.ext_authz_seen || self.internal {
            return;
        }
        if let Some(cluster) = clusters.iter().find(|cluster| self.facts.protects(cluster)) {
            let found = format!("expected ext_authz before the backend of {cluster:?}, but found {found}");
            self.report(Rule::WayAround, at, found);
        } else if clusters.is_empty() || !clusters.iter().all(|cluster| self.facts.is_admin(cluster)) {
            let found = format!("expected an ext_authz filter as on another listener, but found {found}");
            self.report(Rule::NoExtAuthz, at, found);
        }
    }
}

impl<'a> Facts<'a> {
    /// The routes of a connection manager, where they are among the files.
    pub(super) fn routes_of(&self, manager: &Node<'a>) -> Option<Node<'a>> {
        manager.get("route_config").or_else(|| {
            let name = manager.path(&["rds", "route_config_name"])?;
            self.routes.get(name.text()?).cloned()
        })
    }

    /// Notes what is behind ext_authz. A route that is exempt from it protects nothing.
    pub(super) fn protect(&mut self, managers: &[Node<'a>]) {
        let mut protected = HashSet::new();
        for routes in managers.iter().filter_map(|manager| self.routes_of(manager)) {
            protected.extend(backends(&routes, &|holder| self.exempts(holder)));
        }
        let known = protected.iter().filter_map(|cluster| self.clusters.get(cluster));
        self.protected_addresses = known.flat_map(addresses).collect();
        self.protected = protected;
    }

    fn exempts(&self, holder: &Node<'a>) -> bool {
        let configs = holder.get("typed_per_filter_config").map(|configs| configs.members());
        configs.unwrap_or_default().iter().any(|(filter, config)| {
            (self.ext_authz_names.contains(filter) || filter.contains("ext_authz"))
                && config.is_true("disabled")
        })
    }

    fn protects(&self, cluster: &str) -> bool {
        self.protected.contains(cluster)
            || self.addresses(cluster).iter().any(|address| self.protected_addresses.contains(address))
    }

    /// Whether a cluster is Envoy's admin interface, as listeners for monitoring show it.
    fn is_admin(&self, cluster: &str) -> bool {
        let addresses = self.addresses(cluster);
        !addresses.is_empty() && addresses.iter().all(|address| self.admin.contains(address))
    }

    fn addresses(&self, cluster: &str) -> Vec<String> {
        self.clusters.get(cluster).map(addresses).unwrap_or_default()
    }
}

/// The clusters that routes lead to, without those under what is left out. One that a header names is none of the
/// configuration's, and stands for itself.
fn backends<'a>(routes: &Node<'a>, left_out: &dyn Fn(&Node<'a>) -> bool) -> Vec<&'a str> {
    let mut found = Vec::new();
    for host in routes.list("virtual_hosts").iter().filter(|host| !left_out(host)) {
        found.extend(host.get("matcher").iter().flat_map(clusters));
        for route in host.list("routes").iter().filter(|route| !left_out(route)) {
            let Some(action) = route.get("route") else { continue };
            let named = clusters(&action);
            if named.is_empty() {
                found.push("(chosen by the request)");
            }
            found.extend(named);
        }
    }
    found
}

/// The clusters that are named in or below a node.
fn clusters<'a>(node: &Node<'a>) -> Vec<&'a str> {
    let mut found = Vec::new();
    visit(node, &mut |node| {
        found.extend(node.text_of("cluster"));
        for weighted in node.get("weighted_clusters").iter().flat_map(|node| node.list("clusters")) {
            found.extend(weighted.text_of("name"));
        }
    });
    found
}
