//! Whole connections through the engine: pairs and times.

use super::PROTOCOL;
use crate::simulation::{Connection, MS, Outcome, Seen, SimFrame, US, cut, run_as};

fn open() -> Connection {
    Connection::on_ports(40_000, 80).handshake()
}

fn run(talk: Connection) -> Outcome {
    run_as(&PROTOCOL, &talk.frames())
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// What one packet takes to be sent.
const STEP: u64 = 10 * US;

#[test]
fn requests_are_paired_and_timed() {
    let outcome = run(open()
        .ask(get("/a"))
        .wait(3 * MS)
        .answer(ok("1"))
        .ask(get("/b") + &get("/c"))
        .wait(MS)
        .answer(ok("2"))
        .wait(MS)
        .answer(ok("3"))
        .close());
    assert_eq!(outcome.requests(), ["GET h/a", "GET h/b", "GET h/c"]);
    let waits: Vec<_> = outcome.seen.iter().map(|seen| seen.parts[1]).collect();
    assert_eq!(waits, [3 * MS + STEP, MS + STEP, 2 * MS + 2 * STEP]);
}

#[test]
fn leave_to_go_on_is_not_taken_for_the_response() {
    let outcome = run(open()
        .ask("PUT /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        .wait(MS)
        .answer("HTTP/1.1 100 Continue\r\n\r\n")
        .ask("hello")
        .wait(7 * MS)
        .answer(ok("done")));
    let [seen] = &outcome.seen[..] else { panic!("{:?}", outcome.seen) };
    assert_eq!(seen.parts, [MS + 2 * STEP, 7 * MS + STEP, 0]);
    assert_eq!(outcome.ledger.messages.responses_one_way, 1);
}

#[test]
fn a_request_that_is_answered_early_has_no_negative_wait() {
    let outcome = run(open()
        .ask("PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello")
        .wait(MS)
        .answer("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        .ask("world")
        .ask(get("/next"))
        .answer(ok("")));
    assert_eq!(outcome.requests(), ["PUT h/a", "GET h/next"]);
    assert_eq!(outcome.seen[0].latency_ns(), MS + STEP);
    assert_eq!(outcome.seen[0].status, "error");
}

#[test]
fn a_response_that_ends_with_its_connection_lasts_to_its_last_byte() {
    let outcome = run(open()
        .ask(get("/a"))
        .wait(MS)
        .answer("HTTP/1.0 200 OK\r\n\r\nhel")
        .wait(2 * MS)
        .answer("lo")
        .wait(50 * MS)
        .close());
    let [seen] = &outcome.seen[..] else { panic!("{:?}", outcome.seen) };
    assert_eq!(seen.parts, [0, MS + STEP, 2 * MS + STEP]);
    assert_eq!(seen.bytes[1], 24);
    assert_eq!(outcome.ledger.messages.requests_unanswered, 0);
    // Nor does it need a body.
    let outcome = run(open().ask(get("/a")).answer("HTTP/1.0 200 OK\r\n\r\n").close());
    assert_eq!(outcome.requests(), ["GET h/a"]);
}

#[test]
fn a_reset_is_no_end_of_a_response() {
    let outcome = run(open().ask(get("/a")).answer("HTTP/1.0 200 OK\r\n\r\nhel").reset());
    assert_eq!(outcome.requests(), Vec::<&str>::new());
    assert_eq!(outcome.ledger.messages.requests_unanswered, 1);
    // Nor is the end of the capture.
    let outcome = run(open().ask(get("/a")).answer("HTTP/1.0 200 OK\r\n\r\nhel"));
    assert_eq!(outcome.requests(), Vec::<&str>::new());
}

#[test]
fn a_response_that_lost_bytes_before_its_end_is_not_timed() {
    let talk =
        open().ask(get("/a")).answer("HTTP/1.0 200 OK\r\n\r\n").answer("hel").answer("lo").close();
    let frames = talk.frames();
    let whole = run_as(&PROTOCOL, &frames);
    for removed in [5, 6] {
        let mut frames = frames.clone();
        frames.remove(removed);
        let outcome = run_as(&PROTOCOL, &frames);
        assert_eq!(outcome.requests(), Vec::<&str>::new(), "without packet {removed}");
        assert_eq!(outcome.ledger.messages.untimed, 1);
    }
    // Where the packet is known and only its bytes are not, so is the time.
    let cut = run_as(&PROTOCOL, &cut(&frames, 40));
    assert_eq!(cut.seen.len(), 1);
    assert_eq!(whole.seen[0].parts, cut.seen[0].parts);
}

#[test]
fn a_switched_connection_says_nothing_more() {
    let outcome = run(open()
        .ask("GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n")
        .wait(MS)
        .answer("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
        .ask("\x01\x02\x03")
        .answer("GET / HTTP/1.1\r\n\r\n")
        .ask(get("/x"))
        .answer(ok("x"))
        .close());
    assert_eq!(outcome.requests(), ["GET h/ws"]);
    assert_eq!(outcome.seen[0].latency_ns(), MS + STEP);
    let messages = &outcome.ledger.messages;
    assert_eq!((messages.losses_invalid, messages.losses_orphan), (0, 0));
}

/// Many shapes in one connection, in small packets.
fn mixed() -> Vec<SimFrame> {
    let big = "x".repeat(2_000);
    open()
        .with_mss(500)
        .ask(get("/a"))
        .answer(ok("1"))
        .ask("HEAD /h HTTP/1.1\r\nHost: h\r\n\r\n")
        .wait(MS)
        .answer("HTTP/1.1 200 OK\r\nContent-Length: 700\r\n\r\n")
        .ask(format!("POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 2000\r\n\r\n{big}"))
        .wait(MS)
        .answer(format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n{big}\r\n3\r\nabc\r\n0\r\n\r\n"
        ))
        .ask(get("/p1") + &get("/p2"))
        .wait(MS)
        .answer(ok("p1") + &ok(&big))
        .ask("PUT /e HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        .answer("HTTP/1.1 100 Continue\r\n\r\n")
        .ask("abc")
        .wait(2 * MS)
        .answer("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        .ask(get("/last"))
        .answer(format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{big}"))
        .close()
        .frames()
}

/// Everything but the quality, which depends on what was captured.
fn measured(seen: &[Seen]) -> Vec<Seen> {
    seen.iter().map(|seen| Seen { quality: String::new(), ..seen.clone() }).collect()
}

#[test]
fn whatever_packet_is_missing_no_time_is_wrong() {
    let frames = mixed();
    let whole = run_as(&PROTOCOL, &frames);
    assert_eq!(
        whole.requests(),
        ["GET h/a", "HEAD h/h", "POST h/up", "GET h/p1", "GET h/p2", "PUT h/e", "GET h/last"]
    );
    let known = measured(&whole.seen);
    let mut survivors = 0;
    for removed in 0..frames.len() {
        let mut frames = frames.clone();
        frames.remove(removed);
        let outcome = run_as(&PROTOCOL, &frames);
        survivors += outcome.seen.len();
        for seen in measured(&outcome.seen) {
            assert!(known.contains(&seen), "without packet {removed}: {seen:?}");
        }
    }
    assert!(survivors > frames.len() * 3, "{survivors} of {} packets", frames.len());
}

#[test]
fn whatever_is_cut_off_no_time_is_wrong() {
    let frames = mixed();
    let known = measured(&run_as(&PROTOCOL, &frames).seen);
    for snaplen in 0..520 {
        let outcome = run_as(&PROTOCOL, &cut(&frames, snaplen));
        for seen in measured(&outcome.seen) {
            assert!(known.contains(&seen), "cut to {snaplen}: {seen:?}");
        }
    }
}
