//! The newer format (draft-ietf-opsawg-pcapng): blocks, each of which says what it is and how long.
//!
//! One section a file: its header, a description of each interface, packets, and at the end what the
//! interfaces saw and lost. Times are in ns.

use super::{Packet, link_number};
use crate::capture::{HookDirection, LinkType};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const VERSION: [u16; 2] = [1, 0];
/// The section's length: not known beforehand.
const UNKNOWN_LEN: u64 = u64::MAX;

const END_OF_OPTIONS: u16 = 0;
const SHB_OS: u16 = 3;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const EPB_FLAGS: u16 = 2;
const ISB_IFRECV: u16 = 4;
const ISB_FILTERACCEPT: u16 = 6;
const ISB_OSDROP: u16 = 7;
const ISB_USRDELIV: u16 = 8;

/// Times are in units of 10^-9 s.
const NANOSECONDS: u8 = 9;

const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// Type and length in front of a block's body, and the length again behind it.
const BLOCK_HEADER_LEN: usize = 8;
const BLOCK_TRAILER_LEN: usize = 4;

/// What happened to packets at one interface, in both directions together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Packets that reached the capture.
    pub received: u64,
    /// Of these, those that the filter selected.
    pub accepted: u64,
    /// Of these, those lost for want of room or otherwise.
    pub dropped: u64,
    /// Of these, those handed to the agent.
    pub delivered: u64,
}

/// Appends the beginning of a file, written by a program of the name `program`.
pub fn push_section(buffer: &mut Vec<u8>, program: &str) {
    push_block(buffer, SECTION_HEADER, |buffer| {
        let [major, minor] = VERSION;
        buffer.extend_from_slice(&BYTE_ORDER_MAGIC.to_le_bytes());
        buffer.extend_from_slice(&major.to_le_bytes());
        buffer.extend_from_slice(&minor.to_le_bytes());
        buffer.extend_from_slice(&UNKNOWN_LEN.to_le_bytes());
        push_option(buffer, SHB_OS, b"Linux");
        push_option(buffer, SHB_USERAPPL, program.as_bytes());
        push_option(buffer, END_OF_OPTIONS, &[]);
    });
}

/// Appends the description of an interface whose packets begin with `link`. The first one of a file
/// has number 0, and each further one the next.
pub fn push_interface(buffer: &mut Vec<u8>, link: LinkType, name: Option<&str>) {
    push_block(buffer, INTERFACE_DESCRIPTION, |buffer| {
        buffer.extend_from_slice(&link_number(link).to_le_bytes());
        buffer.extend_from_slice(&[0; 2]);
        // The snaplen: no limit.
        buffer.extend_from_slice(&0_u32.to_le_bytes());
        if let Some(name) = name {
            push_option(buffer, IF_NAME, name.as_bytes());
        }
        push_option(buffer, IF_TSRESOL, &[NANOSECONDS]);
        push_option(buffer, END_OF_OPTIONS, &[]);
    });
}

/// Appends a packet that passed the interface with this number `unix_ns` after the Unix epoch.
pub fn push_packet(
    buffer: &mut Vec<u8>,
    interface: u32,
    direction: HookDirection,
    packet: &Packet<'_>,
    unix_ns: u64,
) {
    push_block(buffer, ENHANCED_PACKET, |buffer| {
        let [i0, i1, i2, i3] = interface.to_le_bytes();
        let [l0, l1, l2, l3, h0, h1, h2, h3] = unix_ns.to_le_bytes();
        let [c0, c1, c2, c3] = packet.captured_len().to_le_bytes();
        let [w0, w1, w2, w3] = packet.wire_len().to_le_bytes();
        // The upper half of the time comes first.
        buffer.extend_from_slice(&[
            i0, i1, i2, i3, h0, h1, h2, h3, l0, l1, l2, l3, c0, c1, c2, c3, w0, w1, w2, w3,
        ]);
        packet.push_bytes(buffer);
        pad(buffer, packet.captured_len() as usize);
        let flags = match direction {
            HookDirection::Ingress => INBOUND,
            HookDirection::Egress => OUTBOUND,
            HookDirection::Unknown => return,
        };
        push_option(buffer, EPB_FLAGS, &flags.to_le_bytes());
        push_option(buffer, END_OF_OPTIONS, &[]);
    });
}

/// Appends what happened at the interface with this number until `unix_ns` after the Unix epoch.
pub fn push_statistics(
    buffer: &mut Vec<u8>,
    interface: u32,
    unix_ns: u64,
    statistics: &Statistics,
) {
    push_block(buffer, INTERFACE_STATISTICS, |buffer| {
        let [l0, l1, l2, l3, h0, h1, h2, h3] = unix_ns.to_le_bytes();
        buffer.extend_from_slice(&interface.to_le_bytes());
        buffer.extend_from_slice(&[h0, h1, h2, h3, l0, l1, l2, l3]);
        push_option(buffer, ISB_IFRECV, &statistics.received.to_le_bytes());
        push_option(buffer, ISB_FILTERACCEPT, &statistics.accepted.to_le_bytes());
        push_option(buffer, ISB_OSDROP, &statistics.dropped.to_le_bytes());
        push_option(buffer, ISB_USRDELIV, &statistics.delivered.to_le_bytes());
        push_option(buffer, END_OF_OPTIONS, &[]);
    });
}

/// The length of the block that `bytes` begin with, and whether it is a packet; `None` when it is not
/// whole.
#[must_use]
pub fn first_block(bytes: &[u8]) -> Option<(usize, bool)> {
    let &[t0, t1, t2, t3, l0, l1, l2, l3] = bytes.first_chunk::<BLOCK_HEADER_LEN>()?;
    let len = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).ok()?;
    let is_packet = u32::from_le_bytes([t0, t1, t2, t3]) == ENHANCED_PACKET;
    // No block is shorter than what is around its body, or a walk over blocks would not end.
    let is_whole = len >= BLOCK_HEADER_LEN + BLOCK_TRAILER_LEN && len <= bytes.len();
    is_whole.then_some((len, is_packet))
}

/// Appends a block whose body, a multiple of 4 bytes, `push_body` appends.
#[inline]
fn push_block(buffer: &mut Vec<u8>, kind: u32, push_body: impl FnOnce(&mut Vec<u8>)) {
    let start = buffer.len();
    buffer.extend_from_slice(&kind.to_le_bytes());
    buffer.extend_from_slice(&[0; 4]);
    push_body(buffer);
    // A block has a packet of bounded length at most.
    let len = ((buffer.len() - start + BLOCK_TRAILER_LEN) as u32).to_le_bytes();
    buffer.extend_from_slice(&len);
    if let Some(place) = buffer.get_mut(start..).and_then(|block| block.get_mut(4..8)) {
        place.copy_from_slice(&len);
    }
}

/// Appends an option. A value that is too long for its length field is left out.
fn push_option(buffer: &mut Vec<u8>, code: u16, value: &[u8]) {
    let Ok(len) = u16::try_from(value.len()) else { return };
    buffer.extend_from_slice(&code.to_le_bytes());
    buffer.extend_from_slice(&len.to_le_bytes());
    buffer.extend_from_slice(value);
    pad(buffer, value.len());
}

/// Appends zeros behind `len` bytes, up to the next multiple of 4.
fn pad(buffer: &mut Vec<u8>, len: usize) {
    let zeros: &[u8] = match len % 4 {
        0 => &[],
        1 => &[0; 3],
        2 => &[0; 2],
        _ => &[0; 1],
    };
    buffer.extend_from_slice(zeros);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Frame;

    #[track_caller]
    fn check(push: impl FnOnce(&mut Vec<u8>), expect: &[u8]) {
        let mut block = b"before".to_vec();
        push(&mut block);
        let block = &block[6..];
        assert_eq!(block, expect);
        assert_eq!(first_block(block).unwrap().0, block.len());
        for cut in 0..block.len() {
            assert_eq!(first_block(&block[..cut]), None);
        }
    }

    #[test]
    fn a_section_says_who_wrote_it() {
        check(
            |buffer| push_section(buffer, "tcpkit 1"),
            &[
                &[0x0a, 0x0d, 0x0d, 0x0a, 56, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0][..],
                &[0xff; 8],
                b"\x03\0\x05\0Linux\0\0\0\x04\0\x08\0tcpkit 1\0\0\0\0",
                &[56, 0, 0, 0],
            ]
            .concat(),
        );
    }

    #[test]
    fn an_interface_may_have_a_name() {
        check(
            |buffer| push_interface(buffer, LinkType::Ethernet, Some("lo")),
            b"\x01\0\0\0\x28\0\0\0\x01\0\0\0\0\0\0\0\x02\0\x02\0lo\0\0\x09\0\x01\0\x09\0\0\0\0\0\0\0\x28\0\0\0",
        );
        check(
            |buffer| push_interface(buffer, LinkType::LinuxSll2, None),
            b"\x01\0\0\0\x20\0\0\0\x14\x01\0\0\0\0\0\0\x09\0\x01\0\x09\0\0\0\0\0\0\0\x20\0\0\0",
        );
    }

    #[test]
    fn a_packet_is_padded_and_has_a_direction() {
        let bytes = [5, 6, 7, 8, 9];
        let frame = |direction| Frame {
            time_ns: 0,
            ifindex: 1,
            direction,
            link: LinkType::RawIp,
            vlan: None,
            wire_len: 0x0102,
            bytes: &bytes,
        };
        let unix_ns = 0x0102_0304_0506_0708;
        let body = b"\x03\0\0\0\x04\x03\x02\x01\x08\x07\x06\x05\x05\0\0\0\x02\x01\0\0\x05\x06\x07\x08\x09\0\0\0";
        for (direction, flags) in [
            (HookDirection::Ingress, &b"\x02\0\x04\0\x01\0\0\0\0\0\0\0"[..]),
            (HookDirection::Egress, b"\x02\0\x04\0\x02\0\0\0\0\0\0\0"),
            (HookDirection::Unknown, b""),
        ] {
            let len = [40 + flags.len() as u8, 0, 0, 0];
            let packet = Packet::as_captured(&frame(direction));
            check(
                |buffer| push_packet(buffer, 3, direction, &packet, unix_ns),
                &[&[6, 0, 0, 0], &len[..], body, flags, &len].concat(),
            );
        }
    }

    #[test]
    fn statistics_come_with_their_time() {
        let statistics = Statistics { received: 9, accepted: 7, dropped: 2, delivered: 5 };
        check(
            |buffer| push_statistics(buffer, 1, 1 << 32, &statistics),
            &[
                &b"\x05\0\0\0\x4c\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0"[..],
                b"\x04\0\x08\0\x09\0\0\0\0\0\0\0",
                b"\x06\0\x08\0\x07\0\0\0\0\0\0\0",
                b"\x07\0\x08\0\x02\0\0\0\0\0\0\0",
                b"\x08\0\x08\0\x05\0\0\0\0\0\0\0",
                b"\0\0\0\0\x4c\0\0\0",
            ]
            .concat(),
        );
    }

    #[test]
    fn a_block_of_no_length_is_none() {
        assert_eq!(first_block(&[6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(first_block(&[6, 0, 0, 0, 12, 0, 0, 0, 12, 0, 0, 0]), Some((12, true)));
    }
}
