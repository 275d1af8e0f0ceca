//! Two hosts with a cable between them, and the traffic that an agent at the server's end sees.

use std::{
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use tcpkit_tests::{
    agent::Agent,
    ledger::Ledger,
    netns::Netns,
    redis::{RedisServer, benchmark, run_benchmark},
};

use crate::{
    connection::{Connection, Sender},
    flood::Flood,
};

/// The cable's end at either host.
pub(crate) const INTERFACE: &str = "veth0";

/// The arguments of an agent that reads all requests and prints none: no request takes a second.
pub(crate) const QUIET: &str = "-i veth0 -p redis -t 1000 tcp port 6379";

/// … and of one that prints all.
pub(crate) const PRINTING: &str = "-i veth0 -p redis tcp port 6379";

/// How long an agent gets to read what was sent to it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Longer than an agent lets packets wait in its buffer.
const SETTLED: Duration = Duration::from_millis(50);

/// What a client asks, and what it gets.
const REQUEST: &[u8] = b"*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000042\r\n";
const RESPONSE: &[u8] = b"$3\r\nabc\r\n";

/// So many connections share an interface: a batch goes through one.
const TURN: usize = 32;

/// A client's host, and a server's, with a Redis server on it.
pub(crate) struct Hosts {
    _redis: RedisServer,
    pub(crate) client: Netns,
    pub(crate) server: Netns,
}

impl Hosts {
    /// Makes them, with the value that redis-benchmark asks for: three bytes.
    pub(crate) fn new() -> Self {
        let (client, server) = Netns::pair();
        let redis = RedisServer::start(&server);
        run_benchmark(&client, "-t set -n 1 -c 1 -d 3");
        Self { _redis: redis, client, server }
    }

    /// Has redis-benchmark ask so often, over 50 connections; gives the requests a second.
    pub(crate) fn ask(&self, requests: u64, pipeline: u32) -> f64 {
        let mut command = benchmark(&format!("-t get -c 50 -n {requests} -P {pipeline}"));
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let output = self.client.run(|| command.output().unwrap());
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "redis-benchmark: {}: {text}", output.status);
        let (before, _) = text.rsplit_once(" requests per second").unwrap_or_else(|| {
            panic!("redis-benchmark does not say how many requests a second: {text}")
        });
        before.rsplit([' ', '\r', '\n']).next().unwrap().parse().unwrap()
    }

    /// How many requests take so many seconds, with nobody watching.
    pub(crate) fn requests_in(&self, seconds: f64, pipeline: u32) -> u64 {
        let rate = self.ask(20_000 * u64::from(pipeline), pipeline);
        (rate * seconds) as u64
    }
}

/// Waits until whoever captures has read what passed before.
pub(crate) fn settle() {
    thread::sleep(SETTLED);
}

/// What a ledger says is missing, by kind: numbers differ from run to run.
pub(crate) fn losses(ledger: &Ledger) -> Vec<String> {
    let kind = |loss: String| {
        let head = loss.split(':').next().unwrap_or_default().to_owned();
        let is_number = |word: &&str| word.parse::<u64>().is_ok();
        // A warning says at length what its first words say.
        match head.to_uppercase() == head {
            true => head,
            false => loss.split(' ').filter(|word| !is_number(word)).collect::<Vec<_>>().join(" "),
        }
    };
    ledger.losses().into_iter().map(kind).collect()
}

/// Waits until an agent has received so many packets, and gives its ledger.
pub(crate) fn wait_until_received(agent: &Agent, packets: u64) -> Ledger {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let ledger = agent.report();
        let received = ledger.total("packets received");
        if received >= packets {
            return ledger;
        }
        assert_eq!(ledger.lost_packets(), 0, "the agent lost packets:\n{}", ledger.text());
        let text = ledger.text();
        assert!(
            Instant::now() < deadline,
            "{received} of {packets} packets were received:\n{text}"
        );
        thread::sleep(SETTLED);
    }
}

/// Connections and the interfaces that they pass: each its own, in turn.
pub(crate) struct Crowd {
    connections: Vec<Connection>,
    flood: Flood,
    interfaces: usize,
    next: usize,
    /// The packets sent so far.
    pub(crate) sent: u64,
}

impl Crowd {
    /// Makes connections that are not open yet. Their packets come from `netns`, at a rate.
    pub(crate) fn new(
        netns: &Netns,
        interfaces: &[String],
        connections: usize,
        rate: Option<f64>,
    ) -> Self {
        Self {
            connections: Connection::many(connections),
            flood: Flood::open(netns, interfaces, rate),
            interfaces: interfaces.len(),
            next: 0,
            sent: 0,
        }
    }

    /// Another rate from now on.
    pub(crate) fn set_rate(&mut self, rate: Option<f64>) {
        self.flood.set_rate(rate);
    }

    /// Opens all connections.
    pub(crate) fn open(&mut self) {
        for step in 0..3 {
            self.each(|connection, frame| connection.open(step, frame));
        }
    }

    /// Each connection asks.
    pub(crate) fn ask(&mut self) {
        self.each(|connection, frame| connection.send(Sender::Client, REQUEST, frame));
    }

    /// So many connections ask and get their responses, in turn; those that follow go on next time.
    pub(crate) fn exchange(&mut self, count: usize) {
        let mut left = count;
        while left > 0 {
            let turn = TURN.min(left);
            for at in 0..turn {
                let number = (self.next + at) % self.connections.len();
                let connection = &mut self.connections[number];
                let interface = number / TURN % self.interfaces;
                self.flood.send(interface, |frame| {
                    connection.send(Sender::Client, REQUEST, frame);
                });
                self.flood.send(interface, |frame| {
                    connection.send(Sender::Server, RESPONSE, frame);
                });
            }
            self.next = (self.next + turn) % self.connections.len();
            self.sent += 2 * turn as u64;
            left -= turn;
        }
        self.flood.flush();
    }

    fn each(&mut self, mut write: impl FnMut(&mut Connection, &mut Vec<u8>)) {
        for (number, connection) in self.connections.iter_mut().enumerate() {
            let interface = number / TURN % self.interfaces;
            self.flood.send(interface, |frame| write(connection, frame));
        }
        self.sent += self.connections.len() as u64;
        self.flood.flush();
    }
}
