//! From a frame's bytes to a TCP segment or UDP datagram, tolerant of frames that were cut.
//!
//! Lengths come from the IP header, not from what was captured: Ethernet padding is no payload, and
//! a frame cut by the snaplen still says how much it carried.

#![deny(clippy::arithmetic_side_effects)]

mod cooked;
mod decode;
mod endpoint;
mod link;
mod once;
mod tcp;

pub use cooked::{Cooked, cooked};
pub(crate) use decode::plain_segment;
pub use decode::{Decoded, Undecoded, decode};
pub use endpoint::Endpoint;
pub use link::{Network, network};
pub use once::Once;
pub use tcp::{TcpFlags, TcpHeader};

/// One end to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Who sent the packet.
    pub source: Endpoint,
    /// Whom it is for.
    pub destination: Endpoint,
}

/// Payload as captured and as carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload<'a> {
    /// The captured prefix, at most `wire_len` bytes.
    pub bytes: &'a [u8],
    /// How many bytes of payload the packet carried.
    pub wire_len: u32,
}

/// A TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Who sent it to whom.
    pub addresses: Addresses,
    /// The fields of its header that flows need.
    pub tcp: TcpHeader,
    /// What it carries.
    pub payload: Payload<'a>,
}

/// A UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Who sent it to whom.
    pub addresses: Addresses,
    /// What it carries.
    pub payload: Payload<'a>,
}
