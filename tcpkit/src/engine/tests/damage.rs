//! What packets that were cut or not captured leave of the pairs and their times.

use super::*;
use crate::protocol::PROTOCOLS;

#[test]
fn values_longer_than_the_snaplen_are_skipped_and_pairing_goes_on() {
    let big = "x".repeat(40_000);
    let mut talk = Connection::open();
    for n in 0..10 {
        talk = talk
            .ask(set(&format!("key{n}"), &big))
            .answer("+OK\r\n")
            .ask(get("big"))
            .wait(MS)
            .answer(bulk(&big));
    }
    let frames = talk.frames();
    let whole = run(&frames);
    assert_eq!(whole.seen.len(), 20);
    for snaplen in [64, 128, 256, 4096] {
        let outcome = run(&cut(&frames, snaplen));
        let measured: Vec<_> = outcome.seen.iter().map(Seen::measured).collect();
        let expect: Vec<_> = whole.seen.iter().map(Seen::measured).collect();
        assert_eq!(measured, expect, "snaplen {snaplen}");
        assert!(outcome.seen.iter().all(|seen| seen.quality == "truncated"));
        assert_eq!(outcome.ledger.messages.hidden_by_snaplen_bytes, 0);
        assert_eq!(outcome.ledger.bytes, whole.ledger.bytes);
    }
}

#[test]
fn commands_that_a_cut_hid_are_counted_and_not_guessed() {
    let pipeline: String = (0..20).map(|n| get(&format!("key{n:02}"))).collect();
    let replies = "+OK\r\n".repeat(20);
    let mut talk = Connection::open();
    talk = talk.ask(&pipeline).answer(&replies);
    for _ in 0..30 {
        talk = talk.ask(get("alone")).answer("+OK\r\n");
    }
    let outcome = run(&cut(&talk.frames(), 128));
    let messages = &outcome.ledger.messages;
    assert!(messages.hidden_by_snaplen_bytes > 0);
    // 128 bytes hold five commands: those are certain, as is what comes alone later, once the client
    // has shown that it waits for its responses.
    let count = |text| outcome.requests().iter().filter(|one| **one == text).count();
    assert_eq!((count("GET key04"), count("GET alone")), (1, 30));
    assert!(!outcome.requests().contains(&"GET key06"));
}

#[test]
fn a_response_whose_last_packet_was_lost_has_no_time() {
    let mut frames = Connection::open()
        .with_mss(1_000)
        .ask(get("big"))
        .answer(bulk(&"x".repeat(5_000)))
        .ask(get("b"))
        .answer("+OK\r\n")
        .ask(get("c"))
        .answer("+OK\r\n")
        .ask(get("d"))
        .answer("+OK\r\n")
        .frames();
    let last = 4 + 5;
    assert!(frames[last].payload_len < 100, "the last piece of the value");
    frames.remove(last);
    let outcome = run(&frames);
    assert!(!outcome.requests().contains(&"GET big"));
    assert!(outcome.requests().contains(&"GET d"));
}

#[test]
fn a_packet_lost_inside_a_value_leaves_the_pairing_but_no_time() {
    let mut frames = Connection::open()
        .with_mss(1_000)
        .ask(get("big"))
        .answer(bulk(&"x".repeat(5_000)))
        .ask(get("b"))
        .answer("+OK\r\n")
        .frames();
    frames.remove(6);
    // The network may have lost it too: then what filled the hole came later than anything seen.
    let outcome = run(&frames);
    assert_eq!(outcome.requests(), ["GET b"]);
    assert_eq!(outcome.ledger.messages.untimed, 1);
    assert_eq!(outcome.ledger.bytes.lost, 1_000);
}

#[test]
fn a_server_whose_beginning_was_not_seen_does_not_answer_too_early() {
    let mut talk = Connection::open();
    for n in 0..40 {
        talk = talk.ask(get(&format!("key{n}"))).wait(MS).answer("+OK\r\n").wait(100 * MS);
    }
    let mut frames = talk.frames();
    // The SYN-ACK and the first response.
    frames.remove(4);
    frames.remove(1);
    let outcome = run(&frames);
    assert!(outcome.seen.len() >= 30, "{}", outcome.ledger);
    for seen in &outcome.seen {
        assert_eq!(seen.latency_ns(), MS + 10 * US, "{seen:?}");
    }
}

#[test]
fn a_client_that_always_waited_may_not_wait_when_a_packet_is_lost() {
    let mut talk = Connection::open();
    for _ in 0..20 {
        talk = talk.ask(get("a")).answer("+OK\r\n");
    }
    let before = talk.clone().frames().len();
    let mut frames = talk
        .ask(get("a"))
        .ask(get("lost"))
        .answer("+a\r\n")
        .ask(get("c"))
        .wait(5 * MS)
        .answer("+lost\r\n")
        .wait(50 * MS)
        .answer("+c\r\n")
        .frames();
    let whole = run(&frames).seen;
    frames.remove(before + 1);
    for seen in &run(&frames).seen {
        assert!(seen.is_among(&whole), "{seen:?}");
    }
}

#[test]
fn connections_that_begin_with_a_hole_do_not_pile_up() {
    let limits = Limits { max_flows: 64, ..Limits::default() };
    let protocol = PROTOCOLS[0];
    let mut engine = Engine::new(protocol, limits, DecodeOptions::default(), UsualPorts(protocol));
    for n in 0..20_000 {
        let mut frames =
            Connection::on_ports(1_024 + n, 6379).handshake().ask("lost").ask("late").frames();
        frames.remove(3);
        for frame in &frames {
            let time_ns = frame.time_ns + u64::from(n) * US;
            let frame = Frame { time_ns, ..frame.as_frame() };
            engine.on_frame(&frame, &mut |_| {});
        }
        assert!(engine.waiting.len() <= 64 + 6_000, "each tick drops what is listed twice");
    }
    engine.advance(u64::MAX / 2, &mut |_| {});
    assert!(engine.waiting.len() <= 64);
}

#[test]
fn a_reset_from_nowhere_ends_nothing() {
    let open = || Connection::open().ask(get("a")).answer("+OK\r\n");
    let mut frames = open().reset().frames();
    let forged = frames.last_mut().expect("the reset");
    let seq = forged.bytes[14 + 20 + 4..][..4].to_vec();
    forged.bytes[14 + 20 + 4] = seq[0] ^ 0x40;
    let rest = open().ask(get("b")).answer("+OK\r\n").frames().split_off(5);
    frames.extend(rest);
    let outcome = run(&frames);
    assert_eq!(outcome.requests(), ["GET a", "GET b"]);
    assert_eq!(outcome.ledger.packets.out_of_window, 1);
}

#[test]
fn a_connection_joined_late_and_reset_makes_room_for_the_next_on_its_ports() {
    let mut frames = Connection::open().ask(get("a")).attach_here().answer("+OK\r\n").frames();
    frames.extend(Connection::open().ask(get("a")).attach_here().reset().frames());
    let frames = frames.into_iter().chain(
        Connection::on_ports(40_000, 6379).reopen().ask(get("b")).answer("+OK\r\n").frames(),
    );
    let frames: Vec<_> = frames.collect();
    assert_eq!(run(&frames).requests(), ["GET b"]);
}

#[test]
fn numbers_far_from_those_expected_are_a_connection_to_join_anew() {
    let mut talk = Connection::open().ask(get("a")).answer("+OK\r\n");
    let before = talk.clone().frames();
    talk = talk.jump(2_000_000_000);
    for _ in 0..60 {
        talk = talk.ask(get("b")).answer("+OK\r\n");
    }
    let frames: Vec<_> =
        before.iter().cloned().chain(talk.frames().split_off(before.len())).collect();
    let outcome = run(&frames);
    assert_eq!(outcome.requests().iter().filter(|one| **one == "GET a").count(), 1);
    assert!(outcome.seen.len() > 30, "{}", outcome.ledger);
}

#[test]
fn no_packet_missing_makes_a_wrong_time() {
    let frames = talk().frames();
    let whole = run(&frames).seen;
    assert_eq!(whole.len(), 10);
    let mut shown = 0;
    for gone in 0..frames.len() {
        let mut holed = frames.clone();
        holed.remove(gone);
        let outcome = run(&holed);
        for seen in &outcome.seen {
            // The first or the last packet of a message that is missing shortens what is seen of
            // it; so what is shown has to equal what really was.
            assert!(seen.is_among(&whole), "without packet {gone}: {seen:?}");
        }
        shown += outcome.seen.len();
    }
    // Losing one packet costs a few transactions, not the rest of the connection.
    assert!(shown >= frames.len() * 5, "{shown} of {}", frames.len() * whole.len());
}
