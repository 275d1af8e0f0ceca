//! Rows 1 and 2: what redis-benchmark keeps of its requests while somebody watches, and what the
//! watching costs the watcher.

use std::fs::File;

use tcpkit_tests::agent::Agent;

use crate::{
    live::{Hosts, INTERFACE, PRINTING, QUIET, losses, settle},
    options::{Contestant, Options},
    process::cpu_ns,
    report::{Goal, Report},
    tcpdump::Tcpdump,
};

/// How many requests a client sends at once.
const PIPELINES: [u32; 2] = [1, 16];

/// Who watches.
#[derive(Clone, Copy)]
enum Watcher<'a> {
    Nobody,
    Quiet(&'a Contestant),
    Printing(&'a Contestant),
    Tcpdump,
}

impl Watcher<'_> {
    fn name(self) -> String {
        match self {
            Self::Nobody => "nothing".to_owned(),
            Self::Quiet(agent) => format!("{} -t 1000", agent.name()),
            Self::Printing(agent) => format!("{} to a file", agent.name()),
            Self::Tcpdump => "tcpdump".to_owned(),
        }
    }
}

/// One run of redis-benchmark.
struct Run {
    requests_a_second: f64,
    /// The watcher's.
    cpu_ns: u64,
    lost_packets: u64,
    /// What the watcher says of itself that should not be.
    says: Vec<String>,
}

pub(crate) fn measure(options: &Options, report: &mut Report) {
    let hosts = Hosts::new();
    let mut all = vec![Watcher::Nobody];
    for agent in &options.agents {
        all.extend([Watcher::Quiet(agent), Watcher::Printing(agent)]);
    }
    all.push(Watcher::Tcpdump);
    for pipeline in PIPELINES {
        let requests = hosts.requests_in(options.choose(2.0, 0.3), pipeline);
        let name = |watcher: Watcher<'_>| format!("{}, {}", how(pipeline), watcher.name());
        for &watcher in &all {
            set_up(report, pipeline, watcher, &name(watcher));
        }
        let mut watchers = all.clone();
        let rounds = options.choose(9, 2);
        for round in 0..rounds {
            report.progress(&format!("{}, round {} of {rounds}", how(pipeline), round + 1));
            watchers.rotate_left(1);
            let mut runs = Vec::new();
            for &watcher in &watchers {
                options.check_stop();
                runs.push((watcher, run(&hosts, watcher, requests, pipeline, options)));
            }
            let is_nobody = |(watcher, _): &&(Watcher<'_>, Run)| matches!(watcher, Watcher::Nobody);
            let (_, nobody) = runs.iter().find(is_nobody).expect("nobody is among the watchers");
            for (watcher, run) in &runs {
                record(report, &name(*watcher), *watcher, run, nobody, requests);
            }
        }
    }
}

fn how(pipeline: u32) -> String {
    if pipeline == 1 { "unpipelined".to_owned() } else { format!("-P {pipeline}") }
}

/// The figures' order, and what is expected of them.
fn set_up(report: &mut Report, pipeline: u32, watcher: Watcher<'_>, name: &str) {
    report.place(name, "requests/s");
    if !matches!(watcher, Watcher::Nobody) {
        for unit in ["kept", "µs CPU a request", "packets lost"] {
            report.place(name, unit);
        }
    }
    match watcher {
        Watcher::Quiet(_) => {
            if pipeline == 1 {
                report.goal(name, "kept", Goal::AtLeast(0.97));
            }
            report.goal(name, "µs CPU a request", Goal::AtMost(0.4));
        }
        Watcher::Printing(_) => report.goal(name, "µs CPU a request", Goal::AtMost(0.7)),
        Watcher::Nobody | Watcher::Tcpdump => {}
    }
}

fn record(
    report: &mut Report,
    name: &str,
    watcher: Watcher<'_>,
    run: &Run,
    nobody: &Run,
    requests: u64,
) {
    report.sample(name, "requests/s", run.requests_a_second);
    if matches!(watcher, Watcher::Nobody) {
        return;
    }
    report.sample(name, "kept", run.requests_a_second / nobody.requests_a_second);
    report.sample(name, "µs CPU a request", run.cpu_ns as f64 / 1e3 / requests as f64);
    report.sample(name, "packets lost", run.lost_packets as f64);
    for text in &run.says {
        report.note(name, "packets lost", text);
    }
}

fn run(
    hosts: &Hosts,
    watcher: Watcher<'_>,
    requests: u64,
    pipeline: u32,
    options: &Options,
) -> Run {
    let load = || hosts.ask(requests, pipeline);
    match watcher {
        Watcher::Nobody => {
            Run { requests_a_second: load(), cpu_ns: 0, lost_packets: 0, says: Vec::new() }
        }
        Watcher::Quiet(contestant) => watch(contestant.start(&hosts.server, QUIET), requests, load),
        Watcher::Printing(contestant) => {
            let file = File::create(options.file("printed.txt")).unwrap();
            let command = contestant.command(PRINTING);
            watch(Agent::spawn_into(&hosts.server, command, file), requests, load)
        }
        Watcher::Tcpdump => {
            let tcpdump = Tcpdump::start(&hosts.server, INTERFACE);
            let before = cpu_ns(tcpdump.pid());
            let requests_a_second = load();
            settle();
            let cpu_ns = cpu_ns(tcpdump.pid()) - before;
            let lost_packets = tcpdump.stop();
            Run { requests_a_second, cpu_ns, lost_packets, says: Vec::new() }
        }
    }
}

/// The agent's start and its end do not count.
fn watch(agent: Agent, requests: u64, load: impl FnOnce() -> f64) -> Run {
    let before = cpu_ns(agent.pid());
    let requests_a_second = load();
    settle();
    let cpu_ns = cpu_ns(agent.pid()) - before;
    let ledger = agent.stop().ledger();
    let mut says = losses(&ledger);
    let transactions = ledger.total("transactions");
    if transactions < requests {
        says.push("not all requests were found".to_owned());
    }
    Run { requests_a_second, cpu_ns, lost_packets: ledger.lost_packets(), says }
}
