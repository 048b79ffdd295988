//! Paths that two programs read as two.
//!
//! `/public/../transfers` is one path to the proxy that chooses a route, and another to a backend that resolves it. The
//! relay denies all such paths by itself. But a route that does not ask the relay is chosen by the proxy's reading alone,
//! so the proxy has to deal with them as well, in one of two ways, for each of the kinds:
//!
//! | kind | made one | refused |
//! |---|---|---|
//! | dot segments, backslashes | `normalize_path: true` | by the first routes |
//! | empty segments | `merge_slashes: true` | by the first routes |
//! | `%2F`, `%5C` | `path_with_escaped_slashes_action` other than keeping | the same, or by the first routes |
//!
//! The first routes of a virtual host refuse a kind when all of them up to the first one that forwards or redirects answer
//! directly, and their regular expressions together match the whole of every probe of that kind. That is tried, not guessed.

use regex::bytes::{Regex, RegexBuilder};

use super::Linter;
use super::node::Node;
use super::routes::{forwards, scoped_routes};
use super::rule::Rule;

/// Values of `path_with_escaped_slashes_action`, by their numbers.
pub(super) const ESCAPED_SLASHES: &[&str] = &[
    "IMPLEMENTATION_SPECIFIC_DEFAULT",
    "KEEP_UNCHANGED",
    "REJECT_REQUEST",
    "UNESCAPE_AND_REDIRECT",
    "UNESCAPE_AND_FORWARD",
];

/// A kind of ambiguity, with paths that have it.
struct Kind {
    name: &'static str,
    probes: &'static [&'static str],
}

const DOTS: Kind = Kind {
    name: "dot segments and backslashes",
    probes: &["/a/../b", "/a/./b", "/a/..", "/a/%2e%2e/b", "/a/.%2E/b", "/a\\b"],
};
const SLASHES: Kind = Kind { name: "empty segments (//)", probes: &["//a", "/a//b", "/a//"] };
const ESCAPES: Kind =
    Kind { name: "escaped slashes (%2F, %5C)", probes: &["/a%2fb", "/a%2Fb", "/a%5cb", "/%5C"] };

impl<'a> Linter<'a> {
    /// The paths of a connection manager with ext_authz.
    pub(super) fn paths(&mut self, manager: &Node<'a>) {
        let escapes = manager.get("path_with_escaped_slashes_action");
        let kept = !matches!(
            escapes.as_ref().and_then(|action| action.word(ESCAPED_SLASHES)),
            Some("REJECT_REQUEST" | "UNESCAPE_AND_REDIRECT" | "UNESCAPE_AND_FORWARD")
        );
        let kinds = [
            (!manager.is_true("normalize_path")).then_some(DOTS),
            (!manager.is_true("merge_slashes")).then_some(SLASHES),
            kept.then_some(ESCAPES),
        ];
        // Routes that are not among the files may refuse all of it: that they are not seen is said where they are named.
        let Some(hosts) = self.hosts(manager) else { return };
        let open = |kind: &Kind| hosts.iter().any(|host| !refuses(host, kind));
        let open: Vec<&str> = kinds.into_iter().flatten().filter(open).map(|kind| kind.name).collect();
        if !open.is_empty() {
            let found =
                format!("expected ambiguous paths to be refused, but found a way for {}", open.join(", "));
            self.report(Rule::PathAmbiguous, manager, found);
        }
    }

    /// The virtual hosts that forward anything.
    fn hosts(&self, manager: &Node<'a>) -> Option<Vec<Node<'a>>> {
        let routes = self.facts.routes_of(manager);
        let scoped = scoped_routes(manager);
        if routes.is_none() && scoped.is_empty() {
            return None;
        }
        let mut hosts: Vec<Node<'a>> =
            routes.iter().chain(&scoped).flat_map(|routes| routes.list("virtual_hosts")).collect();
        hosts.retain(|host| host.get("matcher").is_some() || host.list("routes").iter().any(forwards));
        Some(hosts)
    }
}

/// Whether the first routes of a virtual host refuse a kind.
fn refuses(host: &Node<'_>, kind: &Kind) -> bool {
    let routes = host.list("routes");
    let answers = |route: &&Node<'_>| route.get("direct_response").is_some();
    let refusing: Vec<Regex> = routes.iter().take_while(answers).filter_map(refused_paths).collect();
    kind.probes.iter().all(|probe| refusing.iter().any(|regex| regex.is_match(probe.as_bytes())))
}

/// The expression of a route that refuses what it matches. One that asks for more than a path does not refuse them all.
fn refused_paths(route: &Node<'_>) -> Option<Regex> {
    let status = route.path(&["direct_response", "status"])?.number()?;
    let wanted = route.get("match")?;
    let only_a_path = wanted.members().iter().all(|(name, _)| matches!(*name, "safe_regex" | "safeRegex"));
    let regex = wanted.path(&["safe_regex", "regex"])?.text()?;
    (only_a_path && (400.0..600.0).contains(&status)).then(|| whole(regex)).flatten()
}

/// An expression of RE2, as Envoy applies it: to bytes, and to the whole. RE2's `\C` is any byte.
pub(super) fn whole(regex: &str) -> Option<Regex> {
    let regex = regex.replace(r"\C", "(?s:.)");
    RegexBuilder::new(&format!(r"\A(?:{regex})\z")).unicode(false).build().ok()
}
