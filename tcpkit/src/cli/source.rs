//! Options of where packets come from, and which.

use std::path::{Path, PathBuf};

use clap::{ArgAction, Args, ValueEnum};

use crate::capture::{Directions, IngressHook, interfaces::ANY, ring};

/// Where packets come from, and which.
#[derive(Debug, Args)]
#[command(next_help_heading = "Capture")]
pub struct SourceArgs {
    /// Interface to capture on, by name or by its number in -D; repeat it or separate several by
    /// commas. `any` is all of them, also those that come later.
    #[arg(
        short,
        long = "interface",
        value_name = "IFACE",
        value_delimiter = ',',
        default_value = ANY
    )]
    interfaces: Vec<String>,

    /// Read packets from a capture file instead (pcap or pcapng, also gzip or zstd); `-` is standard
    /// input.
    #[arg(short, long = "read", value_name = "FILE", conflicts_with = "directions")]
    read: Option<PathBuf>,

    /// List the interfaces and exit.
    #[arg(short = 'D', long = "list-interfaces")]
    list: bool,

    /// Which way packets go that are captured, as the host sees it. (With one way alone, requests and
    /// responses cannot be paired.)
    #[arg(short = 'Q', long = "direction", value_name = "WAY", default_value = "inout")]
    directions: Directions,

    /// Let named interfaces receive what is for others, as on a mirror port.
    #[arg(long)]
    promiscuous: bool,

    /// Bytes of payload to copy from each packet; 0 for all. Longer values are skipped by their
    /// length. By default 16384 with -p and for packets of scripts, 256 for lines of packets, and all with -w, -A and -X.
    #[arg(short, long, value_name = "BYTES")]
    snaplen: Option<u32>,

    /// Size of the buffers between kernel and agent, those of all CPUs together, in KiB. Each is
    /// rounded up to a power of two and to what the longest packet takes. By default 16384, or 1024 for
    /// each CPU where that is more.
    #[arg(short = 'B', long, value_name = "KIB",
          value_parser = clap::value_parser!(u32).range(64..=1_048_576))]
    buffer_size: Option<u32>,

    /// How many threads read packets, each those of its own connections. Without it one does for each
    /// eight CPUs, at most four; one always with -w, -c, -S, without -p, and from files and packet
    /// sockets.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: Option<u32>,

    /// How to capture.
    #[arg(long, value_name = "WAY", default_value = "auto")]
    backend: Backend,

    /// Where incoming packets are captured.
    #[arg(long, value_name = "WHERE", default_value = "tc")]
    hook: IngressHook,

    /// Read the filter expression from a file; EXPRESSION is not looked at then.
    #[arg(short = 'F', value_name = "FILE")]
    expression_file: Option<PathBuf>,

    /// Do not optimize the compiled filter: with thousands of hosts that takes minutes.
    #[arg(short = 'O')]
    no_optimizer: bool,

    /// Print the compiled filter and exit: -d libpcap's program, -dd the kernel's.
    #[arg(short, action = ArgAction::Count)]
    dump: u8,

    /// Which packets to capture, as for tcpdump (pcap-filter(7)): `tcp port 6379 and host db`;
    /// everything if left out. May be given in one argument or several, anywhere among the options.
    #[arg(value_name = "EXPRESSION")]
    expression: Vec<String>,
}

/// How packets are captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// With eBPF programs, which cost least.
    Ebpf,
    /// Through packet sockets, as tcpdump does; needs CAP_NET_RAW only.
    Packet,
    /// With eBPF if that can be had, else through packet sockets.
    Auto,
}

/// The payload prefix that is copied unless `-s` says otherwise, in bytes, where transactions alone
/// are wanted.
///
/// Measured: with 4 KiB a pipeline of 16 commands of 1 KB was cut in each packet, with 64 KiB values
/// of 100 KB filled the default ring at times; with 16 KiB neither happened.
pub(super) const DEFAULT_SNAPLEN: u32 = 16 * 1024;

/// The same where lines of packets alone are wanted: more than tunnels have in front of the innermost
/// headers.
pub(super) const LINES_SNAPLEN: u32 = 256;

/// What the buffers take together unless `-B` says otherwise.
fn default_buffer_bytes() -> u64 {
    (16 << 20).max(u64::from(ring::present_cpus()) << 20)
}

impl SourceArgs {
    /// More words of the expression.
    pub(super) fn add_words(&mut self, words: Vec<String>) {
        self.expression.extend(words);
    }

    /// The interfaces as they were typed.
    #[must_use]
    pub fn interfaces(&self) -> &[String] {
        &self.interfaces
    }

    /// The file to read; `-` is standard input.
    #[must_use]
    pub fn read(&self) -> Option<&Path> {
        self.read.as_deref()
    }

    /// Whether to list the interfaces.
    #[must_use]
    pub fn list(&self) -> bool {
        self.list
    }

    /// Which way packets go that are captured.
    #[must_use]
    pub fn directions(&self) -> Directions {
        self.directions
    }

    /// Bytes of payload to copy from each packet, if somebody said; `u32::MAX` for all.
    pub(super) fn snaplen(&self) -> Option<u32> {
        self.snaplen.map(|bytes| if bytes == 0 { u32::MAX } else { bytes })
    }

    /// Size of all buffers between kernel and agent, in bytes.
    #[must_use]
    pub fn buffer_bytes(&self) -> u64 {
        self.buffer_size.map_or_else(default_buffer_bytes, |kib| u64::from(kib) * 1024)
    }

    /// How many workers were asked for.
    #[must_use]
    pub fn workers(&self) -> Option<u32> {
        self.workers
    }

    /// Whether named interfaces receive what is for others.
    #[must_use]
    pub fn promiscuous(&self) -> bool {
        self.promiscuous
    }

    /// How to capture.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Where incoming packets are captured.
    #[must_use]
    pub fn hook(&self) -> IngressHook {
        self.hook
    }

    /// The file with the filter expression.
    #[must_use]
    pub fn expression_file(&self) -> Option<&Path> {
        self.expression_file.as_deref()
    }

    /// Whether the filter is optimized.
    #[must_use]
    pub fn optimizes(&self) -> bool {
        !self.no_optimizer
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
