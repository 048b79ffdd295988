//! Finds what in a proxy's configuration would undo the protection.
//!
//! Files of Envoy (bootstrap, xDS resources), Istio (mesh configuration, `AuthorizationPolicy`, `EnvoyFilter`,
//! `VirtualService`) and Envoy Gateway (`SecurityPolicy`, `ClientTrafficPolicy`, `HTTPRoute`, …) are read together, since
//! one may name what another defines. Every ext_authz filter is taken for the relay's, since nothing in a configuration says
//! whose it is: except one that asks over HTTP beside one that asks over gRPC, for the relay speaks gRPC only.

mod api;
mod body;
mod clusters;
mod envoy;
mod ext_authz;
mod facts;
mod filters;
mod gateway;
mod headers;
mod istio;
mod json_patch;
mod kubernetes;
mod node;
mod patch;
mod path;
mod reach;
mod routes;
mod rule;
mod text;
mod timeout;
mod verdict;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::config::{Location, Problem, Problems};
use crate::printable::printable;
use api::Api;
use facts::Facts;
use node::Node;
pub use rule::{Rule, Severity};

/// A file to lint.
#[derive(Debug, Clone)]
pub struct File {
    /// What stands before each finding.
    pub name: String,
    pub text: String,
}

/// Something to know about one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub rule: Rule,
    pub severity: Severity,
    /// Unknown where the parser gave none.
    #[serde(flatten)]
    pub location: Option<Location>,
    /// What was expected, and what was found.
    pub message: String,
    /// What an attacker gains.
    pub gain: &'static str,
    /// What to do.
    pub fix: &'static str,
}

/// What was found in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The file.
    pub name: String,
    /// In the order of their places.
    pub findings: Vec<Finding>,
    /// Where the relay is asked, by kind: `ext_authz filter`, for example.
    pub asking: BTreeMap<&'static str, usize>,
    /// What else was understood, by kind.
    pub understood: BTreeMap<&'static str, usize>,
    /// What was not looked into, by kind.
    pub ignored: BTreeMap<String, usize>,
}

impl Report {
    /// The findings that undo the protection.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error)
    }

    /// What the file holds, for people.
    #[must_use]
    pub fn summary(&self) -> String {
        match (self.asking.is_empty(), self.errors().next()) {
            (_, Some(_)) => match self.errors().count() {
                1 => "unsound: 1 finding".to_owned(),
                count => format!("unsound: {count} findings"),
            },
            (false, None) => format!("sound: {}", counted(&self.asking)),
            (true, None) => {
                format!("nothing wrong with it, but no ext_authz filter in it: {}", counted(&self.understood))
            }
        }
    }

    /// What was not looked into, for people. None where that is nothing.
    #[must_use]
    pub fn ignored(&self) -> Option<String> {
        (!self.ignored.is_empty()).then(|| format!("ignored: {}", counted(&self.ignored)))
    }
}

fn counted<K: AsRef<str>>(kinds: &BTreeMap<K, usize>) -> String {
    let counted = kinds.iter().map(|(kind, count)| match count {
        1 => format!("1 {}", kind.as_ref()),
        _ => format!("{count} {}", plural(kind.as_ref())),
    });
    counted.collect::<Vec<_>>().join(", ")
}

fn plural(kind: &str) -> String {
    match kind.strip_suffix('y') {
        // Gateways, but policies.
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        None if kind.ends_with('s') => format!("{kind}es"),
        _ => format!("{kind}s"),
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, severity, message, gain, fix, .. } = self;
        let severity = match severity {
            Severity::Error => "error",
            Severity::Note => "note",
        };
        write!(f, "{severity}[{rule}]: {message}\n    {gain}\n    {fix}")
    }
}

/// Lints files that belong together.
///
/// # Errors
/// A file that is not YAML, one that holds nothing the linter knows, and files of which none asks the relay: nothing of
/// that is sound.
pub fn lint(files: &[File]) -> Result<Vec<Report>, Problems> {
    let mut parts = Vec::new();
    for (position, File { name, text }) in files.iter().enumerate() {
        let of_file = text::parts(position, text).map_err(|problem| Problems::new(name, vec![problem]))?;
        parts.extend(of_file);
    }
    let roots: Vec<Node<'_>> = parts.iter().flat_map(text::roots).collect();
    let mut linter = Linter {
        facts: Facts::of(&roots),
        reports: files.iter().map(|file| Report::of(&file.name)).collect(),
        api: Api::Envoy,
        internal: false,
    };
    for root in &roots {
        linter.document(root);
        facts::visit(root, &mut |node| linter.twice_named(node));
    }
    let mut reports = linter.reports;
    for report in &mut reports {
        report.findings.sort_by_key(|finding| (finding.location, finding.rule));
        report.findings.dedup();
    }
    let refused = |name: &str, message: &str| Err(Problems::new(name, vec![Problem::everywhere(message)]));
    if let Some(report) = reports.iter().find(|report| report.asking.len() + report.understood.len() == 0) {
        return refused(
            &report.name,
            "expected a configuration of Envoy, Istio or Envoy Gateway, but found nothing of them",
        );
    }
    match reports.as_slice() {
        [first, ..] if reports.iter().all(|report| report.asking.is_empty()) => {
            refused(&first.name, "expected an ext_authz filter, but found none: nothing asks the relay")
        }
        _ => Ok(reports),
    }
}

impl Report {
    fn of(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            findings: Vec::new(),
            asking: BTreeMap::new(),
            understood: BTreeMap::new(),
            ignored: BTreeMap::new(),
        }
    }
}

/// What is known before, and what is found on the way.
struct Linter<'a> {
    facts: Facts<'a>,
    reports: Vec<Report>,
    /// Whose names the document uses.
    api: Api,
    /// Whether this is inside of a listener that only Envoy itself reaches.
    internal: bool,
}

impl<'a> Linter<'a> {
    /// One document of one file, by what it is.
    fn document(&mut self, root: &Node<'a>) {
        self.api = Api::of(root);
        match (root.text_of("apiVersion"), root.text_of("kind")) {
            (Some(api), Some(kind)) if api.starts_with("gateway.envoyproxy.io/") => {
                self.envoy_gateway(kind, root);
            }
            (Some(_), Some(kind)) => self.istio(kind, root),
            _ => {
                self.mesh_configuration(root);
                self.envoy(root);
            }
        }
    }

    /// Members that stand twice, in snake case and in camel case: two keys of YAML, one field of protobuf.
    fn twice_named(&mut self, node: &Node<'a>) {
        for (first, second) in node.twice_named() {
            let message = format!("expected {first:?} once, but found {:?} as well", second.key());
            self.report(Rule::TwiceNamed, &second, message);
        }
    }

    fn report(&mut self, rule: Rule, at: &Node<'a>, message: impl Into<String>) {
        let finding = Finding {
            rule,
            severity: rule.severity(),
            location: at.location(),
            // It quotes the file, which may be anybody's.
            message: printable(&message.into()),
            gain: rule.gain(),
            fix: self.api.fix(rule),
        };
        if let Some(report) = self.reports.get_mut(at.file()) {
            report.findings.push(finding);
        }
    }

    /// Counts something that asks the relay.
    fn asks(&mut self, kind: &'static str, at: &Node<'a>) {
        if let Some(report) = self.reports.get_mut(at.file()) {
            *report.asking.entry(kind).or_default() += 1;
        }
    }

    /// Counts something that was not looked into.
    fn ignores(&mut self, kind: &str, at: &Node<'a>) {
        if let Some(report) = self.reports.get_mut(at.file()) {
            *report.ignored.entry(kind.to_owned()).or_default() += 1;
        }
    }

    /// Counts something else that was read.
    fn understands(&mut self, kind: &'static str, at: &Node<'a>) {
        if let Some(report) = self.reports.get_mut(at.file()) {
            *report.understood.entry(kind).or_default() += 1;
        }
    }
}
