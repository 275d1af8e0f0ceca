//! What the loader writes into the eBPF object before it is loaded.

use core::mem::{align_of, size_of};

/// Room for the compiled filter in the object, in instructions of eight bytes. Jumps reach four
/// times as far. What a filter does not fill costs nothing but some of the verifier's time.
pub const FILTER_SLOT_LEN: usize = 8192;

/// Read-only settings of the programs (the global `CONFIG`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureConfig {
    /// How many bytes of payload a record carries at most; headers come on top. `u32::MAX` for all.
    pub snaplen: u32,
    /// The most bytes of a packet that a record carries, with all headers
    /// ([`crate::largest_copy`]).
    pub largest_copy: u32,
    /// The length of a ring, a power of two, less 1.
    pub ring_mask: u32,
    /// Among how many workers of the agent connections are divided.
    pub workers: u32,
    /// A worker is woken when so many bytes wait in a ring.
    pub wakeup_bytes: u32,
    /// Not 0: the programs write debug messages through aya-log.
    pub debug: u32,
}

const _: () = {
    assert!(size_of::<CaptureConfig>() == 24);
    assert!(align_of::<CaptureConfig>() == 4);
};

#[cfg(feature = "user")]
#[expect(unsafe_code, reason = "integers only, no padding: any bit pattern is valid")]
mod pod {
    // SAFETY: `repr(C)`, integers only, and the size assertion above leaves no room for padding.
    unsafe impl aya::Pod for super::CaptureConfig {}
}
