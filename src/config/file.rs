//! The configuration file as the operator writes it. The JSON Schema is derived from these types, comments included.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::Deserialize;

use super::format::{
    Authority, Client, CollectorUrl, Component, Duration, FieldName, Host, KeyUrl, ListenAddress, Method,
    Party, PathText, PolicyName, SocketAddress, Subject, Tag, Text, WitnessKey,
};
use super::listen::Listen;
use crate::proof::Name;

/// The settings of the relay. Every one has a safe default.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConfigFile {
    /// Where gRPC is served (ext_authz, health, reflection): IP address and port, or `unix:` and the path of a socket.
    /// Whoever reaches it can ask for decisions and use up proofs: let only the proxy.
    pub listen: Text<ListenAddress>,
    /// TLS on that port. Without it, whoever is on the way reads what Envoy asks and writes what it is answered.
    pub tls: Option<Tls>,
    /// Where HTTP is served: `/livez`, `/readyz`, `/metrics`, and the keys of receipts at `/.well-known/jwks.json`. IP
    /// address and port; nothing is served without it. Whoever answers in its place decides what backends believe.
    pub admin: Option<Text<SocketAddress>>,
    /// Names this place in replay claims: give a gateway and a sidecar that check the same requests different names.
    /// Replicas of one place share its name.
    pub enforcement_point: String,
    /// The trust store. Whoever can change these files decides who may sign.
    pub keys: Vec<KeySource>,
    /// The rules, in order: the first that matches decides, and none means no.
    /// Whoever can change them decides what needs a proof.
    pub policies: Vec<Policy>,
    /// What backends get with an allowed request, so that they can check who approved it.
    pub receipts: Option<Receipts>,
    /// Where decisions are recorded, so that others can check them. Without it, they leave no evidence.
    pub evidence: Option<Evidence>,
    /// Where used proofs are remembered.
    pub replay: Replay,
    /// What one request may ask of the relay.
    pub limits: Limits,
    /// How much a denial tells the client: the code and what to sign, or nothing but an id.
    pub denials: Denials,
    /// Types of structured fields beyond the standard ones, for components with `;sf`.
    #[schemars(with = "BTreeMap<String, FieldType>", extend("propertyNames" = {"format": "field-name"}))]
    pub structured_fields: BTreeMap<Text<FieldName>, FieldType>,
    /// Where spans of checks are sent, for those who follow requests through a system. Without it, there are none.
    pub traces: Option<Traces>,
    /// How the relay stops.
    pub drain: Drain,
    /// What is written to standard error.
    pub log: Log,
}

impl Default for ConfigFile {
    fn default() -> Self {
        Self {
            listen: Text::new(ListenAddress(Listen::Tcp(SocketAddr::from(([0, 0, 0, 0], 8000))))),
            tls: None,
            admin: None,
            enforcement_point: "default".to_owned(),
            keys: Vec::new(),
            policies: Vec::new(),
            receipts: None,
            evidence: None,
            replay: Replay::default(),
            limits: Limits::default(),
            denials: Denials::default(),
            structured_fields: BTreeMap::new(),
            traces: None,
            drain: Drain::default(),
            log: Log::default(),
        }
    }
}

/// TLS on the port of gRPC.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate and those between it and its authority, in PEM, its own first.
    pub certificate: String,
    /// Its private key, in PEM: PKCS #8, SEC 1 or PKCS #1. Only its owner may be able to read it. Whoever can read it
    /// can answer in place of the relay, and so decides about every request.
    pub key: String,
    /// Certificates of authorities, in PEM: clients must show a certificate by one of them. Whoever can write the file,
    /// or has such a certificate, reaches the port. Without it everybody does.
    pub client_ca: Option<String>,
    /// Whose certificates these must be: DNS names and URIs in their subjectAltName, compared as a whole. Without it,
    /// any certificate by `client_ca` opens the port, whatever it was made for.
    #[schemars(length(min = 1))]
    pub clients: Option<Vec<Text<Client>>>,
}

/// A source of public keys.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeySource {
    /// A JWK Set file (RFC 7517), or a glob of such files. Relative paths start at the folder of this file.
    pub file: Option<String>,
    /// Where a JWK Set is published, in the place of a file: https, or http on this machine. Whoever answers there decides
    /// who may sign. A change of it needs a restart.
    pub url: Option<Text<KeyUrl>>,
    /// Certificates of the authorities that the one at `url` is checked against, in PEM; without it, Mozilla's list.
    pub ca: Option<String>,
    /// How often the keys at `url` are fetched (5m): for so long at most a key works on that was taken out there.
    pub refresh: Option<Span>,
    /// How long there is between two requests to `url` at least (30s). A key id that nobody knows has the keys fetched
    /// sooner than `refresh` says, and anybody can send one.
    pub cooldown: Option<Span>,
    /// For how long the keys at `url` are used while they cannot be fetched (24h). Whoever can keep the relay from `url` keeps
    /// a revoked key in force for so long.
    pub max_stale: Option<Span>,
    /// Whose all keys at `url` are, whatever is said there. Without it each key says it (`sub`), so whoever answers there can
    /// speak for everybody.
    pub subject: Option<Text<Subject>>,
    /// The roles of that subject.
    pub roles: Option<Vec<String>>,
}

/// Whole seconds.
pub type Span = Text<Duration>;

/// One rule: which requests it matches and what they must prove.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Its name, in logs, headers and metadata.
    pub name: Text<PolicyName>,
    /// The requests it matches. Without it, only a route that names the policy in
    /// `context_extensions: {proof-policy: NAME}` chooses it.
    pub r#match: Option<Match>,
    /// A condition in CEL over `request`, `path`, `body`, `source` and `signers`. Where it is false, the policies below
    /// decide; where it cannot be evaluated, the request is denied.
    pub when: Option<String>,
    /// What the proofs of a request must say, or `none` where no proof is asked for.
    #[serde(default)]
    pub proof: ProofRule,
    /// Who must approve the request: all of these, each somebody else. All approvals travel in the request, as proofs.
    #[schemars(length(min = 1))]
    pub approvals: Option<Vec<Approval>>,
    /// Whether whoever submits the request may be one of those who approve it.
    #[serde(default)]
    pub submitter: Submitter,
    /// `observe` denies nothing, and opens nothing: the first policy below that enforces decides, whatever this one would
    /// say. Where there is none, this one decides, and what it would deny passes, marked.
    #[serde(default)]
    pub mode: Mode,
    /// Fields that the backend trusts: denied when they are present and not covered by every proof.
    #[serde(default)]
    pub protect: Vec<Text<FieldName>>,
    /// What becomes of a protected field that is not covered: the request is denied, or the field removed.
    #[serde(default)]
    pub protect_by: ProtectBy,
    /// What clients call the resource, where TLS or the name ends in front of Envoy.
    #[serde(default)]
    pub external: External,
    /// The receipt that the backend gets in `x-proof-receipt`. Without it, none.
    pub receipt: Option<PolicyReceipt>,
    /// What becomes of an allowed request that cannot be recorded: it is denied (`required`), or passes, marked
    /// (`best_effort`). Then whoever can fill the disk can act without a trace.
    #[serde(default)]
    pub evidence: EvidenceRule,
    /// Lets upgrades and CONNECT pass. Nothing that follows them is verified.
    #[serde(default)]
    pub upgrades: bool,
}

/// The requests that a policy matches. What is not stated matches everything.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Match {
    /// Exact hosts or `*.suffix`. Without a port they match any port.
    #[schemars(length(min = 1))]
    pub hosts: Vec<Text<Host>>,
    /// Methods, in upper case as clients send them.
    #[schemars(length(min = 1))]
    pub methods: Vec<Text<Method>>,
    /// A path: `/transfers/{account}`, or with the rest of it `/rates/{*rest}`.
    pub path: Option<Text<PathText>>,
}

/// Approvals of one kind.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The role that the approver holds. Without it, whoever the trust store knows may approve.
    pub role: Option<String>,
    /// How many people.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub count: usize,
    /// For how long after `created` the approval is accepted. Without it, as long as the submission.
    pub max_age: Option<Text<Duration>>,
    /// Count only proofs with this tag. Without it, those with the tag of the submission.
    pub tag: Option<Text<Tag>>,
}

fn one() -> usize {
    1
}

/// Whether the submitter may approve.
#[derive(Debug, Default, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Submitter {
    #[default]
    Counted,
    Excluded,
}

/// What proofs must say.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ProofRule {
    Open(NoProof),
    Required(Proof),
}

impl Default for ProofRule {
    fn default() -> Self {
        Self::Required(Proof::default())
    }
}

/// The word for no proof.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NoProof {
    None,
}

/// What every proof that counts must cover and say.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Proof {
    /// Components that must be covered. With a body, `content-digest` is required besides; with a query, a component
    /// that holds it: see `body` and `query`.
    #[schemars(length(min = 1))]
    pub cover: Vec<Text<Component>>,
    /// A body must match a covered Content-Digest (`bound`), must not exist (`none`), or may go unsigned (`free`).
    pub body: BodyRule,
    /// A query must be covered (`bound`), or may go unsigned (`free`).
    pub query: QueryRule,
    /// For how long after `created` a proof is accepted, such as `60s` or `5m`. It is also how long a captured request
    /// would be worth something to whoever could get around the replay store.
    pub max_age: Text<Duration>,
    /// By how much the clocks of signer and relay may differ, either way.
    pub clock_skew: Text<Duration>,
    /// Count only proofs with this tag. Without it, every proof on the request counts and must be valid.
    pub tag: Option<Text<Tag>>,
    /// Signature parameters that must be there, besides `created` and `keyid`.
    pub require: Vec<RequiredParameter>,
    /// Roles of the trust store of which every signer must hold one; where there are approvals, the submitter. Without
    /// it any key of the trust store may sign.
    #[schemars(length(min = 1))]
    pub roles: Vec<String>,
}

impl Default for Proof {
    fn default() -> Self {
        Self {
            cover: [Name::Method, Name::TargetUri].map(|name| Text::new(Component(name))).into(),
            body: BodyRule::default(),
            query: QueryRule::default(),
            max_age: Text::new(Duration(300)),
            clock_skew: Text::new(Duration(30)),
            tag: None,
            require: Vec::new(),
            roles: Vec::new(),
        }
    }
}

/// How the body is bound.
#[derive(Debug, Default, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BodyRule {
    #[default]
    Bound,
    None,
    Free,
}

/// How the query is bound.
#[derive(Debug, Default, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum QueryRule {
    #[default]
    Bound,
    Free,
}

/// A signature parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RequiredParameter {
    Nonce,
    Expires,
}

/// Whether decisions bind.
#[derive(Debug, Default, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    #[default]
    Enforce,
    Observe,
}

/// What becomes of a protected field that is not covered.
#[derive(Debug, Default, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProtectBy {
    #[default]
    Denying,
    Removing,
}

/// What clients call the resource.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct External {
    /// The scheme that clients sign.
    pub scheme: Option<Scheme>,
    /// The authority that clients sign, in lower case.
    pub authority: Option<Text<Authority>>,
}

/// A URI scheme.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    Http,
    Https,
}

/// The receipt of a policy.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyReceipt {
    /// Whom it is for (`aud`): the backend accepts those alone that name it. Give each backend a name of its own, or one
    /// can use up what was meant for another.
    pub audience: Text<Party>,
}

/// Spans of checks (OpenTelemetry).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Traces {
    /// The collector, such as `http://localhost:4317`: OTLP over gRPC. It learns ids of decisions, codes and names of policies,
    /// and nothing of the requests.
    pub otlp: Text<CollectorUrl>,
    /// Certificates of the authorities that its own is checked against, in PEM. Without it, those of Mozilla's list.
    pub ca: Option<String>,
    /// Of the requests that are in no trace, the share that begins one: from 0 to 1. Those in a trace follow what it says of
    /// itself.
    #[serde(default)]
    pub sample: f64,
}

/// What receipts say, and who signs them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Receipts {
    /// Who writes them (`iss`): a URL or another name.
    pub issuer: Text<Party>,
    /// Files with one JWK each, that `keys new --use receipt` made. The first is private, and signs; all are published.
    /// Without any, a key is made at each start. Whoever can read the first writes receipts that backends believe.
    #[schemars(length(min = 1))]
    pub keys: Option<Vec<String>>,
    /// For how long a receipt holds (`exp`), such as `60s`: also for how long a captured one is worth something.
    #[serde(default = "a_minute")]
    pub lifetime: Text<Duration>,
}

fn a_minute() -> Text<Duration> {
    Text::new(Duration(60))
}

/// What becomes of an allowed request that cannot be recorded.
#[derive(Debug, Default, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceRule {
    #[default]
    Required,
    BestEffort,
}

/// Where decisions are recorded, and how.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The private JWK that signs checkpoints: `keys new --use evidence` makes one. Its name is that of the log. Whoever
    /// can read it can write another history.
    pub key: String,
    /// The file that records are appended to. Each relay needs one of its own, with a key of its own.
    pub file: Option<String>,
    /// Whether records go to standard output instead. Each start then begins another log.
    #[serde(default)]
    pub stdout: bool,
    /// How far an answer waits for its record: until the operating system has it (`written`: it survives the relay), or
    /// until the disk has it (`synced`: it survives the machine).
    #[serde(default)]
    pub durability: Durability,
    /// When checkpoints are written, and where they go besides.
    #[serde(default)]
    pub checkpoint: Checkpoint,
    /// Fields whose values are secret: where a signature covers one, the record has its hash.
    #[serde(default = "secrets")]
    pub redact: Vec<Text<FieldName>>,
    /// Names this relay in its records. Without it, the name of the machine.
    pub instance: Option<String>,
}

fn secrets() -> Vec<Text<FieldName>> {
    let names = ["authorization", "cookie", "proxy-authorization"];
    names.map(|name| Text::new(FieldName(name.into()))).into()
}

/// How far an answer waits for its record.
#[derive(Debug, Default, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    #[default]
    Written,
    Synced,
}

/// When checkpoints are written, and where they go besides the log.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Checkpoint {
    /// After so many records. Those behind the last checkpoint are sealed by nothing.
    #[schemars(range(min = 1))]
    pub records: u64,
    /// After so much time, where there are new records.
    pub interval: Text<Duration>,
    /// A file that always holds the newest checkpoint: keep it elsewhere, so that a log that was cut off shows.
    pub file: Option<String>,
    /// Whether each is printed on standard output as well, where the records are not.
    pub stdout: bool,
    /// Who is asked to cosign each: a log that only its owner holds proves nothing to others.
    pub witnesses: Vec<Witness>,
}

/// A witness (C2SP tlog-witness). It knows the log by its verifier key, which `keys new` printed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Witness {
    /// Its submission prefix: `/add-checkpoint` is added to it.
    pub url: String,
    /// Its verifier key, of the type for cosignatures. Whoever has the private half can cosign another history.
    pub key: Text<WitnessKey>,
    /// A file with certificates of the authorities that its certificate is checked against. Without it, those of Mozilla.
    pub ca: Option<String>,
}

impl Default for Checkpoint {
    fn default() -> Self {
        Self {
            records: 1000,
            interval: Text::new(Duration(60)),
            file: None,
            stdout: false,
            witnesses: Vec::new(),
        }
    }
}

/// How the relay stops when it gets SIGTERM. Both together are how long it may take, and a few seconds for the evidence.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Drain {
    /// For how long it says that it is not ready, and answers all the same: until whoever balances the load has seen it.
    pub delay: Span,
    /// For how long what is in flight may take after that. Then it is cut off, and the proxy denies it.
    pub timeout: Span,
}

impl Default for Drain {
    fn default() -> Self {
        Self { delay: Span::new(Duration(5)), timeout: Span::new(Duration(15)) }
    }
}

/// Where used proofs are remembered.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Replay {
    /// In this process: gone at a restart, and not shared. Two replicas would each accept a proof once.
    pub memory: MemoryReplay,
}

/// The replay store in memory.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MemoryReplay {
    /// Proofs remembered at once. When it is full, requests are denied: none that could be replayed is forgotten.
    #[schemars(range(min = 1))]
    pub capacity: usize,
}

impl Default for MemoryReplay {
    fn default() -> Self {
        Self { capacity: 900_000 }
    }
}

/// What one request may ask of the relay.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Names and values of all headers, in bytes.
    #[schemars(range(min = 1))]
    pub header_bytes: usize,
    /// Header lines.
    #[schemars(range(min = 1))]
    pub header_lines: usize,
    /// The body, in bytes: not less than Envoy's `max_request_bytes`.
    pub body_bytes: usize,
    /// Labels in Signature-Input. Each may cost a signature check.
    #[schemars(range(min = 1))]
    pub labels: usize,
    /// Covered components of one proof.
    #[schemars(range(min = 1))]
    pub components: usize,
    /// The value of one covered component, in bytes.
    #[schemars(range(min = 1))]
    pub component_bytes: usize,
    /// A nonce, in bytes.
    #[schemars(range(min = 1))]
    pub nonce_bytes: usize,
    /// Steps that the conditions may take for one request, together: one for each operator, name and number, for each element that
    /// a macro looks at, and for each 64 bytes of text. A body that they look into may have as many values. Above that the
    /// request is denied.
    #[schemars(range(min = 1))]
    pub condition_steps: usize,
    /// Checks in flight. Above that the answer is `overloaded` at once.
    #[schemars(range(min = 1))]
    pub in_flight: usize,
    /// Bodies of all checks in flight together, in bytes: above that too. It bounds the relay's memory.
    #[schemars(range(min = 1))]
    pub in_flight_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let crate::limits::Limits {
            header_bytes,
            header_lines,
            body_bytes,
            labels,
            components,
            component_bytes,
            nonce_bytes,
            condition_steps,
        } = crate::limits::Limits::default();
        Self {
            header_bytes,
            header_lines,
            body_bytes,
            labels,
            components,
            component_bytes,
            nonce_bytes,
            condition_steps,
            in_flight: 1024,
            in_flight_bytes: 32 * 1024 * 1024,
        }
    }
}

/// How much a denial tells the client.
#[derive(Debug, Default, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Denials {
    #[default]
    Detailed,
    Opaque,
}

/// The type of a structured field (RFC 9651).
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    Item,
    List,
    Dictionary,
}

/// What is written to standard error.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// The least important lines that are written. Decisions are `info`; with `off` nobody sees them.
    pub level: LogLevel,
    /// One JSON object a line, or text for people.
    pub format: LogFormat,
}

/// How important a line is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Off,
    Error,
    Warn,
    #[default]
    Info,
    Debug,
}

/// How a line looks.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Json,
    #[default]
    Text,
}
