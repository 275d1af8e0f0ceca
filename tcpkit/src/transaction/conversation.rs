//! One connection's talk: two streams, their decoder, and the pairing of what they say.
//!
//! The pairing is certain from a connection's first packet on. It is lost when bytes that the
//! decoder needed are not known, when a response comes that no request waits for, or when a
//! response was sent before its supposed request had been received. From then on everything is
//! counted and nothing is paired, until the client takes a new turn with a request. What is paired
//! after that is on probation until the client has shown that it waits for its responses.

mod entering;

use super::{
    Emit, OpenPool, Quality,
    open::OpenQueue,
    pairing::Pairing,
    probation::Probation,
    stream::{Loss, Reading, Span, Stream},
    sync::Sync,
};
use crate::{
    flow::{Chunk, GapCause, StreamEvent, Turn, seq::Seq},
    ledger::MessageCounts,
    packet::{Endpoint, Payload},
    protocol::{Decoder, Direction, Entry, Message, Protocol, Scratch},
};

/// Where only turns tell what belongs to a response, it is over when nothing came for so long, in ns.
const TURN_NS: u64 = 1_000_000_000;

/// Bounds of one conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConversationLimits {
    /// How many requests may wait for their responses.
    pub max_open: usize,
    /// Transactions that took less, in ns, are counted and not handed over.
    pub least_ns: u64,
}

/// Who talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends<'a> {
    /// Who asks.
    pub client: &'a Endpoint,
    /// Who answers.
    pub server: &'a Endpoint,
}

/// What a conversation works with but does not own.
pub struct Context<'a, 'e> {
    /// What is spoken.
    pub protocol: &'static Protocol,
    /// How the decoder finds its way back.
    pub entry: Entry,
    /// Who talks.
    pub ends: Ends<'a>,
    /// What to add to captured times to get ns since the Unix epoch.
    pub wall_offset_ns: i64,
    /// The decoders' working memory.
    pub scratch: &'a mut Scratch,
    /// Queues for open requests.
    pub pool: &'a mut OpenPool,
    /// Where messages are counted.
    pub counts: &'a mut MessageCounts,
    /// Bounds.
    pub limits: ConversationLimits,
    /// Who gets the transactions.
    pub emit: &'a mut Emit<'e>,
}

/// Why the pairing was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// Bytes were not seen.
    Hidden,
    /// Bytes could not be decoded.
    Invalid,
    /// A response had no request.
    Orphan,
    /// Too many requests waited.
    Overflow,
    /// The conversation turned out to be another one than was thought.
    Mistaken,
}

impl Lost {
    fn count(self, counts: &mut MessageCounts) {
        match self {
            Self::Hidden => counts.losses_hidden += 1,
            Self::Invalid => counts.losses_invalid += 1,
            Self::Orphan => counts.losses_orphan += 1,
            Self::Overflow => counts.losses_overflow += 1,
            Self::Mistaken => {}
        }
    }
}

/// One connection's talk.
pub struct Conversation {
    decoder: Box<dyn Decoder>,
    request: Stream,
    response: Stream,
    open: Option<Box<OpenQueue>>,
    probation: Option<Box<Probation>>,
    /// How many turns in a row the client took only after everything before was answered.
    clean_turns: u8,
    /// What the client had received when it sent its latest bytes.
    request_ack: Option<Seq>,
    sync: Sync,
    /// Whether a response was decoded ever.
    has_response: bool,
    /// Bytes were not what the protocol allows before the first response.
    mistaken: bool,
    /// What transactions without flaws of their own are worth.
    level: Quality,
    /// Where the response stream has to go on after [`Self::try_resync`].
    expect_response: Option<Seq>,
    /// The largest [`Context::wall_offset_ns`] so far: when somebody sets the wall clock back, times
    /// within a flow must not go backwards.
    wall_offset_ns: i64,
}

// A connection at rest is to cost little.
const _: () = assert!(size_of::<Conversation>() <= 96);

impl Conversation {
    /// A conversation that is seen from its beginning.
    #[must_use]
    pub fn from_handshake(protocol: &'static Protocol) -> Self {
        Self::new(protocol, Sync::Paired, Quality::Exact)
    }

    /// A conversation that is already going on.
    #[must_use]
    pub fn midstream(protocol: &'static Protocol) -> Self {
        Self::new(protocol, Sync::Lost, Quality::Midstream)
    }

    /// What two ends say in datagrams. Whether all were seen cannot be known.
    #[must_use]
    pub fn of_datagrams(decoder: Box<dyn Decoder>) -> Self {
        Self::with(decoder, Sync::Paired, Quality::Midstream)
    }

    fn new(protocol: &'static Protocol, sync: Sync, level: Quality) -> Self {
        Self::with((protocol.decoder)(), sync, level)
    }

    fn with(decoder: Box<dyn Decoder>, sync: Sync, level: Quality) -> Self {
        Self {
            decoder,
            request: Stream::default(),
            response: Stream::default(),
            open: None,
            probation: None,
            clean_turns: 0,
            request_ack: None,
            sync,
            has_response: false,
            mistaken: false,
            level,
            expect_response: None,
            wall_offset_ns: i64::MIN,
        }
    }

    /// Whether the bytes of both directions are being read and paired.
    #[must_use]
    pub fn is_reading(&self) -> bool {
        self.sync == Sync::Paired
    }

    /// Whether it is doubtful that this protocol is spoken: bytes were not what it allows before the
    /// first response.
    #[must_use]
    pub fn is_mistaken(&self) -> bool {
        self.mistaken
    }

    /// Whether [`Self::tick`] has something to wait for.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.probation.is_some()
            || self.open.as_ref().is_some_and(|queue| queue.turn_answered_ns().is_some())
    }

    /// Takes what happened in one direction.
    #[inline]
    pub fn handle(
        &mut self,
        direction: Direction,
        event: &StreamEvent<'_>,
        context: &mut Context<'_, '_>,
    ) {
        match *event {
            StreamEvent::Data(chunk) => self.handle_data(direction, &chunk, context),
            StreamEvent::Gap { len, cause } => self.handle_gap(direction, len, cause, context),
            StreamEvent::End if self.sync.reads(direction) => {
                self.read(direction, Input::End, context);
                if direction == Direction::Response {
                    self.finish_turn(context);
                }
            }
            StreamEvent::End | StreamEvent::Reset => {}
        }
    }

    #[inline(always)]
    fn handle_data(
        &mut self,
        direction: Direction,
        chunk: &Chunk<'_>,
        context: &mut Context<'_, '_>,
    ) {
        let bytes = u64::try_from(chunk.bytes.len()).unwrap_or(u64::MAX);
        if let Some(probation) = &mut self.probation {
            probation.note(chunk.time_ns);
        }
        if context.entry.is_numbered() {
            if !self.sync.reads(direction) && !self.try_rejoin(direction, chunk, context) {
                context.counts.unread_bytes += bytes;
                return;
            }
        } else if direction == Direction::Request {
            self.note_turn(chunk, context);
            if self.sync != Sync::Paired && !self.try_resync(chunk, context) {
                context.counts.unread_bytes += bytes;
                return;
            }
            if self.probation.is_some()
                && chunk.turn == Turn::New
                && self.is_trusted()
                && self.is_at_rest()
            {
                self.release(context);
            }
        } else {
            let expected = self.expect_response.take();
            if self.sync == Sync::Paired && expected.is_some_and(|seq| seq != chunk.seq) {
                self.lose(Lost::Orphan, context);
            }
            if self.sync == Sync::Lost {
                context.counts.unread_bytes += bytes;
                return;
            }
        }
        context.counts.read_bytes += bytes;
        self.read(direction, Input::Chunk(chunk), context);
    }

    /// Takes a datagram.
    pub fn handle_datagram(
        &mut self,
        direction: Direction,
        payload: &Payload<'_>,
        time_ns: u64,
        context: &mut Context<'_, '_>,
    ) {
        let bytes = payload.bytes;
        context.counts.read_bytes += u64::from(payload.wire_len);
        let chunk = Chunk { bytes, time_ns, seq: Seq(0), ack: None, turn: Turn::Unknown };
        let captured = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let cut = u64::from(payload.wire_len).saturating_sub(captured);
        let input = if cut == 0 { Input::Chunk(&chunk) } else { Input::Cut(&chunk, cut) };
        self.read(direction, input, context);
        self.request.clear();
        self.response.clear();
    }

    #[inline(never)]
    fn handle_gap(
        &mut self,
        direction: Direction,
        len: u64,
        cause: GapCause,
        context: &mut Context<'_, '_>,
    ) {
        let is_read = self.sync.reads(direction);
        if matches!(cause, GapCause::Cut { .. }) {
            let counts = &mut *context.counts;
            *if is_read { &mut counts.read_bytes } else { &mut counts.unread_bytes } += len;
        }
        if is_read {
            self.read(direction, Input::Gap(len, cause), context);
        }
    }

    #[inline(always)]
    fn read(&mut self, direction: Direction, input: Input<'_, '_>, context: &mut Context<'_, '_>) {
        self.wall_offset_ns = self.wall_offset_ns.max(context.wall_offset_ns);
        let wall_offset_ns = self.wall_offset_ns;
        let Self { decoder, request, response, open, probation, sync, has_response, .. } = self;
        let level = self.level;
        let stream = match direction {
            Direction::Request => request,
            Direction::Response => response,
        };
        let Context { protocol, entry, ends, scratch, pool, counts, limits, emit, .. } = context;
        let mut lost = None;
        let is_numbered = entry.is_numbered();
        let mut pairing = Pairing {
            protocol,
            entry: *entry,
            ends: *ends,
            level,
            wall_offset_ns,
            limits: *limits,
            open,
            probation,
            pool,
            counts,
            emit,
        };
        let mut on_message = |span: &Span, message: &Message<'_>| {
            let result = match direction {
                Direction::Request => pairing.on_request(span, message),
                Direction::Response => pairing.on_response(span, message),
            };
            result.map_err(|reason| {
                lost = Some(reason);
                Loss::Refused
            })?;
            // Without requests nothing can be said of the responses that follow.
            if *sync == Sync::RequestsLost && pairing.open.is_none() && !is_numbered {
                *sync = Sync::Lost;
                return Err(Loss::Refused);
            }
            *has_response |= direction == Direction::Response;
            Ok(())
        };
        let mut reading = Reading { direction, decoder: decoder.as_mut(), scratch };
        let result = match input {
            Input::Chunk(chunk) => stream.feed(chunk, &mut reading, &mut on_message),
            Input::Cut(chunk, len) => stream.feed_cut(chunk, len, &mut reading, &mut on_message),
            Input::Gap(len, cause) => stream.gap(len, cause, &mut reading, &mut on_message),
            Input::End => stream.end(&mut reading, &mut on_message),
            Input::TurnOver => {
                pairing.finish_turn();
                return;
            }
        };
        let Err(loss) = result else { return };
        let reason = match (lost, loss) {
            (Some(reason), _) => reason,
            (None, Loss::Hidden) => Lost::Hidden,
            (None, Loss::Invalid) => Lost::Invalid,
            (None, Loss::Refused) => {
                self.response.clear();
                return;
            }
        };
        if let Input::Gap(len, cause) = input {
            match cause {
                GapCause::Cut { .. } => context.counts.hidden_by_snaplen_bytes += len,
                GapCause::Lost => context.counts.hidden_by_loss_bytes += len,
            }
        }
        self.mistaken |= reason == Lost::Invalid && !self.has_response;
        let still_certain =
            direction == Direction::Request && loss == Loss::Hidden && self.open.is_some();
        if is_numbered {
            self.lose_direction(direction, reason, context);
        } else if still_certain {
            if let Some(queue) = &mut self.open {
                queue.spoil_requests();
            }
            self.request.clear();
            self.sync = Sync::RequestsLost;
            if self.level == Quality::Exact {
                self.level = Quality::Gap;
            }
        } else {
            self.lose(reason, context);
        }
    }

    /// Gives up what waits for responses, and what is on probation.
    fn drop_open(&mut self, reason: Lost, context: &mut Context<'_, '_>) {
        let counts = &mut *context.counts;
        if let Some(open) = self.open.take() {
            let waiting = u64::try_from(context.pool.put(open)).unwrap_or(u64::MAX);
            match reason {
                Lost::Overflow => counts.requests_overflowed += waiting,
                Lost::Hidden | Lost::Invalid | Lost::Orphan | Lost::Mistaken => {
                    counts.requests_lost += waiting;
                }
            }
        }
        if let Some(probation) = self.probation.take() {
            counts.unproven += u64::try_from(probation.len()).unwrap_or(u64::MAX);
        }
    }

    /// One direction cannot be read on; where messages carry numbers, that is nothing to the other.
    #[cold]
    fn lose_direction(
        &mut self,
        direction: Direction,
        reason: Lost,
        context: &mut Context<'_, '_>,
    ) {
        if context.entry == Entry::Datagram {
            // The next one has nothing to do with it.
            reason.count(context.counts);
            return;
        }
        match direction {
            Direction::Request => {
                self.request.clear();
                if let Some(queue) = &mut self.open {
                    queue.spoil_requests();
                }
            }
            Direction::Response => {
                self.response.clear();
                // What was lost may be any of their responses.
                self.drop_open(reason, context);
            }
        }
        reason.count(context.counts);
        self.sync = self.sync.lost(direction);
        if self.level == Quality::Exact {
            self.level = Quality::Gap;
        }
    }

    /// Gives up the pairing.
    #[cold]
    fn lose(&mut self, reason: Lost, context: &mut Context<'_, '_>) {
        self.drop_open(reason, context);
        reason.count(context.counts);
        self.request.clear();
        self.response.clear();
        self.expect_response = None;
        self.sync = Sync::Lost;
        if self.level == Quality::Exact {
            self.level = Quality::Gap;
        }
    }

    /// Whether nothing is under way, as far as the decoded messages say.
    fn is_at_rest(&self) -> bool {
        let waits = |queue: &OpenQueue| queue.turn_answered_ns().is_none();
        self.sync == Sync::Paired
            && self.is_at_boundary()
            && !self.open.as_ref().is_some_and(|queue| waits(queue))
    }

    fn is_at_boundary(&self) -> bool {
        self.request.is_at_boundary() && self.response.is_at_boundary()
    }

    #[inline(never)]
    fn release(&mut self, context: &mut Context<'_, '_>) {
        if let Some(probation) = self.probation.take() {
            context.counts.reported += u64::try_from(probation.len()).unwrap_or(u64::MAX);
            probation.release(&mut *context.emit);
        }
    }

    /// Hands over the response whose end only the client's next turn would tell, if one came.
    #[inline(never)]
    fn finish_turn(&mut self, context: &mut Context<'_, '_>) {
        self.read(Direction::Response, Input::TurnOver, context);
    }

    /// Time passed: a connection that went quiet with nothing open has proven its pairing.
    pub fn tick(&mut self, now_ns: u64, context: &mut Context<'_, '_>) {
        let answered_ns = self.open.as_ref().and_then(|queue| queue.turn_answered_ns());
        if answered_ns.is_some_and(|ns| now_ns.saturating_sub(ns) >= TURN_NS) {
            self.finish_turn(context);
        }
        if self.is_at_rest()
            && self.probation.as_ref().is_some_and(|probation| probation.is_quiet(now_ns))
        {
            self.release(context);
        }
    }

    /// The roles turned out to be wrong: nothing that was made of the bytes counts.
    pub fn abandon(&mut self, context: &mut Context<'_, '_>) {
        self.lose(Lost::Mistaken, context);
    }

    /// The connection ended or is forgotten.
    pub fn finish(&mut self, end: Ending, context: &mut Context<'_, '_>) {
        // Being at rest at this moment proves nothing: a client may hang up on what it waits for.
        if let Some(probation) = self.probation.take() {
            context.counts.unproven += u64::try_from(probation.len()).unwrap_or(u64::MAX);
        }
        if let Some(open) = self.open.take() {
            let waiting = u64::try_from(context.pool.put(open)).unwrap_or(u64::MAX);
            match end {
                Ending::Closed => context.counts.requests_unanswered += waiting,
                Ending::Forgotten => context.counts.requests_forgotten += waiting,
                Ending::Exit => context.counts.requests_open += waiting,
            }
        }
    }
}

/// Why a conversation is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The connection was closed.
    Closed,
    /// The flow was evicted, or was idle for too long.
    Forgotten,
    /// The program ends.
    Exit,
}

#[derive(Clone, Copy)]
enum Input<'c, 'b> {
    Chunk(&'c Chunk<'b>),
    /// What was captured of a datagram, and how many bytes of it were cut off.
    Cut(&'c Chunk<'b>, u64),
    Gap(u64, GapCause),
    /// The sender said that nothing more comes.
    End,
    /// What only turns tell apart is over, as far as the server is concerned.
    TurnOver,
}
