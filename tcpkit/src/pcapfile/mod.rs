//! The formats of capture files, pcap and pcapng: bytes to frames and back, without
//! IO.
//!
//! The framing is read here and not by a crate, for three reasons: no packet may cost an allocation
//! (blocks with their options as lists do), errors have to say at which byte and behind which packet
//! a file stopped, and nothing may grow by what a length field claims: a [`Reader`] grows only as
//! bytes come, and up to a bound.
//!
//! The formats are described by draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng; where files do
//! not keep to them, libpcap's `sf-pcap.c` and `sf-pcapng.c` are the measure.

mod blocks;
mod buffer;
mod classic;
mod error;
mod order;
mod reader;
#[cfg(test)]
pub(crate) mod samples;
mod units;
pub mod write;

pub(crate) use self::error::place;
pub use self::{
    blocks::{Interface, MAX_INTERFACES},
    buffer::MAX_BUFFER,
    error::{FormatError, Reason},
    reader::{Reader, link_type},
};

/// The most bytes that a packet may have, in bytes. No capture tool writes packets beyond 256 KiB
/// (libpcap's `MAXIMUM_SNAPLEN`), and more than this is not a length but noise.
pub const MAX_PACKET: usize = 64 * 1024 * 1024;
