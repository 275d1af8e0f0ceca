//! What a decoded message does: a request waits, a response finds its request.

use super::{
    Emit, OpenPool, Quality, Timing, Transaction,
    conversation::{ConversationLimits, Ends, Lost},
    open::{Open, OpenQueue},
    probation::Probation,
    stream::Span,
};
use crate::{
    ledger::MessageCounts,
    protocol::{Correlation, Fields, Message, Protocol},
};

/// A conversation's pairing state, borrowed while its stream is being decoded.
pub(super) struct Pairing<'c, 'e> {
    pub(super) protocol: &'static Protocol,
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
    pub(super) fn on_request(&mut self, span: &Span, message: &Message<'_>) -> Result<(), Lost> {
        self.counts.requests += 1;
        if message.correlation == Correlation::OneWay {
            self.counts.requests_one_way += 1;
            return Ok(());
        }
        let queue = self.open.get_or_insert_with(|| self.pool.take());
        if queue.push(span, message, self.limits.max_open) {
            Ok(())
        } else {
            self.counts.requests_overflowed += 1;
            Err(Lost::Overflow)
        }
    }

    pub(super) fn on_response(&mut self, span: &Span, message: &Message<'_>) -> Result<(), Lost> {
        self.counts.responses += 1;
        if message.correlation == Correlation::OneWay {
            self.counts.responses_one_way += 1;
            return Ok(());
        }
        let Some(open) = self.open.as_mut().and_then(|queue| queue.answer(message.correlation))
        else {
            self.counts.orphans += 1;
            return Err(Lost::Orphan);
        };
        // Nobody answers what has not arrived: this response belongs to an earlier request.
        if span.ack.is_some_and(|ack| ack.is_before(open.span.end_seq)) {
            self.counts.orphans += 1;
            self.counts.requests_lost += 1;
            return Err(Lost::Orphan);
        }
        self.counts.paired += 1;
        self.report(&open, span, message);
        if let Some(queue) = self.open.as_mut() {
            queue.settle();
            if queue.len() == 0
                && let Some(queue) = self.open.take()
            {
                self.pool.put(queue);
            }
        }
        Ok(())
    }

    fn report(&mut self, open: &Open, response: &Span, message: &Message<'_>) {
        let request = &open.span;
        let Some(timing) = timing(request, response) else {
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
            status: message.status,
            timing,
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
fn timing(request: &Span, response: &Span) -> Option<Timing> {
    if request.untimed || response.untimed {
        return None;
    }
    Some(Timing {
        request_ns: request.end_ns.checked_sub(request.start_ns)?,
        wait_ns: response.start_ns.checked_sub(request.end_ns)?,
        response_ns: response.end_ns.checked_sub(response.start_ns)?,
    })
}
