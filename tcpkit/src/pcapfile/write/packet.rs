//! A frame as it stands in a file: what is put between its bytes, or in the place of its link header.

use super::{MAX_CAPTURED, cooked};
use crate::capture::{Frame, LinkType};

/// A frame on its way into a file, in up to three pieces, of which two are borrowed from the frame.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    before: &'a [u8],
    inserted: Inserted,
    after: &'a [u8],
    wire_len: u32,
}

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;

/// Both addresses of an Ethernet frame, behind which VLAN tags stand.
const ADDRESSES_LEN: usize = 12;
const ETHERNET_LEN: u32 = 14;
const TAG_LEN: u32 = 4;

impl<'a> Packet<'a> {
    /// The frame as it was on the wire: a tag kept beside the bytes stands in its place.
    #[must_use]
    pub fn as_captured(frame: &Frame<'a>) -> Self {
        match frame.vlan {
            None => Self::new(&[], Inserted::EMPTY, frame.bytes, frame.wire_len),
            Some(tag) => {
                let wire_len = frame.wire_len.saturating_add(TAG_LEN);
                match frame.bytes.split_at_checked(ADDRESSES_LEN) {
                    Some((before, after)) => {
                        let inserted = Inserted::EMPTY
                            .push(tag.ethertype.to_be_bytes())
                            .push(tag.tci.to_be_bytes());
                        Self::new(before, inserted, after, wire_len)
                    }
                    // Cut off before the tag's place.
                    None => Self::new(&[], Inserted::EMPTY, frame.bytes, wire_len),
                }
            }
        }
    }

    /// The frame in a file whose packets all begin with `link`; `None` when it would not be the same
    /// packet there. IP packets are put into Ethernet frames with addresses of zeros, and everything
    /// that is understood goes into [`LinkType::LinuxSll2`].
    #[must_use]
    pub fn with_link(frame: &Frame<'a>, link: LinkType) -> Option<Self> {
        if frame.link == link {
            return Some(Self::as_captured(frame));
        }
        match link {
            LinkType::LinuxSll2 => cooked::cook(frame),
            LinkType::Ethernet => {
                let (payload, stripped) = ip_packet(frame)?;
                let header = Inserted::EMPTY
                    .push([0; ADDRESSES_LEN])
                    .push(ip_ethertype(payload)?.to_be_bytes());
                Some(Self::replaced(header, payload, frame.wire_len, stripped, ETHERNET_LEN))
            }
            _ => None,
        }
    }

    /// A packet whose link header, `stripped` bytes, gave way to another of `header_len` bytes.
    pub(super) fn replaced(
        header: Inserted,
        payload: &'a [u8],
        wire_len: u32,
        stripped: u32,
        header_len: u32,
    ) -> Self {
        let wire_len = wire_len.saturating_sub(stripped).saturating_add(header_len);
        Self::new(&[], header, payload, wire_len)
    }

    fn new(before: &'a [u8], inserted: Inserted, after: &'a [u8], wire_len: u32) -> Self {
        let room = MAX_CAPTURED.saturating_sub(before.len()).saturating_sub(inserted.len);
        let after = after.get(..room).unwrap_or(after);
        let mut packet = Self { before, inserted, after, wire_len };
        // No reader believes a packet that is shorter than what was captured of it.
        packet.wire_len = wire_len.max(packet.captured_len());
        packet
    }

    /// How many bytes of it the file keeps; at most [`MAX_CAPTURED`].
    #[must_use]
    pub fn captured_len(&self) -> u32 {
        let len = self.before.len() + self.inserted.len + self.after.len();
        u32::try_from(len).unwrap_or(u32::MAX)
    }

    /// Its length on the wire, in bytes; at least [`Packet::captured_len`].
    #[must_use]
    pub fn wire_len(&self) -> u32 {
        self.wire_len
    }

    /// Appends its bytes.
    pub fn push_bytes(&self, buffer: &mut Vec<u8>) {
        if self.inserted.len > 0 {
            buffer.extend_from_slice(self.before);
            buffer.extend_from_slice(self.inserted.bytes());
        }
        buffer.extend_from_slice(self.after);
    }
}

/// The IP packet in a frame without addresses, and the length of what stands in front of it.
pub(super) fn ip_packet<'a>(frame: &Frame<'a>) -> Option<(&'a [u8], u32)> {
    match frame.link {
        LinkType::RawIp => Some((frame.bytes, 0)),
        // An address family, whose number is another on every system.
        LinkType::Null | LinkType::Loop => Some((frame.bytes.get(4..)?, 4)),
        LinkType::Ethernet | LinkType::LinuxSll | LinkType::LinuxSll2 => None,
    }
}

/// What an IP packet's first byte says it is.
pub(super) fn ip_ethertype(packet: &[u8]) -> Option<u16> {
    match packet.first()? >> 4 {
        4 => Some(ETHERTYPE_IPV4),
        6 => Some(ETHERTYPE_IPV6),
        _ => None,
    }
}

/// A few bytes that the frame does not have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inserted {
    bytes: [u8; Self::ROOM],
    len: usize,
}

impl Inserted {
    /// The longest: a cooked header and the rest of a VLAN tag.
    const ROOM: usize = 24;

    pub(super) const EMPTY: Self = Self { bytes: [0; Self::ROOM], len: 0 };

    /// Adds bytes at the end.
    pub(super) fn push<const N: usize>(mut self, more: [u8; N]) -> Self {
        let room = self.bytes.get_mut(self.len..).and_then(|room| room.first_chunk_mut::<N>());
        // Whoever builds one knows that it fits.
        debug_assert!(room.is_some());
        if let Some(room) = room {
            *room = more;
            self.len += N;
        }
        self
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{HookDirection, VlanTag};

    fn frame(link: LinkType, bytes: &[u8]) -> Frame<'_> {
        Frame {
            time_ns: 0,
            ifindex: 3,
            direction: HookDirection::Ingress,
            link,
            vlan: None,
            wire_len: bytes.len() as u32,
            bytes,
        }
    }

    #[track_caller]
    fn check(packet: Option<Packet<'_>>, expect: Option<(&[u8], u32)>) {
        let found = packet.map(|packet| {
            let mut bytes = Vec::new();
            packet.push_bytes(&mut bytes);
            assert_eq!(bytes.len(), packet.captured_len() as usize);
            (bytes, packet.wire_len())
        });
        assert_eq!(found, expect.map(|(bytes, len)| (bytes.to_vec(), len)));
    }

    const ETHERNET: &[u8] = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 8, 0, 0x45, 0x46];

    #[test]
    fn a_tag_stands_behind_the_addresses() {
        let mut tagged = frame(LinkType::Ethernet, ETHERNET);
        tagged.vlan = Some(VlanTag { ethertype: 0x88a8, tci: 0x2005 });
        tagged.wire_len = 90;
        let expect = [&ETHERNET[..12], &[0x88, 0xa8, 0x20, 5], &ETHERNET[12..]].concat();
        check(Some(Packet::as_captured(&tagged)), Some((&expect, 94)));
        check(Packet::with_link(&tagged, LinkType::Ethernet), Some((&expect, 94)));
        tagged.bytes = &ETHERNET[..12];
        check(Some(Packet::as_captured(&tagged)), Some((&expect[..16], 94)));
        tagged.bytes = &ETHERNET[..11];
        check(Some(Packet::as_captured(&tagged)), Some((&ETHERNET[..11], 94)));
    }

    #[test]
    fn ip_packets_go_into_ethernet_frames_and_nothing_else_does() {
        let to = LinkType::Ethernet;
        let zeros = [0; 12];
        let v4 = [0x45, 1, 2];
        let v6 = [0x60, 1, 2];
        let framed_v4 = [&zeros[..], &[8, 0], &v4].concat();
        let framed_v6 = [&zeros[..], &[0x86, 0xdd], &v6].concat();
        check(Packet::with_link(&frame(LinkType::RawIp, &v4), to), Some((&framed_v4, 17)));
        check(Packet::with_link(&frame(LinkType::RawIp, &v6), to), Some((&framed_v6, 17)));
        check(Packet::with_link(&frame(LinkType::RawIp, &[0x15]), to), None);
        check(Packet::with_link(&frame(LinkType::RawIp, &[]), to), None);
        let null = [2, 0, 0, 0, 0x45, 1, 2];
        for link in [LinkType::Null, LinkType::Loop] {
            check(Packet::with_link(&frame(link, &null), to), Some((&framed_v4, 17)));
            check(Packet::with_link(&frame(link, &null[..3]), to), None);
            check(Packet::with_link(&frame(link, &null), link), Some((&null, 7)));
        }
        check(Packet::with_link(&frame(LinkType::LinuxSll, &[0; 20]), to), None);
        check(Packet::with_link(&frame(LinkType::Ethernet, ETHERNET), LinkType::RawIp), None);
    }

    #[test]
    fn lengths_stay_what_readers_believe() {
        let huge = vec![7; MAX_CAPTURED + 10];
        let mut frame = frame(LinkType::Ethernet, &huge);
        check(Some(Packet::as_captured(&frame)), Some((&huge[10..], frame.wire_len)));
        frame.vlan = Some(VlanTag { ethertype: 0x8100, tci: 7 });
        frame.wire_len = u32::MAX - 1;
        let packet = Packet::as_captured(&frame);
        assert_eq!((packet.captured_len() as usize, packet.wire_len()), (MAX_CAPTURED, u32::MAX));
        // A source that contradicts itself.
        frame.bytes = ETHERNET;
        frame.vlan = None;
        frame.wire_len = 3;
        check(Some(Packet::as_captured(&frame)), Some((ETHERNET, 16)));
    }
}
