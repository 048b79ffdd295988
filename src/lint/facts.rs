//! What one place of the configuration has to know about all others.

use std::collections::{HashMap, HashSet};

use super::clusters::addresses;
use super::filters::{Effect, effect};
use super::node::{Message, Node};
use super::{gateway, istio};

/// The message that manages HTTP connections, without its version.
const CONNECTION_MANAGER: &str = ".HttpConnectionManager";

/// Facts of all files together.
#[derive(Default)]
pub(super) struct Facts<'a> {
    /// The names of ext_authz filters: routes refer to a filter by its name.
    pub(super) ext_authz_names: HashSet<&'a str>,
    /// The names of those whose configuration stands by itself, as ECDS delivers it.
    pub(super) discovered_filters: HashSet<&'a str>,
    /// The names of filters in front of one, and whether they would rewrite requests if they were on.
    pub(super) before_ext_authz: HashMap<&'a str, bool>,
    /// The services that such filters ask.
    pub(super) asked: HashSet<&'a str>,
    /// Whether a connection manager has one.
    pub(super) ext_authz_seen: bool,
    /// Route configurations that connection managers may refer to.
    pub(super) routes: HashMap<&'a str, Node<'a>>,
    /// Whether a mesh configuration is among the files.
    pub(super) mesh_seen: bool,
    /// The names of its gRPC and its HTTP providers.
    pub(super) grpc_providers: HashSet<&'a str>,
    pub(super) http_providers: HashSet<&'a str>,
    /// What the files say of keys of the runtime: all of it, since another layer may win elsewhere.
    pub(super) runtime: HashMap<String, Vec<Node<'a>>>,
    /// Whether a SecurityPolicy asks the relay for a whole Gateway.
    pub(super) gateway_asks: bool,
    /// The Gateways of which that is known, by namespace and name.
    pub(super) asking_gateways: HashSet<(&'a str, &'a str)>,
    /// Whether the policy of a route replaces one that asks the relay.
    pub(super) gateway_exempts: bool,
    /// Clusters, by their names.
    pub(super) clusters: HashMap<&'a str, Node<'a>>,
    /// The clusters of routes behind ext_authz, and where they lead.
    pub(super) protected: HashSet<&'a str>,
    pub(super) protected_addresses: HashSet<String>,
    /// Where Envoy's admin interface listens.
    pub(super) admin: HashSet<String>,
}

impl<'a> Facts<'a> {
    pub(super) fn of(roots: &[Node<'a>]) -> Self {
        let mut facts = Self::default();
        let mut asking = Vec::new();
        for root in roots {
            facts.kubernetes(root);
            if let Some(mesh) = istio::mesh_configuration(root) {
                facts.mesh_seen = true;
                for provider in mesh.list("extensionProviders") {
                    let Some(name) = provider.text_of("name") else { continue };
                    if provider.get("envoyExtAuthzGrpc").is_some() {
                        facts.grpc_providers.insert(name);
                    } else if provider.get("envoyExtAuthzHttp").is_some() {
                        facts.http_providers.insert(name);
                    }
                }
            }
            visit(root, &mut |node| {
                facts.envoy(node);
                facts.cluster(node);
                if is_connection_manager(node) && node.list("http_filters").iter().any(is_ext_authz) {
                    asking.push(node.clone());
                }
            });
        }
        facts.protect(&asking);
        facts
    }

    fn kubernetes(&mut self, root: &Node<'a>) {
        if root.text_of("kind") != Some("SecurityPolicy") {
            return;
        }
        if root.path(&["spec", "extAuth"]).is_none() {
            self.gateway_exempts |= gateway::replaces(root);
        } else if gateway::targets(root).contains(&"Gateway") {
            self.gateway_asks = true;
            self.asking_gateways.extend(gateway::whole_gateways(root));
        }
    }

    /// Those of a bootstrap, of resources that name their type, and of Istio's patches.
    fn cluster(&mut self, node: &Node<'a>) {
        let mut found =
            node.path(&["static_resources", "clusters"]).map(|list| list.items()).unwrap_or_default();
        if node.text_of("@type").is_some_and(|url| url.ends_with(".Cluster")) {
            found.push(node.clone());
        }
        if node.text_of("applyTo") == Some("CLUSTER")
            && node.path(&["patch", "operation"]).and_then(|node| node.text()) == Some("ADD")
        {
            found.extend(node.path(&["patch", "value"]));
        }
        self.clusters
            .extend(found.into_iter().filter_map(|cluster| Some((cluster.text_of("name")?, cluster))));
        if let Some(admin) = node.get("admin") {
            self.admin.extend(addresses(&admin));
        }
    }

    fn envoy(&mut self, node: &Node<'a>) {
        if is_connection_manager(node) {
            let filters = node.list("http_filters");
            let first = filters.iter().position(is_ext_authz);
            for (at, filter) in filters.iter().enumerate() {
                if is_ext_authz(filter) {
                    self.ext_authz_seen = true;
                    self.ext_authz_names.extend(filter.text_of("name"));
                } else if first.is_some_and(|first| at < first)
                    && let (Some(name), Some(message)) = (filter.text_of("name"), Message::of_filter(filter))
                {
                    let rewrites = effect(&message) == Effect::Rewrites;
                    *self.before_ext_authz.entry(name).or_default() |= rewrites;
                }
            }
        }
        if let Some(message) = Message::of(node).filter(Message::is_ext_authz) {
            self.asked.extend(message.fields.get("grpc_service").and_then(|service| service_name(&service)));
        }
        let discovered = node.text_of("@type").is_some_and(|url| url.ends_with(".TypedExtensionConfig"));
        if discovered && is_ext_authz(node) {
            self.discovered_filters.extend(node.text_of("name"));
        }
        // Istio adds such a configuration by a patch.
        if node.text_of("applyTo") == Some("EXTENSION_CONFIG")
            && let Some(value) = node.path(&["patch", "value"]).filter(is_ext_authz)
        {
            self.discovered_filters.extend(value.text_of("name"));
        }
        for layer in node.path(&["layered_runtime"]).map(|runtime| runtime.list("layers")).unwrap_or_default()
        {
            if let Some(values) = layer.get("static_layer") {
                self.runtime(String::new(), &values);
            }
        }
        // A layer that comes over RTDS.
        if node.text_of("@type").is_some_and(|url| url.ends_with("service.runtime.v3.Runtime"))
            && let Some(values) = node.get("layer")
        {
            self.runtime(String::new(), &values);
        }
        if is_route_configuration(node)
            && let Some(name) = node.text_of("name")
        {
            self.routes.insert(name, node.clone());
        }
    }
}

impl<'a> Facts<'a> {
    /// Keys are joined by dots, wherever a mapping ends.
    fn runtime(&mut self, key: String, value: &Node<'a>) {
        for (name, member) in value.members() {
            let key = if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
            self.runtime(key, &member);
        }
        self.runtime.entry(key).or_default().push(value.clone());
    }

    /// What the files say of the runtime key that a setting names.
    pub(super) fn at_runtime(&self, key: &Node<'_>) -> &[Node<'a>] {
        key.text().and_then(|key| self.runtime.get(key)).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Calls `f` with a node and all below it.
pub(super) fn visit<'a>(node: &Node<'a>, f: &mut dyn FnMut(&Node<'a>)) {
    f(node);
    for item in node.items() {
        visit(&item, f);
    }
    for (_, member) in node.members() {
        visit(&member, f);
    }
}

/// Whether an HTTP filter of a connection manager is ext_authz. One whose configuration comes over ECDS has a name only.
pub(super) fn is_ext_authz(filter: &Node<'_>) -> bool {
    match Message::of_filter(filter) {
        Some(message) => message.is_ext_authz(),
        None => {
            filter.text_of("name").is_some_and(|name| name.contains("ext_authz"))
                || discovered_types(filter).iter().any(|url| url.contains(".ext_authz."))
        }
    }
}

/// The types that a filter may have that comes over ECDS.
fn discovered_types<'a>(filter: &Node<'a>) -> Vec<&'a str> {
    let urls = filter.path(&["config_discovery", "type_urls"]).map(|urls| urls.items()).unwrap_or_default();
    urls.iter().filter_map(Node::text).collect()
}

/// Whom a gRPC service calls: a cluster, or an address.
pub(super) fn service_name<'a>(service: &Node<'a>) -> Option<&'a str> {
    let names: [&[&str]; 2] = [&["envoy_grpc", "cluster_name"], &["google_grpc", "target_uri"]];
    names.iter().find_map(|path| service.path(path)?.text())
}

/// By its type, or where it has none by a field that nothing else has.
pub(super) fn is_connection_manager(node: &Node<'_>) -> bool {
    match node.text_of("@type") {
        Some(url) => url.ends_with(CONNECTION_MANAGER),
        None => node.get("http_filters").is_some() && node.get("stat_prefix").is_some(),
    }
}

/// Likewise.
pub(super) fn is_route_configuration(node: &Node<'_>) -> bool {
    match node.text_of("@type") {
        Some(url) => url.ends_with(".RouteConfiguration"),
        None => node.get("virtual_hosts").is_some_and(|hosts| hosts.value.is_array()),
    }
}
