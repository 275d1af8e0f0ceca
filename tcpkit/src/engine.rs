//! From frames to transactions: flows, their streams and their conversations.
//!
//! No IO, no clock: time comes in with the frames. So live capture and files run the same engine.

use crate::{
    capture::{Frame, HookDirection},
    config::Limits,
    flow::{
        Assembler, FlowId, FlowKey, FlowTable, Side, StreamEvent, Verdict,
        assembler::Arrival,
        role::{self, Certainty, Evidence, Hints, Role},
        table::Flow,
    },
    ledger::Ledger,
    packet::{Decoded, Endpoint, Segment, TcpFlags, TcpHeader, Undecoded, decode, plain_segment},
    protocol::{DecodeOptions, Direction, Probe, Protocol, Scratch},
    transaction::{Context, Conversation, ConversationLimits, Emit, Ending, Ends, OpenPool},
};

/// How often waiting flows are looked at, in ns.
const TICK_NS: u64 = 5_000_000;

/// After so many packets in a row outside its sequence numbers a connection is joined anew.
const MAX_STRAYS: u8 = 16;

/// Each tick looks at one part in so many of all flows for quiet ones.
const SWEEP_PART: usize = 256;

/// What the engine keeps for each connection.
#[derive(Default)]
struct State {
    role: Option<Role>,
    conversation: Option<Conversation>,
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
    protocol: &'static Protocol,
    hints: H,
    limits: Limits,
    scratch: Scratch,
    pool: OpenPool,
    ledger: Ledger,
    wall_offset_ns: i64,
    least_ns: u64,
}

impl<H: Hints> Engine<H> {
    /// An engine that reads `protocol`.
    #[must_use]
    pub fn new(
        protocol: &'static Protocol,
        limits: Limits,
        options: DecodeOptions,
        hints: H,
    ) -> Self {
        Self {
            flows: FlowTable::new(limits.max_flows),
            waiting: Vec::new(),
            shared: Shared {
                protocol,
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
        match (flow.state.role, flow.state.conversation.take()) {
            (Some(role), Some(mut talk)) => talk.abandon(&mut self.context(&flow.key, role, emit)),
            _ => self.ledger.flows.from_handshake += 1,
        }
        flow.state.role = Some(Role { client, certainty: Certainty::Handshake });
        flow.state.conversation = Some(Conversation::from_handshake(self.protocol));
    }

    fn on_event(
        &mut self,
        key: &FlowKey,
        state: &mut State,
        side: Side,
        event: &StreamEvent<'_>,
        emit: &mut Emit<'_>,
    ) {
        let role = self.role(key, state, side, event, emit);
        let direction = if side == role.client { Direction::Request } else { Direction::Response };
        let bytes = match *event {
            StreamEvent::Data(chunk) => u64::try_from(chunk.bytes.len()).unwrap_or(u64::MAX),
            StreamEvent::Gap { len, cause: crate::flow::GapCause::Cut { .. } } => len,
            StreamEvent::Gap { len, cause: crate::flow::GapCause::Lost } => {
                self.ledger.bytes.lost += len;
                0
            }
            StreamEvent::End | StreamEvent::Reset => 0,
        };
        match direction {
            Direction::Request => self.ledger.bytes.request += bytes,
            Direction::Response => self.ledger.bytes.response += bytes,
        }
        if let Some(conversation) = &mut state.conversation {
            let mut context = self.context(key, role, emit);
            conversation.handle(direction, event, &mut context);
        }
    }

    /// Joins a connection anew, as if it had not been seen before.
    #[cold]
    fn restart(&mut self, key: &FlowKey, state: &mut State, emit: &mut Emit<'_>) {
        state.strays = 0;
        if let (Some(role), Some(mut talk)) = (state.role, state.conversation.take()) {
            talk.abandon(&mut self.context(key, role, emit));
            state.conversation = Some(Conversation::midstream(self.protocol));
        }
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
        let evidence = self.evidence(side, event);
        let Some(role) = state.role else {
            let role = role::infer(key, evidence, &self.hints);
            state.role = Some(role);
            self.ledger.flows.midstream += 1;
            state.conversation = Some(Conversation::midstream(self.protocol));
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
            conversation.abandon(&mut self.context(key, role, emit));
        }
        let role = Role { client, ..role };
        state.role = Some(role);
        state.conversation = Some(Conversation::midstream(self.protocol));
        role
    }

    /// What bytes say of who sent them.
    fn evidence(&self, side: Side, event: &StreamEvent<'_>) -> Evidence {
        let StreamEvent::Data(chunk) = event else { return Evidence::None };
        match (self.protocol.probe)(chunk.bytes) {
            Probe::Request => Evidence::FromClient(side),
            Probe::Response => Evidence::FromServer(side),
            Probe::Either | Probe::Unsure | Probe::No => Evidence::None,
        }
    }

    #[inline]
    fn context<'a, 'e>(
        &'a mut self,
        key: &'a FlowKey,
        role: Role,
        emit: &'a mut Emit<'e>,
    ) -> Context<'a, 'e> {
        let ends =
            Ends { client: key.endpoint(role.client), server: key.endpoint(role.client.peer()) };
        Context {
            protocol: self.protocol,
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
        let State { role: Some(role), conversation: Some(conversation), .. } = state else {
            return;
        };
        let mut context = self.context(key, *role, emit);
        conversation.tick(now_ns, &mut context);
    }

    #[inline(never)]
    fn end(&mut self, key: &FlowKey, state: &mut State, ending: Ending, emit: &mut Emit<'_>) {
        if let (Some(role), Some(mut conversation)) = (state.role, state.conversation.take()) {
            let mut context = self.context(key, role, emit);
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
