//! Row 6: how much memory connections take, at rest and while they wait for a response.

use crate::{
    live::{Crowd, Hosts, INTERFACE, QUIET, wait_until_received},
    options::{Contestant, Options},
    process::Memory,
    report::{Goal, Report},
};

/// How fast connections are made: slower than any agent reads.
const PACKETS_A_SECOND: f64 = 100_000.0;

const FEW: usize = 10_000;
const MANY: usize = 100_000;

const MIB: f64 = 1024.0 * 1024.0;

pub(crate) fn measure(options: &Options, report: &mut Report) {
    let hosts = Hosts::new();
    let mut agents: Vec<&Contestant> = options.agents.iter().collect();
    let rounds = options.choose(3, 1);
    for round in 0..rounds {
        report.progress(&format!("round {} of {rounds}", round + 1));
        for agent in &agents {
            options.check_stop();
            idle(&hosts, agent, FEW, report);
            idle(&hosts, agent, MANY, report);
            in_flight(&hosts, agent, FEW, report);
            in_flight(&hosts, agent, MANY, report);
        }
        agents.rotate_left(1);
    }
}

/// Each connection had one request, and its response before the next one asked.
fn idle(hosts: &Hosts, contestant: &Contestant, connections: usize, report: &mut Report) {
    let (start, memory) = grow(hosts, contestant, connections, |crowd| crowd.exchange(connections));
    let at_start = format!("{}, at start", contestant.name());
    report.sample(&at_start, "MiB resident beside the ring", start.beside_ring() as f64 / MIB);
    report.sample(&at_start, "MiB resident", start.resident as f64 / MIB);
    report.sample(&at_start, "MiB of the ring", start.ring as f64 / MIB);
    let what = format!("{}, {connections} idle connections", contestant.name());
    record(report, &what, connections, start, memory);
    report.goal(&what, "bytes a connection", Goal::AtMost(400.0));
    if connections == MANY {
        report.goal(&what, "MiB resident beside the ring", Goal::AtMost(100e6 / MIB));
    }
}

/// Each connection waits for a response.
fn in_flight(hosts: &Hosts, contestant: &Contestant, connections: usize, report: &mut Report) {
    let (start, memory) = grow(hosts, contestant, connections, Crowd::ask);
    let what = format!("{}, {connections} requests in flight", contestant.name());
    record(report, &what, connections, start, memory);
}

fn record(report: &mut Report, what: &str, connections: usize, start: Memory, now: Memory) {
    let grown = now.anonymous.saturating_sub(start.anonymous) as f64;
    report.sample(what, "bytes a connection", grown / connections as f64);
    report.sample(what, "MiB resident beside the ring", now.beside_ring() as f64 / MIB);
}

/// An agent's memory at its start and with connections, when it has received all of their packets.
fn grow(
    hosts: &Hosts,
    contestant: &Contestant,
    connections: usize,
    talk: impl FnOnce(&mut Crowd),
) -> (Memory, Memory) {
    let agent = contestant.start(&hosts.server, QUIET);
    let start = Memory::of(agent.pid());
    let interfaces = [INTERFACE.to_owned()];
    let mut crowd = Crowd::new(&hosts.client, &interfaces, connections, Some(PACKETS_A_SECOND));
    crowd.open();
    talk(&mut crowd);
    let ledger = wait_until_received(&agent, crowd.sent);
    let open = ledger.part("connections ended", "open");
    assert_eq!(open, connections as u64, "connections are tracked:\n{}", ledger.text());
    let memory = Memory::of(agent.pid());
    drop(agent.stop());
    (start, memory)
}
