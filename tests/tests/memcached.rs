//! The agent beside memcached: each exchange with its words, its counters, UDP, joined connections.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::{
    collections::{BTreeMap, HashSet},
    net::UdpSocket,
    thread,
    time::{Duration, Instant},
};

use tcpkit_tests::{
    agent::Agent,
    line::{Line, compare_views, count},
    netns::Netns,
    peer::Peer,
    servers,
};

const SERVER: &str = "10.9.0.2:11211";
const MEMCACHED: &str = "-p memcached --format json -i veth0 tcp port 11211";

/// What is sent, where its answer ends, and what is printed of it.
type Exchange = (&'static str, &'static str, (&'static str, &'static str, &'static str));

const EXCHANGES: &[Exchange] = &[
    ("set a 5 0 3\r\none\r\n", "\r\n", ("set a 5 0 3 one", "", "ok")),
    ("get a\r\n", "END\r\n", ("get a", "", "ok")),
    ("get none\r\n", "END\r\n", ("get none", "MISS", "ok")),
    ("get a none b\r\n", "END\r\n", ("get a none b", "1 of 3", "ok")),
    ("add a 0 0 1\r\nx\r\n", "\r\n", ("add a 0 0 1 x", "NOT_STORED", "ok")),
    (
        "incr a 1\r\n",
        "\r\n",
        ("incr a 1", "CLIENT_ERROR cannot increment or decrement non-numeric value", "error"),
    ),
    ("set n 0 0 2\r\n41\r\n", "\r\n", ("set n 0 0 2 41", "", "ok")),
    ("incr n 1\r\n", "42\r\n", ("incr n 1", "", "ok")),
    ("touch n 100\r\n", "\r\n", ("touch n 100", "", "ok")),
    ("delete none\r\n", "\r\n", ("delete none", "NOT_FOUND", "ok")),
    ("nosuch\r\n", "\r\n", ("nosuch", "ERROR", "error")),
    ("mn\r\n", "\r\n", ("mn", "", "ok")),
    ("ms m 4 T100\r\nmeta\r\n", "\r\n", ("ms m 4 T100 meta", "", "ok")),
    ("mg m s v t\r\n", "meta\r\n", ("mg m s v t", "", "ok")),
    ("mg none v\r\n", "\r\n", ("mg none v", "MISS", "ok")),
    ("md m\r\n", "\r\n", ("md m", "", "ok")),
    ("version\r\n", "\r\n", ("version", "", "ok")),
];

/// The server's counters, read by a connection of their own.
fn stats(netns: &Netns) -> BTreeMap<String, u64> {
    let mut peer = Peer::connect(netns, SERVER);
    let said = String::from_utf8(peer.exchange("stats\r\n", "END\r\n")).unwrap();
    let stat = |line: &str| {
        let (name, value) = line.strip_prefix("STAT ")?.split_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    said.lines().filter_map(stat).collect()
}

#[test]
fn each_exchange_is_a_line() {
    let (near, far) = Netns::pair();
    let _memcached = servers::memcached(&far, 11211);
    let agents = [Agent::start_with(&near, MEMCACHED), Agent::start_with(&far, MEMCACHED)];
    let mut peer = Peer::connect(&near, SERVER);
    let mut lens = Vec::new();
    for (request, end, _) in EXCHANGES {
        lens.push((request.len() as u64, peer.exchange(request, end).len() as u64));
    }
    let [at_client, at_server] = agents.map(Agent::stop);
    for finished in [&at_client, &at_server] {
        let lines = finished.lines();
        let outcomes: Vec<_> = lines.iter().map(Line::outcome).collect();
        let expect: Vec<_> = EXCHANGES.iter().map(|&(_, _, outcome)| outcome).collect();
        assert_eq!(outcomes, expect);
        let shown: Vec<_> = lines.iter().map(|it| (it.request_bytes, it.response_bytes)).collect();
        assert_eq!(shown, lens);
        assert!(lines.iter().all(|it| it.quality == "exact" && it.client == peer.address()));
        assert!(
            lines.iter().all(|it| it.server.to_string() == SERVER && it.protocol == "memcached")
        );
        finished.ledger().check_no_loss();
        assert_eq!(finished.ledger().total("printed"), EXCHANGES.len() as u64);
    }
    compare_views(&at_client.lines(), &at_server.lines());
}

/// Eight clients at once, some requests in one segment, some that get no answer.
#[test]
fn lines_add_up_to_the_servers_counters() {
    let (near, far) = Netns::pair();
    let _memcached = servers::memcached(&far, 11211);
    let agents = [Agent::start_with(&near, MEMCACHED), Agent::start_with(&far, MEMCACHED)];
    let client = |number: usize| {
        let mut peer = Peer::connect(&near, SERVER);
        for turn in 0..50 {
            let key = format!("{number}-{turn}");
            peer.exchange(format!("set {key} 0 0 5\r\nvalue\r\n"), "STORED\r\n");
            // Three in one segment; the second is not answered.
            peer.send(format!(
                "get {key} none\r\nset {key} 0 0 2 noreply\r\nxy\r\ngets {key}\r\ndelete {key}\r\n"
            ));
            peer.until("DELETED\r\n");
        }
    };
    thread::scope(|scope| {
        for number in 0..8 {
            scope.spawn(move || client(number));
        }
    });
    let stats = stats(&far);
    let [at_client, at_server] = agents.map(Agent::stop);
    for finished in [&at_client, &at_server] {
        let (lines, ledger) = (finished.lines(), finished.ledger());
        ledger.check_no_loss();
        assert_eq!(lines.len(), 8 * 50 * 4, "{}", ledger.text());
        assert_eq!(ledger.part("requests", "one-way"), 8 * 50, "{}", ledger.text());
        let one_way = ledger.part("requests", "one-way");
        assert_eq!(count(&lines, "SET") as u64 + one_way, stats["cmd_set"]);
        let sum = |field: &str| -> u64 {
            let value = |line: &Line| line.fields.get(field).map_or(0, |it| it.as_u64().unwrap());
            lines.iter().map(value).sum()
        };
        assert_eq!(sum("keys"), stats["cmd_get"]);
        assert_eq!(sum("hits"), stats["get_hits"]);
        assert_eq!(sum("misses"), stats["get_misses"]);
        assert_eq!(count(&lines, "DELETE") as u64, stats["delete_hits"]);
        let texts: HashSet<_> = lines.iter().map(|line| &line.request).collect();
        assert_eq!(texts.len(), lines.len(), "each text is there once");
        assert!(lines.iter().all(|line| line.status == "ok" && line.quality == "exact"));
    }
    // `stats` itself goes over loopback.
    let bytes = |of: fn(&Line) -> u64| at_server.lines().iter().map(of).sum::<u64>();
    assert_eq!(bytes(|it| it.response_bytes), stats["bytes_written"]);
    compare_views(&at_client.lines(), &at_server.lines());
}

#[test]
fn what_is_sent_slowly_is_slow_at_both_ends() {
    let (near, far) = Netns::pair();
    let _memcached = servers::memcached(&far, 11211);
    let agents = [Agent::start_with(&near, MEMCACHED), Agent::start_with(&far, MEMCACHED)];
    let mut peer = Peer::connect(&near, SERVER);
    let start = Instant::now();
    // memcached answers at once, so the slowness has to be the client's own: not a wait for
    // something to happen, but what is measured.
    for piece in ["set slow 0 0 10\r\n", "01234", "56789\r\n"] {
        peer.send(piece);
        thread::sleep(Duration::from_millis(30));
    }
    peer.until("STORED\r\n");
    let waited_us = start.elapsed().as_secs_f64() * 1e6;
    peer.exchange("get slow\r\n", "END\r\n");
    let [at_client, at_server] = agents.map(Agent::stop);
    compare_views(&at_client.lines(), &at_server.lines());
    for finished in [at_client, at_server] {
        let slow = &finished.lines()[0];
        assert_eq!(slow.outcome(), ("set slow 0 0 10 0123456789", "", "ok"));
        assert!(slow.parts_us[0] >= 40_000.0, "{slow:?}");
        assert!(slow.latency_us <= waited_us, "{slow:?} {waited_us}");
    }
}

#[test]
fn a_connection_that_was_open_before_is_joined() {
    let (near, far) = Netns::pair();
    let _memcached = servers::memcached(&far, 11211);
    let mut peer = Peer::connect(&near, SERVER);
    peer.exchange("set early 0 0 4\r\nbird\r\n", "STORED\r\n");
    let agent = Agent::start_with(&near, MEMCACHED);
    peer.exchange("get early\r\n", "END\r\n");
    // Its line appears while the connection stays open and quiet.
    agent.wait_for_lines(1);
    assert_eq!(agent.lines()[0].quality, "midstream");
    peer.exchange("set early 0 0 1\r\nx\r\n", "STORED\r\n");
    peer.exchange("mg early v\r\n", "x\r\n");
    let finished = agent.stop();
    finished.ledger().check_no_loss();
    let lines = finished.lines();
    let outcomes: Vec<_> = lines.iter().map(Line::outcome).collect();
    assert_eq!(
        outcomes,
        [("get early", "", "ok"), ("set early 0 0 1 x", "", "ok"), ("mg early v", "", "ok")]
    );
    assert!(lines.iter().all(|line| line.server.to_string() == SERVER));
}

/// A request of the binary protocol: 24 bytes of header, extras, key and value.
fn binary(opcode: u8, extras: &[u8], key: &str, value: &str, opaque: u32) -> Vec<u8> {
    let total = (extras.len() + key.len() + value.len()) as u32;
    let mut bytes = vec![0x80, opcode, 0, key.len() as u8, extras.len() as u8, 0, 0, 0];
    bytes.extend_from_slice(&total.to_be_bytes());
    bytes.extend_from_slice(&opaque.to_be_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(extras);
    bytes.extend_from_slice(&[key, value].concat().into_bytes());
    bytes
}

#[test]
fn the_binary_protocol_says_which_quiet_requests_were_answered() {
    const GET: u8 = 0;
    const SET: u8 = 1;
    const NOOP: u8 = 10;
    const GETKQ: u8 = 13;
    let (near, far) = Netns::pair();
    let _memcached = servers::memcached(&far, 11211);
    let agents = [Agent::start_with(&near, MEMCACHED), Agent::start_with(&far, MEMCACHED)];
    let mut peer = Peer::connect(&near, SERVER);
    let receive = |peer: &mut Peer| {
        let header = peer.exactly(24);
        let body = u32::from_be_bytes(header[8..12].try_into().unwrap());
        peer.exactly(body as usize);
    };
    peer.send(binary(SET, &[0; 8], "a", "one", 1));
    receive(&mut peer);
    peer.send(binary(GET, &[], "none", "", 2));
    receive(&mut peer);
    // At once; the misses are not answered.
    let quiet = [("a", 3), ("none", 4), ("other", 5), ("a", 6)];
    let quiet = quiet.map(|(key, opaque)| binary(GETKQ, &[], key, "", opaque)).concat();
    peer.send([quiet, binary(NOOP, &[], "", "", 7)].concat());
    (0..3).for_each(|_| receive(&mut peer));
    let stats = stats(&far);
    for finished in agents.map(Agent::stop) {
        finished.ledger().check_no_loss();
        let lines = finished.lines();
        let outcomes: Vec<_> = lines.iter().map(Line::outcome).collect();
        let expect = [
            ("set a 0 0 3 one", "", "ok"),
            ("get none", "MISS", "ok"),
            ("getkq a", "", "ok"),
            ("getkq a", "", "ok"),
            ("noop", "", "ok"),
        ];
        assert_eq!(outcomes, expect, "{}", finished.ledger().text());
        assert!(lines.iter().all(|line| line.quality == "exact"), "{lines:?}");
        // Those that were not answered are no transactions.
        let requests = finished.ledger().total("requests");
        assert_eq!(requests, stats["cmd_get"] + stats["cmd_set"] + 1);
        let opaque: Vec<_> = lines.iter().map(|line| line.number("opaque")).collect();
        assert_eq!(opaque, [1, 2, 3, 6, 7]);
    }
}

#[test]
fn datagrams_are_read_by_their_numbers() {
    let (near, far) = Netns::pair();
    let _memcached = servers::memcached(&far, 11211);
    let large = "x".repeat(3000);
    let mut peer = Peer::connect(&near, SERVER);
    peer.exchange(format!("set large 0 0 3000\r\n{large}\r\n"), "STORED\r\n");
    for number in 100..110 {
        let value = if number % 2 == 0 { "udp" } else { &large };
        let set = format!("set u{number} 0 0 {}\r\n{value}\r\n", value.len());
        peer.exchange(set, "STORED\r\n");
    }
    let udp = "-p memcached --format json -i veth0 udp port 11211";
    let agents = [Agent::start_with(&near, udp), Agent::start_with(&far, udp)];
    let socket = near.run(|| UdpSocket::bind("0.0.0.0:0").unwrap());
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let send = |number: u16, request: &str| {
        let mut datagram = [number.to_be_bytes(), [0, 0], [0, 1], [0, 0]].concat();
        datagram.extend_from_slice(request.as_bytes());
        socket.send_to(&datagram, SERVER).unwrap();
    };
    // So many whole answers; each datagram says of how many its answer is. Those to several requests may
    // come in turns.
    let receive = |answers: usize| {
        let mut counts = BTreeMap::<[u8; 2], u16>::new();
        let mut whole = 0;
        while whole < answers {
            let mut datagram = [0; 2000];
            let len = socket.recv(&mut datagram).unwrap();
            assert!(len >= 8);
            let count = counts.entry([datagram[0], datagram[1]]).or_default();
            *count += 1;
            whole += usize::from(*count == u16::from_be_bytes([datagram[4], datagram[5]]));
        }
    };
    let requests =
        ["set u 0 0 3\r\nudp\r\n", "get u\r\n", "get none\r\n", "get large\r\n", "incr u 1\r\n"];
    for (number, request) in (0xfffe_u16..=0xffff).chain(0..).zip(requests) {
        send(number, request);
        receive(1);
    }
    // Several at once. Two threads of the server answer, in an order that the two ends may see in different
    // ways: so each asks for something else.
    for number in 100..110 {
        send(number, &format!("get u{number}\r\n"));
    }
    receive(10);
    let [at_client, at_server] = agents.map(Agent::stop);
    compare_views(&at_client.lines(), &at_server.lines());
    for finished in [at_client, at_server] {
        finished.ledger().check_no_loss();
        assert_eq!(finished.ledger().part("connections", "by datagrams"), 1);
        let lines = finished.lines();
        assert_eq!(lines.len(), 15);
        assert!(lines.iter().all(|line| line.client == socket_address(&socket)));
        let words: Vec<_> = lines[..5].iter().map(|it| (&*it.request, &*it.status)).collect();
        let expect = [
            ("set u 0 0 3 udp", "ok"),
            ("get u", "ok"),
            ("get none", "ok"),
            ("get large", "ok"),
            ("incr u 1", "error"),
        ];
        assert_eq!(words, expect);
        assert_eq!(lines[2].response, "MISS");
        let mut texts: Vec<_> = lines[5..].iter().map(|line| line.request.clone()).collect();
        texts.sort();
        assert_eq!(texts, (100..110).map(|number| format!("get u{number}")).collect::<Vec<_>>());
        for line in &lines[5..] {
            let is_large = line.request.ends_with(['1', '3', '5', '7', '9']);
            assert_eq!(line.response_bytes > 3000, is_large, "{line:?}");
        }
    }
}

fn socket_address(socket: &UdpSocket) -> std::net::SocketAddr {
    std::net::SocketAddr::new("10.9.0.1".parse().unwrap(), socket.local_addr().unwrap().port())
}
