//! The user's filter expression: which packets are wanted.
//!
//! libpcap compiles the text to classic BPF (`compile`), this module translates that to eBPF
//! (`translate`), and [`patch`] writes it into the kernel programs' object. So the language is the
//! whole of pcap-filter(7), with libpcap's meaning.

mod classic;
mod compile;
mod ebpf;
mod interpret;
mod named;
pub mod patch;
mod ports;
mod translate;

use std::ops::RangeInclusive;

pub(crate) use self::compile::message;
pub use self::{
    classic::Classic,
    ebpf::Insn,
    interpret::{FileProgram, Verdict},
};

/// Room for a filter in the kernel programs, in instructions.
pub const MAX_INSTRUCTIONS: usize = tcpkit_common::FILTER_SLOT_LEN;

/// A filter, ready for the kernel's TC programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureFilter {
    expression: String,
    optimize: bool,
    ports: Vec<RangeInclusive<u16>>,
    ethernet: Compiled,
    raw_ip: Compiled,
    no_raw_ip: Option<FilterError>,
    no_kernel: Option<FilterError>,
}

/// The same filter for the kernel's XDP programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XdpFilters {
    ethernet: Compiled,
    raw_ip: Compiled,
}

/// What a filter runs on, and how it sees the outer VLAN tag (0x8100 or 0x88a8). TC has the tag
/// beside the packet's bytes, XDP among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// At TC, the bytes as they are there.
    Tc,
    /// At TC, with the tag at its place on the wire.
    TcTagged,
    /// At XDP, the bytes as they are there.
    Xdp,
    /// At XDP, as if the tag were not among the bytes.
    XdpUntagged,
}

impl View {
    /// Whether it is one of XDP's.
    #[must_use]
    pub fn is_xdp(self) -> bool {
        matches!(self, Self::Xdp | Self::XdpUntagged)
    }
}

/// An expression for packets of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    classic: Vec<Classic>,
    ebpf: Vec<Insn>,
}

/// Why an expression is no filter. Each message is one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// libpcap does not understand it.
    #[error("filter: {message} in '{expression}'")]
    Refused {
        /// What libpcap says.
        message: String,
        /// The expression.
        expression: String,
    },
    /// It jumps backwards.
    #[error(
        "filter: '{expression}' cannot run in the kernel, since it follows chains of headers \
         without a bound (protochain); name the protocol with proto"
    )]
    Loop {
        /// The expression.
        expression: String,
    },
    /// It asks for something beside the packet that programs at this hook do not know.
    #[error(
        "filter: the expression asks for something beside the packet that is not known where it is \
         captured or read (ancillary load {number})"
    )]
    Ancillary {
        /// The kernel's number for it, behind `SKF_AD_OFF`.
        number: u32,
    },
    /// It is too long.
    #[error(
        "filter: the expression becomes {needed} instructions, and {MAX_INSTRUCTIONS} is the most \
         that the kernel programs have room for; name fewer hosts or ports, use net and portrange, or \
         take --backend packet"
    )]
    TooLong {
        /// How many there are.
        needed: usize,
    },
    /// libpcap compiled it to something that no kernel runs.
    #[error("filter: libpcap compiled an instruction that is not known: {instruction}")]
    Strange {
        /// The instruction.
        instruction: String,
    },
}

impl Compiled {
    /// Translates a classic program for a hook.
    ///
    /// # Errors
    /// The program is not one that the kernel runs, or has no room.
    pub fn translate(classic: Vec<Classic>, view: View) -> Result<Self, FilterError> {
        compile::check(&classic, "the program")?;
        let ebpf = translate::translate(&classic, view)?;
        if ebpf.len() > MAX_INSTRUCTIONS {
            return Err(FilterError::TooLong { needed: ebpf.len() });
        }
        Ok(Self { classic, ebpf })
    }

    /// The same where the kernel programs cannot run it; they refuse everything then.
    fn refusing(classic: Vec<Classic>) -> Result<Self, FilterError> {
        Ok(Self { classic, ebpf: translate::translate(&[Classic::ret(0)], View::Tc)? })
    }

    /// What goes into the kernel programs.
    #[must_use]
    pub fn instructions(&self) -> &[Insn] {
        &self.ebpf
    }

    /// libpcap's program as `tcpdump -d` prints it.
    #[must_use]
    pub fn list_classic(&self) -> String {
        classic::Listing(&self.classic).to_string()
    }

    /// The kernel's program, one numbered instruction a line.
    #[must_use]
    pub fn list_ebpf(&self) -> String {
        ebpf::Listing(&self.ebpf).to_string()
    }
}

impl CaptureFilter {
    /// Reads an expression that came as separate words, as one quoted argument, or both; no words
    /// let every packet pass.
    ///
    /// # Errors
    /// libpcap's message and the expression, or that it follows chains without a bound.
    pub fn parse(words: &[String]) -> Result<Self, FilterError> {
        Self::parse_with(words, true)
    }

    /// The same, with libpcap's optimizer or without it, which takes long over thousands of hosts.
    ///
    /// # Errors
    /// As for [`Self::parse`].
    pub fn parse_with(words: &[String], optimize: bool) -> Result<Self, FilterError> {
        let words: Vec<&str> = words.iter().flat_map(|word| word.split_whitespace()).collect();
        let expression = words.join(" ");
        let view = if names_vlans(&expression) { View::TcTagged } else { View::Tc };
        let classic = compile::compile(&expression, compile::ETHERNET, optimize)?;
        let (ethernet, no_kernel) = match Compiled::translate(classic.clone(), view) {
            Ok(compiled) => (compiled, None),
            Err(error) => (Compiled::refusing(classic)?, Some(error)),
        };
        // Some expressions have a meaning with Ethernet headers only.
        let raw_ip = compile::compile(&expression, compile::RAW_IP, optimize)
            .and_then(|classic| Compiled::translate(classic, View::Tc));
        let (raw_ip, no_raw_ip) = match raw_ip {
            Ok(compiled) => (compiled, None),
            Err(error) => (Compiled::translate(vec![Classic::ret(0)], View::Tc)?, Some(error)),
        };
        let ports = named::ports(&expression);
        Ok(Self { expression, optimize, ports, ethernet, raw_ip, no_raw_ip, no_kernel })
    }

    /// Reads the text of a file: comments begin with `#` and end with the line.
    ///
    /// # Errors
    /// As for [`Self::parse`].
    pub fn parse_file(text: &str, optimize: bool) -> Result<Self, FilterError> {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().to_owned());
        Self::parse_with(&lines.collect::<Vec<_>>(), optimize)
    }

    /// The filter for XDP programs; it selects the same packets there.
    ///
    /// # Errors
    /// It asks for something that is not known at XDP, or has no room.
    pub fn xdp(&self) -> Result<XdpFilters, FilterError> {
        let view = if names_vlans(&self.expression) { View::Xdp } else { View::XdpUntagged };
        Ok(XdpFilters {
            ethernet: Compiled::translate(self.ethernet.classic.clone(), view)?,
            raw_ip: Compiled::translate(self.raw_ip.classic.clone(), View::Xdp)?,
        })
    }

    /// Whether the kernel programs can run it.
    ///
    /// # Errors
    /// Why they cannot.
    pub fn for_kernel(&self) -> Result<(), FilterError> {
        self.no_kernel.clone().map_or(Ok(()), Err)
    }

    /// For packets with an Ethernet header.
    #[must_use]
    pub fn ethernet(&self) -> &Compiled {
        &self.ethernet
    }

    /// For packets that begin with an IP header.
    #[must_use]
    pub fn raw_ip(&self) -> &Compiled {
        &self.raw_ip
    }

    /// Why the expression selects nothing on devices without an Ethernet header, if it has a meaning
    /// with such headers only.
    #[must_use]
    pub fn no_raw_ip(&self) -> Option<&FilterError> {
        self.no_raw_ip.as_ref()
    }

    /// Whether the filter names this port; then whoever has it is likely the server.
    #[must_use]
    pub fn server_port(&self, port: u16) -> bool {
        self.ports.iter().any(|range| range.contains(&port))
    }

    /// That libpcap refused the expression for some kind of interface.
    pub(crate) fn refused(&self, error: &pcap::Error) -> FilterError {
        FilterError::Refused { message: message(error), expression: self.expression.clone() }
    }

    /// Whether libpcap optimizes what it compiles.
    pub(crate) fn optimizes(&self) -> bool {
        self.optimize
    }

    /// The expression, its words separated by single spaces.
    #[must_use]
    pub fn expression(&self) -> &str {
        &self.expression
    }
}

impl XdpFilters {
    /// For packets with an Ethernet header.
    #[must_use]
    pub fn ethernet(&self) -> &Compiled {
        &self.ethernet
    }

    /// For packets that begin with an IP header.
    #[must_use]
    pub fn raw_ip(&self) -> &Compiled {
        &self.raw_ip
    }
}

/// Whether an expression speaks of VLAN tags.
///
/// The kernel takes the outer tag off the bytes and keeps it aside. As in a live capture of tcpdump,
/// expressions without `vlan` judge what is left, so that `tcp port 80` selects tagged packets too.
/// With `vlan` the tag has to be where libpcap's program looks for it.
///
/// XDP programs run before that. For them it is the other way round; the verdicts are the same.
fn names_vlans(expression: &str) -> bool {
    expression
        .split(|one: char| !(one.is_alphanumeric() || "-._".contains(one)))
        .any(|it| it == "vlan")
}

#[cfg(test)]
mod tests;
