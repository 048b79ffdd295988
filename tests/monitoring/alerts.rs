//! The alerts, the dashboard and the README speak of the metrics that there are. A real promtool reads every expression.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::metrics::known;

/// What others tell: Prometheus of its targets, and Envoy of its filter.
const OF_OTHERS: [&str; 2] = ["up", "envoy_cluster_ext_authz_error"];

fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/monitoring")
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// promtool with these arguments, if it can be had here. In CI it must be there.
fn promtool(arguments: &[&str]) {
    let obtained = Command::new(monitoring().join("promtool")).output().unwrap();
    if !obtained.status.success() {
        assert!(std::env::var_os("CI").is_none(), "{}", String::from_utf8_lossy(&obtained.stderr));
        eprintln!("PROMTOOL IS MISSING: {arguments:?} was not tried.");
        return;
    }
    let promtool = String::from_utf8(obtained.stdout).unwrap();
    let run = Command::new(promtool.trim()).args(arguments).current_dir(monitoring()).output().unwrap();
    let said = [run.stdout, run.stderr].concat();
    assert!(run.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said));
}

fn rules() -> Vec<Value> {
    let file: Value = serde_saphyr::from_str(&read("examples/monitoring/alerts.yaml")).unwrap();
    file["groups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap().clone())
        .collect()
}

/// Every expression below a value, and the queries of variables.
fn expressions(value: &Value, found: &mut Vec<String>) {
    if let Value::Object(members) = value {
        for (name, value) in members {
            match value {
                Value::String(text) if name == "expr" || name == "definition" => found.push(text.clone()),
                value => expressions(value, found),
            }
        }
    }
    value.as_array().into_iter().flatten().for_each(|value| expressions(value, found));
}

fn of_dashboard() -> Vec<String> {
    let mut found = Vec::new();
    expressions(&serde_json::from_str(&read("examples/monitoring/grafana.json")).unwrap(), &mut found);
    found
}

/// The samples that a scraper stores.
fn samples() -> BTreeSet<String> {
    let samples = known().into_iter().flat_map(|(name, kind)| match kind.as_str() {
        "histogram" => ["_bucket", "_sum", "_count"].map(|part| format!("{name}{part}")).to_vec(),
        _ => vec![name],
    });
    samples.chain(OF_OTHERS.map(str::to_owned)).collect()
}

/// The names of metrics in an expression: of all names these alone have one of the prefixes.
fn metrics(expression: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    // What stands in quotes is a value.
    let outside: String = expression.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    let names = outside.split(|c| !is_part(c));
    let prefixes = ["proof_messenger_", "process_", "envoy_cluster_ext", "up"];
    names.filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix))).map(str::to_owned).collect()
}

#[test]
fn the_alerts_are_sound_and_fire_when_they_should() {
    promtool(&["check", "rules", "alerts.yaml"]);
    promtool(&["test", "rules", "alerts_test.yaml"]);
    for rule in rules() {
        let (name, annotations) = (&rule["alert"], &rule["annotations"]);
        assert!(name.is_string() && rule["labels"]["severity"].is_string(), "{rule}");
        for annotation in ["summary", "description"] {
            assert!(
                annotations[annotation].as_str().is_some_and(|text| !text.is_empty()),
                "{name}: {annotation}"
            );
        }
    }
}

#[test]
fn the_expressions_of_the_dashboard_can_be_read() {
    let as_queried =
        |expression: &String| expression.replace("$__rate_interval", "5m").replace("$instance", ".*");
    let queries: Vec<String> =
        of_dashboard().iter().filter(|text| !text.starts_with("label_values(")).map(as_queried).collect();
    assert!(queries.len() > 25 && queries.iter().all(|query| !query.contains('$')), "{queries:#?}");
    let rule = |(at, query)| json!({"record": format!("panel:{at}"), "expr": query});
    let rules: Vec<Value> = queries.iter().enumerate().map(rule).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("panels.json");
    fs::write(&file, json!({"groups": [{"name": "panels", "rules": rules}]}).to_string()).unwrap();
    promtool(&["check", "rules", "--lint=none", file.to_str().unwrap()]);
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_there_are() {
    let samples = samples();
    let alerts = rules().into_iter().map(|rule| rule["expr"].as_str().unwrap().to_owned());
    let dashboard = of_dashboard();
    let mut asked = BTreeSet::new();
    for expression in alerts.chain(dashboard.iter().cloned()) {
        let metrics = metrics(&expression);
        assert!(!metrics.is_empty(), "{expression}");
        assert!(metrics.is_subset(&samples), "{expression}: {metrics:?}");
        asked.extend(metrics);
    }
    // Nothing is told that nobody looks at.
    for (name, kind) in known() {
        let name = if kind == "histogram" { format!("{name}_bucket") } else { name };
        assert!(asked.contains(&name), "{name} is in no alert and no panel");
    }
    let dashboard: Value = serde_json::from_str(&read("examples/monitoring/grafana.json")).unwrap();
    assert_eq!(dashboard["templating"]["list"][0]["type"], "datasource");
}

#[test]
fn the_readme_names_every_alert() {
    let readme = read("README.md");
    let named: BTreeSet<&str> =
        readme.split('`').filter(|text| text.starts_with("Proof") && text.is_ascii()).collect();
    let rules = rules();
    let alerts: BTreeSet<&str> = rules.iter().map(|rule| rule["alert"].as_str().unwrap()).collect();
    assert!(alerts.is_subset(&named), "{:?}", alerts.difference(&named));
}
