//! People as a reader of the examples has them: keys that `keys new` made, signatures that `sign` made.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::ask::Ask;
use super::program::{run, stderr, stdout};

/// A folder with a configuration, private keys and trust stores.
pub struct People {
    folder: tempfile::TempDir,
}

impl People {
    /// A folder with the files of this one.
    pub fn with_files_of(origin: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for file in fs::read_dir(origin).unwrap().map(|file| file.unwrap().path()) {
            fs::copy(&file, folder.path().join(file.file_name().unwrap())).unwrap();
        }
        Self { folder }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The private key of that name.
    pub fn private_key(&self, name: &str) -> PathBuf {
        self.folder().join(format!("{name}.jwk.json"))
    }

    /// Makes a key. Its id is its name.
    pub fn add(&self, name: &str, subject: &str, roles: &[&str], algorithm: &str, trust_store: &str) {
        let trust_store = self.folder().join(trust_store);
        fs::create_dir_all(trust_store.parent().unwrap()).unwrap();
        let (private, trust_store) = (self.private_key(name), trust_store.display().to_string());
        let private = private.display().to_string();
        let mut arguments = vec!["keys", "new", "--id", name, "--subject", subject, "--algorithm", algorithm];
        arguments.extend(["--private", &private, "--trust-store", &trust_store]);
        arguments.extend(roles.iter().flat_map(|role| ["--role", role]));
        let made = run(self.folder(), &arguments);
        assert!(made.status.success(), "{arguments:?}: {}", stderr(&made));
    }

    /// The request with one signature more, under the name of the key. `options` are those of `sign`.
    pub fn sign(&self, mut ask: Ask, key: &str, options: &[&str]) -> Ask {
        let url = format!("{}://{}{}", ask.scheme, ask.authority, ask.target);
        let private = self.private_key(key).display().to_string();
        let body = self.folder().join("body");
        let body_file = body.display().to_string();
        let headers: Vec<String> = ask
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)))
            .collect();
        let mut arguments = vec!["sign", "--output", "json", "--key", &private, "--method", &ask.method];
        arguments.extend(["--url", &url]);
        if !options.contains(&"--label") {
            arguments.extend(["--label", key]);
        }
        arguments.extend(headers.iter().flat_map(|header| ["--header", header]));
        if let Some(bytes) = &ask.body {
            fs::write(&body, bytes).unwrap();
            arguments.extend(["--body-file", &body_file]);
        }
        arguments.extend(options);
        let signed = run(self.folder(), &arguments);
        assert!(signed.status.success(), "{arguments:?}: {}", stderr(&signed));
        let added: Map<String, Value> = serde_json::from_str(&stdout(&signed)).unwrap();
        for (name, value) in added {
            ask = ask.replace(&name, value.as_str().unwrap());
        }
        ask
    }
}
