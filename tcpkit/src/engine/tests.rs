//! What the engine promises: the right pairs and times whatever happened to the packets, and no
//! time that was not measured.

use proptest::prelude::*;

use super::*;
use crate::{
    flow::table::Expiry,
    protocol::PROTOCOLS,
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

/// Turns of a random talk: pipelines of gets and sets with values of some size, and slow answers.
fn turns() -> impl Strategy<Value = Vec<(Vec<(bool, usize)>, u64)>> {
    let command = (any::<bool>(), 0_usize..600);
    prop::collection::vec((prop::collection::vec(command, 1..6), 0..5 * MS), 1..8)
}

fn play(turns: &[(Vec<(bool, usize)>, u64)], mss: usize) -> Vec<SimFrame> {
    let mut talk = Connection::open().with_mss(mss);
    for (number, (commands, wait_ns)) in turns.iter().enumerate() {
        let (mut requests, mut replies) = (String::new(), String::new());
        for (position, (is_set, len)) in commands.iter().enumerate() {
            let key = format!("key{number}.{position}");
            if *is_set {
                requests += &set(&key, &"v".repeat(*len));
                replies += "+OK\r\n";
            } else {
                requests += &get(&key);
                replies += &bulk(&"v".repeat(*len));
            }
        }
        talk = talk.ask(requests).wait(*wait_ns).answer(replies);
    }
    talk.frames()
}

/// A client that does not wait for its answers, and a server that works them off as Redis does: in
/// each step a request is sent, or all are answered.
fn multiplexed(steps: &[(bool, u64)]) -> Vec<SimFrame> {
    let (mut talk, mut sent, mut answered) = (Connection::open(), 0, 0);
    for (is_request, wait_ns) in steps {
        talk = talk.wait(*wait_ns);
        if *is_request {
            talk = talk.ask(get(&format!("key{sent}")));
            sent += 1;
        } else if answered < sent {
            talk = talk.answer((answered..sent).map(|n| bulk(&n.to_string())).collect::<String>());
            answered = sent;
        }
    }
    talk.frames()
}

fn steps() -> impl Strategy<Value = Vec<(bool, u64)>> {
    prop::collection::vec((any::<bool>(), 0..20 * MS), 10..80)
}

proptest! {
    #[test]
    fn clients_that_do_not_wait_get_no_wrong_times(
        steps in steps(),
        gone in any::<prop::sample::Index>(),
    ) {
        let frames = multiplexed(&steps);
        let whole = run(&frames).seen;
        let at = gone.index(frames.len());
        for seen in &run(&frames[at..]).seen {
            prop_assert!(seen.is_among(&whole), "from packet {} on: {:?}", at, seen);
        }
        let mut holed = frames;
        holed.remove(at);
        for seen in &run(&holed).seen {
            prop_assert!(seen.is_among(&whole), "without packet {}: {:?}", at, seen);
        }
    }

    #[test]
    fn any_segmentation_gives_the_same_requests(turns in turns(), mss in 1_usize..200) {
        let whole = run(&play(&turns, 60_000));
        let split = run(&play(&turns, mss));
        prop_assert_eq!(whole.requests(), split.requests());
        let bytes = |seen: &[Seen]| seen.iter().map(|one| one.bytes).collect::<Vec<_>>();
        prop_assert_eq!(bytes(&whole.seen), bytes(&split.seen));
        prop_assert!(split.seen.iter().all(|seen| seen.quality == "exact"));
        let count: usize = turns.iter().map(|(commands, _)| commands.len()).sum();
        prop_assert_eq!(whole.seen.len(), count);
    }

    #[test]
    fn any_order_within_the_window_gives_the_same_transactions(
        turns in turns(),
        mss in 20_usize..300,
        swaps in prop::collection::vec((any::<prop::sample::Index>(), 1_usize..4), 0..20),
    ) {
        // Short waits: what is late by more than the grace counts as lost.
        let turns: Vec<_> =
            turns.into_iter().map(|(commands, wait_ns)| (commands, wait_ns % (300 * US))).collect();
        let frames = play(&turns, mss);
        let mut shuffled = frames.clone();
        for (index, distance) in swaps {
            let from = 3 + index.index(shuffled.len() - 3);
            let to = (from + distance).min(shuffled.len() - 1);
            shuffled.swap(from, to);
        }
        let (straight, mixed) = (run(&frames), run(&shuffled));
        prop_assert_eq!(straight.seen, mixed.seen);
    }

    #[test]
    fn no_missing_packet_makes_a_wrong_time(
        turns in turns(),
        mss in 20_usize..400,
        gone in any::<prop::sample::Index>(),
    ) {
        let frames = play(&turns, mss);
        let whole = run(&frames).seen;
        let mut holed = frames;
        holed.remove(gone.index(holed.len()));
        for seen in &run(&holed).seen {
            prop_assert!(seen.is_among(&whole), "{:?}", seen);
        }
    }

    #[test]
    fn no_snaplen_makes_a_wrong_time(turns in turns(), mss in 20_usize..2000, snaplen in 1_usize..300) {
        let frames = play(&turns, mss);
        let whole = run(&frames).seen;
        for seen in &run(&cut(&frames, snaplen)).seen {
            prop_assert!(seen.is_among(&whole), "{:?}", seen);
        }
    }

    #[test]
    fn no_beginning_makes_a_wrong_time(turns in turns(), mss in 20_usize..400, skip in any::<prop::sample::Index>()) {
        let frames = play(&turns, mss);
        let whole = run(&frames).seen;
        for seen in &run(&frames[skip.index(frames.len())..]).seen {
            prop_assert!(seen.is_among(&whole), "{:?}", seen);
        }
    }

    #[test]
    fn any_bytes_at_all_do_no_harm(
        frames in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..200)), 1..30),
        cuts in prop::collection::vec(0_usize..300, 30),
    ) {
        let mut talk = Connection::open();
        for (asks, bytes) in &frames {
            talk = if *asks { talk.ask(bytes) } else { talk.answer(bytes) };
        }
        let mut frames = talk.close().frames();
        for (frame, cut) in frames.iter_mut().zip(cuts) {
            frame.captured = frame.captured.min(cut.max(HEADERS - 10));
        }
        run(&frames);
    }
}
