//! Multipath TCP's option (RFC 8684, and RFC 6824 before it), in tcpdump's words.

use super::{
    bytes::Bytes,
    line::Line,
    transport::{ACK, SYN},
};

/// The subtypes in their order.
const SUBTYPES: [&str; 8] =
    ["capable", "join", "dss", "add-addr", "rem-addr", "prio", "fail", "fast-close"];

/// Appends what the option says, whose bytes behind kind and length are `data`. `None` when it
/// contradicts itself; what was right before that is there.
pub(super) fn push(line: &mut Line<'_, '_>, data: &[u8], flags: u8) -> Option<()> {
    let subtype = data.first()? >> 4;
    // A cut behind this option bears its name, in tcpdump's lines as well.
    line.header = "mptcp";
    // Kind and length count as well.
    let len = data.len().checked_add(2)?;
    line.field(" ", u64::try_from(len).ok()?);
    line.str(" ");
    line.str(SUBTYPES.get(usize::from(subtype)).unwrap_or(&"unknown"));
    let bytes = Bytes::new(data, 0);
    match subtype {
        0 => push_capable(line, &bytes, len, flags),
        1 => push_join(line, &bytes, len, flags),
        2 => push_dss(line, data, flags),
        3 => push_add_address(line, &bytes, len),
        4 => {
            let [_, ids @ ..] = data else { return None };
            if ids.is_empty() {
                return None;
            }
            line.str(" id");
            ids.iter().for_each(|id| line.field(" ", *id));
            Some(())
        }
        5 => {
            let (&first, id) = data.split_first()?;
            let id = match id {
                [] => None,
                [id] => Some(*id),
                _ => return None,
            };
            line.str(if first & 0x01 != 0 { " backup" } else { " non-backup" });
            if let Some(id) = id {
                line.field(" id ", id);
            }
            Some(())
        }
        6 if len == 12 => {
            line.field(" seq ", u64::from_be_bytes(bytes.array(2).ok()?));
            Some(())
        }
        7 if len == 12 => {
            line.str(" key 0x");
            line.hex(u64::from_be_bytes(bytes.array(2).ok()?), 1);
            Some(())
        }
        6 | 7 => None,
        _ => Some(()),
    }
}

fn push_capable(line: &mut Line<'_, '_>, bytes: &Bytes<'_>, len: usize, flags: u8) -> Option<()> {
    let fits = (matches!(len, 4 | 12) && flags & SYN != 0)
        || (matches!(len, 20 | 22) && flags & (SYN | ACK) == ACK);
    if !fits {
        return None;
    }
    match bytes.u8(0).ok()? & 0x0f {
        version @ (0 | 1) => line.field(" v", version),
        version => {
            line.field(" Unknown Version (", version);
            line.str(")");
            return Some(());
        }
    }
    if bytes.u8(1).ok()? & 0x80 != 0 {
        line.str(" csum");
    }
    if len == 12 || len >= 20 {
        line.str(" {0x");
        line.hex(u64::from_be_bytes(bytes.array(2).ok()?), 1);
        if len >= 20 {
            line.str(",0x");
            line.hex(u64::from_be_bytes(bytes.array(10).ok()?), 1);
        }
        line.str("}");
    }
    Some(())
}

fn push_join(line: &mut Line<'_, '_>, bytes: &Bytes<'_>, len: usize, flags: u8) -> Option<()> {
    let fits = (len == 12 && flags & SYN != 0)
        || (len == 16 && flags & SYN != 0 && flags & ACK != 0)
        || (len == 24 && flags & ACK != 0);
    if !fits {
        return None;
    }
    if len == 24 {
        line.str(" hmac 0x");
        line.hex_bytes(&bytes.array::<20>(2).ok()?);
        return Some(());
    }
    if bytes.u8(0).ok()? & 0x01 != 0 {
        line.str(" backup");
    }
    line.field(" id ", bytes.u8(1).ok()?);
    let nonce = if len == 12 {
        line.str(" token 0x");
        line.hex(bytes.u32(2).ok()?, 1);
        bytes.u32(6).ok()?
    } else {
        line.str(" hmac 0x");
        line.hex(u64::from_be_bytes(bytes.array(2).ok()?), 1);
        bytes.u32(10).ok()?
    };
    line.str(" nonce 0x");
    line.hex(nonce, 1);
    Some(())
}

/// Acknowledgment and mapping of the stream that all subflows carry (RFC 8684, 3.3).
fn push_dss(line: &mut Line<'_, '_>, data: &[u8], flags: u8) -> Option<()> {
    let (&[_, says], mut rest) = data.split_first_chunk::<2>()?;
    if flags & SYN != 0 {
        return None;
    }
    if says & 0x10 != 0 {
        line.str(" fin");
    }
    if says & 0x01 != 0 {
        line.str(" ack ");
        line.int(take_number(&mut rest, says & 0x02 != 0)?);
    }
    if says & 0x04 != 0 {
        line.str(" seq ");
        line.int(take_number(&mut rest, says & 0x08 != 0)?);
        let subflow_seq = take_number(&mut rest, false)?;
        line.field(" subseq ", subflow_seq);
        let (&len, behind) = rest.split_first_chunk()?;
        line.field(" len ", u16::from_be_bytes(len));
        rest = behind;
        if let Some((&checksum, behind)) = rest.split_first_chunk() {
            line.str(" csum 0x");
            line.hex(u16::from_be_bytes(checksum), 1);
            rest = behind;
        }
    }
    rest.is_empty().then_some(())
}

/// A number of 8 or 4 bytes.
fn take_number(rest: &mut &[u8], is_long: bool) -> Option<u64> {
    if is_long {
        let (&number, behind) = rest.split_first_chunk()?;
        *rest = behind;
        Some(u64::from_be_bytes(number))
    } else {
        let (&number, behind) = rest.split_first_chunk()?;
        *rest = behind;
        Some(u64::from(u32::from_be_bytes(number)))
    }
}

fn push_add_address(line: &mut Line<'_, '_>, bytes: &Bytes<'_>, len: usize) -> Option<()> {
    let is_v6 = match len {
        8 | 10 | 16 | 18 => false,
        20 | 22 | 28 | 30 => true,
        _ => return None,
    };
    line.str(match bytes.u8(0).ok()? & 0x0f {
        0 => " v1",
        1 => " v1-echo",
        4 => " v0-ip4",
        6 => " v0-ip6",
        _ => " [bad version/echo]",
    });
    line.field(" id ", bytes.u8(1).ok()?);
    line.str(" ");
    let mut at = if is_v6 {
        line.ipv6(bytes.array(2).ok()?);
        18
    } else {
        line.ipv4(bytes.array(2).ok()?);
        6
    };
    if matches!(len, 10 | 18 | 22 | 30) {
        line.field(":", bytes.u16(at).ok()?);
        at = at.checked_add(2)?;
    }
    if matches!(len, 16 | 18 | 28 | 30) {
        line.str(" hmac 0x");
        line.hex(u64::from_be_bytes(bytes.array(at).ok()?), 1);
    }
    Some(())
}
