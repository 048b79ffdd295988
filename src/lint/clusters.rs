//! Clusters: how the relay's is spoken to, and which lead to the same place.

use super::Linter;
use super::facts::visit;
use super::node::{Message, Node};
use super::rule::Rule;

const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

impl<'a> Linter<'a> {
    /// The cluster that a gRPC service names, where it is among the files.
    pub(super) fn relay_cluster(&mut self, service: &Node<'a>) {
        let name = service.path(&["envoy_grpc", "cluster_name"]).and_then(|name| name.text());
        let Some(cluster) = name.and_then(|name| self.facts.clusters.get(name)).cloned() else { return };
        if !speaks_http2(&cluster) {
            let at = cluster.get("name").unwrap_or(cluster);
            let found = "expected http2_protocol_options for the relay's cluster, but found HTTP/1.1";
            self.report(Rule::RelayProtocol, &at, found);
        }
    }
}

fn speaks_http2(cluster: &Node<'_>) -> bool {
    // The old place, which Envoy still reads.
    if cluster.get("http2_protocol_options").is_some() {
        return true;
    }
    let Some(options) = cluster.path(&["typed_extension_protocol_options", HTTP_OPTIONS]) else {
        return false;
    };
    let fields = Message::of(&options).map_or(options, |message| message.fields);
    // With auto_config, TLS finds out.
    fields.get("auto_config").is_some()
        || ["explicit_http_config", "use_downstream_protocol_config"]
            .iter()
            .any(|config| fields.path(&[config, "http2_protocol_options"]).is_some())
}

/// Where a cluster leads, as far as the files tell: its addresses, or the name under which they are discovered.
pub(super) fn addresses(node: &Node<'_>) -> Vec<String> {
    let mut addresses = Vec::new();
    visit(node, &mut |node| {
        if let (Some(host), Some(port)) = (node.text_of("address"), node.get("port_value")) {
            addresses.push(format!("{host}:{}", port.shown()));
        }
        addresses.extend(node.path(&["pipe", "path"]).map(|path| path.shown()));
        addresses.extend(node.path(&["eds_cluster_config", "service_name"]).map(|name| name.shown()));
    });
    addresses
}
