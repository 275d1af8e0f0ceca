//! What is told of connections.

#![expect(clippy::arithmetic_side_effects, reason = "the tests' own numbers")]

use super::*;
use crate::{
    engine::UsualPorts,
    packet::{Decoded, decode},
    protocol::PROTOCOLS,
    simulation::{Connection as Simulated, SimFrame, US},
};

const HOUR_NS: u64 = 3_600_000_000_000;

/// What is added to packets' times.
const WALL_NS: u64 = 1_700_000_000_000_000_000;

fn follower(limits: Limits) -> Connections {
    let protocol = PROTOCOLS[0];
    Connections::new(Box::new(UsualPorts(protocol)), Some(protocol.into()), limits, true)
}

/// What is told of frames, and the direction of each.
fn follow_all(
    connections: &mut Connections,
    frames: &[SimFrame],
) -> (Vec<Connection>, Vec<Option<Direction>>) {
    let (mut told, mut ways) = (Vec::new(), Vec::new());
    for frame in frames {
        let frame = frame.as_frame();
        let Decoded::Tcp(segment) = decode(&frame) else { panic!("a segment") };
        ways.push(connections.on_segment(&frame, &segment, frame.time_ns + WALL_NS, &mut |it| {
            told.push(*it);
        }));
    }
    (told, ways)
}

fn happenings(told: &[Connection]) -> Vec<Happening> {
    told.iter().map(|it| it.happening).collect()
}

#[test]
fn a_connection_opens_is_established_and_closes() {
    let frames = Simulated::open().ask("abc").answer("defg").close().frames();
    let (told, ways) = follow_all(&mut follower(Limits::default()), &frames);
    assert_eq!(
        happenings(&told),
        [Happening::Open, Happening::Established, Happening::Close(CloseReason::Fin)]
    );
    let [open, established, close] = told[..] else { panic!("three") };
    assert_eq!(open.unix_ns, frames[0].time_ns + WALL_NS);
    assert_eq!(established.connect_ns, Some(10 * US));
    assert_eq!(established.handshake_ns, Some(20 * US));
    assert_eq!((close.client.port(), close.server.port()), (40_000, 6379));
    assert_eq!((close.id, close.midstream), (1, false));
    // Up to the server's FIN; the client's last acknowledgment comes behind.
    assert_eq!(close.duration_ns, 60 * US);
    assert_eq!((close.from_client.packets, close.from_server.packets), (4, 3));
    assert_eq!((close.from_client.bytes, close.from_server.bytes), (3, 4));
    use Direction::{Request, Response};
    let expect = [Request, Response, Request, Request, Response, Request, Response, Request];
    assert_eq!(ways, expect.map(Some));
}

#[test]
fn syns_that_are_sent_again_are_counted_once_each() {
    let mut frames = Simulated::open().frames();
    let mut again = frames[0].clone();
    again.time_ns += 5 * US;
    frames.insert(1, again.clone());
    // The same packet, as another interface shows it.
    again.ifindex += 1;
    frames.insert(2, again);
    let mut answer = frames[3].clone();
    answer.time_ns += US;
    frames.insert(4, answer);
    let (told, _) = follow_all(&mut follower(Limits::default()), &frames);
    let established = told[1];
    assert_eq!(established.happening, Happening::Established);
    assert_eq!(established.from_client.syn_retransmits, 1);
    assert_eq!(established.from_server.syn_retransmits, 1);
    assert_eq!(established.connect_ns, Some(10 * US), "from the first SYN to the first answer");
}

#[test]
fn both_ends_may_open_at_once() {
    let frames = Simulated::open().frames();
    // Each side's SYN, then each side's SYN with an acknowledgment of the other's.
    let mut syns = vec![frames[0].clone(), frames[1].clone(), frames[0].clone(), frames[1].clone()];
    for (at, frame) in syns.iter_mut().enumerate() {
        frame.time_ns += US * at as u64;
        frame.bytes[14 + 20 + 13] = if at < 2 { 0x02 } else { 0x12 };
    }
    let mut connections = follower(Limits::default());
    let (mut told, _) = follow_all(&mut connections, &syns);
    connections.finish(&mut |it| told.push(*it));
    let end = told.last().expect("an end");
    assert_eq!((end.from_client.syn_retransmits, end.from_server.syn_retransmits), (0, 0));
}

#[test]
fn an_answer_that_was_captured_first_has_no_connect_time() {
    let mut frames = Simulated::open().frames();
    frames.swap(0, 1);
    (frames[0].time_ns, frames[1].time_ns) = (frames[1].time_ns, frames[0].time_ns);
    let (told, _) = follow_all(&mut follower(Limits::default()), &frames);
    assert!(told.iter().all(|it| it.connect_ns.is_none()), "{told:?}");
}

#[test]
fn data_that_is_sent_again_is_counted() {
    let mut frames = Simulated::open().ask("abc").ask("def").ask("ghi").answer("x").frames();
    let mut again = frames[4].clone();
    again.time_ns += 25 * US;
    frames.insert(6, again);
    let (told, _) = {
        let mut connections = follower(Limits::default());
        let (mut told, ways) = follow_all(&mut connections, &frames);
        connections.finish(&mut |it| told.push(*it));
        (told, ways)
    };
    let end = told.last().expect("an end");
    assert_eq!(end.happening, Happening::Close(CloseReason::End));
    assert_eq!((end.from_client.retransmits, end.from_server.retransmits), (1, 0));
    assert_eq!((end.from_client.bytes, end.from_client.retransmit_bytes), (12, 3));

    // Out of order is not sent again.
    let mut frames = Simulated::open().ask("abc").ask("def").ask("ghi").frames();
    frames.swap(3, 5);
    let mut connections = follower(Limits::default());
    let (mut told, _) = follow_all(&mut connections, &frames);
    connections.finish(&mut |it| told.push(*it));
    assert_eq!(told.last().map(|end| end.from_client.retransmits), Some(0));
}

#[test]
fn a_server_may_refuse_or_reset() {
    let whole = Simulated::open().reset().frames();
    let frames = [whole[0].clone(), whole[3].clone()];
    let (told, _) = follow_all(&mut follower(Limits::default()), &frames);
    assert_eq!(happenings(&told), [Happening::Open, Happening::Close(CloseReason::Refused)]);
    // A reset that does not answer the SYN is of another connection: the client does not heed it.
    let mut other = Simulated::on_ports(40_000, 6379).reset().frames();
    other[0].time_ns = whole[0].time_ns + 1;
    let frames = [&whole[..1], &other, &whole[1..3]].concat();
    let (told, _) = follow_all(&mut follower(Limits::default()), &frames);
    assert_eq!(happenings(&told), [Happening::Open, Happening::Established]);
    let (told, _) = follow_all(
        &mut follower(Limits::default()),
        &Simulated::open().ask("abc").reset().frames(),
    );
    assert_eq!(told[2].happening, Happening::Close(CloseReason::Reset));
}

#[test]
fn who_asks_and_gets_no_answer_is_told_so() {
    let frames = Simulated::open().frames()[..1].to_vec();
    let mut connections = follower(Limits::default());
    let (mut told, _) = follow_all(&mut connections, &frames);
    let at = frames[0].time_ns + WALL_NS;
    connections.sweep(frames[0].time_ns + UNANSWERED_NS - 1, at + UNANSWERED_NS - 1, &mut |it| {
        told.push(*it);
    });
    assert_eq!(told.len(), 1);
    connections
        .sweep(frames[0].time_ns + UNANSWERED_NS, at + UNANSWERED_NS, &mut |it| told.push(*it));
    assert_eq!(told[1].happening, Happening::Close(CloseReason::Unanswered));
    assert_eq!(told[1].unix_ns, at + UNANSWERED_NS);
    assert!(connections.is_empty());
}

#[test]
fn a_connection_that_was_there_before_has_no_handshake() {
    let frames =
        Simulated::open().attach_here().answer("+PONG\r\n").ask("*1\r\n$4\r\nPING\r\n").frames();
    let mut connections = follower(Limits::default());
    let (mut told, ways) = follow_all(&mut connections, &frames);
    assert_eq!(ways, [Some(Direction::Response), Some(Direction::Request)]);
    let now_ns = frames[1].time_ns + HOUR_NS;
    connections.sweep(now_ns, now_ns + WALL_NS, &mut |it| told.push(*it));
    assert_eq!(happenings(&told), [Happening::Open, Happening::Close(CloseReason::Quiet)]);
    assert!(told.iter().all(|it| it.midstream && it.handshake_ns.is_none()));
}

#[test]
fn bytes_tell_who_the_client_is_where_ports_do_not() {
    let frames = Simulated::on_ports(1000, 2000).answer("+PONG\r\n").ask("PING\r\n").frames();
    let (told, ways) = follow_all(&mut follower(Limits::default()), &frames);
    assert_eq!(ways, [Some(Direction::Response), Some(Direction::Request)]);
    assert_eq!(told[0].server.port(), 2000);
    // Of bytes that say nothing the direction is not known.
    let frames = Simulated::on_ports(1000, 2000).ask("\x01\x02").frames();
    let (_, ways) = follow_all(&mut follower(Limits::default()), &frames);
    assert_eq!(ways, [None]);
}

#[test]
fn ends_that_are_used_again_are_another_connection() {
    let frames = Simulated::open().ask("abc").close().reopen().close().frames();
    let (told, _) = follow_all(&mut follower(Limits::default()), &frames);
    let ids: Vec<_> = told.iter().map(|it| it.id).collect();
    assert_eq!(ids, [1, 1, 1, 2, 2, 2]);
    // Also where the end of the first was not seen.
    let frames = Simulated::open().ask("abc").reopen().frames();
    let (told, _) = follow_all(&mut follower(Limits::default()), &frames);
    assert_eq!(told[2].happening, Happening::Close(CloseReason::Replaced));
    assert_eq!((told[2].id, told[3].id), (1, 2));
}

#[test]
fn a_full_table_tells_whom_it_forgets() {
    let mut connections = follower(Limits { max_flows: 2, ..Limits::default() });
    let mut told = Vec::new();
    for port in 1..=5 {
        let (more, _) =
            follow_all(&mut connections, &Simulated::on_ports(port, 6379).handshake().frames());
        told.extend(more);
    }
    assert_eq!(connections.len(), 2);
    let evicted = told.iter().filter(|it| it.happening == Happening::Close(CloseReason::Evicted));
    assert_eq!(evicted.count(), 3);
}

#[test]
fn datagrams_go_to_the_port_that_is_known() {
    let connections = follower(Limits::default());
    let way = |source, destination| {
        let addresses = Addresses {
            source: Endpoint::v4([10, 0, 0, 1], source),
            destination: Endpoint::v4([10, 0, 0, 2], destination),
        };
        let payload = Payload { bytes: &[], wire_len: 0 };
        connections.on_datagram(&Datagram { addresses, payload })
    };
    assert_eq!(way(40_000, 6379), Some(Direction::Request));
    assert_eq!(way(6379, 40_000), Some(Direction::Response));
    assert_eq!(way(40_000, 40_001), None);
    assert_eq!(way(6379, 6379), None);
}
