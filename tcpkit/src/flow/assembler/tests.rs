//! What the assembler promises: every byte once, in order, before what answers it, or counted as a
//! gap.

#![expect(clippy::arithmetic_side_effects, reason = "a test may overflow: then it fails")]

use proptest::prelude::*;

use super::*;

const MAX_HELD: usize = 1 << 20;
const CLIENT: Side = Side::Low;
const SERVER: Side = Side::High;

/// A packet of a test connection.
#[derive(Clone, Debug)]
struct TestPacket {
    side: Side,
    time_ns: u64,
    carrier: Carrier,
    seq: u32,
    ack: u32,
    flags: TcpFlags,
    bytes: Vec<u8>,
}

/// Makes the packets that two well-behaved ends would send.
struct Script {
    next: [u32; 2],
    time_ns: u64,
    packets: Vec<TestPacket>,
}

fn slot(side: Side) -> usize {
    match side {
        Side::Low => 0,
        Side::High => 1,
    }
}

impl Script {
    fn new(client_isn: u32, server_isn: u32) -> Self {
        Self { next: [client_isn, server_isn], time_ns: 1_000, packets: Vec::new() }
    }

    fn send(&mut self, side: Side, flags: TcpFlags, bytes: &[u8]) {
        self.time_ns += 1_000;
        let (seq, ack) = (self.next[slot(side)], self.next[slot(side.peer())]);
        self.packets.push(TestPacket {
            side,
            time_ns: self.time_ns,
            carrier: 1,
            seq,
            ack,
            flags,
            bytes: bytes.to_vec(),
        });
        let control = u32::from(flags.intersects(TcpFlags::SYN | TcpFlags::FIN));
        let len = u32::try_from(bytes.len()).expect("short") + control;
        self.next[slot(side)] = seq.wrapping_add(len);
    }

    fn handshake(mut self) -> Self {
        self.send(CLIENT, TcpFlags::SYN, b"");
        self.send(SERVER, TcpFlags::SYN | TcpFlags::ACK, b"");
        self.send(CLIENT, TcpFlags::ACK, b"");
        self
    }

    fn data(mut self, side: Side, bytes: &str) -> Self {
        self.send(side, TcpFlags::ACK | TcpFlags::PSH, bytes.as_bytes());
        self
    }

    fn fin(mut self, side: Side) -> Self {
        self.send(side, TcpFlags::ACK | TcpFlags::FIN, b"");
        self
    }
}

/// What came out: one line an event.
#[derive(Default)]
struct Log(Vec<String>);

impl Log {
    fn note(&mut self, side: Side, event: &StreamEvent<'_>) {
        let who = if side == CLIENT { "c" } else { "s" };
        self.0.push(match event {
            StreamEvent::Data(chunk) => {
                format!("{who} {}", String::from_utf8_lossy(chunk.bytes))
            }
            StreamEvent::Gap { len, cause: GapCause::Lost } => format!("{who} lost {len}"),
            StreamEvent::Gap { len, .. } => format!("{who} cut {len}"),
            StreamEvent::End => format!("{who} end"),
            StreamEvent::Reset => format!("{who} reset"),
        });
    }
}

fn push(assembler: &mut Assembler, packet: &TestPacket, log: &mut Log) -> Verdict {
    let arrival = Arrival {
        side: packet.side,
        time_ns: packet.time_ns,
        carrier: packet.carrier,
        tcp: TcpHeader { seq: packet.seq, ack: packet.ack, flags: packet.flags, window: 1000 },
        payload: Payload {
            bytes: &packet.bytes,
            wire_len: u32::try_from(packet.bytes.len()).expect("short"),
        },
    };
    assembler.push(&arrival, MAX_HELD, &mut |side, event| log.note(side, &event))
}

fn check(packets: &[TestPacket], expect: &[&str]) {
    let mut assembler = Assembler::default();
    let mut log = Log::default();
    for packet in packets {
        push(&mut assembler, packet, &mut log);
    }
    assembler.finish(&mut |side, event| log.note(side, &event));
    assert_eq!(log.0, expect);
}

fn talk() -> Script {
    Script::new(u32::MAX - 5, 7)
        .handshake()
        .data(CLIENT, "request 1;")
        .data(SERVER, "reply 1;")
        .data(CLIENT, "request 2;")
        .data(CLIENT, "request 3;")
        .data(SERVER, "reply 2, ")
        .data(SERVER, "reply 3;")
        .fin(CLIENT)
        .fin(SERVER)
}

const TALK: [&str; 8] = [
    "c request 1;",
    "s reply 1;",
    "c request 2;",
    "c request 3;",
    "s reply 2, ",
    "s reply 3;",
    "c end",
    "s end",
];

#[test]
fn packets_in_order_are_delivered_as_they_come() {
    check(&talk().packets, &TALK);
}

#[test]
fn a_late_packet_is_waited_for_with_all_that_answers_it() {
    let mut packets = talk().packets;
    // The first request arrives behind its reply and the next request.
    let late = packets.remove(3);
    packets.insert(5, late);
    check(&packets, &TALK);
}

#[test]
fn replies_that_overtake_their_request_wait_for_it() {
    let mut packets = talk().packets;
    packets.swap(3, 4);
    check(&packets, &TALK);
}

#[test]
fn copies_are_told_from_retransmits_by_the_way_they_came() {
    let mut assembler = Assembler::default();
    let mut log = Log::default();
    for packet in &talk().packets[..4] {
        push(&mut assembler, packet, &mut log);
    }
    let again = talk().packets[3].clone();
    assert_eq!(push(&mut assembler, &again, &mut log), Verdict::Retransmit);
    let elsewhere = TestPacket { carrier: 2, ..again };
    assert_eq!(push(&mut assembler, &elsewhere, &mut log), Verdict::Duplicate);
    assert_eq!(log.0, ["c request 1;"]);
}

#[test]
fn a_retransmit_that_carries_more_brings_only_the_new_bytes() {
    let mut packets = talk().packets[..4].to_vec();
    packets.push(TestPacket { bytes: b"request 1;and more".to_vec(), ..packets[3].clone() });
    check(&packets, &["c request 1;", "c and more"]);
}

#[test]
fn bytes_that_were_acknowledged_but_not_captured_are_a_gap_soon() {
    let mut packets = talk().packets;
    packets.remove(3);
    packets.truncate(4);
    let mut assembler = Assembler::default();
    let mut log = Log::default();
    for packet in &packets {
        push(&mut assembler, packet, &mut log);
    }
    let last_ns = packets[3].time_ns;
    assert!(log.0.is_empty(), "the reply waits for its request");
    assert!(assembler.is_waiting());
    let mut expire = |now_ns| {
        assembler.expire(now_ns, MAX_HELD, &mut |side, event| log.note(side, &event));
        log.0.clone()
    };
    assert!(expire(last_ns + ACKED_GRACE_NS - 1).is_empty());
    assert_eq!(expire(last_ns + ACKED_GRACE_NS), ["c lost 10", "s reply 1;"]);
    assert!(!assembler.is_waiting());
}

#[test]
fn bytes_that_nobody_acknowledged_may_still_be_retransmitted() {
    let script = Script::new(1, 2).data(CLIENT, "a").data(CLIENT, "b").data(CLIENT, "c");
    let mut packets = script.packets;
    let lost = packets.remove(1);
    let mut assembler = Assembler::default();
    let mut log = Log::default();
    for packet in &packets {
        push(&mut assembler, packet, &mut log);
    }
    let again = TestPacket { time_ns: lost.time_ns + UNACKED_GRACE_NS / 2, ..lost };
    assert_eq!(push(&mut assembler, &again, &mut log), Verdict::Held);
    assert_eq!(log.0, ["c a", "c b", "c c"]);
    assert!(!assembler.is_waiting());
}

#[test]
fn a_full_queue_gives_the_missing_bytes_up() {
    let mut assembler = Assembler::default();
    let mut log = Log::default();
    let mut script = Script::new(1, 2).data(CLIENT, "a").data(CLIENT, "lost");
    for number in 0..50 {
        script = script.data(CLIENT, &format!("{number:04}"));
    }
    script.packets.remove(1);
    for packet in &script.packets {
        let arrival = Arrival {
            side: packet.side,
            time_ns: packet.time_ns,
            carrier: 1,
            tcp: TcpHeader { seq: packet.seq, ack: packet.ack, flags: packet.flags, window: 0 },
            payload: Payload { bytes: &packet.bytes, wire_len: 4 },
        };
        assembler.push(&arrival, 1000, &mut |side, event| log.note(side, &event));
    }
    assert_eq!(log.0.iter().filter(|line| line.contains("lost")).count(), 1);
    assert_eq!(log.0.last().map(String::as_str), Some("c 0049"));
}

#[test]
fn cut_payload_is_a_gap_of_known_length() {
    let mut assembler = Assembler::default();
    let mut log = Log::default();
    let packet = &Script::new(1, 2).data(CLIENT, "seen").packets[0];
    let arrival = Arrival {
        side: CLIENT,
        time_ns: 5,
        carrier: 1,
        tcp: TcpHeader { seq: packet.seq, ack: 2, flags: packet.flags, window: 0 },
        payload: Payload { bytes: &packet.bytes, wire_len: 10 },
    };
    assembler.push(&arrival, MAX_HELD, &mut |side, event| log.note(side, &event));
    let mut next = Script::new(11, 2).data(CLIENT, "next").packets.remove(0);
    next.time_ns = 6;
    push(&mut assembler, &next, &mut log);
    assert_eq!(log.0, ["c seen", "c cut 6", "c next"]);
}

#[test]
fn a_reset_ends_both_sides() {
    let mut script = talk();
    script.packets.truncate(4);
    script.next = [script.packets[3].seq.wrapping_add(10), 8];
    script.send(SERVER, TcpFlags::RST, b"");
    check(&script.packets, &["c request 1;", "c reset", "s reset"]);
}

#[test]
fn numbers_from_nowhere_are_refused() {
    let mut assembler = Assembler::default();
    let mut log = Log::default();
    for packet in &talk().packets[..4] {
        push(&mut assembler, packet, &mut log);
    }
    let far = TestPacket { seq: 0x7000_0000, ..talk().packets[3].clone() };
    assert_eq!(push(&mut assembler, &far, &mut log), Verdict::OutOfWindow);
    let far_ack = TestPacket { ack: 0x7000_0000, ..talk().packets[5].clone() };
    push(&mut assembler, &far_ack, &mut log);
    assert!(!assembler.is_waiting(), "an impossible acknowledgment proves nothing");
}

#[test]
fn two_sides_that_wait_for_each_other_do_not_wait_forever() {
    let mut assembler = Assembler::default();
    let mut log = Log::default();
    for packet in &talk().packets[..3] {
        push(&mut assembler, packet, &mut log);
    }
    let (client, server) = (talk().packets[3].clone(), talk().packets[4].clone());
    // Each claims to have received what the other will only send.
    let client = TestPacket { ack: server.seq.wrapping_add(8), ..client };
    push(&mut assembler, &client, &mut log);
    push(&mut assembler, &server, &mut log);
    assert!(log.0.is_empty());
    assert!(assembler.is_waiting());
    assembler.expire(u64::MAX, MAX_HELD, &mut |side, event| log.note(side, &event));
    assert_eq!(log.0.len(), 2);
    assert!(!assembler.is_waiting());
}

#[test]
fn a_new_syn_on_closed_ports_is_a_new_connection() {
    let mut assembler = Assembler::default();
    let mut log = Log::default();
    let syn = |seq| TcpHeader { seq, ack: 0, flags: TcpFlags::SYN, window: 0 };
    assert!(!assembler.is_reuse(CLIENT, &syn(5)));
    for packet in &talk().packets[..5] {
        push(&mut assembler, packet, &mut log);
    }
    assert!(!assembler.is_reuse(CLIENT, &syn(u32::MAX - 5)), "the same SYN once more");
    assert!(assembler.is_reuse(CLIENT, &syn(1_000_000)));
    for packet in &talk().packets[5..] {
        push(&mut assembler, packet, &mut log);
    }
    assert!(assembler.is_closed());
    assert!(assembler.is_reuse(CLIENT, &syn(u32::MAX - 5)));
}

#[test]
fn turns_are_told_from_what_runs_on() {
    let mut assembler = Assembler::default();
    let mut turns = Vec::new();
    for packet in &talk().packets {
        let arrival = Arrival {
            side: packet.side,
            time_ns: packet.time_ns,
            carrier: 1,
            tcp: TcpHeader { seq: packet.seq, ack: packet.ack, flags: packet.flags, window: 0 },
            payload: Payload {
                bytes: &packet.bytes,
                wire_len: u32::try_from(packet.bytes.len()).expect("short"),
            },
        };
        assembler.push(&arrival, MAX_HELD, &mut |side, event| {
            if let (CLIENT, StreamEvent::Data(chunk)) = (side, event) {
                turns.push(chunk.turn);
            }
        });
    }
    // The first has no history, the second follows a reply to all before it, the third does not.
    assert_eq!(turns, [Turn::Unknown, Turn::New, Turn::Running]);
}

/// Bytes of both sides in turns, as a list of (side, bytes).
fn conversation() -> impl Strategy<Value = Vec<(bool, Vec<u8>)>> {
    prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 1..40)), 1..25)
}

fn script(talk: &[(bool, Vec<u8>)], isn: u32) -> Script {
    let mut script = Script::new(isn, isn ^ 0x5555_5555).handshake();
    for (is_client, bytes) in talk {
        let side = if *is_client { CLIENT } else { SERVER };
        script.send(side, TcpFlags::ACK, bytes);
    }
    script.fin(CLIENT).fin(SERVER)
}

/// Bytes with their times.
type Timed = Vec<(u8, u64)>;

/// Each byte with its time, per side, how many were lost, and the order of bytes between the sides.
fn bytes_delivered(packets: &[TestPacket]) -> (Timed, Timed, u64, Vec<String>) {
    let mut assembler = Assembler::default();
    let (mut client, mut server, mut lost, mut order) = (Vec::new(), Vec::new(), 0, Vec::new());
    let mut take = |side: Side, event: StreamEvent<'_>| match event {
        StreamEvent::Data(chunk) => {
            let bytes = chunk.bytes.iter().map(|&byte| (byte, chunk.time_ns));
            order.extend(bytes.clone().map(|(byte, _)| format!("{side:?} {byte}")));
            match side {
                CLIENT => client.extend(bytes),
                _ => server.extend(bytes),
            }
        }
        StreamEvent::Gap { len, .. } => lost += len,
        StreamEvent::End | StreamEvent::Reset => {}
    };
    for packet in packets {
        let arrival = Arrival {
            side: packet.side,
            time_ns: packet.time_ns,
            carrier: packet.carrier,
            tcp: TcpHeader { seq: packet.seq, ack: packet.ack, flags: packet.flags, window: 0 },
            payload: Payload {
                bytes: &packet.bytes,
                wire_len: u32::try_from(packet.bytes.len()).expect("short"),
            },
        };
        assembler.push(&arrival, MAX_HELD, &mut take);
    }
    assembler.finish(&mut take);
    (client, server, lost, order)
}

proptest! {
    /// Order within a direction, each byte's own time, and requests before what answers them do not
    /// depend on the order of capture.
    #[test]
    fn any_order_within_the_window_gives_the_same_streams(
        talk in conversation(),
        isn in any::<u32>(),
        swaps in prop::collection::vec((any::<prop::sample::Index>(), 1_usize..4), 0..30),
    ) {
        let straight = script(&talk, isn).packets;
        let mut shuffled = straight.clone();
        // The handshake stays in front: without it a stream's beginning is not known.
        for (index, distance) in swaps {
            let from = 3 + index.index(shuffled.len() - 3);
            let to = (from + distance).min(shuffled.len() - 1);
            shuffled.swap(from, to);
        }
        let (client, server, lost, order) = bytes_delivered(&straight);
        let (client2, server2, lost2, order2) = bytes_delivered(&shuffled);
        prop_assert_eq!((lost, lost2), (0, 0));
        prop_assert_eq!(client, client2);
        prop_assert_eq!(server, server2);
        // Between the sides, only bytes that crossed each other on the wire may change places; this
        // script has none.
        prop_assert_eq!(order, order2);
    }

    /// Copies change nothing, and every removed byte is a gap.
    #[test]
    fn copies_add_nothing_and_removed_packets_are_gaps(
        talk in conversation(),
        copied in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
        removed in any::<prop::sample::Index>(),
    ) {
        let straight = script(&talk, 77).packets;
        let (client, server, ..) = bytes_delivered(&straight);
        let mut copies = straight.clone();
        for index in copied {
            let at = index.index(copies.len());
            let copy = TestPacket { carrier: 9, ..copies[at].clone() };
            copies.insert(at + 1, copy);
        }
        let (client2, server2, lost2, _) = bytes_delivered(&copies);
        prop_assert_eq!(lost2, 0);
        prop_assert_eq!(&client, &client2);
        prop_assert_eq!(&server, &server2);

        let mut holed = straight.clone();
        let gone = holed.remove(3 + removed.index(talk.len()));
        let (client3, server3, lost3, _) = bytes_delivered(&holed);
        prop_assert_eq!(lost3, u64::try_from(gone.bytes.len()).expect("short"));
        prop_assert_eq!(
            client3.len() + server3.len() + gone.bytes.len(),
            client.len() + server.len()
        );
    }
}
