//! The requests of one connection that wait for their responses, in order.
//!
//! Their texts lie one behind another in one buffer, so that a pipeline of thousands costs no
//! allocation each; a connection without open requests holds no buffer at all.

use std::{collections::VecDeque, num::NonZero};

use super::{ids::Ids, stream::Span};
use crate::flow::seq::Seq;
use crate::protocol::{Correlation, Message, Part};

/// A request that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub(super) span: Span,
    id: Option<u64>,
    /// Where its texts begin, counted from the first byte of text that this queue ever held.
    at: u64,
    /// Where its fields begin, counted likewise.
    fields_at: u64,
    operation_len: u16,
    text_len: u16,
    fields_len: u16,
    answered: bool,
    /// More of it is to come.
    partial: bool,
    /// It came in parts, so that the server may have begun to answer before it was complete.
    pub(super) divided: bool,
    /// Only the client's next turn tells where its response ends.
    turn: bool,
    /// How long the client is willing to wait, in ns.
    pub(super) deadline_ns: Option<NonZero<u64>>,
    /// The place in [`OpenQueue::answers`] of what came of its response.
    answer: Option<u32>,
}

/// What came of a response so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answer {
    pub(super) span: Span,
    /// When the first of the messages that it streams was complete, in ns.
    pub(super) first_ns: Option<u64>,
}

impl Answer {
    /// Takes in a part of the response.
    pub(super) fn add(&mut self, span: &Span, message: &Message<'_>) {
        self.span.extend(span);
        self.span.end_seq = span.end_seq;
        if message.completes_first && self.first_ns.is_none() {
            self.first_ns = Some(span.end_ns);
        }
    }

    /// What the first part of a response brings.
    pub(super) fn begin(span: &Span, message: &Message<'_>) -> Self {
        Self { span: *span, first_ns: message.completes_first.then_some(span.end_ns) }
    }
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
    /// How many requests left the front of `requests` so far: what is added to an index to get a
    /// place that stays the same.
    left: u64,
    waiting: usize,
    texts: Front<String>,
    fields: Front<Vec<u8>>,
    /// The numbers of those beyond the first [`NEAR`] when they came.
    ids: Option<Box<Ids>>,
    /// Responses of which a part came. Few messages come in parts, so they are not kept with the
    /// requests.
    answers: Vec<Answer>,
    /// The places of `answers` that are not in use.
    free_answers: Vec<u32>,
}

/// Bytes of which the front is dropped from time to time.
#[derive(Debug, Default)]
struct Front<B> {
    bytes: B,
    /// How many bytes were dropped so far.
    dropped: u64,
}

/// Dead bytes at the front of a buffer are dropped from this many on.
const COMPACT_BYTES: usize = 16 * 1024;

/// The most bytes of text that one connection's waiting requests take.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// So many requests are looked through for a number before the index is asked.
const NEAR: usize = 16;

/// Requests that were answered while older ones wait are dropped when they are the majority, and more
/// than this.
const MAX_ANSWERED: usize = 64;

/// What became of a part of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Partly {
    /// It was added to what came before.
    Added,
    /// No request waits for it.
    Unasked,
    /// Its sender had not received the request that it would answer.
    TooEarly,
}

impl Open {
    /// Whether a response was sent before its sender had received this request, so that it answers an
    /// earlier one.
    #[inline]
    pub(super) fn is_too_early(&self, response: &Span) -> bool {
        response.ack.is_some_and(|ack| ack.is_before(self.span.end_seq))
    }
}

impl<B> Front<B> {
    /// Where byte number `at` is in the buffer now.
    #[inline]
    fn index(&self, at: u64) -> usize {
        usize::try_from(at.saturating_sub(self.dropped)).unwrap_or(usize::MAX)
    }

    /// The number of the byte at `index` in the buffer.
    #[inline]
    fn number(&self, index: usize) -> u64 {
        self.dropped.saturating_add(index as u64)
    }

    /// Notes that `count` bytes are dropped.
    #[inline]
    fn drop_front(&mut self, count: usize) {
        self.dropped = self.dropped.saturating_add(count as u64);
    }
}

impl OpenQueue {
    /// How many requests wait.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    /// Adds a request; `false` when `max_open` wait already, or their texts take too much.
    pub(super) fn push(&mut self, span: &Span, message: &Message<'_>, max_open: usize) -> bool {
        let Message { operation, text, fields, .. } = *message;
        let (Ok(operation_len), Ok(text_len), Ok(fields_len)) = (
            u16::try_from(operation.len()),
            u16::try_from(text.len()),
            u16::try_from(fields.len()),
        ) else {
            return false;
        };
        let bytes = self.texts.bytes.len().saturating_add(self.fields.bytes.len());
        if self.waiting >= max_open || bytes > MAX_BYTES {
            return false;
        }
        let at = self.texts.number(self.texts.bytes.len());
        self.texts.bytes.push_str(operation);
        self.texts.bytes.push_str(text);
        let fields_at = self.fields.number(self.fields.bytes.len());
        if !fields.is_empty() {
            self.fields.bytes.extend_from_slice(fields);
        }
        let id = match message.correlation {
            Correlation::Id(id) => Some(id),
            Correlation::Ordered | Correlation::OneWay | Correlation::Turn => None,
        };
        if let Some(id) = id
            && self.requests.len() >= NEAR
        {
            let place = self.left.saturating_add(self.requests.len() as u64);
            self.ids.get_or_insert_default().insert(id, place);
        }
        if self.requests.capacity() == 0 {
            // Most clients have one request under way; a vector would begin with four.
            self.requests.reserve_exact(1);
        }
        let span = *span;
        let divided = message.part == Part::First;
        let open = Open {
            span,
            id,
            at,
            fields_at,
            operation_len,
            text_len,
            fields_len,
            answered: false,
            partial: divided,
            divided,
            turn: message.correlation == Correlation::Turn,
            deadline_ns: message.deadline_ns,
            answer: None,
        };
        self.requests.push_back(open);
        self.waiting = self.waiting.saturating_add(1);
        true
    }

    /// The request that a response with this correlation answers, without removing its texts; they
    /// stay until [`Self::settle`].
    #[inline]
    pub(super) fn answer(&mut self, correlation: Correlation) -> Option<Open> {
        let open = match correlation {
            Correlation::Ordered => {
                let index = self.requests.iter().position(|open| !open.answered)?;
                let open = self.requests.get_mut(index)?;
                if let (Some(id), Some(ids)) = (open.id, &mut self.ids) {
                    ids.remove(id, self.left.saturating_add(index as u64));
                }
                open
            }
            Correlation::Id(id) => {
                let index = self.find(id)?;
                self.requests.get_mut(index)?
            }
            Correlation::OneWay => return None,
            Correlation::Turn => self.requests.front_mut().filter(|open| !open.answered)?,
        };
        open.answered = true;
        self.waiting = self.waiting.saturating_sub(1);
        Some(*open)
    }

    /// Where the request with this number is, which leaves the index.
    fn find(&mut self, id: u64) -> Option<usize> {
        let index = self.locate(id)?;
        if let Some(ids) = &mut self.ids {
            ids.remove(id, self.left.saturating_add(index as u64));
        }
        Some(index)
    }

    /// Where the request with this number is.
    fn locate(&self, id: u64) -> Option<usize> {
        let is_it = |open: &Open| !open.answered && open.id == Some(id);
        let near = self.requests.iter().take(NEAR).position(is_it);
        if near.is_some() {
            return near;
        }
        let place = self.ids.as_ref()?.find(id)?;
        usize::try_from(place.checked_sub(self.left)?).ok()
    }

    /// The request of which a further part came.
    pub(super) fn in_progress(&mut self, correlation: Correlation) -> Option<&mut Open> {
        let open = match correlation {
            Correlation::Id(id) => {
                let index = self.locate(id)?;
                self.requests.get_mut(index)?
            }
            Correlation::Ordered | Correlation::Turn => self.requests.back_mut()?,
            Correlation::OneWay => return None,
        };
        (open.partial && !open.answered).then_some(open)
    }

    /// Gives up the request that such a response would answer; returns whether there was one.
    pub(super) fn forget(&mut self, correlation: Correlation) -> bool {
        let Some(open) = self.answer(correlation) else { return false };
        self.take_answer(&open);
        true
    }

    /// More came of the request that waits, where there is one at most; with it, if it is not empty, the
    /// text so far. Returns whether there is one.
    pub(super) fn go_on(&mut self, span: &Span, text: &str) -> bool {
        let Some(open) = self.requests.back_mut().filter(|open| !open.answered) else {
            return false;
        };
        open.span.extend(span);
        let end = self.texts.index(open.at).saturating_add(usize::from(open.operation_len));
        let known = self.texts.bytes.get(end..).unwrap_or("");
        if let Ok(len @ 1..) = u16::try_from(text.len())
            && (text.starts_with(known)
                || known.starts_with(text.strip_suffix("...").unwrap_or(text)))
        {
            self.texts.bytes.truncate(self.texts.bytes.floor_char_boundary(end));
            self.texts.bytes.push_str(text);
            open.text_len = len;
        }
        true
    }

    /// Takes a further part of a request into account.
    pub(super) fn extend(&mut self, correlation: Correlation, span: &Span, is_last: bool) {
        if let Some(open) = self.in_progress(correlation) {
            open.span.extend(span);
            open.partial = !is_last;
        }
    }

    /// Bytes of requests were lost: those in progress can be timed no more.
    pub(super) fn spoil_requests(&mut self) {
        for open in self.requests.iter_mut().filter(|open| open.partial) {
            open.span.lost = true;
            open.span.untimed = true;
            open.partial = false;
        }
    }

    /// Adds a part of a response that goes on; `false` when no request waits for it. The first part
    /// is refused, as by [`Open::is_too_early`], by the request that it cannot answer.
    pub(super) fn answer_in_part(&mut self, span: &Span, message: &Message<'_>) -> Partly {
        let index = match message.correlation {
            Correlation::Id(id) => self.locate(id),
            Correlation::Ordered | Correlation::Turn => {
                self.requests.iter().position(|open| !open.answered)
            }
            Correlation::OneWay => None,
        };
        let Some(open) = index.and_then(|index| self.requests.get_mut(index)) else {
            return Partly::Unasked;
        };
        if let Some(answer) = open.answer.and_then(|at| self.answers.get_mut(at as usize)) {
            answer.add(span, message);
            return Partly::Added;
        }
        if open.is_too_early(span) {
            return Partly::TooEarly;
        }
        let begun = Answer::begin(span, message);
        if let Some(at) = self.free_answers.pop() {
            if let Some(place) = self.answers.get_mut(at as usize) {
                *place = begun;
            }
            open.answer = Some(at);
        } else if let Ok(at) = u32::try_from(self.answers.len()) {
            self.answers.push(begun);
            open.answer = Some(at);
        }
        Partly::Added
    }

    /// What came of the response to a request returned by [`Self::answer`] before its last part.
    pub(super) fn take_answer(&mut self, open: &Open) -> Option<Answer> {
        let at = open.answer?;
        self.free_answers.push(at);
        self.answers.get(at as usize).copied()
    }

    /// Whether the client went on, in a part of a request that knows of what came before `ack`, before it
    /// had received the response so far; then neither turn's end is known.
    pub(super) fn is_overtaken(&mut self, ack: Option<Seq>) -> bool {
        let open = self.requests.front().filter(|open| open.turn && !open.answered);
        let answer = open.and_then(|open| open.answer);
        let Some(answer) = answer.and_then(|at| self.answers.get_mut(at as usize)) else {
            return false;
        };
        let overtakes = ack.is_some_and(|ack| ack.is_before(answer.span.end_seq));
        answer.span.untimed |= overtakes;
        overtakes
    }

    /// When the latest part of a response came whose end only a new turn tells.
    pub(super) fn turn_answered_ns(&self) -> Option<u64> {
        let at = self.requests.front().filter(|open| open.turn && !open.answered)?.answer?;
        Some(self.answers.get(at as usize)?.span.end_ns)
    }

    /// The texts of a request returned by [`Self::answer`].
    #[inline]
    pub(super) fn texts(&self, open: &Open) -> Texts<'_> {
        let texts = self.texts.bytes.get(self.texts.index(open.at)..).unwrap_or("");
        let (operation, texts) =
            texts.split_at_checked(usize::from(open.operation_len)).unwrap_or(("", ""));
        let fields = self.fields.bytes.get(self.fields.index(open.fields_at)..).unwrap_or(&[]);
        Texts {
            operation,
            text: texts.get(..usize::from(open.text_len)).unwrap_or(""),
            fields: fields.get(..usize::from(open.fields_len)).unwrap_or(&[]),
        }
    }

    /// Forgets requests that were answered.
    #[inline]
    pub(super) fn settle(&mut self) {
        while self.requests.front().is_some_and(|open| open.answered) {
            self.requests.pop_front();
            self.left = self.left.saturating_add(1);
        }
        let Some(front) = self.requests.front() else {
            self.texts.drop_front(self.texts.bytes.len());
            self.texts.bytes.clear();
            self.fields.drop_front(self.fields.bytes.len());
            self.fields.bytes.clear();
            return;
        };
        let dead = self.texts.index(front.at).min(self.texts.bytes.len());
        let dead_fields = self.fields.index(front.fields_at).min(self.fields.bytes.len());
        if dead >= COMPACT_BYTES && dead >= self.texts.bytes.len() / 2 {
            self.texts.bytes.drain(..self.texts.bytes.floor_char_boundary(dead));
            self.texts.drop_front(dead);
        }
        if dead_fields >= COMPACT_BYTES && dead_fields >= self.fields.bytes.len() / 2 {
            self.fields.bytes.drain(..dead_fields);
            self.fields.drop_front(dead_fields);
        }
        let answered = self.requests.len().saturating_sub(self.waiting);
        if answered > MAX_ANSWERED && answered > self.waiting {
            self.compact();
        }
    }

    /// Drops those that were answered from behind an old one that still waits, which a stream of
    /// numbered messages may have for hours.
    #[cold]
    fn compact(&mut self) {
        let mut kept = Self {
            ids: self.ids.take(),
            answers: std::mem::take(&mut self.answers),
            free_answers: std::mem::take(&mut self.free_answers),
            ..Self::default()
        };
        if let Some(ids) = &mut kept.ids {
            ids.clear();
        }
        for open in self.requests.iter().filter(|open| !open.answered) {
            let Texts { operation, text, fields } = self.texts(open);
            let correlation = open.id.map_or(Correlation::Ordered, Correlation::Id);
            let bare = Message::bare(correlation, Part::Whole);
            let message = Message { operation, text, fields, ..bare };
            kept.push(&open.span, &message, usize::MAX);
            if let Some(moved) = kept.requests.back_mut() {
                let Open { at, fields_at, .. } = *moved;
                *moved = Open { at, fields_at, ..*open };
            }
        }
        *self = kept;
    }

    /// Forgets everything; returns how many requests were waiting.
    fn clear(&mut self) -> usize {
        let waiting = self.waiting;
        self.requests.clear();
        self.texts.bytes.clear();
        self.texts.dropped = 0;
        self.fields.bytes.clear();
        self.fields.dropped = 0;
        self.answers.clear();
        self.free_answers.clear();
        (self.left, self.waiting) = (0, 0);
        self.ids = None;
        waiting
    }

    /// The memory that is kept for requests to come, in bytes.
    #[inline]
    fn capacity(&self) -> usize {
        let requests = self.requests.capacity().saturating_mul(size_of::<Open>());
        let texts = self.texts.bytes.capacity().saturating_add(self.fields.bytes.capacity());
        let answers = self.answers.capacity().saturating_mul(size_of::<Answer>());
        requests.saturating_add(texts).saturating_add(answers)
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
        if self.spare.len() < MAX_SPARE && queue.capacity() <= MAX_SPARE_BYTES {
            self.spare.push(queue);
        }
        waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request<'a>(text: &'a str, correlation: Correlation) -> Message<'a> {
        let bare = Message::bare(correlation, Part::Whole);
        Message { operation: "OP", text, fields: b"ff", ..bare }
    }

    #[test]
    fn ordered_requests_are_answered_first_come_first_served() {
        let mut queue = OpenQueue::default();
        for text in ["a", "bb", ""] {
            assert!(queue.push(&Span::default(), &request(text, Correlation::Ordered), 10));
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
            assert!(queue.push(&Span::default(), &request(&text, Correlation::Id(id)), 10));
        }
        for id in [2, 3, 1] {
            let open = queue.answer(Correlation::Id(id)).expect("it waits");
            assert_eq!(queue.texts(&open).text, id.to_string());
            assert!(queue.answer(Correlation::Id(id)).is_none());
            queue.settle();
        }
        assert!(queue.texts.bytes.is_empty() && queue.fields.bytes.is_empty());
    }

    /// As a connection with a stream that stays open behaves.
    #[test]
    fn one_that_waits_for_long_holds_up_nothing() {
        let mut queue = OpenQueue::default();
        let push = |queue: &mut OpenQueue, id: u64| {
            let text = format!("request {id}");
            assert!(queue.push(&Span::default(), &request(&text, Correlation::Id(id)), 40));
        };
        push(&mut queue, 0);
        // Always 30 more under way, answered in the order in which a shuffle puts them.
        (1..=30).for_each(|id| push(&mut queue, id));
        let mut open: Vec<u64> = (1..=30).collect();
        for id in 31..20_000 {
            push(&mut queue, id);
            let index = (id * 7919 % 31) as usize;
            open.push(id);
            let answered = open.swap_remove(index);
            let found = queue.answer(Correlation::Id(answered)).expect("it waits");
            assert_eq!(queue.texts(&found).text, format!("request {answered}"));
            assert!(queue.answer(Correlation::Id(answered)).is_none());
            queue.settle();
            assert_eq!(queue.len(), 31);
        }
        assert!(queue.capacity() < 64 * 1024);
        let first = queue.answer(Correlation::Id(0)).expect("it still waits");
        assert_eq!(queue.texts(&first).text, "request 0");
        assert_eq!(queue.ids.as_ref().map(|ids| ids.find(0)), Some(None));
    }

    #[test]
    fn a_numbered_request_that_is_answered_in_its_turn_is_not_found_again() {
        let mut queue = OpenQueue::default();
        for id in 0..100 {
            assert!(queue.push(&Span::default(), &request("a", Correlation::Id(id)), 1000));
        }
        for _ in 0..50 {
            assert!(queue.answer(Correlation::Ordered).is_some());
        }
        // Not settled yet: they are still there, and answered.
        assert!(queue.answer(Correlation::Id(40)).is_none());
        assert_eq!(queue.len(), 50);
        assert!(queue.push(&Span::default(), &request("new", Correlation::Id(40)), 1000));
        let open = queue.answer(Correlation::Id(40)).expect("the new one waits");
        assert_eq!(queue.texts(&open).text, "new");
    }

    #[test]
    fn a_full_queue_takes_no_more() {
        let mut queue = OpenQueue::default();
        assert!(queue.push(&Span::default(), &request("a", Correlation::Ordered), 1));
        assert!(!queue.push(&Span::default(), &request("b", Correlation::Ordered), 1));
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn a_queue_that_is_never_empty_does_not_grow() {
        let mut queue = OpenQueue::default();
        let text = "x".repeat(128);
        queue.push(&Span::default(), &request(&text, Correlation::Ordered), 10);
        for _ in 0..10_000 {
            queue.push(&Span::default(), &request(&text, Correlation::Ordered), 10);
            let open = queue.answer(Correlation::Ordered).expect("one waits");
            assert_eq!(queue.texts(&open).text, text);
            queue.settle();
        }
        assert!(queue.capacity() < 4 * COMPACT_BYTES);
    }
}
