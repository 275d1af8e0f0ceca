//! Several workers: what they do together is what one would do alone.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::{
    io::{BufRead, BufReader, Read},
    process::Stdio,
};

use tcpkit_tests::{
    agent::{Agent, command},
    netns::{Netns, eventually},
    redis::{Client, RedisServer, encode_words},
};

const SERVER: &str = "10.9.0.2:6379";
const FILTER: &str = "tcp port 6379";

/// Enough connections that each worker has some.
const CLIENTS: usize = 40;

#[test]
fn every_request_is_seen_once_and_counted() {
    for options in ["", "--hook xdp"] {
        let (near, far) = Netns::pair();
        let _redis = RedisServer::start(&far);
        let agent = Agent::start(&near, &format!("-i veth0 --workers 3 {options} {FILTER}"));
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| Client::connect(&near, SERVER)).collect();
        for turn in 1..=20 {
            for (number, client) in clients.iter_mut().enumerate() {
                client.say(&format!("echo {number}-{turn}"));
            }
            agent.wait_for_lines(turn * CLIENTS);
            if turn % 10 == 0 {
                let ledger = agent.report();
                assert_eq!(ledger.total("printed"), (turn * CLIENTS) as u64, "{}", ledger.text());
                assert_eq!(ledger.total("requests"), (turn * CLIENTS) as u64, "{}", ledger.text());
            }
        }
        drop(clients);
        let finished = agent.stop();
        let mut lines = finished.lines();
        assert!(lines.iter().all(|line| line.quality == "exact"));
        lines.sort_by(|one, other| one.request.cmp(&other.request));
        let mut expect: Vec<_> = (0..CLIENTS)
            .flat_map(|number| (1..=20).map(move |turn| format!("echo {number}-{turn}")))
            .collect();
        expect.sort();
        assert!(lines.iter().map(|line| &line.request).eq(&expect));
        let ledger = finished.ledger();
        ledger.check_no_loss();
        assert_eq!(ledger.part("connections", "from handshake"), CLIENTS as u64);
    }
}

/// They write to one output, and no line may end up inside another.
#[test]
fn lines_stay_whole() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let agent = Agent::start(&near, &format!("-i veth0 --workers 4 {FILTER}"));
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| Client::connect(&near, SERVER)).collect();
    let question = encode_words(&format!("echo {}", "x".repeat(100)));
    for _ in 0..5 {
        clients.iter_mut().for_each(|client| client.send(&question.repeat(100)));
        for client in &mut clients {
            (0..100).for_each(|_| drop(client.receive()));
        }
    }
    let finished = agent.stop();
    let lines = finished.lines();
    assert_eq!(lines.len(), CLIENTS * 500, "{}", finished.ledger().text());
    finished.ledger().check_no_loss();
}

#[test]
fn a_closed_output_ends_all_of_them() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    // The one connection is one worker's; in eight runs it is nearly certain to be another's than the
    // first's once, who never writes a line then.
    for _ in 0..8 {
        check_closed_output(&near);
    }
}

fn check_closed_output(near: &Netns) {
    let mut child = near.run(|| {
        let mut command = command(&format!("-p redis -P off -i veth0 --workers 3 {FILTER}"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    stderr.read_line(&mut said).unwrap();
    assert!(said.starts_with("tcpkit: listening on veth0"), "{said}");
    drop(child.stdout.take());
    let mut client = Client::connect(near, SERVER);
    let mut status = None;
    eventually("it ends with the next line", || {
        client.say("ping");
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(0));
    said.clear();
    stderr.read_to_string(&mut said).unwrap();
    assert!(!said.contains("tcpkit: ") && !said.contains("panic"), "{said}");
}

#[test]
fn where_order_matters_there_is_one() {
    for (arguments, why) in [
        ("--workers 2 tcp", "without -p"),
        ("--workers 2 -p redis -w /dev/null", "with -w"),
        ("--workers 2 -p redis -c 5", "with -c"),
        ("--workers 2 -p redis --backend packet", "packet sockets"),
        ("--workers 2 -p redis -r /dev/null", "a file"),
    ] {
        let output = command(arguments).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {stderr}");
        assert!(stderr.contains(why), "{arguments}: {stderr}");
    }
    assert_eq!(command("--workers 1 -d tcp").output().unwrap().status.code(), Some(0));
}
