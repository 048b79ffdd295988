//! From what the operator wrote to what the program uses.

use std::path::Path;

use super::{Config, file};
use crate::envoy::Denials;
use crate::limits::Limits;
use crate::policy::{External, Match, Mode, Policies, Policy, Protect, ProtectBy, Terms};
use crate::verify::{BodyRule, FieldType, FieldTypes, QueryRule, Requirement};

impl file::ConfigFile {
    /// Nothing can fail here: the texts were read when the file was.
    pub(super) fn lower(self, folder: &Path) -> Config {
        let file::Limits {
            header_bytes,
            header_lines,
            body_bytes,
            labels,
            components,
            component_bytes,
            nonce_bytes,
            in_flight,
            in_flight_bytes,
        } = self.limits;
        let field_types = self.structured_fields.into_iter();
        let field_types = field_types.map(|(name, field_type)| (name.into_inner().0, field_type.into()));
        Config {
            listen: self.listen.into_inner().0,
            enforcement_point: self.enforcement_point.into(),
            key_files: self.keys.iter().map(|source| folder.join(&source.file)).collect(),
            policies: Policies::new(self.policies.into_iter().map(Into::into).collect()),
            replay_capacity: self.replay.memory.capacity,
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
            in_flight_bytes,
            denials: match self.denials {
                file::Denials::Detailed => Denials::Detailed,
                file::Denials::Opaque => Denials::Opaque,
            },
            field_types: FieldTypes::default().with(field_types),
            log: self.log,
        }
    }
}

impl From<file::Policy> for Policy {
    fn from(policy: file::Policy) -> Self {
        Self {
            name: policy.name.into_inner().0.into(),
            matching: policy.r#match.map(Into::into),
            terms: match policy.proof {
                file::ProofRule::Open(file::NoProof::None) => Terms::Open,
                file::ProofRule::Required(proof) => proof.into(),
            },
            mode: match policy.mode {
                file::Mode::Enforce => Mode::Enforce,
                file::Mode::Observe => Mode::Observe,
            },
            protect: Protect {
                fields: policy.protect.into_iter().map(|field| field.into_inner().0).collect(),
                by: match policy.protect_by {
                    file::ProtectBy::Denying => ProtectBy::Denying,
                    file::ProtectBy::Removing => ProtectBy::Removing,
                },
            },
            external: External {
                scheme: policy.external.scheme.map(|scheme| match scheme {
                    file::Scheme::Http => "http".into(),
                    file::Scheme::Https => "https".into(),
                }),
                authority: policy.external.authority.map(|authority| authority.into_inner().0),
            },
            upgrades: policy.upgrades,
        }
    }
}

impl From<file::Match> for Match {
    fn from(matching: file::Match) -> Self {
        Self {
            hosts: matching.hosts.into_iter().map(|host| host.into_inner().0).collect(),
            methods: matching.methods.into_iter().map(|method| method.into_inner().0).collect(),
            path: matching.path.map(|path| path.into_inner().0),
        }
    }
}

impl From<file::Proof> for Terms {
    fn from(proof: file::Proof) -> Self {
        Self::Proof {
            requirement: Requirement {
                cover: proof.cover.into_iter().map(|component| component.into_inner().0).collect(),
                body: match proof.body {
                    file::BodyRule::Bound => BodyRule::Bound,
                    file::BodyRule::None => BodyRule::None,
                    file::BodyRule::Free => BodyRule::Free,
                },
                query: match proof.query {
                    file::QueryRule::Bound => QueryRule::Bound,
                    file::QueryRule::Free => QueryRule::Free,
                },
                tag: proof.tag.map(|tag| tag.into_inner().0.into()),
                max_age: proof.max_age.into_inner().0,
                clock_skew: proof.clock_skew.into_inner().0,
                nonce_required: proof.require.contains(&file::RequiredParameter::Nonce),
                expires_required: proof.require.contains(&file::RequiredParameter::Expires),
            },
            roles: proof.roles.into_iter().map(Into::into).collect(),
        }
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
