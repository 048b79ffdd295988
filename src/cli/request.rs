//! A request as it is described on the command line, and its signature.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::Failure;
use crate::keys::parse_private_jwk;
use crate::limits::Limits;
use crate::request::{Body, Encoding, Field, Fields, Request, Source};
use crate::signer::{self, Signing};
use crate::structured_field::{self, MAX_MEMBERS};
use crate::timestamp::{Clock, SystemClock, Timestamp};
use crate::verify::{FieldTypes, Message, content_digest};

#[derive(Debug, Args)]
pub(super) struct RequestArgs {
    /// The URL, as the client requests it.
    #[arg(long)]
    url: String,
    #[command(flatten)]
    parts: RequestParts,
}

/// What describes a request besides its URL.
#[derive(Debug, Args)]
pub(super) struct RequestParts {
    /// The method.
    #[arg(long, default_value = "GET")]
    method: String,
    /// A header, as `Name: value`, or `@FILE` with one on each line, such as `sign` prints. May be repeated.
    #[arg(long = "header", short = 'H', value_name = "HEADER")]
    headers: Vec<String>,
    /// The body, as text.
    #[arg(long, value_name = "TEXT", conflicts_with = "body_file")]
    body: Option<String>,
    /// The body, from a file.
    #[arg(long, value_name = "FILE")]
    body_file: Option<PathBuf>,
}

/// What the proxy adds to a request.
#[derive(Debug, Args)]
pub(super) struct ProxyArgs {
    /// Name the policy, as a route does in context_extensions.
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// The address of the client, for conditions.
    #[arg(long, value_name = "IP")]
    source_address: Option<String>,
    /// Who the client is by its certificate, for conditions.
    #[arg(long, value_name = "NAME")]
    source_principal: Option<String>,
}

impl ProxyArgs {
    /// Adds it, in the place of what was there.
    pub(super) fn add_to<'a>(&'a self, request: &mut Request<'a>) {
        let Source { address, principal } = request.source;
        request.route_policy = self.policy.as_deref().or(request.route_policy);
        request.source = Source {
            address: self.source_address.as_deref().or(address),
            principal: self.source_principal.as_deref().or(principal),
        };
    }
}

#[derive(Debug, Args)]
pub(super) struct SignatureArgs {
    /// A component to cover, such as @method or content-digest. May be repeated. Without any: @method, @target-uri,
    /// and content-digest where there is a body.
    #[arg(long = "cover", value_name = "COMPONENT")]
    cover: Vec<String>,
    /// The label of the signature: another one for each signer. Without it: sig.
    #[arg(long)]
    pub(super) label: Option<String>,
    /// What the signature is for.
    #[arg(long)]
    tag: Option<String>,
    /// A value used once. Without it, a random one.
    #[arg(long)]
    nonce: Option<String>,
    /// When the signature was made, in seconds since 1970. Without it, now.
    #[arg(long, value_name = "SECONDS")]
    created: Option<u64>,
    /// For how long the signature is to be valid, such as 60s.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    expires_in: Option<Duration>,
    /// The alg parameter. No verifier needs it.
    #[arg(long)]
    alg: Option<String>,
}

/// A described request, with everything that is to be sent.
pub(super) struct Described {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) scheme: String,
    pub(super) authority: String,
    pub(super) target: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    /// The names of headers that were added, not described.
    pub(super) added: Vec<String>,
    pub(super) body: Option<Vec<u8>>,
}

impl RequestArgs {
    pub(super) fn described(self) -> Result<Described, Failure> {
        self.parts.described(self.url)
    }
}

impl RequestParts {
    pub(super) fn described(&self, url: String) -> Result<Described, Failure> {
        let Url { scheme, authority, target } = Url::parse(&url).map_err(Failure::Usage)?;
        if self.method.is_empty()
            || !self.method.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        {
            return Err(Failure::usage(format!(
                "expected a method such as POST, but found {:?}",
                self.method
            )));
        }
        let mut headers = Vec::new();
        // What a signer before has printed is printed again, so that the last one's output is the whole.
        let mut added: Vec<String> = Vec::new();
        for header in &self.headers {
            match header.strip_prefix('@') {
                None => headers.push(read_header(header)?),
                Some(path) => {
                    let text =
                        fs::read_to_string(path).map_err(|error| Failure::at(Path::new(path), error))?;
                    for line in text.lines().filter(|line| !line.trim().is_empty()) {
                        let header = read_header(line)?;
                        added.push(header.0.clone());
                        headers.push(header);
                    }
                }
            }
        }
        let body = self.body()?;
        Ok(Described { method: self.method.clone(), url, scheme, authority, target, headers, added, body })
    }

    /// The body that was given, if any was.
    pub(super) fn body(&self) -> Result<Option<Vec<u8>>, Failure> {
        match (&self.body, &self.body_file) {
            (Some(text), _) => Ok(Some(text.clone().into_bytes())),
            (None, Some(path)) => fs::read(path).map(Some).map_err(|error| Failure::at(path, error)),
            (None, None) => Ok(None),
        }
    }
}

/// Name and value of a header, the name in lower case.
fn read_header(header: &str) -> Result<(String, String), Failure> {
    let (name, value) = header
        .split_once(':')
        .ok_or_else(|| Failure::usage(format!("expected a header as Name: value, but found {header:?}")))?;
    Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
}

/// The parts of a URL that a request shows.
pub(super) struct Url {
    pub(super) scheme: String,
    pub(super) authority: String,
    /// Path and query.
    pub(super) target: String,
}

impl Url {
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url
            .split_once("://")
            .filter(|(scheme, _)| matches!(*scheme, "http" | "https"))
            .ok_or_else(|| format!("expected an http or https URL, but found {:?}", without_user(url)))?;
        let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.is_empty() || !authority.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'@') {
            return Err(format!("expected a URL with a host and no user, but found {:?}", without_user(url)));
        }
        if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("expected a URL in printable ASCII: percent-encode {target:?}"));
        }
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Self { scheme: scheme.to_owned(), authority: authority.to_owned(), target })
    }
}

/// A URL without a user's name and password, which no message should repeat.
pub(super) fn without_user(url: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = url.split_once("://") else { return url.into() };
    let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{host}{target}").into(),
        None => url.into(),
    }
}

impl Described {
    /// Adds a signature, and a digest of the body where it is covered and not there yet.
    pub(super) fn sign(&mut self, key: &PathBuf, args: &SignatureArgs) -> Result<(), Failure> {
        let text = fs::read(key).map(zeroize::Zeroizing::new);
        let text = text.map_err(|error| Failure::at(key, error))?;
        let key = parse_private_jwk(&text)
            .map_err(|error| Failure::usage(format!("{}: {error}", key.display())))?;
        let body = self.body.as_deref().filter(|body| !body.is_empty());
        let name = args.label.as_deref().unwrap_or("sig");
        let mut cover = args.cover.clone();
        if cover.is_empty() {
            cover.extend(["@method".to_owned(), "@target-uri".to_owned()]);
            cover.extend(body.map(|_| "content-digest".to_owned()));
        }
        let covers_digest =
            cover.iter().any(|component| component.trim_matches('"').starts_with("content-digest"));
        if let Some((_, digest)) = self.headers.iter().find(|(name, _)| name == "content-digest") {
            // Whoever signs it vouches for the body that they see.
            content_digest::check(digest.as_bytes(), body.unwrap_or_default()).map_err(Failure::usage)?;
        }
        if let Some((_, input)) = self.headers.iter().find(|(name, _)| name == "signature-input")
            && structured_field::dictionary(input.as_bytes(), MAX_MEMBERS)
                .map_err(Failure::usage)?
                .iter()
                .any(|(label, _)| label.as_str() == name)
        {
            return Err(Failure::usage(format!(
                "there is a signature {name:?} already: choose another --label"
            )));
        }
        if covers_digest && !self.has("content-digest") {
            let digest = signer::content_digest(body.unwrap_or_default());
            self.add("content-digest", digest);
        }
        let created = args.created.map_or_else(|| SystemClock.now(), Timestamp::from_unix_seconds);
        let signing = Signing {
            label: name.to_owned(),
            cover,
            created: Some(created),
            expires: args.expires_in.map(|lifetime| Timestamp::from(created.since_epoch() + lifetime)),
            nonce: Some(match &args.nonce {
                Some(nonce) => nonce.clone(),
                None => signer::nonce().map_err(Failure::failed)?,
            }),
            tag: args.tag.clone(),
            alg: args.alg.clone(),
        };
        let fields = {
            let request = self.request()?;
            let types = FieldTypes::default();
            let message = Message::new(&request, &types);
            signer::sign(&message, &key.key, &key.id, &signing, &Limits::default()).map_err(Failure::usage)?
        };
        self.add("signature-input", fields.signature_input);
        self.add("signature", fields.signature);
        Ok(())
    }

    /// The request as a verifier would see it.
    pub(super) fn request(&self) -> Result<Request<'_>, Failure> {
        let mut request = Request::new(&self.method, &self.scheme, &self.authority, &self.target);
        let lines =
            self.headers.iter().map(|(name, value)| Field { name, value: value.as_bytes() }).collect();
        request.fields = Fields::new(lines, Encoding::Raw, &Limits::default())
            .map_err(|denial| Failure::usage(denial.detail))?;
        request.body = self.body.as_deref().map_or(Body::Absent, Body::Complete);
        Ok(request)
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(known, _)| known == name)
    }

    /// Joins with a header of that name: a second signature stands in the same fields (RFC 9421 §4).
    fn add(&mut self, name: &str, value: String) {
        self.added.push(name.to_owned());
        match self.headers.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => {
                known.push_str(", ");
                known.push_str(&value);
            }
            None => self.headers.push((name.to_owned(), value)),
        }
    }
}
