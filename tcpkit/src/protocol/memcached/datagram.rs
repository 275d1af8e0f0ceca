//! Both protocols in UDP datagrams: eight bytes in front tell which request a datagram belongs to.
//!
//! From doc/protocol.txt, "UDP protocol": a request id that the client chooses, a sequence number, the
//! number of datagrams in the message, and two bytes of nothing. A request is one datagram.
//!
//! Clients give up what gets lost, and use its id again. Then it is not known whether a response is for
//! the old or the new request, so that neither is paired.

use std::collections::VecDeque;

use super::{
    Dialect, binary,
    link::{Asked, Link},
    request::{Fit, Requests},
    response::Responses,
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
}

/// A request that waits.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    id: u16,
    number: u64,
    asked: Asked,
    /// The datagram of its response that comes next.
    next: u16,
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
        if len == 0 {
            return Step::NeedMore { at_least: 1 };
        }
        let Some((frame, payload)) = Frame::read(input) else { return Step::Discard { len } };
        let message = match direction {
            Direction::Request => self.request(frame, payload, scratch),
            Direction::Response => self.response(frame, payload, scratch),
        };
        Step::Consumed { len, message: Some(message) }
    }

    fn handle_gap(&mut self, _direction: Direction, before: &[u8], len: u64) -> u64 {
        // What is cut off ends with its datagram.
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
const UNPAIRED: Message<'static> = Message {
    correlation: Correlation::OneWay,
    part: Part::Whole,
    status: crate::protocol::Status::Ok,
    completes_first: false,
    deadline_ns: None,
    operation: "",
    text: "",
    fields: &[],
    passed_over: 0,
};

impl Datagrams {
    fn request<'s>(
        &mut self,
        frame: Frame,
        payload: &[u8],
        scratch: &'s mut Scratch,
    ) -> Message<'s> {
        let Some(&first) = payload.first() else { return UNPAIRED };
        let is_binary = Dialect::of(first) == Dialect::Binary;
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
            Some(asked) if message.correlation == Correlation::Ordered => self.ask(frame.id, asked),
            _ => Correlation::OneWay,
        };
        Message { correlation, ..message }
    }

    /// Notes a request that waits for its response.
    fn ask(&mut self, id: u16, asked: Asked) -> Correlation {
        self.count = self.count.wrapping_add(1);
        let number = FIRST_NUMBER.wrapping_add(self.count);
        let fresh = Waiting { id, number, asked, next: 0, requests: 1, doubts: 0 };
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
        scratch: &'s mut Scratch,
    ) -> Message<'s> {
        let (Some(part), Some(index)) = (frame.part(), self.find(frame.id)) else {
            return UNPAIRED;
        };
        let Some(waiting) = self.waiting.get_mut(index) else { return UNPAIRED };
        let is_end = matches!(part, Part::Whole | Part::Last);
        if waiting.doubts > 0 {
            waiting.requests = waiting.requests.saturating_sub(u16::from(is_end));
            if waiting.requests == 0 {
                self.waiting.remove(index);
            }
            return UNPAIRED;
        }
        let (correlation, asked) = (Correlation::Id(waiting.number), waiting.asked);
        if frame.sequence != waiting.next {
            // One was overtaken, or lost: when the response was complete is not known.
            self.waiting.remove(index);
            return UNPAIRED;
        }
        waiting.next = waiting.next.wrapping_add(1);
        if is_end {
            self.waiting.remove(index);
        }
        if part != Part::Whole {
            return Message::bare(correlation, part);
        }
        let (mut responses, mut link) = (Responses::default(), Link::default());
        if link.push(asked).is_err() {
            return UNPAIRED;
        }
        let step = match payload.first().map(|&first| Dialect::of(first)) {
            Some(Dialect::Binary) => {
                binary::decode_response(&mut responses, payload, &mut link, scratch)
            }
            _ => responses.decode(payload, &mut link, scratch),
        };
        match step {
            Step::Consumed { message: Some(message), .. } => Message { correlation, ..message },
            // Not all of it was captured, or it is a list.
            _ => Message::bare(correlation, Part::Whole),
        }
    }
}
