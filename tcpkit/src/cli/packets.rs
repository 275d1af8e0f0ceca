//! Options of packets themselves: lines of them, and files.

use std::path::{Path, PathBuf};

use clap::{ArgAction, Args};

use crate::sink::{
    file::parse_file_size,
    packets::{HexDump, PacketLineOptions, PacketTime},
};

/// How packets are printed and written.
#[derive(Debug, Args)]
#[command(next_help_heading = "Packets")]
pub struct PacketArgs {
    /// Write what is captured to a file: pcapng if its name ends in .pcapng, else pcap with ns; `-`
    /// is standard output. Without -p nothing is printed then, unless --print is given.
    #[arg(short, long = "write", value_name = "FILE")]
    write: Option<PathBuf>,

    /// Begin a new file once this one is larger than so many millions of bytes (with k, m or g
    /// behind it: KiB, MiB, GiB).
    #[arg(short = 'C', value_name = "SIZE", value_parser = parse_file_size)]
    rotate_bytes: Option<u64>,

    /// Begin a new file every so many seconds; the name may have the time in it, as strftime(3) has
    /// it.
    #[arg(short = 'G', value_name = "S",
          value_parser = clap::value_parser!(u64).range(1..))]
    rotate_seconds: Option<u64>,

    /// With -C, write so many files at most and then begin with the first again; with -G, end after
    /// so many.
    #[arg(short = 'W', value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..))]
    rotate_count: Option<u32>,

    /// Write each packet to the file as soon as it is there.
    #[arg(short = 'U', long = "packet-buffered")]
    unbuffered: bool,

    /// Print packets although they are written to a file, or packets or requests although a script
    /// gets them.
    #[arg(long)]
    print: bool,

    /// Print payload as text.
    #[arg(short = 'A')]
    ascii: bool,

    /// Print packets in hex and text; twice, with their link headers.
    #[arg(short = 'X', action = ArgAction::Count)]
    hex_text: u8,

    /// Print packets in hex; twice, with their link headers.
    #[arg(short = 'x', action = ArgAction::Count)]
    hex: u8,

    /// How times of packets are printed.
    #[arg(long, value_name = "FORM", default_value = "clock")]
    time: PacketTime,

    /// Print less of each packet.
    #[arg(short, long = "quick")]
    quiet: bool,

    /// Print link headers.
    #[arg(short = 'e')]
    link_header: bool,

    /// Accepted for habit: addresses and ports are always printed as numbers.
    #[arg(short = 'n', action = ArgAction::Count)]
    numeric: u8,

    /// Accepted for habit: lines are printed as soon as nothing else waits.
    #[arg(short = 'l')]
    line_buffered: bool,
}

impl PacketArgs {
    /// The file to write; `-` is standard output.
    #[must_use]
    pub fn write(&self) -> Option<&Path> {
        self.write.as_deref()
    }

    /// After how many bytes a new file is begun.
    #[must_use]
    pub fn rotate_bytes(&self) -> Option<u64> {
        self.rotate_bytes
    }

    /// After how many seconds a new file is begun.
    #[must_use]
    pub fn rotate_seconds(&self) -> Option<u64> {
        self.rotate_seconds
    }

    /// How many files are written.
    #[must_use]
    pub fn rotate_count(&self) -> Option<u32> {
        self.rotate_count
    }

    /// Whether each packet is written at once.
    #[must_use]
    pub fn is_unbuffered(&self) -> bool {
        self.unbuffered
    }

    /// Whether one file follows another.
    #[must_use]
    pub fn rotates(&self) -> bool {
        self.rotate_bytes.is_some() || self.rotate_seconds.is_some()
    }

    /// Whether packets are printed, given that no protocol is decoded, and whether a script gets them.
    #[must_use]
    pub fn prints(&self, has_script: bool) -> bool {
        self.print || self.write.is_none() && !has_script
    }

    /// Whether somebody asked for lines beside other output.
    #[must_use]
    pub fn asks_to_print(&self) -> bool {
        self.print
    }

    /// Whether packets are wanted as a whole.
    pub(super) fn wants_payload(&self) -> bool {
        self.write.is_some() || self.ascii || self.hex > 0 || self.hex_text > 0
    }

    /// An option that has a meaning for printed packets only.
    pub(super) fn needs_lines(&self, has_script: bool) -> Option<&'static str> {
        [
            (self.print && !has_script, "--print"),
            (self.ascii, "-A"),
            (self.hex_text > 0, "-X"),
            (self.hex > 0, "-x"),
            (self.quiet, "-q"),
            (self.link_header, "-e"),
        ]
        .into_iter()
        .find_map(|(is_given, name)| is_given.then_some(name))
    }

    /// How packets are printed; `interface_column` when they come from several interfaces.
    #[must_use]
    pub fn lines(&self, interface_column: bool) -> PacketLineOptions {
        PacketLineOptions {
            time: self.time,
            quiet: self.quiet,
            link_header: self.link_header,
            ascii: self.ascii,
            hex: match (self.hex_text.max(self.hex), self.hex_text > 0) {
                (0, _) => HexDump::None,
                (1, text) => HexDump::FromNetwork { text },
                (_, text) => HexDump::FromLink { text },
            },
            interface_column,
        }
    }
}
