//! What a decoded message does: a request waits, a response finds its request.

use std::num::NonZero;

use super::{
    Emit, OpenPool, Quality, Timing, Transaction,
    conversation::{ConversationLimits, Ends, Lost},
    open::{Answer, Open, OpenQueue, Partly},
    probation::Probation,
    stream::Span,
};
use crate::{
    ledger::MessageCounts,
    protocol::{Correlation, Entry, Fields, Message, Part, Protocol, Status},
};

/// A conversation's pairing state, borrowed while its stream is being decoded.
pub(super) struct Pairing<'c, 'e> {
    pub(super) protocol: &'static Protocol,
    pub(super) entry: Entry,
    pub(super) ends: Ends<'c>,
    pub(super) level: Quality,
    pub(super) wall_offset_ns: i64,
    pub(super) limits: ConversationLimits,
    pub(super) open: &'c mut Option<Box<OpenQueue>>,
    pub(super) probation: &'c mut Option<Box<Probation>>,
    pub(super) pool: &'c mut OpenPool,
    pub(super) counts: &'c mut MessageCounts,
    pub(super) emit: &'c mut Emit<'e>,
}

impl Pairing<'_, '_> {
    #[inline]
    pub(super) fn on_request(&mut self, span: &Span, message: &Message<'_>) -> Result<(), Lost> {
        let is_turn = message.correlation == Correlation::Turn;
        if is_turn || !matches!(message.part, Part::Whole | Part::First) {
            return self.on_later_request(span, message);
        }
        self.counts.requests += 1;
        if message.correlation == Correlation::OneWay {
            self.counts.requests_one_way += 1;
            return Ok(());
        }
        self.push(span, message)
    }

    fn push(&mut self, span: &Span, message: &Message<'_>) -> Result<(), Lost> {
        let queue = self.open.get_or_insert_with(|| self.pool.take());
        if self.entry.is_numbered() && queue.len() >= self.limits.max_open {
            // Some responses never come, or got lost: the oldest has the least to hope for.
            self.counts.requests_overflowed += u64::from(queue.forget(Correlation::Ordered));
            queue.settle();
        }
        let untimed;
        let mut span = span;
        if self.entry == Entry::Datagram && queue.forget(message.correlation) {
            // An earlier one with this number was answered by a datagram that got lost, or is still to be
            // answered: nobody can tell whose the next response is.
            self.counts.requests_lost += 1;
            queue.settle();
            untimed = Span { untimed: true, ..*span };
            span = &untimed;
        }
        if queue.push(span, message, self.limits.max_open) {
            return Ok(());
        }
        self.counts.requests_overflowed += 1;
        // With numbers the others are not in doubt: to the response that comes no request will be found.
        if self.entry.is_numbered() { Ok(()) } else { Err(Lost::Overflow) }
    }

    /// A part of a request that is not its first, or of one whose beginning only the turns tell.
    #[inline(never)]
    fn on_later_request(&mut self, span: &Span, message: &Message<'_>) -> Result<(), Lost> {
        match (message.correlation, message.part) {
            (Correlation::Turn, _) => {
                if span.lost {
                    // Of the other side bytes may be missing too, which nobody knows of yet: where
                    // one turn ends and the next begins is not certain.
                    return Err(Lost::Hidden);
                }
                let overtakes =
                    self.open.as_mut().is_some_and(|queue| queue.is_overtaken(span.ack));
                if self.finish_turn() {
                    // The client goes on with its request.
                    if self.open.as_mut().is_some_and(|queue| queue.go_on(span, message.text)) {
                        return Ok(());
                    }
                }
                self.counts.requests += 1;
                self.push(&Span { untimed: span.untimed | overtakes, ..*span }, message)
            }
            (_, Part::Cancel) => {
                self.cancel(span, message);
                Ok(())
            }
            (correlation, part) => {
                // A request that was answered, or was not seen, may have parts still.
                if let Some(queue) = self.open {
                    queue.extend(correlation, span, part == Part::Last);
                }
                Ok(())
            }
        }
    }

    #[inline]
    pub(super) fn on_response(&mut self, span: &Span, message: &Message<'_>) -> Result<(), Lost> {
        match message.part {
            Part::First | Part::Middle | Part::Cancel => return self.on_part(span, message),
            Part::Void => {
                self.void(message);
                return Ok(());
            }
            Part::Whole | Part::Last if message.correlation == Correlation::Turn => {
                return self.on_part(span, message);
            }
            Part::Whole | Part::Last => {}
        }
        self.counts.responses += 1;
        if message.correlation == Correlation::OneWay {
            self.counts.responses_one_way += 1;
            return Ok(());
        }
        if message.passed_over > 0 {
            self.pass_over(message.passed_over);
        }
        let Some(open) = self.open.as_mut().and_then(|queue| queue.answer(message.correlation))
        else {
            return self.orphan();
        };
        let answer = match message.part {
            Part::Last => self.open.as_mut().and_then(|queue| queue.take_answer(&open)),
            _ => None,
        };
        match answer {
            Some(mut answer) => {
                answer.add(span, message);
                self.counts.paired += 1;
                self.report(&open, &answer.span, answer.first_ns, message);
            }
            // Its beginning was not read.
            None if message.part == Part::Last => {
                self.counts.paired += 1;
                self.counts.untimed += 1;
            }
            // Nobody answers what has not arrived: this response belongs to an earlier request.
            None if open.is_too_early(span) => {
                self.counts.requests_lost += 1;
                self.settle();
                return self.orphan();
            }
            None => {
                self.counts.paired += 1;
                let first_ns = message.completes_first.then_some(span.end_ns);
                self.report(&open, span, first_ns, message);
            }
        }
        self.settle();
        Ok(())
    }

    /// The server had nothing to say to the oldest requests, and answers a later one.
    #[cold]
    fn pass_over(&mut self, count: u32) {
        for _ in 0..count {
            let forget = |queue: &mut Box<OpenQueue>| queue.forget(Correlation::Ordered);
            self.counts.requests_one_way += u64::from(self.open.as_mut().is_some_and(forget));
        }
    }

    /// A response without a request. Where messages carry numbers, that its request was not seen is all
    /// it says; where only their order tells, the order is another than was thought.
    fn orphan(&mut self) -> Result<(), Lost> {
        self.counts.orphans += 1;
        if self.entry.is_numbered() { Ok(()) } else { Err(Lost::Orphan) }
    }

    /// A part of a response that is not its last, as far as is known.
    #[inline(never)]
    fn on_part(&mut self, span: &Span, message: &Message<'_>) -> Result<(), Lost> {
        if span.lost && message.correlation == Correlation::Turn {
            return Err(Lost::Hidden);
        }
        let found = match self.open {
            Some(queue) => queue.answer_in_part(span, message),
            None => Partly::Unasked,
        };
        match (found, message.correlation) {
            (Partly::Added, _) => Ok(()),
            (_, Correlation::Turn) => {
                self.counts.responses += 1;
                self.counts.responses_one_way += 1;
                Ok(())
            }
            (_, Correlation::OneWay) => Ok(()),
            // Counted with its last part.
            _ if self.entry.is_numbered() => Ok(()),
            _ => {
                self.counts.responses += 1;
                self.orphan()
            }
        }
    }

    /// The server's turn is over; returns whether it had not begun.
    pub(super) fn finish_turn(&mut self) -> bool {
        let Some(queue) = self.open.as_mut() else { return false };
        if queue.turn_answered_ns().is_none() {
            return true;
        }
        if let Some(open) = queue.answer(Correlation::Turn)
            && let Some(answer) = queue.take_answer(&open)
        {
            self.counts.responses += 1;
            self.counts.paired += 1;
            let bare = Message::bare(Correlation::Turn, Part::Last);
            let bare = Message { status: Status::Unknown, ..bare };
            self.report(&open, &answer.span, answer.first_ns, &bare);
        }
        self.settle();
        false
    }

    /// A request was answered by what is not told.
    #[cold]
    fn void(&mut self, message: &Message<'_>) {
        self.counts.responses += 1;
        self.counts.responses_one_way += 1;
        let forgotten = self.open.as_mut().is_some_and(|queue| queue.forget(message.correlation));
        self.counts.requests_one_way += u64::from(forgotten);
        self.settle();
    }

    /// The client gave a request up.
    fn cancel(&mut self, span: &Span, message: &Message<'_>) {
        let Some(queue) = self.open.as_mut() else { return };
        let Some(open) = queue.answer(message.correlation) else { return };
        let mut answer = queue.take_answer(&open).unwrap_or_else(|| Answer {
            span: Span { start_ns: span.start_ns, ..Span::default() },
            ..Answer::default()
        });
        answer.span.extend(&Span { bytes: 0, ..*span });
        self.counts.requests_cancelled += 1;
        self.report(&open, &answer.span, answer.first_ns, message);
        self.settle();
    }

    #[inline]
    fn settle(&mut self) {
        if let Some(queue) = self.open.as_mut() {
            queue.settle();
            if queue.len() == 0
                && let Some(queue) = self.open.take()
            {
                self.pool.put(queue);
            }
        }
    }

    fn report(
        &mut self,
        open: &Open,
        response: &Span,
        first_ns: Option<u64>,
        message: &Message<'_>,
    ) {
        let request = &open.span;
        let Some(timing) = timing(open, response) else {
            self.counts.untimed += 1;
            return;
        };
        if self.probation.is_none() && timing.latency_ns() < self.limits.least_ns {
            self.counts.reported += 1;
            return;
        }
        let Some(queue) = self.open.as_ref() else { return };
        let texts = queue.texts(open);
        let quality = if request.cut || response.cut {
            Quality::Truncated
        } else if request.lost || response.lost {
            Quality::Gap
        } else {
            self.level
        };
        let names = self.protocol.field_names;
        let transaction = Transaction {
            unix_ns: request.start_ns.saturating_add_signed(self.wall_offset_ns),
            client: *self.ends.client,
            server: *self.ends.server,
            protocol: self.protocol.name,
            operation: texts.operation,
            request: texts.text,
            response: message.text,
            status: message.status,
            cancelled: message.part == Part::Cancel,
            timing,
            first_ns: first_ns.and_then(|first_ns| first_ns.checked_sub(request.start_ns)),
            deadline_ns: open.deadline_ns.map(NonZero::get),
            request_bytes: request.bytes,
            response_bytes: response.bytes,
            quality,
            request_fields: Fields::new(names, texts.fields),
            response_fields: Fields::new(names, message.fields),
        };
        match self.probation {
            Some(probation) => {
                let dropped = probation.hold(&transaction);
                self.counts.unproven += u64::try_from(dropped).unwrap_or(u64::MAX);
            }
            None => {
                self.counts.reported += 1;
                (self.emit)(&transaction);
            }
        }
    }
}

/// Where the time went; `None` when the times are not known, or contradict each other.
fn timing(open: &Open, response: &Span) -> Option<Timing> {
    let request = &open.span;
    if request.untimed || response.untimed {
        return None;
    }
    // A response that began before its request was complete ends the request's part of the time.
    let request_end_ns =
        if open.divided { request.end_ns.min(response.start_ns) } else { request.end_ns };
    Some(Timing {
        request_ns: request_end_ns.checked_sub(request.start_ns)?,
        wait_ns: response.start_ns.checked_sub(request_end_ns)?,
        response_ns: response.end_ns.checked_sub(response.start_ns)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{packet::Endpoint, protocol::PROTOCOLS};

    /// Lets `talk` happen to a pairing with room for ten requests; returns what was counted, the requests
    /// that were printed, and whether any still waits.
    fn play(
        entry: Entry,
        talk: impl FnOnce(&mut Pairing<'_, '_>),
    ) -> (MessageCounts, Vec<String>, bool) {
        let end = Endpoint::v4([10, 0, 0, 1], 1);
        let (mut open, mut probation, mut pool) = (None, None, OpenPool::default());
        let (mut counts, mut requests) = (MessageCounts::default(), Vec::new());
        talk(&mut Pairing {
            protocol: PROTOCOLS[0],
            entry,
            ends: Ends { client: &end, server: &end },
            level: Quality::Exact,
            wall_offset_ns: 0,
            limits: ConversationLimits { max_open: 10, least_ns: 0 },
            open: &mut open,
            probation: &mut probation,
            pool: &mut pool,
            counts: &mut counts,
            emit: &mut |transaction| requests.push(transaction.request.to_owned()),
        });
        (counts, requests, open.is_some())
    }

    fn at(time_ns: u64) -> Span {
        Span { start_ns: time_ns, end_ns: time_ns, ..Span::default() }
    }

    #[test]
    fn requests_that_are_passed_over_wait_no_longer() {
        let bare = Message::bare(Correlation::Ordered, Part::Whole);
        let (counts, requests, waits) = play(Entry::Turn, |pairing| {
            for text in ["a", "b", "c", "d"] {
                assert_eq!(pairing.on_request(&at(0), &Message { text, ..bare }), Ok(()));
            }
            for passed_over in [2, 0] {
                let message = Message { passed_over, ..bare };
                assert_eq!(pairing.on_response(&at(0), &message), Ok(()));
            }
        });
        assert_eq!((counts.requests, counts.paired, counts.requests_one_way), (4, 2, 2));
        assert_eq!((requests, waits), (vec!["c".to_owned(), "d".to_owned()], false));
    }

    #[test]
    fn a_response_whose_beginning_was_not_read_has_no_times() {
        let bare = Message::bare(Correlation::Id(7), Part::Whole);
        let (counts, requests, waits) = play(Entry::Number, |pairing| {
            for (part, text) in [(Part::Last, "cut"), (Part::Whole, "whole"), (Part::Void, "void")]
            {
                assert_eq!(pairing.on_request(&at(1), &Message { text, ..bare }), Ok(()));
                assert_eq!(pairing.on_response(&at(5), &Message { part, ..bare }), Ok(()));
            }
        });
        assert_eq!((counts.paired, counts.untimed, counts.reported), (2, 1, 1));
        assert_eq!((counts.requests_one_way, counts.responses_one_way), (1, 1));
        assert_eq!((requests, waits), (vec!["whole".to_owned()], false));
    }

    #[test]
    fn numbered_requests_that_nobody_answers_make_room() {
        let number = |id| Message::bare(Correlation::Id(id), Part::Whole);
        let (counts, requests, _) = play(Entry::Number, |pairing| {
            for id in 0..25 {
                let text = ["old", "new"][usize::from(id == 24)];
                assert_eq!(pairing.on_request(&at(1), &Message { text, ..number(id) }), Ok(()));
            }
            assert_eq!(pairing.on_response(&at(2), &number(0)), Ok(()));
            assert_eq!(pairing.on_response(&at(2), &number(24)), Ok(()));
        });
        assert_eq!((counts.requests_overflowed, counts.orphans, counts.paired), (15, 1, 1));
        assert_eq!(requests, ["new"]);
    }

    #[test]
    fn an_early_answer_ends_the_requests_part_of_the_time() {
        let ordered = |part| Message::bare(Correlation::Ordered, part);
        let mut parts = Vec::new();
        let (counts, ..) = play(Entry::Turn, |pairing| {
            let mut emit = |it: &Transaction<'_>| {
                let Timing { request_ns, wait_ns, response_ns } = it.timing;
                parts.push([request_ns, wait_ns, response_ns]);
            };
            let pairing = &mut Pairing {
                emit: &mut emit,
                open: &mut *pairing.open,
                probation: &mut *pairing.probation,
                pool: &mut *pairing.pool,
                counts: &mut *pairing.counts,
                ..*pairing
            };
            // Its body goes on while the answer comes, and behind it.
            assert_eq!(pairing.on_request(&at(10), &ordered(Part::First)), Ok(()));
            assert_eq!(pairing.on_request(&at(20), &ordered(Part::Middle)), Ok(()));
            assert_eq!(pairing.on_response(&at(25), &ordered(Part::First)), Ok(()));
            assert_eq!(pairing.on_request(&at(30), &ordered(Part::Middle)), Ok(()));
            assert_eq!(pairing.on_response(&at(40), &ordered(Part::Last)), Ok(()));
            assert_eq!(pairing.on_request(&at(50), &ordered(Part::Last)), Ok(()));
        });
        assert_eq!((counts.requests, counts.paired, counts.reported), (1, 1, 1));
        assert_eq!(parts, [[15, 0, 15]]);
    }
}
