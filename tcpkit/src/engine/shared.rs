//! What happens on one connection: who is who, what is read, what is counted.

use super::undecided::{Decision, Undecided};
use crate::{
    config::Limits,
    flow::{
        Assembler, FlowKey, GapCause, Side, StreamEvent,
        role::{self, Certainty, Evidence, Hints, Role},
        table::Flow,
    },
    ledger::Ledger,
    packet::{TcpFlags, TcpHeader},
    protocol::{Detection, Direction, Probe, Scratch, Selection},
    transaction::{Context, Conversation, ConversationLimits, Emit, Ending, Ends, OpenPool},
};

/// What the engine keeps for each connection.
#[derive(Default)]
pub(super) struct State {
    pub(super) role: Option<Role>,
    pub(super) conversation: Option<Conversation>,
    /// While it is not known what the connection speaks.
    pub(super) undecided: Option<Box<Undecided>>,
    /// What it speaks: a position in the selection.
    pub(super) protocol: u8,
    /// It speaks nothing that was asked for.
    pub(super) foreign: bool,
    /// How often what it speaks turned out to be something else.
    pub(super) mistakes: u8,
    pub(super) ended: bool,
    /// Whether the flow is on the engine's list of those that wait for time to pass.
    pub(super) listed: bool,
    /// When the list was walked and the flow looked at, in ns: a place that was given to another
    /// flow may be listed twice.
    pub(super) looked_at_ns: u64,
    /// Packets in a row that were outside the connection's sequence numbers.
    pub(super) strays: u8,
}

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// A conversation takes them.
    Handled,
    /// Nobody reads them: where messages begin is not certain.
    Unread,
    /// Nobody reads them: they are of a protocol that was not asked for.
    Foreign,
}

/// Which way bytes of this side go.
pub(super) fn direction(role: Role, side: Side) -> Direction {
    if side == role.client { Direction::Request } else { Direction::Response }
}

/// What all connections share.
pub(super) struct Shared<H> {
    pub(super) selection: Selection,
    pub(super) hints: H,
    pub(super) limits: Limits,
    pub(super) scratch: Scratch,
    pub(super) pool: OpenPool,
    pub(super) ledger: Ledger,
    pub(super) wall_offset_ns: i64,
    pub(super) least_ns: u64,
}

impl<H: Hints> Shared<H> {
    /// A SYN says who is who, and may begin a new connection on known ports.
    #[inline(never)]
    pub(super) fn on_syn(
        &mut self,
        flow: &mut Flow<State>,
        side: Side,
        tcp: TcpHeader,
        emit: &mut Emit<'_>,
    ) {
        if flow.assembler.is_reuse(side, &tcp) {
            self.forget(flow, Ending::Closed, emit);
            flow.assembler = Assembler::default();
            flow.state = State { listed: flow.state.listed, ..State::default() };
        }
        if flow.state.role.is_some_and(|role| role.certainty == Certainty::Handshake) {
            return;
        }
        let is_answer = tcp.flags.contains(TcpFlags::ACK);
        let client = if is_answer { side.peer() } else { side };
        if flow.state.role.is_some_and(|role| role.client != client) {
            self.ledger.flows.roles_corrected += 1;
        }
        let state = &mut flow.state;
        let is_known = state.conversation.is_some() || state.undecided.is_some() || state.foreign;
        if let Some(undecided) = state.undecided.take() {
            self.count_unread(undecided.into_events(), Fate::Unread);
        }
        match (state.role, state.conversation.take()) {
            (Some(role), Some(mut talk)) => {
                talk.abandon(&mut self.context(&flow.key, state.protocol, role, emit));
            }
            _ if is_known => {}
            _ => self.ledger.flows.from_handshake += 1,
        }
        state.role = Some(Role { client, certainty: Certainty::Handshake });
        let was_foreign = std::mem::take(&mut state.foreign);
        self.ledger.flows.foreign -= u64::from(was_foreign);
        let candidates = self.candidates(&[flow.key.endpoint(client.peer())]);
        match self.selection.decided(candidates) {
            Some(at) => {
                let protocol = self.selection.protocol(at);
                state.protocol = at;
                state.conversation = Some(Conversation::from_handshake(protocol));
            }
            None if candidates.is_empty() => self.call_foreign(state),
            None => state.undecided = Some(Box::new(Undecided::new(candidates, true))),
        }
    }

    pub(super) fn on_event(
        &mut self,
        key: &FlowKey,
        state: &mut State,
        side: Side,
        event: &StreamEvent<'_>,
        emit: &mut Emit<'_>,
    ) {
        if state.conversation.is_none() && !state.ended {
            self.begin(key, state);
        }
        if state.undecided.is_some() {
            self.detect(key, state, side, event, emit);
            return;
        }
        if state.conversation.is_none() {
            let fate = if state.foreign { Fate::Foreign } else { Fate::Unread };
            self.count_event(side == Side::Low, event, fate);
            return;
        }
        let role = self.role(key, state, side, event, emit);
        let direction = direction(role, side);
        if role.certainty == Certainty::Order && self.fits_any(state) {
            // Whatever it is, the sides may as well be the other way round.
            self.count_event(direction == Direction::Request, event, Fate::Unread);
            return;
        }
        self.count_event(direction == Direction::Request, event, Fate::Handled);
        if let Some(conversation) = &mut state.conversation {
            let mut context = self.context(key, state.protocol, role, emit);
            conversation.handle(direction, event, &mut context);
            if conversation.is_mistaken() && self.selection.is_several() {
                self.doubt(key, state, role, emit);
            }
        }
    }

    /// Whether what the connection speaks fits any bytes, so that they do not tell the sides apart.
    fn fits_any(&self, state: &State) -> bool {
        self.selection.protocol(state.protocol).detection == Detection::Last
    }

    /// Counts the bytes of an event.
    #[inline]
    pub(super) fn count_event(&mut self, is_request: bool, event: &StreamEvent<'_>, fate: Fate) {
        let bytes = match *event {
            StreamEvent::Data(chunk) => u64::try_from(chunk.bytes.len()).unwrap_or(u64::MAX),
            StreamEvent::Gap { len, cause: GapCause::Cut { .. } } => len,
            StreamEvent::Gap { len, cause: GapCause::Lost } => {
                self.ledger.bytes.lost += len;
                0
            }
            StreamEvent::End | StreamEvent::Reset => 0,
        };
        self.count_bytes(is_request, bytes);
        match fate {
            // Its conversation counts.
            Fate::Handled => {}
            Fate::Unread => self.ledger.messages.unread_bytes += bytes,
            Fate::Foreign => self.ledger.messages.foreign_bytes += bytes,
        }
    }

    /// Counts payload bytes.
    #[inline]
    pub(super) fn count_bytes(&mut self, is_request: bool, bytes: u64) {
        match is_request {
            true => self.ledger.bytes.request += bytes,
            false => self.ledger.bytes.response += bytes,
        }
    }

    /// Joins a connection anew, as if it had not been seen before.
    #[cold]
    pub(super) fn restart(&mut self, key: &FlowKey, state: &mut State, emit: &mut Emit<'_>) {
        state.strays = 0;
        if let Some(undecided) = &mut state.undecided {
            let unread = undecided.again();
            self.count_unread(unread, Fate::Unread);
        }
        if let (Some(role), Some(mut talk)) = (state.role, state.conversation.take()) {
            talk.abandon(&mut self.context(key, state.protocol, role, emit));
            state.conversation = Some(self.midstream(state));
        }
    }

    /// A conversation in what the connection speaks that is going on already.
    pub(super) fn midstream(&self, state: &State) -> Conversation {
        Conversation::midstream(self.selection.protocol(state.protocol))
    }

    /// Who the client is: known, or guessed from the first bytes and corrected by later ones.
    #[inline]
    pub(super) fn role(
        &mut self,
        key: &FlowKey,
        state: &mut State,
        side: Side,
        event: &StreamEvent<'_>,
        emit: &mut Emit<'_>,
    ) -> Role {
        match state.role {
            Some(role) if role.certainty > Certainty::Guess => role,
            // What is being read makes sense as it is.
            Some(role) if state.conversation.as_ref().is_some_and(|talk| talk.is_reading()) => role,
            _ => self.guess_role(key, state, side, event, emit),
        }
    }

    #[inline(never)]
    pub(super) fn guess_role(
        &mut self,
        key: &FlowKey,
        state: &mut State,
        side: Side,
        event: &StreamEvent<'_>,
        emit: &mut Emit<'_>,
    ) -> Role {
        let evidence = self.evidence(state, side, event);
        let Some(role) = state.role else {
            let role = role::infer(key, evidence, &self.hints);
            state.role = Some(role);
            return role;
        };
        let client = match evidence {
            Evidence::FromClient(side) => side,
            Evidence::FromServer(side) => side.peer(),
            Evidence::None => role.client,
        };
        if client == role.client {
            return role;
        }
        self.ledger.flows.roles_corrected += 1;
        if let Some(mut conversation) = state.conversation.take() {
            conversation.abandon(&mut self.context(key, state.protocol, role, emit));
        }
        let role = Role { client, ..role };
        state.role = Some(role);
        state.conversation = Some(self.midstream(state));
        role
    }

    /// What bytes say of who sent them.
    pub(super) fn evidence(&self, state: &State, side: Side, event: &StreamEvent<'_>) -> Evidence {
        let StreamEvent::Data(chunk) = event else { return Evidence::None };
        match (self.selection.protocol(state.protocol).probe)(chunk.bytes) {
            Probe::Request => Evidence::FromClient(side),
            Probe::Response => Evidence::FromServer(side),
            Probe::Either | Probe::Unsure | Probe::No => Evidence::None,
        }
    }

    #[inline]
    pub(super) fn context<'a, 'e>(
        &'a mut self,
        key: &'a FlowKey,
        protocol: u8,
        role: Role,
        emit: &'a mut Emit<'e>,
    ) -> Context<'a, 'e> {
        let ends =
            Ends { client: key.endpoint(role.client), server: key.endpoint(role.client.peer()) };
        let protocol = self.selection.protocol(protocol);
        Context {
            protocol,
            entry: protocol.entry,
            ends,
            wall_offset_ns: self.wall_offset_ns,
            scratch: &mut self.scratch,
            pool: &mut self.pool,
            counts: &mut self.ledger.messages,
            limits: ConversationLimits { max_open: self.limits.max_open, least_ns: self.least_ns },
            emit,
        }
    }

    pub(super) fn tick(
        &mut self,
        key: &FlowKey,
        state: &mut State,
        now_ns: u64,
        emit: &mut Emit<'_>,
    ) {
        let State { role: Some(role), conversation: Some(conversation), protocol, .. } = state
        else {
            return;
        };
        let mut context = self.context(key, *protocol, *role, emit);
        conversation.tick(now_ns, &mut context);
    }

    #[inline(never)]
    pub(super) fn end(
        &mut self,
        key: &FlowKey,
        state: &mut State,
        ending: Ending,
        emit: &mut Emit<'_>,
    ) {
        let roles = self.roles(key, state);
        if let Some(undecided) = &mut state.undecided {
            let decision = match undecided.decide(&self.selection, roles, false) {
                Decision::Again => Decision::Nothing,
                decision => decision,
            };
            self.settle(key, state, decision, emit);
        }
        if let (Some(role), Some(mut conversation)) = (state.role, state.conversation.take()) {
            let mut context = self.context(key, state.protocol, role, emit);
            conversation.finish(ending, &mut context);
        }
        if ending == Ending::Closed {
            self.ledger.flows.closed += 1;
        }
        state.ended = true;
    }

    /// Settles a flow that is about to be dropped.
    pub(super) fn forget(&mut self, flow: &mut Flow<State>, ending: Ending, emit: &mut Emit<'_>) {
        let Flow { key, assembler, state, .. } = flow;
        assembler.finish(&mut |side, event| self.on_event(key, state, side, &event, emit));
        if !state.ended {
            self.end(key, state, ending, emit);
        }
    }
}
