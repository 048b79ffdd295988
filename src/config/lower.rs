//! From what the operator wrote to what the program uses: the checks that a schema cannot make.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::document::Document;
use super::problem::Problem;
use super::{Config, file};
use crate::envoy::Denials;
use crate::limits::Limits;
use crate::policy::{
    External, HostPattern, Match, Mode, PathPattern, Policies, Policy, Protect, ProtectBy, Terms,
};
use crate::proof::Name;
use crate::request::is_field_name;
use crate::verify::{BodyRule, FieldType, FieldTypes, QueryRule, Requirement};

/// # Errors
/// Every problem.
pub(super) fn lower(
    file: file::ConfigFile,
    document: &Document,
    folder: &Path,
) -> Result<Config, Vec<Problem>> {
    let mut lower = Lower { document, problems: Vec::new() };
    let listen =
        lower.parsed("/listen", file.listen.0.parse(), "an IP address and a port such as 0.0.0.0:8000");
    let policies =
        file.policies.into_iter().enumerate().map(|(at, policy)| lower.policy(at, policy)).collect();
    let field_types = file.structured_fields.into_iter().map(|(name, field_type)| {
        let pointer = format!("/structured_fields/{name}");
        lower.field_name(&pointer, &name);
        (name.into_boxed_str(), field_type.into())
    });
    let field_types = FieldTypes::default().with(field_types.collect::<Vec<_>>());
    let file::Limits {
        header_bytes,
        header_lines,
        body_bytes,
        labels,
        components,
        component_bytes,
        nonce_bytes,
        in_flight,
    } = file.limits;
    lower.unique_names();
    if !lower.problems.is_empty() {
        return Err(lower.problems);
    }
    Ok(Config {
        listen: listen.unwrap_or(SocketAddr::from(([0, 0, 0, 0], 8000))),
        enforcement_point: file.enforcement_point.0.into(),
        key_files: file.keys.iter().map(|source| folder.join(&source.file)).collect(),
        policies: Policies::new(policies),
        replay_capacity: file.replay.memory.capacity,
        limits: Limits {
            header_bytes,
            header_lines,
            body_bytes,
            labels,
            components,
            component_bytes,
            nonce_bytes,
        },
        in_flight,
        denials: match file.denials {
            file::Denials::Detailed => Denials::Detailed,
            file::Denials::Opaque => Denials::Opaque,
        },
        field_types,
        log: file.log,
    })
}

struct Lower<'a> {
    document: &'a Document,
    problems: Vec<Problem>,
}

impl Lower<'_> {
    fn policy(&mut self, at: usize, policy: file::Policy) -> Policy {
        let here = format!("/policies/{at}");
        // Names travel in headers.
        if policy.name.is_empty() || !policy.name.bytes().all(|byte| byte.is_ascii_graphic()) {
            self.report(&format!("{here}/name"), "expected printable ASCII without spaces".to_owned());
        }
        for (position, field) in policy.protect.iter().enumerate() {
            self.field_name(&format!("{here}/protect/{position}"), field);
        }
        let external = self.external(&format!("{here}/external"), policy.external);
        Policy {
            name: policy.name.into(),
            matching: policy.r#match.map(|matching| self.matching(&format!("{here}/match"), matching)),
            terms: match policy.proof {
                file::ProofRule::Open(file::NoProof::None) => Terms::Open,
                file::ProofRule::Required(proof) => self.proof(&format!("{here}/proof"), proof),
            },
            mode: match policy.mode {
                file::Mode::Enforce => Mode::Enforce,
                file::Mode::Observe => Mode::Observe,
            },
            protect: Protect {
                fields: policy.protect.into_iter().map(Into::into).collect(),
                by: match policy.protect_by {
                    file::ProtectBy::Denying => ProtectBy::Denying,
                    file::ProtectBy::Removing => ProtectBy::Removing,
                },
            },
            external,
            upgrades: policy.upgrades,
        }
    }

    fn matching(&mut self, here: &str, matching: file::Match) -> Match {
        let hosts = matching.hosts.iter().enumerate().filter_map(|(position, host)| {
            self.taken(&format!("{here}/hosts/{position}"), HostPattern::parse(host))
        });
        let hosts = hosts.collect();
        for (position, method) in matching.methods.iter().enumerate() {
            if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') {
                let message = format!("expected a method in upper case such as POST, but found {method:?}");
                self.report(&format!("{here}/methods/{position}"), message);
            }
        }
        let path =
            matching.path.and_then(|path| self.taken(&format!("{here}/path"), PathPattern::parse(&path)));
        Match { hosts, methods: matching.methods.into_iter().map(Into::into).collect(), path }
    }

    fn proof(&mut self, here: &str, proof: file::Proof) -> Terms {
        let cover = proof.cover.iter().enumerate().filter_map(|(position, component)| {
            self.taken(&format!("{here}/cover/{position}"), Name::parse(component))
        });
        let cover: Vec<_> = cover.collect();
        if cover.is_empty() && proof.cover.is_empty() {
            self.report(
                &format!("{here}/cover"),
                "expected at least one component: an empty cover proves nothing".to_owned(),
            );
        }
        if proof.tag.as_ref().is_some_and(|tag| !tag.bytes().all(|byte| matches!(byte, b' '..=b'~'))) {
            self.report(&format!("{here}/tag"), "expected printable ASCII".to_owned());
        }
        Terms::Proof {
            requirement: Requirement {
                cover,
                body: match proof.body {
                    file::BodyRule::Bound => BodyRule::Bound,
                    file::BodyRule::None => BodyRule::None,
                    file::BodyRule::Free => BodyRule::Free,
                },
                query: match proof.query {
                    file::QueryRule::Bound => QueryRule::Bound,
                    file::QueryRule::Free => QueryRule::Free,
                },
                tag: proof.tag,
                max_age: self.seconds(&format!("{here}/max_age"), &proof.max_age),
                clock_skew: self.seconds(&format!("{here}/clock_skew"), &proof.clock_skew),
                nonce_required: proof.require.contains(&file::RequiredParameter::Nonce),
                expires_required: proof.require.contains(&file::RequiredParameter::Expires),
            },
            roles: proof.roles.into_iter().map(Into::into).collect(),
        }
    }

    fn external(&mut self, here: &str, external: file::External) -> External {
        if let Some(authority) = &external.authority
            && HostPattern::parse(authority).is_err()
        {
            let message =
                format!("expected an authority in lower case such as bank.example, but found {authority:?}");
            self.report(&format!("{here}/authority"), message);
        }
        let scheme = external.scheme.map(|scheme| match scheme {
            file::Scheme::Http => "http".into(),
            file::Scheme::Https => "https".into(),
        });
        External { scheme, authority: external.authority.map(Into::into) }
    }

    fn seconds(&mut self, pointer: &str, text: &str) -> i64 {
        let whole =
            |duration: Duration| duration.subsec_nanos() == 0 && duration < Duration::from_hours(24 * 366);
        let parsed = humantime::parse_duration(text).ok().filter(|duration| whole(*duration));
        if parsed.is_none() {
            self.report(
                pointer,
                format!(
                    "expected whole seconds, minutes or hours such as 60s, 5m or 24h, but found {text:?}"
                ),
            );
        }
        parsed.and_then(|duration| i64::try_from(duration.as_secs()).ok()).unwrap_or_default()
    }

    fn field_name(&mut self, pointer: &str, name: &str) {
        if !is_field_name(name) {
            self.report(pointer, format!("expected a header name in lower case, but found {name:?}"));
        }
    }

    /// Names are how routes choose and how logs tell: each stands once.
    fn unique_names(&mut self) {
        let mut seen: HashMap<&str, usize> = HashMap::new();
        let policies = self.document.value.get("policies").and_then(serde_json::Value::as_array);
        for (at, policy) in policies.into_iter().flatten().enumerate() {
            let Some(name) = policy.get("name").and_then(serde_json::Value::as_str) else { continue };
            if let Some(first) = seen.insert(name, at) {
                let message = format!("the name {name:?} is already that of policy {}", first + 1);
                self.problems.push(self.document.problem(&format!("/policies/{at}/name"), message));
            }
        }
    }

    fn taken<T>(&mut self, pointer: &str, result: Result<T, impl std::error::Error>) -> Option<T> {
        result.map_err(|error| self.report(pointer, error.to_string())).ok()
    }

    fn parsed<T, E>(&mut self, pointer: &str, result: Result<T, E>, expected: &str) -> Option<T> {
        result.map_err(|_| self.report(pointer, format!("expected {expected}"))).ok()
    }

    fn report(&mut self, pointer: &str, message: String) {
        self.problems.push(self.document.problem(pointer, message));
    }
}

impl From<file::FieldType> for FieldType {
    fn from(field_type: file::FieldType) -> Self {
        match field_type {
            file::FieldType::Item => Self::Item,
            file::FieldType::List => Self::List,
            file::FieldType::Dictionary => Self::Dictionary,
        }
    }
}
