//! `cargo bench -p tcpkit`: what each hot room costs by itself, per packet, message or line.

#![expect(clippy::expect_used, reason = "a measurement that cannot begin ends")]

mod traffic;

use std::{hint::black_box, io};

use divan::{Bencher, counter::ItemsCount};
use tcpkit::{
    capture::LinkType,
    config::Limits,
    engine::{Engine, UsualPorts},
    filter::CaptureFilter,
    flow::{Assembler, FlowKey, FlowTable, assembler::Arrival},
    packet::{Decoded, Endpoint, Segment, decode},
    pcapfile::Reader,
    protocol::{self, DecodeOptions, Decoder, Direction, Fields, Protocol, Scratch, Status, Step},
    sink::{self, Style},
    transaction::{Quality, Timing, Transaction},
};
use traffic::{Connection, Packet};

const GET: &str = "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000012345\r\n";
const VALUE: &str = "$3\r\nxxx\r\n";

/// So many connections take turns, as many as `redis-benchmark` opens.
const CONNECTIONS: u32 = 50;

fn main() {
    divan::main();
}

fn redis() -> &'static Protocol {
    protocol::by_name("redis").expect("it is in the registry")
}

/// Turns of many connections, one after the other, the handshakes first.
fn talk(connections: u32, turns: usize) -> (Vec<Packet>, Vec<Packet>) {
    let mut all: Vec<_> = (0..connections).map(Connection::new).collect();
    let openings = all.iter_mut().flat_map(|it| it.handshake(1_000)).collect();
    let mut packets = Vec::new();
    for turn in 0..turns {
        let time_ns = 1_000_000 + 100_000 * turn as u64;
        for connection in &mut all {
            packets.extend(connection.turn(GET.as_bytes(), VALUE.as_bytes(), time_ns));
        }
    }
    (openings, packets)
}

fn segment(packet: &Packet) -> Segment<'_> {
    match decode(&packet.frame()) {
        Decoded::Tcp(segment) => segment,
        other => unreachable_frame(&other),
    }
}

#[expect(clippy::panic, reason = "the frames are made here")]
fn unreachable_frame(decoded: &Decoded<'_>) -> ! {
    panic!("no segment: {decoded:?}")
}

/// A frame's headers.
#[divan::bench]
fn packet_decode(bencher: Bencher) {
    let (_, packets) = talk(1, 1);
    let frame = packets.first().expect("a packet").frame();
    bencher.counter(ItemsCount::new(1_u32)).bench(|| match decode(black_box(&frame)) {
        Decoded::Tcp(segment) => segment.payload.wire_len,
        _ => 0,
    });
}

/// From a segment's addresses to its flow, and its payload in order.
#[divan::bench(args = [10, 1_000, 100_000])]
fn flow_find_and_push(bencher: Bencher, connections: u32) {
    let (_, packets) = talk(connections, 1);
    let segments: Vec<_> = packets.iter().map(segment).collect();
    let mut table = FlowTable::new(connections as usize);
    for segment in &segments {
        let (key, _) = FlowKey::of(&segment.addresses);
        if table.find(&key).is_none() {
            table.insert(key, 0, ());
        }
    }
    let count = ItemsCount::new(segments.len());
    bencher.counter(count).bench_local(|| {
        let mut bytes = 0_u64;
        for segment in &segments {
            let (key, side) = FlowKey::of(&segment.addresses);
            let flow = table.find(&key).and_then(|id| table.get_mut(id)).expect("it is there");
            let arrival = Arrival {
                side,
                time_ns: 1,
                carrier: 1,
                tcp: segment.tcp,
                payload: segment.payload,
            };
            // Each round is new to the assembler.
            flow.assembler = Assembler::default();
            flow.assembler.push(&arrival, 1 << 20, &mut |_, _| bytes += 1);
        }
        bytes
    });
}

/// Decodes all of `input`, which is whole messages, and returns how many those are.
fn decode_all(
    decoder: &mut dyn Decoder,
    direction: Direction,
    mut input: &[u8],
    scratch: &mut Scratch,
) -> u32 {
    let mut messages = 0;
    while !input.is_empty() {
        let len = match decoder.decode(direction, input, scratch) {
            Step::Consumed { len, message } => {
                messages += u32::from(message.is_some());
                len
            }
            Step::Discard { len } => len,
            _ => 0,
        };
        assert!(len > 0, "whole messages are taken");
        input = input.get(len..).unwrap_or_default();
    }
    messages
}

fn set(value_len: usize) -> String {
    format!(
        "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000012345\r\n${value_len}\r\n{}\r\n",
        "x".repeat(value_len)
    )
}

fn bulk(len: usize) -> String {
    format!("${len}\r\n{}\r\n", "x".repeat(len))
}

/// Requests and their replies, `count` of them in one segment each.
fn redis_decode(bencher: Bencher, request: &str, reply: &str, count: usize, fields: bool) {
    let (requests, replies) = (request.repeat(count), reply.repeat(count));
    let mut decoder = (redis().decoder)();
    let mut scratch = Scratch::new(DecodeOptions { fields, ..DecodeOptions::default() });
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        let (to, back) = (Direction::Request, Direction::Response);
        decode_all(decoder.as_mut(), to, black_box(requests.as_bytes()), &mut scratch)
            + decode_all(decoder.as_mut(), back, black_box(replies.as_bytes()), &mut scratch)
    });
}

#[divan::bench(args = [1, 16])]
fn redis_get(bencher: Bencher, pipelined: usize) {
    redis_decode(bencher, GET, VALUE, pipelined, false);
}

#[divan::bench(args = [1, 16])]
fn redis_set(bencher: Bencher, pipelined: usize) {
    redis_decode(bencher, &set(3), "+OK\r\n", pipelined, false);
}

#[divan::bench]
fn redis_get_with_fields(bencher: Bencher) {
    redis_decode(bencher, GET, VALUE, 1, true);
}

#[divan::bench]
fn redis_large_value(bencher: Bencher) {
    redis_decode(bencher, &set(16_000), &bulk(16_000), 1, false);
}

/// Packets through the whole engine: half of them requests, half responses.
#[divan::bench(args = [CONNECTIONS, 1_000, 20_000])]
fn engine_turns(bencher: Bencher, connections: u32) {
    let turns = 200_000 / connections as usize;
    let (openings, packets) = talk(connections, turns.min(100));
    let count = ItemsCount::new(packets.len());
    bencher
        .counter(count)
        .with_inputs(|| {
            let options = DecodeOptions { fields: false, ..DecodeOptions::default() };
            let mut engine = Engine::new(redis(), Limits::default(), options, UsualPorts(redis()));
            openings.iter().for_each(|packet| engine.on_frame(&packet.frame(), &mut |_| {}));
            engine
        })
        .bench_local_values(|mut engine| {
            let mut latency_ns = 0;
            for packet in &packets {
                engine.on_frame(&packet.frame(), &mut |it| latency_ns += it.timing.latency_ns());
            }
            (latency_ns, engine)
        });
}

fn transaction() -> Transaction<'static> {
    Transaction {
        unix_ns: 1_583_695_386_258_761_000,
        client: Endpoint::v4([192, 168, 0, 1], 51137),
        server: Endpoint::v4([192, 168, 0, 2], 6379),
        protocol: "redis",
        operation: "SET",
        request: "set foo bared",
        response: "",
        status: Status::Ok,
        cancelled: false,
        first_ns: None,
        deadline_ns: None,
        timing: Timing { request_ns: 2_001, wait_ns: 1_100_000, response_ns: 344 },
        request_bytes: 34,
        response_bytes: 5,
        quality: Quality::Exact,
        request_fields: Fields::new(&["command"], &[0, 1, 3, 0, b'S', b'E', b'T']),
        response_fields: Fields::new(&[], &[]),
    }
}

/// Lines, as they are written to nowhere.
#[divan::bench(args = ["text", "json"])]
fn sink_line(bencher: Bencher, form: &str) {
    let kind = sink::by_name(form).expect("it is in the registry");
    let mut sink = (kind.make)(Box::new(io::sink()), Style::default());
    let transaction = transaction();
    bencher
        .counter(ItemsCount::new(1_u32))
        .bench_local(|| sink.on_transaction(black_box(&transaction)).is_ok());
}

/// A pcap file's packets, once they are in memory.
#[divan::bench]
fn pcap_read(bencher: Bencher) {
    let (_, packets) = talk(CONNECTIONS, 20);
    let header: [u32; 6] = [0xa1b2_3c4d, 0x0004_0002, 0, 0, 65_535, 1];
    let mut file: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    for packet in &packets {
        let len = packet.bytes.len() as u32;
        let fraction = (packet.time_ns % 1_000_000_000) as u32;
        file.extend([1, fraction, len, len].iter().flat_map(|word| word.to_le_bytes()));
        file.extend_from_slice(&packet.bytes);
    }
    bencher.counter(ItemsCount::new(packets.len())).with_inputs(Reader::new).bench_local_values(
        |mut reader| {
            let (mut rest, mut count) = (&file[..], 0_usize);
            loop {
                match reader.next_frame() {
                    Ok(Some(frame)) => count += usize::from(!frame.bytes.is_empty()),
                    Ok(None) if rest.is_empty() => break,
                    Ok(None) => {
                        let room = reader.room();
                        let (now, later) = rest.split_at(room.len().min(rest.len()));
                        room.iter_mut().zip(now).for_each(|(to, from)| *to = *from);
                        reader.filled(now.len());
                        rest = later;
                    }
                    Err(_) => break,
                }
            }
            assert_eq!(count, packets.len());
            reader
        },
    );
}

/// The filter's own interpreter over a frame of a file.
#[divan::bench(args = ["", "tcp port 6379", "host 10.0.0.9 and not tcp portrange 1-1023 or vlan"])]
fn filter_file(bencher: Bencher, expression: &str) {
    let filter = CaptureFilter::parse(&[expression.to_owned()]).expect("it compiles");
    let program = filter.for_link(LinkType::Ethernet).expect("it compiles");
    let (_, packets) = talk(1, 1);
    let frame = packets.first().expect("a packet").frame();
    bencher.counter(ItemsCount::new(1_u32)).bench(|| program.selects(black_box(&frame)));
}
