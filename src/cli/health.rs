//! `health`: whether the relay on this machine is ready, for those who have no shell to ask with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::Args;

use super::Failure;
use super::serve::SettingsArgs;
use crate::config::{Addresses, Listen};
use crate::envoy::client;

pub(super) const EXAMPLES: &str = "Examples:
  proof-messenger-relay health --config relay.yaml
  HEALTHCHECK CMD [\"/proof-messenger-relay\", \"health\"]

It asks /readyz at `admin`, where that is served, and prints what it says; otherwise it asks the gRPC health service at `listen`.
Of the configuration it reads these addresses alone: a wrong setting in a new version says nothing about a relay that goes on with
the last good one. With --admin, or PROOF_MESSENGER_ADMIN, not even a file that is no YAML does.";

#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// How long to wait for the answer.
    #[arg(long, default_value = "2s", value_parser = humantime::parse_duration, value_name = "TIME")]
    timeout: Duration,
}

pub(super) fn run(args: &HealthArgs) -> Result<(), Failure> {
    let Addresses { listen, tls, admin } = args.settings.addresses()?;
    let Some(admin) = admin else {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let address = match &listen {
            _ if tls => {
                return Err(Failure::usage(
                    "expected `admin` as well: with `tls`, gRPC answers its clients alone",
                ));
            }
            Listen::Tcp(address) => format!("http://{}", reachable(*address)),
            Listen::Unix(_) => listen.to_string(),
        };
        let serving = client::is_serving(&address, args.timeout);
        return match runtime.map_err(Failure::failed)?.block_on(serving).map_err(Failure::failed)? {
            true => Ok(()),
            false => Err(Failure::failed("not ready")),
        };
    };
    let url = format!("http://{}/readyz", reachable(admin));
    let request = ureq::get(&url).config().http_status_as_error(false).timeout_global(Some(args.timeout));
    let unreachable = |error: ureq::Error| Failure::failed(format!("{url}: {error}"));
    let mut answer = request.proxy(None).build().call().map_err(unreachable)?;
    let text = answer.body_mut().read_to_string().map_err(unreachable)?;
    if answer.status() == 200 {
        out!("{text}");
        Ok(())
    } else {
        Err(Failure::failed(text.trim_end()))
    }
}

/// Where to reach what listens everywhere.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
