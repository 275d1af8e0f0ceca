//! The same bytes in other segments: packets taken apart as a network might have done it.

use tcpkit::{
    capture::Frame,
    packet::{Decoded, decode, network},
};

use super::capture::Packet;

/// Every position up to here is tried in long payloads.
const FIRST: usize = 300;
/// … and so many before the end.
const LAST: usize = 20;
/// … and these around multiples of the segment size of Ethernet with TCP timestamps.
const SEGMENT: usize = 1448;
const AROUND: [isize; 5] = [-2, -1, 0, 1, 2];

/// Where the TCP header and the payload of a frame begin, and where the payload ends.
#[derive(Clone, Copy, Debug)]
struct Place {
    ip: usize,
    tcp: usize,
    payload: usize,
    end: usize,
}

/// How many bytes of payload a frame has that may be split: 0 where it is no TCP segment.
pub(crate) fn payload_len(frame: &Frame<'_>) -> usize {
    place(frame).map_or(0, |place| place.end - place.payload)
}

/// The positions at which a payload of this length is split.
pub(crate) fn positions(len: usize) -> Vec<usize> {
    let multiples = (SEGMENT..len).step_by(SEGMENT);
    let around = multiples.flat_map(|at| AROUND.map(|by| at.saturating_add_signed(by)));
    let mut all: Vec<usize> =
        (1..len.min(FIRST)).chain(around).chain(len.saturating_sub(LAST)..len).collect();
    all.retain(|&at| at > 0 && at < len);
    all.sort_unstable();
    all.dedup();
    all
}

/// A frame as several, whose payloads end at these positions and at its end, all with its time.
pub(crate) fn split(frame: &Frame<'_>, at: &[usize]) -> Vec<Packet> {
    let owned = Packet {
        time_ns: frame.time_ns,
        ifindex: frame.ifindex,
        direction: frame.direction,
        link: frame.link,
        vlan: frame.vlan,
        wire_len: frame.wire_len,
        bytes: frame.bytes.to_vec(),
    };
    let Some(place) = place(frame).filter(|_| !at.is_empty()) else { return vec![owned] };
    let payload = &frame.bytes[place.payload..place.end];
    let ends: Vec<usize> = at.iter().copied().chain([payload.len()]).collect();
    let mut begin = 0;
    let mut packets = Vec::new();
    for end in ends {
        let mut bytes = frame.bytes[..place.payload].to_vec();
        bytes.extend_from_slice(&payload[begin..end]);
        set_lengths(&mut bytes, place);
        let number = &mut bytes[place.tcp + 4..place.tcp + 8];
        let sequence = u32::from_be_bytes([number[0], number[1], number[2], number[3]]);
        let sequence = sequence.wrapping_add(u32::try_from(begin).expect("within a packet"));
        number.copy_from_slice(&sequence.to_be_bytes());
        if end < payload.len() {
            // The sender has more to say.
            bytes[place.tcp + 13] &= !1;
        }
        let wire_len = u32::try_from(bytes.len()).expect("within a packet");
        packets.push(Packet { wire_len, bytes, ..owned.clone() });
        begin = end;
    }
    packets
}

/// Writes into the IP header how long the packet is; 0 where that is more than it can say (BIG TCP).
fn set_lengths(bytes: &mut [u8], place: Place) {
    let is_v4 = bytes[place.ip] >> 4 == 4;
    let (field, from) =
        if is_v4 { (place.ip + 2, place.ip) } else { (place.ip + 4, place.ip + 40) };
    let len = u16::try_from(bytes.len() - from).unwrap_or(0);
    bytes[field..field + 2].copy_from_slice(&len.to_be_bytes());
}

/// Only for frames that were captured whole and have no IPv6 extension headers.
fn place(frame: &Frame<'_>) -> Option<Place> {
    let Decoded::Tcp(segment) = decode(frame) else { return None };
    if segment.payload.bytes.is_empty() {
        return None;
    }
    assert_eq!(segment.payload.bytes.len(), segment.payload.wire_len as usize, "captured whole");
    let ip = network(frame)?.offset;
    let header = &frame.bytes[ip..];
    let tcp = match header[0] >> 4 {
        4 => ip + usize::from(header[0] & 15) * 4,
        _ => {
            assert_eq!(header[6], 6, "TCP right behind the IPv6 header");
            ip + 40
        }
    };
    let payload = tcp + usize::from(frame.bytes[tcp + 12] >> 4) * 4;
    Some(Place { ip, tcp, payload, end: payload + segment.payload.bytes.len() })
}
