//! How a body is shown to the relay.

use super::Linter;
use super::envoy::Extent;
use super::node::Node;
use super::rule::Rule;
use crate::limits::Limits;

/// What a proxy calls the settings of the body.
pub(super) struct BodyNames {
    pub(super) max_bytes: &'static str,
    pub(super) partial: &'static str,
    /// None where the proxy cannot be told.
    pub(super) as_bytes: Option<&'static str>,
}

/// Envoy's names, which are Istio's too.
pub(super) const BUFFER_SETTINGS: BodyNames = BodyNames {
    max_bytes: "max_request_bytes",
    partial: "allow_partial_message",
    as_bytes: Some("pack_as_bytes"),
};

impl<'a> Linter<'a> {
    /// Settings that say how much of a body is shown, and how.
    pub(super) fn body(&mut self, settings: &Node<'a>, names: &BodyNames, extent: Extent) {
        let BodyNames { max_bytes, partial, as_bytes } = names;
        let limit = Limits::default().body_bytes;
        match settings.get(max_bytes) {
            Some(node) if node.number().is_some_and(|number| number > limit as f64) => {
                let message = format!("expected at most {limit} bytes, but found {}", node.shown());
                self.report(Rule::BodyLimit, &node, message);
            }
            Some(node) if node.number() == Some(0.0) => {
                self.report(
                    Rule::NoBody,
                    &node,
                    format!("expected a limit up to {limit} bytes, but found 0"),
                );
            }
            None if extent == Extent::Whole => {
                let message = format!("expected a limit up to {limit} bytes, but found none");
                self.report(Rule::NoBody, settings, message);
            }
            _ => {}
        }
        if let Some(node) = settings.get(partial).filter(Node::may_be_on) {
            self.report(
                Rule::PartialBody,
                &node,
                format!("expected {}: false, but found {}", node.key(), node.shown()),
            );
        }
        if let Some(as_bytes) = as_bytes {
            match settings.get(as_bytes) {
                Some(node) if node.flag() != Some(true) => {
                    let message = format!("expected {}: true, but found {}", node.key(), node.shown());
                    self.report(Rule::TextBody, &node, message);
                }
                None if extent == Extent::Whole => {
                    self.report(Rule::TextBody, settings, "expected bodies as bytes, but found them as text");
                }
                _ => {}
            }
        }
    }

    /// A switch that must not be on.
    pub(super) fn off(&mut self, rule: Rule, fields: &Node<'a>, name: &str) {
        if let Some(node) = fields.get(name).filter(Node::may_be_on) {
            self.report(rule, &node, format!("expected {}: false, but found {}", node.key(), node.shown()));
        }
    }
}
