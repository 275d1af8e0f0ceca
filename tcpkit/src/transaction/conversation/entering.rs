//! Where reading can begin: after attaching to an open connection, after bytes were lost, and how far a
//! client is believed to wait for its responses.

use super::{Context, Conversation, Lost};
use crate::{
    flow::{Chunk, Turn},
    protocol::Direction,
    transaction::{probation::Probation, sync::Sync},
};

/// How many turns in a row show that a client waits for its responses.
const TRUSTED_TURNS: u8 = 16;

impl Conversation {
    /// Begins anew at a request with which the client takes a new turn.
    #[inline(never)]
    pub(super) fn try_resync(&mut self, chunk: &Chunk<'_>, context: &mut Context<'_, '_>) -> bool {
        let may_begin = self.open.is_none()
            && chunk.turn != Turn::Running
            && (context.protocol.probe)(chunk.bytes).may_be(Direction::Request);
        if !may_begin {
            return false;
        }
        self.decoder.resync();
        self.request.clear();
        self.response.clear();
        self.sync = Sync::Paired;
        self.expect_response = chunk.ack;
        if let Some(unproven) = self.probation.take() {
            context.counts.unproven += u64::try_from(unproven.len()).unwrap_or(u64::MAX);
        }
        // Whatever the client did before: one that waits for its responses at most times does not
        // when packets get lost.
        self.clean_turns = 0;
        let mut probation = Box::<Probation>::default();
        probation.note(chunk.time_ns);
        self.probation = Some(probation);
        context.counts.resyncs += 1;
        true
    }

    /// Begins anew in one direction, at a packet that begins with a message.
    #[inline(never)]
    pub(super) fn try_rejoin(
        &mut self,
        direction: Direction,
        chunk: &Chunk<'_>,
        context: &mut Context<'_, '_>,
    ) -> bool {
        if !self.decoder.rejoin(direction, chunk.bytes) {
            return false;
        }
        match direction {
            Direction::Request => self.request.clear(),
            Direction::Response => self.response.clear(),
        }
        self.sync = self.sync.found(direction);
        context.counts.resyncs += 1;
        true
    }

    /// Notes whether the client waits for its responses.
    ///
    /// A server acknowledges requests before it answers them, so that for TCP a client may take a new
    /// turn with requests under way. Then some of its turns come while the decoded messages say that
    /// something is open, and what is on probation was paired by such a turn.
    pub(super) fn note_turn(&mut self, chunk: &Chunk<'_>, context: &mut Context<'_, '_>) {
        match chunk.turn {
            Turn::New if self.sync != Sync::Paired => {}
            Turn::New if self.is_at_rest() => {
                self.clean_turns = self.clean_turns.saturating_add(1);
            }
            Turn::New => {
                self.clean_turns = 0;
                if self.probation.is_some() {
                    self.lose(Lost::Orphan, context);
                }
            }
            // More of one burst, unless responses came in between. But who begins a request with it
            // sends requests one by one, so that the server may answer some before it has them all.
            Turn::Running if self.request_ack != chunk.ack || self.begins_request() => {
                self.clean_turns = 0;
            }
            Turn::Running | Turn::Unknown => {}
        }
        self.request_ack = chunk.ack;
    }

    /// Whether the client's next byte is known to begin a request.
    pub(super) fn begins_request(&self) -> bool {
        self.sync == Sync::Paired && self.request.is_at_boundary()
    }

    /// Whether the client is known to wait for its responses, so that nothing is under way when it
    /// takes a new turn.
    pub(super) fn is_trusted(&self) -> bool {
        self.clean_turns >= TRUSTED_TURNS
    }
}
