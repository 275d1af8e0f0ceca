//! Both protocols in UDP datagrams: eight bytes in front tell which request a datagram belongs to.
//!
//! From doc/protocol.txt, "UDP protocol": a request id that the client chooses, a sequence number, the
//! number of datagrams in the message, and two bytes of nothing. A request is one datagram.
//!
//! What total and sequence number count is not always the whole response: of several keys a server sends
//! each value in a message of its own, and `END` in another (seen with memcached 1.6). One of them that is
//! lost leaves no trace, so requests for several keys are not paired.
//!
//! Clients give up what gets lost, and use its id again. Then it is not known whether a response is for
//! the old or the new request, so that neither is paired.

use std::collections::VecDeque;

use super::{
    Dialect, binary,
    link::{Asked, Link},
    reading::{Progress, Reading},
    request::{Fit, Requests},
};
use crate::protocol::{Correlation, Decoder, Direction, Message, Part, Scratch, Step};

/// The length of what is in front of each datagram, in bytes.
const FRAME: usize = 8;

/// How many requests are remembered until they are answered. Some never are.
const MAX_WAITING: usize = 256;

/// For so many requests an id is not trusted after one with the same id was not answered.
const DOUBTS: u8 = 16;

/// Numbers for requests begin here, beyond all ids.
const FIRST_NUMBER: u64 = 1 << 16;

/// The decoder of what one client and one server say in datagrams.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    waiting: VecDeque<Waiting>,
    /// How many requests were given a number.
    count: u64,
    /// A datagram that was cut, of which no message told yet.
    cut: Option<Cut>,
}

/// What was captured of a datagram.
#[derive(Debug)]
struct Cut {
    bytes: Vec<u8>,
    /// How many bytes of it were not.
    hidden: u64,
}

/// A request that waits.
#[derive(Debug)]
struct Waiting {
    id: u16,
    number: u64,
    asked: Asked,
    /// The datagram of its response that comes next.
    next: u16,
    /// What came of its response so far.
    reading: Option<Box<Reading>>,
    /// How many requests with this id wait.
    requests: u16,
    /// How many more requests with this id are not paired.
    doubts: u8,
}

/// What is in front of a datagram.
#[derive(Clone, Copy, Debug)]
struct Frame {
    id: u16,
    sequence: u16,
    total: u16,
}

impl Frame {
    fn read(input: &[u8]) -> Option<(Self, &[u8])> {
        let ([a, b, c, d, e, f, _, _], payload) = input.split_first_chunk::<FRAME>()?;
        let number = |high: &u8, low: &u8| u16::from_be_bytes([*high, *low]);
        Some((Self { id: number(a, b), sequence: number(c, d), total: number(e, f) }, payload))
    }

    /// Which part of a message the datagram is; none if that cannot be.
    fn part(self) -> Option<Part> {
        match (self.sequence, self.total) {
            (0, 1) => Some(Part::Whole),
            (sequence, total) if sequence >= total => None,
            (0, _) => Some(Part::First),
            (sequence, total) if sequence.checked_add(1) == Some(total) => Some(Part::Last),
            _ => Some(Part::Middle),
        }
    }
}

impl Decoder for Datagrams {
    fn decode<'s>(
        &mut self,
        direction: Direction,
        input: &[u8],
        scratch: &'s mut Scratch,
    ) -> Step<'s> {
        let len = input.len();
        let cut = self.cut.take();
        let (input, hidden) = match &cut {
            Some(cut) if len == 0 => (cut.bytes.as_slice(), cut.hidden),
            _ => (input, 0),
        };
        let message = match (Frame::read(input), direction) {
            (None, _) if len == 0 => return Step::NeedMore { at_least: 1 },
            (None, _) => return Step::Discard { len },
            (Some((frame, payload)), Direction::Request) => self.request(frame, payload, scratch),
            (Some((frame, payload)), Direction::Response) => {
                self.response(frame, payload, hidden, scratch)
            }
        };
        Step::Consumed { len, message: Some(message) }
    }

    fn handle_gap(&mut self, _direction: Direction, before: &[u8], len: u64) -> u64 {
        // What is cut off ends with its datagram.
        self.cut = Some(Cut { bytes: before.to_vec(), hidden: len });
        len.saturating_add(before.len() as u64)
    }

    fn resync(&mut self) {
        *self = Self::default();
    }

    fn rejoin(&mut self, _direction: Direction, _input: &[u8]) -> bool {
        true
    }
}

/// A message of which nothing is claimed.
const UNPAIRED: Message<'static> = Message::bare(Correlation::OneWay, Part::Whole);

impl Datagrams {
    fn request<'s>(
        &mut self,
        frame: Frame,
        payload: &[u8],
        scratch: &'s mut Scratch,
    ) -> Message<'s> {
        let is_binary = is_binary(payload);
        let fit = if is_binary { binary::fit(payload) } else { Requests::fit(payload) };
        if frame.part() != Some(Part::Whole) || fit == Fit::Other {
            return UNPAIRED;
        }
        let (mut requests, mut link) = (Requests::undivided(), Link::default());
        link.greet();
        let mut input = payload;
        if fit == Fit::Cut {
            let len = u64::from(u32::MAX);
            let known = match is_binary {
                true => binary::request_gap(&mut requests, payload, len),
                false => requests.handle_gap(payload, len),
            };
            if known == 0 {
                return UNPAIRED;
            }
            input = &[];
        }
        let step = match is_binary {
            true => binary::decode_request(&mut requests, input, &mut link, scratch),
            false => requests.decode(input, &mut link, scratch),
        };
        let Step::Consumed { message: Some(message), .. } = step else { return UNPAIRED };
        let correlation = match link.take() {
            Some(asked) if message.correlation == Correlation::Ordered && asked.keys <= 1 => {
                self.ask(frame.id, asked)
            }
            _ => Correlation::OneWay,
        };
        Message { correlation, ..message }
    }

    /// Notes a request that waits for its response.
    fn ask(&mut self, id: u16, asked: Asked) -> Correlation {
        self.count = self.count.wrapping_add(1);
        let number = FIRST_NUMBER.wrapping_add(self.count);
        let fresh = Waiting { id, number, asked, next: 0, reading: None, requests: 1, doubts: 0 };
        if let Some(index) = self.find(id)
            && let Some(old) = self.waiting.get_mut(index)
        {
            match old.doubts {
                0 => old.doubts = DOUBTS,
                1 => {
                    *old = fresh;
                    return Correlation::Id(number);
                }
                _ => old.doubts = old.doubts.saturating_sub(1),
            }
            old.requests = old.requests.saturating_add(1);
            return Correlation::OneWay;
        }
        if self.waiting.len() >= MAX_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(fresh);
        Correlation::Id(number)
    }

    fn find(&self, id: u16) -> Option<usize> {
        self.waiting.iter().position(|waiting| waiting.id == id)
    }

    fn response<'s>(
        &mut self,
        frame: Frame,
        payload: &[u8],
        hidden: u64,
        scratch: &'s mut Scratch,
    ) -> Message<'s> {
        let (Some(part), Some(index)) = (frame.part(), self.find(frame.id)) else {
            return UNPAIRED;
        };
        let Some(waiting) = self.waiting.get_mut(index) else { return UNPAIRED };
        let ends_message = matches!(part, Part::Whole | Part::Last);
        if waiting.doubts > 0 {
            waiting.requests = waiting.requests.saturating_sub(u16::from(ends_message));
            if waiting.requests == 0 {
                self.waiting.remove(index);
            }
            return UNPAIRED;
        }
        let correlation = Correlation::Id(waiting.number);
        let begins = waiting.reading.is_none();
        let reading = match waiting.reading.take() {
            // One was overtaken, or lost: when the response was complete is not known.
            _ if frame.sequence != waiting.next => None,
            None => Reading::new(waiting.asked, is_binary(payload)).map(Box::new),
            reading => reading,
        };
        waiting.next = if ends_message { 0 } else { waiting.next.wrapping_add(1) };
        let Some(mut reading) = reading else {
            self.waiting.remove(index);
            return UNPAIRED;
        };
        match reading.feed(payload, hidden, scratch) {
            Progress::More if !ends_message => {
                waiting.reading = Some(reading);
                let part = if begins { Part::First } else { Part::Middle };
                Message::bare(correlation, part)
            }
            Progress::Done if ends_message => {
                self.waiting.remove(index);
                let part = if begins { Part::Whole } else { Part::Last };
                let message = reading.message(scratch);
                message.map_or(UNPAIRED, |message| Message { correlation, part, ..message })
            }
            Progress::More | Progress::Done | Progress::Lost => {
                self.waiting.remove(index);
                UNPAIRED
            }
        }
    }
}

/// Whether what a datagram carries is of the binary protocol.
fn is_binary(payload: &[u8]) -> bool {
    payload.first().is_some_and(|&first| Dialect::of(first) == Dialect::Binary)
}
