//! The ledger as lines for people.

use std::fmt;

use tcpkit_common::Counters;

use super::Ledger;
use crate::capture::HookDirection;

/// How many interfaces and hooks are shown by name; the rest in one line.
const MAX_INTERFACES: usize = 32;

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(k) = &self.kernel {
            self.capture(f, k)?;
        }
        if !self.packets_only {
            self.received(f)?;
        }
        let o = &self.output;
        if o.takes_packets {
            line(
                f,
                "packets for output",
                o.packets + o.seen_before + o.late,
                &[
                    (o.packets, "put out"),
                    (o.seen_before, "seen on another interface before"),
                    (o.late, "after the last file"),
                ],
            )?;
        }
        if !self.packets_only {
            self.conversations(f)?;
        }
        if o.script.runs {
            let s = &o.script;
            line(
                f,
                "calls of the script",
                s.packets + s.transactions + s.events,
                &[
                    (s.packets, "packets"),
                    (s.transactions, "transactions"),
                    (s.events, "connection events"),
                ],
            )?;
        }
        let (count, what) = match self.packets_only {
            true if o.prints_packets => (o.packets, "printed"),
            _ if o.prints_transactions => (o.transactions, "printed"),
            _ if o.writes_packets => (o.packets.saturating_sub(o.unwritten), "written"),
            _ => (0, "printed"),
        };
        write!(f, "{count:>12} {what}")?;
        self.warn(f)
    }
}

/// What is missing, alone.
struct Warnings<'a>(&'a Ledger);

impl fmt::Display for Warnings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.warn(f)
    }
}

impl Ledger {
    /// What a reader of the lines has to know, in a line each: what is missing from them, and what to do
    /// about it.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let all = Warnings(self).to_string();
        all.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    /// What happened in front of the agent.
    fn capture(&self, f: &mut fmt::Formatter<'_>, k: &Counters) -> fmt::Result {
        if self.knows_refused {
            let parts = [(k.matched, "matched the filter"), (k.refused, "refused")];
            line(f, "packets seen", k.seen, &parts)?;
        }
        line(f, "packets matched", k.matched, &after_the_filter(k))?;
        if self.interfaces.len() > 1 {
            self.by_interface(f)?;
        }
        line(
            f,
            "packets captured",
            k.captured,
            &[
                (self.packets.received, "received"),
                (self.unread, "before the start or after the end"),
                (self.bad_records, "skipped: not understood"),
            ],
        )?;
        if k.truncated > 0 {
            line(f, "packets truncated", k.truncated, &[(k.truncated_bytes, "bytes cut off")])?;
        }
        Ok(())
    }

    /// A line for each interface and hook: those that saw most.
    fn by_interface(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all: Vec<_> = self.interfaces.iter().collect();
        all.sort_by_key(|it| std::cmp::Reverse(it.counters.seen));
        let (shown, rest) = all.split_at(all.len().min(MAX_INTERFACES));
        for one in shown {
            let way = match one.direction {
                HookDirection::Ingress => " in",
                HookDirection::Egress => " out",
                HookDirection::Unknown => "",
            };
            self.one_interface(f, &format!("packets on {}{way}", one.name), &one.counters)?;
        }
        if rest.is_empty() {
            return Ok(());
        }
        let sum = rest.iter().map(|one| one.counters).sum();
        self.one_interface(f, &format!("packets on {} other hooks", rest.len()), &sum)
    }

    fn one_interface(&self, f: &mut fmt::Formatter<'_>, what: &str, k: &Counters) -> fmt::Result {
        let [captured, others @ ..] = after_the_filter(k);
        if self.knows_refused {
            let [outside, full, no_ring, failed] = others;
            let parts = [captured, (k.refused, "refused"), outside, full, no_ring, failed];
            line(f, what, k.seen, &parts)
        } else {
            line(f, what, k.matched, &after_the_filter(k))
        }
    }

    /// What became of packets that are looked into.
    fn received(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let p = &self.packets;
        line(
            f,
            "packets received",
            p.received,
            &[
                (p.in_order, "in order"),
                (p.reordered, "reordered"),
                (p.empty, "without payload"),
                (p.retransmitted, "retransmitted"),
                (p.duplicates, "duplicates"),
                (p.out_of_window, "out of window"),
                (p.untracked, "of unknown connections"),
                (p.datagrams, "datagrams read"),
                (p.udp, "other UDP"),
                (p.other_transport, "other transport"),
                (p.fragments, "fragments"),
                (p.not_ip, "not IP"),
                (p.malformed, "malformed"),
            ],
        )
    }

    fn conversations(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (m, b, fl) = (&self.messages, &self.bytes, &self.flows);
        line(
            f,
            "connections",
            fl.from_handshake + fl.midstream + fl.by_datagrams,
            &[
                (fl.from_handshake, "from handshake"),
                (fl.midstream, "midstream"),
                (fl.by_datagrams, "by datagrams"),
            ],
        )?;
        if fl.foreign > 0 {
            let what = "of other protocols or too short to tell";
            line(f, "connections not read", fl.foreign, &[(fl.foreign, what)])?;
            line(f, "bytes not read", m.foreign_bytes, &[(m.foreign_bytes, "of these")])?;
        }
        line(
            f,
            "connections ended",
            fl.closed + fl.expired + fl.evicted + fl.open,
            &[
                (fl.closed, "closed"),
                (fl.expired, "expired"),
                (fl.evicted, "evicted"),
                (fl.open, "open"),
            ],
        )?;
        line(
            f,
            "bytes of streams",
            b.request + b.response,
            &[(b.request, "request"), (b.response, "response")],
        )?;
        line(
            f,
            "requests",
            m.requests,
            &[
                (m.paired, "answered"),
                (m.requests_one_way, "one-way"),
                (m.requests_open, "open"),
                (m.requests_cancelled, "cancelled"),
                (m.requests_unanswered, "unanswered at close"),
                (m.requests_forgotten, "forgotten"),
                (m.requests_lost, "unmatched"),
                (m.requests_overflowed, "overflowed"),
            ],
        )?;
        line(
            f,
            "responses",
            m.responses,
            &[(m.paired, "matched"), (m.responses_one_way, "one-way"), (m.orphans, "unmatched")],
        )?;
        line(
            f,
            "transactions",
            m.paired + m.requests_cancelled,
            &[
                (m.reported, "measured"),
                (m.untimed, "not measurable"),
                (m.unproven, "pairing not certain"),
                (m.on_probation, "pairing not certain yet"),
            ],
        )
    }

    /// What a reader of the lines has to know: what is missing from them, and what to do about it.
    fn warn(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let m = &self.messages;
        if self.is_stale() {
            write!(
                f,
                "\nSTANDS STILL: this is of {} s ago, for the output takes nothing; what was lost since is \
                 not known",
                self.age_s
            )?;
        }
        if self.lost_packets() > 0 {
            write!(
                f,
                "\nLOST: {} packets did not reach the agent, so requests are missing above; a larger \
                 -B or a smaller -s helps",
                self.lost_packets()
            )?;
        }
        if self.bad_records > 0 {
            write!(
                f,
                "\nSKIPPED: {} packets were not understood, not even where their headers are",
                self.bad_records
            )?;
        }
        if self.output.unwritten > 0 {
            write!(
                f,
                "\nNOT WRITTEN: {} packets are missing from the capture file",
                self.output.unwritten
            )?;
        }
        if self.output.lost_lines > 0 {
            write!(
                f,
                "\nNOT WRITTEN: {} lines are missing from the output (-o)",
                self.output.lost_lines
            )?;
        }
        if self.output.script.errors > 0 {
            write!(
                f,
                "\nSCRIPT: {} calls of the script's functions ended with an error",
                self.output.script.errors
            )?;
        }
        if self.output.script.gave_up {
            write!(
                f,
                "\nSCRIPT: it kept all the memory that it may use, and was not called any more; a larger \
                 --script-budget helps"
            )?;
        }
        if self.bytes.lost > 0 {
            write!(
                f,
                "\nMISSING: {} bytes were sent in packets that were not captured; {} of them hid \
                 where messages begin",
                self.bytes.lost, m.hidden_by_loss_bytes
            )?;
        }
        if m.hidden_by_snaplen_bytes > 0 {
            write!(
                f,
                "\nNOT SEEN: {} bytes behind the snaplen hid where further messages begin; a larger \
                 -s shows them (-s 0 is everything)",
                m.hidden_by_snaplen_bytes
            )?;
        }
        if m.unread_bytes > 0 {
            write!(
                f,
                "\nNOT READ: {} bytes, while it was not certain where messages begin or which \
                 response belongs to which request",
                m.unread_bytes
            )?;
        }
        if m.losses_invalid > 0 {
            write!(
                f,
                "\nNOT DECODED: {} times bytes were not what the protocol allows; is it the right \
                 -p for these ports?",
                m.losses_invalid
            )?;
        }
        Ok(())
    }
}

/// What became of packets that the filter selected.
fn after_the_filter(k: &Counters) -> [(u64, &'static str); 5] {
    [
        (k.captured, "captured"),
        (k.outside, "before the start or after the end"),
        (k.ring_full, "lost: ring full"),
        (k.no_ring, "lost: no ring for their CPU"),
        (k.copy_failed, "lost: not copied"),
    ]
}

/// Writes a total and the parts it consists of; parts that are 0 are left out, but the first.
fn line(f: &mut fmt::Formatter<'_>, what: &str, total: u64, parts: &[(u64, &str)]) -> fmt::Result {
    write!(f, "{total:>12} {what}")?;
    let mut separator = ": ";
    for (position, (count, name)) in parts.iter().enumerate() {
        if position == 0 || *count > 0 {
            write!(f, "{separator}{count} {name}")?;
            separator = ", ";
        }
    }
    writeln!(f)
}
