//! Connections as a whole: their handshakes, which packets were retransmitted, how they ended.
//!
//! It follows TCP by headers alone and knows nothing of what is said, so it works without a protocol.
//! The engine does not need it; scripts do.

#![deny(clippy::arithmetic_side_effects)]

mod following;
#[cfg(test)]
mod tests;

use self::following::Following;
use crate::{
    capture::Frame,
    config::Limits,
    flow::{
        Assembler, Flow, FlowKey, FlowTable, Side, Verdict,
        assembler::{Arrival, carrier},
        role::{self, Certainty, Evidence, Hints, Role},
    },
    packet::{Addresses, Datagram, Endpoint, Payload, Segment, TcpFlags},
    protocol::{Direction, Probe, Selection},
};

/// What happened to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// Its first packet came: the client's SYN, unless the connection was there before.
    Open,
    /// The client acknowledged the server's SYN: both know that they are connected.
    Established,
    /// It is over.
    Close(CloseReason),
}

/// How a connection ended, or why it is not followed any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// Both sides said that they have nothing more to say (FIN).
    Fin,
    /// One side reset it.
    Reset,
    /// The server answered the SYN with a reset.
    Refused,
    /// Nobody answered the SYN for [`UNANSWERED_NS`].
    Unanswered,
    /// No packet came for as long as quiet connections are followed.
    Quiet,
    /// The table of connections was full, and this one was quiet for longer than others.
    Evicted,
    /// A SYN began another connection between the same ends.
    Replaced,
    /// It was open when the capture ended.
    End,
}

/// What one side of a connection sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Packets, with those that carried nothing; each once, where they were captured several times.
    pub packets: u64,
    /// Bytes of payload, with those sent again.
    pub bytes: u64,
    /// Packets all of whose payload had been sent before.
    pub retransmits: u64,
    /// SYNs that were sent again.
    pub syn_retransmits: u64,
}

/// What is known of a connection when something happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Counts the connections of a run from 1 on.
    pub id: u64,
    /// What happened.
    pub happening: Happening,
    /// When, in ns since the Unix epoch.
    pub unix_ns: u64,
    /// Who opened it.
    pub client: Endpoint,
    /// Who was asked.
    pub server: Endpoint,
    /// The number of the interface on which its first packet was captured.
    pub ifindex: u32,
    /// It was there before its first captured packet: of its beginning nothing is known.
    pub midstream: bool,
    /// From the client's first SYN to the server's, in ns: what connect(2) takes on the client's host.
    pub connect_ns: Option<u64>,
    /// From the client's first SYN to its acknowledgment of the server's, in ns.
    pub handshake_ns: Option<u64>,
    /// From its first packet until now, in ns.
    pub duration_ns: u64,
    /// What the client sent.
    pub from_client: Sent,
    /// What the server sent.
    pub from_server: Sent,
}

/// A client whose last SYN nobody answered for so long has given up, in ns: Linux waits 64 s after its
/// seventh, longer than between any two.
pub const UNANSWERED_NS: u64 = 70_000_000_000;

/// So many packets with payload are asked who may have sent them, where nothing better says it.
const MAX_GUESSES: u8 = 4;

/// What a connection costs while packets of it wait for others, in bytes: headers alone are kept.
const MAX_HELD_BYTES: usize = 64 * 1024;

/// Who gets what happens to connections.
pub type Tell<'a> = dyn FnMut(&Connection) + 'a;

/// Follows TCP connections.
pub struct Connections {
    flows: FlowTable<Following>,
    hints: Box<dyn Hints>,
    /// Protocols whose first bytes tell clients from servers.
    selection: Option<Selection>,
    limits: Limits,
    /// Whether anybody wants to know more than who the client is.
    follows: bool,
    last_id: u64,
    now_ns: u64,
    /// What to add to times of packets to get nanoseconds since the Unix epoch.
    wall_offset_ns: i64,
}

impl Connections {
    /// Follows nothing yet; what happens is worked out only where `follows` says so.
    #[must_use]
    pub fn new(
        hints: Box<dyn Hints>,
        selection: Option<Selection>,
        limits: Limits,
        follows: bool,
    ) -> Self {
        Self {
            flows: FlowTable::new(limits.max_flows),
            hints,
            selection,
            limits,
            follows,
            last_id: 0,
            now_ns: 0,
            wall_offset_ns: 0,
        }
    }

    /// How many connections are followed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether none is followed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// Takes a segment that passed at `unix_ns` (ns since the Unix epoch), tells what it does to its
    /// connection, and says which way it went; `None` while nothing says who the client is.
    pub fn on_segment(
        &mut self,
        frame: &Frame<'_>,
        segment: &Segment<'_>,
        unix_ns: u64,
        tell: &mut Tell<'_>,
    ) -> Option<Direction> {
        self.now_ns = self.now_ns.max(frame.time_ns);
        self.wall_offset_ns = offset(unix_ns, frame.time_ns);
        let (key, side) = FlowKey::of(&segment.addresses);
        let flags = segment.tcp.flags;
        let is_syn = flags.contains(TcpFlags::SYN);
        let id = match self.flows.find(&key) {
            Some(id) => id,
            None if is_syn || segment.payload.wire_len > 0 => {
                self.make_room(tell);
                self.last_id = self.last_id.saturating_add(1);
                let new = Following::new(self.last_id, frame, is_syn);
                self.flows.insert(key, frame.time_ns, new)
            }
            // What is left of a connection that is over.
            None => return direction(self.infer(&key, Evidence::None), side),
        };
        let flow = self.flows.get_mut(id)?;
        flow.last_seen_ns = self.now_ns;
        if is_syn && flow.state.is_told && flow.assembler.is_reuse(side, &segment.tcp) {
            if !flow.state.is_over {
                let reason = Happening::Close(CloseReason::Replaced);
                flow.state.tell(&flow.key, reason, unix_ns, frame.time_ns, tell);
            }
            self.last_id = self.last_id.saturating_add(1);
            flow.state = Following::new(self.last_id, frame, true);
            flow.assembler = Assembler::default();
        }
        let role = match flow.state.role {
            Some(role) if role.certainty > Certainty::Guess => role,
            _ if is_syn => {
                let client = if flags.contains(TcpFlags::ACK) { side.peer() } else { side };
                Role { client, certainty: Certainty::Handshake }
            }
            known => {
                let guesses = &mut flow.state.guesses;
                let evidence = match segment.payload.bytes {
                    [] => Evidence::None,
                    bytes if *guesses < MAX_GUESSES => {
                        *guesses = guesses.saturating_add(1);
                        evidence(self.selection.as_ref(), &key, side, bytes)
                    }
                    _ => Evidence::None,
                };
                match (known, evidence) {
                    (Some(role), Evidence::None) => role,
                    _ => role::infer(&key, evidence, self.hints.as_ref()),
                }
            }
        };
        flow.state.role = Some(role);
        if self.follows {
            follow(flow, frame, segment, side, unix_ns, tell);
        } else {
            flow.state.is_told = true;
            if is_syn {
                flow.assembler.push(&arrival(frame, segment, side), MAX_HELD_BYTES, &mut |_, _| {});
            }
        }
        direction(role, side)
    }

    /// Which way a datagram went; `None` where nothing says who the client is.
    #[must_use]
    pub fn on_datagram(&self, datagram: &Datagram<'_>) -> Option<Direction> {
        let Addresses { source, destination } = datagram.addresses;
        let ports = [source.port(), destination.port()];
        for holds in [Hints::is_named, Hints::is_usual] {
            match ports.map(|port| holds(self.hints.as_ref(), port)) {
                [false, true] => return Some(Direction::Request),
                [true, false] => return Some(Direction::Response),
                _ => {}
            }
        }
        None
    }

    fn infer(&self, key: &FlowKey, evidence: Evidence) -> Role {
        role::infer(key, evidence, self.hints.as_ref())
    }

    fn make_room(&mut self, tell: &mut Tell<'_>) {
        if self.flows.is_full()
            && let Some(flow) = self.flows.evict()
        {
            self.end(&flow, CloseReason::Evicted, tell);
        }
    }

    /// Looks for connections that went quiet. `unix_ns` is now, in ns since the Unix epoch.
    pub fn sweep(&mut self, unix_ns: u64, tell: &mut Tell<'_>) {
        let now_ns = unix_ns.saturating_add_signed(self.wall_offset_ns.saturating_neg());
        self.now_ns = self.now_ns.max(now_ns);
        let expiry = self.limits.expiry;
        let mut quiet = Vec::new();
        let limit = |flow: &Flow<Following>| match flow.state.is_over {
            true => expiry.closed_ns,
            false if flow.state.is_unanswered() => UNANSWERED_NS.min(expiry.idle_ns),
            false => expiry.idle_ns,
        };
        self.flows.sweep(self.now_ns, self.flows.places(), limit, |flow| quiet.push(flow));
        for flow in quiet {
            let reason = match flow.state.is_unanswered() {
                true => CloseReason::Unanswered,
                false => CloseReason::Quiet,
            };
            self.end(&flow, reason, tell);
        }
    }

    /// No packet comes any more.
    pub fn finish(&mut self, tell: &mut Tell<'_>) {
        let mut open: Vec<_> = self.flows.drain().collect();
        open.sort_by_key(|flow| flow.state.id);
        for flow in open {
            self.end(&flow, CloseReason::End, tell);
        }
    }

    fn end(&self, flow: &Flow<Following>, reason: CloseReason, tell: &mut Tell<'_>) {
        if flow.state.is_over || !self.follows {
            return;
        }
        let unix_ns = self.now_ns.saturating_add_signed(self.wall_offset_ns);
        flow.state.tell(&flow.key, Happening::Close(reason), unix_ns, self.now_ns, tell);
    }
}

/// Works out what a segment does to its connection.
fn follow(
    flow: &mut Flow<Following>,
    frame: &Frame<'_>,
    segment: &Segment<'_>,
    side: Side,
    unix_ns: u64,
    tell: &mut Tell<'_>,
) {
    let Flow { key, assembler, state, .. } = flow;
    let was_over = state.is_over;
    if assembler.is_waiting() {
        assembler.expire(frame.time_ns, MAX_HELD_BYTES, &mut |_, _| {});
    }
    let arrival = arrival(frame, segment, side);
    let verdict = assembler.push(&arrival, MAX_HELD_BYTES, &mut |_, _| {});
    if verdict != Verdict::Duplicate {
        state.count(side, segment, arrival.carrier, verdict);
    }
    if !std::mem::replace(&mut state.is_told, true) {
        state.tell(key, Happening::Open, unix_ns, frame.time_ns, tell);
    }
    if state.shakes_hands(side, segment, arrival.carrier, frame.time_ns) {
        state.tell(key, Happening::Established, unix_ns, frame.time_ns, tell);
    }
    if !was_over && assembler.is_closed() {
        let is_reset = segment.tcp.flags.contains(TcpFlags::RST);
        let reason = match is_reset {
            true if state.is_unanswered() => CloseReason::Refused,
            true => CloseReason::Reset,
            false => CloseReason::Fin,
        };
        state.is_over = true;
        state.tell(key, Happening::Close(reason), unix_ns, frame.time_ns, tell);
    }
}

/// What a segment brings, without its bytes: nobody reads them here, and nobody has to keep them.
fn arrival<'a>(frame: &Frame<'_>, segment: &Segment<'_>, side: Side) -> Arrival<'a> {
    Arrival {
        side,
        time_ns: frame.time_ns,
        carrier: carrier(frame),
        tcp: segment.tcp,
        payload: Payload { bytes: &[], wire_len: segment.payload.wire_len },
    }
}

/// What bytes say of who sent them, by the protocols that the ports allow.
fn evidence(selection: Option<&Selection>, key: &FlowKey, side: Side, bytes: &[u8]) -> Evidence {
    let Some(selection) = selection else { return Evidence::None };
    let ports = [Side::Low, Side::High].map(|side| key.endpoint(side).port());
    let probes = selection.candidates(&ports).positions();
    for probe in probes.map(|at| (selection.protocol(at).probe)(bytes)) {
        match probe {
            Probe::Request => return Evidence::FromClient(side),
            Probe::Response => return Evidence::FromServer(side),
            Probe::Either | Probe::Unsure | Probe::No => {}
        }
    }
    Evidence::None
}

/// Which way a packet of `side` went, if anything but the order of the ports says who the client is.
fn direction(role: Role, side: Side) -> Option<Direction> {
    if role.certainty == Certainty::Order {
        return None;
    }
    Some(if side == role.client { Direction::Request } else { Direction::Response })
}

fn offset(unix_ns: u64, time_ns: u64) -> i64 {
    i64::try_from(i128::from(unix_ns).saturating_sub(i128::from(time_ns))).unwrap_or(0)
}
