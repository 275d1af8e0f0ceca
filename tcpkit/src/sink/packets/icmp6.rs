//! The lines of ICMPv6 messages (RFC 4443), with neighbour discovery (RFC 4861) and multicast
//! listeners (RFC 2710, RFC 3810).

use super::{
    bytes::{Bytes, Cut},
    ip::{TCP, UDP},
    line::Line,
};

/// Where the packet that a message is about begins in it, and its addresses.
const ABOUT: u32 = 8;
const ABOUT_SOURCE: usize = 16;
const ABOUT_DESTINATION: usize = 32;

/// A message about listeners of the first version, in bytes.
const LISTENER_LEN: u32 = 24;
/// A query of the second version, in bytes.
const QUERY_2_LEN: u32 = 28;

fn name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        1 => "destination unreachable",
        2 => "packet too big",
        3 => "time exceeded in-transit",
        4 => "parameter problem",
        128 => "echo request",
        129 => "echo reply",
        130 => "multicast listener query",
        131 => "multicast listener report",
        132 => "multicast listener done",
        133 => "router solicitation",
        134 => "router advertisement",
        135 => "neighbor solicitation",
        136 => "neighbor advertisement",
        137 => "redirect",
        138 => "router renumbering",
        139 => "who-are-you request",
        140 => "who-are-you reply",
        141 => "inverse neighbor solicitation",
        142 => "inverse neighbor advertisement",
        143 => "multicast listener report v2",
        144 => "ha discovery request",
        145 => "ha discovery reply",
        146 => "mobile router solicitation",
        147 => "mobile router advertisement",
        155 => "RPL",
        200 => "mtrace response",
        201 => "mtrace message",
        _ => return None,
    })
}

/// An ICMPv6 message: `ICMP6, router solicitation, length 16`.
pub(super) fn print(line: &mut Line<'_, '_>, bytes: Bytes<'_>) -> Result<(), Cut> {
    line.header = "icmp6";
    if bytes.wire_len() == 0 {
        line.str("ICMP6, length 0");
        line.invalid();
        return Ok(());
    }
    let kind = bytes.u8(0)?;
    line.str("ICMP6, ");
    match name(kind) {
        Some(name) => line.str(name),
        None => {
            line.field("unknown icmp6 type (", kind);
            line.str(")");
        }
    }
    let code = bytes.u8(1)?;
    match kind {
        1 => return push_unreachable(line, bytes, code),
        2 => line.field(", mtu ", bytes.u32(4)?),
        3 => match code {
            0 => {
                let destination = bytes.array(ABOUT_DESTINATION)?;
                line.str(" for ");
                line.ipv6(destination);
            }
            1 => line.str(" (reassembly)"),
            _ => {
                line.field(", unknown code (", code);
                line.str(")");
            }
        },
        4 => {
            bytes.array::<16>(ABOUT_DESTINATION)?;
            match code {
                0 => line.field(", erroneous - octet ", bytes.u32(4)?),
                1 => line.field(", next header - octet ", bytes.u32(4)?),
                2 => line.field(", option - octet ", bytes.u32(4)?),
                3 => line.field(", incomplete header chain - octet ", bytes.u32(4)?),
                _ => line.field(", code-#", code),
            }
        }
        128 | 129 => {
            let (id, seq) = (bytes.u16(4)?, bytes.u16(6)?);
            line.field(", id ", id);
            line.field(", seq ", seq);
        }
        130 if bytes.wire_len() == LISTENER_LEN => push_listener(line, bytes),
        130 if bytes.wire_len() >= QUERY_2_LEN => push_query_2(line, bytes)?,
        130 => {
            line.field(" unknown-version (len ", bytes.wire_len());
            line.str(") ");
        }
        131 | 132 => push_listener(line, bytes),
        135 | 136 => {
            let target = bytes.array(8)?;
            line.str(if kind == 135 { ", who has " } else { ", tgt is " });
            line.ipv6(target);
        }
        137 => {
            let destination = bytes.array(24)?;
            line.str(", ");
            line.ipv6(destination);
            line.str(" to ");
            line.ipv6(bytes.array(8)?);
        }
        143 => {
            line.field(", ", bytes.u16(6)?);
            line.str(" group record(s)");
        }
        144 | 146 => {
            let id = bytes.u16(4)?;
            line.str(", id 0x");
            line.hex(id, 4);
        }
        _ => {}
    }
    line.field(", length ", bytes.wire_len());
    Ok(())
}

fn push_unreachable(line: &mut Line<'_, '_>, bytes: Bytes<'_>, code: u8) -> Result<(), Cut> {
    line.str(match code {
        0 => ", unreachable route",
        1 => ",  unreachable prohibited",
        2 => ", beyond scope",
        3 => ", unreachable address",
        4 => ", unreachable port",
        _ => {
            line.field(", unknown unreach code (", code);
            line.str(")");
            return Ok(());
        }
    });
    if code == 4 {
        let Some((protocol, port)) = find_port(bytes.skip(ABOUT)) else {
            line.cut();
            return Ok(());
        };
        line.str(", ");
        line.ipv6(bytes.array(ABOUT_DESTINATION)?);
        line.str(if protocol == TCP { " tcp port " } else { " udp port " });
        line.int(port);
    } else {
        let destination = bytes.array(ABOUT_DESTINATION)?;
        line.str(" ");
        line.ipv6(destination);
        if code == 2 {
            line.str(", source address ");
            line.ipv6(bytes.array(ABOUT_SOURCE)?);
        }
    }
    line.field(", length ", bytes.wire_len());
    Ok(())
}

/// The transport and the destination port of an IPv6 packet, behind its extension headers.
fn find_port(packet: Bytes<'_>) -> Option<(u8, u16)> {
    let mut next = packet.u8(6).ok()?;
    let mut rest = packet.skip(40);
    loop {
        let len = match next {
            TCP | UDP => return Some((next, rest.u16(2).ok()?)),
            0 | 43 | 60 => u32::from(rest.u8(1).ok()?).saturating_add(1).saturating_mul(8),
            44 if rest.u16(2).ok()? & 0xfff8 == 0 => 8,
            51 => u32::from(rest.u8(1).ok()?).saturating_add(2).saturating_mul(4),
            _ => return None,
        };
        next = rest.u8(0).ok()?;
        rest = rest.skip(len);
    }
}

fn push_listener(line: &mut Line<'_, '_>, bytes: Bytes<'_>) {
    if let (Ok(delay), Ok(group)) = (bytes.u16(4), bytes.array(8)) {
        line.field("max resp delay: ", delay);
        line.str(" addr: ");
        line.ipv6(group);
    }
}

/// A query of the second version, which may name sources (RFC 3810, 5.1).
fn push_query_2(line: &mut Line<'_, '_>, bytes: Bytes<'_>) -> Result<(), Cut> {
    line.str(" v2");
    bytes.u16(4)?;
    let group = bytes.array(8)?;
    line.str(" [gaddr ");
    line.ipv6(group);
    let sources = bytes.u16(26)?;
    let len = u32::from(sources).saturating_mul(16).saturating_add(QUERY_2_LEN);
    if bytes.wire_len() < len {
        line.str(" [invalid number of sources]");
    } else if sources > 0 {
        line.field(", ", sources);
        line.str(" source(s)");
    }
    line.str("]");
    Ok(())
}
