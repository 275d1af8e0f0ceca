//! Row 3: what the kernel programs cost a packet, net of an empty program on the same hook.

use std::{
    net::UdpSocket,
    thread,
    time::{Duration, Instant},
};

use aya::{
    programs::TcAttachType,
    sys::{Stats, enable_stats},
};
use nix::{
    sys::socket::{setsockopt, sockopt::UdpGsoSegment},
    unistd::Pid,
};
use tcpkit_tests::{
    frames::{IPV4, Ipv4Extra, UDP, ethernet, ipv4, udp},
    netns::Netns,
};

use crate::{
    live::{Hosts, INTERFACE, QUIET, settle},
    options::{Contestant, Options},
    programs::{EGRESS, Empty, INGRESS, Program, Runs},
    report::{Goal, Report},
};

const WATCHED_PORT: u16 = 6379;
const OTHER_PORT: u16 = 6400;

/// The agent's arguments: datagrams stand for packets of any size.
const DATAGRAMS: &str = "-i veth0 -p redis -t 1000 udp port 6379";

/// The IP and the UDP header.
const HEADERS_LEN: usize = 28;

/// How many bytes may be on their way to the agent at once: little beside its buffer.
const BURST_BYTES: usize = 256 << 10;
const BURST_PACKETS: usize = 256;
const BETWEEN_BURSTS: Duration = Duration::from_millis(1);

/// How often a program runs in one test, and how many tests make a sample.
const TEST_REPEAT: u32 = 500;
const TESTS: usize = 20;

/// How long packets get to arrive.
const PATIENCE: Duration = Duration::from_secs(5);

/// Packets of one size.
#[derive(Clone, Copy)]
struct Class {
    /// The length of the IP packet.
    bytes: usize,
    /// What one packet on the wire would carry, if the kernel is to cut it so late.
    segment: Option<usize>,
    port: u16,
}

impl Class {
    const fn of(bytes: usize) -> Self {
        Self { bytes, segment: None, port: WATCHED_PORT }
    }

    fn name(self) -> String {
        let Self { bytes, segment, port } = self;
        let what = match (segment, port) {
            (Some(_), _) => " (GSO)",
            (None, WATCHED_PORT) => "",
            (None, _) => ", refused",
        };
        format!("{bytes} bytes{what}")
    }

    fn goal(self) -> Option<Goal> {
        match self {
            Self { port: OTHER_PORT, .. } => Some(Goal::AtMost(25.0)),
            Self { bytes: ..=128, .. } => Some(Goal::AtMost(200.0)),
            _ => None,
        }
    }
}

const CLASSES: [Class; 8] = [
    Class { bytes: 64, segment: None, port: OTHER_PORT },
    Class::of(64),
    Class::of(128),
    Class::of(256),
    Class::of(512),
    Class::of(1024),
    Class::of(1500),
    Class { bytes: 31_772, segment: Some(1024), port: WATCHED_PORT },
];

/// The way that packets take, seen from the agent's host.
#[derive(Clone, Copy)]
enum Way {
    In,
    Out,
}

impl Way {
    const BOTH: [Self; 2] = [Self::In, Self::Out];

    fn name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }

    /// The agent's program there.
    fn program(self) -> &'static str {
        match self {
            Self::In => INGRESS,
            Self::Out => EGRESS,
        }
    }

    fn hook(self) -> TcAttachType {
        match self {
            Self::In => TcAttachType::Ingress,
            Self::Out => TcAttachType::Egress,
        }
    }
}

/// The agent's program and an empty one on one hook.
struct Pair {
    program: Program,
    empty: Empty,
}

impl Pair {
    fn new(pid: Pid, server: &Netns, way: Way) -> Self {
        let program = Program::of(pid, way.program());
        Self { program, empty: Empty::attach(server, &[INTERFACE.to_owned()], way.hook()) }
    }

    fn runs(&self) -> [Runs; 2] {
        [self.program.runs(), self.empty.program.runs()]
    }

    /// Net nanoseconds a run since `before`, and what the empty program took of it.
    fn net_ns(&self, before: [Runs; 2]) -> (f64, f64) {
        let [program, empty] = self.runs();
        let empty = empty.since(before[1]).mean_ns();
        (program.since(before[0]).mean_ns() - empty, empty)
    }
}

pub(crate) fn measure(options: &Options, report: &mut Report) {
    let hosts = Hosts::new();
    let _statistics = enable_stats(Stats::RunTime).expect("the kernel keeps no statistics");
    let datagrams = Datagrams::new(&hosts);
    let mut agents: Vec<&Contestant> = options.agents.iter().collect();
    for agent in &agents {
        place_figures(report, agent);
    }
    let mut classes = CLASSES.to_vec();
    let rounds = options.choose(9, 2);
    for round in 0..rounds {
        report.progress(&format!("round {} of {rounds}", round + 1));
        for agent in &agents {
            options.check_stop();
            let packets = options.choose(20_000, 3_000);
            measure_classes(&hosts, &datagrams, agent, &classes, packets, report);
            measure_redis(&hosts, agent, options.choose(60_000, 5_000), report);
            measure_tests(&hosts, agent, report);
        }
        agents.rotate_left(1);
        classes.rotate_left(1);
    }
}

fn name(agent: &Contestant, what: &str, way: Way) -> String {
    format!("{}, {what}, {}", agent.name(), way.name())
}

/// The order in the table, and the goals.
fn place_figures(report: &mut Report, agent: &Contestant) {
    for class in CLASSES {
        for way in Way::BOTH {
            let what = name(agent, &class.name(), way);
            for unit in ["ns net", "ns net, test run"] {
                report.place(&what, unit);
                if let Some(goal) = class.goal() {
                    report.goal(&what, unit, goal);
                }
            }
        }
    }
}

/// One round over packets of all sizes.
fn measure_classes(
    hosts: &Hosts,
    datagrams: &Datagrams,
    contestant: &Contestant,
    classes: &[Class],
    packets: usize,
    report: &mut Report,
) {
    let agent = contestant.start(&hosts.server, DATAGRAMS);
    let pairs = Way::BOTH.map(|way| (way, Pair::new(agent.pid(), &hosts.server, way)));
    for &class in classes {
        let packets = if class.segment.is_some() { packets / 10 } else { packets };
        for (way, pair) in &pairs {
            let what = name(contestant, &class.name(), *way);
            let before = pair.runs();
            datagrams.send(*way, class, packets);
            wait_for_runs(&pair.empty.program, before[1].count + packets as u64);
            let (net, empty) = pair.net_ns(before);
            report.sample(&what, "ns net", net);
            report.sample("the empty program", "ns", empty);
            let [ran, _] = pair.runs();
            let ran = ran.since(before[0]).count;
            if ran > packets as u64 + packets as u64 / 50 {
                report.note(&what, "ns net", &format!("{packets} packets passed as {ran}"));
            }
        }
    }
    settle();
    let lost = agent.stop().ledger().lost_packets();
    report.sample(&format!("{}, packets lost", contestant.name()), "packets", lost as f64);
}

/// Waits until the packets have passed: the empty program runs behind the agent's.
fn wait_for_runs(program: &Program, count: u64) {
    let deadline = Instant::now() + PATIENCE;
    while program.runs().count < count {
        let runs = program.runs().count;
        assert!(Instant::now() < deadline, "the empty program ran {runs} times, not {count}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// One round of real requests.
fn measure_redis(hosts: &Hosts, contestant: &Contestant, requests: u64, report: &mut Report) {
    let agent = contestant.start(&hosts.server, QUIET);
    let pairs = Way::BOTH.map(|way| (way, Pair::new(agent.pid(), &hosts.server, way)));
    for (pipeline, how) in [(1, "redis-benchmark"), (16, "redis-benchmark -P 16")] {
        let before = pairs.each_ref().map(|(_, pair)| pair.runs());
        hosts.ask(requests, pipeline);
        for ((way, pair), before) in pairs.iter().zip(before) {
            let (net, _) = pair.net_ns(before);
            report.sample(&name(contestant, how, *way), "ns net", net);
        }
    }
    settle();
    let lost = agent.stop().ledger().lost_packets();
    report.sample(&format!("{}, packets lost", contestant.name()), "packets", lost as f64);
}

/// One round of the kernel's own test runs: the same packet again and again, with warm caches.
fn measure_tests(hosts: &Hosts, contestant: &Contestant, report: &mut Report) {
    // What is tested was on no interface that it watches, so its ledger is not asked for.
    let agent = contestant.start(&hosts.server, DATAGRAMS);
    let pairs = Way::BOTH.map(|way| (way, Pair::new(agent.pid(), &hosts.server, way)));
    for class in CLASSES {
        let datagram = udp(40_000, class.port, &vec![0; class.bytes - HEADERS_LEN]);
        let frame = ethernet(IPV4, &ipv4(UDP, Ipv4Extra::default(), &datagram));
        for (way, pair) in &pairs {
            let what = name(contestant, &class.name(), *way);
            match test_ns(pair, &frame) {
                Ok(net) => report.sample(&what, "ns net, test run", net),
                Err(why) => {
                    let note = format!("the kernel runs no such test: {why}");
                    report.note(&what, "ns net, test run", &note);
                }
            }
        }
    }
}

/// The net duration of a run on a frame: a mean of medians would hide a slow path less than this
/// does, but other work on the machine more.
fn test_ns(pair: &Pair, frame: &[u8]) -> Result<f64, String> {
    let mut durations = [Vec::new(), Vec::new()];
    for _ in 0..TESTS {
        for (program, durations) in [&pair.program, &pair.empty.program].iter().zip(&mut durations)
        {
            durations.push(program.test(frame, TEST_REPEAT)?.as_nanos() as f64);
        }
        // The agent reads what was captured: its buffer does not get full.
        thread::sleep(Duration::from_millis(2));
    }
    let [program, empty] = durations.map(|it| crate::statistics::median(&it));
    Ok(program - empty)
}

/// Sockets that send either way, and sockets that receive, so that no host answers with an error.
struct Datagrams {
    to_server: UdpSocket,
    to_client: UdpSocket,
    _receivers: Vec<UdpSocket>,
}

impl Datagrams {
    fn new(hosts: &Hosts) -> Self {
        let bind =
            |netns: &Netns, port: u16| netns.run(|| UdpSocket::bind(("0.0.0.0", port)).unwrap());
        let mut receivers = Vec::new();
        for netns in [&hosts.client, &hosts.server] {
            receivers.extend([WATCHED_PORT, OTHER_PORT].map(|port| bind(netns, port)));
        }
        Self {
            to_server: bind(&hosts.client, 0),
            to_client: bind(&hosts.server, 0),
            _receivers: receivers,
        }
    }

    fn send(&self, way: Way, class: Class, packets: usize) {
        let (socket, host) = match way {
            Way::In => (&self.to_server, "10.9.0.2"),
            Way::Out => (&self.to_client, "10.9.0.1"),
        };
        // 0 switches it off.
        let segment = class.segment.unwrap_or(0) as i32;
        setsockopt(socket, UdpGsoSegment, &segment).expect("the kernel cuts no datagrams");
        socket.connect((host, class.port)).unwrap();
        let payload = vec![0; class.bytes - HEADERS_LEN];
        let burst = (BURST_BYTES / class.bytes).clamp(1, BURST_PACKETS);
        for number in 1..=packets {
            socket.send(&payload).unwrap();
            if number % burst == 0 {
                thread::sleep(BETWEEN_BURSTS);
            }
        }
    }
}
