//! The files of the other tests are what Envoy would load.

use std::process::Command;

use super::{files, folder};

/// Files that Envoy refuses, with what it says: for these the linter is only the first to say so.
const REFUSED: &[(&str, &str)] = &[
    ("body_limit_zero.yaml", "MaxRequestBytes: value must be greater than 0"),
    ("transport_v2.yaml", "v2 xDS major version has been removed"),
    ("v2_type.yaml", "could not find @type"),
];

/// Files that name what is on no machine of ours: a script, a plugin, a server.
const INCOMPLETE: &[&str] =
    &["lua_after.yaml", "typed_struct_before.yaml", "discovered_filter.yaml", "discovered_routes.yaml"];

#[test]
fn envoy_takes_the_files_of_these_tests() {
    let envoy = crate::support::envoy::binary();
    let mut bootstraps = files("faulty");
    bootstraps.push(folder("sound/bootstrap.yaml"));
    for path in bootstraps {
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        if !text.contains("\nstatic_resources:") && !text.starts_with("static_resources:")
            || INCOMPLETE.contains(&name)
        {
            continue;
        }
        let output = Command::new(envoy).args(["--mode", "validate", "-c"]).arg(&path).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        match REFUSED.iter().find(|(refused, _)| *refused == name) {
            Some((_, why)) => assert!(!output.status.success() && said.contains(why), "{name}: {said}"),
            None => assert!(output.status.success(), "{name}: {said}"),
        }
    }
}
