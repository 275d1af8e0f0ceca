//! The lines of TCP segments and UDP datagrams.

use super::{
    bytes::{Bytes, Cut},
    ip::{Enclosing, TCP, UDP},
    line::Line,
    options,
};

/// The shortest TCP header (RFC 9293, 3.1), in bytes.
const TCP_LEN: u32 = 20;
/// The UDP header (RFC 768), in bytes.
const UDP_LEN: u32 = 8;

const FIN: u8 = 0x01;
/// Synchronise sequence numbers.
pub(super) const SYN: u8 = 0x02;
const RST: u8 = 0x04;
/// The acknowledgment counts.
pub(super) const ACK: u8 = 0x10;
const URG: u8 = 0x20;

/// The control bits in the order they are printed in. The accurate-ECN bit (RFC 9768) lies in the
/// byte before; tcpdump 4.99 does not show it either.
const FLAGS: [(u8, u8); 8] = [
    (FIN, b'F'),
    (SYN, b'S'),
    (RST, b'R'),
    (0x08, b'P'),
    (ACK, b'.'),
    (URG, b'U'),
    (0x40, b'E'),
    (0x80, b'W'),
];

/// A TCP segment: `10.9.0.1.40000 > 10.9.0.2.6379: Flags [.], ack 7, win 512, length 0`.
pub(super) fn tcp<'a>(
    line: &mut Line<'a, '_>,
    bytes: Bytes<'a>,
    enclosing: &Enclosing,
) -> Result<(), Cut> {
    line.header = "tcp";
    let Ok([s0, s1, d0, d1]) = bytes.array(0) else {
        enclosing.push(line);
        line.str(":");
        line.cut();
        return Ok(());
    };
    enclosing.push_ports(line, TCP, u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
    let Ok([q0, q1, q2, q3, a0, a1, a2, a3, offset, flags, w0, w1, _, _, u0, u1]) = bytes.array(4)
    else {
        line.cut();
        return Ok(());
    };
    let header_len = u32::from(offset >> 4).saturating_mul(4);
    // As tcpdump counts where the two contradict each other: modulo 2^32.
    let length = bytes.wire_len().wrapping_sub(header_len);
    if header_len < TCP_LEN {
        line.field(" tcp ", length);
        line.field(" [bad hdr length ", header_len);
        line.field(" - too short, < ", TCP_LEN);
        line.str("]");
        return Ok(());
    }
    if line.quiet {
        line.field("tcp ", length);
    } else {
        line.str("Flags [");
        push_flags(line, flags);
        line.str("]");
    }
    if header_len > bytes.wire_len() {
        line.field(" [bad hdr length ", header_len);
        line.field(" - too long, > ", bytes.wire_len());
        line.str("]");
        return Ok(());
    }
    line.payload = bytes.skip(header_len).captured();
    if line.quiet {
        return Ok(());
    }
    if length > 0 || flags & (SYN | FIN | RST) != 0 {
        let seq = u32::from_be_bytes([q0, q1, q2, q3]);
        line.field(", seq ", seq);
        if length > 0 {
            line.field(":", seq.wrapping_add(length));
        }
    }
    if flags & ACK != 0 {
        line.field(", ack ", u32::from_be_bytes([a0, a1, a2, a3]));
    }
    line.field(", win ", u16::from_be_bytes([w0, w1]));
    if flags & URG != 0 {
        line.field(", urg ", u16::from_be_bytes([u0, u1]));
    }
    if let Some(left @ 1..) = header_len.checked_sub(TCP_LEN)
        && !options::push(line, bytes.skip(TCP_LEN), left, flags)?
    {
        return Ok(());
    }
    line.field(", length ", length);
    if length > 0 && bytes.captured_len() < header_len {
        line.field(" [remaining caplen(", bytes.captured_len());
        line.field(") < header length(", header_len);
        line.str(")]");
        return Err(Cut);
    }
    Ok(())
}

fn push_flags(line: &mut Line<'_, '_>, flags: u8) {
    if flags == 0 {
        line.str("none");
    }
    for (flag, letter) in FLAGS {
        if flags & flag != 0 {
            line.text.push(letter);
        }
    }
}

/// A UDP datagram: `10.9.0.1.53 > 10.9.0.2.53: UDP, length 12`.
pub(super) fn udp<'a>(
    line: &mut Line<'a, '_>,
    bytes: Bytes<'a>,
    enclosing: &Enclosing,
) -> Result<(), Cut> {
    line.header = "udp";
    let Ok([s0, s1, d0, d1]) = bytes.array(0) else {
        if enclosing.protocol == UDP {
            enclosing.push(line);
            line.str(": ");
        }
        line.cut();
        return Ok(());
    };
    enclosing.push_ports(line, UDP, u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
    let Some(carried) = bytes.wire_len().checked_sub(UDP_LEN) else {
        line.field("truncated-udp ", bytes.wire_len());
        return Ok(());
    };
    let Ok(announced) = bytes.u16(4) else {
        line.cut();
        return Ok(());
    };
    let announced = match u32::from(announced) {
        // A jumbogram (RFC 2675, 4).
        0 if bytes.wire_len() > u32::from(u16::MAX) => bytes.wire_len(),
        announced => announced,
    };
    let Some(length) = announced.checked_sub(UDP_LEN) else {
        line.field("truncated-udplength ", announced);
        return Ok(());
    };
    if bytes.captured_len() < UDP_LEN {
        line.cut();
        return Ok(());
    }
    line.payload = bytes.announced(announced).skip(UDP_LEN).captured();
    if length > carried && !enclosing.is_fragment {
        line.field("UDP, bad length ", length);
        line.field(" > ", carried);
    } else {
        line.field("UDP, length ", length);
    }
    Ok(())
}
