//! Everything seen, skipped, lost or not understood, in counts that add up.

mod metrics;
mod show;
mod sum;

use tcpkit_common::Counters;

pub use self::metrics::{Metric, MetricKind};
use crate::capture::InterfaceCounters;

/// What became of the packets that reached the agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketCounts {
    /// Frames handed over by the source.
    pub received: u64,
    /// Not IP.
    pub not_ip: u64,
    /// IP, but neither TCP nor UDP.
    pub other_transport: u64,
    /// Later IP fragments.
    pub fragments: u64,
    /// Headers cut off or contradictory.
    pub malformed: u64,
    /// UDP datagrams of which nothing was asked.
    pub udp: u64,
    /// UDP datagrams that were read.
    pub datagrams: u64,
    /// TCP segments without payload.
    pub empty: u64,
    /// TCP segments whose payload continued its stream.
    pub in_order: u64,
    /// TCP segments whose payload had to wait for other bytes.
    pub reordered: u64,
    /// TCP segments whose payload had been captured before.
    pub retransmitted: u64,
    /// TCP segments captured before on another interface.
    pub duplicates: u64,
    /// TCP segments far outside their connection's sequence numbers.
    pub out_of_window: u64,
    /// TCP segments of connections that are not followed.
    pub untracked: u64,
    /// Handed to outputs without being looked into.
    pub as_they_are: u64,
}

/// What was put out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputCounts {
    /// Transactions written.
    pub transactions: u64,
    /// Whether packets are put out at all.
    pub takes_packets: bool,
    /// Packets printed or written.
    pub packets: u64,
    /// Packets left out because they were captured on another interface before.
    pub seen_before: u64,
    /// Packets that an output could not keep, such as those after a disk was full.
    pub unwritten: u64,
    /// Lines that a file did not take, such as those after a disk was full.
    pub lost_lines: u64,
    /// Packets that came after the last file was complete.
    pub late: u64,
    /// Whether packets are printed, and not only written.
    pub prints_packets: bool,
    /// Whether packets are written to a file.
    pub writes_packets: bool,
    /// Whether transactions are printed.
    pub prints_transactions: bool,
    /// What the user's script was given.
    pub script: ScriptCounts,
}

/// What the user's script was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScriptCounts {
    /// There is one.
    pub runs: bool,
    /// Packets of TCP and UDP.
    pub packets: u64,
    /// Transactions.
    pub transactions: u64,
    /// What happened to connections.
    pub events: u64,
    /// How many calls failed.
    pub errors: u64,
    /// It is not called any more, since it keeps too much.
    pub gave_up: bool,
}

/// What became of connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowCounts {
    /// Followed from their handshake.
    pub from_handshake: u64,
    /// Joined while they were open.
    pub midstream: u64,
    /// Pairs of ends that send each other datagrams.
    pub by_datagrams: u64,
    /// Ended by FIN or RST, or replaced by a new connection with the same ports.
    pub closed: u64,
    /// Forgotten after being quiet.
    pub expired: u64,
    /// Forgotten to make room.
    pub evicted: u64,
    /// Open at the end.
    pub open: u64,
    /// Connections whose client and server had to be swapped.
    pub roles_corrected: u64,
    /// Connections that speak none of the protocols that were asked for, or that said too little to tell.
    pub foreign: u64,
    /// How often a connection turned out to speak something else than its first bytes said.
    pub protocols_corrected: u64,
}

/// Payload bytes of streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByteCounts {
    /// From clients to servers, each byte once, those the snaplen cut off included.
    pub request: u64,
    /// From servers to clients, likewise.
    pub response: u64,
    /// Bytes that were sent but whose packets were not captured.
    pub lost: u64,
}

/// What became of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageCounts {
    /// Requests decoded.
    pub requests: u64,
    /// Responses decoded.
    pub responses: u64,
    /// Responses that found their request.
    pub paired: u64,
    /// Transactions that were measured, whether they were slow enough to be handed over or not.
    pub reported: u64,
    /// Pairs whose first or last byte was not captured, so that no time can be given.
    pub untimed: u64,
    /// Pairs that were not proven certain.
    pub unproven: u64,
    /// Pairs that may still prove certain; 0 once a run is over.
    pub on_probation: u64,
    /// Requests that nobody answers.
    pub requests_one_way: u64,
    /// Messages that servers pushed.
    pub responses_one_way: u64,
    /// Responses without a request.
    pub orphans: u64,
    /// Requests whose response could not be told any more.
    pub requests_lost: u64,
    /// Requests dropped because too many waited.
    pub requests_overflowed: u64,
    /// Requests that the client gave up before they were answered in full.
    pub requests_cancelled: u64,
    /// Requests whose connection ended first.
    pub requests_unanswered: u64,
    /// Requests whose connection was evicted or expired.
    pub requests_forgotten: u64,
    /// Requests that still waited at the end.
    pub requests_open: u64,
    /// Payload bytes that were read: handed to a decoder, or skipped because it knew what they were.
    pub read_bytes: u64,
    /// Payload bytes that were not read, because the pairing was lost.
    pub unread_bytes: u64,
    /// Payload bytes of connections that speak none of the protocols that were asked for.
    pub foreign_bytes: u64,
    /// Bytes cut off by the snaplen that were needed.
    pub hidden_by_snaplen_bytes: u64,
    /// Bytes not captured that were needed.
    pub hidden_by_loss_bytes: u64,
    /// How often the pairing was lost because bytes were not seen.
    pub losses_hidden: u64,
    /// … because bytes were not what the protocol allows.
    pub losses_invalid: u64,
    /// … because a response came without a request.
    pub losses_orphan: u64,
    /// … because too many requests waited.
    pub losses_overflow: u64,
    /// How often pairing began anew.
    pub resyncs: u64,
}

/// All counts of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// How long ago it was counted, in s: 0 for now, more where the loop that counts stands still.
    pub age_s: u64,
    /// What happened in front of the agent (in the kernel, or in the reader of a file); `None` when
    /// the source does not count it.
    pub kernel: Option<Counters>,
    /// The same by interface and hook.
    pub interfaces: Vec<InterfaceCounters>,
    /// Whether packets that the filter refused are counted there.
    pub knows_refused: bool,
    /// Packets are put out as they are: nothing is known of connections and requests.
    pub packets_only: bool,
    /// Records from the kernel that could not be read.
    pub bad_records: u64,
    /// Frames that nobody read: captured while the programs were attached or taken off, or after the
    /// last line.
    pub unread: u64,
    /// Packets in user space.
    pub packets: PacketCounts,
    /// Connections.
    pub flows: FlowCounts,
    /// Bytes of streams.
    pub bytes: ByteCounts,
    /// Messages.
    pub messages: MessageCounts,
    /// What was put out.
    pub output: OutputCounts,
}

/// From this age on, in s, a ledger does not say any more what happens.
const STALE_S: u64 = 3;

impl Ledger {
    /// Whether more may have been lost by now than it says.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.age_s >= STALE_S
    }

    /// The ledger of a run that looks into no packet.
    #[must_use]
    pub fn of_packets(received: u64) -> Self {
        let packets = PacketCounts { received, as_they_are: received, ..PacketCounts::default() };
        Self { packets, packets_only: true, ..Self::default() }
    }

    /// The sums that have to hold once a run is over, as (what, one side, other side).
    #[must_use]
    pub fn sums(&self) -> Vec<(&'static str, u64, u64)> {
        let (p, m) = (&self.packets, &self.messages);
        let mut sums = vec![
            (
                "packets received",
                p.received,
                p.not_ip
                    + p.other_transport
                    + p.fragments
                    + p.malformed
                    + p.udp
                    + p.datagrams
                    + p.empty
                    + p.in_order
                    + p.reordered
                    + p.retransmitted
                    + p.duplicates
                    + p.out_of_window
                    + p.untracked
                    + p.as_they_are,
            ),
            (
                "connections",
                self.flows.from_handshake + self.flows.midstream + self.flows.by_datagrams,
                self.flows.closed + self.flows.expired + self.flows.evicted + self.flows.open,
            ),
            (
                "requests",
                m.requests,
                m.paired
                    + m.requests_cancelled
                    + m.requests_one_way
                    + m.requests_lost
                    + m.requests_overflowed
                    + m.requests_unanswered
                    + m.requests_forgotten
                    + m.requests_open,
            ),
            ("responses", m.responses, m.paired + m.responses_one_way + m.orphans),
            (
                "stream bytes",
                self.bytes.request + self.bytes.response,
                m.read_bytes + m.unread_bytes + m.foreign_bytes,
            ),
            (
                "pairs",
                m.paired + m.requests_cancelled,
                m.reported + m.untimed + m.unproven + m.on_probation,
            ),
        ];
        if self.packets_only {
            let o = &self.output;
            sums.push(("packets put out", p.received, o.packets + o.seen_before + o.late));
        }
        if let Some(k) = &self.kernel {
            sums.push(("packets seen", k.seen, k.refused + k.matched));
            if !self.interfaces.is_empty() {
                let captured = self.interfaces.iter().map(|it| it.counters.captured).sum();
                sums.push(("packets captured by interface", k.captured, captured));
            }
            sums.push(("packets matched", k.matched, k.outside + k.captured + k.lost()));
            sums.push((
                "packets captured",
                k.captured,
                p.received + self.bad_records + self.unread,
            ));
        }
        sums
    }

    /// The ledger of a run that goes on: what is not settled yet counts as open.
    #[must_use]
    pub fn running(mut self) -> Self {
        let open = |sums: &[(&str, u64, u64)], name: &str| {
            sums.iter().find(|sum| sum.0 == name).map_or(0, |sum| sum.1.saturating_sub(sum.2))
        };
        let sums = self.sums();
        self.flows.open += open(&sums, "connections");
        self.messages.requests_open += open(&sums, "requests");
        self.messages.on_probation += open(&sums, "pairs");
        self
    }

    /// A source broke: what it had captured and did not give any more was not read.
    pub fn count_rest_as_unread(&mut self) {
        let known = self.packets.received + self.bad_records + self.unread;
        let captured = self.kernel.map_or(known, |kernel| kernel.captured);
        self.unread += captured.saturating_sub(known);
    }

    /// Packets that were on the wire and should have been captured but were not.
    #[must_use]
    pub fn lost_packets(&self) -> u64 {
        self.kernel.map_or(0, |kernel| kernel.lost())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        Ledger {
            kernel: Some(Counters {
                seen: 12,
                refused: 2,
                matched: 10,
                captured: 7,
                ring_full: 3,
                ..Counters::default()
            }),
            packets: PacketCounts { received: 7, in_order: 4, empty: 3, ..PacketCounts::default() },
            messages: MessageCounts {
                requests: 3,
                responses: 1,
                paired: 1,
                reported: 1,
                ..MessageCounts::default()
            },
            ..Ledger::default()
        }
    }

    #[test]
    fn losses_are_said_in_a_line_of_their_own() {
        let text = ledger().to_string();
        assert!(text.contains("\nLOST: 3 packets"), "{text}");
        assert!(text.contains("10 packets matched: 7 captured, 3 lost: ring full"), "{text}");
        let whole = Ledger { kernel: None, ..ledger() }.to_string();
        assert!(!whole.contains("LOST"), "{whole}");
    }

    #[test]
    fn sums_that_do_not_hold_are_found() {
        let broken: Vec<_> =
            ledger().sums().into_iter().filter(|(_, one, other)| one != other).collect();
        assert_eq!(broken, [("requests", 3, 1)]);
        let running = ledger().running();
        assert_eq!(running.messages.requests_open, 2);
        assert!(running.sums().iter().all(|(_, one, other)| one == other));
    }
}
