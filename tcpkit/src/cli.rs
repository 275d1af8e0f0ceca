//! The command line: tcpdump's arguments wherever tcpdump has one.

use std::path::{Path, PathBuf};

use clap::{ArgAction, Parser, ValueEnum, builder::PossibleValuesParser};

use crate::{
    config::Limits,
    flow::table::Expiry,
    protocol::{self, PROTOCOLS, Protocol},
    sink::{self, SINKS, SinkKind},
};

/// Request latencies read from the wire.
///
/// Captures in the kernel what EXPRESSION selects, pairs each response with its request and prints
/// one line a request. Run it where the client runs to see what the client waited, where the server
/// runs to see what the server took; the difference is the network.
#[derive(Debug, Parser)]
#[command(name = "tcpkit", version, disable_version_flag = true, max_term_width = 100)]
pub struct Cli {
    /// Interface to capture on; repeat it or separate names by commas. `any` is all of them.
    #[arg(
        short,
        long = "interface",
        value_name = "IFACE",
        value_delimiter = ',',
        default_value = "any"
    )]
    interfaces: Vec<String>,

    /// Protocol to decode.
    #[arg(short, long, value_name = "NAME", required_unless_present = "dump",
          value_parser = PossibleValuesParser::new(PROTOCOLS.iter().map(|p| p.name)))]
    protocol: Option<String>,

    /// Print only requests that took at least this long, in ms (decimals allowed).
    #[arg(short, long, value_name = "MS", default_value = "0", value_parser = parse_ms)]
    threshold: u64,

    /// Stop after this many printed transactions.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Bytes of payload to copy from each packet; 0 for all. Longer values are skipped by their
    /// length.
    #[arg(short, long, value_name = "BYTES", default_value_t = DEFAULT_SNAPLEN)]
    snaplen: u32,

    /// Size of the buffer between kernel and agent, in KiB.
    #[arg(short = 'B', long, value_name = "KIB", default_value_t = 16 * 1024,
          value_parser = clap::value_parser!(u32).range(64..=1_048_576))]
    buffer_size: u32,

    /// How transactions are printed.
    #[arg(long, value_name = "FORM", default_value = "text",
          value_parser = PossibleValuesParser::new(SINKS.iter().map(|s| s.name)))]
    format: String,

    /// When to colour slow requests.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,

    /// Longest text of a request, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 128,
          value_parser = clap::value_parser!(u16).range(8..=4096))]
    max_text: u16,

    /// Most connections to follow at once; the one longest without packets makes room for another.
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_flows)]
    max_flows: usize,

    /// Most requests that may wait for their responses, per connection.
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_open)]
    max_open: usize,

    /// Most memory for packets that arrived out of order, per connection, in KiB.
    #[arg(long, value_name = "KIB", default_value_t = Limits::default().max_held_bytes / 1024)]
    max_held: usize,

    /// Forget connections that were quiet for this long, in seconds.
    #[arg(long, value_name = "S", default_value_t = 3600)]
    idle_timeout: u32,

    /// Say more on stderr; repeat for more. -vvv brings the kernel programs' own messages.
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,

    /// Print the version.
    #[arg(short = 'V', long, action = ArgAction::Version)]
    version: (),

    /// Read the filter expression from a file; EXPRESSION is not looked at then.
    #[arg(short = 'F', value_name = "FILE")]
    expression_file: Option<PathBuf>,

    /// Print the compiled filter and exit: -d libpcap's program, -dd the kernel's.
    #[arg(short, action = ArgAction::Count)]
    dump: u8,

    /// Which packets to capture, as for tcpdump (pcap-filter(7)): `tcp port 6379 and host db`;
    /// everything if left out. May be given in one argument or several, anywhere among the options.
    #[arg(value_name = "EXPRESSION")]
    expression: Vec<String>,
}

/// The payload prefix that is copied unless `-s` says otherwise, in bytes.
///
/// Measured: with 4 KiB a pipeline of 16 commands of 1 KB was cut in each packet, with 64 KiB values
/// of 100 KB filled the default ring at times; with 16 KiB neither happened.
const DEFAULT_SNAPLEN: u32 = 16 * 1024;

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Milliseconds with decimals, as ns.
fn parse_ms(text: &str) -> Result<u64, String> {
    let ms: f64 = text.parse().map_err(|_| format!("`{text}` is no number of milliseconds"))?;
    if !(0.0..=86_400_000.0).contains(&ms) {
        return Err(format!("`{text}` is not between 0 and 86400000 (a day)"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range was checked"
    )]
    Ok((ms * 1e6).round() as u64)
}

impl Cli {
    /// The interfaces; empty for all.
    #[must_use]
    pub fn interfaces(&self) -> &[String] {
        if self.interfaces.iter().any(|name| name == "any") { &[] } else { &self.interfaces }
    }

    /// The protocol to decode.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn protocol(&self) -> anyhow::Result<&'static Protocol> {
        let name = self.protocol.as_deref().unwrap_or_default();
        protocol::by_name(name).ok_or_else(|| anyhow::anyhow!("no protocol is called `{name}`"))
    }

    /// The kind of output.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn sink(&self) -> anyhow::Result<&'static SinkKind> {
        sink::by_name(&self.format)
            .ok_or_else(|| anyhow::anyhow!("no output format is called `{}`", self.format))
    }

    /// The smallest latency to print, in ns.
    #[must_use]
    pub fn threshold_ns(&self) -> u64 {
        self.threshold
    }

    /// How many transactions to print.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        self.count
    }

    /// Bytes of payload to copy from each packet; `u32::MAX` for all.
    #[must_use]
    pub fn snaplen(&self) -> u32 {
        if self.snaplen == 0 { u32::MAX } else { self.snaplen }
    }

    /// Size of the ring buffer, in bytes.
    #[must_use]
    pub fn buffer_bytes(&self) -> u32 {
        self.buffer_size.saturating_mul(1024)
    }

    /// Whether output that goes to a terminal (or not) is to be coloured.
    #[must_use]
    pub fn colour(&self, is_terminal: bool) -> bool {
        match self.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        }
    }

    /// Longest text of a request, in bytes.
    #[must_use]
    pub fn max_text(&self) -> usize {
        usize::from(self.max_text)
    }

    /// The bounds on what grows with traffic.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let defaults = Limits::default();
        Limits {
            max_flows: self.max_flows.max(1),
            max_held_bytes: self.max_held.saturating_mul(1024),
            max_open: self.max_open.max(1),
            expiry: Expiry {
                idle_ns: u64::from(self.idle_timeout.max(1)).saturating_mul(1_000_000_000),
                ..defaults.expiry
            },
        }
    }

    /// How often `-v` was given.
    #[must_use]
    pub fn verbosity(&self) -> u8 {
        self.verbose
    }

    /// The file with the filter expression.
    #[must_use]
    pub fn expression_file(&self) -> Option<&Path> {
        self.expression_file.as_deref()
    }

    /// How often `-d` was given.
    #[must_use]
    pub fn dump(&self) -> u8 {
        self.dump
    }

    /// The words of the filter expression.
    #[must_use]
    pub fn expression(&self) -> &[String] {
        &self.expression
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Cli {
        Cli::try_parse_from(line.split_whitespace()).expect("a valid command line")
    }

    #[test]
    fn the_definition_holds() {
        Cli::command().debug_assert();
    }

    #[test]
    fn words_and_options_may_be_mixed() {
        let cli = parse("tcpkit -i eth0 tcp port 6379 -p redis -t 10 or port 6380");
        assert_eq!(cli.interfaces(), ["eth0"]);
        assert_eq!(cli.expression().join(" "), "tcp port 6379 or port 6380");
        assert_eq!(cli.threshold_ns(), 10_000_000);
    }

    #[test]
    fn interfaces_are_repeated_or_listed_and_any_is_all() {
        assert_eq!(parse("tcpkit -p redis -i a,b -i c").interfaces(), ["a", "b", "c"]);
        assert!(parse("tcpkit -p redis -i a -i any").interfaces().is_empty());
        assert!(parse("tcpkit -p redis").interfaces().is_empty());
    }

    #[test]
    fn thresholds_may_have_decimals() {
        assert_eq!(parse("tcpkit -p redis -t 0.5").threshold_ns(), 500_000);
        for bad in ["-1", "x", "1e12", "nan"] {
            let line = ["tcpkit", "-p", "redis", &format!("-t{bad}")];
            assert!(Cli::try_parse_from(line).is_err(), "{bad}");
        }
    }

    #[test]
    fn wrong_usage_exits_2() {
        for line in ["tcpkit -p nonsense", "tcpkit", "tcpkit -p redis -c 0", "tcpkit --bogus"] {
            let error = Cli::try_parse_from(line.split_whitespace()).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn a_dump_needs_no_protocol() {
        assert_eq!(parse("tcpkit -d tcp port 1").dump(), 1);
        assert_eq!(parse("tcpkit tcp -dd port 1").dump(), 2);
        assert_eq!(parse("tcpkit -p redis -F f").expression_file(), Some(Path::new("f")));
    }

    #[test]
    fn a_snaplen_of_0_is_everything() {
        assert_eq!(parse("tcpkit -p redis -s 0").snaplen(), u32::MAX);
        assert_eq!(parse("tcpkit -p redis -s 256").snaplen(), 256);
        assert_eq!(parse("tcpkit -p redis").snaplen(), DEFAULT_SNAPLEN);
    }
}
