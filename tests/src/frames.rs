//! Frames made by hand, header by header.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

/// The EtherType of IPv4.
pub const IPV4: u16 = 0x0800;
/// The EtherType of IPv6.
pub const IPV6: u16 = 0x86dd;
/// The EtherType of a VLAN tag.
pub const VLAN: u16 = 0x8100;
/// The EtherType of a provider's VLAN tag.
pub const QINQ: u16 = 0x88a8;
/// How many bytes a VLAN tag is.
pub const VLAN_TAG_LEN: usize = 4;
/// The IP protocol of TCP.
pub const TCP: u8 = 6;
/// The IP protocol of UDP.
pub const UDP: u8 = 17;

/// An Ethernet frame to everybody.
#[must_use]
pub fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 1]);
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame
}

/// What stands behind the EtherType of a tag: the tag's number, the next EtherType, its payload.
#[must_use]
pub fn vlan(id: u16, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&id.to_be_bytes(), &ethertype.to_be_bytes(), payload].concat()
}

/// What is unusual in an IPv4 header.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ipv4Extra<'a> {
    /// Options; a multiple of four bytes.
    pub options: &'a [u8],
    /// Flags and offset of a fragment.
    pub fragment: u16,
    /// Stands in the header instead of the true length.
    pub total_len: Option<u16>,
}

/// An IPv4 packet from 10.9.0.1 to 10.9.0.2.
#[must_use]
pub fn ipv4(protocol: u8, extra: Ipv4Extra<'_>, payload: &[u8]) -> Vec<u8> {
    let header_len = 20 + extra.options.len();
    let total_len = extra.total_len.unwrap_or((header_len + payload.len()) as u16);
    let mut packet = vec![0x40 | (header_len / 4) as u8, 0];
    packet.extend(total_len.to_be_bytes());
    packet.extend([0, 7]);
    packet.extend(extra.fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2]);
    packet.extend(extra.options);
    let checksum = checksum(&packet);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    packet.extend(payload);
    packet
}

/// An IPv6 packet from fd09::1 to fd09::2.
#[must_use]
pub fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([next, 64]);
    for last in [1, 2] {
        packet.extend([0xfd, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    packet.extend(payload);
    packet
}

/// An IPv6 extension header of `8 * units` bytes (hop-by-hop, routing, destination options).
#[must_use]
pub fn extension(next: u8, units: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 8 * usize::from(units)];
    header[0] = next;
    header[1] = units - 1;
    header.extend(payload);
    header
}

/// An IPv6 authentication header of `4 * words` bytes.
#[must_use]
pub fn authentication(next: u8, words: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 4 * usize::from(words)];
    header[0] = next;
    header[1] = words - 2;
    header.extend(payload);
    header
}

/// An IPv6 fragment header; `offset` is in units of 8 bytes.
#[must_use]
pub fn fragment(next: u8, offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let mut header = vec![next, 0];
    header.extend(((offset << 3) | u16::from(more)).to_be_bytes());
    header.extend([0, 0, 0, 9]);
    header.extend(payload);
    header
}

/// A TCP segment, with options (a multiple of four bytes).
#[must_use]
pub fn tcp(source: u16, destination: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut segment = source.to_be_bytes().to_vec();
    segment.extend(destination.to_be_bytes());
    segment.extend([0, 0, 0, 1, 0, 0, 0, 2, (((20 + options.len()) / 4) << 4) as u8, 0x18]);
    segment.extend([0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(options);
    segment.extend(payload);
    segment
}

/// A UDP datagram without a checksum.
#[must_use]
pub fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = source.to_be_bytes().to_vec();
    datagram.extend(destination.to_be_bytes());
    datagram.extend((8 + payload.len() as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}

fn checksum(header: &[u8]) -> u16 {
    let sum: u32 =
        header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}
