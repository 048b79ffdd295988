//! Patches: Istio's `EnvoyFilter`.

use super::Linter;
use super::envoy::Extent;
use super::facts::{is_connection_manager, is_ext_authz};
use super::filters::{Effect, effect, only_forges};
use super::node::{Message, Node};
use super::rule::Rule;

/// Where a patch puts a filter, as far as the patch alone tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    BeforeExtAuthz,
    /// Behind it, or who knows.
    Elsewhere,
}

impl<'a> Linter<'a> {
    pub(super) fn envoy_filter(&mut self, root: &Node<'a>) {
        self.understands("EnvoyFilter", root);
        let Some(spec) = root.get("spec") else { return };
        for patch in spec.list("configPatches") {
            let value = patch.path(&["patch", "value"]);
            let operation = patch.path(&["patch", "operation"]);
            match patch.text_of("applyTo") {
                Some("HTTP_FILTER") => self.filter_patch(&patch, operation.as_ref(), value.as_ref()),
                Some("NETWORK_FILTER") => {
                    self.manager_removed(&patch, operation.as_ref(), value.as_ref());
                    let config = value.as_ref().and_then(|value| value.get("typed_config"));
                    let extent = extent(operation.as_ref());
                    if let Some(config) = config.as_ref().filter(|config| is_connection_manager(config)) {
                        self.connection_manager(config, extent);
                    } else if extent == Extent::Whole
                        && let Some(filter) = value.filter(|_| config.is_some_and(|config| proxies(&config)))
                    {
                        self.network_filter(&filter);
                    }
                }
                Some(kind @ ("LISTENER" | "FILTER_CHAIN" | "EXTENSION_CONFIG")) => {
                    if let Some(value) = value {
                        if kind == "FILTER_CHAIN" {
                            self.filter_chain(&value);
                        }
                        self.envoy(&value);
                    }
                }
                Some("ROUTE_CONFIGURATION") => {
                    if let Some(value) = value {
                        self.route_configuration(&value);
                    }
                }
                Some("VIRTUAL_HOST") => {
                    if let Some(value) = value {
                        self.virtual_host(&value);
                    }
                }
                Some("HTTP_ROUTE") => {
                    if let Some(value) = value {
                        self.route(&value);
                    }
                }
                _ => {}
            }
        }
    }

    /// A patch that takes the connection manager away, and ext_authz with it.
    fn manager_removed(&mut self, patch: &Node<'a>, operation: Option<&Node<'a>>, value: Option<&Node<'a>>) {
        let name = patch.path(&["match", "listener", "filterChain", "filter", "name"]);
        let of_manager =
            name.as_ref().and_then(Node::text).is_none_or(|name| name.contains("http_connection_manager"));
        let Some(operation) = operation.filter(|_| of_manager) else { return };
        let asks = |value: &&Node<'a>| {
            let config = value.get("typed_config").filter(is_connection_manager);
            config.is_some_and(|config| config.list("http_filters").iter().any(is_ext_authz))
        };
        match operation.text() {
            Some("REMOVE") => {}
            Some("REPLACE") if value.filter(asks).is_none() => {}
            _ => return,
        }
        let found = format!(
            "expected the connection manager to stay, with ext_authz in it, but found {}",
            operation.shown()
        );
        self.report(Rule::FilterRemoved, operation, found);
    }

    fn filter_patch(&mut self, patch: &Node<'a>, operation: Option<&Node<'a>>, value: Option<&Node<'a>>) {
        let beside = beside(patch);
        // A patch that names no filter is for all of them.
        let of_ext_authz = beside.is_none_or(|name| name.contains("ext_authz"));
        let word = operation.and_then(Node::text);
        if let Some(operation) = operation
            && of_ext_authz
            && (word == Some("REMOVE") || word == Some("REPLACE") && !value.is_some_and(is_ext_authz))
        {
            let found = format!("expected ext_authz to stay, but found {}", operation.shown());
            return self.report(Rule::FilterRemoved, operation, found);
        }
        let Some(value) = value else { return };
        let merged_into_it = of_ext_authz && word == Some("MERGE") && value.get("typed_config").is_none();
        if merged_into_it || is_ext_authz(value) {
            if extent(operation) == Extent::Whole {
                self.asks("ext_authz filter", value);
            }
            return self.http_filter(value, extent(operation));
        }
        let config = value.get("typed_config");
        let Some(message) = config.as_ref().and_then(Message::of) else { return };
        let name = message.http_filter();
        if name == "header_mutation" && place(operation, beside) == Place::Elsewhere {
            self.header_mutation(&message.fields);
        }
        match (effect(&message), place(operation, beside)) {
            (Effect::Rewrites, Place::BeforeExtAuthz) => {
                let found =
                    format!("expected no filter that can change requests before ext_authz, but found {name}");
                self.report(Rule::RewrittenBefore, value, found);
            }
            (Effect::Rewrites, Place::Elsewhere) if only_forges(&message) => {}
            (Effect::Rewrites, Place::Elsewhere) => {
                let found = format!("expected requests to stay as they were signed, but found {name}");
                self.report(Rule::RewritingFilter, value, found);
            }
            (Effect::Caches, Place::BeforeExtAuthz) => {
                let found = format!("expected ext_authz before any cache, but found {name} before it");
                self.report(Rule::CachedBefore, value, found);
            }
            (Effect::Caches, Place::Elsewhere) | (Effect::None, _) => {}
        }
    }
}

/// Whether a network filter ends a chain by passing all of it on.
fn proxies(config: &Node<'_>) -> bool {
    Message::of(config).is_some_and(|message| message.name.ends_with(".TcpProxy"))
}

/// MERGE changes what is there; every other operation brings all of its value.
fn extent(operation: Option<&Node<'_>>) -> Extent {
    match operation.and_then(|operation| operation.text()) {
        Some("MERGE") => Extent::Patch,
        _ => Extent::Whole,
    }
}

/// The filter that a patch refers to: the one that it is put beside, or merged into.
fn beside<'a>(patch: &Node<'a>) -> Option<&'a str> {
    patch
        .path(&["match", "listener", "filterChain", "filter", "subFilter", "name"])
        .and_then(|name| name.text())
}

/// INSERT_FIRST, and INSERT_BEFORE without a filter to stand before, put it in front of all others.
fn place(operation: Option<&Node<'_>>, beside: Option<&str>) -> Place {
    match (operation.and_then(|operation| operation.text()), beside) {
        (Some("INSERT_FIRST"), _) | (Some("INSERT_BEFORE"), None) => Place::BeforeExtAuthz,
        (Some("INSERT_BEFORE"), Some(name)) if name.contains("ext_authz") => Place::BeforeExtAuthz,
        _ => Place::Elsewhere,
    }
}
