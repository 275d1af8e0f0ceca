//! Protocol decoders behind one registry.
//!
//! A decoder knows bytes, direction and gaps. It knows no packets, no time, no other protocol and
//! no sink. Adding a protocol is one file or folder here, one line in [`PROTOCOLS`], and one folder
//! of fixtures.

#![deny(clippy::arithmetic_side_effects)]

mod cursor;
pub mod detect;
mod digits;
#[cfg(test)]
mod driver;
pub mod fields;
pub mod generic;
pub mod http;
pub mod http2;
pub mod kafka;
pub mod memcached;
pub mod redis;
pub mod scratch;
pub mod secrets;
pub mod selection;
pub mod text;
pub mod url;
pub mod words;

use std::{fmt, num::NonZero};

pub use fields::Fields;
pub use scratch::{DecodeOptions, Draft, Scratch};
pub use secrets::SecretNames;
pub use selection::Selection;

/// Every protocol that `-p` takes, in the order in which help lists them.
#[rustfmt::skip]
pub static PROTOCOLS: &[&Protocol] = &[
    &redis::PROTOCOL,
    &memcached::PROTOCOL,
    &http::PROTOCOL,
    &http2::PROTOCOL,
    &http2::grpc::PROTOCOL,
    &kafka::PROTOCOL,
    &generic::PROTOCOL,
];

/// The protocol of this name, if there is one.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Protocol> {
    PROTOCOLS.iter().copied().find(|protocol| protocol.name == name)
}

/// What the rest of the program knows of a protocol.
#[derive(Debug)]
pub struct Protocol {
    /// What `-p` takes and the output prints.
    pub name: &'static str,
    /// What it is, for the help text.
    pub summary: &'static str,
    /// The ports its servers usually listen on.
    pub ports: &'static [u16],
    /// The names of the fields its messages carry; [`Fields`] refers to them by position.
    pub field_names: &'static [&'static str],
    /// Looks at the first bytes that one side sent.
    pub probe: fn(&[u8]) -> Probe,
    /// How the decoder finds its way back into a connection that it does not know from the beginning.
    pub entry: Entry,
    /// Whether a connection may be taken for this protocol by its first bytes.
    pub detection: Detection,
    /// A decoder for a new connection.
    pub decoder: fn() -> Box<dyn Decoder>,
    /// A decoder for what two ends say in UDP datagrams, where the protocol is spoken there too. Each
    /// input begins with a datagram's first byte, and nothing is carried over from one to the next.
    pub datagrams: Option<fn() -> Box<dyn Decoder>>,
}

/// When first bytes make a connection one of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detection {
    /// When they fit; `auto` includes it.
    Auto,
    /// When they fit, and the user asked for it by name.
    Asked,
    /// When nothing else fits, and the user asked for it by name: it fits any bytes, and they do not tell
    /// the sides apart.
    Last,
}

/// Where a decoder can begin in the midst of a connection, and after bytes were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// At a request with which the client takes a new turn, in both directions at once: responses are
    /// told apart by their order alone.
    Turn,
    /// In each direction by itself, at a packet where [`Decoder::rejoin`] knows a message's beginning:
    /// messages carry numbers that tell which response answers which request, and no number is used
    /// twice at a time.
    Number,
    /// Anywhere: messages come in datagrams, which stand alone, and carry numbers. What
    /// [`Protocol::datagrams`] decodes is entered like that whatever [`Protocol::entry`] says.
    Datagram,
}

impl Entry {
    /// Whether messages carry numbers.
    #[inline]
    #[must_use]
    pub fn is_numbered(self) -> bool {
        self != Self::Turn
    }
}

/// What the first bytes of one side of a connection look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Only a client sends this.
    Request,
    /// Only a server sends this.
    Response,
    /// This protocol, but either side may send it.
    Either,
    /// A prefix of something; more bytes are needed.
    Unsure,
    /// Not this protocol.
    No,
}

impl Probe {
    /// Whether a message of `direction` may begin like this.
    #[must_use]
    pub fn may_be(self, direction: Direction) -> bool {
        match self {
            Self::Request => direction == Direction::Request,
            Self::Response => direction == Direction::Response,
            Self::Either | Self::Unsure => true,
            Self::No => false,
        }
    }
}

/// Which way bytes flow between client and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Request,
    /// From the server to the client.
    Response,
}

/// Takes one connection's bytes apart, incrementally, in both directions.
///
/// The caller keeps what a decoder did not consume and shows it again, with more behind it; it
/// carries out skips itself, also over bytes that were never captured. Memory a decoder holds is
/// bounded whatever the bytes say.
pub trait Decoder: Send {
    /// Looks at `input`, all bytes of `direction` that follow what was consumed so far.
    ///
    /// `input` may be empty: after a skip or an absorbed gap the caller asks once whether that
    /// completed a message. A decoder makes all the progress it can: it answers
    /// [`Step::NeedMore`] only when no byte of `input` can be consumed.
    fn decode<'s>(
        &mut self,
        direction: Direction,
        input: &[u8],
        scratch: &'s mut Scratch,
    ) -> Step<'s>;

    /// `len` bytes of `direction` (at least 1) will never be seen. `before` is what came right before
    /// them and was not consumed yet, because the decoder asked for more ([`Step::NeedMore`]); it is
    /// not shown again. Returns how many of both together, counted from the beginning of `before`, the
    /// decoder can do without, because their meaning is known (the rest of a message whose length was
    /// announced, the delimiter behind a value); it then stands behind those, and the caller asks
    /// [`Self::decode`] whether that completed a message. Less than both together means that the rest
    /// is handed in as a gap of its own; not more than `before` means that the stream's framing is
    /// lost.
    fn handle_gap(&mut self, direction: Direction, before: &[u8], len: u64) -> u64;

    /// The sender of `direction` said that nothing more comes (a TCP FIN), and everything before was
    /// shown, skipped or handed in as a gap. Returns the message in progress if this is how it ends.
    fn handle_end<'s>(
        &mut self,
        direction: Direction,
        scratch: &'s mut Scratch,
    ) -> Option<Message<'s>> {
        let _ = (direction, scratch);
        None
    }

    /// Both directions stand at the beginning of a message, and no request waits for a response:
    /// what was known of messages in progress is void, what was learned of the connection stays.
    fn resync(&mut self);

    /// With [`Entry::Number`]: bytes of `direction` were lost, or are not known from the connection's
    /// beginning. Whether `input`, what a packet carries, begins with a message, beyond reasonable
    /// doubt. Then the decoder stands there in this direction, and what it knew of a message in
    /// progress there is void.
    fn rejoin(&mut self, direction: Direction, input: &[u8]) -> bool {
        let _ = (direction, input);
        false
    }
}

/// What a decoder made of its input.
#[derive(Debug)]
pub enum Step<'s> {
    /// The first `len` bytes are done with; they may have completed a message.
    Consumed {
        /// How many bytes of the input; 0 only together with a message.
        len: usize,
        /// The message that these bytes completed.
        message: Option<Message<'s>>,
    },
    /// The first `len` bytes (at least 1) lie between messages and belong to none.
    Discard {
        /// How many bytes of the input.
        len: usize,
    },
    /// The next `len` bytes (at least 1; may go beyond the input) need not be seen.
    Skip {
        /// How many bytes, counted from the input's beginning.
        len: u64,
    },
    /// Nothing can be consumed before the input is `at_least` bytes long.
    NeedMore {
        /// More than the input's length, and at most [`MAX_LOOKAHEAD`].
        at_least: usize,
    },
    /// The bytes are not this protocol, or break its rules.
    Invalid(DecodeError),
}

/// The most bytes a decoder may ask to see at once ([`Step::NeedMore`]).
pub const MAX_LOOKAHEAD: usize = 64 * 1024;

/// Why bytes are not what the protocol allows; where in the input does not matter, since the
/// stream is out of step from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{protocol}: {reason}")]
pub struct DecodeError {
    /// The protocol's name.
    pub protocol: &'static str,
    /// What rule was broken.
    pub reason: &'static str,
}

/// How a message finds its counterpart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Correlation {
    /// Responses come in the order of the requests.
    Ordered,
    /// Request and response carry the same number.
    Id(u64),
    /// There is no counterpart: a request nobody answers, a message the server pushes.
    OneWay,
    /// Only the turns are known: what the client sends up to the server's first byte is the request, what
    /// the server sends up to the client's next byte is the response.
    Turn,
}

/// Whether a response reports success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// The server did what was asked.
    #[default]
    Ok,
    /// The server answered with an error.
    Error,
    /// Where the response says so was not captured, or cannot be understood.
    Unknown,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Unknown => "unknown",
        })
    }
}

/// How much of a request or response a [`Message`] is.
///
/// Most protocols' messages are [`Part::Whole`]. Others divide theirs: where several are under way in
/// turns on one connection, where a server may answer before it has the whole request, where somebody
/// wants to know when the first of many pieces came. The parts of a request or response lie apart on
/// the wire; its time goes from the first byte of the first to the last byte of the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    #[default]
    Whole,
    /// Its beginning; others follow. It carries a request's text and fields, and the server may answer
    /// from here on.
    First,
    /// Neither its beginning nor its end.
    Middle,
    /// Its end. It carries a response's status, text and fields. Of a response whose first part was
    /// not handed over, the times are taken to be unknown.
    Last,
    /// Its response came, and is not told: the request is forgotten, as one that nobody answers.
    Void,
    /// In place of what is missing, the client gives the request up. It carries what a response would.
    Cancel,
}

/// One request or response, or a part of one, borrowed from the [`Scratch`] until the next step.
#[derive(Clone, Copy, Debug)]
pub struct Message<'s> {
    /// How it finds its counterpart. All parts of a message have the same.
    pub correlation: Correlation,
    /// How much of the message it is.
    pub part: Part,
    /// What a response says of success; [`Status::Ok`] for requests.
    pub status: Status,
    /// With this part of a response the first of the messages that it streams is complete.
    pub completes_first: bool,
    /// How long the client is willing to wait for the response, in ns, where a request says so.
    pub deadline_ns: Option<NonZero<u64>>,
    /// A request's operation for grouping, such as `SET`; bounded, printable. Empty in responses.
    pub operation: &'s str,
    /// A request as a person would type it; bounded, printable, secrets redacted. Of a response what
    /// is worth a word behind the request, such as `404`; empty where nothing is.
    pub text: &'s str,
    /// Named details; empty unless [`DecodeOptions::fields`] is set.
    pub fields: &'s [u8],
    /// Of a response that answers in order: how many requests in front of its own wait no longer, since
    /// the server had nothing to say to them.
    pub passed_over: u32,
}

impl Message<'_> {
    /// A message that carries nothing but its place.
    #[must_use]
    #[inline]
    pub const fn bare(correlation: Correlation, part: Part) -> Self {
        Self {
            correlation,
            part,
            status: Status::Ok,
            completes_first: false,
            deadline_ns: None,
            operation: "",
            text: "",
            fields: &[],
            passed_over: 0,
        }
    }
}
