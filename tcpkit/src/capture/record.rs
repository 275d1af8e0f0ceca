//! From a record of the ring to a frame.

use tcpkit_common::{
    DIRECTION_EGRESS, DIRECTION_INGRESS, LINK_ETHERNET, LINK_RAW_IP, RECORD_VERSION, RecordHeader,
};

use super::{Frame, HookDirection, LinkType, VlanTag};

/// Reads a record; `None` when it contradicts itself.
pub(super) fn parse(record: &[u8]) -> Option<Frame<'_>> {
    let (header, rest) = record.split_first_chunk::<{ size_of::<RecordHeader>() }>()?;
    let (ts_ns, header) = header.split_first_chunk::<8>()?;
    let (ifindex, header) = header.split_first_chunk::<4>()?;
    let (wire_len, header) = header.split_first_chunk::<4>()?;
    let (cap_len, header) = header.split_first_chunk::<4>()?;
    let (version, header) = header.split_first_chunk::<2>()?;
    let &[direction, link, t0, t1, p0, p1, ..] = header else { return None };
    let wire_len = u32::from_ne_bytes(*wire_len);
    let cap_len = u32::from_ne_bytes(*cap_len);
    if u16::from_ne_bytes(*version) != RECORD_VERSION || cap_len > wire_len {
        return None;
    }
    let ethertype = u16::from_ne_bytes([p0, p1]);
    Some(Frame {
        time_ns: u64::from_ne_bytes(*ts_ns),
        ifindex: u32::from_ne_bytes(*ifindex),
        direction: match direction {
            DIRECTION_INGRESS => HookDirection::Ingress,
            DIRECTION_EGRESS => HookDirection::Egress,
            _ => return None,
        },
        link: match link {
            LINK_ETHERNET => LinkType::Ethernet,
            LINK_RAW_IP => LinkType::RawIp,
            _ => return None,
        },
        vlan: (ethertype != 0).then(|| VlanTag { ethertype, tci: u16::from_ne_bytes([t0, t1]) }),
        wire_len,
        // The record is of one of a few sizes, most of them larger than needed.
        bytes: rest.get(..cap_len as usize)?,
    })
}
