//! The rings between the programs and the agent: how they lie in memory.
//!
//! Every CPU has rings of its own, one for each worker of the agent. So each has one writer, since no
//! program is interrupted by another on its CPU, and one reader; neither waits for the other. They are
//! the values of one array map, which the agent maps into its memory.
//!
//! Positions count bytes and only grow. A record lies at its position's distance from `base`, modulo
//! the ring's length, in one piece: what begins near the end runs on into room behind it.
//!
//! `base` is what keeps the ring in the caches: whenever the writer finds the ring empty some way
//! behind the beginning, it begins at the beginning again. The reader need not be told, as it has
//! nothing to read at that moment, and finds the new `base` with the next record.

use core::mem::{align_of, size_of};

use crate::RecordHeader;

/// What stands in front of a ring's data. Writer and reader have a cache line each.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct RingControl {
    /// Where the next record will begin; changed by the writer, after the record is whole.
    pub head: u64,
    /// The position that lies at the beginning of the data; changed by the writer, before `head`.
    pub base: u64,
    /// 1 while a program writes, so that one which interrupts it knows.
    pub writing: u64,
    #[doc(hidden)]
    pub writers_line: [u64; 5],
    /// Up to where the reader is done; changed by the reader.
    pub tail: u64,
    /// Not 0 while the reader wants nothing: not all programs are attached yet, or it was told to stop.
    pub closed: u64,
    #[doc(hidden)]
    pub readers_line: [u64; 6],
}

/// Where a ring's data begins, in bytes behind the beginning of its control.
pub const RING_DATA: usize = size_of::<RingControl>();

/// Records begin at multiples of this.
pub const RECORD_ALIGN: usize = 8;

/// The most bytes of one packet that a record takes. Packets are up to 64 KB, or some hundreds of KB
/// where BIG TCP is on.
pub const LARGEST_COPY: u32 = 262_304;

/// Where the largest headers end that the programs look for: more than eight extension headers of 2
/// KiB each, and TCP with all its options.
pub const LARGEST_HEADERS: u32 = 0x6000 + 60;

/// How a record is laid out: header, bytes of the packet, up to a multiple of [`RECORD_ALIGN`].
#[must_use]
#[inline(always)]
pub const fn record_len(cap_len: u64) -> u64 {
    (size_of::<RecordHeader>() as u64 + cap_len).next_multiple_of(RECORD_ALIGN as u64)
}

/// The most bytes of one packet that are copied with this snaplen, which counts payload only.
#[must_use]
pub const fn largest_copy(snaplen: u32) -> u32 {
    let wanted = snaplen.saturating_add(LARGEST_HEADERS);
    if wanted < LARGEST_COPY { wanted } else { LARGEST_COPY }
}

/// How much memory a ring takes with its control and the room behind its end, in bytes; `len` is the
/// ring's own length, a power of two.
#[must_use]
pub const fn ring_size(len: u32, snaplen: u32) -> u64 {
    (RING_DATA as u64 + len as u64 + record_len(largest_copy(snaplen) as u64)).next_multiple_of(64)
}

const _: () = {
    assert!(size_of::<RingControl>() == 128);
    assert!(align_of::<RecordHeader>() == RECORD_ALIGN);
};
