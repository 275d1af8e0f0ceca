//! The older format, with nanoseconds (draft-ietf-opsawg-pcap): one header, then packets of one
//! link type, each behind 16 bytes of its own.

use super::{MAX_CAPTURED, Packet, link_number};
use crate::capture::LinkType;

/// Says that times are in ns.
const MAGIC: u32 = 0xa1b2_3c4d;
const VERSION: [u16; 2] = [2, 4];

/// How long the file's header is, in bytes.
pub const HEADER_LEN: usize = 24;
const PACKET_HEADER_LEN: usize = 16;

const NS_PER_S: u64 = 1_000_000_000;

/// Appends the file's header, [`HEADER_LEN`] bytes.
pub fn push_header(buffer: &mut Vec<u8>, link: LinkType) {
    let [major, minor] = VERSION;
    buffer.extend_from_slice(&MAGIC.to_le_bytes());
    buffer.extend_from_slice(&major.to_le_bytes());
    buffer.extend_from_slice(&minor.to_le_bytes());
    // Two fields that nobody uses: the zone (times are UTC) and the clock's accuracy.
    buffer.extend_from_slice(&[0; 8]);
    buffer.extend_from_slice(&(MAX_CAPTURED as u32).to_le_bytes());
    buffer.extend_from_slice(&u32::from(link_number(link)).to_le_bytes());
}

/// Appends a packet that passed `unix_ns` after the Unix epoch. The format's seconds end in 2106.
pub fn push_packet(buffer: &mut Vec<u8>, packet: &Packet<'_>, unix_ns: u64) {
    let [s0, s1, s2, s3] = u32::try_from(unix_ns / NS_PER_S).unwrap_or(u32::MAX).to_le_bytes();
    let [n0, n1, n2, n3] = ((unix_ns % NS_PER_S) as u32).to_le_bytes();
    let [c0, c1, c2, c3] = packet.captured_len().to_le_bytes();
    let [w0, w1, w2, w3] = packet.wire_len().to_le_bytes();
    buffer.extend_from_slice(&[s0, s1, s2, s3, n0, n1, n2, n3, c0, c1, c2, c3, w0, w1, w2, w3]);
    packet.push_bytes(buffer);
}

/// The length of the packet that `bytes` begin with, header and all; `None` when it is not whole.
#[must_use]
pub fn first_packet_len(bytes: &[u8]) -> Option<usize> {
    let &[_, _, _, _, _, _, _, _, c0, c1, c2, c3, ..] = bytes.first_chunk::<PACKET_HEADER_LEN>()?;
    let captured = usize::try_from(u32::from_le_bytes([c0, c1, c2, c3])).ok()?;
    let len = captured.checked_add(PACKET_HEADER_LEN)?;
    (len <= bytes.len()).then_some(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Frame, HookDirection};

    #[test]
    fn a_file_is_what_the_draft_says() {
        let mut file = Vec::new();
        push_header(&mut file, LinkType::LinuxSll2);
        assert_eq!(file.len(), HEADER_LEN);
        let frame = Frame {
            time_ns: 0,
            ifindex: 1,
            direction: HookDirection::Egress,
            link: LinkType::LinuxSll2,
            vlan: None,
            wire_len: 0x0102,
            bytes: &[5, 6, 7],
        };
        push_packet(&mut file, &Packet::as_captured(&frame), 1_583_695_386_258_761_123);
        let expect = [
            0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 20, 1, 0,
            0, //
            0x1a, 0x46, 0x65, 0x5e, 0xa3, 0x61, 0x6c, 0x0f, 3, 0, 0, 0, 2, 1, 0, 0, 5, 6, 7,
        ];
        assert_eq!(file, expect);
        assert_eq!(first_packet_len(&file[HEADER_LEN..]), Some(19));
        for cut in HEADER_LEN..file.len() {
            assert_eq!(first_packet_len(&file[HEADER_LEN..cut]), None);
        }
    }

    #[test]
    fn time_ends_and_does_not_begin_anew() {
        let frame = Frame {
            time_ns: 0,
            ifindex: 1,
            direction: HookDirection::Unknown,
            link: LinkType::RawIp,
            vlan: None,
            wire_len: 0,
            bytes: &[],
        };
        let mut file = Vec::new();
        push_packet(&mut file, &Packet::as_captured(&frame), u64::MAX);
        assert_eq!(file[..4], [0xff; 4]);
    }
}
