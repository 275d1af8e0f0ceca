//! What the loader writes into the eBPF object before it is loaded.

use core::mem::{align_of, size_of};

/// How many port ranges the kernel's filter holds.
pub const MAX_PORT_RANGES: usize = 16;

/// Bit of [`CaptureConfig::transports`]: TCP passes.
pub const TRANSPORT_TCP: u32 = 1;
/// Bit of [`CaptureConfig::transports`]: UDP passes.
pub const TRANSPORT_UDP: u32 = 2;

/// [`CaptureConfig::port_ranges_len`] when ports are not looked at.
pub const PORT_FILTER_OFF: u32 = 0;

/// Ports from `first` to `last`, both included, in host order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortRange {
    /// The lowest port that passes.
    pub first: u16,
    /// The highest port that passes.
    pub last: u16,
}

/// Read-only settings of the programs (the global `CONFIG`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureConfig {
    /// How many bytes of payload a record carries at most; headers come on top. `u32::MAX` for all.
    pub snaplen: u32,
    /// Waiting bytes in the ring from which a submit wakes the agent.
    pub wakeup_bytes: u32,
    /// [`TRANSPORT_TCP`] and [`TRANSPORT_UDP`]; 0 lets every packet pass.
    pub transports: u32,
    /// How many of `port_ranges` are in use; [`PORT_FILTER_OFF`] for none.
    pub port_ranges_len: u32,
    /// A packet passes when its source or its destination port is in one of these.
    pub port_ranges: [PortRange; MAX_PORT_RANGES],
    /// Not 0: the programs write debug messages through aya-log.
    pub debug: u32,
}

const _: () = {
    assert!(size_of::<CaptureConfig>() == 20 + 4 * MAX_PORT_RANGES);
    assert!(align_of::<CaptureConfig>() == 4);
};

#[cfg(feature = "user")]
#[expect(unsafe_code, reason = "integers only, no padding: any bit pattern is valid")]
mod pod {
    // SAFETY: `repr(C)`, integers only, and the size assertion above leaves no room for padding.
    unsafe impl aya::Pod for super::CaptureConfig {}
}
