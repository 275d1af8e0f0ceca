//! Pairs each response with its request, and says how long it took and how sure that is.

pub mod conversation;
mod ids;
mod open;
mod pairing;
mod probation;
mod stream;
mod sync;

use std::fmt;

pub use conversation::{Context, Conversation, ConversationLimits, Ending, Ends};
pub use open::OpenPool;

use crate::{
    packet::Endpoint,
    protocol::{Fields, Status},
};

/// How much is known of a transaction. Its pairing is certain in each case: what is not is never
/// made a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// Everything was seen, from the connection's first packet on.
    Exact,
    /// The connection was attached to while it was open.
    Midstream,
    /// Packets of the connection were not captured, within this transaction or before it.
    Gap,
    /// Payload of this transaction was cut off by the snaplen.
    Truncated,
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exact => "exact",
            Self::Midstream => "midstream",
            Self::Gap => "gap",
            Self::Truncated => "truncated",
        })
    }
}

/// Where a transaction's time went, in ns. The parts sum to the latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// From the request's first byte to its last.
    pub request_ns: u64,
    /// From the request's last byte to the response's first.
    pub wait_ns: u64,
    /// From the response's first byte to its last.
    pub response_ns: u64,
}

impl Timing {
    /// From the request's first byte to the response's last.
    #[must_use]
    pub fn latency_ns(&self) -> u64 {
        self.request_ns.saturating_add(self.wait_ns).saturating_add(self.response_ns)
    }
}

/// Who gets the transactions.
pub type Emit<'a> = dyn FnMut(&Transaction<'_>) + 'a;

/// A request and its response.
#[derive(Clone, Copy, Debug)]
pub struct Transaction<'a> {
    /// When the request's first byte was captured, in ns since the Unix epoch.
    pub unix_ns: u64,
    /// Who asked.
    pub client: Endpoint,
    /// Who answered.
    pub server: Endpoint,
    /// The protocol's name.
    pub protocol: &'static str,
    /// What was asked for, for grouping; printable.
    pub operation: &'a str,
    /// The request as a person would type it; printable, bounded, secrets redacted.
    pub request: &'a str,
    /// A word on the response, such as `404`; printable, bounded, often empty.
    pub response: &'a str,
    /// What the server made of it.
    pub status: Status,
    /// The client gave the request up before the response was complete: the times go up to then.
    pub cancelled: bool,
    /// How long it took.
    pub timing: Timing,
    /// From the request's first byte to the moment in which the first of the messages that the
    /// response streams was complete, in ns; where it streams messages.
    pub first_ns: Option<u64>,
    /// How long the client was willing to wait, in ns; where it said so.
    pub deadline_ns: Option<u64>,
    /// Payload bytes of the request on the wire.
    pub request_bytes: u64,
    /// Payload bytes of the response on the wire.
    pub response_bytes: u64,
    /// How much is known.
    pub quality: Quality,
    /// Details of the request.
    pub request_fields: Fields<'a>,
    /// Details of the response.
    pub response_fields: Fields<'a>,
}

/// How much shorter than what it announced a client may wait, as a part of it: it rounds what it writes
/// down (gRPC's core by up to a hundredth), and its clock began before its first byte was on the wire.
const DEADLINE_PART: u64 = 64;

impl Transaction<'_> {
    /// Whether it took as long as the client was willing to wait.
    #[must_use]
    pub fn is_past_deadline(&self) -> bool {
        self.deadline_ns.is_some_and(|deadline_ns| {
            // A client that gave up, and a server that says so, know better than the clock here.
            let slack_ns = match self.cancelled || self.status == Status::Error {
                true => deadline_ns / DEADLINE_PART,
                false => 0,
            };
            self.timing.latency_ns().saturating_add(slack_ns) >= deadline_ns
        })
    }
}
