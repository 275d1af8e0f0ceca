//! The kernel's part of the ledger: one per CPU.

use core::mem::size_of;

/// What the programs did with the packets they saw. On each CPU and over all of them:
///
/// - `seen = refused + matched`
/// - `matched = captured + ring_full + copy_failed`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that reached the programs.
    pub seen: u64,
    /// Of the packets that the filter selected, those that say they are IP and whose headers are cut
    /// or broken. They are captured as what is not IP is: the snaplen begins behind 64 bytes. (The
    /// filter judges every packet, and refuses one that is too short for what it looks at.)
    pub unparsed: u64,
    /// Packets that the filter refused.
    pub refused: u64,
    /// Packets that the filter selected.
    pub matched: u64,
    /// Packets handed to the agent.
    pub captured: u64,
    /// Packets lost because the ring had no room.
    pub ring_full: u64,
    /// Packets lost because their bytes could not be copied.
    pub copy_failed: u64,
    /// Captured packets whose payload was cut by the snaplen.
    pub truncated: u64,
    /// Bytes (as on the wire) of the packets that the filter selected.
    pub matched_bytes: u64,
    /// Bytes of payload that the snaplen cut off.
    pub truncated_bytes: u64,
}

const _: () = assert!(size_of::<Counters>() == 80);

#[cfg(feature = "user")]
#[expect(unsafe_code, reason = "integers only, no padding: any bit pattern is valid")]
mod pod {
    // SAFETY: `repr(C)`, ten u64, no padding.
    unsafe impl aya::Pod for super::Counters {}
}
