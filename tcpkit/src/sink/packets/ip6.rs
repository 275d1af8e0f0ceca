//! The lines of IPv6 packets, with a word for each extension header.

use super::{
    bytes::{Bytes, Cut},
    ip::{Addresses, Enclosing, TCP, UDP, inside},
    line::Line,
};

/// The IPv6 header (RFC 8200, 3), in bytes.
const HEADER_LEN: u32 = 40;
/// A fragment header (RFC 8200, 4.5), in bytes.
const FRAGMENT_LEN: u32 = 8;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;

const PAD1: u8 = 0;
/// The option that says the length of packets beyond 64 KiB (RFC 2675).
const JUMBO: u8 = 0xc2;
/// Its length with type and length.
const JUMBO_LEN: u32 = 6;

/// An IPv6 packet.
pub(super) fn ipv6<'a>(line: &mut Line<'a, '_>, bytes: Bytes<'a>) -> Result<(), Cut> {
    line.header = "ip6";
    let Ok([first, _, _, _, l0, l1, next, _]) = bytes.array::<8>(0) else {
        line.cut();
        return Ok(());
    };
    let (Ok(source), Ok(destination)) = (bytes.array(8), bytes.array(24)) else {
        line.cut();
        return Ok(());
    };
    if bytes.wire_len() < HEADER_LEN {
        line.field("truncated-ip6 ", bytes.wire_len());
        return Ok(());
    }
    if !line.link_header {
        line.str("IP6 ");
    }
    if first >> 4 != 6 {
        line.field("version error: ", first >> 4);
        line.str(" != 6");
        return Ok(());
    }
    let announced = u32::from(u16::from_be_bytes([l0, l1]));
    let total_len = if announced == 0 {
        bytes.wire_len()
    } else {
        let len = announced.saturating_add(HEADER_LEN);
        missing(line, len, bytes.wire_len());
        len
    };
    let enclosing = Enclosing {
        addresses: Addresses::V6(source, destination),
        protocol: next,
        is_fragment: false,
    };
    let packet = Packet { whole: bytes, bytes: bytes.announced(total_len), announced };
    packet.walk(line, next, enclosing)
}

fn missing(line: &mut Line<'_, '_>, announced: u32, wire_len: u32) {
    if let Some(missing @ 1..) = announced.checked_sub(wire_len) {
        line.field("truncated-ip6 - ", missing);
        line.str(" bytes missing!");
    }
}

/// A packet on the way through its extension headers.
struct Packet<'a> {
    /// All there is behind the link header.
    whole: Bytes<'a>,
    /// The packet as its header announces it.
    bytes: Bytes<'a>,
    /// The length behind the IPv6 header as that says it; 0 for none, or beyond 64 KiB.
    announced: u32,
}

/// What comes behind an extension header.
enum Then {
    /// Another header, and where it begins in the packet.
    Header(u8, u32),
    /// Nothing more to say.
    End,
}

impl<'a> Packet<'a> {
    fn walk(
        &self,
        line: &mut Line<'a, '_>,
        first: u8,
        mut enclosing: Enclosing,
    ) -> Result<(), Cut> {
        let (mut next, mut at, mut jumbo) = (first, HEADER_LEN, None);
        let starts_with_hop_by_hop = first == HOP_BY_HOP;
        if !matches!(next, TCP | UDP) {
            enclosing.push(line);
            line.str(": ");
        }
        loop {
            if at > self.bytes.wire_len() {
                line.cut();
                return Ok(());
            }
            let here = self.bytes.skip(at);
            line.payload = here.captured();
            let then = match next {
                HOP_BY_HOP => {
                    if at != HEADER_LEN {
                        line.str(if starts_with_hop_by_hop {
                            "[The Hop-by-Hop Options header was already found]"
                        } else {
                            "[The Hop-by-Hop Options header don't follow the IPv6 header]"
                        });
                        line.invalid();
                        return Ok(());
                    }
                    let (then, found) = self.hop_by_hop(line, here)?;
                    jumbo = found;
                    then
                }
                DESTINATION => match extension_len(line, here, "dstopt", "DSTOPT ")? {
                    Some(len) => Then::Header(here.u8(0)?, at.saturating_add(len)),
                    None => Then::End,
                },
                ROUTING if here.captured().is_empty() => {
                    line.cut();
                    return Ok(());
                }
                ROUTING => match routing(line, here)? {
                    Some(len) => Then::Header(here.u8(0)?, at.saturating_add(len)),
                    None => Then::End,
                },
                FRAGMENT => {
                    enclosing.is_fragment = true;
                    self.fragment(line, here, at)?
                }
                _ => return self.inside(line, next, at, jumbo, &enclosing),
            };
            let Then::Header(following, begin) = then else { return Ok(()) };
            line.header = "ip6";
            // As tcpdump: nothing is said of what was not captured at all.
            if self.bytes.captured_len() <= at {
                return Ok(());
            }
            (next, at) = (following, begin);
        }
    }

    fn hop_by_hop(
        &self,
        line: &mut Line<'a, '_>,
        here: Bytes<'a>,
    ) -> Result<(Then, Option<u32>), Cut> {
        let Some(len) = extension_len(line, here, "hbhopt", "HBH ")? else {
            return Ok((Then::End, None));
        };
        let jumbo = match read_jumbo(here.announced(len).skip(2)) {
            Ok(jumbo) => jumbo.filter(|_| self.announced == 0),
            Err(Cut) => {
                line.cut();
                if self.announced != 0 {
                    return Ok((Then::End, None));
                }
                None
            }
        };
        if self.announced == 0 && jumbo.is_none() {
            line.str("[No valid Jumbo Payload Hop-by-Hop option found]");
            line.invalid();
            return Ok((Then::End, None));
        }
        Ok((Then::Header(here.u8(0)?, HEADER_LEN.saturating_add(len)), jumbo))
    }

    fn fragment(&self, line: &mut Line<'a, '_>, here: Bytes<'a>, at: u32) -> Result<Then, Cut> {
        line.header = "frag6";
        let offset = here.u16(2)? & 0xfff8;
        let len = u64::from(self.announced)
            .wrapping_add(u64::from(HEADER_LEN))
            .wrapping_sub(u64::from(at))
            .wrapping_sub(u64::from(FRAGMENT_LEN));
        line.field("frag (", offset);
        line.field("|", len);
        line.str(")");
        line.payload = here.skip(FRAGMENT_LEN).captured();
        if offset != 0 {
            return Ok(Then::End);
        }
        line.str(" ");
        if here.captured_len() <= FRAGMENT_LEN {
            return Ok(Then::End);
        }
        Ok(Then::Header(here.u8(0)?, at.saturating_add(FRAGMENT_LEN)))
    }

    fn inside(
        &self,
        line: &mut Line<'a, '_>,
        protocol: u8,
        at: u32,
        jumbo: Option<u32>,
        enclosing: &Enclosing,
    ) -> Result<(), Cut> {
        let packet = match (jumbo, self.announced) {
            (Some(len), _) => {
                let len = len.saturating_add(HEADER_LEN);
                missing(line, len, self.whole.wire_len());
                self.whole.announced(len)
            }
            (None, 0) if at > HEADER_LEN => {
                line.cut();
                return Ok(());
            }
            // Not yet segmented and beyond 64 KiB (BIG TCP): the frame's own length counts.
            (None, 0) if self.whole.wire_len() > 0xffff && matches!(protocol, TCP | UDP) => {
                self.whole
            }
            (None, 0) => self.whole.announced(HEADER_LEN),
            (None, _) => self.bytes,
        };
        inside(line, protocol, packet.skip(at), enclosing)
    }
}

/// The length of an extension header whose second byte says it in units of 8 bytes without the
/// first; `None` when it was not all captured.
fn extension_len(
    line: &mut Line<'_, '_>,
    here: Bytes<'_>,
    header: &'static str,
    word: &str,
) -> Result<Option<u32>, Cut> {
    line.header = header;
    let len = u32::from(here.u8(1)?).saturating_add(1).saturating_mul(8);
    if here.captured_len() < len {
        line.cut();
        return Ok(None);
    }
    line.str(word);
    Ok(Some(len))
}

/// The length that a jumbo option says, if there is one that may be meant.
fn read_jumbo(options: Bytes<'_>) -> Result<Option<u32>, Cut> {
    let mut jumbo = None;
    let mut rest = options;
    while let Some(&kind) = rest.captured().first() {
        let len = match kind {
            PAD1 => 1,
            _ => u32::from(rest.u8(1)?).saturating_add(2),
        };
        if len > rest.captured_len() {
            return Err(Cut);
        }
        if kind == JUMBO {
            if len != JUMBO_LEN {
                return Err(Cut);
            }
            let payload_len = rest.u32(2)?;
            jumbo = jumbo.or((payload_len > 0xffff).then_some(payload_len));
        }
        rest = rest.skip(len);
    }
    Ok(jumbo)
}

/// A routing header (RFC 8200, 4.4; RFC 6275, 6.4; RFC 8754, 2). Returns its length, or `None` when
/// its type is unknown.
fn routing(line: &mut Line<'_, '_>, here: Bytes<'_>) -> Result<Option<u32>, Cut> {
    line.header = "rt6";
    line.str("RT6");
    let units = here.u8(1)?;
    line.field(" (len=", units);
    let kind = here.u8(2)?;
    line.field(", type=", kind);
    if kind == 0 {
        line.str(" [Deprecated]");
    }
    line.field(", segleft=", here.u8(3)?);
    match kind {
        0 | 2 => {
            let reserved = here.u32(4)?;
            if reserved != 0 {
                line.str(", rsv=0x");
                line.hex(reserved, 1);
            }
        }
        4 => {
            line.field(", last-entry=", here.u8(4)?);
            let flags = here.u8(5)?;
            if flags != 0 {
                line.str(", flags=0x");
                line.hex(flags, 1);
            }
            let tag = here.u16(6)?;
            line.str(", tag=");
            line.hex(tag, 1);
        }
        _ => {
            line.str(" (unknown type)");
            line.invalid();
            return Ok(None);
        }
    }
    if units % 2 == 1 {
        line.field(" (invalid length ", units);
        line.str(")");
        line.invalid();
        return Ok(None);
    }
    let mut segments = here.skip(8);
    for position in 0..units / 2 {
        let segment = segments.array(0)?;
        line.field(", [", position);
        line.str("]");
        line.ipv6(segment);
        segments = segments.skip(16);
    }
    line.str(") ");
    Ok(Some(u32::from(units).saturating_add(1).saturating_mul(8)))
}
