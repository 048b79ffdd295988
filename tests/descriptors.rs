//! `src/envoy/descriptors.bin`, which gRPC server reflection answers from: the file of
//! `envoy.service.auth.v3.Authorization` and its transitive imports, taken from the descriptor set
//! that the `envoy-types` release in `Cargo.lock` carries but does not export.
//!
//! To remake it, after an `envoy-types` update: `UPDATE_GOLDEN=1 cargo test descriptors`.

// Of the lints in clippy.toml: these are for the verifier core, and this test reads files.
#![allow(clippy::disallowed_methods)]

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use prost::Message;
use prost::encoding::{DecodeContext, decode_key, skip_field};
use prost_types::FileDescriptorProto;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/envoy/descriptors.bin");
const ROOT: &str = "envoy/service/auth/v3/external_auth.proto";
const SERVICE: &str = "envoy.service.auth.v3.Authorization";
/// `FileDescriptorProto.source_code_info`: comments and positions, most of a file's bytes.
const SOURCE_CODE_INFO: u32 = 9;

/// A `google.protobuf.FileDescriptorSet` whose files stay as they were encoded. `prost_types` knows
/// no extensions, so decoding and re-encoding would drop Envoy's options (validation rules,
/// deprecations, versioning).
#[derive(Clone, PartialEq, Message)]
struct RawSet {
    #[prost(bytes = "vec", repeated, tag = "1")]
    file: Vec<Vec<u8>>,
}

#[test]
fn the_committed_set_is_envoy_types_own_pruned() {
    let pruned = prune(&envoy_types_set());
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(COMMITTED, &pruned).expect("descriptors.bin is written");
    }
    let committed = fs::read(COMMITTED).expect("descriptors.bin is read");
    assert!(
        committed == pruned,
        "src/envoy/descriptors.bin ({} bytes) is not envoy-types' pruned set ({} bytes): run with UPDATE_GOLDEN=1",
        committed.len(),
        pruned.len(),
    );
}

#[test]
fn the_pruned_set_is_closed_and_has_one_service() {
    let set = RawSet::decode(prune(&envoy_types_set()).as_slice()).expect("a descriptor set");
    let mut seen = HashSet::new();
    let mut services = Vec::new();
    for raw in &set.file {
        let file = FileDescriptorProto::decode(raw.as_slice()).expect("a file");
        assert!(file.source_code_info.is_none(), "{} has source_code_info", file.name());
        for import in &file.dependency {
            assert!(seen.contains(import), "{} imports {import}, which does not come before it", file.name());
        }
        services.extend(file.service.iter().map(|s| format!("{}.{}", file.package(), s.name())));
        assert!(seen.insert(file.name().to_owned()), "{} is there twice", file.name());
    }
    assert_eq!(services, [SERVICE]);
}

/// `ROOT` and what it imports, in the order they have in `whole` (imports first), each without its
/// `source_code_info` and otherwise byte for byte.
fn prune(whole: &[u8]) -> Vec<u8> {
    let whole = RawSet::decode(whole).expect("a descriptor set");
    let files: Vec<(FileDescriptorProto, &Vec<u8>)> = whole
        .file
        .iter()
        .map(|raw| (FileDescriptorProto::decode(raw.as_slice()).expect("a file descriptor"), raw))
        .collect();

    let mut kept = HashSet::new();
    let mut wanted = vec![ROOT];
    while let Some(name) = wanted.pop() {
        if kept.insert(name) {
            let (file, _) =
                files.iter().find(|(f, _)| f.name() == name).unwrap_or_else(|| panic!("no {name}"));
            wanted.extend(file.dependency.iter().map(String::as_str));
        }
    }

    let file =
        files.iter().filter(|(f, _)| kept.contains(f.name())).map(|(_, raw)| without_source(raw)).collect();
    RawSet { file }.encode_to_vec()
}

fn without_source(file: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(file.len());
    let mut rest = file;
    while !rest.is_empty() {
        let field = rest;
        let (tag, wire_type) = decode_key(&mut rest).expect("a field key");
        skip_field(wire_type, tag, &mut rest, DecodeContext::default()).expect("a field");
        if tag != SOURCE_CODE_INFO {
            out.extend_from_slice(&field[..field.len() - rest.len()]);
        }
    }
    out
}

/// The descriptor set inside the `envoy-types` sources.
fn envoy_types_set() -> Vec<u8> {
    let file = envoy_types_dir().join("src/generated/types.bin");
    fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// Where Cargo unpacked the `envoy-types` release that `Cargo.lock` names.
fn envoy_types_dir() -> PathBuf {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--format-version", "1", "--locked", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let package = packages.iter().find(|p| p["name"] == "envoy-types").expect("envoy-types is a dependency");
    let manifest = package["manifest_path"].as_str().expect("a manifest path");
    Path::new(manifest).parent().expect("its folder").to_owned()
}
