//! Kafka: calls with a size before them, told apart by numbers.
//!
//! Of each message the beginning is read, and the rest is skipped by its size: records are never looked
//! at. A response does not say what it answers, so the decoder keeps what is under way (`open`). What
//! breaks the rules (responses that never come, numbers used twice, tokens without a number) is the business
//! of `calls`.

mod apis;
mod calls;
mod errors;
mod fields;
mod header;
mod open;
mod probe;
mod reader;
mod rejoin;
mod requests;
mod responses;
mod saying;
#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests;

pub use self::fields::FIELD_NAMES;

use self::calls::{Calls, Done};
use super::{DecodeError, Decoder, Detection, Direction, Entry, Protocol, Scratch, Step};

/// Kafka, and what speaks its protocol (Redpanda, AutoMQ, Event Hubs).
pub static PROTOCOL: Protocol = Protocol {
    name: "kafka",
    summary: "Kafka: clients and brokers, without TLS",
    ports: &[9092],
    field_names: FIELD_NAMES,
    probe: probe::probe,
    entry: Entry::Number,
    detection: Detection::Auto,
    decoder: || Box::new(KafkaDecoder::default()),
    datagrams: None,
};

/// So many bytes at a message's beginning are looked at; what is shown is there, and what is not shown may
/// be much more.
const PREFIX: usize = 1024;

/// The decoder of one connection.
#[derive(Debug, Default)]
struct KafkaDecoder {
    calls: Calls,
    /// The message whose rest is being skipped, in each direction.
    request: Option<Box<Waiting>>,
    response: Option<Box<Waiting>>,
}

// A connection at rest is to cost little.
const _: () = assert!(size_of::<KafkaDecoder>() <= 80);

/// A message whose end did not come yet.
#[derive(Debug)]
struct Waiting {
    message: Beginning,
    /// How many of its bytes the caller does not know of yet that they need not be seen.
    rest: u64,
}

/// What is known of a message whose end did not come yet.
#[derive(Debug)]
enum Beginning {
    /// All there is to say.
    Read(Done),
    /// The bytes before those that will never be seen, to be read when there is memory for what they say;
    /// and how long the message is.
    Cut(Box<[u8]>, usize),
}

impl KafkaDecoder {
    fn waiting(&mut self, direction: Direction) -> &mut Option<Box<Waiting>> {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }

    /// Goes on with a message whose end did not come yet.
    fn go_on<'s>(
        &mut self,
        direction: Direction,
        mut waiting: Box<Waiting>,
        scratch: &'s mut Scratch,
    ) -> Step<'s> {
        if let Beginning::Cut(bytes, total) = &waiting.message {
            waiting.message = match self.read(direction, Head::new(bytes, *total), scratch) {
                Ok(done) => Beginning::Read(done),
                Err(reason) => return self.invalid(direction, reason),
            };
        }
        let len = std::mem::take(&mut waiting.rest);
        if len > 0 {
            *self.waiting(direction) = Some(waiting);
            return Step::Skip { len };
        }
        match waiting.message {
            Beginning::Read(done) => done.into_step(0, scratch),
            Beginning::Cut(..) => self.invalid(direction, "a message without a beginning"),
        }
    }

    fn read(
        &mut self,
        direction: Direction,
        head: Head<'_>,
        scratch: &mut Scratch,
    ) -> Result<Done, &'static str> {
        match direction {
            Direction::Request => self.calls.request(head, scratch),
            Direction::Response => self.calls.response(head, scratch),
        }
    }

    /// How long the message is that begins here, with its size; `None` while that is not there.
    fn extent(&self, direction: Direction, input: &[u8]) -> Result<Option<usize>, &'static str> {
        let Some(size) = header::size(input) else { return Ok(None) };
        if !self.calls.sizes(direction).contains(&size) {
            return Err("a size that no message has");
        }
        let size = usize::try_from(size).map_err(|_| "a size that no message has")?;
        Ok(Some(size.saturating_add(header::SIZE)))
    }

    #[cold]
    fn invalid<'s>(&mut self, direction: Direction, reason: &'static str) -> Step<'s> {
        self.calls.lose(direction);
        Step::Invalid(DecodeError { protocol: PROTOCOL.name, reason })
    }
}

/// What is there of a message, behind its size.
#[derive(Clone, Copy, Debug)]
struct Head<'a> {
    bytes: &'a [u8],
    /// It is the whole message.
    is_whole: bool,
    /// Less is there than is always waited for, because the rest was not captured.
    is_hidden: bool,
}

impl<'a> Head<'a> {
    /// Of a message of `total` bytes of which `input` are there. How the bytes came makes no difference:
    /// no more are looked at than are always waited for.
    fn new(input: &'a [u8], total: usize) -> Self {
        let wanted = total.min(PREFIX);
        let end = wanted.min(input.len());
        let bytes = input.get(header::SIZE..end).unwrap_or_default();
        Self { bytes, is_whole: end == total, is_hidden: end < wanted }
    }
}

impl Decoder for KafkaDecoder {
    fn decode<'s>(
        &mut self,
        direction: Direction,
        input: &[u8],
        scratch: &'s mut Scratch,
    ) -> Step<'s> {
        if let Some(waiting) = self.waiting(direction).take() {
            return self.go_on(direction, waiting, scratch);
        }
        let total = match self.extent(direction, input) {
            Ok(Some(total)) => total,
            Ok(None) => return Step::NeedMore { at_least: header::SIZE },
            Err(reason) => return self.invalid(direction, reason),
        };
        let needed = total.min(PREFIX);
        if input.len() < needed {
            return Step::NeedMore { at_least: needed };
        }
        let done = match self.read(direction, Head::new(input, total), scratch) {
            Ok(done) => done,
            Err(reason) => return self.invalid(direction, reason),
        };
        if total <= input.len() {
            return done.into_step(total, scratch);
        }
        let message = Beginning::Read(done);
        *self.waiting(direction) = Some(Box::new(Waiting { message, rest: 0 }));
        Step::Skip { len: u64::try_from(total).unwrap_or(u64::MAX) }
    }

    fn handle_gap(&mut self, direction: Direction, before: &[u8], len: u64) -> u64 {
        let Ok(Some(total)) = self.extent(direction, before) else {
            self.calls.lose(direction);
            return 0;
        };
        let head = before.get(..PREFIX).unwrap_or(before);
        let message = Beginning::Cut(head.into(), total);
        let total = u64::try_from(total).unwrap_or(u64::MAX);
        let there = u64::try_from(before.len()).unwrap_or(u64::MAX).saturating_add(len);
        let behind = total.min(there);
        let rest = total.saturating_sub(behind);
        *self.waiting(direction) = Some(Box::new(Waiting { message, rest }));
        behind
    }

    fn resync(&mut self) {
        *self = Self::default();
    }

    fn rejoin(&mut self, direction: Direction, input: &[u8]) -> bool {
        let found = match direction {
            Direction::Request => rejoin::request(input),
            Direction::Response => rejoin::response(input, self.calls.open()),
        };
        if found {
            *self.waiting(direction) = None;
            self.calls.rejoin(direction);
        }
        found
    }
}
