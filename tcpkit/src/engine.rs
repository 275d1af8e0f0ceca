//! From frames to transactions: flows, their streams and their conversations.
//!
//! No IO, no clock: time comes in with the frames. So live capture and files run the same engine.

mod datagrams;
mod detection;
mod shared;
mod undecided;

use self::{
    datagrams::Datagrams,
    shared::{Shared, State},
};
use crate::{
    capture::Frame,
    config::Limits,
    flow::{
        Assembler, FlowId, FlowKey, FlowTable, Verdict,
        assembler::{Arrival, carrier},
        role::Hints,
        table::Flow,
    },
    ledger::Ledger,
    packet::{Decoded, Endpoint, Segment, TcpFlags, Undecoded, decode, plain_segment},
    protocol::{DecodeOptions, Protocol, Scratch, Selection},
    transaction::{Emit, Ending, OpenPool},
};

/// How often waiting flows are looked at, in ns.
const TICK_NS: u64 = 5_000_000;

/// After so many packets in a row outside its sequence numbers a connection is joined anew.
const MAX_STRAYS: u8 = 16;

/// Each tick looks at one part in so many of all flows for quiet ones.
const SWEEP_PART: usize = 256;

/// Follows connections and pairs what they say.
pub struct Engine<H> {
    flows: FlowTable<State>,
    /// Flows that wait for time to pass.
    waiting: Vec<FlowId>,
    datagrams: Datagrams,
    shared: Shared<H>,
    now_ns: u64,
    next_tick_ns: u64,
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
            datagrams: Datagrams::default(),
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
        self.flows.len().saturating_add(self.datagrams.len())
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
            Decoded::Udp(datagram) => {
                self.datagrams.on_datagram(frame, &datagram, &mut self.shared, emit);
            }
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
            // What is held back may change what time alone would settle.
            if !assembler.is_waiting() {
                shared.tick(key, state, *now_ns, emit);
            }
            flow.state.listed = is_waiting(flow);
            flow.state.listed
        });
        let count = self.flows.places() / SWEEP_PART + 1;
        let expiry = self.shared.limits.expiry;
        let shared = &mut self.shared;
        self.flows.sweep(
            self.now_ns,
            count,
            |flow| expiry.limit_ns(flow),
            |mut flow| {
                if !flow.state.ended {
                    shared.ledger.flows.expired += 1;
                }
                shared.forget(&mut flow, Ending::Forgotten, emit);
            },
        );
        self.datagrams.sweep(self.now_ns, SWEEP_PART, shared, emit);
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
        self.datagrams.finish(&mut self.shared, emit);
    }
}

fn is_waiting(flow: &Flow<State>) -> bool {
    flow.assembler.is_waiting()
        || flow.state.conversation.as_ref().is_some_and(|talk| talk.is_waiting())
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
