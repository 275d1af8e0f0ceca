//! The requests of one connection that wait for their responses, in order.
//!
//! Their texts lie one behind another in one buffer, so that a pipeline of thousands costs no
//! allocation each; a connection without open requests holds no buffer at all.

use std::collections::VecDeque;

use super::stream::Span;
use crate::protocol::{Correlation, Message};

/// A request that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub(super) span: Span,
    id: Option<u64>,
    /// Where its texts begin, counted from the first byte this queue ever held.
    at: u64,
    operation_len: u16,
    text_len: u16,
    fields_len: u16,
    answered: bool,
}

/// A request's texts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Texts<'a> {
    pub(super) operation: &'a str,
    pub(super) text: &'a str,
    pub(super) fields: &'a [u8],
}

/// The waiting requests of one connection.
#[derive(Debug, Default)]
pub(super) struct OpenQueue {
    requests: VecDeque<Open>,
    waiting: usize,
    bytes: Vec<u8>,
    /// How many bytes were dropped from the front of `bytes` so far.
    base: u64,
}

/// Dead bytes at the front of the buffer are dropped from this many on.
const COMPACT_BYTES: usize = 16 * 1024;

/// The most bytes of text that one connection's waiting requests take.
const MAX_BYTES: usize = 4 * 1024 * 1024;

impl OpenQueue {
    /// How many requests wait.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    /// Adds a request; `false` when `max_open` wait already, or their texts take too much.
    pub(super) fn push(&mut self, span: Span, message: &Message<'_>, max_open: usize) -> bool {
        let (Ok(operation_len), Ok(text_len), Ok(fields_len)) = (
            u16::try_from(message.operation.len()),
            u16::try_from(message.text.len()),
            u16::try_from(message.fields.len()),
        ) else {
            return false;
        };
        if self.requests.len() >= max_open || self.bytes.len() > MAX_BYTES {
            return false;
        }
        let at = self.base.saturating_add(u64::try_from(self.bytes.len()).unwrap_or(u64::MAX));
        self.bytes.extend_from_slice(message.operation.as_bytes());
        self.bytes.extend_from_slice(message.text.as_bytes());
        self.bytes.extend_from_slice(message.fields);
        let id = match message.correlation {
            Correlation::Id(id) => Some(id),
            Correlation::Ordered | Correlation::OneWay => None,
        };
        self.requests.push_back(Open {
            span,
            id,
            at,
            operation_len,
            text_len,
            fields_len,
            answered: false,
        });
        self.waiting = self.waiting.saturating_add(1);
        true
    }

    /// The request that a response with this correlation answers, without removing its texts; they
    /// stay until [`Self::settle`].
    pub(super) fn answer(&mut self, correlation: Correlation) -> Option<Open> {
        let open = match correlation {
            Correlation::Ordered => self.requests.iter_mut().find(|open| !open.answered)?,
            Correlation::Id(id) => {
                self.requests.iter_mut().find(|open| !open.answered && open.id == Some(id))?
            }
            Correlation::OneWay => return None,
        };
        open.answered = true;
        self.waiting = self.waiting.saturating_sub(1);
        Some(*open)
    }

    /// The texts of a request returned by [`Self::answer`].
    pub(super) fn texts(&self, open: &Open) -> Texts<'_> {
        let start = usize::try_from(open.at.saturating_sub(self.base)).unwrap_or(usize::MAX);
        let bytes = self.bytes.get(start..).unwrap_or(&[]);
        let (operation, bytes) =
            bytes.split_at_checked(usize::from(open.operation_len)).unwrap_or((&[], &[]));
        let (text, bytes) =
            bytes.split_at_checked(usize::from(open.text_len)).unwrap_or((&[], &[]));
        Texts {
            operation: std::str::from_utf8(operation).unwrap_or(""),
            text: std::str::from_utf8(text).unwrap_or(""),
            fields: bytes.get(..usize::from(open.fields_len)).unwrap_or(&[]),
        }
    }

    /// Forgets the requests at the front that were answered.
    pub(super) fn settle(&mut self) {
        while self.requests.front().is_some_and(|open| open.answered) {
            self.requests.pop_front();
        }
        let Some(front) = self.requests.front() else {
            self.base =
                self.base.saturating_add(u64::try_from(self.bytes.len()).unwrap_or(u64::MAX));
            self.bytes.clear();
            return;
        };
        let dead = usize::try_from(front.at.saturating_sub(self.base)).unwrap_or(usize::MAX);
        if dead >= COMPACT_BYTES && dead >= self.bytes.len() / 2 {
            self.bytes.drain(..dead.min(self.bytes.len()));
            self.base = front.at;
        }
    }

    /// Forgets everything; returns how many requests were waiting.
    fn clear(&mut self) -> usize {
        let waiting = self.waiting;
        self.requests.clear();
        self.bytes.clear();
        self.waiting = 0;
        self.base = 0;
        waiting
    }
}

/// Empty queues, for connections to take while they have open requests.
#[derive(Debug, Default)]
pub struct OpenPool {
    #[expect(clippy::vec_box, reason = "connections hold boxes; moving one here copies a pointer")]
    spare: Vec<Box<OpenQueue>>,
}

/// How many empty queues are kept.
const MAX_SPARE: usize = 256;

/// A queue that grew beyond this many bytes is freed instead of kept.
const MAX_SPARE_BYTES: usize = 64 * 1024;

impl OpenPool {
    pub(super) fn take(&mut self) -> Box<OpenQueue> {
        self.spare.pop().unwrap_or_default()
    }

    /// Takes back a queue; returns how many requests were still waiting in it.
    pub(super) fn put(&mut self, mut queue: Box<OpenQueue>) -> usize {
        let waiting = queue.clear();
        if self.spare.len() < MAX_SPARE && queue.bytes.capacity() <= MAX_SPARE_BYTES {
            self.spare.push(queue);
        }
        waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Status;

    fn request<'a>(text: &'a str, correlation: Correlation) -> Message<'a> {
        Message { correlation, status: Status::Ok, operation: "OP", text, fields: b"ff" }
    }

    #[test]
    fn ordered_requests_are_answered_first_come_first_served() {
        let mut queue = OpenQueue::default();
        for text in ["a", "bb", ""] {
            assert!(queue.push(Span::default(), &request(text, Correlation::Ordered), 10));
        }
        for text in ["a", "bb", ""] {
            let open = queue.answer(Correlation::Ordered).expect("a request waits");
            let texts = queue.texts(&open);
            assert_eq!((texts.operation, texts.text, texts.fields), ("OP", text, &b"ff"[..]));
            queue.settle();
        }
        assert!(queue.answer(Correlation::Ordered).is_none());
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn numbered_requests_are_answered_in_any_order() {
        let mut queue = OpenQueue::default();
        for id in 1..=3 {
            let text = id.to_string();
            assert!(queue.push(Span::default(), &request(&text, Correlation::Id(id)), 10));
        }
        for id in [2, 3, 1] {
            let open = queue.answer(Correlation::Id(id)).expect("it waits");
            assert_eq!(queue.texts(&open).text, id.to_string());
            assert!(queue.answer(Correlation::Id(id)).is_none());
            queue.settle();
        }
        assert!(queue.bytes.is_empty());
    }

    #[test]
    fn a_full_queue_takes_no_more() {
        let mut queue = OpenQueue::default();
        assert!(queue.push(Span::default(), &request("a", Correlation::Ordered), 1));
        assert!(!queue.push(Span::default(), &request("b", Correlation::Ordered), 1));
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn a_queue_that_is_never_empty_does_not_grow() {
        let mut queue = OpenQueue::default();
        let text = "x".repeat(128);
        queue.push(Span::default(), &request(&text, Correlation::Ordered), 10);
        for _ in 0..10_000 {
            queue.push(Span::default(), &request(&text, Correlation::Ordered), 10);
            let open = queue.answer(Correlation::Ordered).expect("one waits");
            assert_eq!(queue.texts(&open).text, text);
            queue.settle();
        }
        assert!(queue.bytes.capacity() < 4 * COMPACT_BYTES);
    }
}
