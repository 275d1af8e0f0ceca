//! Link headers: what they say with `-e`, and where the packet behind them begins.

use super::{
    arp,
    bytes::{Bytes, Cut},
    ethertype::{self, ARP, IPV4, IPV6, MAX_LENGTH, REVERSE_ARP},
    ip, ip6,
    line::Line,
};
use crate::capture::{Frame, LinkType, VlanTag};

/// An Ethernet header, in bytes.
const ETHERNET_LEN: u32 = 14;
/// A VLAN tag, in bytes.
pub(super) const TAG_LEN: u32 = 4;
const SLL_LEN: u32 = 16;
const SLL2_LEN: u32 = 20;
const FAMILY_LEN: u32 = 4;

/// Appends the line of a frame. Returns how many of its bytes (with a tag that the kernel keeps
/// beside them) are the link header.
pub(super) fn print<'a>(line: &mut Line<'a, '_>, frame: &Frame<'a>) -> Result<u32, Cut> {
    let bytes = Bytes::new(frame.bytes, frame.wire_len);
    match frame.link {
        LinkType::Ethernet => ethernet(line, bytes, frame.vlan),
        LinkType::RawIp => raw_ip(line, bytes),
        LinkType::Null | LinkType::Loop => family(line, bytes),
        LinkType::LinuxSll => cooked(line, bytes),
        LinkType::LinuxSll2 => cooked_2(line, bytes),
    }
}

/// What follows a link header; whether its type is known.
fn network<'a>(line: &mut Line<'a, '_>, kind: u16, bytes: Bytes<'a>) -> Result<bool, Cut> {
    line.payload = bytes.captured();
    match kind {
        IPV4 => ip::ipv4(line, bytes)?,
        IPV6 => ip6::ipv6(line, bytes)?,
        ARP | REVERSE_ARP => arp::print(line, bytes)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn ethernet<'a>(
    line: &mut Line<'a, '_>,
    bytes: Bytes<'a>,
    kept: Option<VlanTag>,
) -> Result<u32, Cut> {
    line.header = "ether";
    let kept_len = if kept.is_some() { TAG_LEN } else { 0 };
    // As on the wire: with the tag that the kernel keeps.
    let wire_len = bytes.wire_len().saturating_add(kept_len);
    let header = bytes.array::<14>(0);
    let Ok([d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, k0, k1]) = header else {
        line.cut();
        return Ok(bytes.captured_len().saturating_add(kept_len));
    };
    let addresses = ([s0, s1, s2, s3, s4, s5], [d0, d1, d2, d3, d4, d5]);
    if line.link_header {
        push_addresses(line, addresses);
    }
    let mut kind = u16::from_be_bytes([k0, k1]);
    let mut header_len = ETHERNET_LEN;
    let mut length_said = false;
    if let Some(tag) = kept {
        push_tag(line, tag, wire_len, &mut length_said);
    }
    while ethertype::is_tag(kind) {
        let Ok([t0, t1, k0, k1]) = bytes.skip(header_len).array(0) else {
            line.header = "vlan";
            line.cut();
            return Ok(bytes.captured_len().saturating_add(kept_len));
        };
        let tag = VlanTag { ethertype: kind, tci: u16::from_be_bytes([t0, t1]) };
        push_tag(line, tag, wire_len, &mut length_said);
        kind = u16::from_be_bytes([k0, k1]);
        header_len = header_len.saturating_add(TAG_LEN);
    }
    let rest = bytes.skip(header_len);
    let link_len = header_len.saturating_add(kept_len);
    if kind <= MAX_LENGTH {
        line.payload = rest.captured();
        if !line.link_header {
            push_addresses(line, addresses);
        }
        line.str("802.3");
        if !length_said {
            line.field(", length ", rest.wire_len().min(u32::from(kind)));
        }
        line.str(": LLC");
        return Ok(link_len);
    }
    if line.link_header {
        push_kind(line, kind);
        if length_said {
            line.str(", ");
        } else {
            push_length(line, wire_len);
        }
    }
    if !network(line, kind, rest)? && !line.link_header {
        push_addresses(line, addresses);
        push_kind(line, kind);
        push_length(line, wire_len);
    }
    Ok(link_len)
}

fn push_addresses(line: &mut Line<'_, '_>, (source, destination): ([u8; 6], [u8; 6])) {
    line.link_address(&source);
    line.str(" > ");
    line.link_address(&destination);
    line.str(", ");
}

fn push_length(line: &mut Line<'_, '_>, wire_len: u32) {
    line.field(", length ", wire_len);
    line.str(": ");
}

fn push_kind(line: &mut Line<'_, '_>, kind: u16) {
    let name = ethertype::name(kind);
    if line.quiet {
        match name {
            Some(name) => line.str(name),
            None => {
                line.str("Unknown Ethertype (0x");
                line.hex(kind, 4);
                line.str(")");
            }
        }
    } else {
        line.str("ethertype ");
        line.str(name.unwrap_or("Unknown"));
        line.str(" (0x");
        line.hex(kind, 4);
        line.str(")");
    }
}

fn push_tag(line: &mut Line<'_, '_>, tag: VlanTag, wire_len: u32, length_said: &mut bool) {
    if !line.link_header {
        return;
    }
    push_kind(line, tag.ethertype);
    if *length_said {
        line.str(", ");
    } else {
        push_length(line, wire_len);
        *length_said = true;
    }
    push_tci(line, tag.tci);
}

fn push_tci(line: &mut Line<'_, '_>, tci: u16) {
    line.field("vlan ", tci & 0xfff);
    line.field(", p ", tci >> 13);
    if tci & 0x1000 != 0 {
        line.str(", DEI");
    }
    line.str(", ");
}

fn raw_ip<'a>(line: &mut Line<'a, '_>, bytes: Bytes<'a>) -> Result<u32, Cut> {
    line.header = "raw";
    if line.link_header {
        line.str("ip: ");
    }
    match bytes.u8(0)? >> 4 {
        4 => ip::ipv4(line, bytes)?,
        6 => ip6::ipv6(line, bytes)?,
        version => line.field("unknown ip ", version),
    }
    Ok(0)
}

/// The address family of BSD systems in 4 bytes.
fn family<'a>(line: &mut Line<'a, '_>, bytes: Bytes<'a>) -> Result<u32, Cut> {
    line.header = "null";
    let family = u32::from_le_bytes(bytes.array(0)?);
    // The order depends on the machine that captured; families are small numbers.
    let family = if family > 0xffff { family.swap_bytes() } else { family };
    if line.link_header {
        push_family(line, family, bytes.wire_len());
    }
    let rest = bytes.skip(FAMILY_LEN);
    line.payload = rest.captured();
    match family {
        2 => ip::ipv4(line, rest)?,
        // NetBSD and OpenBSD, FreeBSD, macOS.
        24 | 28 | 30 => ip6::ipv6(line, rest)?,
        _ if !line.link_header => push_family(line, family, bytes.wire_len()),
        _ => {}
    }
    Ok(FAMILY_LEN)
}

fn push_family(line: &mut Line<'_, '_>, family: u32, wire_len: u32) {
    let name = match family {
        2 => Some("IPv4"),
        6 => Some("NS"),
        7 => Some("ISO"),
        16 => Some("Appletalk"),
        23 => Some("IPX"),
        24 | 28 | 30 => Some("IPv6"),
        _ => None,
    };
    match (name, line.quiet) {
        (Some(name), true) => line.str(name),
        (None, true) => line.field("Unknown AF ", family),
        (name, false) => {
            line.str("AF ");
            line.str(name.unwrap_or("Unknown"));
            line.field(" (", family);
            line.str(")");
        }
    }
    push_length(line, wire_len);
}

/// Linux's header for packets of several kinds of devices, first version.
fn cooked<'a>(line: &mut Line<'a, '_>, bytes: Bytes<'a>) -> Result<u32, Cut> {
    line.header = "sll";
    let [k0, k1, _, _, l0, l1, address @ .., _, _, p0, p1] = bytes.array::<16>(0)?;
    let protocol = u16::from_be_bytes([p0, p1]);
    let has_address = [l0, l1] == [0, 6];
    let push = |line: &mut Line<'_, '_>| {
        let word = packet_type(u16::from_be_bytes([k0, k1])).unwrap_or("?");
        // Three columns, to the right.
        (word.len()..3).for_each(|_| line.str(" "));
        line.str(word);
        line.str(" ");
        push_cooked(line, has_address.then_some(address), protocol, bytes.wire_len());
    };
    behind_cooked(line, bytes, SLL_LEN, protocol, push)
}

/// The second version, which knows the interface; that is said in a column of its own.
fn cooked_2<'a>(line: &mut Line<'a, '_>, bytes: Bytes<'a>) -> Result<u32, Cut> {
    line.header = "sll2";
    let [p0, p1, _, _, i0, i1, i2, i3, _, _, _, address_len, address @ .., _, _] =
        bytes.array::<20>(0)?;
    let protocol = u16::from_be_bytes([p0, p1]);
    let push = |line: &mut Line<'_, '_>| {
        line.field("ifindex ", u32::from_be_bytes([i0, i1, i2, i3]));
        line.str(" ");
        push_cooked(line, (address_len == 6).then_some(address), protocol, bytes.wire_len());
    };
    behind_cooked(line, bytes, SLL2_LEN, protocol, push)
}

/// Which way a packet went, by the header of either version: its number is Linux's `PACKET_*`
/// (`if_packet.h`).
pub(super) fn packet_type(kind: u16) -> Option<&'static str> {
    Some(match kind {
        0 => "In",
        1 => "B",
        2 => "M",
        3 => "P",
        4 => "Out",
        _ => return None,
    })
}

fn push_cooked(line: &mut Line<'_, '_>, address: Option<[u8; 6]>, protocol: u16, wire_len: u32) {
    if let Some(address) = address {
        line.link_address(&address);
        line.str(" ");
    }
    if line.quiet {
        return;
    }
    match protocol {
        1 => line.str("802.3"),
        4 => line.str("802.2"),
        _ if protocol <= MAX_LENGTH => {
            line.str("ethertype Unknown (0x");
            line.hex(protocol, 4);
            line.str(")");
        }
        _ => push_kind(line, protocol),
    }
    push_length(line, wire_len);
}

fn behind_cooked<'a>(
    line: &mut Line<'a, '_>,
    bytes: Bytes<'a>,
    mut header_len: u32,
    mut protocol: u16,
    push: impl Fn(&mut Line<'_, '_>),
) -> Result<u32, Cut> {
    if line.link_header {
        push(line);
    }
    while protocol == ethertype::VLAN {
        let Ok([t0, t1, p0, p1]) = bytes.skip(header_len).array(0) else {
            line.header = "vlan";
            line.cut();
            return Ok(bytes.captured_len());
        };
        if line.link_header {
            push_tci(line, u16::from_be_bytes([t0, t1]));
        }
        protocol = u16::from_be_bytes([p0, p1]);
        if !line.quiet {
            line.str("ethertype ");
            line.str(ethertype::name(protocol).unwrap_or("Unknown"));
            line.str(", ");
        }
        header_len = header_len.saturating_add(TAG_LEN);
    }
    if !network(line, protocol, bytes.skip(header_len))? && !line.link_header {
        push(line);
    }
    Ok(header_len)
}
