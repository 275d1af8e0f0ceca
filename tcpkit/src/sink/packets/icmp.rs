//! The lines of ICMP messages (RFC 792).

use super::{
    bytes::{Bytes, Cut},
    ip::{TCP, UDP},
    line::Line,
};

/// Where the packet that a message is about begins in it, and its fields in turn.
const ABOUT: usize = 8;
const ABOUT_PROTOCOL: usize = ABOUT + 9;
const ABOUT_DESTINATION: usize = ABOUT + 16;

/// An ICMP message: `ICMP echo request, id 1, seq 2, length 64`.
pub(super) fn print(line: &mut Line<'_, '_>, bytes: Bytes<'_>) -> Result<(), Cut> {
    line.header = "icmp";
    // Of a message that is cut nothing is said but that.
    let start = line.text.len();
    line.str("ICMP ");
    push(line, bytes).inspect_err(|Cut| line.text.truncate(start))?;
    line.field(", length ", bytes.wire_len());
    Ok(())
}

fn push(line: &mut Line<'_, '_>, bytes: Bytes<'_>) -> Result<(), Cut> {
    let (kind, code) = (bytes.u8(0)?, bytes.u8(1)?);
    match kind {
        0 | 8 => {
            line.str(if kind == 8 { "echo request" } else { "echo reply" });
            line.field(", id ", bytes.u16(4)?);
            line.field(", seq ", bytes.u16(6)?);
        }
        3 => push_unreachable(line, bytes, code)?,
        4 => line.str("source quench"),
        5 => {
            let (word, to) = match code {
                0 => ("redirect", " to net "),
                1 => ("redirect", " to host "),
                2 => ("redirect-tos", " to net "),
                3 => ("redirect-tos", " to host "),
                _ => ("redirect-#", " to "),
            };
            line.str(word);
            if code > 3 {
                line.int(code);
            }
            line.str(" ");
            line.ipv4(bytes.array(ABOUT_DESTINATION)?);
            line.str(to);
            line.ipv4(bytes.array(4)?);
        }
        9 => push_advertisement(line, bytes)?,
        10 => line.str("router solicitation"),
        11 => {
            bytes.u32(ABOUT_DESTINATION)?;
            match code {
                0 => line.str("time exceeded in-transit"),
                1 => line.str("ip reassembly time exceeded"),
                _ => line.field("time exceeded-#", code),
            }
        }
        12 if code == 0 => line.field("parameter problem - octet ", bytes.u8(4)?),
        12 => line.field("parameter problem - code ", code),
        13 => {
            line.field("time stamp query id ", bytes.u16(4)?);
            line.field(" seq ", bytes.u16(6)?);
        }
        14 => {
            line.field("time stamp reply id ", bytes.u16(4)?);
            line.field(" seq ", bytes.u16(6)?);
            for (name, at) in [(": org ", 8), (", recv ", 12), (", xmit ", 16)] {
                line.str(name);
                push_time_of_day(line, bytes.u32(at)?);
            }
        }
        15 => line.str("information request"),
        16 => line.str("information reply"),
        17 => line.str("address mask request"),
        18 => {
            line.str("address mask is 0x");
            line.hex(bytes.u32(8)?, 8);
        }
        _ => line.field("type-#", kind),
    }
    Ok(())
}

fn push_unreachable(line: &mut Line<'_, '_>, bytes: Bytes<'_>, code: u8) -> Result<(), Cut> {
    let destination = bytes.array(ABOUT_DESTINATION)?;
    let (before, behind) = match code {
        0 => ("net ", " unreachable"),
        1 => ("host ", " unreachable"),
        2 => ("", " protocol "),
        3 => return push_port_unreachable(line, bytes, destination),
        4 => ("", " unreachable - need to frag"),
        5 => ("", " unreachable - source route failed"),
        6 => ("net ", " unreachable - unknown"),
        7 => ("host ", " unreachable - unknown"),
        8 => ("", " unreachable - source host isolated"),
        9 => ("net ", " unreachable - admin prohibited"),
        10 => ("host ", " unreachable - admin prohibited"),
        11 => ("net ", " unreachable - tos prohibited"),
        12 => ("host ", " unreachable - tos prohibited"),
        13 => ("host ", " unreachable - admin prohibited filter"),
        14 => ("host ", " unreachable - host precedence violation"),
        15 => ("host ", " unreachable - precedence cutoff"),
        _ => ("", " unreachable - #"),
    };
    line.str(before);
    line.ipv4(destination);
    line.str(behind);
    match code {
        2 => {
            line.int(bytes.u8(ABOUT_PROTOCOL)?);
            line.str(" unreachable");
        }
        4 => {
            // Where the way is too narrow for the packet (RFC 1191).
            let mtu = bytes.u16(6)?;
            if mtu != 0 {
                line.field(" (mtu ", mtu);
                line.str(")");
            }
        }
        16.. => line.int(code),
        _ => {}
    }
    Ok(())
}

fn push_port_unreachable(
    line: &mut Line<'_, '_>,
    bytes: Bytes<'_>,
    destination: [u8; 4],
) -> Result<(), Cut> {
    let protocol = bytes.u8(ABOUT_PROTOCOL)?;
    let header_len = usize::from(bytes.u8(ABOUT)? & 0xf).saturating_mul(4);
    let port = bytes.u16(header_len.saturating_add(ABOUT).saturating_add(2))?;
    line.ipv4(destination);
    match protocol {
        TCP => line.str(" tcp"),
        UDP => line.str(" udp"),
        _ => line.field(" protocol ", protocol),
    }
    line.field(" port ", port);
    line.str(" unreachable");
    Ok(())
}

/// A router that offers itself (RFC 1256).
fn push_advertisement(line: &mut Line<'_, '_>, bytes: Bytes<'_>) -> Result<(), Cut> {
    let (count, size, lifetime) = (bytes.u8(4)?, bytes.u8(5)?, u32::from(bytes.u16(6)?));
    line.str("router advertisement lifetime ");
    let (hours, minutes, seconds) = (lifetime / 3600, lifetime / 60 % 60, lifetime % 60);
    match (hours, minutes) {
        (0, 0) => line.int(seconds),
        (0, _) => {
            line.int(minutes);
            line.str(":");
            line.two_digits(seconds);
        }
        _ => {
            line.int(hours);
            line.str(":");
            line.two_digits(minutes);
            line.str(":");
            line.two_digits(seconds);
        }
    }
    line.field(" ", count);
    line.str(":");
    if size != 2 {
        line.field(" [size ", size);
        line.str("]");
        return Ok(());
    }
    let mut routers = bytes.skip(8);
    for _ in 0..count {
        let (router, preference) = (routers.array(0)?, routers.u32(4)?);
        line.str(" {");
        line.ipv4(router);
        line.field(" ", preference);
        line.str("}");
        routers = routers.skip(8);
    }
    Ok(())
}

/// Milliseconds since midnight UTC, as `23:59:59.999`.
fn push_time_of_day(line: &mut Line<'_, '_>, milliseconds: u32) {
    let seconds = milliseconds / 1000;
    line.two_digits(seconds / 3600);
    line.str(":");
    line.two_digits(seconds / 60 % 60);
    line.str(":");
    line.two_digits(seconds % 60);
    line.str(".");
    if milliseconds % 1000 < 100 {
        line.str("0");
    }
    line.two_digits(milliseconds % 1000);
}
