//! The configuration file: strict, and complaining once about everything.

use std::path::Path;

use proof_messenger_relay::config::{Config, DEFAULT, json_schema, on_publishing};
use serde_json::Value;

fn problems(text: &str) -> String {
    Config::parse(text, "relay.yaml", Path::new("")).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn every_problem_is_reported_at_once_with_its_place_and_what_was_expected() {
    let text = r#"listen: localhost
polices: []
policies:
  - name: a b
    match: {methods: post, pth: /x}
    proof: {max_age: 60, cover: ["@nope"], body: boundd}
  - match: {path: /x}
    proof: nope
    mode: observee
replay: {memory: {capacity: 0}}
keys:
"#;
    assert_eq!(
        problems(text),
        r#"relay.yaml:1:9: expected an IP address and a port such as 0.0.0.0:8000, or unix: and a path, but found "localhost"
relay.yaml:2:1: the key "polices" is unknown: did you mean policies?
relay.yaml:4:11: expected printable ASCII without spaces, but found "a b"
relay.yaml:5:22: expected a list, but found "post"
relay.yaml:5:28: the key "pth" is unknown: did you mean path?
relay.yaml:6:22: expected a time such as 60s, but found 60
relay.yaml:6:34: the derived component @nope is unknown
relay.yaml:6:50: expected "bound" or "none" or "free", but found "boundd"
relay.yaml:7:5: the key "name" is missing
relay.yaml:8:12: expected "none" or a mapping, but found "nope"
relay.yaml:9:11: expected "enforce" or "observe", but found "observee"
relay.yaml:10:29: expected a whole number of at least 1, but found 0
relay.yaml:11:5: expected a list, but found nothing"#
    );
}

#[test]
fn what_a_schema_cannot_say_is_reported_at_once_too() {
    let text = r#"listen: localhost
policies:
  - name: a b
    match: {methods: [post], hosts: [Bank.example, "*"], path: transfers}
    proof: {max_age: 1.5s, clock_skew: soon, cover: ["@nope", "X-Tenant"], tag: "é"}
    protect: [X-Tenant]
    external: {authority: "https://bank.example"}
  - {name: a b, match: {path: "/a/{x}/{x}"}, proof: {cover: []}}
structured_fields: {X-Parts: dictionary}
"#;
    assert_eq!(
        problems(text),
        r#"relay.yaml:1:9: expected an IP address and a port such as 0.0.0.0:8000, or unix: and a path, but found "localhost"
relay.yaml:3:11: expected printable ASCII without spaces, but found "a b"
relay.yaml:4:23: expected a method in upper case such as POST, but found "post"
relay.yaml:4:38: expected a host in lower case such as bank.example, *.bank.example or bank.example:8443, but found "Bank.example"
relay.yaml:4:52: expected a host in lower case such as bank.example, *.bank.example or bank.example:8443, but found "*"
relay.yaml:4:64: expected a path such as /transfers/{account} or /rates/{*rest}, but found "transfers": it does not begin with /
relay.yaml:5:22: expected whole seconds, minutes or hours such as 60s, 5m or 24h, but found "1.5s"
relay.yaml:5:40: expected whole seconds, minutes or hours such as 60s, 5m or 24h, but found "soon"
relay.yaml:5:54: the derived component @nope is unknown
relay.yaml:5:63: "X-Tenant" is not a field name in lower case
relay.yaml:5:81: expected printable ASCII, but found "é"
relay.yaml:6:15: expected a header name in lower case, but found "X-Tenant"
relay.yaml:7:27: expected an authority in lower case such as bank.example, but found "https://bank.example"
relay.yaml:8:12: expected printable ASCII without spaces, but found "a b"
relay.yaml:8:12: the name "a b" is already that of policy 1
relay.yaml:8:31: expected a path such as /transfers/{account} or /rates/{*rest}, but found "/a/{x}/{x}": a parameter stands twice
relay.yaml:8:61: expected at least one entry
relay.yaml:9:21: expected a header name in lower case, but found "X-Parts""#
    );
}

/// Each of these would quietly let more pass than was meant.
#[test]
fn what_would_weaken_a_policy_unseen_is_refused() {
    let policy = |members: &str| problems(&format!("policies: [{{name: a, {members}}}]"));
    for (members, expected) in [
        ("match:", "expected a mapping, but found nothing"),
        ("match: {path: }", "expected a text, but found nothing"),
        ("match: {hosts: []}", "expected at least one entry"),
        ("match: {methods: []}", "expected at least one entry"),
        ("proof: {roles: []}", "expected at least one entry"),
        ("proof: {cover: []}", "expected at least one entry"),
        ("proof: {tag: }", "expected a text, but found nothing"),
        ("proof: ", "expected \"none\" or a mapping, but found nothing"),
        (
            "proof: {max_age: 5M}",
            "expected whole seconds, minutes or hours such as 60s, 5m or 24h, but found \"5M\"",
        ),
        (
            "match: {}, external: {authority: bank.example}",
            "expected hosts in match as well: no proof binds the host that a client sends",
        ),
    ] {
        let found = policy(members);
        assert!(found.ends_with(expected), "{members}: {found}");
    }
}

#[test]
fn a_mistake_of_syntax_says_where() {
    assert_eq!(problems("policies: [\nlimits: {}"), "relay.yaml:1:11: unclosed bracket '['");
    assert_eq!(problems("keys: []\nkeys: []"), "relay.yaml:2:1: duplicate mapping key: keys");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let problems = Config::load(Path::new("/nonexistent/relay.yaml")).unwrap_err().to_string();
    assert!(problems.starts_with("/nonexistent/relay.yaml: No such file"), "{problems}");
}

#[test]
fn the_printed_settings_are_the_built_in_ones() {
    // They come from two texts.
    let of_any_text =
        |config: Config| Config { digest: Box::default(), fixed: serde_json::Map::default(), ..config };
    let printed = of_any_text(Config::built_in().unwrap());
    let empty = of_any_text(Config::parse("", "empty", Path::new("")).unwrap());
    assert_eq!(format!("{printed:?}"), format!("{empty:?}"));
}

#[test]
fn the_commented_settings_are_valid_when_they_are_uncommented() {
    // A setting that is commented out stands behind "#  ", prose behind "# ".
    let uncommented: String = DEFAULT
        .replace("keys: []", "keys:")
        .replace("policies: []", "policies:")
        .replace("# tls:", "tls:")
        .replace("# admin:", "admin:")
        .replace("# receipts:", "receipts:")
        .replace("# evidence:", "evidence:")
        .replace("# traces:", "traces:")
        .lines()
        .map(|line| line.strip_prefix("#  ").map_or(line.to_owned(), |setting| format!("  {setting}")) + "\n")
        .collect();
    let config =
        Config::parse(&uncommented, "default", Path::new("")).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.policies.len(), 2);
}

/// Every key of the schema, as a dotted path.
fn keys(schema: &Value, root: &Value, prefix: &str, found: &mut Vec<String>) {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        found.push(path.clone());
        keys(inner, root, &path, found);
        keys(&inner["items"], root, &path, found);
    }
    for alternative in schema["anyOf"].as_array().or(schema["oneOf"].as_array()).into_iter().flatten() {
        keys(alternative, root, prefix, found);
    }
}

#[test]
fn every_key_of_the_schema_is_described_and_stands_in_the_readme() {
    let schema = json_schema();
    let mut found = Vec::new();
    keys(&schema, &schema, "", &mut found);
    assert!(found.contains(&"policies.proof.max_age".to_owned()), "{found:?}");
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let missing: Vec<_> = found.iter().filter(|key| !readme.contains(&format!("| `{key}` |"))).collect();
    assert!(missing.is_empty(), "the README's table of settings lacks {missing:?}");
}

#[test]
fn mistakes_in_conditions_are_reported_where_they_stand() {
    let text = r#"policies:
  - name: a
    match: {methods: [POST], path: "/t/{account}"}
    when: body.amount > 10000 && path.acount == "x" && request.metod == 5
  - name: b
    match: {}
    when: |
      signers.exists(s,
         s.sbject == "x") ||
        body.x / 2 > 1
  - name: c
    match: {}
    when: "body.x == \"é\" && "
  - name: d
    match: {}
    when: body.amount
  - name: e
    match: {}
    when: request.headers["X-A"] == 1 || size(1) == 2 || foo(3) || "a" < 1 || request == path
  - name: f
    match: {}
    when: size(body)
  - {name: g, match: {}, when: "body.x.matches('(') && has(body) && [1].all(1, true) && b'x' == null"}
  - {name: i, match: {}, when: body.x = 5}
  - {name: j, match: {}, when: body.x > 5 and body.y}
  - {name: k, match: {}, when: body.x < "5" || request.host >= body.y}
  - {name: h, match: {}, when: 'body.when == {"a": 1} && request.method == null && signers == "x" && 1e-2000 < 1'}
"#;
    assert_eq!(
        problems(text),
        r#"relay.yaml:4:39: the parameter of the path "acount" is unknown: did you mean account?
relay.yaml:4:64: the member of request "metod" is unknown: did you mean method?
relay.yaml:9:12: the member of a signer "sbject" is unknown: did you mean subject?
relay.yaml:10:16: division is not exact: multiply the other side instead
relay.yaml:13:30: unexpected end of the condition
relay.yaml:19:27: expected a header name in lower case, but found "X-A"
relay.yaml:19:34: cannot compare a string with a number
relay.yaml:19:46: expected a string, a list or an object, but found a number
relay.yaml:19:61: the function "foo" is unknown: expected one of size, startsWith, endsWith, contains, matches, int, double, has, all, exists, exists_one, filter, map
relay.yaml:19:72: cannot compare a string with a number
relay.yaml:19:79: expected a member of request: request.method, request.host, request.path, request.query, request.headers
relay.yaml:19:90: path has no members here: the policy's match names no parameters of the path
relay.yaml:22:15: expected a condition that is true or false, but found a number
relay.yaml:23:48: expected a pattern: unclosed group
relay.yaml:23:60: expected a member that may be missing, such as has(body.amount)
relay.yaml:23:77: expected the name of a variable in all(…)
relay.yaml:23:89: expected a string: nothing here has bytes
relay.yaml:24:39: unexpected '= ': did you mean ==?
relay.yaml:25:43: unexpected 'and': did you mean &&?
relay.yaml:26:39: strings have no order: double(…) makes a number of one
relay.yaml:26:61: strings have no order: double(…) makes a number of one
relay.yaml:27:46: expected no object here: a condition only looks at those of the request
relay.yaml:27:73: a string is never null
relay.yaml:27:92: cannot compare a list with a string
relay.yaml:27:102: expected a number with at most 38 digits"#
    );
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let policy = |members: &str| problems(&format!("policies: [{{name: a, match: {{}}, {members}}}]"));
    for (members, expected) in [
        (
            "when: body.x > 1, proof: {body: free}",
            "expected bound: the condition looks into the body, which anybody could change",
        ),
        (
            "when: body.x > 1, proof: {body: none}",
            "expected bound: the condition looks into the body, and none is let in",
        ),
        ("when: size(signers) > 1, proof: none", "expected a proof: the condition is about the signers"),
        ("proof: none, approvals: [{role: a}]", "expected a proof: approvals are proofs"),
        ("proof: {body: free}, approvals: [{role: a}]", "expected bound: approvals would be for any body"),
        ("proof: {query: free}, approvals: [{role: a}]", "expected bound: approvals would be for any query"),
        (
            "proof: {cover: [\"@method\", content-digest]}, approvals: [{role: a}]",
            "expected @method and @target-uri as well: approvals would be for any resource",
        ),
        (
            "approvals: [{count: 9}, {count: 7}], submitter: excluded",
            "expected at most 16 proofs (limits.labels), but found 17",
        ),
        ("approvals: []", "expected at least one entry"),
        ("approvals: [{count: 0}]", "expected a whole number of at least 1, but found 0"),
        ("approvals: [{rol: a}]", "the key \"rol\" is unknown: did you mean role?"),
        ("submitter: excluded", "expected approvals as well: without them everybody who signs submits"),
        (
            "receipt: {audience: payments}",
            "expected receipts as well, beside policies: who writes them, and with which key",
        ),
    ] {
        let found = policy(members);
        assert!(found.ends_with(expected), "{members}: {found}");
    }
}

#[test]
fn what_may_not_be_meant_is_remarked_upon() {
    let text = r#"policies:
  - name: new
    match: {path: "/t/{account}"}
    when: body.amount > 1 && request.headers["x-a"] == "b" && request.headers.accept == "c"
    proof: {cover: ["@method", "@target-uri", "accept"]}
    approvals: [{role: a}]
    mode: observe
  - name: all
    match: {path: "/{*rest}"}
    when: body.kind == "x"
    protect: [content-type]
  - name: covering
    match: {path: "/{*rest}"}
    when: body.kind == "x"
    proof: {cover: ["@method", "@target-uri", content-type]}
  - name: all of it
    match: {path: "/{*rest}", hosts: [a.example, "*.example"]}
  - {name: never, match: {path: "/t/{x}", hosts: [b.example]}}
  - {name: never either, match: {path: "/t/x/{*rest}", hosts: ["*.b.example", a.example], methods: [GET]}}
  - {name: sometimes, match: {path: "/t/{x}", hosts: [example]}}
  - {name: always, match: {path: /}}
"#;
    let text = text.replace("all of it", "all-of-it").replace("never either", "never-either");
    let config = Config::parse(&text, "relay.yaml", Path::new("")).unwrap();
    let remarks: Vec<String> = config.remarks.iter().map(ToString::to_string).collect();
    let hidden = "the policy all-of-it above takes all of it, so only a route that names it chooses it";
    assert_eq!(
        remarks,
        [
            "6:16: one signature is enough: whoever submits may approve it alone (submitter: excluded)",
            "4:11: depends on the header x-a, which is neither covered nor protected",
            "4:11: looks into the body, whose content-type is not covered",
            "10:11: looks into the body, whose content-type is not covered",
            &format!("18:26: never matches: {hidden}"),
            &format!("19:33: never matches: {hidden}"),
        ]
    );
}

#[test]
fn mistakes_in_traces_are_reported_where_they_stand() {
    for (text, expected) in [
        ("traces: {}", "relay.yaml:1:9: the key \"otlp\" is missing"),
        (
            "traces: {otlp: localhost:4317}",
            "relay.yaml:1:16: expected the URL of a collector such as http://localhost:4317, but found \"localhost:4317\"",
        ),
        (
            "traces: {otlp: 'http://localhost:4318/v1/traces'}",
            "relay.yaml:1:16: expected the URL of a collector such as http://localhost:4317, but found \"http://localhost:4318/v1/traces\"",
        ),
        (
            "traces: {otlp: 'http://localhost:4317', sample: 1.5}",
            "relay.yaml:1:49: expected a share from 0 to 1 such as 0.01, but found 1.5",
        ),
        (
            "traces: {otlp: 'http://localhost:4317', ca: ca.pem}",
            "relay.yaml:1:16: expected an https URL: certificates mean nothing without TLS",
        ),
    ] {
        assert_eq!(problems(text), expected);
    }
}

#[test]
fn mistakes_in_receipts_are_reported_where_they_stand() {
    let text = r#"admin: 8001
receipts:
  issuer: bank example
  keys: []
  lifetime: 0s
  audience: payments
policies:
  - {name: a, match: {}, proof: none, receipt: {audience: payments}}
  - {name: b, match: {}, receipt: {audience: ""}}
  - {name: c, match: {}, receipt: payments}
  - {name: d, match: {}, receipt: {}}
"#;
    assert_eq!(
        problems(text),
        r#"relay.yaml:1:8: expected a text, but found 8001
relay.yaml:3:11: expected a URL or another name in printable ASCII without spaces, but found "bank example"
relay.yaml:4:9: expected at least one entry
relay.yaml:5:13: expected at least 1s, but found "0s"
relay.yaml:6:3: the key "audience" is unknown: expected one of issuer, keys, lifetime
relay.yaml:8:33: expected a proof: a receipt says what was proven
relay.yaml:9:46: expected a URL or another name in printable ASCII without spaces, but found ""
relay.yaml:10:35: expected a mapping, but found "payments"
relay.yaml:11:35: the key "audience" is missing"#
    );
    let without =
        "policies:\n  - {name: a, match: {}, receipt: {audience: payments}}\nreceipts: {lifetime: 60s}";
    assert_eq!(problems(without), "relay.yaml:3:11: the key \"issuer\" is missing");
    assert_eq!(
        problems("policies:\n  - {name: a, match: {}, receipt: {audience: payments}}"),
        "relay.yaml:2:35: expected receipts as well, beside policies: who writes them, and with which key"
    );
}

#[test]
fn what_may_not_be_meant_with_receipts_is_remarked_upon() {
    let remarks = |text: &str| {
        let config = Config::parse(text, "relay.yaml", Path::new("")).unwrap();
        let placed = config.remarks.iter().map(ToString::to_string);
        placed.chain(on_publishing(&config)).collect::<Vec<_>>()
    };
    let made = "no keys: one is made at each start, so replicas have different ones, and after a restart no receipt from before it can be checked";
    assert_eq!(
        remarks("policies: []\nreceipts: {issuer: a}"),
        [
            "2:1: no policy has a receipt, so none is sent",
            &format!("2:1: {made}"),
            "receipts: admin is not set, so backends cannot fetch the keys from here",
        ]
    );
    let sound = "admin: 127.0.0.1:0
receipts: {issuer: a, keys: [receipts.jwk.json]}
policies: [{name: a, match: {}, receipt: {audience: b}}]";
    assert_eq!(remarks(sound), [""; 0]);
}

#[test]
fn mistakes_in_what_is_listened_on_are_reported_where_they_stand() {
    let text = r#"listen: "unix:"
admin: unix:/run/admin.sock
tls:
  certificate: server.pem
  clients: ["*.internal", 10.0.0.1, "envoy internal", "spiffe:", "", envoy., "spiffe://a/b", envoy.internal]
  ca: clients.pem
"#;
    assert_eq!(
        problems(text),
        r#"relay.yaml:1:9: expected an IP address and a port such as 0.0.0.0:8000, or unix: and a path, but found "unix:"
relay.yaml:2:8: expected an IP address and a port such as 0.0.0.0:8001, but found "unix:/run/admin.sock"
relay.yaml:3:1: expected no tls with a Unix socket: the mode of its file and of its folder says who reaches it
relay.yaml:4:3: the key "key" is missing
relay.yaml:5:3: expected client_ca as well: without it no client has to show a certificate
relay.yaml:5:13: expected a DNS name such as envoy.internal, or a URI such as spiffe://cluster.local/ns/a/sa/b, but found "*.internal"
relay.yaml:5:27: expected a DNS name such as envoy.internal, or a URI such as spiffe://cluster.local/ns/a/sa/b, but found "10.0.0.1"
relay.yaml:5:37: expected a DNS name such as envoy.internal, or a URI such as spiffe://cluster.local/ns/a/sa/b, but found "envoy internal"
relay.yaml:5:55: expected a DNS name such as envoy.internal, or a URI such as spiffe://cluster.local/ns/a/sa/b, but found "spiffe:"
relay.yaml:5:66: expected a DNS name such as envoy.internal, or a URI such as spiffe://cluster.local/ns/a/sa/b, but found ""
relay.yaml:5:70: expected a DNS name such as envoy.internal, or a URI such as spiffe://cluster.local/ns/a/sa/b, but found "envoy."
relay.yaml:6:3: the key "ca" is unknown: expected one of certificate, key, client_ca, clients"#
    );
    let socket = "listen: unix:relay.sock\ntls:\n  certificate: a.pem\n  key: a.key.pem\n";
    assert_eq!(
        problems(socket),
        "relay.yaml:2:1: expected no tls with a Unix socket: the mode of its file and of its folder says who reaches it"
    );
    assert!(
        problems("tls: {certificate: a, key: b, client_ca: c, clients: []}").contains("at least one entry")
    );
}

#[test]
fn a_socket_and_the_files_of_tls_are_relative_to_the_file() {
    let parse = |text: &str| Config::parse(text, "relay.yaml", Path::new("/etc/relay")).unwrap();
    assert_eq!(parse("listen: unix:relay.sock").listen.to_string(), "unix:/etc/relay/relay.sock");
    assert_eq!(parse("listen: unix:/run/relay.sock").listen.to_string(), "unix:/run/relay.sock");
    let tls = parse("tls: {certificate: a.pem, key: /run/a.key.pem, client_ca: c.pem}").tls.unwrap();
    assert_eq!(tls.certificate, Path::new("/etc/relay/a.pem"));
    assert_eq!(tls.key, Path::new("/run/a.key.pem"));
    assert_eq!(tls.clients.unwrap().authorities, Path::new("/etc/relay/c.pem"));
}
