//! The kernel's part of the ledger: one for each hook of an interface, on each CPU.

use core::{iter::Sum, mem::size_of, ops::Add};

use crate::record::DIRECTION_EGRESS;

/// How many [`Counters`] each CPU has: two for every interface index, modulo 256.
pub const COUNTER_SLOTS: u32 = 512;

/// Which of them a hook counts in; `direction` as in [`crate::RecordHeader::direction`].
///
/// An array is all that a packet has time for. So two interfaces share their counters when their
/// indexes are the same modulo 256: nothing is lost, but it cannot be told whose it was.
#[must_use]
pub const fn counter_slot(ifindex: u32, direction: u8) -> u32 {
    (ifindex & 0xff) << 1 | (direction == DIRECTION_EGRESS) as u32
}

/// What the programs did with the packets they saw. On each CPU and at each hook, and over all of
/// them:
///
/// - `seen = refused + matched`
/// - `matched = outside + captured + ring_full + no_ring + copy_failed`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that reached the programs.
    pub seen: u64,
    /// Packets that the filter refused.
    pub refused: u64,
    /// Packets that the filter selected.
    pub matched: u64,
    /// Packets that passed before the agent was ready, or after it was told to stop.
    pub outside: u64,
    /// Packets handed to the agent.
    pub captured: u64,
    /// Packets lost because the ring had no room.
    pub ring_full: u64,
    /// Packets lost because their CPU's ring was being written to, or their CPU came later than the
    /// agent and has none.
    pub no_ring: u64,
    /// Packets lost because their bytes could not be copied.
    pub copy_failed: u64,
    /// Captured packets whose payload was cut by the snaplen.
    pub truncated: u64,
    /// Bytes (as on the wire) of the packets that the filter selected.
    pub matched_bytes: u64,
    /// Bytes of payload that the snaplen cut off.
    pub truncated_bytes: u64,
}

impl Counters {
    /// Packets that the filter selected and the agent did not get.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.ring_full.saturating_add(self.no_ring).saturating_add(self.copy_failed)
    }
}

impl Add for Counters {
    type Output = Self;

    /// What happened at two hooks, or on two CPUs.
    fn add(self, other: Self) -> Self {
        Self {
            seen: self.seen.wrapping_add(other.seen),
            refused: self.refused.wrapping_add(other.refused),
            matched: self.matched.wrapping_add(other.matched),
            outside: self.outside.wrapping_add(other.outside),
            captured: self.captured.wrapping_add(other.captured),
            ring_full: self.ring_full.wrapping_add(other.ring_full),
            no_ring: self.no_ring.wrapping_add(other.no_ring),
            copy_failed: self.copy_failed.wrapping_add(other.copy_failed),
            truncated: self.truncated.wrapping_add(other.truncated),
            matched_bytes: self.matched_bytes.wrapping_add(other.matched_bytes),
            truncated_bytes: self.truncated_bytes.wrapping_add(other.truncated_bytes),
        }
    }
}

impl Sum for Counters {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Self::add)
    }
}

const _: () = assert!(size_of::<Counters>() == 88);

#[cfg(feature = "user")]
#[expect(unsafe_code, reason = "integers only, no padding: any bit pattern is valid")]
mod pod {
    // SAFETY: `repr(C)`, eleven u64, no padding.
    unsafe impl aya::Pod for super::Counters {}
}
