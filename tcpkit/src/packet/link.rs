//! Finds the network header behind whatever a frame's bytes begin with.

use crate::capture::{Frame, LinkType};

/// The EtherType of IPv4.
const IPV4: u16 = 0x0800;
/// The EtherType of IPv6.
const IPV6: u16 = 0x86dd;
/// The EtherTypes of VLAN tags: customer's, provider's, and what was there before the latter.
const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
/// How many tags are looked behind. Networks nest two; more than these are nobody's traffic.
const MAX_TAGS: usize = 4;

/// Destination and source address; the EtherType follows.
const ETHERNET_TYPE: usize = 12;
/// The protocol's place in a cooked header of version 1, which ends with it.
const SLL_TYPE: usize = 14;
/// The length of a cooked header of version 2, which begins with the protocol.
const SLL2_LEN: usize = 20;
/// The length of an address family in front of a packet.
const FAMILY_LEN: usize = 4;

/// Where a frame's network header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// What the header is: an EtherType. Below 0x0600 it is none: 0 where a raw packet's version or
    /// the address family says nothing that is known, else a length (IEEE 802.3) or one of Linux's
    /// own numbers (cooked headers), and an LLC header follows.
    pub ethertype: u16,
    /// Where it begins in the frame's bytes; at most their length.
    pub offset: usize,
}

/// Finds the network header of a frame of any link type, behind VLAN tags among the bytes. `None` when
/// the frame is cut before it is known what follows.
#[must_use]
pub fn network(frame: &Frame<'_>) -> Option<Network> {
    let bytes = frame.bytes;
    match frame.link {
        LinkType::Ethernet => behind_tags(bytes, ETHERNET_TYPE),
        LinkType::RawIp => Some(Network { ethertype: version(*bytes.first()?), offset: 0 }),
        LinkType::Null => {
            let &[a, b, c, d] = bytes.first_chunk::<FAMILY_LEN>()?;
            let big = u32::from_be_bytes([a, b, c, d]);
            // In the order of the host that captured. Families are small: only in the wrong order
            // the upper half is not zero.
            let family = if big > 0xffff { big.swap_bytes() } else { big };
            Some(Network { ethertype: family_type(family), offset: FAMILY_LEN })
        }
        LinkType::Loop => {
            let family = u32::from_be_bytes(*bytes.first_chunk::<FAMILY_LEN>()?);
            Some(Network { ethertype: family_type(family), offset: FAMILY_LEN })
        }
        LinkType::LinuxSll => behind_tags(bytes, SLL_TYPE),
        LinkType::LinuxSll2 => {
            let ethertype = type_at(bytes, 0)?;
            if !TAGS.contains(&ethertype) {
                return (bytes.len() >= SLL2_LEN)
                    .then_some(Network { ethertype, offset: SLL2_LEN });
            }
            // The rest of the tag stands behind the header.
            behind_tags(bytes, SLL2_LEN.checked_add(2)?)
        }
    }
}

/// Walks from the EtherType at `at` over VLAN tags.
fn behind_tags(bytes: &[u8], mut at: usize) -> Option<Network> {
    let mut tags = 0;
    loop {
        let ethertype = type_at(bytes, at)?;
        if tags == MAX_TAGS || !TAGS.contains(&ethertype) {
            return Some(Network { ethertype, offset: at.checked_add(2)? });
        }
        tags = tags.saturating_add(1);
        at = at.checked_add(4)?;
    }
}

fn type_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|&two| u16::from_be_bytes(two))
}

/// By the first byte of an IP packet.
fn version(first: u8) -> u16 {
    match first >> 4 {
        4 => IPV4,
        6 => IPV6,
        _ => 0,
    }
}

/// By the address family. Every system has another number for IPv6: Linux 10, NetBSD and OpenBSD 24,
/// FreeBSD 28, macOS 30.
fn family_type(family: u32) -> u16 {
    match family {
        2 => IPV4,
        10 | 24 | 28 | 30 => IPV6,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::HookDirection;

    fn frame(link: LinkType, bytes: &[u8]) -> Frame<'_> {
        Frame {
            time_ns: 0,
            ifindex: 0,
            direction: HookDirection::Unknown,
            link,
            vlan: None,
            wire_len: u32::try_from(bytes.len()).unwrap(),
            bytes,
        }
    }

    /// The header alone says what follows; one byte less does not.
    fn check(link: LinkType, header: &[u8], ethertype: u16) {
        let offset = if link == LinkType::RawIp { 0 } else { header.len() };
        let expect = Network { ethertype, offset };
        let longer = [header, &[0x45; 3]].concat();
        for bytes in [header, &longer] {
            assert_eq!(network(&frame(link, bytes)), Some(expect), "{link:?} {header:x?}");
        }
        for captured in 0..header.len() {
            assert_eq!(network(&frame(link, &header[..captured])), None, "{link:?} {captured}");
        }
    }

    fn behind(len: usize, rest: &[u8]) -> Vec<u8> {
        [&vec![2; len], rest].concat()
    }

    #[test]
    fn ethernet_may_have_tags() {
        check(LinkType::Ethernet, &behind(12, &[8, 0]), IPV4);
        check(LinkType::Ethernet, &behind(12, &[8, 6]), 0x0806);
        check(LinkType::Ethernet, &behind(12, &[0, 38]), 38);
        check(LinkType::Ethernet, &behind(12, &[0x81, 0, 0, 5, 0x86, 0xdd]), IPV6);
        check(LinkType::Ethernet, &behind(12, &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 8, 0]), IPV4);
        check(LinkType::Ethernet, &behind(12, &[0x91, 0, 0, 5, 0x81, 0, 0, 6, 8, 0]), IPV4);
        let five = [0x81, 0, 0, 1].repeat(5);
        let four = behind(12, &five[..18]);
        check(LinkType::Ethernet, &four, 0x8100);
    }

    #[test]
    fn raw_packets_tell_their_version() {
        check(LinkType::RawIp, &[0x46], IPV4);
        check(LinkType::RawIp, &[0x60], IPV6);
        check(LinkType::RawIp, &[0x50], 0);
    }

    #[test]
    fn families_are_those_of_the_host_that_captured() {
        for (family, ethertype) in
            [(2, IPV4), (10, IPV6), (24, IPV6), (28, IPV6), (30, IPV6), (7, 0), (0, 0)]
        {
            check(LinkType::Null, &u32::to_le_bytes(family), ethertype);
            check(LinkType::Null, &u32::to_be_bytes(family), ethertype);
            check(LinkType::Loop, &u32::to_be_bytes(family), ethertype);
        }
        check(LinkType::Loop, &u32::to_le_bytes(2), 0);
    }

    #[test]
    fn cooked_headers_may_name_a_tag() {
        check(LinkType::LinuxSll, &behind(14, &[8, 0]), IPV4);
        check(LinkType::LinuxSll, &behind(14, &[0x81, 0, 0, 5, 0x86, 0xdd]), IPV6);
        let sll2 = |ethertype: [u8; 2], rest: &[u8]| [&ethertype, &[0; 18][..], rest].concat();
        check(LinkType::LinuxSll2, &sll2([8, 0], &[]), IPV4);
        check(LinkType::LinuxSll2, &sll2([0, 4], &[]), 4);
        check(LinkType::LinuxSll2, &sll2([0x81, 0], &[0, 5, 0x86, 0xdd]), IPV6);
        check(LinkType::LinuxSll2, &sll2([0x88, 0xa8], &[0, 5, 0x81, 0, 0, 6, 8, 0]), IPV4);
    }
}
