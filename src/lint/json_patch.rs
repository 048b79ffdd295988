//! Patches: Envoy Gateway's `EnvoyPatchPolicy`, which is JSON Patch (RFC 6902) over resources of Envoy.

use super::Linter;
use super::envoy::Extent;
use super::facts::{is_connection_manager, is_ext_authz, visit};
use super::filters::{Effect, effect};
use super::node::{Message, Node};
use super::rule::Rule;

/// Settings that undo the protection when they are on, by the end of the path that names them.
const OFF: &[(&str, Rule)] = &[
    ("failure_mode_allow", Rule::FailureModeAllow),
    ("shadow_mode", Rule::ShadowMode),
    ("disabled", Rule::FilterDisabled),
    ("clear_route_cache", Rule::ClearRouteCache),
    ("allow_partial_message", Rule::PartialBody),
    ("disable_request_body_buffering", Rule::NoBody),
];

/// Settings that are the protection.
const ON: &[(&str, Rule)] = &[("encode_raw_headers", Rule::RawHeaders), ("pack_as_bytes", Rule::TextBody)];

/// Settings that undo it whatever they are.
const ABSENT: &[(&str, Rule)] = &[
    ("filter_enabled", Rule::FilterEnabled),
    ("filter_enabled_metadata", Rule::EnabledByMetadata),
    ("http_service", Rule::HttpService),
    ("allowed_headers", Rule::HiddenHeaders),
    ("disallowed_headers", Rule::HiddenHeaders),
];

impl<'a> Linter<'a> {
    pub(super) fn json_patch(&mut self, patch: &Node<'a>) {
        let Some(operation) = patch.get("operation") else { return };
        let segments = segments(&operation);
        let Some(last) = segments.last() else { return };
        let kind = operation.get("op");
        let takes = kind.as_ref().and_then(Node::text).is_some_and(|op| matches!(op, "remove" | "move"));
        match operation.get("value") {
            _ if takes => self.taken(&operation, &segments),
            // What stands elsewhere in the resource is not seen.
            None => {}
            Some(value) if last == "http_filters" => self.filters_replaced(&operation, &value),
            Some(value) => self.put(last, &value),
        }
    }

    fn put(&mut self, name: &str, value: &Node<'a>) {
        if !self.named(name, value) {
            self.patched(value);
        }
    }

    /// All filters at once.
    fn filters_replaced(&mut self, operation: &Node<'a>, value: &Node<'a>) {
        if !value.items().iter().any(is_ext_authz) {
            let found = "expected ext_authz among the filters, but found others in place of them";
            self.report(Rule::FilterRemoved, operation, found);
        }
        for filter in value.items() {
            self.patched(&filter);
        }
    }

    /// A value at a path that ends with the name of a setting.
    fn named(&mut self, name: &str, value: &Node<'a>) -> bool {
        let rule =
            |rules: &[(&str, Rule)]| rules.iter().find(|(known, _)| *known == name).map(|(_, rule)| *rule);
        let (rule, expected) = match (rule(OFF), rule(ON), rule(ABSENT)) {
            (Some(rule), ..) if value.may_be_on() => (rule, "false"),
            (_, Some(rule), _) if value.flag() != Some(true) => (rule, "true"),
            (.., Some(rule)) => (rule, "none"),
            _ => return false,
        };
        let found = format!("expected {name}: {expected}, but found {}", value.shown());
        self.report(rule, value, found);
        true
    }

    /// A value that is a part of a resource, or settings of one.
    fn patched(&mut self, value: &Node<'a>) {
        if is_connection_manager(value) {
            return self.connection_manager(value, Extent::Whole);
        }
        if value.get("typed_config").is_some() && is_ext_authz(value) {
            self.asks("ext_authz filter", value);
            return self.http_filter(value, Extent::Whole);
        }
        if let Some(message) = Message::of(value).filter(Message::is_ext_authz) {
            return self.ext_authz(value, &message, Extent::Whole);
        }
        if let Some(message) = Message::of_filter(value)
            && effect(&message) == Effect::Rewrites
        {
            let name = message.http_filter();
            let found = format!("expected requests to stay as they were signed, but found {name}");
            return self.report(Rule::RewritingFilter, value, found);
        }
        let mut settings = Vec::new();
        visit(value, &mut |node| {
            for name in OFF.iter().chain(ON).chain(ABSENT).map(|(name, _)| *name) {
                settings.extend(node.get(name).map(|setting| (name, setting)));
            }
        });
        for (name, setting) in settings {
            self.named(name, &setting);
        }
    }

    /// What is taken out: a filter by its place in the list may be any, and without a setting its default holds.
    fn taken(&mut self, operation: &Node<'a>, segments: &[String]) {
        let Some(last) = segments.last() else { return };
        let is_place = last.bytes().all(|byte| byte.is_ascii_digit());
        let holder = if is_place { segments.iter().rev().nth(1) } else { segments.last() };
        let filters = holder
            .is_some_and(|holder| matches!(holder.as_str(), "http_filters" | "filters" | "filter_chains"));
        let guards =
            ["encode_raw_headers", "pack_as_bytes", "with_request_body", "grpc_service", "deny_at_disable"];
        if filters || guards.contains(&last.as_str()) || last == "ext_authz" {
            let found = format!("expected ext_authz to stay as it is, but found that {last:?} is taken out");
            self.report(Rule::FilterRemoved, operation, found);
        }
    }
}

/// The names on the way to what is patched, in snake case. A path in JSONPath stands before one that is a pointer.
fn segments(operation: &Node<'_>) -> Vec<String> {
    let texts = ["jsonPath", "path"].map(|name| operation.text_of(name).unwrap_or_default());
    let marks = |letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-'));
    let segments = texts.iter().flat_map(|text| text.split(marks)).filter(|segment| !segment.is_empty());
    segments.map(super::node::snake_case).collect()
}
