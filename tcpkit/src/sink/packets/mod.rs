//! One line a packet, for people, in the form that tcpdump gives it with `-n -S`:
//! `19:23:06.258761 IP 10.9.0.1.40000 > 10.9.0.2.6379: Flags [P.], seq 100:104, ack 7, win 512, length 4`
//!
//! The lines of TCP and UDP over IPv4 and IPv6 are those of tcpdump 4.99, without what it decodes of
//! the protocols above them. Of other protocols a line says in short what they are. Times of day are
//! local.

#![deny(clippy::arithmetic_side_effects)]

mod arp;
mod bytes;
mod dump;
mod ethertype;
mod icmp;
mod icmp6;
mod ip;
mod ip6;
mod line;
mod link;
mod mptcp;
mod options;
mod transport;

#[cfg(test)]
mod tests;

use std::io::Write;

use self::line::Line;
use super::{
    Lines, Sink, SinkError,
    decimal::{push_padded, push_u64},
    localtime::TimeFormat,
};
use crate::capture::{Frame, HookDirection, InterfaceNames, LinkType};

/// Whether a packet's bytes follow its line in hexadecimal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HexDump {
    /// They do not.
    #[default]
    None,
    /// From the network header on: `-x`, and with `text` `-X`. A packet whose headers are cut off is
    /// shown from its link header on.
    FromNetwork {
        /// With the same as text beside it.
        text: bool,
    },
    /// From the link header on: `-xx`, and with `text` `-XX`.
    FromLink {
        /// With the same as text beside it.
        text: bool,
    },
}

/// How a packet's time is printed, with microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum PacketTime {
    /// The time of day, as tcpdump prints it.
    #[default]
    Clock,
    /// With the date (tcpdump's -tttt).
    Date,
    /// Seconds since 1970 (tcpdump's -tt).
    Epoch,
    /// Not at all (tcpdump's -t).
    None,
}

/// What lines say beside the least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketLineOptions {
    /// `--time`: when the packet passed.
    pub time: PacketTime,
    /// `-q`: less of everything.
    pub quiet: bool,
    /// `-e`: the link header.
    pub link_header: bool,
    /// `-A`: the payload as text on the next lines, as far as it was captured.
    pub ascii: bool,
    /// `-x`, `-X`, `-xx`, `-XX`: the bytes in hexadecimal on the next lines; then not `-A`'s text.
    pub hex: HexDump,
    /// The interface and the direction in front, for captures on several.
    pub interface_column: bool,
}

/// Prints packets as lines.
pub struct PacketLines {
    lines: Lines,
    time: TimeFormat,
    options: PacketLineOptions,
    names: InterfaceNames,
}

impl PacketLines {
    /// Prints to `output`; interfaces have the `names` that the source knows.
    #[must_use]
    pub fn new(output: Box<dyn Write>, options: PacketLineOptions, names: InterfaceNames) -> Self {
        let time = match options.time {
            PacketTime::Date => TimeFormat::local(),
            _ => TimeFormat::local_time_of_day(),
        };
        Self { lines: Lines::new(output), time, options, names }
    }
}

impl Sink for PacketLines {
    fn on_packet(&mut self, frame: &Frame<'_>, unix_ns: u64) -> Result<(), SinkError> {
        let text = &mut self.lines.buffer;
        match self.options.time {
            PacketTime::Clock | PacketTime::Date => self.time.push(text, unix_ns, 6),
            PacketTime::Epoch => {
                push_u64(text, unix_ns / 1_000_000_000);
                text.push(b'.');
                push_padded(text, unix_ns % 1_000_000_000 / 1_000, 6);
            }
            PacketTime::None => {}
        }
        if self.options.time != PacketTime::None {
            text.push(b' ');
        }
        // As tcpdump does, whose packets of all interfaces have such a header.
        if self.options.interface_column || frame.link == LinkType::LinuxSll2 {
            push_interface(text, frame, &self.names);
        }
        let mut line = Line {
            text,
            quiet: self.options.quiet,
            link_header: self.options.link_header,
            header: "",
            payload: &[],
            depth: 0,
        };
        let link_len = link::print(&mut line, frame).unwrap_or_else(|bytes::Cut| {
            line.cut();
            0
        });
        let payload = line.payload;
        let text = line.text;
        match self.options.hex {
            HexDump::FromNetwork { text: with_text } => {
                push_hex(text, frame, link_len, with_text);
            }
            HexDump::FromLink { text: with_text } => push_hex(text, frame, 0, with_text),
            HexDump::None if self.options.ascii => dump::push_text(text, payload),
            HexDump::None => {}
        }
        self.lines.end_line()
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.lines.flush()
    }
}

/// Appends the frame's bytes from offset `from` on; a tag that the kernel keeps beside them stands
/// where it is on the wire.
fn push_hex(text: &mut Vec<u8>, frame: &Frame<'_>, from: u32, with_text: bool) {
    const ADDRESSES_LEN: usize = 12;
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    match (frame.vlan, frame.bytes.split_at_checked(ADDRESSES_LEN)) {
        (Some(tag), Some((addresses, rest))) => {
            let [e0, e1] = tag.ethertype.to_be_bytes();
            let [t0, t1] = tag.tci.to_be_bytes();
            let all = addresses.iter().copied().chain([e0, e1, t0, t1]).chain(rest.iter().copied());
            dump::push_hex(text, all.skip(from), with_text);
        }
        _ => {
            let rest = frame.bytes.get(from..).unwrap_or(&[]);
            dump::push_hex(text, rest.iter().copied(), with_text);
        }
    }
}

/// Appends `veth0 In  `: names begin and end in the same column as long as they are short.
fn push_interface(text: &mut Vec<u8>, frame: &Frame<'_>, names: &InterfaceNames) {
    let pad = |text: &mut Vec<u8>, from: usize, width: usize| {
        for _ in text.len().saturating_sub(from)..width {
            text.push(b' ');
        }
        text.push(b' ');
    };
    let start = text.len();
    match names.find(frame.ifindex) {
        Some(name) => name.bytes().for_each(|byte| dump::push_escaped(text, byte)),
        None => push_u64(text, u64::from(frame.ifindex)),
    }
    pad(text, start, 5);
    let start = text.len();
    text.extend_from_slice(direction(frame).as_bytes());
    pad(text, start, 3);
}

/// Which way a frame went, and whether it was for all (`B`) or many (`M`), as the kernel tells its
/// packet sockets.
fn direction(frame: &Frame<'_>) -> &'static str {
    let said = match (frame.link, frame.bytes) {
        (LinkType::LinuxSll, [high, low, ..]) => Some(u16::from_be_bytes([*high, *low])),
        (LinkType::LinuxSll2, [_, _, _, _, _, _, _, _, _, _, kind, ..]) => Some(u16::from(*kind)),
        _ => None,
    };
    if let Some(kind) = said {
        return link::packet_type(kind).unwrap_or("?");
    }
    match (frame.direction, frame.link, frame.bytes) {
        (HookDirection::Egress, ..) => "Out",
        (HookDirection::Ingress, LinkType::Ethernet, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, ..]) => {
            "B"
        }
        (HookDirection::Ingress, LinkType::Ethernet, [first, ..]) if first & 1 == 1 => "M",
        (HookDirection::Ingress, ..) => "In",
        (HookDirection::Unknown, ..) => "?",
    }
}
