//! Several protocols at once: each connection is taken for what it speaks, wherever it does.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::collections::BTreeMap;

use serde_json::json;
use tcpkit_tests::{
    agent::{Agent, command},
    ledger::Ledger,
    line::{Line, compare_views},
    netns::Netns,
    peer::Peer,
    process::{Server, Stepwise, python},
    servers::{self, Nginx},
};

/// How often each of the clients asks.
const TURNS: usize = 20;

/// A server of each kind, on ports that say nothing of what they are.
struct Servers {
    _redis: Server,
    _memcached: Server,
    _nginx: Nginx,
    _grpc: Server,
    _unknown: Server,
}

impl Servers {
    fn start(netns: &Netns) -> Self {
        Self {
            _redis: servers::redis(netns, 7001),
            _memcached: servers::memcached(netns, 7002),
            _nginx: Nginx::start(netns, "7003"),
            _grpc: servers::grpc(netns, 7004),
            _unknown: servers::unknown(netns, 7005),
        }
    }
}

/// A client of each kind.
struct Clients {
    redis: Peer,
    memcached: Peer,
    nginx: Peer,
    grpc: Stepwise,
    unknown: Peer,
}

impl Clients {
    fn connect(netns: &Netns) -> Self {
        let connect = |port: u16| Peer::connect(netns, &format!("10.9.0.2:{port}"));
        let mut unknown = connect(7005);
        unknown.until("HELLO from a server that nobody knows\n");
        Self {
            redis: connect(7001),
            memcached: connect(7002),
            nginx: connect(7003),
            grpc: Stepwise::start(netns, python("clients/grpc_client.py").arg("10.9.0.2:7004")),
            unknown,
        }
    }

    /// Each asks once.
    fn ask(&mut self, turn: usize) {
        self.redis.exchange(format!("ECHO {turn}\r\n"), format!("{turn}\r\n"));
        self.memcached.exchange(format!("get {turn}\r\n"), "END\r\n");
        self.nginx
            .exchange(format!("GET /small.txt?{turn} HTTP/1.1\r\nHost: x\r\n\r\n"), "small\n");
        let text = turn.to_string();
        let call = json!({ "kind": "unary_unary", "method": "Echo", "requests": [text] });
        self.grpc.tell(&call.to_string());
        assert!(self.grpc.line().contains("\"OK\""));
        self.unknown.exchange(format!("ECHO {turn}\n"), format!("{turn}\n"));
    }
}

/// How many lines there are of each protocol and server port.
fn counts(lines: &[Line]) -> BTreeMap<(&str, u16), usize> {
    let mut counts = BTreeMap::new();
    for line in lines {
        *counts.entry((&*line.protocol, line.server.port())).or_default() += 1;
    }
    counts
}

/// The texts of a port's requests.
fn texts(lines: &[Line], port: u16) -> Vec<&str> {
    lines.iter().filter(|it| it.server.port() == port).map(|it| &*it.request).collect()
}

/// Nothing is missing but what connections say that are not to be decoded.
fn check_losses(ledger: &Ledger) {
    assert_eq!(ledger.losses(), [""; 0], "{}", ledger.text());
}

#[test]
fn auto_finds_what_each_connection_speaks() {
    let (near, far) = Netns::pair();
    let _servers = Servers::start(&far);
    for (protocols, shows_unknown) in [("-p auto", false), ("-p auto -p generic", true)] {
        let arguments = format!("{protocols} --format json -i veth0 tcp");
        let agents = [Agent::start_with(&near, &arguments), Agent::start_with(&far, &arguments)];
        let mut clients = Clients::connect(&near);
        (0..TURNS).for_each(|turn| clients.ask(turn));
        // The last turn of what nobody knows is over when its connection is.
        drop(clients);
        let lines = if shows_unknown { 5 } else { 4 } * TURNS;
        agents.iter().for_each(|agent| agent.wait_for_lines(lines));
        for finished in agents.map(Agent::stop) {
            check_losses(&finished.ledger());
            let lines = finished.lines();
            let mut expect = BTreeMap::from([
                (("redis", 7001), TURNS),
                (("memcached", 7002), TURNS),
                (("http", 7003), TURNS),
                (("http2", 7004), TURNS),
            ]);
            if shows_unknown {
                expect.insert(("generic", 7005), TURNS);
            }
            assert_eq!(counts(&lines), expect, "{protocols}: {}", finished.stderr);
            let numbered = |text: &str| -> Vec<_> {
                (0..TURNS).map(|turn| text.replace('#', &turn.to_string())).collect()
            };
            assert_eq!(texts(&lines, 7001), numbered("ECHO #"));
            assert_eq!(texts(&lines, 7002), numbered("get #"));
            assert_eq!(texts(&lines, 7003), numbered("GET x/small.txt?#"));
            if shows_unknown {
                assert_eq!(texts(&lines, 7005), numbered("ECHO #\\n"));
            }
            assert!(lines.iter().all(|line| line.quality == "exact"), "{lines:?}");
            let foreign = finished
                .ledger()
                .part("connections not read", "of other protocols or too short to tell");
            assert_eq!(foreign, u64::from(!shows_unknown), "{}", finished.stderr);
        }
    }
}

/// The next request is taken for a connection's first, where responses come in the order of requests.
#[test]
fn auto_finds_what_open_connections_speak() {
    let (near, far) = Netns::pair();
    let _servers = Servers::start(&far);
    let mut clients = Clients::connect(&near);
    clients.ask(0);
    let agent = Agent::start_with(&near, "-p auto --format json -i veth0 tcp and not port 7004");
    (1..=TURNS).for_each(|turn| clients.ask(turn));
    let finished = agent.stop();
    // What nobody knows is tried again and again.
    let mut losses = finished.ledger().losses();
    losses.retain(|loss| !loss.starts_with("NOT READ: "));
    assert_eq!(losses, [""; 0], "{}", finished.ledger().text());
    let lines = finished.lines();
    let expect = BTreeMap::from([
        (("redis", 7001), TURNS),
        (("memcached", 7002), TURNS),
        (("http", 7003), TURNS),
    ]);
    assert_eq!(counts(&lines), expect, "{}", finished.stderr);
    assert!(lines.iter().all(|line| line.quality == "midstream"), "{lines:?}");
}

#[test]
fn a_port_says_what_is_spoken_there() {
    let (near, far) = Netns::pair();
    let _servers = Servers::start(&far);
    for protocols in
        ["-p redis:7001,memcached:7002,http:7003", "-p redis:7001 -p http:7003 -p memcached:7002"]
    {
        let agent = Agent::start_with(&near, &format!("{protocols} --format json -i veth0 tcp"));
        let mut clients = Clients::connect(&near);
        (0..TURNS).for_each(|turn| clients.ask(turn));
        let finished = agent.stop();
        check_losses(&finished.ledger());
        let expect = BTreeMap::from([
            (("redis", 7001), TURNS),
            (("memcached", 7002), TURNS),
            (("http", 7003), TURNS),
        ]);
        assert_eq!(counts(&finished.lines()), expect, "{}", finished.stderr);
    }
    // Elsewhere nothing is decoded, whatever it is.
    let agent = Agent::start_with(&near, "-p http:7001,memcached:7002 --format json -i veth0 tcp");
    let mut clients = Clients::connect(&near);
    (0..TURNS).for_each(|turn| clients.ask(turn));
    let finished = agent.stop();
    let expect = BTreeMap::from([(("memcached", 7002), TURNS)]);
    assert_eq!(counts(&finished.lines()), expect, "{}", finished.stderr);
}

/// Who takes turns, with times, whatever is said.
#[test]
fn a_protocol_that_nobody_knows_has_turns() {
    let (near, far) = Netns::pair();
    let _unknown = servers::unknown(&far, 7005);
    let arguments = "-p generic --format json -i veth0 tcp port 7005";
    let agents = [Agent::start_with(&near, arguments), Agent::start_with(&far, arguments)];
    let mut peer = Peer::connect(&near, "10.9.0.2:7005");
    peer.until("\n");
    peer.exchange("ECHO one\n", "one\n");
    peer.exchange("SLOW 60 two\n", "two\n");
    peer.exchange("MANY 20000\n", "HERE 20000\n");
    peer.exactly(20_000);
    peer.exchange("TAKE 5000\n", "OK\n");
    peer.exchange([b'x'; 5000], "TOOK 5000\n");
    peer.exchange("NEWS 5\n", "NEWS 4\n");
    drop(peer);
    agents.iter().for_each(|agent| agent.wait_for_lines(6));
    let [at_client, at_server] = agents.map(Agent::stop);
    compare_views(&at_client.lines(), &at_server.lines());
    for finished in [at_client, at_server] {
        finished.ledger().check_no_loss();
        let lines = finished.lines();
        let shown: Vec<_> = lines.iter().map(|it| (&*it.request, it.response_bytes)).collect();
        let longest = "x".repeat(125) + "...";
        assert_eq!(
            shown,
            [
                ("ECHO one\\n", 4),
                ("SLOW 60 two\\n", 4),
                ("MANY 20000\\n", 11 + 20_000),
                ("TAKE 5000\\n", 3),
                (&*longest, 10),
                ("NEWS 5\\n", 35),
            ]
        );
        assert!(lines[1].parts_us[1] >= 60_000.0, "{:?}", lines[1]);
        assert!(lines[5].parts_us[2] >= 30_000.0, "{:?}", lines[5]);
        assert_eq!(lines[4].request_bytes, 5000);
    }
}

#[test]
fn raw_is_packets_and_stands_alone() {
    let (near, far) = Netns::pair();
    let _redis = servers::redis(&far, 7001);
    let agent = Agent::start_with(&near, "-p raw -i veth0 tcp port 7001");
    Peer::connect(&near, "10.9.0.2:7001").exchange("PING\r\n", "PONG\r\n");
    agent.wait_for_lines(5);
    let said = String::from_utf8(agent.stop().stdout).unwrap();
    assert!(said.contains("10.9.0.1.") && said.contains(" > 10.9.0.2.7001: Flags [S]"), "{said}");
    for (arguments, word) in [
        ("-p raw,redis", "raw"),
        ("-p raw -p auto", "raw"),
        ("-p nosuch", "nosuch"),
        ("-p redis:0", "0"),
        ("-p redis:x", "x"),
        ("-p redis:70000", "70000"),
        ("-p auto:80", "auto"),
        ("-p raw:80", "raw"),
        ("-p redis,", ""),
    ] {
        let output = near.run(|| command(&format!("{arguments} -i veth0")).output().unwrap());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {said}");
        assert!(said.contains(word) && output.stdout.is_empty(), "{arguments}: {said}");
    }
}
