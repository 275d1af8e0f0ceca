//! The agent beside nginx by HTTP/2: h2load, nghttp, curl, and frames made by hand.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::{collections::BTreeSet, fs, process::Command};

use tcpkit_tests::{
    agent::Agent,
    folder::Folder,
    h2::H2Peer,
    line::{Line, compare_views},
    netns::Netns,
    process::run,
    servers::{self, Nginx, check_logged},
};

/// All is captured: one packet may bring several frames, and what is behind the snaplen has no beginning.
const HTTP2: &str = "-p http2 --format json -s 0 -i veth0 tcp port 80";
const SERVER: &str = "10.9.0.2:80";

/// nginx counts what is in the frames of a request, without their headers of nine bytes and nghttp's
/// priorities of five. Each frame takes at most 16 KiB.
fn without_frames(line: &Line) -> u64 {
    let body = line.number("request_body") as u64;
    let priority = if line.text("user_agent").starts_with("nghttp2/") { 5 } else { 0 };
    line.request_bytes - priority - 9 * (1 + body.div_ceil(16_384))
}

#[test]
fn each_request_is_what_nginx_logged() {
    let (near, far) = Netns::pair();
    let _app = servers::http(&far, 8080);
    let nginx = Nginx::start(&far, "80 http2");
    let agents = [Agent::start_with(&near, HTTP2), Agent::start_with(&far, HTTP2)];
    let paths = ["small.txt", "none", "empty", "moved?x=1", "medium.txt", "app/slow", "large.txt"];
    let urls = paths.map(|path| format!("http://10.9.0.2/{path}"));
    // All at the same time on one connection, and each on one of its own.
    run(&near, Command::new("nghttp").arg("-n").args(&urls));
    for url in &urls {
        run(&near, Command::new("curl").args(["--silent", "--http2-prior-knowledge", url]));
    }
    let folder = Folder::new();
    fs::write(folder.file("upload"), "upload ".repeat(5000)).unwrap();
    let mut upload = Command::new("nghttp");
    run(
        &near,
        upload.args(["-n", "-d"]).arg(folder.file("upload")).arg("http://10.9.0.2/app/echo"),
    );
    let logged = nginx.logged(15);
    let [at_client, at_server] = agents.map(Agent::stop);
    for finished in [&at_client, &at_server] {
        let ledger = finished.ledger();
        ledger.check_no_loss();
        for total in ["printed", "transactions", "requests", "responses"] {
            assert_eq!(ledger.total(total), 15, "{total}\n{}", ledger.text());
        }
    }
    check_logged(&at_server.lines(), &logged, without_frames);
    compare_views(&at_client.lines(), &at_server.lines());
    let lines = at_server.lines();
    let upload = lines.iter().find(|line| line.operation == "POST").unwrap();
    assert_eq!(upload.number("request_body"), 35_000);
    let bodies: BTreeSet<_> = lines
        .iter()
        .filter(|line| line.request == "GET 10.9.0.2/large.txt")
        .map(|line| line.number("response_body"))
        .collect();
    assert_eq!(bodies, BTreeSet::from([66_000]));
}

#[test]
fn under_load_each_request_is_one_line() {
    let (near, far) = Netns::pair();
    let nginx = Nginx::start(&far, "80 http2");
    let agents = [Agent::start_with(&near, HTTP2), Agent::start_with(&far, HTTP2)];
    let mut h2load = Command::new("h2load");
    h2load.args(["-n", "5000", "-c", "10", "-m", "8", "http://10.9.0.2/small.txt"]);
    let said = run(&near, &mut h2load);
    assert!(said.contains("5000 succeeded"), "{said}");
    let logged = nginx.logged(5000);
    let [at_client, at_server] = agents.map(Agent::stop);
    for finished in [&at_client, &at_server] {
        finished.ledger().check_no_loss();
        assert_eq!(finished.ledger().total("printed"), 5000);
        assert_eq!(finished.ledger().part("connections", "from handshake"), 10);
        let lines = finished.lines();
        let streams: BTreeSet<_> =
            lines.iter().map(|line| (line.client, line.number("stream"))).collect();
        assert_eq!(streams.len(), 5000, "each stream is there once");
    }
    check_logged(&at_server.lines(), &logged, without_frames);
    compare_views(&at_client.lines(), &at_server.lines());
}

#[test]
fn a_slow_request_does_not_slow_the_others() {
    let (near, far) = Netns::pair();
    let _app = servers::http(&far, 8080);
    let _nginx = Nginx::start(&far, "80 http2");
    let agents = [Agent::start_with(&near, HTTP2), Agent::start_with(&far, HTTP2)];
    let mut peer = H2Peer::connect(&near, SERVER);
    let slow = peer.get("/app/slow");
    let others: Vec<_> = (0..10).map(|number| peer.get(&format!("/small.txt?{number}"))).collect();
    others.into_iter().for_each(|stream| peer.until_end_of(stream));
    // While it is under way others are given up, with and without an answer so far.
    let given_up = peer.get("/app/slow?given-up");
    peer.cancel(given_up);
    peer.until_end_of(slow);
    // A body that comes later, and one that is never asked for again.
    let post = peer.request("POST", "/app/echo", &[("content-length", "5")], false);
    peer.finish(post, b"hello");
    peer.until_end_of(post);
    let [at_client, at_server] = agents.map(Agent::stop);
    compare_views(&at_client.lines(), &at_server.lines());
    for finished in [at_client, at_server] {
        finished.ledger().check_no_loss();
        let lines = finished.lines();
        assert_eq!(lines.len(), 13);
        let find = |request: &str| lines.iter().find(|line| line.request == request).unwrap();
        let slow = find("GET x/app/slow");
        assert!(slow.parts_us[1] >= 50_000.0, "{slow:?}");
        for number in 0..10 {
            let line = find(&format!("GET x/small.txt?{number}"));
            assert_eq!(line.outcome().1, "200");
            assert!(line.latency_us < slow.latency_us, "{line:?} {slow:?}");
        }
        let given_up = find("GET x/app/slow?given-up");
        assert!(given_up.cancelled && given_up.latency_us < slow.latency_us, "{given_up:?}");
        assert_eq!(given_up.outcome().1, "cancelled");
        let post = find("POST x/app/echo");
        assert_eq!((&*post.response, post.number("request_body")), ("200", 5));
    }
}

/// A deadline is gRPC's, but it may be said to any server.
#[test]
fn a_deadline_that_passed_is_shown() {
    let (near, far) = Netns::pair();
    let _app = servers::http(&far, 8080);
    let _nginx = Nginx::start(&far, "80 http2");
    let agent = Agent::start_with(&near, HTTP2);
    let mut peer = H2Peer::connect(&near, SERVER);
    for timeout in ["10m", "60S"] {
        let headers = [("content-type", "application/grpc"), ("te", "trailers")];
        let headers = [&headers[..], &[("grpc-timeout", timeout)]].concat();
        let call = peer.request("POST", "/app/slow", &headers, false);
        peer.finish(call, b"");
        peer.until_end_of(call);
    }
    let finished = agent.stop();
    finished.ledger().check_no_loss();
    let lines = finished.lines();
    let deadlines: Vec<_> = lines.iter().map(|it| (it.deadline_us, it.past_deadline)).collect();
    let expect = [(Some(10_000.0), Some(true)), (Some(60_000_000.0), Some(false))];
    assert_eq!(deadlines, expect);
    assert!(lines.iter().all(|line| line.latency_us >= 50_000.0 && !line.cancelled), "{lines:?}");
}

#[test]
fn a_connection_that_was_open_before_is_joined_at_once() {
    let (near, far) = Netns::pair();
    let _app = servers::http(&far, 8080);
    let _nginx = Nginx::start(&far, "80 http2");
    let mut peer = H2Peer::connect(&near, SERVER);
    let before = peer.get("/small.txt");
    peer.until_end_of(before);
    // It is answered when others can be seen already; its request was not.
    peer.get("/app/slow");
    let agent = Agent::start_with(&near, HTTP2);
    let first = peer.get("/small.txt?first");
    peer.until_end_of(first);
    agent.wait_for_lines(1);
    let second = peer.get("/none");
    peer.until_end_of(second);
    agent.wait_for_lines(2);
    let finished = agent.stop();
    let lines = finished.lines();
    let outcomes: Vec<_> = lines.iter().map(Line::outcome).collect();
    let expect = [("GET x/small.txt?first", "200", "ok"), ("GET x/none", "404", "error")];
    assert_eq!(outcomes, expect);
    assert!(lines.iter().all(|line| line.quality == "midstream"), "{lines:?}");
}
