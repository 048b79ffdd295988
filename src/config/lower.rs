//! From what the operator wrote to what the program uses.

use std::path::Path;
use std::time::Duration;

use super::{
    Config, Drain, EvidenceSettings, Problem, ReceiptSettings, TlsClients, TlsSettings, WitnessSettings, file,
};
use crate::envoy::Denials;
use crate::evidence::recorder::{Target, host_name};
use crate::evidence::{Durability, Pace};
use crate::keys::Owner;
use crate::keys::remote::RemoteSettings;
use crate::limits::Limits;
use crate::policy::{
    Approvals, Condition, Evidence, External, Match, Mode, Needed, Policies, Policy, Protect, ProtectBy,
    Submission, Submitter, Terms,
};
use crate::traces::TraceSettings;
use crate::verify::{BodyRule, FieldType, FieldTypes, QueryRule, Requirement};

impl file::ConfigFile {
    /// # Errors
    /// A condition that cannot be read. The checks of the file find it before, and say where it stands.
    pub(super) fn lower(self, folder: &Path) -> Result<Config, Problem> {
        let file::Limits {
            header_bytes,
            header_lines,
            body_bytes,
            labels,
            components,
            component_bytes,
            nonce_bytes,
            condition_steps,
            in_flight,
            in_flight_bytes,
        } = self.limits;
        let field_types = self.structured_fields.into_iter();
        let field_types = field_types.map(|(name, field_type)| (name.into_inner().0, field_type.into()));
        let policies: Result<Vec<Policy>, Problem> =
            self.policies.into_iter().map(file::Policy::lower).collect();
        Ok(Config {
            listen: self.listen.into_inner().0.within(folder),
            tls: self.tls.map(|tls| tls.lower(folder)),
            admin: self.admin.map(|address| address.into_inner().0),
            enforcement_point: self.enforcement_point.into(),
            key_files: self
                .keys
                .iter()
                .filter_map(|source| Some(folder.join(source.file.as_ref()?)))
                .collect(),
            key_urls: self.keys.into_iter().filter_map(|source| source.remote(folder)).collect(),
            policies: Policies::new(policies?),
            receipts: self.receipts.map(|receipts| receipts.lower(folder)),
            evidence: self.evidence.map(|evidence| evidence.lower(folder)),
            replay_capacity: self.replay.memory.capacity,
            limits: Limits {
                header_bytes,
                header_lines,
                body_bytes,
                labels,
                components,
                component_bytes,
                nonce_bytes,
                condition_steps,
            },
            in_flight,
            in_flight_bytes,
            denials: match self.denials {
                file::Denials::Detailed => Denials::Detailed,
                file::Denials::Opaque => Denials::Opaque,
            },
            field_types: FieldTypes::default().with(field_types),
            drain: Drain { delay: seconds(self.drain.delay), timeout: seconds(self.drain.timeout) },
            traces: self.traces.map(|traces| traces.lower(folder)),
            log: self.log,
            path: None,
            fixed: serde_json::Map::default(),
            digest: Box::default(),
            remarks: Vec::new(),
        })
    }
}

fn seconds(span: file::Span) -> Duration {
    Duration::from_secs(span.into_inner().0.unsigned_abs())
}

impl file::KeySource {
    fn remote(self, folder: &Path) -> Option<RemoteSettings> {
        Some(RemoteSettings {
            url: self.url?.into_inner().0.into(),
            ca: self.ca.map(|file| folder.join(file)),
            refresh: self.refresh.map_or(Duration::from_mins(5), seconds),
            cooldown: self.cooldown.map_or(Duration::from_secs(30), seconds),
            max_stale: self.max_stale.map_or(Duration::from_hours(24), seconds),
            owner: self.subject.map(|subject| Owner {
                subject: subject.into_inner().0,
                roles: self.roles.into_iter().flatten().map(Into::into).collect(),
            }),
        })
    }
}

impl file::Tls {
    fn lower(self, folder: &Path) -> TlsSettings {
        let clients = self.clients;
        let names = clients.map(|names| names.into_iter().map(|name| name.into_inner().0).collect());
        TlsSettings {
            certificate: folder.join(self.certificate),
            key: folder.join(self.key),
            clients: self.client_ca.map(|file| TlsClients { authorities: folder.join(file), names }),
        }
    }
}

impl file::Traces {
    fn lower(self, folder: &Path) -> TraceSettings {
        TraceSettings {
            url: self.otlp.into_inner().0,
            ca: self.ca.map(|file| folder.join(file)),
            sample: self.sample,
        }
    }
}

impl file::Receipts {
    fn lower(self, folder: &Path) -> ReceiptSettings {
        ReceiptSettings {
            issuer: self.issuer.into_inner().0,
            key_files: self.keys.into_iter().flatten().map(|file| folder.join(file)).collect(),
            lifetime: self.lifetime.into_inner().0,
        }
    }
}

impl file::Evidence {
    fn lower(self, folder: &Path) -> EvidenceSettings {
        let file::Checkpoint { records, interval, file, stdout, witnesses } = self.checkpoint;
        let seconds = u64::try_from(interval.into_inner().0).unwrap_or_default();
        EvidenceSettings {
            key_file: folder.join(self.key),
            target: self.file.map_or(Target::Stdout, |file| Target::File(folder.join(file))),
            durability: match self.durability {
                file::Durability::Written => Durability::Written,
                file::Durability::Synced => Durability::Synced,
            },
            pace: Pace { records, interval: Duration::from_secs(seconds) },
            checkpoint_file: file.map(|file| folder.join(file)),
            checkpoint_stdout: stdout,
            witnesses: witnesses
                .into_iter()
                .map(|witness| WitnessSettings {
                    url: witness.url,
                    key: witness.key.into_inner().0,
                    ca: witness.ca.map(|file| folder.join(file)),
                })
                .collect(),
            redact: self.redact.into_iter().map(|name| name.into_inner().0).collect(),
            instance: self.instance.map_or_else(host_name, Into::into).into(),
        }
    }
}

impl file::Policy {
    fn lower(self) -> Result<Policy, Problem> {
        let policy = self;
        let matching: Option<Match> = policy.r#match.map(Into::into);
        let path = matching.as_ref().and_then(|matching| matching.path.as_ref());
        let condition = policy.when.map(|source| Condition::parse(&source, path)).transpose();
        let condition = condition.map_err(|mistakes| {
            Problem::everywhere(
                mistakes.into_iter().map(|mistake| mistake.message).collect::<Vec<_>>().join("; "),
            )
        })?;
        let submitter = match policy.submitter {
            file::Submitter::Counted => Submitter::Counted,
            file::Submitter::Excluded => Submitter::Excluded,
        };
        let receipt_for = policy.receipt.map(|receipt| receipt.audience.into_inner().0);
        Ok(Policy {
            name: policy.name.into_inner().0.into(),
            terms: match policy.proof {
                file::ProofRule::Open(file::NoProof::None) => Terms::Open,
                file::ProofRule::Required(proof) => proof.lower(policy.approvals, submitter, receipt_for),
            },
            matching,
            condition,
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
            evidence: match policy.evidence {
                file::EvidenceRule::Required => Evidence::Required,
                file::EvidenceRule::BestEffort => Evidence::BestEffort,
            },
        })
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

impl file::Proof {
    fn lower(
        self,
        approvals: Option<Vec<file::Approval>>,
        submitter: Submitter,
        receipt_for: Option<Box<str>>,
    ) -> Terms {
        let submission = Submission {
            tag: self.tag.map(|tag| tag.into_inner().0),
            max_age: self.max_age.into_inner().0,
            clock_skew: self.clock_skew.into_inner().0,
            roles: self.roles.into_iter().map(Into::into).collect(),
        };
        let approvals = approvals.map(|approvals| Approvals {
            needed: approvals.into_iter().map(|approval| approval.lower(&submission)).collect(),
            submitter,
        });
        let needed = || approvals.iter().flat_map(|approvals| &approvals.needed);
        // A proof counts when it may be a submission or an approval; which of them it is shows later.
        let mut tags: Vec<Box<str>> = submission.tag.iter().cloned().collect();
        for tag in needed().filter_map(|needed| needed.tag.as_ref()).filter(|_| submission.tag.is_some()) {
            if !tags.contains(tag) {
                tags.push(tag.clone());
            }
        }
        let requirement = Requirement {
            cover: self.cover.into_iter().map(|component| component.into_inner().0).collect(),
            body: match self.body {
                file::BodyRule::Bound => BodyRule::Bound,
                file::BodyRule::None => BodyRule::None,
                file::BodyRule::Free => BodyRule::Free,
            },
            query: match self.query {
                file::QueryRule::Bound => QueryRule::Bound,
                file::QueryRule::Free => QueryRule::Free,
            },
            tags,
            max_age: needed().map(|needed| needed.max_age).fold(submission.max_age, i64::max),
            clock_skew: submission.clock_skew,
            nonce_required: self.require.contains(&file::RequiredParameter::Nonce),
            expires_required: self.require.contains(&file::RequiredParameter::Expires),
        };
        Terms::Proof { requirement, submission, approvals, receipt_for }
    }
}

impl file::Approval {
    fn lower(self, submission: &Submission) -> Needed {
        Needed {
            role: self.role.map(Into::into),
            count: self.count,
            max_age: self.max_age.map_or(submission.max_age, |max_age| max_age.into_inner().0),
            tag: self.tag.map(|tag| tag.into_inner().0),
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
