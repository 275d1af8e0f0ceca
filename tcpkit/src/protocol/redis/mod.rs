//! Redis: RESP2, RESP3 and inline commands.
//!
//! Commands go one way and replies the other, in the same order; which is which is told by
//! direction alone. What breaks that order (subscriptions, `MONITOR`, `CLIENT REPLY`, replication)
//! is the business of `link`.

mod building;
mod commands;
mod fast;
mod inline;
mod line;
mod link;
mod outline;
mod probe;
mod render;
mod reply;
mod request;
mod secrets;
mod shape;
#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests;

use self::{link::Link, reply::Replies, request::Requests};
use super::{DecodeError, Decoder, Detection, Direction, Entry, Protocol, Scratch, Step};

/// Redis, and what speaks its protocol (Valkey, KeyDB, Dragonfly).
pub static PROTOCOL: Protocol = Protocol {
    name: "redis",
    summary: "Redis and Valkey: RESP2, RESP3, inline commands",
    ports: &[6379],
    field_names: FIELD_NAMES,
    probe: probe::probe,
    entry: Entry::Turn,
    detection: Detection::Auto,
    decoder: || Box::new(RedisDecoder::default()),
    datagrams: None,
};

/// The names of the fields that messages carry. Requests have
///
/// - `command`: the operation, such as `SET` or `CONFIG GET`;
/// - `key`: the first key, where the command is known to have one; at most 128 bytes;
/// - `args`: how many arguments follow the command's name;
///
/// and responses have
///
/// - `reply`: the RESP type: `simple`, `error`, `integer`, `bulk`, `null`, `array`, `boolean`,
///   `double`, `big_number`, `bulk_error`, `verbatim`, `map`, `set`, `push`;
/// - `reply_len`: bytes of a string, elements of an aggregate (pairs of a map);
/// - `error`: the error's text; at most 128 bytes.
pub static FIELD_NAMES: &[&str] = &["command", "key", "args", "reply", "reply_len", "error"];

/// The decoder of one connection.
#[derive(Debug, Default)]
struct RedisDecoder {
    requests: Requests,
    replies: Replies,
    link: Link,
}

// A connection at rest is to cost little.
const _: () = assert!(size_of::<RedisDecoder>() <= 96);

impl Decoder for RedisDecoder {
    fn decode<'s>(
        &mut self,
        direction: Direction,
        input: &[u8],
        scratch: &'s mut Scratch,
    ) -> Step<'s> {
        if self.link.is_replication() {
            return match input.len() {
                0 => Step::NeedMore { at_least: 1 },
                len => Step::Discard { len },
            };
        }
        match direction {
            Direction::Request => self.requests.decode(input, &mut self.link, scratch),
            Direction::Response => self.replies.decode(input, &mut self.link, scratch),
        }
    }

    fn handle_gap(&mut self, direction: Direction, before: &[u8], len: u64) -> u64 {
        if self.link.is_replication() {
            return len;
        }
        if !before.is_empty() {
            return 0;
        }
        match direction {
            Direction::Request => self.requests.handle_gap(len),
            Direction::Response => self.replies.handle_gap(len),
        }
    }

    fn resync(&mut self) {
        self.requests.resync();
        self.replies.resync();
        self.link.resync();
    }
}

#[cold]
fn invalid(reason: &'static str) -> Step<'static> {
    Step::Invalid(DecodeError { protocol: PROTOCOL.name, reason })
}
