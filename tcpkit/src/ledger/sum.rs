//! Adds up the ledgers of several workers.

use std::{iter::Sum, ops::AddAssign};

use super::{
    ByteCounts, FlowCounts, Ledger, MessageCounts, OutputCounts, PacketCounts, ScriptCounts,
};

/// Adds every field; one that is missing in the list does not compile.
macro_rules! add_fields {
    ($counts:ident: $($field:ident),+) => {
        impl AddAssign<&$counts> for $counts {
            fn add_assign(&mut self, other: &Self) {
                let $counts { $($field),+ } = other;
                $(self.$field += $field;)+
            }
        }
    };
}

add_fields!(PacketCounts: received, not_ip, other_transport, fragments, malformed, udp, datagrams, empty, in_order,
    reordered, retransmitted, duplicates, out_of_window, untracked, as_they_are);
add_fields!(FlowCounts: from_handshake, midstream, by_datagrams, closed, expired, evicted, open, roles_corrected,
    foreign, protocols_corrected);
add_fields!(ByteCounts: request, response, lost);
add_fields!(MessageCounts: requests, responses, paired, reported, untimed, unproven, on_probation,
    requests_one_way, responses_one_way, orphans, requests_lost, requests_overflowed,
    requests_cancelled, requests_unanswered, requests_forgotten, requests_open, read_bytes,
    unread_bytes, foreign_bytes, hidden_by_snaplen_bytes, hidden_by_loss_bytes, losses_hidden, losses_invalid,
    losses_orphan, losses_overflow, resyncs);

impl AddAssign<&OutputCounts> for OutputCounts {
    fn add_assign(&mut self, other: &Self) {
        let OutputCounts {
            transactions,
            takes_packets,
            packets,
            seen_before,
            unwritten,
            lost_lines,
            late,
            prints_packets,
            writes_packets,
            prints_transactions,
            script,
        } = other;
        self.transactions += transactions;
        self.packets += packets;
        self.seen_before += seen_before;
        self.unwritten += unwritten;
        self.lost_lines += lost_lines;
        self.late += late;
        self.takes_packets |= takes_packets;
        self.prints_packets |= prints_packets;
        self.writes_packets |= writes_packets;
        self.prints_transactions |= prints_transactions;
        self.script += script;
    }
}

impl AddAssign<&ScriptCounts> for ScriptCounts {
    fn add_assign(&mut self, other: &Self) {
        let ScriptCounts { runs, packets, transactions, events, errors, gave_up } = other;
        self.runs |= runs;
        self.packets += packets;
        self.transactions += transactions;
        self.events += events;
        self.errors += errors;
        self.gave_up |= gave_up;
    }
}

impl Sum for ScriptCounts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, one| {
            sum += &one;
            sum
        })
    }
}

impl Ledger {
    /// Adds what another worker of the same run did. What happened in front of the agent is known to
    /// one of them only, and counted for all.
    pub fn add_worker(&mut self, other: &Self) {
        self.bad_records += other.bad_records;
        self.unread += other.unread;
        self.packets += &other.packets;
        self.flows += &other.flows;
        self.bytes += &other.bytes;
        self.messages += &other.messages;
        self.output += &other.output;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_the_kernels_part_is_added() {
        let one = Ledger {
            bad_records: 1,
            unread: 2,
            packets: PacketCounts { received: 10, in_order: 9, udp: 1, ..PacketCounts::default() },
            flows: FlowCounts { from_handshake: 3, open: 3, ..FlowCounts::default() },
            bytes: ByteCounts { request: 100, response: 50, lost: 7 },
            messages: MessageCounts { requests: 5, paired: 5, resyncs: 1, ..Default::default() },
            output: OutputCounts { transactions: 4, ..OutputCounts::default() },
            ..Ledger::default()
        };
        let mut sum = Ledger { kernel: Some(tcpkit_common::Counters::default()), ..one.clone() };
        sum.add_worker(&one);
        assert_eq!((sum.bad_records, sum.unread), (2, 4));
        assert_eq!((sum.packets.received, sum.packets.in_order, sum.packets.udp), (20, 18, 2));
        assert_eq!((sum.flows.from_handshake, sum.flows.open), (6, 6));
        assert_eq!(sum.bytes, ByteCounts { request: 200, response: 100, lost: 14 });
        assert_eq!((sum.messages.requests, sum.messages.resyncs), (10, 2));
        assert_eq!(sum.output.transactions, 8);
        assert!(sum.kernel.is_some());
    }
}
