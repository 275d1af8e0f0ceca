//! What the engine promises: the right pairs and times whatever happened to the packets, and no
//! time that was not measured.

mod damage;
mod properties;
mod selection;

use super::*;
use crate::{
    flow::table::Expiry,
    simulation::{Connection, HEADERS, MS, Seen, SimFrame, US, cut, merge, run, run_for, run_with},
};

fn get(key: &str) -> String {
    format!("*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len())
}

fn set(key: &str, value: &str) -> String {
    format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${}\r\n{value}\r\n", key.len(), value.len())
}

fn bulk(value: &str) -> String {
    format!("${}\r\n{value}\r\n", value.len())
}

/// Turn by turn, with a slow one, a pipeline, and a value of several packets.
fn talk() -> Connection {
    Connection::open()
        .with_mss(500)
        .ask(set("foo", "bared"))
        .answer("+OK\r\n")
        .ask(get("slow"))
        .wait(50 * MS)
        .answer(bulk("yes"))
        .ask(get("a") + &get("b") + &get("c"))
        .answer(bulk("1"))
        .answer(bulk("2") + &bulk("3"))
        .wait(MS)
        .ask(set("big", &"x".repeat(2_000)))
        .answer("+OK\r\n")
        .ask(get("big"))
        .answer(bulk(&"x".repeat(2_000)))
        .ask(get("last"))
        .wait(MS)
        .answer("$-1\r\n")
        .ask(get("turn"))
        .answer("$-1\r\n")
        .ask(get("another"))
        .answer("-ERR no\r\n")
}

#[test]
fn a_request_and_its_response_are_a_transaction_with_three_parts() {
    let request = set("foo", "bared");
    let (first, second) = request.split_at(10);
    let frames = Connection::open()
        .ask(first)
        .wait(2 * MS)
        .ask(second)
        .wait(7 * MS)
        .answer("+O")
        .wait(MS)
        .answer("K\r\n")
        .close()
        .frames();
    let outcome = run(&frames);
    let [seen] = &outcome.seen[..] else { panic!("{:?}", outcome.seen) };
    assert_eq!(seen.request, "set foo bared".replace("set", "SET"));
    assert_eq!(seen.start_ns, frames[3].time_ns);
    let step = 10 * US;
    assert_eq!(seen.parts, [2 * MS + step, 7 * MS + step, MS + step]);
    assert_eq!(seen.bytes, [request.len() as u64, 5]);
    assert_eq!((seen.status.as_str(), seen.quality.as_str()), ("ok", "exact"));
    assert_eq!(outcome.ledger.flows.closed, 1);
}

#[test]
fn a_pipeline_in_one_segment_is_one_transaction_a_command() {
    let commands: String = (0..100).map(|n| get(&format!("key{n}"))).collect();
    let mut talk = Connection::open().ask(commands);
    for n in 0..100 {
        talk = talk.wait(MS).answer(bulk(&n.to_string()));
    }
    let outcome = run(&talk.frames());
    assert_eq!(outcome.seen.len(), 100);
    for (n, seen) in (0..).zip(&outcome.seen) {
        assert_eq!(seen.request, format!("GET key{n}"));
        assert_eq!(seen.latency_ns(), (n + 1) * (MS + 10 * US));
    }
}

#[test]
fn array_replies_are_not_taken_for_requests() {
    let frames = Connection::open()
        .ask("*4\r\n$6\r\nLRANGE\r\n$1\r\nl\r\n$1\r\n0\r\n$2\r\n-1\r\n")
        .answer("*2\r\n$3\r\nGET\r\n$3\r\nfoo\r\n")
        .ask(get("foo"))
        .answer("$-1\r\n")
        .frames();
    assert_eq!(run(&frames).requests(), ["LRANGE l 0 -1", "GET foo"]);
}

#[test]
fn retransmits_and_copies_from_other_interfaces_change_nothing() {
    let frames = talk().close().frames();
    let expect = run(&frames);
    let copies: Vec<_> = frames
        .iter()
        .flat_map(|frame| (1..=3).map(|ifindex| SimFrame { ifindex, ..frame.clone() }))
        .collect();
    let outcome = run(&copies);
    assert_eq!(outcome.seen, expect.seen);
    let data = frames.iter().filter(|frame| frame.payload_len > 0).count() as u64;
    assert!(outcome.ledger.packets.duplicates >= 2 * data);
    assert_eq!(outcome.ledger.packets.in_order, data);
    assert_eq!(outcome.ledger.bytes, expect.ledger.bytes);

    let again: Vec<_> = frames.iter().flat_map(|frame| [frame.clone(), frame.clone()]).collect();
    let outcome = run(&again);
    assert_eq!(outcome.seen, expect.seen);
    assert!(outcome.ledger.packets.retransmitted >= data);
}

#[test]
fn ports_used_again_are_a_new_connection() {
    let frames = Connection::open()
        .ask(get("unanswered"))
        .reset()
        .reopen()
        .ask(get("a"))
        .answer("$-1\r\n")
        .reopen()
        .ask(get("b"))
        .answer("$-1\r\n")
        .close()
        .frames();
    let outcome = run(&frames);
    assert_eq!(outcome.requests(), ["GET a", "GET b"]);
    assert_eq!(outcome.ledger.flows.from_handshake, 3);
    assert_eq!(outcome.ledger.flows.closed, 3);
    assert_eq!(outcome.ledger.messages.requests_unanswered, 1);
}

#[test]
fn an_open_connection_is_read_from_the_next_turn_on() {
    // In the middle of a reply: it belongs to nothing that was seen.
    let frames = Connection::open()
        .ask(get("before"))
        .attach_here()
        .answer(bulk("before"))
        .wait(MS)
        .ask(get("a"))
        .answer(bulk("1"))
        .ask(get("b"))
        .answer(bulk("2"))
        .frames();
    let outcome = run(&frames);
    assert_eq!(outcome.requests(), ["GET a", "GET b"]);
    assert!(outcome.seen.iter().all(|seen| seen.quality == "midstream"));
}

#[test]
fn the_first_request_on_an_idle_open_connection_is_shown() {
    let frames = Connection::open().attach_here().ask(get("a")).answer(bulk("1")).frames();
    assert_eq!(run(&frames).requests(), ["GET a"]);
}

#[test]
fn requests_under_way_when_attaching_are_never_paired_with_later_ones() {
    // Three requests apart, the capture begins behind the first: its reply comes first.
    let frames = Connection::open()
        .ask(get("hidden"))
        .attach_here()
        .ask(get("a"))
        .ask(get("b"))
        .wait(MS)
        .answer(bulk("hidden"))
        .answer(bulk("1"))
        .answer(bulk("2"))
        .frames();
    let outcome = run(&frames);
    assert_eq!(outcome.requests(), Vec::<&str>::new());
    assert_eq!(outcome.ledger.messages.unproven, 2);
    assert_eq!(outcome.ledger.messages.orphans, 1);
}

/// A client with two requests under way when the capture begins, and ever after. The server
/// acknowledges each burst before it answers the one before, so that for TCP each is a new turn.
fn always_under_way() -> (Connection, impl FnMut() -> String) {
    let mut replies = (0..).map(|n| bulk(&format!("{n}")));
    let mut reply = move || replies.next().expect("endless");
    let mut talk = Connection::open().ask(get("hidden0")).ask(get("hidden1")).attach_here();
    for n in 0..100 {
        talk = talk.ask(get(&format!("a{n}"))).ask(get(&format!("b{n}")));
        talk = talk.answer(reply()).answer(reply());
    }
    (talk, reply)
}

#[test]
fn a_client_that_never_waits_gains_no_trust_by_looking_so_to_tcp() {
    let (talk, mut reply) = always_under_way();
    let outcome = run(&talk.answer(reply()).answer(reply()).frames());
    assert_eq!(outcome.requests(), Vec::<&str>::new(), "{}", outcome.ledger);
}

#[test]
fn the_end_of_the_capture_proves_no_pairing() {
    let (talk, _) = always_under_way();
    let outcome = run_for(&talk.frames(), Limits::default(), MS);
    assert_eq!(outcome.requests(), Vec::<&str>::new(), "{}", outcome.ledger);
}

#[test]
fn a_response_sent_before_the_request_arrived_is_not_its_own() {
    // Exactly as many responses as requests, but the first belongs to one that was not seen.
    let frames = Connection::open()
        .ask(get("hidden"))
        .attach_here()
        .cross(get("a"), bulk("hidden"))
        .frames();
    let outcome = run(&frames);
    assert_eq!(outcome.requests(), Vec::<&str>::new());
    assert_eq!(outcome.ledger.messages.orphans, 1);
    assert_eq!(outcome.ledger.messages.requests_lost, 1);
}

#[test]
fn one_direction_alone_gives_nothing_and_keeps_nothing() {
    let mut talk = Connection::open();
    for _ in 0..50 {
        talk = talk.ask(get("a")).answer("+OK\r\n");
    }
    let frames = talk.close().frames();
    for from_client in [true, false] {
        let to_server =
            |frame: &SimFrame| frame.bytes[14 + 20 + 2..][..2] == 6379_u16.to_be_bytes();
        let one_way: Vec<_> =
            frames.iter().filter(|frame| to_server(frame) == from_client).cloned().collect();
        let outcome = run_with(&one_way, Limits { max_open: 10, ..Limits::default() });
        assert!(outcome.seen.is_empty());
        assert_eq!(outcome.ledger.messages.paired, 0);
    }
}

#[test]
fn pushed_messages_are_not_responses() {
    let subscribe = "*2\r\n$9\r\nSUBSCRIBE\r\n$4\r\nnews\r\n";
    let confirmed = "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n";
    let message = "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n";
    let mut talk = Connection::open().ask(subscribe).answer(confirmed);
    for _ in 0..1_000 {
        talk = talk.answer(message);
    }
    let frames = talk
        .ask("*1\r\n$4\r\nPING\r\n")
        .answer(message.to_owned() + "*2\r\n$4\r\npong\r\n$0\r\n\r\n")
        .frames();
    let outcome = run(&frames);
    assert_eq!(outcome.requests(), ["SUBSCRIBE news", "PING"]);
    assert_eq!(outcome.ledger.messages.responses_one_way, 1_001);
}

#[test]
fn client_and_server_are_told_apart_without_a_handshake_or_known_ports() {
    let open = || Connection::on_ports(50_001, 50_000).handshake().attach_here();
    // The server speaks first, and only a server would say this.
    let frames = open()
        .answer("+OK\r\n")
        .ask(get("a"))
        .answer("+OK\r\n")
        .ask(get("b"))
        .answer("+OK\r\n")
        .frames();
    let outcome = run(&frames);
    assert_eq!(outcome.requests(), ["GET a", "GET b"]);
    assert_eq!(outcome.seen[0].client, "10.0.0.1:50001");
    // Here the lower port is the client's: a reply corrects the guess.
    let frames = Connection::on_ports(50_000, 50_001)
        .handshake()
        .attach_here()
        .ask(get("a"))
        .answer("+OK\r\n")
        .ask(get("b"))
        .answer("+OK\r\n")
        .ask(get("c"))
        .answer("+OK\r\n")
        .frames();
    let outcome = run(&frames);
    assert_eq!(outcome.requests(), ["GET b", "GET c"]);
    assert_eq!(outcome.ledger.flows.roles_corrected, 1);
}

#[test]
fn one_way_traffic_does_not_grow_memory() {
    let mut talk = Connection::open();
    for _ in 0..500 {
        talk = talk.ask(get("nobody answers"));
    }
    let limits = Limits { max_open: 100, ..Limits::default() };
    let outcome = run_with(&talk.frames(), limits);
    let messages = &outcome.ledger.messages;
    assert_eq!(messages.requests_overflowed, 101);
    assert_eq!(messages.losses_overflow, 1);
    assert!(outcome.seen.is_empty());
}

#[test]
fn a_full_table_forgets_quiet_connections_and_counts_them() {
    let connections = (0..50).map(|n| {
        Connection::on_ports(40_000 + n, 6379)
            .wait(u64::from(n) * MS)
            .handshake()
            .ask(get("a"))
            .answer("+OK\r\n")
            .frames()
    });
    let limits = Limits { max_flows: 10, ..Limits::default() };
    let outcome = run_with(&merge(connections), limits);
    assert_eq!(outcome.seen.len(), 50);
    assert_eq!(outcome.ledger.flows.evicted, 40);
    assert_eq!(outcome.ledger.flows.open, 10);
}

#[test]
fn quiet_connections_expire() {
    let talker = Connection::on_ports(40_001, 6379).handshake();
    let mut talker = talker.ask(get("a")).answer("+OK\r\n");
    for _ in 0..2_000 {
        talker = talker.wait(10 * MS).ask(get("a")).answer("+OK\r\n");
    }
    let quiet = Connection::on_ports(40_000, 6379).handshake().ask(get("a")).frames();
    let expiry = Expiry { idle_ns: 1_000 * MS, closed_ns: MS };
    let limits = Limits { expiry, ..Limits::default() };
    let outcome = run_with(&merge([quiet, talker.frames()]), limits);
    assert_eq!(outcome.ledger.flows.expired, 1);
    assert_eq!(outcome.ledger.messages.requests_forgotten, 1);
    assert_eq!(outcome.seen.len(), 2_001);
}
