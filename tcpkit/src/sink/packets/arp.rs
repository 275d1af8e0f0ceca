//! The lines of address resolution (RFC 826).

use super::{
    bytes::{Bytes, Cut},
    ethertype,
    line::Line,
};

/// Up to the addresses, in bytes.
const FIXED_LEN: u32 = 8;
const IPV4: u16 = 0x0800;
/// Trailers (RFC 893), which used this number for IPv4 as well.
const TRAIL: u16 = 0x1000;

/// A request, a reply or one of their relatives:
/// `ARP, Request who-has 10.9.0.2 tell 10.9.0.1, length 28`.
pub(super) fn print(line: &mut Line<'_, '_>, bytes: Bytes<'_>) -> Result<(), Cut> {
    line.header = "arp";
    let [h0, h1, p0, p1, hardware_len, protocol_len, o0, o1] = bytes.array(0)?;
    let (hardware, protocol) = (u16::from_be_bytes([h0, h1]), u16::from_be_bytes([p0, p1]));
    let mut rest = bytes.skip(FIXED_LEN);
    let mut take = |len: u8| {
        let address = rest.captured().get(..usize::from(len)).ok_or(Cut);
        rest = rest.skip(u32::from(len));
        address
    };
    let sender = (take(hardware_len)?, take(protocol_len)?);
    let target = (take(hardware_len)?, take(protocol_len)?);
    if !line.link_header {
        line.str("ARP, ");
    }
    let (&[s0, s1, s2, s3], &[t0, t1, t2, t3], IPV4 | TRAIL, 1..) =
        (sender.1, target.1, protocol, hardware_len)
    else {
        push_hardware(line, hardware);
        line.field(" (len ", hardware_len);
        line.str("), ");
        match ethertype::name(protocol) {
            Some(name) => line.str(name),
            None => {
                line.str("Unknown Protocol (0x");
                line.hex(protocol, 4);
                line.str(")");
            }
        }
        line.field(" (len ", protocol_len);
        line.field("), length ", bytes.wire_len());
        return Ok(());
    };
    let (sender_ip, target_ip) = ([s0, s1, s2, s3], [t0, t1, t2, t3]);
    match u16::from_be_bytes([o0, o1]) {
        1 => {
            line.str("Request who-has ");
            line.ipv4(target_ip);
            if target.0.iter().any(|byte| *byte != 0) {
                line.str(" (");
                line.link_address(target.0);
                line.str(")");
            }
            line.str(" tell ");
            line.ipv4(sender_ip);
        }
        2 => {
            line.str("Reply ");
            line.ipv4(sender_ip);
            line.str(" is-at ");
            line.link_address(sender.0);
        }
        operation @ (3 | 8) => {
            line.str(if operation == 3 { "Reverse" } else { "Inverse" });
            line.str(" Request who-is ");
            line.link_address(target.0);
            line.str(" tell ");
            line.link_address(sender.0);
        }
        4 => {
            line.str("Reverse Reply ");
            line.link_address(target.0);
            line.str(" at ");
            line.ipv4(target_ip);
        }
        9 => {
            line.str("Inverse Reply ");
            line.link_address(sender.0);
            line.str(" at ");
            line.ipv4(sender_ip);
        }
        10 => line.str("NACK Reply "),
        operation => {
            line.field("Unknown (", operation);
            line.str(") ");
        }
    }
    line.field(", length ", bytes.wire_len());
    Ok(())
}

fn push_hardware(line: &mut Line<'_, '_>, hardware: u16) {
    line.str(match hardware {
        1 => "Ethernet",
        6 => "TokenRing",
        7 => "ArcNet",
        15 => "FrameRelay",
        19 => "ATM",
        23 => "Strip",
        24 => "IEEE 1394",
        32 => "InfiniBand",
        _ => {
            line.field("Unknown Hardware (", hardware);
            line.str(")");
            return;
        }
    });
}
