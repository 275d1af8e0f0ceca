//! One packet that passes several interfaces counts once.
//!
//! A packet from a container crosses the container's end, the bridge's port, the bridge and the
//! network card, and is captured at each. What stays the same on that way (addresses, lengths, the IP
//! identification, sequence numbers, the payload's beginning) is the packet's fingerprint; what
//! bridges, routers and offloading change (link addresses, hop limits, checksums) is not looked at.
//!
//! A packet that was really sent twice passes each place twice. So a place's n-th sight of a
//! fingerprint is new only if no other place saw it n times before.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;

use super::network;
use crate::capture::{Frame, HookDirection};

/// How long a packet may take from one interface to another, in ns.
const WINDOW_NS: u64 = 1_000_000_000;

/// Sets of the table, and fingerprints that each holds. When more packets than these pass within the
/// window, the oldest are forgotten, and their twins will count as new.
const SETS: usize = 1 << 14;
const WAYS: usize = 4;

/// How many places may see one packet; from more it is never new.
const PLACES: usize = 6;

/// How often one fingerprint is counted before it begins again.
const MAX_TIMES: u32 = 1 << 30;

/// How much of what follows the IP header is looked at.
const SAMPLE: usize = 96;

/// An interface, and the way across it.
type Place = (u32, HookDirection);

#[derive(Clone, Copy)]
struct Entry {
    fingerprint: u64,
    latest_ns: u64,
    /// How often it was new: as often as the place that saw it most.
    times: u32,
    places: [(Place, u32); PLACES],
}

const EMPTY: Entry = Entry {
    fingerprint: 0,
    latest_ns: 0,
    times: 0,
    places: [((0, HookDirection::Unknown), 0); PLACES],
};

/// Remembers what passed lately. Takes 8 MiB, which is allocated when it is made.
pub struct Once {
    entries: Vec<[Entry; WAYS]>,
    hasher: RandomState,
}

impl Default for Once {
    fn default() -> Self {
        // Seeded at random: what is hashed comes from whoever can send packets.
        Self { entries: vec![[EMPTY; WAYS]; SETS], hasher: RandomState::default() }
    }
}

impl Once {
    /// Whether this frame is a packet that was not seen elsewhere before.
    pub fn is_new(&mut self, frame: &Frame<'_>) -> bool {
        let fingerprint = self.fingerprint(frame);
        #[expect(clippy::cast_possible_truncation, reason = "any bits choose a set")]
        let set = fingerprint as usize % SETS;
        let Some(set) = self.entries.get_mut(set) else { return true };
        let is_it = |entry: &&mut Entry| {
            entry.fingerprint == fingerprint
                && entry.times > 0
                && frame.time_ns.abs_diff(entry.latest_ns) <= WINDOW_NS
        };
        let place = (frame.ifindex, frame.direction);
        if let Some(entry) = set.iter_mut().find(is_it) {
            return entry.take(place, frame.time_ns);
        }
        if let Some(oldest) = set.iter_mut().min_by_key(|entry| entry.latest_ns) {
            *oldest = Entry { fingerprint, ..EMPTY };
            oldest.take(place, frame.time_ns);
        }
        true
    }

    /// What stays the same from interface to interface.
    fn fingerprint(&self, frame: &Frame<'_>) -> u64 {
        let mut hash = self.hasher.build_hasher();
        let network = network(frame);
        let ethertype = network.as_ref().map_or(0, |it| it.ethertype);
        let offset = network.map_or(0, |it| it.offset);
        let packet = frame.bytes.get(offset..).unwrap_or_default();
        hash.write_u16(ethertype);
        match (ethertype, packet) {
            (0x0800, &[first, _, l0, l1, i0, i1, f0, f1, _, protocol, _, _, ..]) => {
                hash.write_u64(u64::from_be_bytes([first, l0, l1, i0, i1, f0, f1, protocol]));
                hash.write(packet.get(12..20).unwrap_or_default());
                let header = usize::from(first & 0x0f).saturating_mul(4);
                let later = (f0 & 0x1f) | f1 != 0;
                write_payload(&mut hash, packet.get(header..), protocol, later);
            }
            (0x86dd, &[_, _, _, _, l0, l1, next, _, ..]) => {
                hash.write_u32(u32::from_be_bytes([0, l0, l1, next]));
                hash.write(packet.get(8..40).unwrap_or_default());
                write_payload(&mut hash, packet.get(40..), next, false);
            }
            _ => {
                hash.write_u32(frame.wire_len);
                hash.write(sample(packet));
            }
        }
        hash.finish()
    }
}

/// Adds what follows the IP header, without the checksums that offloading leaves open.
fn write_payload(hash: &mut impl Hasher, payload: Option<&[u8]>, protocol: u8, later: bool) {
    let payload = payload.unwrap_or_default();
    let checksum = match protocol {
        _ if later => None,
        6 => Some(16),
        17 => Some(6),
        _ => None,
    };
    match checksum.and_then(|at| Some((payload.get(..at)?, payload.get(at.checked_add(2)?..)?))) {
        Some((front, behind)) => {
            hash.write(front);
            hash.write(sample(behind));
        }
        None => hash.write(sample(payload)),
    }
}

fn sample(bytes: &[u8]) -> &[u8] {
    bytes.get(..SAMPLE).unwrap_or(bytes)
}

impl Entry {
    /// Counts one more sight; whether it is new.
    fn take(&mut self, place: Place, time_ns: u64) -> bool {
        if self.times >= MAX_TIMES {
            // The count begins again, at the price of a few packets that count twice.
            *self = Self { fingerprint: self.fingerprint, ..EMPTY };
        }
        self.latest_ns = self.latest_ns.max(time_ns);
        let known = self.places.iter_mut().find(|(it, count)| *count == 0 || *it == place);
        let Some((it, count)) = known else { return false };
        *it = place;
        *count = count.saturating_add(1);
        let is_new = *count > self.times;
        self.times = self.times.max(*count);
        is_new
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;
    use crate::capture::LinkType;

    fn segment(sequence: u32, payload: &[u8]) -> Vec<u8> {
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .tcp(40_000, 6379, sequence, 1000);
        let mut bytes = Vec::new();
        builder.write(&mut bytes, payload).unwrap();
        bytes
    }

    fn frame(ifindex: u32, time_ns: u64, bytes: &[u8]) -> Frame<'_> {
        Frame {
            time_ns,
            ifindex,
            direction: HookDirection::Ingress,
            link: LinkType::Ethernet,
            vlan: None,
            wire_len: bytes.len() as u32,
            bytes,
        }
    }

    #[test]
    fn a_packet_on_three_interfaces_counts_once() {
        let mut once = Once::default();
        let bytes = segment(1, b"ping");
        let new: Vec<_> = (1..=3).map(|at| once.is_new(&frame(at, 5, &bytes))).collect();
        assert_eq!(new, [true, false, false]);
        let other = segment(5, b"ping");
        assert!(once.is_new(&frame(1, 6, &other)), "another sequence number");
    }

    #[test]
    fn what_forwarding_changes_does_not_matter() {
        let mut once = Once::default();
        let mut bytes = segment(1, b"ping");
        assert!(once.is_new(&frame(1, 5, &bytes)));
        bytes[0] = 9; // a link address
        bytes[22] = 63; // the time to live
        bytes[24] ^= 0x55; // the header's checksum
        bytes[50] ^= 0x55; // TCP's
        assert!(!once.is_new(&frame(2, 5, &bytes)));
        bytes[18] ^= 1; // the identification
        assert!(once.is_new(&frame(2, 5, &bytes)));
    }

    #[test]
    fn what_was_sent_twice_counts_twice() {
        let bytes = segment(1, b"ping");
        for order in [[1, 2, 1, 2], [1, 1, 2, 2], [2, 1, 1, 2]] {
            let mut once = Once::default();
            let new = order.iter().filter(|&&at| once.is_new(&frame(at, 5, &bytes))).count();
            assert_eq!(new, 2, "{order:?}");
        }
    }

    #[test]
    fn after_a_while_it_is_another_packet() {
        let mut once = Once::default();
        let bytes = segment(1, b"ping");
        assert!(once.is_new(&frame(1, 5, &bytes)));
        assert!(!once.is_new(&frame(2, 5 + WINDOW_NS, &bytes)));
        assert!(once.is_new(&frame(3, 6 + 2 * WINDOW_NS, &bytes)));
    }

    #[test]
    fn any_bytes_have_a_fingerprint() {
        let mut once = Once::default();
        let bytes = segment(1, &[7; 300]);
        for len in 0..bytes.len() {
            for link in [LinkType::Ethernet, LinkType::RawIp, LinkType::LinuxSll2, LinkType::Null] {
                let cut = Frame { link, ..frame(1, 5, &bytes[..len]) };
                once.is_new(&cut);
                assert!(!once.is_new(&Frame { ifindex: 2, ..cut }), "{link:?} {len}");
            }
        }
    }

    #[test]
    fn many_packets_do_not_hide_each_other() {
        let mut once = Once::default();
        let packets: Vec<_> = (0..10_000).map(|at| segment(at, b"x")).collect();
        let new = packets.iter().filter(|it| once.is_new(&frame(1, 5, it))).count();
        assert_eq!(new, packets.len());
        let twins = packets.iter().filter(|it| !once.is_new(&frame(2, 6, it))).count();
        // A set may overflow.
        assert!(twins > packets.len() * 99 / 100, "{twins}");
    }
}
