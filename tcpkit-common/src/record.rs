//! The header in front of every captured packet in a ring.

use core::mem::{align_of, size_of};

/// The version of [`RecordHeader`]'s layout; agent and eBPF object must agree on it.
pub const RECORD_VERSION: u16 = 2;

/// [`RecordHeader::direction`]: the host received the packet.
pub const DIRECTION_INGRESS: u8 = 0;
/// [`RecordHeader::direction`]: the host sent the packet.
pub const DIRECTION_EGRESS: u8 = 1;

/// [`RecordHeader::link`]: the bytes begin with an Ethernet header.
pub const LINK_ETHERNET: u8 = 0;
/// [`RecordHeader::link`]: the bytes begin with an IPv4 or IPv6 header.
pub const LINK_RAW_IP: u8 = 1;

/// What the kernel says of one packet; `cap_len` bytes of the packet follow it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// `CLOCK_MONOTONIC` in ns, taken when the program ran.
    pub ts_ns: u64,
    /// The interface the program is attached to.
    pub ifindex: u32,
    /// The packet's length in bytes as the kernel handled it, link header included (a GRO or TSO
    /// packet counts once, with all its segments' payload).
    pub wire_len: u32,
    /// How many of those bytes follow this header; at most `wire_len`.
    pub cap_len: u32,
    /// [`RECORD_VERSION`].
    pub version: u16,
    /// [`DIRECTION_INGRESS`] or [`DIRECTION_EGRESS`].
    pub direction: u8,
    /// [`LINK_ETHERNET`] or [`LINK_RAW_IP`].
    pub link: u8,
    /// The VLAN tag (TCI) that the kernel keeps beside the bytes; see `vlan_proto`.
    pub vlan_tci: u16,
    /// The tag's EtherType in host order (0x8100, 0x88a8), 0 when there is no such tag.
    pub vlan_proto: u16,
    /// Always zero.
    pub reserved: u32,
}

const _: () = {
    assert!(size_of::<RecordHeader>() == 32);
    assert!(align_of::<RecordHeader>() == 8);
};
