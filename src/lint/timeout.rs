//! How long a proxy waits for the relay.

use super::Linter;
use super::node::Node;
use super::rule::Rule;

/// Above this many seconds a hanging relay holds too much of the proxy.
const LONG: f64 = 10.0;

/// Units of durations in seconds: of Go, and so of Kubernetes. Envoy knows seconds only.
const UNITS: &[(&str, f64)] =
    &[("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];

impl<'a> Linter<'a> {
    /// A duration that should be stated, and bounded.
    pub(super) fn timeout(&mut self, service: &Node<'a>, default: &str) {
        let Some(timeout) = service.get("timeout") else {
            let found = format!("expected a timeout, but found none: it is {default}");
            return self.report(Rule::NoTimeout, service, found);
        };
        match timeout.text().and_then(seconds) {
            Some(seconds) if seconds <= 0.0 => {
                let found = format!("expected a timeout, but found {}, which is none", timeout.shown());
                self.report(Rule::NoTimeout, &timeout, found);
            }
            Some(seconds) if seconds > LONG => {
                let found = format!("expected a timeout up to {LONG}s, but found {}", timeout.shown());
                self.report(Rule::NoTimeout, &timeout, found);
            }
            Some(seconds) => self.tries(service, seconds),
            None => {}
        }
    }

    /// Envoy takes the longest pause before a retry for the time of every try as well, also of the first. Where it is not
    /// stated, it is ten times the shortest.
    fn tries(&mut self, service: &Node<'a>, timeout: f64) {
        let pause = service.get("retry_policy").and_then(|policy| policy.get("retry_back_off"));
        let Some(pause) = pause else { return };
        let (stated, factor) = match pause.get("max_interval") {
            Some(longest) => (longest, 1.0),
            None => (pause.get("base_interval").unwrap_or(pause), 10.0),
        };
        if let Some(each) = stated.text().and_then(seconds).map(|seconds| seconds * factor)
            && each < timeout
        {
            let found = format!("expected at least {timeout}s for each try, but found {each}s");
            self.report(Rule::NoTimeout, &stated, found);
        }
    }
}

/// A duration such as `0.5s` or `1m30s`. None where it is not one: then the proxy refuses it.
fn seconds(text: &str) -> Option<f64> {
    let mut sum = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|letter: char| letter.is_alphabetic())?);
        let (unit, after) =
            after.split_at(after.find(|letter: char| !letter.is_alphabetic()).unwrap_or(after.len()));
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        sum += number.parse::<f64>().ok()? * factor;
        rest = after;
    }
    Some(sum)
}
