//! Puts both directions of one connection into the order in which their bytes were sent.
//!
//! Two rules order the bytes. Within a direction sequence numbers do. Between the directions the
//! acknowledgment numbers do: whoever sent a segment with acknowledgment A had received all bytes
//! before A, so those are delivered first. That keeps requests before their responses even when
//! packets were captured out of order.
//!
//! The common case, a segment that continues its direction, is delivered from the packet itself
//! without a copy. Others wait in a bounded queue. Bytes that do not come are reported as a gap:
//! soon after the receiver acknowledged them (then they were on the wire and were not captured),
//! late when nobody did, at once when the queue is full.

use super::{
    held::{Held, HeldQueue},
    key::Side,
    seq::Seq,
};
use crate::{
    capture::{Frame, HookDirection},
    packet::{Payload, TcpFlags, TcpHeader},
};

/// How long packets captured out of order are waited for once their receiver acknowledged them, ns.
pub const ACKED_GRACE_NS: u64 = 10_000_000;

/// How long bytes that nobody acknowledged are waited for, ns: longer than the first
/// retransmission timeouts of common stacks.
pub const UNACKED_GRACE_NS: u64 = 3_000_000_000;

/// A segment this far from what is expected is from another connection or made up.
const MAX_DISTANCE: u32 = 1 << 30;

/// A reset this far from what is expected is not for this connection. Generous: what was sent and
/// not captured lies between, and so does a window.
const MAX_RST_DISTANCE: u32 = 1 << 24;

/// How many bytes may have followed a SYN that is seen once more.
const MAX_SYN_DISTANCE: i32 = 0xffff;

/// Which interface and hook a packet came by, for telling duplicates from retransmits.
pub type Carrier = u32;

/// Which way a frame came. A packet seen twice by the same way is a retransmit, by another a duplicate.
#[must_use]
pub fn carrier(frame: &Frame<'_>) -> Carrier {
    let direction = match frame.direction {
        HookDirection::Ingress => 1,
        HookDirection::Egress => 2,
        HookDirection::Unknown => 3,
    };
    frame.ifindex << 2 | direction
}

/// What one packet brings to the assembler.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Who sent it.
    pub side: Side,
    /// When it was captured, in ns.
    pub time_ns: u64,
    /// Where it was captured.
    pub carrier: Carrier,
    /// Its TCP header.
    pub tcp: TcpHeader,
    /// What it carries.
    pub payload: Payload<'a>,
}

/// Bytes of one direction, in order, from one packet.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// When the packet that first carried them was captured, in ns.
    pub time_ns: u64,
    /// The sequence number of the first byte.
    pub seq: Seq,
    /// What the sender had received by then, if it said so.
    pub ack: Option<Seq>,
    /// Whether the sender took a new turn with this chunk.
    pub turn: Turn,
}

/// Whether everything sent before a chunk had been answered, as far as TCP can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The sender had received all that its peer sent, and the peer had sent it after receiving all
    /// that the sender sent before.
    New,
    /// Something was still under way.
    Running,
    /// The connection was not seen long enough to tell.
    Unknown,
}

/// Why bytes of a stream are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapCause {
    /// The packet that carried them was captured, but not all of it.
    Cut {
        /// When, in ns.
        time_ns: u64,
    },
    /// The packet that carried them was not captured.
    Lost,
}

/// What happens in one direction of a connection.
#[derive(Clone, Copy, Debug)]
pub enum StreamEvent<'a> {
    /// Bytes.
    Data(Chunk<'a>),
    /// Bytes that were sent but are not known.
    Gap {
        /// How many, at least 1.
        len: u64,
        /// Why.
        cause: GapCause,
    },
    /// The sender has nothing more to say, and said so (FIN).
    End,
    /// The connection was reset: whatever the sender still had to say will not come.
    Reset,
}

/// What became of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It carried no payload.
    Empty,
    /// Its payload was delivered.
    Delivered,
    /// Its payload waits for other bytes.
    Held,
    /// All its payload had come before, by the same way.
    Retransmit,
    /// The same packet had been captured on another interface.
    Duplicate,
    /// Its sequence number makes no sense on this connection.
    OutOfWindow,
}

#[derive(Debug, Default)]
struct Half {
    /// The next sequence number to deliver; counts only when `known`.
    next: Seq,
    /// What the peer acknowledged of this side's bytes; counts only when `acked_known`.
    acked: Seq,
    /// The acknowledgment number that this side's latest delivered data carried.
    data_ack: Option<Seq>,
    carrier: Carrier,
    known: bool,
    /// `next` was told by the SYN, and not by whatever packet came first.
    from_syn: bool,
    acked_known: bool,
    ended: bool,
    held: Option<Box<HeldQueue>>,
}

impl Half {
    fn first_held(&self) -> Option<&Held> {
        self.held.as_ref().and_then(|held| held.first())
    }

    fn held_memory(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.memory())
    }

    /// The sequence number up to which bytes are missing, and whether their receiver has them.
    fn missing_to(&self) -> Option<(Seq, bool)> {
        if !self.known || self.ended {
            return None;
        }
        let held = self.first_held().map(|held| held.seq).filter(|&seq| self.next.is_before(seq));
        let acked = Some(self.acked).filter(|&a| self.acked_known && self.next.is_before(a));
        match (held, acked) {
            // Bytes from `next` wait for the other side: nothing is missing here.
            _ if self.first_held().is_some() && held.is_none() => None,
            (Some(held), Some(acked)) => {
                Some((if acked.is_before(held) { acked } else { held }, true))
            }
            (None, Some(acked)) => Some((acked, true)),
            (Some(held), None) => Some((held, false)),
            (None, None) => None,
        }
    }
}

/// Why waiting segments wait.
#[derive(Clone, Copy, Debug)]
enum Block {
    /// Bytes of a side, up to a sequence number, did not come.
    Missing { side: Side, to: Seq, acked: bool },
    /// Each side's first waiting segment answers bytes that wait on the other side: no real
    /// connection does that.
    Deadlock { side: Side },
}

/// Both directions of one connection.
#[derive(Debug, Default)]
pub struct Assembler {
    low: Half,
    high: Half,
    /// When missing bytes are given up, in ns; 0 while none are missing.
    deadline_ns: u64,
}

impl Assembler {
    fn half(&self, side: Side) -> &Half {
        match side {
            Side::Low => &self.low,
            Side::High => &self.high,
        }
    }

    fn half_mut(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Low => &mut self.low,
            Side::High => &mut self.high,
        }
    }

    /// Both sides said that they have nothing more to say, or one reset the connection.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.low.ended && self.high.ended
    }

    /// Whether bytes are missing or waiting, so that [`Self::expire`] has to be called in time.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.deadline_ns != 0
    }

    /// Whether a SYN with this number begins another connection than the one known.
    #[must_use]
    pub fn is_reuse(&self, side: Side, tcp: &TcpHeader) -> bool {
        let half = self.half(side);
        // A copy of the known SYN stands right before the first byte, or a little farther back once
        // data followed.
        let behind = half.next.since(Seq(tcp.seq).advance(1));
        tcp.flags.contains(TcpFlags::SYN)
            && (self.is_closed() || half.known && !(0..=MAX_SYN_DISTANCE).contains(&behind))
    }

    /// Takes one packet, and tells `deliver` what it and the packets that waited for it bring.
    /// `max_held` bounds the bytes of memory that waiting segments of the connection take.
    pub fn push(
        &mut self,
        arrival: &Arrival<'_>,
        max_held: usize,
        deliver: &mut impl FnMut(Side, StreamEvent<'_>),
    ) -> Verdict {
        let Arrival { side, time_ns, carrier, tcp, payload } = *arrival;
        if tcp.flags.contains(TcpFlags::RST) {
            // Both ends ignore a reset from outside their window, and so does this.
            let half = self.half(side);
            if half.known && Seq(tcp.seq).since(half.next).unsigned_abs() > MAX_RST_DISTANCE {
                return Verdict::OutOfWindow;
            }
            self.reset(deliver);
            return Verdict::Empty;
        }
        let peer = self.half(side.peer());
        let ack = Some(Seq(tcp.ack)).filter(|ack| {
            tcp.flags.contains(TcpFlags::ACK)
                && (!peer.known || ack.since(peer.next).unsigned_abs() <= MAX_DISTANCE)
        });
        let mut seq = Seq(tcp.seq);
        if tcp.flags.contains(TcpFlags::SYN) {
            seq = seq.advance(1);
            self.synchronise(side, seq, ack);
        }
        if let Some(ack) = ack {
            let from_syn = self.half(side).from_syn;
            let peer = self.half_mut(side.peer());
            if !peer.known && from_syn {
                // The peer's SYN was not captured; but nothing of it had come before this one's.
                peer.known = true;
                peer.next = ack;
            }
            if !peer.acked_known || peer.acked.is_before(ack) {
                peer.acked = ack;
                peer.acked_known = true;
            }
        }
        let fin = tcp.flags.contains(TcpFlags::FIN);
        let verdict = if payload.wire_len == 0 && !fin {
            Verdict::Empty
        } else {
            self.take(side, seq, ack, fin, time_ns, carrier, payload, deliver)
        };
        if verdict == Verdict::Held
            || self.deadline_ns != 0
            || self.half(side.peer()).missing_to().is_some()
        {
            self.settle(time_ns, max_held, deliver);
        }
        verdict
    }

    /// A SYN tells where its sender begins, and one that acknowledges where the peer began.
    fn synchronise(&mut self, side: Side, first: Seq, ack: Option<Seq>) {
        let half = self.half_mut(side);
        if !half.known {
            half.known = true;
            half.from_syn = true;
            half.next = first;
        }
        if let Some(ack) = ack {
            let peer = self.half_mut(side.peer());
            if !peer.known {
                peer.known = true;
                peer.from_syn = true;
                peer.next = ack;
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one packet's parts, read once by the caller")]
    #[inline(always)]
    fn take(
        &mut self,
        side: Side,
        mut seq: Seq,
        ack: Option<Seq>,
        fin: bool,
        time_ns: u64,
        carrier: Carrier,
        payload: Payload<'_>,
        deliver: &mut impl FnMut(Side, StreamEvent<'_>),
    ) -> Verdict {
        let half = self.half_mut(side);
        if !half.known {
            half.known = true;
            half.next = seq;
        }
        let Payload { mut bytes, wire_len: mut len } = payload;
        let distance = seq.since(half.next);
        if distance.unsigned_abs() > MAX_DISTANCE {
            return Verdict::OutOfWindow;
        }
        if distance < 0 {
            let old = seq.bytes_to(half.next);
            if old > len || (old == len && (!fin || half.ended)) {
                return if half.carrier == carrier {
                    Verdict::Retransmit
                } else {
                    Verdict::Duplicate
                };
            }
            bytes = bytes.get(usize::try_from(old).unwrap_or(usize::MAX)..).unwrap_or(&[]);
            len = len.saturating_sub(old);
            seq = half.next;
        }
        if half.ended {
            // Bytes behind a FIN, or the FIN once more.
            return if half.carrier == carrier { Verdict::Retransmit } else { Verdict::Duplicate };
        }
        let in_order = seq == half.next && half.held.is_none();
        if in_order && self.has_seen_what(side, ack) {
            self.half_mut(side).carrier = carrier;
            self.deliver(side, seq, ack, fin, time_ns, bytes, len, deliver);
            return if len == 0 { Verdict::Empty } else { Verdict::Delivered };
        }
        let held = Held { seq, len, ack, time_ns, fin, bytes: bytes.to_vec() };
        let half = self.half_mut(side);
        if half.held.get_or_insert_default().insert(held) {
            Verdict::Held
        } else if half.carrier == carrier {
            Verdict::Retransmit
        } else {
            Verdict::Duplicate
        }
    }

    /// Whether everything the sender had received when it sent `ack` was delivered.
    fn has_seen_what(&self, side: Side, ack: Option<Seq>) -> bool {
        let peer = self.half(side.peer());
        match ack {
            Some(ack) if peer.known && !peer.ended => !peer.next.is_before(ack),
            _ => true,
        }
    }

    /// Hands over bytes that begin at `next`.
    #[expect(clippy::too_many_arguments, reason = "the parts of a segment, held or not")]
    #[inline(always)]
    fn deliver(
        &mut self,
        side: Side,
        seq: Seq,
        ack: Option<Seq>,
        fin: bool,
        time_ns: u64,
        bytes: &[u8],
        len: u32,
        deliver: &mut impl FnMut(Side, StreamEvent<'_>),
    ) {
        if len > 0 {
            let turn = self.turn(side, seq, ack);
            if !bytes.is_empty() {
                deliver(side, StreamEvent::Data(Chunk { bytes, time_ns, seq, ack, turn }));
            }
            let captured = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let cut = u64::from(len).saturating_sub(captured);
            if cut > 0 {
                deliver(side, StreamEvent::Gap { len: cut, cause: GapCause::Cut { time_ns } });
            }
        }
        let half = self.half_mut(side);
        half.next = seq.advance(len);
        if len > 0 {
            half.data_ack = ack;
        }
        if fin {
            half.next = half.next.advance(1);
            half.ended = true;
            half.held = None;
            deliver(side, StreamEvent::End);
        }
    }

    fn turn(&self, side: Side, seq: Seq, ack: Option<Seq>) -> Turn {
        let (own, peer) = (self.half(side), self.half(side.peer()));
        let first = own.data_ack.is_none();
        if !peer.known {
            return if first { Turn::Unknown } else { Turn::Running };
        }
        match (ack, peer.data_ack) {
            (Some(ack), Some(peer_ack)) if ack == peer.next && !peer_ack.is_before(seq) => {
                Turn::New
            }
            (Some(ack), None) if ack == peer.next && first => Turn::Unknown,
            _ => Turn::Running,
        }
    }

    /// Delivers what has become deliverable, and gives up what did not come in time.
    #[inline(never)]
    fn settle(
        &mut self,
        now_ns: u64,
        max_held: usize,
        deliver: &mut impl FnMut(Side, StreamEvent<'_>),
    ) {
        let had_deadline = self.deadline_ns;
        loop {
            let mut moved = false;
            for side in [Side::Low, Side::High] {
                while self.deliver_held(side, deliver) {
                    moved = true;
                }
            }
            if moved {
                self.deadline_ns = 0;
                continue;
            }
            let Some(block) = self.block() else {
                self.deadline_ns = 0;
                return;
            };
            let acked = !matches!(block, Block::Missing { acked: false, .. });
            let memory = self.low.held_memory().saturating_add(self.high.held_memory());
            let deadline_ns = if self.deadline_ns == 0 {
                let grace = if acked { ACKED_GRACE_NS } else { UNACKED_GRACE_NS };
                now_ns.saturating_add(grace)
            } else if acked {
                // Learning that the bytes had arrived cuts a long wait short.
                self.deadline_ns.min(now_ns.saturating_add(ACKED_GRACE_NS))
            } else {
                self.deadline_ns
            };
            if memory <= max_held && (now_ns < deadline_ns || had_deadline == 0) {
                self.deadline_ns = deadline_ns;
                return;
            }
            match block {
                Block::Missing { side, to, .. } => self.give_up(side, to, deliver),
                Block::Deadlock { side } => self.deliver_first_held(side, deliver),
            }
            self.deadline_ns = 0;
        }
    }

    /// What holds everything else up.
    fn block(&self) -> Option<Block> {
        let of = |side: Side| {
            self.half(side).missing_to().map(|(to, acked)| Block::Missing { side, to, acked })
        };
        match (of(Side::Low), of(Side::High)) {
            (Some(Block::Missing { acked: false, .. }), Some(high)) => Some(high),
            (Some(low), _) => Some(low),
            (None, Some(high)) => Some(high),
            (None, None) => {
                let low = self.low.first_held().map(|held| held.time_ns);
                let high = self.high.first_held().map(|held| held.time_ns);
                match (low, high) {
                    (None, None) => None,
                    (Some(low), Some(high)) if high < low => {
                        Some(Block::Deadlock { side: Side::High })
                    }
                    (Some(_), _) => Some(Block::Deadlock { side: Side::Low }),
                    (None, Some(_)) => Some(Block::Deadlock { side: Side::High }),
                }
            }
        }
    }

    fn deliver_held(
        &mut self,
        side: Side,
        deliver: &mut impl FnMut(Side, StreamEvent<'_>),
    ) -> bool {
        let half = self.half(side);
        let Some(first) = half.first_held() else { return false };
        if half.next.is_before(first.seq) || !self.has_seen_what(side, first.ack) {
            return false;
        }
        self.deliver_first_held(side, deliver);
        true
    }

    #[inline(never)]
    fn deliver_first_held(&mut self, side: Side, deliver: &mut impl FnMut(Side, StreamEvent<'_>)) {
        let half = self.half_mut(side);
        let next = half.next;
        let Some(mut held) = half.held.as_mut().and_then(|held| held.pop_first()) else {
            return;
        };
        if half.held.as_ref().is_some_and(|held| held.is_empty()) {
            half.held = None;
        }
        let old = held.seq.bytes_to(next);
        if old > held.len || (old == held.len && !held.fin) {
            return;
        }
        held.trim_front(old);
        self.deliver(
            side,
            held.seq,
            held.ack,
            held.fin,
            held.time_ns,
            &held.bytes,
            held.len,
            deliver,
        );
    }

    fn give_up(&mut self, side: Side, to: Seq, deliver: &mut impl FnMut(Side, StreamEvent<'_>)) {
        let half = self.half_mut(side);
        let len = half.next.bytes_to(to);
        half.next = to;
        if len > 0 {
            deliver(side, StreamEvent::Gap { len: u64::from(len), cause: GapCause::Lost });
        }
    }

    /// Gives up what did not come by `now_ns`, and delivers what waited behind it.
    pub fn expire(
        &mut self,
        now_ns: u64,
        max_held: usize,
        deliver: &mut impl FnMut(Side, StreamEvent<'_>),
    ) {
        if self.deadline_ns != 0 && now_ns >= self.deadline_ns {
            self.settle(now_ns, max_held, deliver);
        }
    }

    /// Nothing more will come: everything that waits is delivered behind the gaps it waited for.
    pub fn finish(&mut self, deliver: &mut impl FnMut(Side, StreamEvent<'_>)) {
        if self.deadline_ns != 0 {
            self.deadline_ns = 1;
            self.settle(u64::MAX, 0, deliver);
        }
    }

    fn reset(&mut self, deliver: &mut impl FnMut(Side, StreamEvent<'_>)) {
        self.finish(deliver);
        for side in [Side::Low, Side::High] {
            let half = self.half_mut(side);
            if !half.ended {
                half.ended = true;
                half.held = None;
                deliver(side, StreamEvent::Reset);
            }
        }
    }
}

#[cfg(test)]
mod tests;
