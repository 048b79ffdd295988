//! The linter of the proxy's configuration: files that are sound, and files that are not.
//!
//! A faulty file begins with what is expected of it: `# expect: RULE LINE, …`, in the order of the places.

mod command;
mod envoy;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use proof_messenger_relay::lint::{File, Report, Rule, Severity, lint};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lint").join(name)
}

fn files(name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder(name)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn read(path: &Path) -> File {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    File { name, text: std::fs::read_to_string(path).unwrap() }
}

fn found(report: &Report) -> Vec<String> {
    let line = |finding: &proof_messenger_relay::lint::Finding| {
        format!("{} {}", finding.rule, finding.location.unwrap().line)
    };
    report.findings.iter().map(line).collect()
}

/// A text of its own, which must be one that the linter takes.
fn rules(text: &str) -> Vec<String> {
    found(&lint(&[File { name: "text".to_owned(), text: text.to_owned() }]).unwrap()[0])
}

fn refusal(text: &str) -> String {
    lint(&[File { name: "text".to_owned(), text: text.to_owned() }]).unwrap_err().to_string()
}

#[test]
fn every_fault_is_found_where_it_is_and_nothing_else() {
    let faulty = files("faulty");
    assert!(faulty.len() >= 30, "{}", faulty.len());
    for path in faulty {
        let file = read(&path);
        let expected = file.text.lines().next().unwrap().strip_prefix("# expect: ").unwrap();
        let expected: Vec<&str> = expected.split(", ").collect();
        let reports = lint(std::slice::from_ref(&file)).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(found(&reports[0]), expected, "{}", file.name);
    }
}

#[test]
fn every_rule_has_a_faulty_file() {
    let texts: Vec<String> = files("faulty").iter().map(|path| read(path).text).collect();
    let expected: BTreeSet<&str> = texts
        .iter()
        .flat_map(|text| text.lines().next().unwrap().trim_start_matches("# expect: ").split(", "))
        .map(|finding| finding.split_once(' ').unwrap().0)
        .collect();
    let rules: BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.name()).collect();
    assert_eq!(expected, rules);
}

#[test]
fn sound_files_are_sound() {
    for path in files("sound") {
        // Routes are an answer to a question that another file asks.
        let together =
            if path.ends_with("rds.yaml") { vec![path.with_file_name("lds.yaml"), path] } else { vec![path] };
        let files: Vec<File> = together.iter().map(|path| read(path)).collect();
        let reports = lint(&files).unwrap_or_else(|problems| panic!("{problems}"));
        for report in &reports {
            // What Istio and Envoy Gateway cannot be told is a note on every file of theirs.
            let unexpected: Vec<_> = report
                .findings
                .iter()
                .filter(|finding| finding.rule != Rule::NotRaw && finding.rule != Rule::UnseenRoutes)
                .collect();
            assert!(unexpected.is_empty(), "{}: {unexpected:?}", report.name);
            assert_eq!(report.errors().count(), 0);
        }
    }
}

#[test]
fn the_projects_own_configuration_gives_neither_an_error_nor_a_note() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("envoy/envoy.yaml");
    let reports = lint(&[read(&path)]).unwrap();
    assert_eq!(reports[0].findings, []);
    assert_eq!(reports[0].summary(), "sound: 1 ext_authz filter");
}

#[test]
fn routes_in_another_file_are_looked_up_there() {
    let (listeners, routes) = (read(&folder("sound/lds.yaml")), read(&folder("sound/rds.yaml")));
    assert_eq!(found(&lint(std::slice::from_ref(&listeners)).unwrap()[0]), ["unseen-routes 22"]);
    let reports = lint(&[listeners.clone(), routes.clone()]).unwrap();
    assert_eq!((found(&reports[0]), found(&reports[1])), (vec![], vec![]));

    // Without the route that refuses ambiguous paths, both files together are at fault.
    let open = routes.text.replace("direct_response: {status: 400}", "route: {cluster: backend}");
    let reports = lint(&[listeners, File { text: open, ..routes }]).unwrap();
    assert_eq!(found(&reports[0]), ["path-ambiguous 9"]);
}

#[test]
fn a_filter_that_is_discovered_is_looked_up_in_its_own_file() {
    let listener = read(&folder("faulty/discovered_filter.yaml"));
    let discovered = |failing: bool| File {
        name: "ecds.yaml".to_owned(),
        text: format!(
            r#"resources:
- "@type": type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig
  name: envoy.filters.http.ext_authz
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
    grpc_service: {{envoy_grpc: {{cluster_name: relay}}, timeout: 0.5s}}
    failure_mode_allow: {failing}
    validate_mutations: true
    status_on_error: {{code: 503}}
    encode_raw_headers: true
    with_request_body: {{max_request_bytes: 4096, pack_as_bytes: true}}
"#
        ),
    };
    let reports = lint(&[listener.clone(), discovered(false)]).unwrap();
    assert_eq!((found(&reports[0]), found(&reports[1])), (vec![], vec![]));
    let reports = lint(&[listener, discovered(true)]).unwrap();
    assert_eq!((found(&reports[0]), found(&reports[1])), (vec![], vec!["failure-mode-allow 7".to_owned()]));
}

#[test]
fn a_provider_in_another_file_is_looked_up_there() {
    let istio = read(&folder("sound/istio.yaml"));
    let (mesh, policy) = istio.text.split_once("---\n").unwrap();
    let file = |name: &str, text: &str| File { name: name.to_owned(), text: text.to_owned() };
    let reports = lint(&[file("policy.yaml", policy), file("mesh.yaml", mesh)]).unwrap();
    assert_eq!((found(&reports[0]), found(&reports[1])), (vec![], vec!["not-raw 7".to_owned()]));
}

#[test]
fn json_and_lists_of_kubernetes_are_read_as_well() {
    let json = r#"{"apiVersion": "v1", "kind": "List", "items": [{
        "apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "SecurityPolicy", "metadata": {"name": "proofs"},
        "spec": {"extAuth": {"grpc": {"backendRefs": []}, "timeout": "1s",
            "failOpen": true,
            "bodyToExtAuth": {"maxRequestBytes": 1048576}}}}]}"#;
    assert_eq!(rules(json), ["not-raw 3", "failure-mode-allow 4"]);
}

#[test]
fn what_leaves_requests_alone_may_stand_before_ext_authz() {
    let sound = read(&folder("sound/bootstrap.yaml")).text;
    let ext_authz = "          - name: envoy.filters.http.ext_authz\n";
    for config in [
        r#"{"@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors}"#,
        r#"{"@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua, default_source_code: {inline_string: "function envoy_on_response(h) end"}}"#,
        r#"{"@type": type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation, mutations: {request_mutations: [{remove: x-debug}], response_mutations: [{append: {header: {key: a, value: b}}}]}}"#,
        r#"{"@type": type.googleapis.com/envoy.extensions.filters.http.decompressor.v3.Decompressor, request_direction_config: {common_config: {enabled: {default_value: false}}}}"#,
        r#"{"@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor, processing_mode: {request_header_mode: SKIP}}"#,
        r#"{"@type": type.googleapis.com/envoy.extensions.filters.http.compressor.v3.Compressor}"#,
        r#"{"@type": type.googleapis.com/envoy.extensions.filters.http.header_to_metadata.v3.Config}"#,
    ] {
        let filter = format!("          - name: other\n            typed_config: {config}\n");
        assert_eq!(rules(&sound.replace(ext_authz, &(filter + ext_authz))), [""; 0], "{config}");
    }
}

#[test]
fn what_a_disabled_filter_denies_is_no_way_around_it() {
    let file = read(&folder("faulty/filter_enabled_half.yaml")).text;
    let with = |deny: &str| {
        let deny =
            format!("              deny_at_disable: {{{deny}}}\n              encode_raw_headers: true\n");
        rules(&file.replace("              encode_raw_headers: true\n", &deny))
    };
    assert_eq!(with("default_value: true"), [""; 0]);
    // Whoever can change the runtime has the way around.
    let switched = with("default_value: true, runtime_key: relay.deny");
    assert!(matches!(&*switched, [found] if found.starts_with("runtime-switch ")), "{switched:?}");
}

#[test]
fn a_route_that_answers_by_itself_may_be_exempt() {
    let file = read(&folder("faulty/route_exempt.yaml")).text;
    let answering = file.replace("route: {cluster: backend}", "direct_response: {status: 200}");
    assert_eq!(rules(&answering), [""; 0]);
}

#[test]
fn one_rule_that_matches_everything_is_enough() {
    let file = read(&folder("faulty/istio_not_paths.yaml")).text;
    assert_eq!(rules(&file), ["not-raw 8", "policy-scope 28"]);
    for everything in
        ["  - {}\n", "  - to: [{operation: {paths: [\"/*\"]}}]\n", "  - to: [{operation: {}}]\n"]
    {
        assert_eq!(rules(&(file.clone() + everything)), ["not-raw 8"], "{everything}");
    }
}

#[test]
fn files_of_envoy_in_a_config_map_are_read_with_their_places() {
    let file = read(&folder("faulty/failure_mode_allow.yaml"));
    let line = |finding: &String| finding.rsplit_once(' ').unwrap().1.parse::<usize>().unwrap();
    let inner = line(&rules(&file.text)[0]);
    let indented: String = file.text.lines().map(|line| format!("    {line}\n")).collect();
    let map = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: envoy}}\ndata:\n  notes: \"a: [\"\n  envoy.yaml: |\n{indented}"
    );
    let reports = lint(&[File { name: "map.yaml".to_owned(), text: map }]).unwrap();
    assert_eq!(found(&reports[0]), [format!("failure-mode-allow {}", inner + 6)]);
    assert_eq!(reports[0].findings[0].location.unwrap().column, 15 + 4);
}

#[test]
fn a_filter_that_istio_adds_as_an_extension_is_found() {
    let filter = read(&folder("sound/envoy_filter.yaml")).text;
    let (before, config) = filter.split_once("        typed_config:\n").unwrap();
    let discovering = "        config_discovery: {type_urls: []}\n  - applyTo: EXTENSION_CONFIG\n    patch:\n      operation: ADD\n      value:\n        name: envoy.filters.http.ext_authz\n        typed_config:\n";
    let patched = format!("{before}{discovering}{config}");
    assert_eq!(rules(&patched), [""; 0]);
    let alone = format!("{before}        config_discovery: {{type_urls: []}}\n");
    assert_eq!(rules(&alone), ["unseen-filter 16"]);
}

#[test]
fn a_virtual_host_may_come_by_itself() {
    let host = |disabled: bool| File {
        name: "vhds.yaml".to_owned(),
        text: format!(
            r#"resources:
- "@type": type.googleapis.com/envoy.config.route.v3.VirtualHost
  name: backend
  routes:
  - match: {{prefix: /}}
    route: {{cluster: backend}}
    typed_per_filter_config:
      envoy.filters.http.ext_authz:
        "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute
        disabled: {disabled}
"#
        ),
    };
    let listener = read(&folder("sound/lds.yaml"));
    assert_eq!(found(&lint(&[listener.clone(), host(false)]).unwrap()[1]), [""; 0]);
    assert_eq!(found(&lint(&[listener, host(true)]).unwrap()[1]), ["route-exempt 10"]);
}

#[test]
fn a_source_of_any_identity_is_not_every_source() {
    let file = read(&folder("sound/istio.yaml")).text;
    let anybody = "  - from:\n    - source: {principals: [\"*\"]}\n";
    assert_eq!(rules(&file.replace("  - {}\n", anybody)), ["not-raw 7", "policy-scope 26"]);
}

#[test]
fn an_ext_authz_filter_that_speaks_http_beside_the_relays_is_somebody_elses() {
    let sound = read(&folder("sound/bootstrap.yaml")).text;
    let other = r#"          - name: other
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz, http_service: {}}
"#;
    let ext_authz = "          - name: envoy.filters.http.ext_authz\n";
    let text = sound.replace(ext_authz, &format!("{other}{ext_authz}"));
    assert_eq!(rules(&text), [""; 0]);
    let report = lint(&[File { name: "text".to_owned(), text }]).unwrap().remove(0);
    assert_eq!(report.summary(), "sound: 1 ext_authz filter");
    assert_eq!(report.ignored().unwrap(), "ignored: 1 HTTP ext_authz filter");

    let istio = read(&folder("sound/istio.yaml")).text;
    let other = "    - {name: other, envoyExtAuthzHttp: {service: other, port: 80}}\n";
    let text = istio.replace("    - name: relay\n", &format!("{other}    - name: relay\n"));
    let report = lint(&[File { name: "text".to_owned(), text }]).unwrap().remove(0);
    assert_eq!(found(&report), ["not-raw 8"]);
    assert_eq!(report.ignored().unwrap(), "ignored: 1 HTTP ext_authz provider");
}

#[test]
fn a_discovered_ext_authz_filter_beside_the_relays_may_be_the_relays() {
    let sound = read(&folder("sound/bootstrap.yaml")).text;
    let ext_authz = "          - name: envoy.filters.http.ext_authz\n";
    let other = "          - name: other_ext_authz\n            config_discovery: {}\n";
    assert_eq!(rules(&sound.replace(ext_authz, &format!("{other}{ext_authz}"))), ["unseen-filter 38"]);
}

#[test]
fn a_route_that_is_exempt_protects_nothing() {
    // The other listener leads to a cluster that only an exempt route behind ext_authz uses.
    let file = read(&folder("faulty/second_listener_elsewhere.yaml")).text;
    let exempt = r#"              - match: {prefix: /pages}
                route: {cluster: pages}
                typed_per_filter_config:
                  envoy.filters.http.ext_authz:
                    "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute
                    disabled: true
"#;
    let route = "              - match: {prefix: /}\n                route: {cluster: backend}\n";
    assert_eq!(
        rules(&file.replace(route, &format!("{exempt}{route}"))),
        ["route-exempt 37", "no-ext-authz 69"]
    );
    let asking = exempt.replace("disabled: true", "check_settings: {}");
    assert_eq!(rules(&file.replace(route, &format!("{asking}{route}"))), ["way-around 69"]);
}

#[test]
fn what_answers_by_itself_is_no_way_to_a_backend() {
    let file = read(&folder("faulty/tcp_proxy_listener.yaml")).text;
    let start = file.find("      - name: envoy.filters.network.tcp_proxy").unwrap();
    let end = file.find("  clusters:\n").unwrap();
    let with = |filter: &str| rules(&format!("{}{filter}{}", &file[..start], &file[end..]));
    let echo = r#"      - name: echo
        typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo}
"#;
    assert_eq!(with(echo), [""; 0]);
    // Other protocols name their clusters deeper down.
    let redis = |cluster: &str| {
        format!(
            r#"      - name: redis
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.redis_proxy.v3.RedisProxy
          prefix_routes: {{catch_all_route: {{cluster: {cluster}}}}}
"#
        )
    };
    assert_eq!(with(&redis("backend")), ["way-around 63"]);
    assert_eq!(with(&redis("redis")), ["no-ext-authz 63"]);
    // Nothing is known of one whose configuration is discovered.
    assert_eq!(with("      - name: other\n        config_discovery: {}\n"), ["no-ext-authz 62"]);
}

#[test]
fn fixes_have_the_names_of_the_files_own_api() {
    let fixes = |name: &str| -> Vec<&str> {
        let reports = lint(&[read(&folder(name))]).unwrap();
        reports[0].findings.iter().map(|finding| finding.fix).collect()
    };
    let istio = fixes("faulty/istio_no_timeout.yaml");
    assert!(istio.contains(&"Set statusOnError: \"503\"."), "{istio:?}");
    assert!(istio.iter().any(|fix| fix.contains("EnvoyFilter")), "{istio:?}");
    let gateway = fixes("faulty/gateway_paths_of_routes.yaml");
    assert!(gateway[0].contains("EnvoyPatchPolicy"), "{gateway:?}");
    assert!(
        gateway[1].contains("disableMergeSlashes") && !gateway[1].contains("merge_slashes"),
        "{gateway:?}"
    );
    // A patch holds Envoy's messages.
    assert_eq!(fixes("faulty/envoy_filter_fail_open.yaml"), ["Set failure_mode_allow: false."]);

    let snake_case = |fix: &str| {
        fix.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
            .any(|word| word.contains('_') && word != "ext_authz")
    };
    for path in files("faulty") {
        let file = read(&path);
        let own = ["faulty/istio", "faulty/gateway", "faulty/http_route", "faulty/virtual"]
            .iter()
            .any(|start| path.to_string_lossy().contains(start))
            // A patch holds Envoy's messages.
            && !path.to_string_lossy().contains("faulty/gateway_patch");
        for finding in
            own.then(|| lint(&[file]).unwrap()).iter().flatten().flat_map(|report| &report.findings)
        {
            // Nothing but Envoy's own settings can help there.
            let envoys = ["not-raw", "body-limit"].contains(&finding.rule.name());
            assert!(envoys || !snake_case(finding.fix), "{}: {}", finding.rule, finding.fix);
        }
    }
}

#[test]
fn every_ambiguous_path_of_a_gateway_that_asks_is_refused_by_the_relay() {
    let file = read(&folder("sound/envoy_gateway_paths.yaml")).text;
    assert_eq!(rules(&file), ["not-raw 7"]);
    let line = "  path:\n";
    let at = file.lines().position(|text| text == "  path:").unwrap() + 1;
    let ambiguous = [format!("path-ambiguous {}", at + 1), format!("path-ambiguous {}", at + 2)];
    assert!(file.contains(line));
    // One listener of the Gateway is not all of it.
    let section = file.replacen("name: public}", "name: public, sectionName: https}", 1);
    assert_eq!(rules(&section)[1..], ambiguous);
    // Nor is it asked where the policy of a route takes the place of the Gateway's.
    let replaced = "---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: SecurityPolicy\nspec: {targetRefs: [{kind: HTTPRoute, name: pages}], cors: {}}\n";
    assert_eq!(rules(&format!("{file}{replaced}"))[1..3], ambiguous);
}

#[test]
fn what_is_no_configuration_of_a_proxy_does_not_look_sound() {
    let nothing =
        "text: expected a configuration of Envoy, Istio or Envoy Gateway, but found nothing of them";
    for text in
        ["", "# nothing\n", "a: 1\n", "- 1\n", "text", "apiVersion: v1\nkind: Service\n", "policies: []\n"]
    {
        assert_eq!(refusal(text), nothing, "{text:?}");
    }
    let asks = "text: expected an ext_authz filter, but found none: nothing asks the relay";
    let sound = read(&folder("sound/bootstrap.yaml")).text;
    let start = sound.find("          - name: envoy.filters.http.ext_authz").unwrap();
    let end = sound.find("          - name: envoy.filters.http.router").unwrap();
    let without = format!("{}{}", &sound[..start], &sound[end..]);
    let policy = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nspec: {action: DENY}\n";
    for text in [&*without, policy, "static_resources: {clusters: [], listeners: [{filter_chains: []}]}"] {
        assert_eq!(refusal(text), asks, "{text}");
    }
    assert!(refusal("a: [1\n").starts_with("text:"), "{}", refusal("a: [1\n"));
}

#[test]
fn every_rule_says_what_it_is_worth_and_what_to_do() {
    for rule in Rule::ALL {
        assert!(rule.gain().ends_with('.') && rule.fix().ends_with('.'), "{rule}");
        assert_eq!(rule.name().parse(), Ok(*rule));
        assert!(matches!(rule.severity(), Severity::Error | Severity::Note));
    }
}

#[test]
fn a_key_that_envoy_ignores_is_refused() {
    let sound = read(&folder("sound/bootstrap.yaml")).text;
    for tagged in [
        "!ignore http_filters:",
        "!<!ignore> http_filters:",
        "!ignore &a http_filters:",
        "&a !ignore http_filters:",
        "! ignore: 1\n          !ignore http_filters:",
        "? !ignore http_filters\n          :",
    ] {
        let refused = refusal(&sound.replace("          http_filters:", &format!("          {tagged}")));
        assert!(refused.contains("!ignore"), "{tagged}: {refused}");
    }
    let directive = sound.replace("http_filters:", "!e!ore http_filters:");
    let refused = refusal(&format!("%TAG !e! !ign\n---\n{directive}"));
    assert!(refused.contains("!ignore"), "{refused}");
    let flow = "{static_resources: {listeners: [{a: \"\n # b\", !ignore filter_chains: []}]}}";
    assert!(refusal(flow).contains("!ignore"), "{}", refusal(flow));
    let data: String = sound.lines().map(|line| format!("    {line}\n")).collect();
    let map = format!("apiVersion: v1\nkind: ConfigMap\ndata:\n  envoy.yaml: |\n{data}");
    assert_eq!(rules(&map), [""; 0]);
    let refused = refusal(&map.replace("http_filters:", "!ignore http_filters:"));
    assert!(refused.contains("!ignore"), "{refused}");
    // What only looks like one.
    let harmless = sound.replace("http_filters:", "http_filters: # !ignore this:");
    assert_eq!(rules(&harmless), [""; 0]);
}
