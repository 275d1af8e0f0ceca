//! Several protocols at once, and what is found out by first bytes.

use super::*;
use crate::{protocol::Selection, simulation::run_reading};

/// What is printed of these frames, as `PROTOCOL request`.
fn check(choice: &str, frames: &[SimFrame], expect: &[&str]) -> Ledger {
    let selection = Selection::parse(choice.split(',')).expect("protocols");
    let outcome = run_reading(frames, &selection);
    let seen: Vec<_> =
        outcome.seen.iter().map(|seen| format!("{} {}", seen.protocol, seen.request)).collect();
    assert_eq!(seen, expect, "{choice}");
    outcome.ledger
}

/// A protocol nobody knows: the client waits for each answer.
fn unknown() -> Connection {
    Connection::on_ports(40_000, 7777)
        .handshake()
        .answer("220 hello\n")
        .ask("HELO me\n")
        .wait(3 * MS)
        .answer("250-one\n")
        .wait(MS)
        .answer("250 two\n")
        .ask("MAIL from")
        .wait(MS)
        .ask(" me\n")
        .wait(2 * MS)
        .answer("250 ok\n")
        .wait(MS)
        .close()
}

#[test]
fn turns_are_timed_from_the_first_byte_to_the_last_before_the_next() {
    let outcome = run_reading(&unknown().frames(), &Selection::parse(["generic"]).expect("one"));
    assert_eq!(outcome.requests(), ["HELO me\\n", "MAIL from me\\n"]);
    let parts: Vec<_> = outcome.seen.iter().map(|seen| seen.parts).collect();
    assert_eq!(parts, [[0, 3 * MS + 10 * US, MS + 10 * US], [MS + 10 * US, 2 * MS + 10 * US, 0]]);
    assert_eq!(outcome.seen[1].bytes, [13, 7]);
    // What the server said first answers nothing.
    assert_eq!(outcome.ledger.messages.responses_one_way, 1);
}

#[test]
fn a_turn_is_over_when_nothing_comes_for_a_second() {
    let frames = Connection::on_ports(40_000, 7777).handshake().ask("a").answer("b").frames();
    let selection = Selection::parse(["generic"]).expect("one");
    assert_eq!(run_reading(&frames, &selection).requests(), ["a"]);
    let frames = Connection::on_ports(40_000, 7777)
        .handshake()
        .ask("a")
        .answer("b")
        .wait(2_000 * MS)
        .answer("later")
        .frames();
    let outcome = run_reading(&frames, &selection);
    assert_eq!(outcome.requests(), ["a"]);
    assert_eq!(outcome.seen[0].bytes, [1, 1]);
}

#[test]
fn no_turn_with_a_missing_packet_has_a_time() {
    let frames = unknown().frames();
    let selection = Selection::parse(["generic"]).expect("one");
    let whole = run_reading(&frames, &selection);
    for at in 0..frames.len() {
        let mut rest = frames.clone();
        rest.remove(at);
        for seen in run_reading(&rest, &selection).seen {
            assert!(
                whole.seen.contains(&Seen { quality: "exact".into(), ..seen.clone() }),
                "without {at}: {seen:?}"
            );
        }
    }
}

#[test]
fn a_port_says_what_its_connections_speak() {
    let both = merge([talk().frames(), unknown().frames()]);
    let redis = talk().frames();
    let expect: Vec<_> =
        run(&redis).seen.iter().map(|it| format!("redis {}", it.request)).collect();
    let expect: Vec<_> = expect.iter().map(String::as_str).collect();
    let ledger = check("redis:6379", &both, &expect);
    assert_eq!(ledger.flows.foreign, 1);
    assert!(ledger.messages.foreign_bytes > 0);
    let ledger = check("redis:7777", &redis, &[]);
    assert_eq!(ledger.flows.foreign, 1);
    let both =
        merge([Connection::open().ask(get("a")).answer(bulk("1")).frames(), unknown().frames()]);
    check(
        "redis:6379,generic:7777",
        &both,
        &["redis GET a", "generic HELO me\\n", "generic MAIL from me\\n"],
    );
}

#[test]
fn first_bytes_of_both_sides_say_what_is_spoken() {
    let on_any_port = |port: u16| Connection::on_ports(port, 9_999).handshake();
    // In pieces, and the first response long after the request.
    let redis = on_any_port(1)
        .ask("*2\r")
        .ask("\n$3\r\nGET\r\n$1\r\na\r\n")
        .wait(50 * MS)
        .answer("$1\r\n1\r\n");
    check("redis,generic", &redis.clone().frames(), &["redis GET a"]);
    let seen =
        run_reading(&redis.frames(), &Selection::parse(["redis", "generic"]).expect("two")).seen;
    assert_eq!(seen[0].parts, [10 * US, 50 * MS + 10 * US, 0]);
    // An inline command to one, but no answer of its server.
    let other = on_any_port(2).ask("GET a\r\n").answer("VALUE a 0 1\r\n1\r\nEND\r\n").close();
    check("redis,generic", &other.frames(), &["generic GET a\\r\\n"]);
}

#[test]
fn a_request_of_two_protocols_is_told_by_its_answer() {
    let talk = || Connection::on_ports(1, 9_999).handshake();
    let request = "GET / HTTP/1.1\r\n\r\n";
    let web = talk().ask(request).answer("HTTP/1.1 204 No Content\r\n\r\n").frames();
    check("redis,http", &web, &["http GET /"]);
    check("http,redis", &web, &["http GET /"]);
    let redis = talk().ask(request).answer("-ERR wrong number of arguments\r\n").frames();
    check("redis,http", &redis, &["redis GET / HTTP/1.1"]);
    check("auto", &redis, &["redis GET / HTTP/1.1"]);
    // Neither: the greeting of a mail server.
    let ledger = check("redis,http", &unknown().frames(), &[]);
    assert_eq!((ledger.flows.foreign, ledger.messages.requests), (1, 0));
    assert_eq!(ledger.messages.read_bytes, 0);
}

#[test]
fn what_turns_out_to_be_something_else_is_read_anew() {
    // An HTTP server's answer to the first request, and Redis ever after.
    let mut talk = Connection::on_ports(1, 9_999)
        .handshake()
        .ask("GET / HTTP/1.1\r\n\r\n")
        .answer("HTTP/1.1 200 OK\r\nno colon\r\n\r\n")
        .wait(MS);
    for key in 0..40 {
        talk = talk.ask(get(&key.to_string())).answer("$-1\r\n").wait(MS);
    }
    let selection = Selection::parse(["redis", "http"]).expect("two");
    let outcome = run_reading(&talk.frames(), &selection);
    assert!(outcome.seen.len() >= 30, "{}", outcome.ledger);
    assert!(outcome.seen.iter().all(|seen| seen.protocol == "redis"), "{:?}", outcome.seen);
    assert_eq!(outcome.ledger.flows.protocols_corrected, 1);
}

#[test]
fn an_open_connection_is_found_out_later() {
    let begun = Connection::on_ports(50_000, 9_999)
        .handshake()
        .ask(set("a", &"x".repeat(100)))
        .answer("+OK\r\n")
        .attach_here();
    // The first that is seen is the midst of a value.
    let mut talk = begun.ask("xxxxxxx").ask("xxx\r\n").answer("+OK\r\n");
    for key in 0..40 {
        talk = talk.wait(MS).ask(get(&key.to_string())).answer("$-1\r\n");
    }
    let selection = Selection::parse(["redis", "http"]).expect("two");
    let outcome = run_reading(&talk.frames(), &selection);
    assert!(outcome.seen.len() >= 30, "{}", outcome.ledger);
    let right = |seen: &&Seen| seen.protocol == "redis" && seen.parts == [0, 10 * US, 0];
    assert_eq!(outcome.seen.iter().find(|seen| !right(seen)), None);
}
