//! What a connection manager lets in as headers.

use super::Linter;
use super::envoy::Extent;
use super::node::Node;
use super::rule::Rule;
use crate::limits::Limits;

/// Values of `headers_with_underscores_action`, by their numbers.
const ACTIONS: &[&str] = &["ALLOW", "REJECT_REQUEST", "DROP_HEADER"];

impl<'a> Linter<'a> {
    pub(super) fn header_limits(&mut self, manager: &Node<'a>, extent: Extent) {
        match manager.path(&["common_http_protocol_options", "headers_with_underscores_action"]) {
            Some(action) if !matches!(action.word(ACTIONS), Some("REJECT_REQUEST" | "DROP_HEADER")) => {
                let found = format!("expected REJECT_REQUEST, but found {}", action.shown());
                self.report(Rule::Underscores, &action, found);
            }
            None if extent == Extent::Whole => {
                let found = "expected headers_with_underscores_action, but found none: it is ALLOW";
                self.report(Rule::Underscores, manager, found);
            }
            _ => {}
        }
        let limit = Limits::default().header_bytes / 1024;
        if let Some(node) = manager.get("max_request_headers_kb")
            && node.number().is_some_and(|number| number > limit as f64)
        {
            let found = format!("expected at most {limit}, but found {}", node.shown());
            self.report(Rule::HeaderLimit, &node, found);
        }
    }
}
