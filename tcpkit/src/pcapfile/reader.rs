//! Takes a file's bytes as they come, and gives its packets.

use super::{
    FormatError, Reason,
    blocks::{self, Blocks, Interface},
    buffer::Buffer,
    classic::{self, Magic, Pcap},
    error::Part,
};
use crate::capture::{Frame, HookDirection, InterfaceNames, LinkType};

/// A link type by the number that files have for it (`LINKTYPE_*`); raw IP has several, some of them
/// other systems' own.
#[must_use]
pub fn link_type(number: u32) -> Option<LinkType> {
    match number {
        0 => Some(LinkType::Null),
        1 => Some(LinkType::Ethernet),
        12 | 14 | 101 | 228 | 229 => Some(LinkType::RawIp),
        108 => Some(LinkType::Loop),
        113 => Some(LinkType::LinuxSll),
        276 => Some(LinkType::LinuxSll2),
        _ => None,
    }
}

/// What stands at the beginning of the bytes.
pub(super) enum Step {
    /// More bytes are needed to tell.
    NeedMore,
    /// So many bytes are no packet; they need not have come yet.
    Skip(u64),
    /// A packet of so many bytes whose link type is not understood.
    Foreign(usize),
    Packet(Found),
}

/// A packet and where it is.
#[derive(Clone, Copy)]
pub(super) struct Found {
    /// How many bytes it takes with all that is around it.
    pub(super) size: usize,
    /// Where its own begin.
    pub(super) start: usize,
    pub(super) len: usize,
    pub(super) time_ns: u64,
    pub(super) interface: u32,
    pub(super) direction: HookDirection,
    pub(super) link: LinkType,
    pub(super) wire_len: u32,
}

#[derive(Debug)]
enum Format {
    /// Fewer than four bytes have come.
    Unknown,
    /// The header has not come whole.
    Header(Magic),
    Pcap(Pcap),
    Pcapng(Blocks),
}

/// Reads one capture file. Bytes are put into [`Reader::room`]; [`Reader::next_frame`] gives the
/// packets that are whole. It makes no difference how the bytes are cut into pieces.
#[derive(Debug)]
pub struct Reader {
    buffer: Buffer,
    format: Format,
    names: InterfaceNames,
    /// Bytes to be skipped when they come.
    skip: u64,
    packets: u64,
    foreign: u64,
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader {
    /// A reader of a file of which no byte has come.
    #[must_use]
    pub fn new() -> Self {
        Self {
            buffer: Buffer::new(),
            format: Format::Unknown,
            names: InterfaceNames::default(),
            skip: 0,
            packets: 0,
            foreign: 0,
        }
    }

    /// Where the next bytes go, at least one of them; to be called only after
    /// [`Reader::next_frame`] asked for more.
    pub fn room(&mut self) -> &mut [u8] {
        self.buffer.room()
    }

    /// So many bytes were put at the beginning of [`Reader::room`].
    pub fn filled(&mut self, len: usize) {
        self.buffer.filled(len);
    }

    /// The next packet: its time in ns since the Unix epoch, its interface's place in
    /// [`Reader::interfaces`] counted from 1 (0 in a pcap file). Its length on the wire is at least
    /// that of its bytes, where the file has less. `None` when more bytes are needed.
    ///
    /// # Errors
    /// The file is corrupt, or not one that is understood; each further call says the same.
    #[inline]
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, FormatError> {
        let found = loop {
            if self.skip > 0 && !self.skipped() {
                return Ok(None);
            }
            let step = match &mut self.format {
                Format::Pcap(pcap) => pcap.step(self.buffer.data()),
                Format::Pcapng(blocks) => blocks.step(self.buffer.data()),
                Format::Unknown | Format::Header(_) => self.begin(),
            };
            match step {
                Ok(Step::Packet(found)) => break found,
                Ok(Step::NeedMore) => return Ok(None),
                Ok(Step::Skip(len)) => self.skip = len,
                Ok(Step::Foreign(size)) => {
                    self.buffer.take(size);
                    self.packets = self.packets.saturating_add(1);
                    self.foreign = self.foreign.saturating_add(1);
                }
                Err(reason) => return Err(self.error(reason)),
            }
        };
        self.packets = self.packets.saturating_add(1);
        let bytes = self.buffer.take(found.size);
        let end = found.start.saturating_add(found.len);
        Ok(Some(Frame {
            time_ns: found.time_ns,
            ifindex: found.interface,
            direction: found.direction,
            link: found.link,
            vlan: None,
            wire_len: found.wire_len,
            bytes: bytes.get(found.start..end).unwrap_or(&[]),
        }))
    }

    /// Says whether the file may end here, after all its bytes came and their packets were taken.
    ///
    /// # Errors
    /// It ends inside something, or there was nothing at all.
    pub fn finish(&self) -> Result<(), FormatError> {
        let is_rest = !self.buffer.data().is_empty();
        let reason = match &self.format {
            Format::Unknown if is_rest => Reason::NoCapture,
            Format::Unknown => Reason::Empty,
            Format::Header(_) => Reason::Cut(Part::Header),
            Format::Pcap(_) if is_rest => Reason::Cut(Part::Packet),
            Format::Pcapng(_) if self.buffer.offset() == 0 => Reason::Cut(Part::Header),
            Format::Pcapng(blocks) if is_rest || self.skip > 0 || !blocks.is_between_blocks() => {
                Reason::Cut(Part::Block)
            }
            Format::Pcap(_) | Format::Pcapng(_) => return Ok(()),
        };
        Err(self.error(reason))
    }

    /// The interfaces that the file has introduced so far; none in a pcap file.
    #[must_use]
    pub fn interfaces(&self) -> &[Interface] {
        match &self.format {
            Format::Pcapng(blocks) => blocks.interfaces(),
            _ => &[],
        }
    }

    /// The names of those interfaces by their numbers, as [`Frame::ifindex`] has them: their own, else
    /// `if0`, `if1` … in the file's order.
    #[must_use]
    pub fn interface_names(&self) -> InterfaceNames {
        self.names.clone()
    }

    /// Packets so far, with those that were skipped.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Packets that were skipped, since what they begin with is not understood.
    #[must_use]
    pub fn foreign(&self) -> u64 {
        self.foreign
    }

    /// Packets whose file says no time for them; they were given that of the packet before.
    #[must_use]
    pub fn untimed(&self) -> u64 {
        match &self.format {
            Format::Pcapng(blocks) => blocks.untimed(),
            _ => 0,
        }
    }

    /// Where in the file the first byte is that no packet was made of, counted from 0.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.buffer.offset()
    }

    /// How many bytes the reader has room for; at most [`super::MAX_BUFFER`].
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Skips what has come of the bytes to be skipped; whether those were all.
    fn skipped(&mut self) -> bool {
        let len = usize::try_from(self.skip).unwrap_or(usize::MAX);
        let taken = self.buffer.take(len).len();
        self.skip = self.skip.saturating_sub(taken as u64);
        self.skip == 0
    }

    /// Finds out the format, and reads a pcap file's header.
    #[cold]
    fn begin(&mut self) -> Result<Step, Reason> {
        let data = self.buffer.data();
        if let Format::Header(magic) = self.format {
            let Some(header) = data.first_chunk() else { return Ok(Step::NeedMore) };
            self.format = Format::Pcap(Pcap::new(magic, header)?);
            return Ok(Step::Skip(classic::HEADER as u64));
        }
        let Some(&first) = data.first_chunk() else { return Ok(Step::NeedMore) };
        self.format = if first == blocks::MAGIC {
            Format::Pcapng(Blocks::new(self.names.clone()))
        } else {
            Format::Header(classic::magic(first).ok_or(Reason::NoCapture)?)
        };
        Ok(Step::Skip(0))
    }

    fn error(&self, reason: Reason) -> FormatError {
        FormatError { packets: self.packets, offset: self.buffer.offset(), reason }
    }
}

#[cfg(test)]
mod tests;
