//! Options of statistics: who is told them, the summary, and how much is kept.

use std::net::{Ipv4Addr, SocketAddr};

use clap::Args;

/// Where the agent listens unless somebody says where.
const DEFAULT_PORT: u16 = 33333;

/// Where statistics can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address.
    pub address: SocketAddr,
    /// Somebody asked for just this.
    pub is_explicit: bool,
}

/// What is counted of all requests, printed or not.
#[derive(Debug, Args)]
#[command(next_help_heading = "Statistics")]
pub struct StatisticsArgs {
    /// Where statistics can be asked for while the agent runs: with a browser (a page, /metrics for
    /// Prometheus and more), or with telnet or nc (JSON). Whoever can connect can read requests, so an
    /// address other than loopback wants care. By default 127.0.0.1:33333 with -p, and nowhere with -r.
    #[arg(short = 'P', long = "port", value_name = "PORT|ADDR:PORT|off", value_parser = parse_port)]
    port: Option<Port>,

    /// Most clients to serve there at once.
    #[arg(long, value_name = "N", default_value_t = 64,
          value_parser = clap::value_parser!(u16).range(1..))]
    max_clients: u16,

    /// Keep the latest 1000 requests that took at least this long, in ms, and at least -t, to be shown
    /// there.
    #[arg(long, value_name = "MS", default_value = "10", value_parser = super::parse_ms)]
    slow: u64,

    /// Print a table at the end: of each server's operations how many there were, how many failed, and
    /// how long they took. On standard output, or on stderr with --format json. It is printed by
    /// default when a file is read (-r) and standard output is a terminal.
    #[arg(long)]
    summary: bool,

    /// Show on the terminal what is counted, live, instead of printing requests: endpoints, operations,
    /// slow requests, and what was lost. `?` shows the keys.
    #[arg(long)]
    top: bool,

    /// Most series, of a server's operation each, to count apart; the rest is counted as `other`.
    #[arg(long, value_name = "N", default_value_t = 1000,
          value_parser = clap::value_parser!(u32).range(8..=100_000))]
    max_series: u32,
}

/// What `-P` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    Off,
    At(SocketAddr),
}

fn parse_port(text: &str) -> Result<Port, String> {
    if text == "off" {
        return Ok(Port::Off);
    }
    let port = text.parse().map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    port.or_else(|_| text.parse()).map(Port::At).map_err(|_| {
        format!("`{text}` is no port, no address with a port (such as 127.0.0.1:{DEFAULT_PORT} or [::1]:{DEFAULT_PORT}), and not `off`")
    })
}

impl StatisticsArgs {
    /// Where to listen, of a run that decodes a protocol.
    pub(super) fn listen(&self, is_live: bool) -> Option<Listen> {
        match self.port {
            Some(Port::Off) => None,
            Some(Port::At(address)) => Some(Listen { address, is_explicit: true }),
            None => is_live.then(|| Listen {
                address: (Ipv4Addr::LOCALHOST, DEFAULT_PORT).into(),
                is_explicit: false,
            }),
        }
    }

    /// Whether somebody asked for a port.
    pub(super) fn wants_port(&self) -> bool {
        matches!(self.port, Some(Port::At(_)))
    }

    /// How many clients there may be at once.
    #[must_use]
    pub fn max_clients(&self) -> usize {
        self.max_clients.into()
    }

    /// How long requests have to take to be kept, in ns.
    pub(super) fn slow_ns(&self) -> u64 {
        self.slow
    }

    /// Whether somebody asked for the table at the end.
    pub(super) fn summary(&self) -> bool {
        self.summary
    }

    /// Whether the terminal shows what is counted.
    pub(super) fn top(&self) -> bool {
        self.top
    }

    /// How many series are counted apart, about.
    #[must_use]
    pub fn max_series(&self) -> usize {
        usize::try_from(self.max_series).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_may_have_addresses() {
        let at = |text: &str| Ok(Port::At(text.parse().expect("an address")));
        assert_eq!(parse_port("off"), Ok(Port::Off));
        assert_eq!(parse_port("1234"), at("127.0.0.1:1234"));
        assert_eq!(parse_port("0.0.0.0:0"), at("0.0.0.0:0"));
        assert_eq!(parse_port("[::1]:80"), at("[::1]:80"));
        for bad in ["", "on", "65536", "localhost:80", "127.0.0.1", "::1", "1.2.3.4:x"] {
            assert!(parse_port(bad).is_err(), "{bad}");
        }
    }
}
