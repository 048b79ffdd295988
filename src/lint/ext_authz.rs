//! The ext_authz filter itself, and what routes say about it.

use super::Linter;
use super::body::BUFFER_SETTINGS;
use super::envoy::Extent;
use super::facts::service_name;
use super::node::{Message, Node};
use super::rule::Rule;

/// Versions of the transport, by their numbers. AUTO, the default, is V3 since Envoy knows no other.
const API_VERSIONS: &[&str] = &["AUTO", "V2", "V3"];

impl<'a> Linter<'a> {
    /// `config` is where the message stands that was taken out of it.
    pub(super) fn ext_authz(&mut self, config: &Node<'a>, message: &Message<'a>, extent: Extent) {
        let fields = &message.fields;
        if !message.name.starts_with("envoy.extensions.") {
            let found = format!("expected a type of the v3 API, but found {}", message.name);
            self.report(Rule::V2Type, config, found);
        }
        if message.conditional {
            let found = "expected ext_authz for every request, but found it behind a matcher";
            self.report(Rule::ConditionalFilter, config, found);
        }
        self.service(fields, config, extent);
        self.off(Rule::FailureModeAllow, fields, "failure_mode_allow");
        self.off(Rule::ClearRouteCache, fields, "clear_route_cache");
        self.off(Rule::ShadowMode, fields, "shadow_mode");
        self.enabled(fields);
        match fields.get("with_request_body") {
            Some(settings) => self.body(&settings, &BUFFER_SETTINGS, extent),
            None if extent == Extent::Whole => {
                self.report(Rule::NoBody, config, "expected with_request_body, but found none");
            }
            None => {}
        }
        self.stated(Rule::RawHeaders, fields, config, "encode_raw_headers", extent);
        self.hidden_headers(fields);
        self.header_mutations(fields);
        self.stated(Rule::UncheckedMutations, fields, config, "validate_mutations", extent);
        self.status_on_error(fields, config, extent);
    }

    /// A switch that must be on, and is off by default.
    pub(super) fn stated(
        &mut self,
        rule: Rule,
        fields: &Node<'a>,
        holder: &Node<'a>,
        name: &str,
        extent: Extent,
    ) {
        match fields.get(name) {
            Some(node) if node.flag() != Some(true) => {
                self.report(rule, &node, format!("expected {name}: true, but found {}", node.shown()));
            }
            None if extent == Extent::Whole => {
                self.report(rule, holder, format!("expected {name}: true, but found none"));
            }
            _ => {}
        }
    }

    /// How the relay is called.
    fn service(&mut self, fields: &Node<'a>, config: &Node<'a>, extent: Extent) {
        if let Some(service) = fields.get("http_service") {
            self.report(Rule::HttpService, &service, "expected grpc_service, but found http_service");
        } else if let Some(service) = fields.get("grpc_service") {
            self.timeout(&service, "200ms");
            self.relay_cluster(&service);
        } else if extent == Extent::Whole {
            self.report(Rule::HttpService, config, "expected grpc_service, but found no service");
        }
        if let Some(version) = fields.get("transport_api_version")
            && !matches!(version.word(API_VERSIONS), Some("V3" | "AUTO"))
        {
            let found = format!("expected V3, but found {}", version.shown());
            self.report(Rule::TransportVersion, &version, found);
        }
    }

    /// Envoy skips the filter for requests that these settings leave out, or denies them where `deny_at_disable` says
    /// so: then nothing passes unproven.
    fn enabled(&mut self, fields: &Node<'a>) {
        let deny = fields.get("deny_at_disable").filter(|deny| deny.is_true("default_value"));
        if let Some(deny) = deny {
            let Some(key) = deny.get("runtime_key") else { return };
            let stays_on = |value: &Node<'a>| value.flag() == Some(true);
            if self.facts.at_runtime(&key).iter().all(stays_on) {
                if ["filter_enabled", "filter_enabled_metadata"].iter().any(|name| fields.get(name).is_some())
                {
                    let found = format!("expected no switch, but found the runtime key {}", key.shown());
                    self.report(Rule::RuntimeSwitch, &key, found);
                }
                return;
            }
        }
        if let Some(enabled) = fields.get("filter_enabled") {
            let percent = fraction(&enabled);
            let key = enabled.get("runtime_key");
            let values = key.as_ref().map(|key| self.facts.at_runtime(key)).unwrap_or_default();
            let set = values.iter().find(|value| at_runtime(value) < 100.0).cloned();
            if percent < 100.0 {
                let found = format!("expected the filter for 100% of requests, but found {percent}%");
                self.report(Rule::FilterEnabled, &enabled, found);
            } else if let Some(set) = set {
                let found = format!("expected the filter for 100% of requests, but found {}", set.shown());
                self.report(Rule::FilterEnabled, &set, found);
            } else if let Some(key) = key {
                let found = format!("expected no switch, but found the runtime key {}", key.shown());
                self.report(Rule::RuntimeSwitch, &key, found);
            }
        }
        if let Some(node) = fields.get("filter_enabled_metadata") {
            let found = "expected the filter for every request, but found it bound to metadata";
            self.report(Rule::EnabledByMetadata, &node, found);
        }
    }

    fn hidden_headers(&mut self, fields: &Node<'a>) {
        for name in ["allowed_headers", "disallowed_headers"] {
            let Some(node) = fields.get(name) else { continue };
            let patterns = node.list("patterns");
            // `.*` and the empty prefix allow everything, so they hide nothing.
            let all = |pattern: &Node<'_>| {
                pattern.path(&["safe_regex", "regex"]).and_then(|regex| regex.text()) == Some(".*")
                    || pattern.text_of("prefix") == Some("")
            };
            let harmless = patterns.is_empty() || (name == "allowed_headers" && patterns.iter().any(all));
            if !harmless {
                let found = format!("expected every header to be shown, but found {name}");
                self.report(Rule::HiddenHeaders, &node, found);
            }
        }
    }

    /// With `disallow_is_error` as well every decision is an error, and nothing passes.
    fn header_mutations(&mut self, fields: &Node<'a>) {
        let Some(rules) = fields.get("decoder_header_mutation_rules") else { return };
        if !rules.is_true("disallow_is_error") {
            self.off(Rule::HeaderMutations, &rules, "disallow_all");
        }
    }

    fn status_on_error(&mut self, fields: &Node<'a>, config: &Node<'a>, extent: Extent) {
        match fields.get("status_on_error") {
            Some(status) => {
                let Some(code) = status.get("code") else { return };
                let success =
                    matches!(code.text(), Some("OK" | "Created" | "Accepted" | "NoContent" | "Continue"))
                        || code.number().is_some_and(|number| (100.0..400.0).contains(&number));
                if success {
                    let found = format!("expected the status of a failure, but found {}", code.shown());
                    self.report(Rule::StatusOnError, &code, found);
                }
            }
            None if extent == Extent::Whole => {
                self.report(
                    Rule::StatusOnError,
                    config,
                    "expected status_on_error, but found none: it is 403",
                );
            }
            None => {}
        }
    }

    /// What a route, a virtual host or a cluster of a route says about filters. `forwards` says whether anything reaches a
    /// backend from there.
    pub(super) fn per_filter(&mut self, holder: &Node<'a>, forwards: bool) {
        let configs = holder.get("typed_per_filter_config").map(|configs| configs.members());
        for (filter, config) in configs.unwrap_or_default() {
            self.of_filter(filter, &config, forwards);
        }
    }

    fn of_filter(&mut self, filter: &str, config: &Node<'a>, forwards: bool) {
        let Some(message) = Message::of(config) else { return };
        let fields = &message.fields;
        let exempt = |linter: &mut Self, fields: &Node<'a>| {
            if let Some(node) = fields.get("disabled").filter(Node::may_be_on)
                && forwards
            {
                let found = "expected the relay to be asked, but found that the filter is off here";
                linter.report(Rule::RouteExempt, &node, found);
            }
        };
        if message.name == "envoy.config.route.v3.FilterConfig" {
            if self.facts.ext_authz_names.contains(filter) || filter.contains("ext_authz") {
                exempt(self, fields);
            }
            self.switched_on_before(filter, config, fields);
            if let Some(config) = fields.get("config") {
                self.of_filter(filter, &config, forwards);
            }
        } else if message.http_filter() == "ext_authz" {
            exempt(self, fields);
            if let Some(settings) = fields.get("check_settings") {
                self.check_settings(&settings);
            }
        } else {
            if message.http_filter() == "header_mutation" {
                self.header_mutation(fields);
            }
            self.rewritten_before(filter, config, &message);
        }
    }

    fn check_settings(&mut self, settings: &Node<'a>) {
        self.off(Rule::NoBody, settings, "disable_request_body_buffering");
        if let Some(body) = settings.get("with_request_body") {
            self.body(&body, &BUFFER_SETTINGS, Extent::Whole);
        }
        if let Some(service) = settings.get("http_service") {
            self.report(Rule::HttpService, &service, "expected grpc_service, but found http_service");
        }
        if let Some(service) = settings.get("grpc_service")
            && !service_name(&service).is_some_and(|name| self.facts.asked.contains(name))
        {
            let found = format!("expected the service that the filter asks, but found {}", service.shown());
            self.report(Rule::RouteExempt, &service, found);
        }
    }
}

/// The fraction of a setting, in percent.
fn fraction(enabled: &Node<'_>) -> f64 {
    enabled.get("default_value").map_or(100.0, |value| percent(&value))
}

/// Likewise of a value in the runtime, where a number alone is one of a hundred. Any other value counts for nothing.
fn at_runtime(value: &Node<'_>) -> f64 {
    value.number().unwrap_or_else(|| percent(value))
}

/// A fraction in percent. The denominator is a hundred unless it says otherwise.
fn percent(value: &Node<'_>) -> f64 {
    let numerator = value.get("numerator").and_then(|node| node.number()).unwrap_or_default();
    let denominators = ["HUNDRED", "TEN_THOUSAND", "MILLION"];
    match value.get("denominator").and_then(|node| node.word(&denominators)) {
        Some("TEN_THOUSAND") => numerator / 100.0,
        Some("MILLION") => numerator / 10_000.0,
        _ => numerator,
    }
}
