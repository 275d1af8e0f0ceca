//! memcached: the text protocol with its meta commands, the binary protocol, and both in datagrams.
//!
//! Commands go one way and responses the other, in the same order. What breaks that order are commands
//! that are answered only when there is something to say (`noreply`, `q`, `GETKQ`): `link` knows which
//! of those that wait a response can be for, and where that is more than one, nothing is claimed.
//!
//! Sources: memcached's doc/protocol.txt, the wiki's `BinaryProtocolRevamped`, and what servers 1.4 to
//! 1.6 do where those are silent.

mod answer;
mod ask;
mod binary;
mod commands;
mod datagram;
mod line;
mod link;
mod probe;
mod reading;
mod render;
mod request;
mod response;
#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests;

use self::{datagram::Datagrams, link::Link, request::Requests, response::Responses};
use super::{DecodeError, Decoder, Detection, Direction, Entry, Protocol, Scratch, Step};

/// memcached, and what speaks its protocols.
pub static PROTOCOL: Protocol = Protocol {
    name: "memcached",
    summary: "memcached: text, meta and binary protocol, also over UDP",
    ports: &[11211],
    field_names: FIELD_NAMES,
    probe: probe::probe,
    entry: Entry::Turn,
    detection: Detection::Auto,
    decoder: || Box::new(MemcachedDecoder::default()),
    datagrams: Some(|| Box::new(Datagrams::default())),
};

/// The names of the fields that messages carry. Requests have
///
/// - `command`: the operation, such as `GET`, `MG` or `GETKQ`;
/// - `key`: the first key; at most 128 bytes;
/// - `keys`: how many keys `get` and its like ask for;
/// - `bytes`: the length of the value that is sent to be stored;
/// - `exptime`: after how many seconds, or when (Unix time), the item expires; as sent;
/// - `quiet`: 1 where the client does not want the ordinary answer (`noreply`, `q`, `SETQ`);
/// - `opaque`: what the client had sent back to it, a number or the word behind a meta command's `O`;
/// - `mechanism`: how a client authenticates (SASL);
///
/// and responses have
///
/// - `result`: `HIT`, `MISS`, `PARTIAL` (some of the keys were found), `STORED`, `NOT_STORED`, `EXISTS`,
///   `NOT_FOUND`, `DELETED`, `TOUCHED`, `OK`, a number, or the first word of what else was answered;
/// - `hits`, `misses`: how many of the keys were found, and how many were not;
/// - `reply_bytes`: bytes of values in the response;
/// - `error`: the error's text, or the name of a binary status; at most 128 bytes.
pub static FIELD_NAMES: &[&str] = &[
    "command",
    "key",
    "keys",
    "bytes",
    "exptime",
    "quiet",
    "opaque",
    "mechanism",
    "result",
    "hits",
    "misses",
    "reply_bytes",
    "error",
];

/// Positions in [`FIELD_NAMES`].
mod field {
    pub(super) const COMMAND: u8 = 0;
    pub(super) const KEY: u8 = 1;
    pub(super) const KEYS: u8 = 2;
    pub(super) const BYTES: u8 = 3;
    pub(super) const EXPTIME: u8 = 4;
    pub(super) const QUIET: u8 = 5;
    pub(super) const OPAQUE: u8 = 6;
    pub(super) const MECHANISM: u8 = 7;
    pub(super) const RESULT: u8 = 8;
    pub(super) const HITS: u8 = 9;
    pub(super) const MISSES: u8 = 10;
    pub(super) const REPLY_BYTES: u8 = 11;
    pub(super) const ERROR: u8 = 12;
}

/// Which of the two protocols a connection speaks. The server tells by the client's first byte, and
/// keeps to it (`try_read_command_negotiate` in memcached.c).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Dialect {
    /// The client has not said anything yet.
    #[default]
    Unknown,
    Text,
    Binary,
}

impl Dialect {
    /// Tells by the first byte that one side sent.
    fn of(first: u8) -> Self {
        if matches!(first, binary::REQUEST | binary::RESPONSE) { Self::Binary } else { Self::Text }
    }
}

/// The decoder of one connection.
#[derive(Debug, Default)]
struct MemcachedDecoder {
    dialect: Dialect,
    requests: Requests,
    responses: Responses,
    link: Link,
}

// A connection at rest is to cost little.
const _: () = assert!(size_of::<MemcachedDecoder>() <= 128);

impl Decoder for MemcachedDecoder {
    #[inline]
    fn decode<'s>(
        &mut self,
        direction: Direction,
        input: &[u8],
        scratch: &'s mut Scratch,
    ) -> Step<'s> {
        if self.dialect == Dialect::Unknown {
            let Some(&first) = input.first() else { return Step::NeedMore { at_least: 1 } };
            self.dialect = Dialect::of(first);
        }
        let link = &mut self.link;
        if link.is_spent() && !input.is_empty() {
            return invalid("nobody knows what belongs to a store that was refused");
        }
        match (direction, self.dialect) {
            (Direction::Request, Dialect::Binary) => {
                binary::decode_request(&mut self.requests, input, link, scratch)
            }
            (Direction::Response, Dialect::Binary) => {
                binary::decode_response(&mut self.responses, input, link, scratch)
            }
            (Direction::Request, _) => self.requests.decode(input, link, scratch),
            (Direction::Response, _) => self.responses.decode(input, link, scratch),
        }
    }

    fn handle_gap(&mut self, direction: Direction, before: &[u8], len: u64) -> u64 {
        match (direction, self.dialect) {
            (Direction::Request, Dialect::Text) => self.requests.handle_gap(before, len),
            (Direction::Response, Dialect::Text) if self.link.is_watching() => {
                len.saturating_add(before.len() as u64)
            }
            (Direction::Request, Dialect::Binary) => {
                binary::request_gap(&mut self.requests, before, len)
            }
            (Direction::Response, Dialect::Binary) => {
                binary::response_gap(&mut self.responses, before, len)
            }
            _ => 0,
        }
    }

    fn resync(&mut self) {
        self.dialect = Dialect::Unknown;
        self.requests.resync();
        self.responses.resync();
        self.link.resync();
    }
}

#[cold]
fn invalid(reason: &'static str) -> Step<'static> {
    Step::Invalid(DecodeError { protocol: PROTOCOL.name, reason })
}
