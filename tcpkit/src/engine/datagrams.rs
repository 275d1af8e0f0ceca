//! What two ends say in UDP datagrams: there is no handshake, no order and no end; each stands alone.

use super::shared::{Shared, direction};
use crate::{
    capture::Frame,
    flow::{
        FlowKey, FlowTable, Side,
        role::{self, Evidence, Hints, Role},
    },
    packet::{Datagram, Once},
    protocol::{Decoder, Direction, Entry, selection::Candidates},
    transaction::{Conversation, Emit, Ending},
};

/// Two ends that said nothing for so long are forgotten, in ns: nobody waits longer for a datagram.
const IDLE_NS: u64 = 60_000_000_000;

/// Pairs of ends that send each other datagrams.
#[derive(Default)]
pub(super) struct Datagrams {
    /// What was captured at several places counts once. Made when it is needed: it takes 8 MiB.
    once: Option<Once>,
    pairs: Option<FlowTable<Pair>>,
}

/// Two ends, and what they say.
struct Pair {
    role: Role,
    protocol: u8,
    conversation: Conversation,
}

impl Datagrams {
    /// How many pairs are followed.
    pub(super) fn len(&self) -> usize {
        self.pairs.as_ref().map_or(0, FlowTable::len)
    }

    /// Takes a datagram.
    pub(super) fn on_datagram<H: Hints>(
        &mut self,
        frame: &Frame<'_>,
        datagram: &Datagram<'_>,
        shared: &mut Shared<H>,
        emit: &mut Emit<'_>,
    ) {
        let (key, side) = FlowKey::of(&datagram.addresses);
        let Some((protocol, decoder)) = spoken(shared, &key) else {
            shared.ledger.packets.udp += 1;
            return;
        };
        if !self.once.get_or_insert_default().is_new(frame) {
            shared.ledger.packets.duplicates += 1;
            return;
        }
        let pairs = self.pairs.get_or_insert_with(|| FlowTable::new(shared.limits.max_flows));
        let id = match pairs.find(&key) {
            Some(id) => id,
            None => {
                if pairs.is_full()
                    && let Some(old) = pairs.evict()
                {
                    shared.ledger.flows.evicted += 1;
                    finish(shared, &old.key, old.state, Ending::Forgotten, emit);
                }
                shared.ledger.flows.by_datagrams += 1;
                let role = role::infer(&key, Evidence::None, &shared.hints);
                let conversation = Conversation::of_datagrams(decoder());
                pairs.insert(key, frame.time_ns, Pair { role, protocol, conversation })
            }
        };
        let Some(flow) = pairs.get_mut(id) else { return };
        flow.last_seen_ns = flow.last_seen_ns.max(frame.time_ns);
        let Pair { role, protocol, conversation } = &mut flow.state;
        let direction = direction(*role, side);
        let bytes = u64::from(datagram.payload.wire_len);
        shared.count_bytes(direction == Direction::Request, bytes);
        shared.ledger.packets.datagrams += 1;
        let mut context = shared.context(&flow.key, *protocol, *role, emit);
        context.entry = Entry::Datagram;
        conversation.handle_datagram(direction, &datagram.payload, frame.time_ns, &mut context);
    }

    /// Looks at a part of all pairs, and forgets those that went quiet.
    pub(super) fn sweep<H: Hints>(
        &mut self,
        now_ns: u64,
        part: usize,
        shared: &mut Shared<H>,
        emit: &mut Emit<'_>,
    ) {
        let Some(pairs) = &mut self.pairs else { return };
        let idle_ns = shared.limits.expiry.idle_ns.min(IDLE_NS);
        let count = pairs.places() / part + 1;
        pairs.sweep(
            now_ns,
            count,
            |_| idle_ns,
            |flow| {
                shared.ledger.flows.expired += 1;
                finish(shared, &flow.key, flow.state, Ending::Forgotten, emit);
            },
        );
    }

    /// No datagram comes any more.
    pub(super) fn finish<H: Hints>(&mut self, shared: &mut Shared<H>, emit: &mut Emit<'_>) {
        let Some(pairs) = &mut self.pairs else { return };
        for flow in pairs.drain() {
            shared.ledger.flows.open += 1;
            finish(shared, &flow.key, flow.state, Ending::Exit, emit);
        }
    }
}

/// Makes a decoder for two ends.
type MakeDecoder = fn() -> Box<dyn Decoder>;

/// What two ends may say to each other: the first protocol with datagrams, one whose server usually has
/// one of the ports before others.
fn spoken<H: Hints>(shared: &Shared<H>, key: &FlowKey) -> Option<(u8, MakeDecoder)> {
    let ports = [Side::Low, Side::High].map(|side| key.endpoint(side).port());
    let candidates: Candidates = shared.selection.candidates(&ports);
    let with_datagrams = || {
        candidates.positions().filter_map(|at| {
            let protocol = shared.selection.protocol(at);
            Some((at, protocol, protocol.datagrams?))
        })
    };
    let usual = with_datagrams()
        .find(|(_, protocol, _)| ports.iter().any(|port| protocol.ports.contains(port)));
    // On other ports anything may be in a datagram, unless the user knows what.
    let is_named = |port: &u16| shared.hints.is_named(*port);
    let named = || with_datagrams().next().filter(|_| ports.iter().any(is_named));
    usual.or_else(named).map(|(at, _, decoder)| (at, decoder))
}

fn finish<H: Hints>(
    shared: &mut Shared<H>,
    key: &FlowKey,
    pair: Pair,
    ending: Ending,
    emit: &mut Emit<'_>,
) {
    let Pair { role, protocol, mut conversation } = pair;
    let mut context = shared.context(key, protocol, role, emit);
    context.entry = Entry::Datagram;
    conversation.finish(ending, &mut context);
}
