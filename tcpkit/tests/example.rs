//! The example of CONTRIBUTING.md: a protocol in one short file, at work behind the engine.

#![expect(
    clippy::expect_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

#[path = "example/ident.rs"]
mod ident;

use etherparse::PacketBuilder;
use tcpkit::{
    capture::{Frame, HookDirection, LinkType},
    config::Limits,
    engine::{Engine, UsualPorts},
    protocol::{DecodeOptions, Probe, Selection},
};

const TEXT: &str = include_str!("example/ident.rs");

/// Packets of one connection: who sent what, a millisecond apart. `>` is the client.
fn packets(talk: &[(char, &str)]) -> Vec<(u64, Vec<u8>)> {
    let mut next = [1000_u32, 5000];
    let mut packets = Vec::new();
    for (number, (from, text)) in (1..).zip(talk) {
        let (own, peer) = if *from == '>' { (0, 1) } else { (1, 0) };
        let ports = [40_000, 113];
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4([10, 0, 0, 1 + own as u8], [10, 0, 0, 1 + peer as u8], 64)
            .tcp(ports[own], ports[peer], next[own], 1000);
        let builder = match *text {
            "SYN" if own == 0 => builder.syn(),
            "SYN" => builder.syn().ack(next[peer]),
            _ => builder.ack(next[peer]),
        };
        let payload = if *text == "SYN" { &[][..] } else { text.as_bytes() };
        let mut bytes = Vec::new();
        builder.write(&mut bytes, payload).expect("a packet");
        let len = if *text == "SYN" { 1 } else { u32::try_from(payload.len()).expect("short") };
        next[own] += len;
        packets.push((number * 1_000_000, bytes));
    }
    packets
}

/// Lines of what the engine made of it: request, latency in ms, response.
fn read(talk: &[(char, &str)], selection: &Selection) -> Vec<String> {
    let hints = UsualPorts(&ident::PROTOCOL);
    let options = DecodeOptions::default();
    let mut engine = Engine::new(selection.clone(), Limits::default(), options, hints);
    let mut lines = Vec::new();
    for (time_ns, bytes) in packets(talk) {
        let frame = Frame {
            time_ns,
            ifindex: 1,
            direction: HookDirection::Unknown,
            link: LinkType::Ethernet,
            vlan: None,
            wire_len: u32::try_from(bytes.len()).expect("short"),
            bytes: &bytes,
        };
        engine.on_frame(&frame, &mut |it| {
            let ms = it.timing.latency_ns() / 1_000_000;
            lines.push(format!("{} | {ms} ms | {} {}", it.request, it.status, it.response));
        });
    }
    lines
}

#[test]
fn the_example_is_short_and_pairs() {
    assert!(TEXT.lines().count() < 150, "an example is short");
    let talk = [
        ('>', "SYN"),
        ('<', "SYN"),
        ('>', "6193, "),
        ('>', "23\r\n1,2\r\n"),
        ('<', "6193, 23 : USERID : UNIX : stjohns\r\n1, 2 : ERR"),
        ('<', "OR : NO-USER\r\n"),
    ];
    let expect = ["6193, 23 | 2 ms | ok ", "1,2 | 2 ms | error NO-USER"];
    assert_eq!(read(&talk, &(&ident::PROTOCOL).into()), expect);
}

#[test]
fn first_bytes_are_told_apart() {
    let probe = ident::PROTOCOL.probe;
    for at in 0..b"6193, 23\r\n".len() {
        assert_eq!(probe(&b"6193, 23\r\n"[..at]), Probe::Unsure, "{at}");
    }
    assert_eq!(probe(b"6193, 23\r\n"), Probe::Request);
    assert_eq!(probe(b"6193, 23 : USERID"), Probe::Response);
    for other in [&b"get x\r\n"[..], b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"1\r\n"] {
        assert_eq!(probe(other), Probe::No);
    }
}
