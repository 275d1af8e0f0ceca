//! Frames of any kind of device in one form: the header that Linux puts in the place of their own
//! (`LINKTYPE_LINUX_SLL2`).
//!
//! Its 20 bytes are, in network order: protocol (2), zeros (2), interface index (4), kind of device
//! (`ARPHRD_*`, 2), kind of packet (1), length of the sender's address (1), the sender's address (8).
//! A VLAN tag is the protocol, and its rest stands in front of the payload.

use super::packet::{Inserted, Packet, ip_ethertype, ip_packet};
use crate::capture::{Frame, HookDirection, LinkType};

/// Ethernet.
const ARPHRD_ETHER: u16 = 1;
/// A loopback; its frames are Ethernet's, with addresses of zeros.
const ARPHRD_LOOPBACK: u16 = 772;
/// No link header at all.
const ARPHRD_NONE: u16 = 0xfffe;

/// Kinds of packets (`PACKET_*`, linux/if_packet.h).
const TO_HOST: u8 = 0;
const TO_ALL: u8 = 1;
const TO_GROUP: u8 = 2;
const OUTGOING: u8 = 4;

/// In the place of an EtherType: frames with a length instead (linux/if_ether.h). What follows is
/// Novell's IPX, or an LLC header.
const ETH_P_802_3: u16 = 1;
const ETH_P_802_2: u16 = 4;
/// An EtherType is at least this, and a length less.
const MIN_ETHERTYPE: u16 = 0x0600;

const SLL2_LEN: u32 = 20;
const SLL_LEN: u32 = 16;
const ETHERNET_LEN: u32 = 14;
const REST_OF_TAG_LEN: u32 = 4;

/// What the header says beside the protocol.
struct Sender {
    hardware: u16,
    kind: u8,
    address: [u8; 8],
    address_len: u8,
}

/// The frame with this header in front; `None` when its own is cut off. Not for frames that have it
/// already.
pub(super) fn cook<'a>(frame: &Frame<'a>) -> Option<Packet<'a>> {
    match frame.link {
        LinkType::Ethernet => cook_ethernet(frame),
        LinkType::LinuxSll => cook_sll(frame),
        LinkType::RawIp | LinkType::Null | LinkType::Loop => {
            let (payload, stripped) = ip_packet(frame)?;
            let kind = if frame.direction == HookDirection::Egress { OUTGOING } else { TO_HOST };
            let sender = Sender { hardware: ARPHRD_NONE, kind, address: [0; 8], address_len: 0 };
            // 0 says that the protocol is not known.
            let header = header(ip_ethertype(payload).unwrap_or(0), frame.ifindex, &sender);
            Some(Packet::replaced(header, payload, frame.wire_len, stripped, SLL2_LEN))
        }
        LinkType::LinuxSll2 => None,
    }
}

fn cook_ethernet<'a>(frame: &Frame<'a>) -> Option<Packet<'a>> {
    let (destination, rest) = frame.bytes.split_first_chunk::<6>()?;
    let (source, rest) = rest.split_first_chunk::<6>()?;
    let (ethertype, payload) = rest.split_first_chunk::<2>()?;
    let &[s0, s1, s2, s3, s4, s5] = source;
    let is_loopback = *destination == [0; 6] && *source == [0; 6];
    let sender = Sender {
        hardware: if is_loopback { ARPHRD_LOOPBACK } else { ARPHRD_ETHER },
        kind: if frame.direction == HookDirection::Egress {
            OUTGOING
        } else {
            kind_of(*destination)
        },
        address: [s0, s1, s2, s3, s4, s5, 0, 0],
        address_len: 6,
    };
    let (header, header_len) = match frame.vlan {
        None => {
            let protocol = protocol_of(u16::from_be_bytes(*ethertype), payload);
            (header(protocol, frame.ifindex, &sender), SLL2_LEN)
        }
        Some(tag) => {
            let header = header(tag.ethertype, frame.ifindex, &sender)
                .push(tag.tci.to_be_bytes())
                .push(*ethertype);
            (header, SLL2_LEN + REST_OF_TAG_LEN)
        }
    };
    Some(Packet::replaced(header, payload, frame.wire_len, ETHERNET_LEN, header_len))
}

/// The older form says the same, but for the interface.
fn cook_sll<'a>(frame: &Frame<'a>) -> Option<Packet<'a>> {
    let (old, payload) = frame.bytes.split_first_chunk::<16>()?;
    let &[_, kind, h0, h1, _, address_len, a0, a1, a2, a3, a4, a5, a6, a7, p0, p1] = old;
    let sender = Sender {
        hardware: u16::from_be_bytes([h0, h1]),
        kind,
        address: [a0, a1, a2, a3, a4, a5, a6, a7],
        address_len,
    };
    let header = header(u16::from_be_bytes([p0, p1]), frame.ifindex, &sender);
    Some(Packet::replaced(header, payload, frame.wire_len, SLL_LEN, SLL2_LEN))
}

fn header(protocol: u16, ifindex: u32, sender: &Sender) -> Inserted {
    Inserted::EMPTY
        .push(protocol.to_be_bytes())
        .push([0; 2])
        .push(ifindex.to_be_bytes())
        .push(sender.hardware.to_be_bytes())
        .push([sender.kind, sender.address_len])
        .push(sender.address)
}

fn kind_of(destination: [u8; 6]) -> u8 {
    let [first, ..] = destination;
    if destination == [0xff; 6] {
        TO_ALL
    } else if first & 1 == 1 {
        TO_GROUP
    } else {
        TO_HOST
    }
}

/// As `eth_type_trans` of the kernel has it.
fn protocol_of(ethertype: u16, payload: &[u8]) -> u16 {
    if ethertype >= MIN_ETHERTYPE {
        ethertype
    } else if payload.starts_with(&[0xff, 0xff]) {
        ETH_P_802_3
    } else {
        ETH_P_802_2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::VlanTag;

    fn frame(link: LinkType, bytes: &[u8]) -> Frame<'_> {
        Frame {
            time_ns: 0,
            ifindex: 0x0102,
            direction: HookDirection::Ingress,
            link,
            vlan: None,
            wire_len: 100,
            bytes,
        }
    }

    #[track_caller]
    fn check(frame: &Frame<'_>, expect: &[u8], wire_len: u32) {
        let packet = Packet::with_link(frame, LinkType::LinuxSll2).unwrap();
        let mut bytes = Vec::new();
        packet.push_bytes(&mut bytes);
        assert_eq!(bytes, expect);
        assert_eq!(packet.wire_len(), wire_len);
    }

    const UNICAST: [u8; 16] = [2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 7];

    #[test]
    fn ethernet_keeps_protocol_and_sender() {
        let expect = [8, 0, 0, 0, 0, 0, 1, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x45, 7];
        let mut plain = frame(LinkType::Ethernet, &UNICAST);
        check(&plain, &expect, 106);
        plain.direction = HookDirection::Egress;
        let mut outgoing = expect;
        outgoing[10] = 4;
        check(&plain, &outgoing, 106);
        plain.direction = HookDirection::Unknown;
        for (first, rest, kind) in [(2, 0, 0), (3, 0, 2), (0xff, 0xff, 1)] {
            let mut bytes = UNICAST;
            bytes[..6].fill(rest);
            bytes[0] = first;
            let mut expect = expect;
            expect[10] = kind;
            check(&Frame { bytes: &bytes, ..plain }, &expect, 106);
        }
    }

    #[test]
    fn a_tag_is_the_protocol() {
        let mut tagged = frame(LinkType::Ethernet, &UNICAST);
        tagged.vlan = Some(VlanTag { ethertype: 0x8100, tci: 0x6005 });
        let expect =
            [0x81, 0, 0, 0, 0, 0, 1, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x60, 5, 8, 0, 0x45, 7];
        check(&tagged, &expect, 110);
    }

    #[test]
    fn lengths_are_no_protocols_and_zeros_are_a_loopback() {
        for (behind, protocol) in [([0x42, 0x42], 4), ([0xff, 0xff], 1)] {
            let bytes = [&[0; 12][..], &[0, 38], &behind].concat();
            let mut expect = vec![0, protocol, 0, 0, 0, 0, 1, 2, 3, 4, 0, 6];
            expect.extend([0; 8]);
            expect.extend(behind);
            check(&frame(LinkType::Ethernet, &bytes), &expect, 106);
        }
    }

    #[test]
    fn ip_packets_and_the_older_form_are_cooked() {
        let expect = [0x86, 0xdd, 0, 0, 0, 0, 1, 2, 0xff, 0xfe, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x60];
        check(&frame(LinkType::RawIp, &[0x60]), &expect, 120);
        check(&frame(LinkType::Null, &[30, 0, 0, 0, 0x60]), &expect, 116);
        let sll = [0, 4, 3, 4, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 8, 6, 9];
        let expect = [8, 6, 0, 0, 0, 0, 1, 2, 3, 4, 4, 6, 1, 2, 3, 4, 5, 6, 0, 0, 9];
        check(&frame(LinkType::LinuxSll, &sll), &expect, 104);
        check(&frame(LinkType::LinuxSll2, &sll), &sll, 100);
    }

    #[test]
    fn what_is_cut_inside_its_link_header_is_not_cooked() {
        let is_cooked = |frame: Frame<'_>| Packet::with_link(&frame, LinkType::LinuxSll2).is_some();
        assert!(!is_cooked(frame(LinkType::Ethernet, &UNICAST[..13])));
        assert!(is_cooked(frame(LinkType::Ethernet, &UNICAST[..14])));
        assert!(!is_cooked(frame(LinkType::LinuxSll, &[0; 15])));
        assert!(!is_cooked(frame(LinkType::Loop, &[0; 3])));
        assert!(is_cooked(frame(LinkType::RawIp, &[])));
    }
}
