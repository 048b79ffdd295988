//! The filters around ext_authz, and what rewrites headers before all of them.

use super::Linter;
use super::facts::visit;
use super::node::{Message, Node};
use super::rule::Rule;
use super::verdict::{is_the_relays, request_mutations};

/// What another filter may do to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing that matters: it decides, counts, limits, or works on responses.
    None,
    /// It can change the method, the path, headers or the body.
    Rewrites,
    /// It can answer in place of the backend with what the backend said to somebody else.
    Caches,
}

/// What a filter of that configuration may do. Where a setting says that it leaves requests alone, it does nothing.
pub(super) fn effect(message: &Message<'_>) -> Effect {
    let fields = &message.fields;
    let rewrites = match message.http_filter() {
        "cache" | "cache_v2" => return Effect::Caches,
        "lua" => {
            let code = fields.get("inline_code").or_else(|| fields.path(&["default_source_code", "inline_string"]));
            // Code in a file or in a route is not seen, so it may do anything.
            code.and_then(|code| code.text()).is_none_or(|code| code.contains("envoy_on_request"))
        }
        "header_mutation" => {
            let mutations = fields.get("mutations");
            let list = |name: &str| mutations.as_ref().map(|node| node.list(name)).unwrap_or_default();
            list("request_mutations").iter().any(|mutation| mutation.get("append").is_some())
                || !list("query_parameter_mutations").is_empty()
        }
        "decompressor" => {
            let enabled =
                fields.path(&["request_direction_config", "common_config", "enabled", "default_value"]);
            enabled.and_then(|enabled| enabled.flag()) != Some(false)
        }
        "ext_proc" => {
            let skips = fields.get("processing_mode").is_some_and(|mode| skips_requests(&mode));
            !(fields.is_true("observability_mode") || skips)
        }
        "grpc_json_transcoder"
        | "grpc_json_reverse_transcoder"
        | "grpc_web"
        | "grpc_http1_bridge"
        | "grpc_http1_reverse_bridge"
        | "connect_grpc_bridge"
        | "wasm"
        | "golang"
        | "dynamic_modules"
        | "transform"
        | "aws_lambda"
        | "aws_request_signing"
        | "credential_injector"
        | "oauth2"
        | "proto_api_scrubber"
        | "mcp_json_rest_bridge"
        // These two run other filters.
        | "composite"
        | "filter_chain" => true,
        _ => false,
    };
    if rewrites { Effect::Rewrites } else { Effect::None }
}

/// Whether all that a filter may do to requests is found by another rule: to set what only the relay may.
pub(super) fn only_forges(message: &Message<'_>) -> bool {
    let fields = &message.fields;
    let key = |mutation: &Node<'_>| mutation.path(&["append", "header", "key"])?.text().map(is_the_relays);
    message.http_filter() == "header_mutation"
        && fields.path(&["mutations", "query_parameter_mutations"]).is_none()
        && request_mutations(fields).iter().all(|mutation| key(mutation) != Some(false))
}

/// Likewise, of what a route says of a filter.
fn effect_on_route(message: &Message<'_>) -> Effect {
    let fields = &message.fields;
    if fields.is_true("disabled") {
        return Effect::None;
    }
    let rewrites = match message.http_filter() {
        "lua" => {
            let code = fields.path(&["source_code", "inline_string"]).and_then(|code| code.text());
            let code_comes = fields.get("name").is_some() || fields.get("source_code").is_some();
            code_comes && code.is_none_or(|code| code.contains("envoy_on_request"))
        }
        "ext_proc" => {
            fields.path(&["overrides", "processing_mode"]).is_some_and(|mode| !skips_requests(&mode))
        }
        _ => return effect(message),
    };
    if rewrites { Effect::Rewrites } else { Effect::None }
}

/// Whether a processing mode of ext_proc leaves requests out.
fn skips_requests(mode: &Node<'_>) -> bool {
    let body = mode.get("request_body_mode");
    mode.text_of("request_header_mode") == Some("SKIP") && body.is_none_or(|body| body.text() == Some("NONE"))
}

impl<'a> Linter<'a> {
    /// What a route says of a filter that stands in front of ext_authz.
    pub(super) fn rewritten_before(&mut self, filter: &str, config: &Node<'a>, message: &Message<'a>) {
        if self.facts.before_ext_authz.contains_key(filter) && effect_on_route(message) == Effect::Rewrites {
            let name = message.http_filter();
            let found = format!(
                "expected no filter that can change requests before ext_authz, but found {name} here"
            );
            self.report(Rule::RewrittenBefore, config, found);
        }
    }

    /// A filter in front of ext_authz that is off, until a route turns it on.
    pub(super) fn switched_on_before(&mut self, filter: &str, config: &Node<'a>, fields: &Node<'a>) {
        if self.facts.before_ext_authz.get(filter) == Some(&true) && !fields.is_true("disabled") {
            let found = format!(
                "expected no filter that can change requests before ext_authz, but found {filter} on here"
            );
            self.report(Rule::RewrittenBefore, config, found);
        }
    }

    /// A filter that has the route chosen anew, wherever its configuration says so.
    fn route_chosen_anew(&mut self, config: &Node<'a>) {
        let mut found = Vec::new();
        visit(config, &mut |node| {
            found.extend(node.get("clear_route_cache").filter(Node::may_be_on));
        });
        for node in found {
            let message = format!("expected {}: false, but found {}", node.key(), node.shown());
            self.report(Rule::ClearRouteCache, &node, message);
        }
    }

    /// The filters of a connection manager, of which the one at `at` is the first ext_authz.
    pub(super) fn filters_around(&mut self, filters: &[Node<'a>], at: usize) {
        for (position, filter) in filters.iter().enumerate() {
            // A disabled one is on where a route says so, and then it is that route's matter.
            if position == at || filter.is_true("disabled") {
                continue;
            }
            let Some(message) = Message::of_filter(filter) else { continue };
            if !message.is_ext_authz() {
                self.route_chosen_anew(&message.fields);
            }
            let name = message.http_filter();
            if name == "header_mutation" && position > at {
                self.header_mutation(&message.fields);
            }
            match (effect(&message), position < at) {
                (Effect::Rewrites, true) => {
                    let found = format!(
                        "expected no filter that can change requests before ext_authz, but found {name}"
                    );
                    self.report(Rule::RewrittenBefore, filter, found);
                }
                (Effect::Rewrites, false) if only_forges(&message) => {}
                (Effect::Rewrites, false) => {
                    let found = format!("expected requests to stay as they were proven, but found {name}");
                    self.report(Rule::RewritingFilter, filter, found);
                }
                (Effect::Caches, true) => {
                    let found = format!("expected ext_authz before any cache, but found {name} before it");
                    self.report(Rule::CachedBefore, filter, found);
                }
                (Effect::Caches, false) | (Effect::None, _) => {}
            }
        }
    }

    /// Mutations before routing and all filters. To remove a header is fine: the relay sees what is forwarded.
    pub(super) fn early_mutations(&mut self, manager: &Node<'a>) {
        for extension in manager.list("early_header_mutation_extensions") {
            let config = extension.get("typed_config");
            let Some(message) = config.as_ref().and_then(Message::of) else { continue };
            for mutation in message.fields.list("mutations") {
                let Some(append) = mutation.get("append") else { continue };
                let header = append.path(&["header", "key"]).map(|key| key.shown()).unwrap_or_default();
                let found = format!("expected headers to be removed only, but found that {header} is set");
                self.report(Rule::EarlyMutation, &append, found);
            }
        }
    }
}
