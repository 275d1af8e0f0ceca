//! The agent beside a real Redis server: what one request after another looks like.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::time::Instant;

use tcpkit_tests::{
    agent::Agent,
    line::{Line, count},
    netns::Netns,
    redis::{Client, RedisServer, SERVER, encode, encode_words},
};

const FILTER: &str = "tcp port 6379";

/// The line of a request's text.
fn find<'a>(lines: &'a [Line], request: &str) -> &'a Line {
    lines.iter().find(|line| line.request == request).unwrap_or_else(|| {
        let requests: Vec<_> = lines.iter().map(|line| &line.request).collect();
        panic!("no {request:?} in {requests:?}")
    })
}

#[test]
fn a_line_says_who_asked_what_and_how_it_went() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let agent = Agent::start(&near, &format!("-i veth0 {FILTER}"));
    let mut client = Client::connect(&near, SERVER);
    let replies =
        ["set foo bared", "get foo", "lpush foo x", "mget foo nothing"].map(|it| client.say(it));
    agent.wait_for_lines(4);
    let (address, finished) = (client.address(), agent.stop());
    let lines = finished.lines();
    let expect = [
        ("SET", "set foo bared", "ok"),
        ("GET", "get foo", "ok"),
        ("LPUSH", "lpush foo x", "error"),
        ("MGET", "mget foo nothing", "ok"),
    ];
    assert_eq!(lines.len(), expect.len(), "{lines:?}");
    for ((line, (operation, request, status)), reply) in lines.iter().zip(expect).zip(replies) {
        assert_eq!((line.client, line.server), (address, SERVER.parse().unwrap()));
        assert_eq!((&*line.operation, &*line.request, &*line.status), (operation, request, status));
        assert_eq!(line.quality, "exact");
        assert_eq!(line.request_bytes, encode_words(request).len() as u64, "{line:?}");
        assert_eq!(line.response_bytes, reply.len() as u64, "{line:?}");
    }
    finished.ledger().check_no_loss();
    assert_eq!(finished.ledger().total("printed"), 4);
}

#[test]
fn a_slow_request_is_measured() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let agent = Agent::start(&near, &format!("-i veth0 {FILTER}"));
    let mut client = Client::connect(&near, SERVER);
    let waited_us: Vec<f64> = (0..5)
        .map(|_| {
            let start = Instant::now();
            assert_eq!(client.say("debug sleep 0.05"), b"+OK\r\n");
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    let finished = agent.stop();
    finished.ledger().check_no_loss();
    let lines = finished.lines();
    assert_eq!(lines.len(), waited_us.len());
    for (line, waited_us) in lines.iter().zip(waited_us) {
        // The wire is between the server and the client's own clock.
        let latency_us = line.latency_us;
        assert!(latency_us >= 50_000.0 && latency_us <= waited_us, "{latency_us} {waited_us}");
        assert!(line.parts_us[1] >= 50_000.0, "the server's time is the wait: {line:?}");
    }
    let fastest = lines.iter().map(|line| line.latency_us).fold(f64::MAX, f64::min);
    assert!(fastest < 60_000.0, "{fastest}");
}

#[test]
fn values_of_a_megabyte_are_skipped_by_their_length() {
    const LEN: usize = 1 << 20;
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let agent = Agent::start(&near, &format!("-i veth0 {FILTER}"));
    let mut client = Client::connect(&near, SERVER);
    // Values that look like commands and replies must not be read as such.
    let value: Vec<u8> =
        b"*1\r\n$4\r\nPING\r\n+OK\r\n:1\r\n".iter().copied().cycle().take(LEN).collect();
    let mut expect = Vec::new();
    for turn in 0..3 {
        let set = encode(&[b"SET", b"big", &value]);
        client.send(&set);
        expect.push(("SET", set.len(), client.receive().len()));
        let get = encode(&[b"GET", b"big"]);
        client.send(&get);
        let reply = client.receive();
        assert_eq!(reply.len(), format!("${LEN}\r\n").len() + LEN + 2);
        expect.push(("GET", get.len(), reply.len()));
        let echo = encode_words(&format!("echo {turn}"));
        client.send(&echo);
        expect.push(("ECHO", echo.len(), client.receive().len()));
    }
    let finished = agent.stop();
    let lines = finished.lines();
    let printed: Vec<_> = lines
        .iter()
        .map(|it| (&*it.operation, it.request_bytes as usize, it.response_bytes as usize))
        .collect();
    assert_eq!(printed, expect);
    for line in &lines {
        let quality = if line.operation == "ECHO" { "exact" } else { "truncated" };
        assert_eq!(line.quality, quality, "{line:?}");
        assert!(line.request.len() <= 140, "{}", line.request.len());
    }
    // Most of the bytes were not copied, and still nothing is missing.
    let ledger = finished.ledger();
    ledger.check_no_loss();
    assert!(ledger.total("packets truncated") > 0);
    assert_eq!(
        ledger.total("bytes of streams"),
        expect.iter().map(|it| (it.1 + it.2) as u64).sum::<u64>()
    );
}

#[test]
fn a_connection_that_was_open_before_is_joined() {
    let (near, far) = Netns::pair();
    let redis = RedisServer::start(&far);
    let mut client = Client::connect(&near, SERVER);
    client.say("set early bird");
    let agent = Agent::start(&near, &format!("-i veth0 {FILTER}"));
    client.say("get early");
    // Its line appears while the connection stays open and quiet.
    agent.wait_for_lines(1);
    let lines = agent.lines();
    assert_eq!((&*lines[0].request, &*lines[0].quality), ("get early", "midstream"));
    assert_eq!((lines[0].client, lines[0].server), (client.address(), SERVER.parse().unwrap()));
    client.say("get early");
    drop((client, redis));
    let finished = agent.stop();
    assert_eq!(count(&finished.lines(), "GET"), 2);
    let ledger = finished.ledger();
    ledger.check_no_loss();
    assert_eq!(ledger.part("connections", "midstream"), 1);
}

#[test]
fn ipv6() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let agent = Agent::start(&near, &format!("-i veth0 {FILTER}"));
    let mut client = Client::connect(&near, "[fd09::2]:6379");
    client.say("set six 6");
    client.say("get six");
    let finished = agent.stop();
    finished.ledger().check_no_loss();
    let lines = finished.lines();
    assert_eq!(lines.len(), 2);
    for line in &lines {
        assert_eq!(
            (line.client, line.server.to_string().as_str()),
            (client.address(), "[fd09::2]:6379")
        );
        assert_eq!(line.quality, "exact");
    }
    // The form for people has the addresses in brackets, too.
    let agent = Agent::start_with(&near, &format!("-p redis -i veth0 {FILTER}"));
    client.say("get six");
    agent.wait_for_lines(1);
    let text = String::from_utf8(agent.stop().stdout).unwrap();
    let (head, rest) = text.trim_end().split_once(" | ").unwrap();
    assert!(head.ends_with(&format!(" {} => [fd09::2]:6379", client.address())), "{text}");
    assert!(rest.ends_with(" ms | get six"), "{text}");
}

#[test]
fn loopback_requests_are_printed_once() {
    for address in ["127.0.0.1:6379", "[::1]:6379", "10.9.0.2:6379"] {
        let (_near, far) = Netns::pair();
        let _redis = RedisServer::start(&far);
        let agent = Agent::start(&far, &format!("-i lo {FILTER}"));
        let mut client = Client::connect(&far, address);
        for number in 0..100 {
            client.say(&format!("echo {number}"));
        }
        let finished = agent.stop();
        finished.ledger().check_no_loss();
        let lines = finished.lines();
        let requests: Vec<_> = lines.iter().map(|line| line.request.clone()).collect();
        let expect: Vec<_> = (0..100).map(|number| format!("echo {number}")).collect();
        assert_eq!(requests, expect, "{address}");
        assert!(lines.iter().all(|line| line.server == address.parse().unwrap()));
    }
}

#[test]
fn the_client_sees_all_that_the_server_takes_and_more() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let at_client = Agent::start(&near, &format!("-i veth0 {FILTER}"));
    let at_server = Agent::start(&far, &format!("-i veth0 {FILTER}"));
    let mut client = Client::connect(&near, SERVER);
    for number in 0..2000 {
        client.say(&format!("echo {number}"));
    }
    client.say("debug sleep 0.05");
    let (at_client, at_server) = (at_client.stop(), at_server.stop());
    at_client.ledger().check_no_loss();
    at_server.ledger().check_no_loss();
    let (at_client, at_server) = (at_client.lines(), at_server.lines());
    assert_eq!((at_client.len(), at_server.len()), (2001, 2001));
    for (client, server) in at_client.iter().zip(&at_server) {
        assert_eq!((&client.request, client.client), (&server.request, server.client));
        // The request passes the client's end of the cable first, the response last.
        assert!(client.latency_us >= server.latency_us, "{client:?} {server:?}");
    }
    let sleep = |lines| find(lines, "debug sleep 0.05").latency_us;
    let network_us = sleep(&at_client) - sleep(&at_server);
    assert!(sleep(&at_server) >= 50_000.0, "{}", sleep(&at_server));
    assert!(network_us < 10_000.0, "the slowness is the server's: {network_us}");
}

/// Nothing on the wire reaches the terminal, or the log, as it is.
#[test]
fn secrets_and_control_characters_stay_inside() {
    const SECRET: &str = "hunter2-correct-horse";
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    for format in ["text", "json"] {
        let arguments = format!("-vv -p redis --format {format} -i veth0 {FILTER}");
        let agent = Agent::start_with(&near, &arguments);
        let mut client = Client::connect(&near, SERVER);
        let commands = [
            format!("config set requirepass {SECRET}"),
            format!("auth {SECRET}"),
            format!("AUTH default {SECRET}"),
            format!("hello 2 auth default {SECRET}"),
            format!("acl setuser worker on >{SECRET} ~* +@all"),
            format!("config set masterauth {SECRET}"),
            format!("config set maxmemory 0 masterauth {SECRET}"),
            format!("migrate 10.9.0.1 1 key 0 1 auth {SECRET}"),
            format!("migrate 10.9.0.1 1 key 0 1 AUTH2 someone {SECRET}"),
        ];
        for command in &commands {
            client.say(command);
        }
        client.send(format!("auth {SECRET}\r\n").as_bytes());
        client.receive();
        client.say("config set requirepass  masterauth ");
        let odd: [&[u8]; 6] = [
            b"\x1b[31mred",
            b"\x1b]0;title\x07",
            b"a\r\nb",
            b"\xc2\x9b31m",
            b"\xff\xfe\x00",
            "\u{202e}".as_bytes(),
        ];
        for key in odd {
            client.exchange(&[b"SET", key, key]);
        }
        // An error reply quotes what the client sent.
        client.exchange(&[b"\x1b[2Jno-such-command", b"x"]);
        client.say("acl deluser worker");
        let expect = commands.len() + 2 + odd.len() + 2;
        agent.wait_for_lines(expect);
        let finished = agent.stop();
        finished.ledger().check_no_loss();
        let stdout = String::from_utf8(finished.stdout).unwrap();
        assert_eq!(stdout.lines().count(), expect, "{stdout}");
        for (name, text) in [("stdout", &stdout), ("stderr", &finished.stderr)] {
            assert!(!text.contains(SECRET), "{name}, {format}: {text}");
            let odd = text.chars().find(|&it| it != '\n' && (it.is_control() || it == '\u{202e}'));
            assert_eq!(odd, None, "{name}, {format}: {text:?}");
        }
        let requests = stdout.to_lowercase();
        for shown in ["auth (redacted)", "requirepass (redacted)", "on (redacted)", "[31mred"] {
            assert!(requests.contains(shown), "{shown:?} is missing: {stdout}");
        }
    }
}
