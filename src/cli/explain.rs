//! `explain`: decides offline, and shows every step.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::recorded::RecordedArgs;
use super::request::{ProxyArgs, RequestParts, SignatureArgs};
use super::{Failure, output};
use crate::config::Config;
use crate::denial::{Code, Denial};
use crate::envoy::RecordedCheck;
use crate::explain::{Asked, Story, Text, explain, newest_created};
use crate::keys::store;
use crate::limits::Limits;
use crate::metrics::Stopwatch;
use crate::relay::Relay;
use crate::replay::{Guard, MemoryStore};
use crate::request::Request;
use crate::timestamp::{Clock, SystemClock, Timestamp};

pub(super) const EXAMPLES: &str = "\
Examples:
  What the relay would say of a request that curl sent, at the time when it was signed:
  curl -v … 2>sent.txt; proof-messenger-relay explain --config relay.yaml --recorded sent.txt --body '{}' --at signed
  Where a client's own signature base differs:
  proof-messenger-relay explain --config relay.yaml --recorded sent.txt --at signed --base base.txt
  A request described and signed here:
  proof-messenger-relay explain --config relay.yaml --key alice.jwk.json --url http://localhost:10000/transfers/7
Exit codes: 0 allowed or observed, 1 denied, 64 wrong usage or configuration.
Replays are not checked: only the running relay remembers them.";

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The configuration file of the relay. Without one, the built-in settings deny everything.
    #[arg(long, env = "PROOF_MESSENGER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The URL, as the client requests it.
    #[arg(long, required_unless_present = "recorded")]
    pub(super) url: Option<String>,
    #[command(flatten)]
    pub(super) recorded: RecordedArgs,
    #[command(flatten)]
    pub(super) parts: RequestParts,
    /// Sign the described request first, with this private JWK.
    #[arg(long, value_name = "FILE", conflicts_with = "recorded")]
    key: Option<PathBuf>,
    #[command(flatten)]
    signature: SignatureArgs,
    #[command(flatten)]
    proxy: ProxyArgs,
    /// When to decide: seconds since 1970, a time such as 2026-01-31T09:00:00Z, or `signed`, which is when the newest
    /// proof was created. Without it: when the record was made, where it says so, or else now.
    #[arg(long, value_name = "TIME", value_parser = At::parse)]
    at: Option<At>,
    /// The signature base as the client printed it, to be compared; with --label, against that proof.
    #[arg(long, value_name = "FILE")]
    base: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// When to decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Signed,
    Time(Timestamp),
}

impl At {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "signed" {
            return Ok(Self::Signed);
        }
        if let Ok(seconds) = text.parse() {
            return Ok(Self::Time(Timestamp::from_unix_seconds(seconds)));
        }
        let time =
            text.parse::<jiff::Timestamp>().ok().map(|time| time.duration_since(jiff::Timestamp::UNIX_EPOCH));
        let since_epoch = time.and_then(|time| std::time::Duration::try_from(time).ok());
        since_epoch.map(|time| Self::Time(time.into())).ok_or_else(|| {
            "expected seconds since 1970, a time such as 2026-01-31T09:00:00Z, or signed".to_owned()
        })
    }
}

/// A clock that stands still: all of a decision is made at one time.
struct Still(Timestamp);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        self.0
    }
}

pub(super) fn run(args: ExplainArgs) -> Result<(), Failure> {
    let config = Config::load_or_built_in(args.config.as_deref()).map_err(Failure::usage)?;
    let keys = store::load(&config.key_files, &[], None).map_err(Failure::usage)?;
    for remote in &config.key_urls {
        eprintln!("the keys at {} are not fetched: add a file with them to decide by", remote.url);
    }
    let now = SystemClock.now();
    let mut relay = Relay::new(config, keys, no_claims(), Arc::new(Still(now)));

    let base = match &args.base {
        Some(path) => Some(fs::read(path).map_err(|error| Failure::at(path, error))?),
        None => None,
    };
    let label = args.signature.label.clone();
    let Taken { check, bytes, source, notes, time } = Taken::of(&args)?;
    let limits = relay.rules().limits;
    let mut request = check.read(&limits)?;
    if let Ok(request) = &mut request {
        args.proxy.add_to(request);
    }
    let (at, why_then) = match (args.at, time) {
        (Some(At::Time(at)), _) => (at, "as given with --at"),
        (Some(At::Signed), _) => {
            let newest =
                request.as_ref().ok().and_then(|request| newest_created(request, &relay.rules().limits));
            match newest {
                Some(newest) => (newest, "when the newest proof was created"),
                None => (now, "now, since no proof says when it was created"),
            }
        }
        (None, Some(recorded)) => (recorded, "when the request was recorded"),
        (None, None) => (now, "now"),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(Failure::failed)?;
    let code_now = if at == now {
        None
    } else {
        let place = relay.admission.admit(bytes);
        let decision =
            runtime.block_on(relay.check(&relay.rules(), request.clone(), place, &mut Stopwatch::start()));
        // What that claimed was claimed at another time.
        relay.guard = Guard::new("explain", no_claims(), relay.rules().policies.acceptance());
        decision.code()
    };
    relay.clock = Arc::new(Still(at));
    let client_base = base.as_deref().map(|base| (base, label.as_deref()));
    let asked = Asked { request, bytes, source, notes, why_then, client_base };
    let mut story = runtime.block_on(explain(&relay, asked));
    story.time.code_now = code_now.map(Code::as_str);
    if story.base_difference.is_none() && args.base.is_some() {
        eprintln!("there is no proof that the base could be compared with");
    }
    print(&story, args.json)?;
    // The story is on standard output; the exit code says whether it ends well.
    if story.decision.allowed { Ok(()) } else { Err(Failure::Failed(String::new())) }
}

/// A replay store that has seen nothing. Proofs of one request are all that it has to hold.
fn no_claims() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new(1000))
}

fn print(story: &Story, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return output::json(story);
    }
    out!("{}", Text(story));
    Ok(())
}

/// A request from the command line or from a record.
struct Taken {
    check: Check,
    bytes: usize,
    source: String,
    notes: Vec<String>,
    time: Option<Timestamp>,
}

enum Check {
    Described(RecordedCheck),
    Recorded(super::recorded::Recorded),
}

impl Check {
    fn read(&self, limits: &Limits) -> Result<Result<Request<'_>, Denial>, Failure> {
        match self {
            Self::Described(check) => check.read(limits).map_err(Failure::usage),
            Self::Recorded(recorded) => recorded.request(limits),
        }
    }
}

impl Taken {
    fn of(args: &ExplainArgs) -> Result<Self, Failure> {
        let body = args.parts.body()?;
        if let Some(recorded) = args.recorded.read(body)? {
            return Ok(Self {
                bytes: recorded.bytes(),
                source: format!("a record: {}", recorded.format()),
                notes: recorded.notes().to_vec(),
                time: recorded.time(),
                check: Check::Recorded(recorded),
            });
        }
        let Some(url) = &args.url else { return Err(Failure::usage("expected --url or --recorded")) };
        let mut described = args.parts.described(url.clone())?;
        if let Some(key) = &args.key {
            described.sign(key, &args.signature)?;
        }
        let check = RecordedCheck::described(&described.request()?);
        let signed = if args.key.is_some() { ", signed here" } else { "" };
        Ok(Self {
            bytes: check.bytes(),
            source: format!("the command line{signed}"),
            notes: Vec::new(),
            time: None,
            check: Check::Described(check),
        })
    }
}
