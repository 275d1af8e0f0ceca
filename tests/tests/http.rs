//! The agent beside nginx and a small HTTP server: what curl, h2load and sockets ask by HTTP/1.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::{process::Command, time::Instant};

use tcpkit_tests::{
    agent::Agent,
    line::{Line, compare_views},
    netns::Netns,
    peer::Peer,
    process::run,
    servers::{self, Nginx, check_logged},
};

const HTTP: &str = "-p http --format json -i veth0 tcp port 80";
const URL: &str = "http://10.9.0.2";

fn curl(netns: &Netns, words: &str) {
    let mut command = Command::new("curl");
    command.args(["--silent", "--http1.1"]).args(words.replace('@', URL).split_whitespace());
    run(netns, &mut command);
}

#[test]
fn each_request_is_what_nginx_logged() {
    let (near, far) = Netns::pair();
    let _app = servers::http(&far, 8080);
    let nginx = Nginx::start(&far, "80");
    let at_client = Agent::start_with(&near, HTTP);
    let at_server = Agent::start_with(&far, HTTP);
    curl(
        &near,
        "@/small.txt @/medium.txt?x=1 @/none @/large.txt @/empty @/moved @/app/slow @/app/chunked
         --next --head @/small.txt @/large.txt @/none
         --next --data a=1&b=2 @/app/echo @/app/echo
         --next --request PUT --header Transfer-Encoding:chunked --data-binary 12345 @/app/echo
         --next --range 0-2 @/small.txt
         --next --request OPTIONS @/small.txt",
    );
    curl(&near, "--http1.0 @/small.txt @/medium.txt");
    curl(&near, "--parallel --parallel-immediate @/app/slow @/app/dribble @/small.txt @/app/echo");
    let logged = nginx.logged(22);
    let (at_client, at_server) = (at_client.stop(), at_server.stop());
    for finished in [&at_client, &at_server] {
        let ledger = finished.ledger();
        ledger.check_no_loss();
        for total in ["printed", "transactions", "requests"] {
            assert_eq!(ledger.total(total), 22, "{total}\n{}", ledger.text());
        }
    }
    check_logged(&at_server.lines(), &logged, |line| line.request_bytes);
    compare_views(&at_client.lines(), &at_server.lines());
    // Large ones were not copied as a whole.
    let is_exact = |line: &Line| line.quality == "exact" || line.response_bytes > 40_000;
    assert!(at_server.lines().iter().all(is_exact), "{:?}", at_server.lines());
    for line in at_server.lines().iter().filter(|line| line.request.ends_with("/app/slow")) {
        assert!(line.latency_us >= 50_000.0, "{line:?}");
        assert!(line.parts_us[1] >= 50_000.0, "the server's time is the wait: {line:?}");
    }
}

#[test]
fn under_load_each_request_is_one_line() {
    let (near, far) = Netns::pair();
    let nginx = Nginx::start(&far, "80");
    let agents = [Agent::start_with(&near, HTTP), Agent::start_with(&far, HTTP)];
    let mut h2load = Command::new("h2load");
    h2load.args(["--h1", "-n", "5000", "-c", "20", "http://10.9.0.2/small.txt"]);
    let said = run(&near, &mut h2load);
    assert!(said.contains("5000 succeeded"), "{said}");
    let logged = nginx.logged(5000);
    let [at_client, at_server] = agents.map(Agent::stop);
    for finished in [&at_client, &at_server] {
        finished.ledger().check_no_loss();
        assert_eq!(finished.ledger().total("printed"), 5000);
        assert_eq!(finished.ledger().part("connections", "from handshake"), 20);
    }
    check_logged(&at_server.lines(), &logged, |line| line.request_bytes);
    compare_views(&at_client.lines(), &at_server.lines());
}

/// Several requests in one segment, bodies that end where the next request begins, an answer while the
/// request is not whole, an interim answer, and what is HTTP only at first.
#[test]
fn pipelines_bodies_and_upgrades() {
    let (near, far) = Netns::pair();
    let _app = servers::http(&far, 8080);
    let agent = Agent::start_with(&near, "-p http --format json -i veth0 tcp port 8080");
    let mut peer = Peer::connect(&near, "10.9.0.2:8080");
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let post = |body: &str| {
        format!("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let trap = get("/not-a-request");
    peer.send([get("/echo"), post(&trap), get("/slow"), get("/chunked"), get("/empty")].concat());
    peer.until("X-More: yes\r\n\r\n");
    peer.until("204 No Content\r\n\r\n");
    // Its body comes later.
    let late = post("late");
    let start = Instant::now();
    let (most, rest) = late.split_at(late.len() - 2);
    peer.send(most);
    peer.send([rest, &get("/hints")].concat());
    peer.until("hinted\n");
    let waited_us = start.elapsed().as_secs_f64() * 1e6;
    peer.send(
        "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    );
    peer.until("100 Continue\r\n\r\n");
    peer.exchange("hello", "POST 5\n");
    peer.exchange(
        "GET /websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2l4dGVlbiBieXRlcyAxNg==\r\n\r\n",
        "\r\n\r\n",
    );
    // A WebSocket frame with a mask of zeros; what is in it is not HTTP any more.
    let inside = get("/inside");
    peer.send([&[0x81, 0x80 | inside.len() as u8, 0, 0, 0, 0], inside.as_bytes()].concat());
    peer.until(&inside);
    let finished = agent.stop();
    finished.ledger().check_no_loss();
    let lines = finished.lines();
    let outcomes: Vec<_> = lines.iter().map(Line::outcome).collect();
    assert_eq!(
        outcomes,
        [
            ("GET x/echo", "200", "ok"),
            ("POST x/echo", "200", "ok"),
            ("GET x/slow", "200", "ok"),
            ("GET x/chunked", "200", "ok"),
            ("GET x/empty", "204", "ok"),
            ("POST x/echo", "200", "ok"),
            ("GET x/hints", "200", "ok"),
            ("POST x/echo", "200", "ok"),
            ("GET x/websocket", "101", "ok"),
        ]
    );
    assert!(lines.iter().all(|line| line.quality == "exact" && line.client == peer.address()));
    assert_eq!(lines[1].number("request_body"), trap.len() as i64);
    assert_eq!(lines[1].request_bytes, post(&trap).len() as u64);
    assert!(lines[2].latency_us >= 50_000.0, "{:?}", lines[2]);
    // It was sent with the slow one before it and had to wait for that.
    assert!(lines[3].latency_us >= 50_000.0, "{:?}", lines[3]);
    assert_eq!(lines[5].request_bytes, late.len() as u64);
    let hints_us = lines[6].latency_us;
    assert!((20_000.0..=waited_us).contains(&hints_us), "{hints_us} {waited_us}");
}

#[test]
fn a_connection_that_was_open_before_is_joined() {
    let (near, far) = Netns::pair();
    let _nginx = Nginx::start(&far, "80");
    let mut peer = Peer::connect(&near, "10.9.0.2:80");
    let get = "GET /small.txt HTTP/1.1\r\nHost: x\r\n\r\n";
    peer.exchange(get, "small\n");
    let agent = Agent::start_with(&near, HTTP);
    peer.exchange(get, "small\n");
    // Its line appears while the connection stays open and quiet.
    agent.wait_for_lines(1);
    assert_eq!(agent.lines()[0].quality, "midstream");
    peer.exchange("HEAD /large.txt HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\r\n");
    let finished = agent.stop();
    finished.ledger().check_no_loss();
    let lines = finished.lines();
    let outcomes: Vec<_> = lines.iter().map(Line::outcome).collect();
    let expect = [("GET x/small.txt", "200", "ok"), ("HEAD x/large.txt", "200", "ok")];
    assert_eq!(outcomes, expect);
}

#[test]
fn people_see_the_status_and_no_secrets() {
    let (near, far) = Netns::pair();
    let nginx = Nginx::start(&far, "80");
    for format in ["text", "json"] {
        let agent = Agent::start_with(&near, &format!("-vv {}", HTTP.replace("json", format)));
        curl(
            &near,
            "--user bob:hunter2 @/none --next --header Authorization:hunter2 @/small.txt
             --next --cookie a=hunter2 @/small.txt?token=hunter2&x=1
             --next --header X-Api-Key:hunter2 @/small.txt?a=b&api_key=hunter2",
        );
        agent.wait_for_lines(4);
        let finished = agent.stop();
        let printed = String::from_utf8(finished.stdout).unwrap();
        assert!(!printed.contains("hunter2") && !finished.stderr.contains("hunter2"), "{printed}");
        assert_eq!(printed.lines().count(), 4);
        if format == "text" {
            let ends: Vec<_> =
                printed.lines().map(|it| it.split_once(" ms | ").unwrap().1).collect();
            assert_eq!(ends[0], "GET 10.9.0.2/none | 404");
            assert_eq!(ends[2], "GET 10.9.0.2/small.txt?token=(redacted)&x=1 | 200");
        }
    }
    assert_eq!(nginx.logged(8).len(), 8);
}
