//! The writing half: packets and what describes them, appended to a buffer.
//!
//! Everything is little-endian. Nothing is allocated for a packet but what the buffer grows by.

mod cooked;
mod packet;
pub mod pcap;
pub mod pcapng;

pub use self::packet::Packet;
use crate::capture::LinkType;

/// The most that a file keeps of one packet, in bytes: readers take longer ones for damage
/// (`MAXIMUM_SNAPLEN` of libpcap).
pub const MAX_CAPTURED: usize = 262_144;

/// The number by which files know what packets begin with (`LINKTYPE_*`, see the list of the
/// tcpdump group).
#[must_use]
pub fn link_number(link: LinkType) -> u16 {
    match link {
        LinkType::Null => 0,
        LinkType::Ethernet => 1,
        LinkType::RawIp => 101,
        LinkType::Loop => 108,
        LinkType::LinuxSll => 113,
        LinkType::LinuxSll2 => 276,
    }
}
