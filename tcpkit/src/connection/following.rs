//! What is kept of one connection while it is followed.

use super::{Connection, Happening, Sent, Tell};
use crate::{
    capture::Frame,
    flow::{FlowKey, Side, Verdict, assembler::Carrier, role::Role},
    packet::{Segment, TcpFlags, TcpHeader},
};

/// A SYN, with or without ACK.
#[derive(Clone, Copy)]
struct Syn {
    seq: u32,
    /// It answers the peer's.
    is_answer: bool,
    time_ns: u64,
    carrier: Carrier,
}

/// What is known of a connection, beside the order of its bytes.
pub(super) struct Following {
    pub(super) id: u64,
    pub(super) role: Option<Role>,
    /// How many packets were asked who may have sent them.
    pub(super) guesses: u8,
    /// Whether its beginning was told.
    pub(super) is_told: bool,
    pub(super) is_over: bool,
    ifindex: u32,
    midstream: bool,
    /// When its first packet passed, in ns.
    opened_ns: u64,
    /// The client's SYN and the server's, each the first of its number.
    syns: [Option<Syn>; 2],
    handshake_ns: Option<u64>,
    is_established: bool,
    sent: [Sent; 2],
}

fn at(side: Side) -> usize {
    match side {
        Side::Low => 0,
        Side::High => 1,
    }
}

impl Following {
    pub(super) fn new(id: u64, frame: &Frame<'_>, is_syn: bool) -> Self {
        Self {
            id,
            role: None,
            guesses: 0,
            is_told: false,
            is_over: false,
            ifindex: frame.ifindex,
            midstream: !is_syn,
            opened_ns: frame.time_ns,
            syns: [None; 2],
            handshake_ns: None,
            is_established: false,
            sent: [Sent::default(); 2],
        }
    }

    pub(super) fn client(&self) -> Side {
        self.role.map_or(Side::Low, |role| role.client)
    }

    fn syn(&self, side: Side) -> Option<Syn> {
        self.syns.get(at(side)).copied().flatten()
    }

    /// Whether the client asked, and nothing of the server came yet.
    pub(super) fn is_unanswered(&self) -> bool {
        let client = self.client();
        self.syn(client).is_some()
            && self.syn(client.peer()).is_none()
            && !self.is_established
            && self.sent.get(at(client.peer())).is_none_or(|sent| sent.bytes == 0)
    }

    /// Whether this is a reset that its receiver does not heed, since it does not answer its SYN (RFC 9293,
    /// 3.10.7.3).
    pub(super) fn is_refusal_of_another(&self, side: Side, tcp: &TcpHeader) -> bool {
        let Some(syn) = self.syn(self.client()) else { return false };
        let answers = tcp.flags.contains(TcpFlags::ACK) && tcp.ack == syn.seq.wrapping_add(1);
        tcp.flags.contains(TcpFlags::RST)
            && self.is_unanswered()
            && side != self.client()
            && !answers
    }

    /// Counts a packet, and remembers the first SYN.
    pub(super) fn count(
        &mut self,
        side: Side,
        segment: &Segment<'_>,
        carrier: Carrier,
        verdict: Verdict,
    ) {
        let (Some(sent), Some(syn)) = (self.sent.get_mut(at(side)), self.syns.get_mut(at(side)))
        else {
            return;
        };
        if segment.tcp.flags.contains(TcpFlags::SYN) {
            let is_answer = segment.tcp.flags.contains(TcpFlags::ACK);
            match *syn {
                // Both opened at once: the same SYN as an answer is no SYN once more.
                Some(first) if first.is_answer != is_answer => {}
                // The same packet at another place, not the same once more.
                Some(first) if first.seq == segment.tcp.seq && first.carrier != carrier => return,
                Some(first) if first.seq == segment.tcp.seq => {
                    sent.syn_retransmits = sent.syn_retransmits.saturating_add(1);
                }
                _ => {}
            }
        }
        sent.packets = sent.packets.saturating_add(1);
        sent.bytes = sent.bytes.saturating_add(u64::from(segment.payload.wire_len));
        if verdict == Verdict::Retransmit && segment.payload.wire_len > 0 {
            let bytes = u64::from(segment.payload.wire_len);
            sent.retransmits = sent.retransmits.saturating_add(1);
            sent.retransmit_bytes = sent.retransmit_bytes.saturating_add(bytes);
        }
    }

    /// Notes how far the handshake is; whether this segment completes it.
    pub(super) fn shakes_hands(
        &mut self,
        side: Side,
        segment: &Segment<'_>,
        carrier: Carrier,
        time_ns: u64,
    ) -> bool {
        let (flags, client) = (segment.tcp.flags, self.client());
        if flags.contains(TcpFlags::SYN) {
            if let Some(syn) = self.syns.get_mut(at(side))
                && syn.is_none_or(|syn| syn.seq != segment.tcp.seq)
            {
                let is_answer = flags.contains(TcpFlags::ACK);
                *syn = Some(Syn { seq: segment.tcp.seq, is_answer, time_ns, carrier });
            }
            return false;
        }
        if self.is_established || side != client || flags.contains(TcpFlags::RST) {
            return false;
        }
        let answers = self
            .syn(client.peer())
            .is_none_or(|syn| segment.tcp.ack.wrapping_sub(syn.seq.wrapping_add(1)) < 1 << 30);
        let Some(first) = self.syn(client) else { return false };
        if !flags.contains(TcpFlags::ACK) || !answers {
            return false;
        }
        self.is_established = true;
        self.handshake_ns = Some(time_ns.saturating_sub(first.time_ns));
        true
    }

    /// Tells what happened.
    pub(super) fn tell(
        &self,
        key: &FlowKey,
        happening: Happening,
        unix_ns: u64,
        time_ns: u64,
        tell: &mut Tell<'_>,
    ) {
        let client = self.client();
        let (syn, syn_ack) = (self.syn(client), self.syn(client.peer()));
        let sent = |side: Side| self.sent.get(at(side)).copied().unwrap_or_default();
        tell(&Connection {
            id: self.id,
            happening,
            unix_ns,
            client: *key.endpoint(client),
            server: *key.endpoint(client.peer()),
            ifindex: self.ifindex,
            midstream: self.midstream,
            connect_ns: match (syn, syn_ack) {
                // Captured the wrong way round, they say nothing.
                (Some(syn), Some(answer)) => answer.time_ns.checked_sub(syn.time_ns),
                _ => None,
            },
            handshake_ns: self.handshake_ns,
            duration_ns: time_ns.saturating_sub(self.opened_ns),
            from_client: sent(client),
            from_server: sent(client.peer()),
        });
    }
}
