//! Where a relay listens.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr;

use super::document::Document;
use super::{DEFAULT, Listen, Problem, Problems, file};

/// Where the relay of a configuration listens. Nothing else of it needs to be right: a relay goes on with the last good
/// version, and is to be found there.
#[derive(Debug)]
pub struct Addresses {
    /// Where gRPC is served.
    pub listen: Listen,
    /// Whether it is served with TLS.
    pub tls: bool,
    /// Where HTTP is served, if anywhere.
    pub admin: Option<SocketAddr>,
}

impl Addresses {
    /// Those of the file, or of the built-in settings where there is none.
    ///
    /// # Errors
    /// When it cannot be read, and when something else stands in the place of an address.
    pub fn load(path: Option<&Path>) -> Result<Self, Problems> {
        let name = path.map_or_else(|| "built-in settings".to_owned(), |path| path.display().to_string());
        let text = path.map_or_else(|| Ok(DEFAULT.to_owned()), fs::read_to_string);
        let text = text.map_err(|error| Problem::everywhere(error.to_string()));
        let folder = path.and_then(Path::parent).unwrap_or(Path::new(""));
        text.and_then(|text| Self::of(&Document::parse(&text)?, folder))
            .map_err(|problem| Problems::new(&name, vec![problem]))
    }

    fn of(document: &Document, folder: &Path) -> Result<Self, Problem> {
        let listen = address(document, "listen", "or unix: and a path")?;
        let listen = listen.unwrap_or_else(|| file::ConfigFile::default().listen.into_inner().0);
        Ok(Self {
            listen: listen.within(folder),
            tls: document.value.get("tls").is_some_and(|tls| !tls.is_null()),
            admin: address(document, "admin", "such as 127.0.0.1:8001")?,
        })
    }
}

fn address<T: FromStr>(document: &Document, member: &str, hint: &str) -> Result<Option<T>, Problem> {
    let Some(written) = document.value.get(member).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let read = written.as_str().and_then(|text| text.parse().ok());
    let expected = || format!("expected an IP address and a port, {hint}");
    read.map(Some).ok_or_else(|| document.problem(&format!("/{member}"), expected()))
}
