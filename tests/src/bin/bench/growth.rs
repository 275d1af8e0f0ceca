//! Row 7: what a packet costs as connections and interfaces become more.

use aya::{
    programs::TcAttachType,
    sys::{Stats, enable_stats},
};
use nix::unistd::Pid;
use tcpkit_tests::{agent::Agent, netns::Netns};

use crate::{
    live::{Crowd, Hosts, INTERFACE, QUIET, settle, wait_until_received},
    options::{Contestant, Options},
    process::cpu_ns,
    programs::{Empty, INGRESS, Program, Runs},
    report::Report,
};

/// The same at every size: an agent that is woken up less often costs less a packet.
const PACKETS_A_SECOND: f64 = 200_000.0;

const CONNECTIONS: [usize; 3] = [10, 1_000, 100_000];
const INTERFACES: [usize; 3] = [1, 10, 100];

/// How many connections are spread over interfaces.
const SPREAD: usize = 3_200;

const ALL_INTERFACES: &str = "-i any -p redis -t 1000 tcp port 6379";

pub(crate) fn measure(options: &Options, report: &mut Report) {
    let _statistics = enable_stats(Stats::RunTime).expect("the kernel keeps no statistics");
    let hosts = Hosts::new();
    let requests = options.choose(200_000, 20_000);
    let mut cases = Vec::new();
    for agent in &options.agents {
        cases.extend(CONNECTIONS.map(|count| (agent, Some(count), None)));
        cases.extend(INTERFACES.map(|count| (agent, None, Some(count))));
    }
    for (agent, connections, interfaces) in &cases {
        let what = name(agent, *connections, *interfaces);
        report.place(&what, "ns CPU a packet");
        report.place(&what, "kernel ns a packet, net");
    }
    let rounds = options.choose(5, 1);
    for round in 0..rounds {
        report.progress(&format!("round {} of {rounds}", round + 1));
        for &(agent, connections, interfaces) in &cases {
            options.check_stop();
            let cost = match (connections, interfaces) {
                (Some(count), _) => with_connections(&hosts, agent, count, requests),
                (None, count) => with_interfaces(agent, count.unwrap_or(1), requests),
            };
            let what = name(agent, connections, interfaces);
            report.sample(&what, "ns CPU a packet", cost.agent_ns);
            report.sample(&what, "kernel ns a packet, net", cost.kernel_ns);
        }
        cases.rotate_left(1);
    }
}

fn name(agent: &Contestant, connections: Option<usize>, interfaces: Option<usize>) -> String {
    match (connections, interfaces) {
        (Some(count), _) => format!("{}, connections: {count}", agent.name()),
        (None, count) => format!("{} -i any, interfaces: {}", agent.name(), count.unwrap_or(1)),
    }
}

/// What one packet costs.
struct Cost {
    /// The agent's CPU time.
    agent_ns: f64,
    /// The kernel program's, net of an empty one.
    kernel_ns: f64,
}

/// An agent, its program, and the connections that it follows.
struct Scene<'a> {
    pid: Pid,
    program: Program,
    empty: Empty,
    crowd: &'a mut Crowd,
}

impl Scene<'_> {
    /// The cost of requests and responses alone: everything before is over.
    fn cost(&mut self, agent: &Agent, requests: usize) -> Cost {
        wait_until_received(agent, self.crowd.sent);
        settle();
        let runs = || [self.program.runs(), self.empty.program.runs()];
        // The pace begins anew: what the wait took is not made up for.
        self.crowd.set_rate(Some(PACKETS_A_SECOND));
        let (before, cpu_before) = (runs(), cpu_ns(self.pid));
        self.crowd.exchange(requests);
        settle();
        let cpu = cpu_ns(self.pid) - cpu_before;
        let [program, empty]: [Runs; 2] = [self.program.runs(), self.empty.program.runs()];
        let kernel_ns = program.since(before[0]).mean_ns() - empty.since(before[1]).mean_ns();
        wait_until_received(agent, self.crowd.sent);
        Cost { agent_ns: cpu as f64 / (2 * requests) as f64, kernel_ns }
    }
}

fn with_connections(
    hosts: &Hosts,
    contestant: &Contestant,
    connections: usize,
    requests: usize,
) -> Cost {
    let agent = contestant.start(&hosts.server, QUIET);
    let interfaces = [INTERFACE.to_owned()];
    let mut crowd = Crowd::new(&hosts.client, &interfaces, connections, Some(PACKETS_A_SECOND));
    crowd.open();
    let mut scene = Scene {
        pid: agent.pid(),
        program: Program::of(agent.pid(), INGRESS),
        empty: Empty::attach(&hosts.server, &interfaces, TcAttachType::Ingress),
        crowd: &mut crowd,
    };
    let cost = scene.cost(&agent, requests);
    drop(agent.stop());
    cost
}

/// As many cables between two hosts, and the same traffic spread over them.
fn with_interfaces(contestant: &Contestant, count: usize, requests: usize) -> Cost {
    let (far, near) = (Netns::new(), Netns::new());
    let interfaces: Vec<String> = (0..count).map(|number| format!("bench{number}")).collect();
    for interface in &interfaces {
        let there = far.name();
        near.ip(&format!("link add {interface} type veth peer name {interface} netns {there}"));
        near.ip(&format!("link set {interface} up"));
        far.ip(&format!("link set {interface} up"));
    }
    let agent = contestant.start(&near, ALL_INTERFACES);
    let mut crowd = Crowd::new(&far, &interfaces, SPREAD, Some(PACKETS_A_SECOND));
    crowd.open();
    let mut scene = Scene {
        pid: agent.pid(),
        program: Program::of(agent.pid(), INGRESS),
        empty: Empty::attach(&near, &interfaces, TcAttachType::Ingress),
        crowd: &mut crowd,
    };
    let cost = scene.cost(&agent, requests);
    drop(agent.stop());
    cost
}
