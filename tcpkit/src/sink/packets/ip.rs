//! The lines of IPv4 packets, and what they have in common with those of IPv6.

use super::{
    bytes::{Bytes, Cut},
    icmp, icmp6, ip6,
    line::Line,
    transport,
};

/// The IPv4 header without options (RFC 791, 3.1), in bytes.
const HEADER_LEN: u32 = 20;

const ICMP: u8 = 1;
const IPV4: u8 = 4;
/// The number of TCP.
pub(super) const TCP: u8 = 6;
/// The number of UDP.
pub(super) const UDP: u8 = 17;
const IPV6: u8 = 41;
const ESP: u8 = 50;
const AH: u8 = 51;
const ICMP6: u8 = 58;
const NO_NEXT_HEADER: u8 = 59;

/// Packets within packets are read this deep.
const MAX_DEPTH: u8 = 8;

/// Who sends to whom.
#[derive(Clone, Copy, Debug)]
pub(super) enum Addresses {
    /// IPv4 addresses: source and destination.
    V4([u8; 4], [u8; 4]),
    /// IPv6 addresses: source and destination.
    V6([u8; 16], [u8; 16]),
}

/// The IP packet around a header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Enclosing {
    /// Who sends to whom.
    pub(super) addresses: Addresses,
    /// What the IP header itself says is in the packet: there may be other headers between.
    pub(super) protocol: u8,
    /// Whether this is the first of several fragments.
    pub(super) is_fragment: bool,
}

impl Enclosing {
    /// Appends `10.9.0.1 > 10.9.0.2`.
    pub(super) fn push(&self, line: &mut Line<'_, '_>) {
        match self.addresses {
            Addresses::V4(source, destination) => {
                line.ipv4(source);
                line.str(" > ");
                line.ipv4(destination);
            }
            Addresses::V6(source, destination) => {
                line.ipv6(source);
                line.str(" > ");
                line.ipv6(destination);
            }
        }
    }

    /// Appends `10.9.0.1.40000 > 10.9.0.2.6379: `; the ports alone where the addresses stand before
    /// other headers.
    pub(super) fn push_ports(&self, line: &mut Line<'_, '_>, transport: u8, from: u16, to: u16) {
        if self.protocol != transport {
            line.int(from);
            line.field(" > ", to);
        } else {
            match self.addresses {
                Addresses::V4(source, destination) => {
                    line.ipv4(source);
                    line.field(".", from);
                    line.str(" > ");
                    line.ipv4(destination);
                }
                Addresses::V6(source, destination) => {
                    line.ipv6(source);
                    line.field(".", from);
                    line.str(" > ");
                    line.ipv6(destination);
                }
            }
            line.field(".", to);
        }
        line.str(": ");
    }
}

/// An IPv4 packet.
pub(super) fn ipv4<'a>(line: &mut Line<'a, '_>, bytes: Bytes<'a>) -> Result<(), Cut> {
    line.header = "ip";
    let first = bytes.u8(0)?;
    match first >> 4 {
        4 => {}
        6 => {
            line.str("IP6, wrong link-layer encapsulation");
            line.invalid();
            return Ok(());
        }
        version => {
            line.field("IP", version);
            line.invalid();
            return Ok(());
        }
    }
    if !line.link_header {
        line.str("IP ");
    }
    let Ok(header) = bytes.array::<20>(0) else {
        line.cut();
        return Ok(());
    };
    let [_, _, l0, l1, _, _, f0, f1, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = header;
    if bytes.wire_len() < HEADER_LEN {
        line.field("truncated-ip ", bytes.wire_len());
        return Ok(());
    }
    let header_len = u32::from(first & 0xf).saturating_mul(4);
    if header_len < HEADER_LEN {
        line.field("bad-hlen ", header_len);
        return Ok(());
    }
    let total_len = match u32::from(u16::from_be_bytes([l0, l1])) {
        // Not yet segmented, or beyond 64 KiB (BIG TCP).
        0 => bytes.wire_len(),
        len => len,
    };
    if let Some(missing @ 1..) = total_len.checked_sub(bytes.wire_len()) {
        line.field("truncated-ip - ", missing);
        line.str(" bytes missing! ");
    }
    if total_len < header_len {
        line.field("bad-len ", total_len);
        return Ok(());
    }
    let packet = bytes.announced(total_len);
    let enclosing = Enclosing {
        addresses: Addresses::V4([s0, s1, s2, s3], [d0, d1, d2, d3]),
        protocol,
        is_fragment: f0 & 0x20 != 0,
    };
    line.payload = packet.skip(header_len).captured();
    if u16::from_be_bytes([f0 & 0x1f, f1]) != 0 {
        enclosing.push(line);
        line.field(": ip-proto-", protocol);
        return Ok(());
    }
    if !matches!(protocol, TCP | UDP) {
        enclosing.push(line);
        line.str(": ");
    }
    if packet.captured_len() < header_len {
        line.field(" [remaining caplen(", packet.captured_len());
        line.field(") < header length(", header_len);
        line.str(")]");
        return Err(Cut);
    }
    inside(line, protocol, packet.skip(header_len), &enclosing)
}

/// What an IP packet carries.
pub(super) fn inside<'a>(
    line: &mut Line<'a, '_>,
    mut protocol: u8,
    mut bytes: Bytes<'a>,
    enclosing: &Enclosing,
) -> Result<(), Cut> {
    line.payload = bytes.captured();
    while protocol == AH {
        line.header = "ah";
        let Ok(next) = bytes.u8(0) else {
            line.cut();
            return Ok(());
        };
        let len = authentication(line, bytes)?;
        bytes = bytes.skip(len);
        line.payload = bytes.captured();
        protocol = next;
    }
    let is_v6 = matches!(enclosing.addresses, Addresses::V6(..));
    match protocol {
        TCP => transport::tcp(line, bytes, enclosing),
        UDP => transport::udp(line, bytes, enclosing),
        ICMP if !is_v6 => icmp::print(line, bytes),
        ICMP6 if is_v6 => icmp6::print(line, bytes),
        ICMP | ICMP6 => {
            line.str(if is_v6 { "[ICMP requires IPv4]" } else { "[ICMPv6 requires IPv6]" });
            line.invalid();
            Ok(())
        }
        IPV4 | IPV6 if line.depth < MAX_DEPTH => {
            line.depth = line.depth.saturating_add(1);
            if protocol == IPV4 { ipv4(line, bytes) } else { ip6::ipv6(line, bytes) }
        }
        ESP => {
            line.header = "esp";
            // Without a byte of what is encrypted it counts as cut.
            let (spi, seq, _) = (bytes.u32(0)?, bytes.u32(4)?, bytes.u8(8)?);
            line.str("ESP(spi=0x");
            line.hex(spi, 8);
            line.str(",seq=0x");
            line.hex(seq, 1);
            line.field("), length ", bytes.wire_len());
            Ok(())
        }
        NO_NEXT_HEADER => {
            line.str("no next header");
            Ok(())
        }
        _ => {
            line.field(" ip-proto-", protocol);
            line.field(" ", bytes.wire_len());
            Ok(())
        }
    }
}

/// An authentication header (RFC 4302, 2). Returns its length in bytes.
fn authentication(line: &mut Line<'_, '_>, bytes: Bytes<'_>) -> Result<u32, Cut> {
    line.str("AH");
    let len = u32::from(bytes.u8(1)?).saturating_add(2).saturating_mul(4);
    line.str("(");
    let reserved = bytes.u16(2)?;
    if reserved != 0 {
        line.str("reserved=0x");
        line.hex(reserved, 1);
        line.str("[MustBeZero],");
    }
    let spi = bytes.u32(4)?;
    line.str("spi=0x");
    line.hex(spi, 8);
    line.str(",");
    let seq = bytes.u32(8)?;
    line.str("seq=0x");
    line.hex(seq, 1);
    line.str(",icv=0x");
    let check = bytes.skip(12);
    let check_len = usize::try_from(len.saturating_sub(12)).map_err(|_| Cut)?;
    let Some(whole) = check.captured().get(..check_len) else {
        line.hex_bytes(check.captured());
        return Err(Cut);
    };
    line.hex_bytes(whole);
    line.str("): ");
    Ok(len)
}
