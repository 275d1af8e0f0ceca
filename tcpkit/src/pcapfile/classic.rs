//! The format pcap: one header, then packets.

use super::{
    MAX_PACKET, Reason,
    order::ByteOrder,
    reader::{Found, Step, link_type},
};
use crate::capture::{HookDirection, LinkType};

/// The file's header.
pub(super) const HEADER: usize = 24;
const PACKET_HEADER: usize = 16;

/// The upper bits of the link type's field say whether frames end with a checksum (libpcap's
/// `LT_LINKTYPE`); lengths inside the frames leave it out.
const LINK_BITS: u32 = 0x03ff_ffff;

/// What a file's first four bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Magic {
    order: ByteOrder,
    nanoseconds: bool,
}

/// Recognises the format.
pub(super) fn magic(bytes: [u8; 4]) -> Option<Magic> {
    let (order, nanoseconds) = match bytes {
        [0xa1, 0xb2, 0xc3, 0xd4] => (ByteOrder::Big, false),
        [0xd4, 0xc3, 0xb2, 0xa1] => (ByteOrder::Little, false),
        [0xa1, 0xb2, 0x3c, 0x4d] => (ByteOrder::Big, true),
        [0x4d, 0x3c, 0xb2, 0xa1] => (ByteOrder::Little, true),
        _ => return None,
    };
    Some(Magic { order, nanoseconds })
}

/// What the header says of the packets.
#[derive(Debug)]
pub(super) struct Pcap {
    order: ByteOrder,
    /// Nanoseconds in the unit of the time behind the second.
    unit_ns: u32,
    link: LinkType,
    /// Before version 2.3 the two lengths were in the other order, in 2.3 in either.
    minor: u16,
}

impl Pcap {
    pub(super) fn new(magic: Magic, header: &[u8; HEADER]) -> Result<Self, Reason> {
        let Magic { order, nanoseconds } = magic;
        let &[_, _, _, _, a0, a1, b0, b1, .., n0, n1, n2, n3] = header;
        let (major, minor) = (order.u16([a0, a1]), order.u16([b0, b1]));
        if major != 2 {
            return Err(Reason::Version { major, minor });
        }
        let number = order.u32([n0, n1, n2, n3]) & LINK_BITS;
        let link = link_type(number).ok_or(Reason::Link { number })?;
        Ok(Self { order, unit_ns: if nanoseconds { 1 } else { 1_000 }, link, minor })
    }

    /// Looks for a packet at the beginning of `data`.
    #[inline]
    pub(super) fn step(&self, data: &[u8]) -> Result<Step, Reason> {
        let Some((header, rest)) = data.split_first_chunk::<PACKET_HEADER>() else {
            return Ok(Step::NeedMore);
        };
        let &[s0, s1, s2, s3, f0, f1, f2, f3, c0, c1, c2, c3, w0, w1, w2, w3] = header;
        let seconds = self.order.u32([s0, s1, s2, s3]);
        let fraction = self.order.u32([f0, f1, f2, f3]);
        let mut captured = self.order.u32([c0, c1, c2, c3]);
        let mut wire_len = self.order.u32([w0, w1, w2, w3]);
        if self.minor < 3 || (self.minor == 3 && captured > wire_len) {
            (captured, wire_len) = (wire_len, captured);
        }
        let len = captured as usize;
        if len > MAX_PACKET {
            return Err(Reason::Packet { claimed: captured });
        }
        if rest.len() < len {
            return Ok(Step::NeedMore);
        }
        let fraction_ns = u64::from(fraction).saturating_mul(self.unit_ns.into());
        let time_ns = u64::from(seconds).saturating_mul(1_000_000_000).saturating_add(fraction_ns);
        Ok(Step::Packet(Found {
            size: PACKET_HEADER.saturating_add(len),
            start: PACKET_HEADER,
            len,
            time_ns,
            interface: 0,
            direction: HookDirection::Unknown,
            link: self.link,
            wire_len: wire_len.max(captured),
        }))
    }
}
