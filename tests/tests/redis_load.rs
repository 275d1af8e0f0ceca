//! The agent beside a real Redis server under load: every request once, every byte counted.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::{
    collections::HashSet,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use tcpkit_tests::{
    agent::{Agent, Finished},
    line::{Line, count},
    netns::{Netns, eventually},
    redis::{Client, RedisServer, SERVER, Transport, encode, encode_words, run_benchmark},
};

const FILTER: &str = "tcp port 6379";

/// The machine is for one load at a time.
fn alone() -> MutexGuard<'static, ()> {
    static LOAD: Mutex<()> = Mutex::new(());
    LOAD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Each run of redis-benchmark asks for two settings first.
fn check_benchmark(finished: &Finished, benchmarks: usize, operations: &[(&str, usize)]) {
    let lines = finished.lines();
    let mut all = 2 * benchmarks;
    for &(operation, expect) in operations {
        assert_eq!(count(&lines, operation), expect, "{operation}\n{}", finished.ledger().text());
        all += expect;
    }
    assert_eq!(count(&lines, "CONFIG GET"), 2 * benchmarks);
    assert_eq!(lines.len(), all, "other operations");
    let odd = lines.iter().find(|line| line.status != "ok" || line.quality != "exact");
    assert!(odd.is_none(), "{odd:?}");
    let ledger = finished.ledger();
    ledger.check_no_loss();
    for total in ["printed", "transactions", "requests", "responses"] {
        assert_eq!(ledger.total(total), all as u64, "{total}\n{}", ledger.text());
    }
}

#[test]
fn each_of_150_000_requests_is_a_transaction() {
    let _alone = alone();
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let agent = Agent::start(&near, &format!("-i veth0 {FILTER}"));
    run_benchmark(&near, "-t get -n 150000 -c 50");
    let finished = agent.stop();
    check_benchmark(&finished, 1, &[("GET", 150_000)]);
    let clients: HashSet<_> = finished.lines().iter().map(|line| line.client).collect();
    assert!(clients.len() >= 50, "{}", clients.len());
}

#[test]
fn each_of_200_000_pipelined_requests_is_a_transaction() {
    let _alone = alone();
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let agent = Agent::start(&near, &format!("-i veth0 {FILTER}"));
    run_benchmark(&near, "-t set,get -n 100000 -c 50 -P 16");
    let finished = agent.stop();
    check_benchmark(&finished, 1, &[("SET", 100_000), ("GET", 100_000)]);
}

/// On a bridge each packet crosses two or three interfaces, and all of them are watched.
#[test]
fn any_prints_no_request_twice() {
    let _alone = alone();
    let (host, left, right) = (Netns::new(), Netns::new(), Netns::new());
    host.ip("link add br0 type bridge");
    for (netns, port, last) in [(&left, "left", 1), (&right, "right", 2)] {
        host.ip(&format!("link add {port} type veth peer name veth0 netns {}", netns.name()));
        host.ip(&format!("link set {port} master br0 up"));
        netns.ip(&format!("addr add 10.9.0.{last}/24 dev veth0"));
        netns.ip("link set veth0 up");
    }
    host.ip("addr add 10.9.0.3/24 dev br0");
    host.ip("link set br0 up");
    let (_redis, _own) = (RedisServer::start(&right), RedisServer::start(&host));
    let agent = Agent::start(&host, &format!("-i any -s 0 {FILTER}"));
    // From container to container, from the host to a container, and within the host.
    for (from, to, name) in [
        (&left, SERVER, "through"),
        (&host, SERVER, "out"),
        (&left, "10.9.0.3:6379", "in"),
        (&host, "127.0.0.1:6379", "lo"),
    ] {
        let mut client = Client::connect(from, to);
        for number in 0..500 {
            client.say(&format!("echo {name}{number}"));
        }
        // Many segments at once, with values larger than a segment.
        let batch = encode(&[b"ECHO", &[b'x'; 3000]]).repeat(100);
        client.send(&batch);
        for _ in 0..100 {
            client.receive();
        }
    }
    run_benchmark(&left, "-t set -n 20000 -c 20 -P 4");
    let finished = agent.stop();
    let lines = finished.lines();
    for name in ["through", "out", "in", "lo"] {
        let printed: Vec<_> = lines
            .iter()
            .filter_map(|line| line.request.strip_prefix("echo ")?.strip_prefix(name))
            .map(str::to_owned)
            .collect();
        let expect: Vec<_> = (0..500).map(|number| number.to_string()).collect();
        assert_eq!(printed, expect, "{name}");
    }
    assert_eq!((count(&lines, "ECHO"), count(&lines, "SET")), (4 * 600, 20_000));
    assert_eq!(lines.len(), 4 * 600 + 20_000 + 2);
    let ledger = finished.ledger();
    ledger.check_no_loss();
    assert!(ledger.part("packets received", "duplicates") > 10_000, "{}", ledger.text());
    assert_eq!(ledger.part("packets received", "retransmitted"), 0, "{}", ledger.text());
}

/// What the agent counted is what the server counted, to the byte.
#[test]
fn bytes_are_those_that_redis_counted() {
    const STATS: [&str; 2] = ["total_net_input_bytes", "total_net_output_bytes"];
    let _alone = alone();
    let (near, far) = Netns::pair();
    let redis = RedisServer::start(&far);
    let mut unseen = redis.unseen();
    // Every byte of large answers is copied: that takes room while the agent has no processor.
    let agent = Agent::start(&near, &format!("-i veth0 -s 0 -B 262144 {FILTER}"));
    // A question is counted before it is answered, and its answer after.
    let (before, _, first_answer) = unseen.stat(STATS);
    run_benchmark(&near, "-t set,get,lrange_100,mset -n 20000 -c 20 -P 8 -d 100");
    let mut client = Client::connect(&near, SERVER);
    client.exchange(&[b"SET", b"big", &[b'v'; 3 << 20]]);
    for words in ["get big", "multi", "get big", "set a b", "exec", "hello 3", "config get *"] {
        client.say(words);
    }
    client.send(b"set inline value\r\nget inline\r\n");
    client.receive();
    client.receive();
    drop(client);
    let (after, second_question, _) = unseen.stat(STATS);
    let expect = (after[0] - before[0] - second_question, after[1] - before[1] - first_answer);
    let finished = agent.stop();
    let ledger = finished.ledger();
    ledger.check_no_loss();
    let counted =
        (ledger.part("bytes of streams", "request"), ledger.part("bytes of streams", "response"));
    assert_eq!(counted, expect, "{}", ledger.text());
    let sum = |bytes: fn(&Line) -> u64| finished.lines().iter().map(bytes).sum::<u64>();
    let printed = (sum(|line| line.request_bytes), sum(|line| line.response_bytes));
    assert_eq!(printed, expect, "each byte is in a line");
}

/// A question whose answer can be told from all others by its length.
fn question(number: usize) -> Vec<u8> {
    encode_words(&format!("getrange digits 0 {}", number % 1000))
}

/// Whether a line has the answer of its own question.
fn is_right(line: &Line) -> bool {
    let end: u64 = line.request.strip_prefix("getrange digits 0 ").unwrap().parse().unwrap();
    let len = end + 1;
    line.response_bytes == len.to_string().len() as u64 + len + 5
}

fn with_digits(redis: &RedisServer) {
    let digits: Vec<u8> = b"0123456789".repeat(100);
    redis.unseen().exchange(&[b"SET", b"digits", &digits]);
}

/// Ends the load, also when a test fails.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sends batches of questions until told to stop; returns how many.
fn ask<T: Transport>(
    client: &mut Client<T>,
    batch: usize,
    stop: &AtomicBool,
    asked: &Mutex<usize>,
) {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let questions: Vec<u8> = (number..number + batch).flat_map(question).collect();
        client.send(&questions);
        (0..batch).for_each(|_| drop(client.receive()));
        number += batch;
        *asked.lock().unwrap() += batch;
    }
}

/// Sends questions until told to stop, and has never received all answers in between.
fn ask_ahead(client: &mut Client, stop: &AtomicBool) {
    client.send(&(0..8).flat_map(question).collect::<Vec<_>>());
    let mut number = 8;
    while !stop.load(Ordering::Relaxed) {
        client.receive();
        client.send(&question(number));
        number += 1;
    }
    (0..8).for_each(|_| drop(client.receive()));
}

#[test]
fn connections_under_load_are_joined_and_never_mispaired() {
    let _alone = alone();
    let (near, far) = Netns::pair();
    let redis = RedisServer::start(&far);
    with_digits(&redis);
    let (stop, asked) = (AtomicBool::new(false), Mutex::new(0));
    let (asked_before, asked_after, finished) = thread::scope(|scope| {
        for batch in [1, 1, 1, 16] {
            let mut client = Client::connect(&near, SERVER);
            let (stop, asked) = (&stop, &asked);
            scope.spawn(move || ask(&mut client, batch, stop, asked));
        }
        for _ in 0..2 {
            let mut client = Client::connect(&near, SERVER);
            let stop = &stop;
            scope.spawn(move || ask_ahead(&mut client, stop));
        }
        let _stop = StopAtEnd(&stop);
        let total = || *asked.lock().unwrap();
        eventually("load", || total() > 1000);
        let agent = Agent::start(&near, &format!("-i veth0 {FILTER}"));
        let before = total();
        eventually("more load", || total() > before + 20_000);
        let after = total();
        (before, after, agent.stop())
    });
    let lines = finished.lines();
    let wrong = lines.iter().find(|line| !is_right(line));
    assert!(wrong.is_none(), "{wrong:?}");
    assert!(lines.iter().all(|line| line.quality == "midstream"));
    // Of the clients that wait for their answers, all but the first few.
    let batches = asked_after - asked_before;
    assert!(lines.len() > batches * 9 / 10, "{} of {batches}", lines.len());
    let ledger = finished.ledger();
    assert_eq!(ledger.part("connections", "midstream"), 6, "{}", ledger.text());
    assert_eq!(ledger.part("packets matched", "lost: ring full"), 0, "{}", ledger.text());
}

/// Pipelines of 1,000 commands travel in packets of up to 64 KB.
fn pipelines(snaplen: &str) -> Finished {
    let (near, far) = Netns::pair();
    let redis = RedisServer::start(&far);
    with_digits(&redis);
    let agent = Agent::start(&near, &format!("-i veth0 {snaplen} {FILTER}"));
    let mut client = Client::connect(&near, SERVER);
    for turn in 0..20 {
        client.send(&(0..1000).flat_map(|at| question(turn * 7 + at)).collect::<Vec<_>>());
        (0..1000).for_each(|_| drop(client.receive()));
        // What follows is never hidden.
        client.send(&question(turn));
        client.receive();
    }
    agent.stop()
}

#[test]
fn pipelines_in_large_packets_are_seen_whole() {
    let _alone = alone();
    let finished = pipelines("-s 0");
    let lines = finished.lines();
    assert_eq!(lines.len(), 20 * 1001, "{}", finished.ledger().text());
    assert!(lines.iter().all(|line| is_right(line) && line.quality == "exact"));
    finished.ledger().check_no_loss();
}

#[test]
fn what_the_snaplen_hides_of_pipelines_is_told_and_nothing_is_made_up() {
    let _alone = alone();
    for snaplen in ["", "-s 512"] {
        let finished = pipelines(snaplen);
        let (lines, ledger) = (finished.lines(), finished.ledger());
        let wrong = lines.iter().find(|line| !is_right(line));
        assert!(wrong.is_none(), "{wrong:?}");
        // Certain are those before the first cut; behind each further one little has time to be.
        assert!((1..20 * 1001).contains(&lines.len()), "{}\n{}", lines.len(), ledger.text());
        let told = ledger.text().lines().find(|line| line.starts_with("NOT SEEN: "));
        assert!(told.is_some_and(|it| it.contains("a larger -s shows")), "{}", ledger.text());
    }
}
