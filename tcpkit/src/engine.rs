//! From frames to transactions: flows, their streams and their conversations.
//!
//! No IO, no clock: time comes in with the frames. So live capture and files run the same engine.

mod undecided;

use self::undecided::{Decision, Event, Roles, Undecided};
use crate::{
    capture::{Frame, HookDirection},
    config::Limits,
    flow::{
        Assembler, FlowId, FlowKey, FlowTable, GapCause, Side, StreamEvent, Verdict,
        assembler::Arrival,
        role::{self, Certainty, Evidence, Hints, Role},
        table::Flow,
    },
    ledger::Ledger,
    packet::{Decoded, Endpoint, Segment, TcpFlags, TcpHeader, Undecoded, decode, plain_segment},
    protocol::{self, DecodeOptions, Direction, Probe, Protocol, Scratch, Selection},
    transaction::{Context, Conversation, ConversationLimits, Emit, Ending, Ends, OpenPool},
};

/// How often waiting flows are looked at, in ns.
const TICK_NS: u64 = 5_000_000;

/// After so many packets in a row outside its sequence numbers a connection is joined anew.
const MAX_STRAYS: u8 = 16;

/// So often a connection may turn out to speak something else than was thought.
const MAX_MISTAKES: u8 = 3;

/// Each tick looks at one part in so many of all flows for quiet ones.
const SWEEP_PART: usize = 256;

/// What the engine keeps for each connection.
#[derive(Default)]
struct State {
    role: Option<Role>,
    conversation: Option<Conversation>,
    /// While it is not known what the connection speaks.
    undecided: Option<Box<Undecided>>,
    /// What it speaks: a position in the selection.
    protocol: u8,
    /// It speaks nothing that was asked for.
    foreign: bool,
    /// How often what it speaks turned out to be something else.
    mistakes: u8,
    ended: bool,
    /// Whether the flow is on the engine's list of those that wait for time to pass.
    listed: bool,
    /// When the list was walked and the flow looked at, in ns: a place that was given to another
    /// flow may be listed twice.
    looked_at_ns: u64,
    /// Packets in a row that were outside the connection's sequence numbers.
    strays: u8,
}

/// Follows connections and pairs what they say.
pub struct Engine<H> {
    flows: FlowTable<State>,
    /// Flows that wait for time to pass.
    waiting: Vec<FlowId>,
    shared: Shared<H>,
    now_ns: u64,
    next_tick_ns: u64,
}

/// What all connections share.
struct Shared<H> {
    selection: Selection,
    hints: H,
    limits: Limits,
    scratch: Scratch,
    pool: OpenPool,
    ledger: Ledger,
    wall_offset_ns: i64,
    least_ns: u64,
}

impl<H: Hints> Engine<H> {
    /// An engine that reads the protocols of `selection`.
    #[must_use]
    pub fn new(
        selection: impl Into<Selection>,
        limits: Limits,
        options: DecodeOptions,
        hints: H,
    ) -> Self {
        Self {
            flows: FlowTable::new(limits.max_flows),
            waiting: Vec::new(),
            shared: Shared {
                selection: selection.into(),
                hints,
                limits,
                scratch: Scratch::new(options),
                pool: OpenPool::default(),
                ledger: Ledger::default(),
                wall_offset_ns: 0,
                least_ns: 0,
            },
            now_ns: 0,
            next_tick_ns: 0,
        }
    }

    /// The counts so far. Of requests that wait and connections that are open it knows only after
    /// [`Self::finish`].
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.shared.ledger
    }

    /// How many connections are followed.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.flows.len()
    }

    /// The latest time that a frame or [`Self::advance`] brought, in ns.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// Sets what to add to frames' times to get nanoseconds since the Unix epoch.
    pub fn set_wall_offset_ns(&mut self, offset_ns: i64) {
        self.shared.wall_offset_ns = offset_ns;
    }

    /// Lets the engine leave out transactions that took less than `least_ns`, for nobody wants them. It
    /// counts them all the same, and still hands over some of them: those whose pairing was not certain
    /// at once.
    pub fn leave_out_below(&mut self, least_ns: u64) {
        self.shared.least_ns = least_ns;
    }

    /// Takes one frame.
    pub fn on_frame(&mut self, frame: &Frame<'_>, emit: &mut Emit<'_>) {
        self.advance(frame.time_ns, emit);
        let packets = &mut self.shared.ledger.packets;
        packets.received += 1;
        match plain_segment(frame) {
            Some(segment) => self.on_segment(frame, segment, emit),
            None => self.on_other(frame, emit),
        }
    }

    #[inline(never)]
    fn on_other(&mut self, frame: &Frame<'_>, emit: &mut Emit<'_>) {
        let packets = &mut self.shared.ledger.packets;
        match decode(frame) {
            Decoded::Tcp(segment) => self.on_segment(frame, segment, emit),
            Decoded::Udp(_) => packets.udp += 1,
            Decoded::Other(Undecoded::NotIp) => packets.not_ip += 1,
            Decoded::Other(Undecoded::OtherTransport) => packets.other_transport += 1,
            Decoded::Other(Undecoded::Fragment) => packets.fragments += 1,
            Decoded::Other(Undecoded::Malformed) => packets.malformed += 1,
        }
    }

    #[inline(always)]
    fn on_segment(&mut self, frame: &Frame<'_>, segment: Segment<'_>, emit: &mut Emit<'_>) {
        let (key, side) = FlowKey::of(&segment.addresses);
        let is_syn = segment.tcp.flags.contains(TcpFlags::SYN);
        let id = match self.flows.find(&key) {
            Some(id) => id,
            None if is_syn || segment.payload.wire_len > 0 => {
                self.make_room(emit);
                self.flows.insert(key, frame.time_ns, State::default())
            }
            None => {
                self.shared.ledger.packets.untracked += 1;
                return;
            }
        };
        let Some(flow) = self.flows.get_mut(id) else { return };
        flow.last_seen_ns = self.now_ns;
        let shared = &mut self.shared;
        if is_syn {
            shared.on_syn(flow, side, segment.tcp, emit);
        }
        let arrival = Arrival {
            side,
            time_ns: frame.time_ns,
            carrier: carrier(frame),
            tcp: segment.tcp,
            payload: segment.payload,
        };
        let Flow { key, assembler, state, .. } = flow;
        let verdict = assembler.push(&arrival, shared.limits.max_held_bytes, &mut |side, event| {
            shared.on_event(key, state, side, &event, emit);
        });
        let packets = &mut shared.ledger.packets;
        *match verdict {
            Verdict::Empty => &mut packets.empty,
            Verdict::Delivered => &mut packets.in_order,
            Verdict::Held => &mut packets.reordered,
            Verdict::Retransmit => &mut packets.retransmitted,
            Verdict::Duplicate => &mut packets.duplicates,
            Verdict::OutOfWindow => &mut packets.out_of_window,
        } += 1;
        match verdict {
            Verdict::OutOfWindow => state.strays = state.strays.saturating_add(1),
            Verdict::Delivered => state.strays = 0,
            _ => {}
        }
        if state.strays >= MAX_STRAYS {
            // So much was missed that the numbers mean nothing any more.
            shared.restart(key, state, emit);
            *assembler = Assembler::default();
        }
        if assembler.is_closed() && !state.ended {
            shared.end(key, state, Ending::Closed, emit);
        }
        if !flow.state.listed && is_waiting(flow) {
            flow.state.listed = true;
            self.waiting.push(id);
        }
    }

    #[inline(never)]
    fn make_room(&mut self, emit: &mut Emit<'_>) {
        if self.flows.is_full()
            && let Some(mut flow) = self.flows.evict()
        {
            self.shared.forget(&mut flow, Ending::Forgotten, emit);
            self.shared.ledger.flows.evicted += 1;
        }
    }

    /// Time is `now_ns` (on the clock of the frames): looks after what waits for time to pass.
    #[inline]
    pub fn advance(&mut self, now_ns: u64, emit: &mut Emit<'_>) {
        self.now_ns = self.now_ns.max(now_ns);
        if self.now_ns >= self.next_tick_ns {
            self.tick(emit);
        }
    }

    #[inline(never)]
    fn tick(&mut self, emit: &mut Emit<'_>) {
        self.next_tick_ns = self.now_ns.saturating_add(TICK_NS);
        let Self { flows, waiting, shared, now_ns, .. } = self;
        waiting.retain(|&id| {
            let Some(flow) = flows.look_at(id) else { return false };
            let Flow { key, assembler, state, .. } = flow;
            if std::mem::replace(&mut state.looked_at_ns, *now_ns) == *now_ns {
                return false;
            }
            assembler.expire(*now_ns, shared.limits.max_held_bytes, &mut |side, event| {
                shared.on_event(key, state, side, &event, emit);
            });
            shared.tick(key, state, *now_ns, emit);
            flow.state.listed = is_waiting(flow);
            flow.state.listed
        });
        let count = self.flows.places() / SWEEP_PART + 1;
        let expiry = self.shared.limits.expiry;
        let shared = &mut self.shared;
        self.flows.sweep(self.now_ns, expiry, count, |mut flow| {
            if !flow.state.ended {
                shared.ledger.flows.expired += 1;
            }
            shared.forget(&mut flow, Ending::Forgotten, emit);
        });
    }

    /// No frame comes any more: what waits is settled, and what is open is counted.
    pub fn finish(&mut self, emit: &mut Emit<'_>) {
        for mut flow in self.flows.drain() {
            if !flow.state.ended {
                self.shared.ledger.flows.open += 1;
            }
            self.shared.forget(&mut flow, Ending::Exit, emit);
        }
        self.waiting.clear();
    }
}

impl<H: Hints> Shared<H> {
    /// A SYN says who is who, and may begin a new connection on known ports.
    #[inline(never)]
    fn on_syn(&mut self, flow: &mut Flow<State>, side: Side, tcp: TcpHeader, emit: &mut Emit<'_>) {
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
            self.count_unread(undecided.into_events());
        }
        match (state.role, state.conversation.take()) {
            (Some(role), Some(mut talk)) => {
                talk.abandon(&mut self.context(&flow.key, state.protocol, role, emit));
            }
            _ if is_known => {}
            _ => self.ledger.flows.from_handshake += 1,
        }
        state.role = Some(Role { client, certainty: Certainty::Handshake });
        state.foreign = false;
        let candidates = self.selection.candidates(&[flow.key.endpoint(client.peer()).port()]);
        match candidates.only().and_then(|at| Some((at, self.selection.protocol(at)?))) {
            Some((at, protocol)) => {
                state.protocol = at;
                state.conversation = Some(Conversation::from_handshake(protocol));
            }
            None if candidates.is_empty() => self.call_foreign(state),
            None => state.undecided = Some(Box::new(Undecided::new(candidates, true))),
        }
    }

    fn on_event(
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
            self.count_event(side == Side::Low, event, true);
            return;
        }
        let role = self.role(key, state, side, event, emit);
        let direction = if side == role.client { Direction::Request } else { Direction::Response };
        self.count_event(direction == Direction::Request, event, false);
        if let Some(conversation) = &mut state.conversation {
            let mut context = self.context(key, state.protocol, role, emit);
            conversation.handle(direction, event, &mut context);
            if conversation.is_mistaken() && self.selection.is_several() {
                self.doubt(key, state, role, emit);
            }
        }
    }

    /// Counts the bytes of an event, which nobody will read where `unread` says so.
    #[inline]
    fn count_event(&mut self, is_request: bool, event: &StreamEvent<'_>, unread: bool) {
        let bytes = match *event {
            StreamEvent::Data(chunk) => u64::try_from(chunk.bytes.len()).unwrap_or(u64::MAX),
            StreamEvent::Gap { len, cause: GapCause::Cut { .. } } => len,
            StreamEvent::Gap { len, cause: GapCause::Lost } => {
                self.ledger.bytes.lost += len;
                0
            }
            StreamEvent::End => 0,
        };
        match is_request {
            true => self.ledger.bytes.request += bytes,
            false => self.ledger.bytes.response += bytes,
        }
        if unread {
            self.ledger.messages.unread_bytes += bytes;
        }
    }

    /// Counts what was kept of a connection and will not be read.
    #[cold]
    fn count_unread(&mut self, events: Vec<(Side, Event)>) {
        for (side, event) in events {
            self.count_event(side == Side::Low, &event.event(), true);
        }
    }

    fn call_foreign(&mut self, state: &mut State) {
        state.foreign = true;
        self.ledger.flows.foreign += 1;
    }

    /// The first that is seen of a connection that was open before.
    #[inline(never)]
    fn begin(&mut self, key: &FlowKey, state: &mut State) {
        if state.role.is_some() || state.foreign || state.undecided.is_some() {
            return;
        }
        let ports = [key.endpoint(Side::Low).port(), key.endpoint(Side::High).port()];
        let candidates = self.selection.candidates(&ports);
        self.ledger.flows.midstream += 1;
        match candidates.only().and_then(|at| Some((at, self.selection.protocol(at)?))) {
            Some((at, protocol)) => {
                state.protocol = at;
                state.conversation = Some(Conversation::midstream(protocol));
            }
            None if candidates.is_empty() => self.call_foreign(state),
            None => state.undecided = Some(Box::new(Undecided::new(candidates, false))),
        }
    }

    /// Goes on finding out what a connection speaks.
    #[inline(never)]
    fn detect(
        &mut self,
        key: &FlowKey,
        state: &mut State,
        side: Side,
        event: &StreamEvent<'_>,
        emit: &mut Emit<'_>,
    ) {
        let roles = self.roles(key, state);
        let Some(undecided) = &mut state.undecided else { return };
        let decision = undecided.take(side, event, &self.selection, roles);
        self.settle(key, state, decision, emit);
    }

    /// Who may be the client of a connection that is not decided.
    fn roles(&self, key: &FlowKey, state: &State) -> Roles {
        let role = state.role.unwrap_or_else(|| role::infer(key, Evidence::None, &self.hints));
        Roles { likely: role.client, certain: role.certainty != Certainty::Guess }
    }

    /// Does what was decided.
    fn settle(
        &mut self,
        key: &FlowKey,
        state: &mut State,
        decision: Decision,
        emit: &mut Emit<'_>,
    ) {
        let (at, client) = match decision {
            Decision::Wait => return,
            Decision::Again => {
                let unread = state.undecided.as_mut().map(|it| it.again()).unwrap_or_default();
                self.count_unread(unread);
                return;
            }
            Decision::Nothing => {
                let unread = state.undecided.take().map(|it| it.into_events());
                self.count_unread(unread.unwrap_or_default());
                self.call_foreign(state);
                return;
            }
            Decision::Speaks { protocol, client } => (protocol, client),
        };
        let Some(undecided) = state.undecided.take() else { return };
        let Some(protocol) = self.selection.protocol(at) else { return };
        state.protocol = at;
        let certainty = match state.role {
            Some(role) => role.certainty,
            None => role::infer(key, Evidence::None, &self.hints).certainty,
        };
        state.role = Some(Role { client, certainty });
        state.conversation = Some(match undecided.is_from_handshake() {
            true => Conversation::from_handshake(protocol),
            false => Conversation::midstream(protocol),
        });
        for (side, event) in undecided.into_events() {
            self.on_event(key, state, side, &event.event(), emit);
        }
    }

    /// What a connection says is not what it was taken for.
    #[cold]
    fn doubt(&mut self, key: &FlowKey, state: &mut State, role: Role, emit: &mut Emit<'_>) {
        let port = key.endpoint(role.client.peer()).port();
        let candidates = self.selection.candidates(&[port]);
        if candidates.only().is_some() || state.mistakes >= MAX_MISTAKES {
            return;
        }
        state.mistakes = state.mistakes.saturating_add(1);
        self.ledger.flows.protocols_corrected += 1;
        if let Some(mut talk) = state.conversation.take() {
            talk.abandon(&mut self.context(key, state.protocol, role, emit));
        }
        state.undecided = Some(Box::new(Undecided::new(candidates, false)));
    }

    /// Joins a connection anew, as if it had not been seen before.
    #[cold]
    fn restart(&mut self, key: &FlowKey, state: &mut State, emit: &mut Emit<'_>) {
        state.strays = 0;
        if let Some(undecided) = &mut state.undecided {
            let unread = undecided.again();
            self.count_unread(unread);
        }
        if let (Some(role), Some(mut talk)) = (state.role, state.conversation.take()) {
            talk.abandon(&mut self.context(key, state.protocol, role, emit));
            state.conversation = self.midstream(state);
        }
    }

    /// A conversation in what the connection speaks that is going on already.
    fn midstream(&self, state: &State) -> Option<Conversation> {
        self.selection.protocol(state.protocol).map(Conversation::midstream)
    }

    /// Who the client is: known, or guessed from the first bytes and corrected by later ones.
    #[inline]
    fn role(
        &mut self,
        key: &FlowKey,
        state: &mut State,
        side: Side,
        event: &StreamEvent<'_>,
        emit: &mut Emit<'_>,
    ) -> Role {
        match state.role {
            Some(role) if role.certainty != Certainty::Guess => role,
            // What is being read makes sense as it is.
            Some(role) if state.conversation.as_ref().is_some_and(|talk| talk.is_reading()) => role,
            _ => self.guess_role(key, state, side, event, emit),
        }
    }

    #[inline(never)]
    fn guess_role(
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
        state.conversation = self.midstream(state);
        role
    }

    /// What bytes say of who sent them.
    fn evidence(&self, state: &State, side: Side, event: &StreamEvent<'_>) -> Evidence {
        let StreamEvent::Data(chunk) = event else { return Evidence::None };
        let Some(protocol) = self.selection.protocol(state.protocol) else { return Evidence::None };
        match (protocol.probe)(chunk.bytes) {
            Probe::Request => Evidence::FromClient(side),
            Probe::Response => Evidence::FromServer(side),
            Probe::Either | Probe::Unsure | Probe::No => Evidence::None,
        }
    }

    #[inline]
    fn context<'a, 'e>(
        &'a mut self,
        key: &'a FlowKey,
        protocol: u8,
        role: Role,
        emit: &'a mut Emit<'e>,
    ) -> Context<'a, 'e> {
        let ends =
            Ends { client: key.endpoint(role.client), server: key.endpoint(role.client.peer()) };
        let protocol = self.selection.protocol(protocol).unwrap_or(&protocol::generic::PROTOCOL);
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

    fn tick(&mut self, key: &FlowKey, state: &mut State, now_ns: u64, emit: &mut Emit<'_>) {
        let State { role: Some(role), conversation: Some(conversation), protocol, .. } = state
        else {
            return;
        };
        let mut context = self.context(key, *protocol, *role, emit);
        conversation.tick(now_ns, &mut context);
    }

    #[inline(never)]
    fn end(&mut self, key: &FlowKey, state: &mut State, ending: Ending, emit: &mut Emit<'_>) {
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
    fn forget(&mut self, flow: &mut Flow<State>, ending: Ending, emit: &mut Emit<'_>) {
        let Flow { key, assembler, state, .. } = flow;
        assembler.finish(&mut |side, event| self.on_event(key, state, side, &event, emit));
        if !state.ended {
            self.end(key, state, ending, emit);
        }
    }
}

fn is_waiting(flow: &Flow<State>) -> bool {
    flow.assembler.is_waiting()
        || flow.state.conversation.as_ref().is_some_and(|talk| talk.is_waiting())
}

/// A packet seen twice by the same way is a retransmit, by another a duplicate.
fn carrier(frame: &Frame<'_>) -> u32 {
    let direction = match frame.direction {
        HookDirection::Ingress => 1,
        HookDirection::Egress => 2,
        HookDirection::Unknown => 3,
    };
    frame.ifindex << 2 | direction
}

/// What is known of ports when nothing else is: the protocol's usual ones.
#[derive(Clone, Copy, Debug)]
pub struct UsualPorts(pub &'static Protocol);

impl Hints for UsualPorts {
    fn is_named(&self, _port: u16) -> bool {
        false
    }

    fn is_listening(&self, _end: &Endpoint) -> bool {
        false
    }

    fn is_usual(&self, port: u16) -> bool {
        self.0.ports.contains(&port)
    }
}

#[cfg(test)]
mod tests;
