//! One captured frame, and what is known of it beside its bytes.

/// What a frame's bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// An Ethernet header, with or without VLAN tags (`LINKTYPE_ETHERNET`, 1).
    Ethernet,
    /// An IPv4 or IPv6 header (`LINKTYPE_RAW`, 101).
    RawIp,
    /// The address family, 4 bytes in the byte order of the host that captured (`LINKTYPE_NULL`, 0);
    /// from files only.
    Null,
    /// The address family, 4 bytes in network order (`LINKTYPE_LOOP`, 108); from files only.
    Loop,
    /// What Linux puts in the place of link headers when packets of several kinds of devices are
    /// captured together, 16 bytes (`LINKTYPE_LINUX_SLL`, 113); from files and packet sockets.
    LinuxSll,
    /// The same with the interface's index, 20 bytes (`LINKTYPE_LINUX_SLL2`, 276); from files and
    /// packet sockets.
    LinuxSll2,
}

/// Which way a frame crossed the interface it was captured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HookDirection {
    /// The host received it.
    Ingress,
    /// The host sent it.
    Egress,
    /// The source does not know.
    Unknown,
}

/// A VLAN tag that the kernel keeps beside a frame's bytes. On the wire it stands behind the two
/// Ethernet addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VlanTag {
    /// Its EtherType: 0x8100 or 0x88a8.
    pub ethertype: u16,
    /// Priority and number of the VLAN (TCI).
    pub tci: u16,
}

/// One captured frame, borrowed from the source for the time of a callback.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// When the frame passed, in ns on the source's own clock, which never steps; only differences
    /// and the source's [`super::Source::wall_offset_ns`] give it a meaning.
    pub time_ns: u64,
    /// The interface's number, by which [`super::InterfaceNames`] knows its name: the kernel's index
    /// when live; 0 when the source knows none.
    pub ifindex: u32,
    /// Which way it crossed that interface.
    pub direction: HookDirection,
    /// What `bytes` begin with.
    pub link: LinkType,
    /// The tag that is not among `bytes`; with [`LinkType::Ethernet`] only.
    pub vlan: Option<VlanTag>,
    /// The frame's length on the wire without such a tag, in bytes; at least `bytes.len()`.
    pub wire_len: u32,
    /// What was captured of it.
    pub bytes: &'a [u8],
}
