//! Files for clusters: what their READMEs show is run, what they hold is checked against the types of its kind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use proof_messenger_relay::config::{Config, Listen};
use serde_json::{Value, json};

use crate::envoy::clients_are_installed;
use crate::support::program::{run, stderr, stdout};
use crate::support::shell;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn yaml_in(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|kind| kind == "yaml")).collect();
    files.sort();
    files
}

/// What is wrong with these resources; nothing where all is well.
fn against_schemas(files: &[PathBuf]) -> String {
    clients_are_installed();
    let clients = root().join("target/clients");
    let checked = Command::new(clients.join("venv/bin/node"))
        .arg(root().join("tests/deployment/schemas.mjs"))
        .arg(&clients)
        .args(files)
        .output()
        .unwrap();
    let said = format!("{}{}", stdout(&checked), stderr(&checked));
    if checked.status.success() { String::new() } else { said }
}

/// The resources of a text, by kind and name.
fn resources(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

fn resource<'r>(resources: &'r [Value], kind: &str) -> &'r Value {
    resources.iter().find(|resource| resource["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

/// The folder with what its README makes in it, and what kubectl makes of that.
fn kustomized() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let source = root().join("examples/kubernetes");
    fs::create_dir(folder.path().join("config")).unwrap();
    for path in yaml_in(&source) {
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    fs::copy(source.join("config/relay.yaml"), folder.path().join("config/relay.yaml")).unwrap();
    let steps = shell::steps(&fs::read_to_string(source.join("README.md")).unwrap());
    let mut script = shell::preamble();
    for step in &steps {
        // There is no cluster here.
        let commands = step.commands.replace("kubectl apply -k .", "kubectl kustomize . > all.txt");
        script.push_str(&format!("echo '=== '\n{commands}"));
    }
    let output = Command::new("bash").args(["-c", &script]).current_dir(folder.path()).output().unwrap();
    shell::assert_printed(&steps, &output);
    let all = fs::read_to_string(folder.path().join("all.txt")).unwrap();
    (folder, all)
}

#[test]
fn the_kubernetes_example_is_what_it_says() {
    // No registry has a current one, so it is not obtained here. In CI it must be there.
    if Command::new("kubectl").args(["version", "--client"]).output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "there is no kubectl");
        eprintln!("KUBECTL IS MISSING: the example for Kubernetes was not built.");
        return;
    }
    let (folder, all) = kustomized();
    let found = resources(&all);
    let pod = &resource(&found, "Deployment")["spec"]["template"]["spec"];
    assert_eq!(resource(&found, "Deployment")["spec"]["replicas"], 3);
    let container = &pod["containers"][0];
    assert_eq!(
        container["resources"],
        json!({"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"cpu": "500m", "memory": "128Mi"}})
    );
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(
        (&pod["securityContext"]["runAsNonRoot"], &pod["securityContext"]["runAsUser"]),
        (&json!(true), &json!(65532))
    );
    assert_eq!(pod["automountServiceAccountToken"], false);
    // The relay listens where the pod says, and is done before it is killed.
    let config = Config::load(&folder.path().join("config/relay.yaml")).unwrap();
    let Listen::Tcp(listen) = config.listen else { panic!("{}", config.listen) };
    let ports = [listen.port(), config.admin.unwrap().port()];
    let named = |at: usize| container["ports"][at]["containerPort"].as_u64().unwrap();
    assert_eq!([named(0), named(1)], ports.map(u64::from));
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!((config.drain.delay + config.drain.timeout).as_secs() + 5 <= grace);
    // Its key is where it looks for it, and its policies as they are in the folder.
    let keys = pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == "keys").unwrap();
    let secret = resource(&found, "Secret");
    assert_eq!(keys["secret"]["secretName"], secret["metadata"]["name"]);
    assert_eq!(keys["secret"]["defaultMode"], 0o440);
    assert!(secret["data"]["evidence.jwk.json"].is_string());
    let relay = &resource(&found, "ConfigMap")["data"]["relay.yaml"];
    assert_eq!(*relay, fs::read_to_string(folder.path().join("config/relay.yaml")).unwrap());
    // The alerts are those that promtool has checked.
    let alerts: Value =
        serde_saphyr::from_str(include_str!("../../examples/monitoring/alerts.yaml")).unwrap();
    assert_eq!(resource(&found, "PrometheusRule")["spec"]["groups"], alerts["groups"]);

    let file = folder.path().join("all.yaml");
    fs::write(&file, &all).unwrap();
    assert_eq!(against_schemas(&[file]), "");
}

#[test]
fn istio_and_envoy_gateway_are_what_their_types_and_the_linter_expect() {
    for name in ["istio", "envoy-gateway"] {
        let files = yaml_in(&root().join("examples").join(name));
        assert!(!files.is_empty());
        // The installer's own file is no resource of the cluster.
        let of_cluster: Vec<PathBuf> =
            files.iter().filter(|path| path.file_name().unwrap() != "mesh.yaml").cloned().collect();
        assert_eq!(against_schemas(&of_cluster), "");
        let arguments: Vec<&str> =
            std::iter::once("lint").chain(files.iter().map(|path| path.to_str().unwrap())).collect();
        let linted = run(root(), &arguments);
        assert!(linted.status.success(), "{}{}", stdout(&linted), stderr(&linted));
        assert!(!stdout(&linted).contains("error["), "{}", stdout(&linted));
        // As its README has it.
        let folder = root().join("examples").join(name);
        let steps = shell::steps(&fs::read_to_string(folder.join("README.md")).unwrap());
        let commands = steps.iter().map(|step| format!("echo '=== '\n{}", step.commands));
        let script = commands.fold(shell::preamble(), |script, commands| script + &commands);
        let output = Command::new("bash").args(["-c", &script]).current_dir(&folder).output().unwrap();
        shell::assert_printed(&steps, &output);
    }
}

/// A check that lets everything pass would look like one that found nothing.
#[test]
fn a_member_that_there_is_not_is_found() {
    let folder = tempfile::tempdir().unwrap();
    for (path, from, to) in [
        ("examples/istio/raw-headers.yaml", "workloadSelector", "workloadSelecter"),
        ("examples/istio/policies.yaml", "provider:", "providers:"),
        ("examples/envoy-gateway/proofs.yaml", "failOpen", "failOpened"),
        ("examples/kubernetes/disruption.yaml", "minAvailable", "minimumAvailable"),
        ("examples/kubernetes/monitoring.yaml", "endpoints:", "endpoint:"),
    ] {
        let text = fs::read_to_string(root().join(path)).unwrap();
        assert!(text.contains(from), "{path}");
        let file = folder.path().join("misspelt.yaml");
        fs::write(&file, text.replacen(from, to, 1)).unwrap();
        let found = against_schemas(&[file]);
        assert!(found.contains(to.trim_end_matches(':')), "{path}: {found}");
    }
}
