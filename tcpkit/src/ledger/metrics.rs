//! The ledger as numbers with names, for Prometheus.

use std::collections::BTreeMap;

use tcpkit_common::Counters;

use super::{
    ByteCounts, FlowCounts, Ledger, MessageCounts, OutputCounts, PacketCounts, ScriptCounts,
};
use crate::capture::HookDirection;

/// What may become of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// A number of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name; those of one name follow each other.
    pub name: &'static str,
    /// What it is, in a line.
    pub help: &'static str,
    /// What may become of it.
    pub kind: MetricKind,
    /// What tells it from others of that name.
    pub labels: Vec<(&'static str, String)>,
    /// Its value.
    pub value: u64,
}

/// Lists fields of counts; one that is missing does not compile.
macro_rules! list {
    ($to:expr, $counts:expr, $type:ident, $prefix:literal:
     $($field:ident $kind:ident $name:literal $help:literal),+ $(,)?) => {{
        let $type { $($field),+ } = $counts;
        $($to.push(Metric {
            name: concat!("tcpkit_ledger_", $prefix, $name),
            help: $help,
            kind: MetricKind::$kind,
            labels: Vec::new(),
            value: *$field,
        });)+
    }};
}

impl Ledger {
    /// All counts.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let Self {
            kernel,
            interfaces: _,
            knows_refused: _,
            packets_only: _,
            bad_records,
            unread,
            packets,
            flows,
            bytes,
            messages,
            output,
            age_s,
        } = self;
        let mut all = vec![Metric {
            name: "tcpkit_ledger_age_seconds",
            help: "How long ago all of the ledger was counted: more than 0 where the output takes nothing.",
            kind: MetricKind::Gauge,
            labels: Vec::new(),
            value: *age_s,
        }];
        if let Some(kernel) = kernel {
            kernel_metrics(&mut all, kernel);
            self.interface_metrics(&mut all);
        }
        for (name, help, value) in [
            (
                "tcpkit_ledger_bad_records_total",
                "Packets from the kernel that could not be read.",
                *bad_records,
            ),
            (
                "tcpkit_ledger_unread_total",
                "Packets captured before the start or after the end.",
                *unread,
            ),
        ] {
            all.push(Metric { name, help, kind: MetricKind::Counter, labels: Vec::new(), value });
        }
        packet_metrics(&mut all, packets);
        flow_metrics(&mut all, flows);
        list!(all, bytes, ByteCounts, "stream_":
            request Counter "request_bytes_total" "Payload bytes from clients to servers.",
            response Counter "response_bytes_total" "Payload bytes from servers to clients.",
            lost Counter "lost_bytes_total" "Payload bytes sent in packets that were not captured.",
        );
        message_metrics(&mut all, messages);
        output_metrics(&mut all, output);
        all
    }

    /// What happened at each hook, counter by counter.
    fn interface_metrics(&self, all: &mut Vec<Metric>) {
        // An interface that went and came again has two entries.
        let mut hooks: BTreeMap<(&str, &'static str), Counters> = BTreeMap::new();
        for one in &self.interfaces {
            let way = match one.direction {
                HookDirection::Ingress => "in",
                HookDirection::Egress => "out",
                HookDirection::Unknown => "unknown",
            };
            let sum = hooks.entry((&one.name, way)).or_default();
            *sum = *sum + one.counters;
        }
        let by_hook: Vec<_> = hooks
            .into_iter()
            .map(|((name, way), counters)| {
                let mut list = Vec::new();
                interface_list(&mut list, &counters);
                for metric in &mut list {
                    metric.labels =
                        vec![("interface", name.to_owned()), ("direction", way.to_owned())];
                }
                list
            })
            .collect();
        let count = by_hook.first().map_or(0, Vec::len);
        for at in 0..count {
            all.extend(by_hook.iter().filter_map(|list| list.get(at).cloned()));
        }
    }
}

/// The same counters, under two names.
macro_rules! kernel_list {
    ($to:expr, $counters:expr, $prefix:literal) => {
        list!($to, $counters, Counters, $prefix:
            seen Counter "seen_total" "Packets that reached the programs.",
            refused Counter "refused_total" "Packets that the filter refused.",
            matched Counter "matched_total" "Packets that the filter selected.",
            outside Counter "outside_total" "Packets that passed before the start or after the end.",
            captured Counter "captured_total" "Packets handed to the agent.",
            ring_full Counter "ring_full_total" "Packets lost because the ring had no room.",
            no_ring Counter "no_ring_total" "Packets lost because their CPU's ring could not be written.",
            copy_failed Counter "copy_failed_total" "Packets lost because they could not be copied.",
            truncated Counter "truncated_total" "Packets whose payload was cut by the snaplen.",
            matched_bytes Counter "matched_bytes_total" "Bytes of the packets that the filter selected.",
            truncated_bytes Counter "truncated_bytes_total" "Bytes of payload that the snaplen cut off.",
        )
    };
}

fn kernel_metrics(all: &mut Vec<Metric>, counters: &Counters) {
    kernel_list!(all, counters, "kernel_");
}

fn interface_list(all: &mut Vec<Metric>, counters: &Counters) {
    kernel_list!(all, counters, "interface_");
}

fn packet_metrics(all: &mut Vec<Metric>, packets: &PacketCounts) {
    list!(all, packets, PacketCounts, "packets_":
        received Counter "received_total" "Packets handed over by the source.",
        not_ip Counter "not_ip_total" "Packets that are not IP.",
        other_transport Counter "other_transport_total" "Packets that are neither TCP nor UDP.",
        fragments Counter "fragments_total" "Later fragments of IP packets.",
        malformed Counter "malformed_total" "Packets whose headers are cut off or contradictory.",
        udp Counter "udp_total" "UDP datagrams of which nothing was asked.",
        datagrams Counter "datagrams_total" "UDP datagrams that were read.",
        empty Counter "empty_total" "TCP segments without payload.",
        in_order Counter "in_order_total" "TCP segments that continued their stream.",
        reordered Counter "reordered_total" "TCP segments that had to wait for other bytes.",
        retransmitted Counter "retransmitted_total" "TCP segments whose payload had come before.",
        duplicates Counter "duplicates_total" "TCP segments captured elsewhere before.",
        out_of_window Counter "out_of_window_total" "TCP segments far outside their connection's numbers.",
        untracked Counter "untracked_total" "TCP segments of connections that are not followed.",
        as_they_are Counter "as_they_are_total" "Packets that were not looked into.",
    );
}

fn flow_metrics(all: &mut Vec<Metric>, flows: &FlowCounts) {
    list!(all, flows, FlowCounts, "connections_":
        from_handshake Counter "from_handshake_total" "Connections followed from their handshake.",
        midstream Counter "midstream_total" "Connections joined while they were open.",
        by_datagrams Counter "by_datagrams_total" "Pairs of ends that send each other datagrams.",
        closed Counter "closed_total" "Connections that ended.",
        expired Counter "expired_total" "Connections forgotten after being quiet.",
        evicted Counter "evicted_total" "Connections forgotten to make room.",
        open Gauge "open" "Connections that are open.",
        roles_corrected Counter "roles_corrected_total" "Connections whose ends had to be swapped.",
        foreign Counter "foreign_total" "Connections that speak none of the protocols.",
        protocols_corrected Counter "protocols_corrected_total" "Wrong guesses of a connection's protocol.",
    );
}

fn message_metrics(all: &mut Vec<Metric>, messages: &MessageCounts) {
    list!(all, messages, MessageCounts, "messages_":
        requests Counter "requests_total" "Requests decoded.",
        responses Counter "responses_total" "Responses decoded.",
        paired Counter "paired_total" "Responses that found their request.",
        reported Counter "reported_total" "Transactions that were measured.",
        untimed Counter "untimed_total" "Pairs that could not be measured.",
        unproven Counter "unproven_total" "Pairs that were not proven certain.",
        on_probation Gauge "on_probation" "Pairs that may still prove certain.",
        requests_one_way Counter "requests_one_way_total" "Requests that nobody answers.",
        responses_one_way Counter "responses_one_way_total" "Messages that servers pushed.",
        orphans Counter "orphans_total" "Responses without a request.",
        requests_lost Counter "requests_lost_total" "Requests whose response could not be told any more.",
        requests_overflowed Counter "requests_overflowed_total" "Requests dropped as too many waited.",
        requests_cancelled Counter "requests_cancelled_total" "Requests that the client gave up.",
        requests_unanswered Counter "requests_unanswered_total" "Requests whose connection ended first.",
        requests_forgotten Counter "requests_forgotten_total" "Requests whose connection was forgotten.",
        requests_open Gauge "requests_open" "Requests that wait for their response.",
        read_bytes Counter "read_bytes_total" "Payload bytes that were read.",
        unread_bytes Counter "unread_bytes_total" "Payload bytes not read because pairing was lost.",
        foreign_bytes Counter "foreign_bytes_total" "Payload bytes of other protocols.",
        hidden_by_snaplen_bytes Counter "hidden_by_snaplen_bytes_total" "Bytes needed that the snaplen cut.",
        hidden_by_loss_bytes Counter "hidden_by_loss_bytes_total" "Bytes needed that were not captured.",
        losses_hidden Counter "losses_hidden_total" "Losses of pairing because bytes were not seen.",
        losses_invalid Counter "losses_invalid_total" "Losses of pairing because bytes broke the protocol.",
        losses_orphan Counter "losses_orphan_total" "Losses of pairing because of a response too many.",
        losses_overflow Counter "losses_overflow_total" "Losses of pairing because too many requests waited.",
        resyncs Counter "resyncs_total" "How often pairing began anew.",
    );
}

fn output_metrics(all: &mut Vec<Metric>, output: &OutputCounts) {
    let OutputCounts {
        transactions,
        takes_packets: _,
        packets,
        seen_before,
        unwritten,
        lost_lines,
        late,
        prints_packets: _,
        writes_packets: _,
        prints_transactions: _,
        script,
    } = output;
    let ScriptCounts { runs: _, packets: to_script, transactions: pairs, events, errors, gave_up } =
        script;
    for (name, help, value) in [
        (
            "tcpkit_ledger_output_transactions_total",
            "Transactions printed or handed to the script.",
            transactions,
        ),
        ("tcpkit_ledger_output_packets_total", "Packets put out.", packets),
        (
            "tcpkit_ledger_output_seen_before_total",
            "Packets left out because they came before.",
            seen_before,
        ),
        (
            "tcpkit_ledger_output_unwritten_total",
            "Packets that an output could not keep.",
            unwritten,
        ),
        ("tcpkit_ledger_output_lost_lines_total", "Lines that a file did not take.", lost_lines),
        ("tcpkit_ledger_output_late_total", "Packets after the last file was complete.", late),
        ("tcpkit_ledger_script_packets_total", "Packets that the script got.", to_script),
        ("tcpkit_ledger_script_transactions_total", "Transactions that the script got.", pairs),
        ("tcpkit_ledger_script_events_total", "Connection events that the script got.", events),
        ("tcpkit_ledger_script_errors_total", "Calls of the script that failed.", errors),
        (
            "tcpkit_ledger_script_ended_total",
            "Whether the script kept too much to be called on.",
            &u64::from(*gave_up),
        ),
    ] {
        all.push(Metric {
            name,
            help,
            kind: MetricKind::Counter,
            labels: Vec::new(),
            value: *value,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::capture::InterfaceCounters;

    #[test]
    fn names_are_prometheus_names_and_stand_together() {
        let hook = |name: &str, direction, seen| InterfaceCounters {
            ifindex: 1,
            name: name.to_owned(),
            direction,
            counters: Counters { seen, ..Counters::default() },
        };
        let ledger = Ledger {
            kernel: Some(Counters { ring_full: 7, ..Counters::default() }),
            interfaces: vec![
                hook("a", HookDirection::Ingress, 1),
                hook("a", HookDirection::Egress, 2),
                hook("a", HookDirection::Ingress, 3),
            ],
            ..Ledger::default()
        };
        let all = ledger.metrics();
        let mut seen = BTreeSet::new();
        let mut last = "";
        for metric in &all {
            assert_eq!(
                metric.name.ends_with("_total"),
                metric.kind == MetricKind::Counter,
                "{metric:?}"
            );
            assert!(
                metric.help.ends_with('.') && !metric.help.contains(['\n', '\\']),
                "{metric:?}"
            );
            assert!(metric.name == last || seen.insert(metric.name), "{} is apart", metric.name);
            last = metric.name;
        }
        let value = |name: &str| -> Vec<_> {
            all.iter().filter(|it| it.name == name).map(|it| it.value).collect()
        };
        assert_eq!(value("tcpkit_ledger_kernel_ring_full_total"), [7]);
        assert_eq!(value("tcpkit_ledger_interface_seen_total"), [4, 2]);
        assert!(Ledger::default().metrics().iter().all(|it| !it.name.contains("_kernel_")));
    }
}
