//! The index finds the policies that a look at each would find, in the same order.

use proof_messenger_relay::policy::{
    Evidence, External, HostPattern, Match, Mode, PathPattern, Policies, Policy, Protect, Target, Terms,
};
use proof_messenger_relay::request::Request;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

/// From so few words that policies and requests meet often.
const METHODS: [&str; 4] = ["GET", "POST", "OPTIONS", "CONNECT"];
const HOSTS: [&str; 8] = [
    "bank.example",
    "api.bank.example",
    "v1.api.bank.example",
    "evilbank.example",
    "pay.example",
    "[::1]",
    "bank.example:8443",
    "api.bank.example:8443",
];

fn host() -> impl Strategy<Value = HostPattern> {
    let below = prop::sample::select(vec!["*.bank.example", "*.example", "*.api.bank.example:8443"]);
    prop_oneof![3 => prop::sample::select(&HOSTS[..]), 1 => below]
        .prop_map(|host| HostPattern::parse(host).unwrap())
}

fn pattern() -> impl Strategy<Value = PathPattern> {
    let segments = prop::collection::vec("[ab]|\\{\\}", 0..4);
    let end = prop::sample::select(vec!["", "/", "/{*rest}"]);
    (segments, end).prop_map(|(segments, end)| {
        let named = segments.iter().enumerate().map(|(at, segment)| match segment.as_str() {
            "{}" => format!("/{{p{at}}}"),
            literal => format!("/{literal}"),
        });
        let path = named.collect::<String>() + end;
        PathPattern::parse(if path.is_empty() { "/" } else { &path }).unwrap()
    })
}

fn matching() -> impl Strategy<Value = Match> {
    let methods = prop::collection::vec(prop::sample::select(&METHODS[..]), 0..3);
    (prop::collection::vec(host(), 0..3), methods, prop::option::weighted(0.8, pattern())).prop_map(
        |(hosts, methods, path)| Match {
            hosts,
            methods: methods.into_iter().map(Into::into).collect(),
            path,
        },
    )
}

fn policy(at: usize, matching: Option<Match>) -> Policy {
    Policy {
        name: at.to_string().into(),
        matching,
        condition: None,
        terms: Terms::Open,
        mode: Mode::Enforce,
        protect: Protect::default(),
        external: External::default(),
        upgrades: false,
        evidence: Evidence::Required,
    }
}

/// Method, scheme, authority, target.
fn request() -> impl Strategy<Value = (&'static str, &'static str, String, String)> {
    let method = prop_oneof![4 => prop::sample::select(&METHODS[..]), 1 => Just("HEAD"), 1 => Just("get")];
    let port = prop::sample::select(vec!["", "", ":443", ":80", ":8443"]);
    let host = (prop::sample::select(&HOSTS[..6]), port).prop_map(|(host, port)| format!("{host}{port}"));
    let host = prop_oneof![4 => host, 1 => Just("BANK.Example".to_owned())];
    let path =
        prop::collection::vec("[abc]|%6[12]", 0..6).prop_map(|segments| format!("/{}", segments.join("/")));
    let target = prop_oneof![
        6 => (path, "/?", "(\\?a)?").prop_map(|(path, slash, query)| {
            if path.len() > 1 { path + &slash + &query } else { path + &query }
        }),
        1 => Just("*".to_owned()),
        1 => Just(String::new()),
    ];
    (method, prop::sample::select(vec!["http", "https"]), host, target)
}

#[test]
fn the_index_finds_what_a_look_at_each_policy_finds() {
    // More than a word of the index has bits.
    let policies = prop::collection::vec(prop::option::weighted(0.9, matching()), 0..150);
    let requests = prop::collection::vec(request(), 1..20);
    let route = prop::option::weighted(0.2, 0..160_usize);
    proptest!(ProptestConfig::with_cases(512), |(matches in policies, requests in requests, route in route)| {
        let policies = matches.iter().cloned().enumerate().map(|(at, matching)| policy(at, matching)).collect();
        let policies = Policies::new(policies);
        for (method, scheme, authority, target) in &requests {
            let request = Request::new(method, scheme, authority, target);
            let Ok(target) = Target::of(&request) else { continue };
            let matches_at = |at: &usize| match &matches[*at] {
                Some(matching) => matching.mismatch(&target).is_none(),
                // Only a route can choose it.
                None => route == Some(*at),
            };
            let expected: Vec<String> = match route {
                Some(named) => (0..matches.len()).filter(|at| *at == named && matches_at(at)).map(|at| at.to_string()).collect(),
                None => (0..matches.len()).filter(matches_at).map(|at| at.to_string()).collect(),
            };
            let route = route.map(|route| route.to_string());
            let found: Vec<&str> =
                policies.matching(&target, route.as_deref()).map(|policy| &*policy.name).collect();
            prop_assert_eq!(found, expected, "{:?}", request);
        }
    });
}

/// A scan of generated policies would be little worth if nothing ever matched.
#[test]
fn generated_requests_meet_generated_policies() {
    let mut runner = TestRunner::deterministic();
    let strategy = (matching(), request());
    let met = (0..1000).filter(|_| {
        let (matching, (method, scheme, authority, target)) =
            strategy.new_tree(&mut runner).unwrap().current();
        let request = Request::new(method, scheme, &authority, &target);
        Target::of(&request).is_ok_and(|target| matching.mismatch(&target).is_none())
    });
    assert!(met.count() > 20);
}
