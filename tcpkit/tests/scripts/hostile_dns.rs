//! `dns.lua` gets damaged messages, and has some missing: no bytes may make it fail, or reach a terminal, and
//! nothing is said of what was not seen.

use std::{collections::BTreeSet, path::Path};

use super::{
    agent::{fixture, run},
    frames::{Packet, Writer, packets},
};

/// Positions of a payload at which it is damaged, at most: longer ones at even distances.
const POSITIONS: usize = 150;

/// A query, and its answer with a name that is compressed; the server writes the question in its own way.
const QUERY: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x04LaSt\x04test\0\0\x01\0\x01";
const ANSWER: &[u8] = b"\x12\x34\x81\x80\0\x01\0\x02\0\0\0\0\x04last\x04test\0\0\x01\0\x01\
    \xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x06\x03www\xc0\x0c\xc0\x27\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x4d";

fn positions(len: usize) -> impl Iterator<Item = usize> {
    (0..len).step_by(len.div_ceil(POSITIONS).max(1))
}

/// Every payload of a capture once, and whether it is a server's.
fn payloads(capture: &str) -> BTreeSet<(bool, Vec<u8>)> {
    let with_payload = packets(&fixture(capture)).into_iter().filter(|it| !it.payload.is_empty());
    with_payload.map(|Packet { source, payload, .. }| (source.port() == 53, payload)).collect()
}

/// Hands over each damaged form of a payload, and how many of its last bytes were not captured.
fn damage(payload: &[u8], mut each: impl FnMut(&[u8], usize)) {
    for at in positions(payload.len()) {
        for with in [payload[at] ^ 0xff, 0, 0xc0, 0xff] {
            let mut changed = payload.to_vec();
            changed[at] = with;
            each(&changed, 0);
        }
        each(&payload[..at], 0);
        each(payload, payload.len() - at);
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    let len = u16::try_from(message.len()).expect("a short message");
    [&len.to_be_bytes(), message].concat()
}

/// What the script prints of the file, with an exchange behind it all that nothing is wrong with.
fn check(mut writer: Writer, name: &str) -> String {
    // Everything before is given up.
    writer.wait(10_000_000_000);
    writer.udp(false, 9, QUERY, 0);
    writer.udp(true, 9, ANSWER, 0);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.pcap"));
    writer.save(&path);
    assert!(writer.count > 1000, "{name}: {} packets", writer.count);
    let output = run("dns.lua", &path, &[], &[]);
    output.assert_clean(name);
    let is_printable = |byte: u8| byte == b'\n' || (b' '..=b'~').contains(&byte);
    assert!(output.stdout.bytes().all(is_printable), "{name}: control codes are printed");
    let last = "| 0.100 ms | LaSt.test A | NOERROR 2: 192.0.2.77\n";
    assert!(output.stdout.contains(last), "{name}: the last exchange is missing");
    output.stdout
}

#[test]
fn damaged_datagrams_are_no_errors() {
    let mut writer = Writer::new();
    let mut port = 1024;
    for (is_response, payload) in payloads("scripts/dns-udp.pcap") {
        damage(&payload, |bytes, missing| {
            // Few ports, so that queries and responses meet.
            port = 1024 + (port + 1) % 7;
            writer.udp(is_response, port, bytes, missing);
        });
    }
    let stdout = check(writer, "damaged-datagrams");
    assert!(!stdout.contains("\n0 messages not understood"), "{stdout}");
}

#[test]
fn damaged_segments_are_no_errors() {
    let mut writer = Writer::new();
    let mut port = 1024;
    for (is_response, payload) in payloads("scripts/dns-tcp.pcap") {
        damage(&payload, |bytes, missing| {
            port = if port == 65_000 { 1024 } else { port + 1 };
            writer.tcp(false, port, (99, true), &[], 0);
            writer.tcp(true, port, (99, true), &[], 0);
            writer.tcp(is_response, port, (100, false), bytes, missing);
            // The same once more, something of which a part is old, and something behind a gap.
            let len = u32::try_from(bytes.len()).expect("short");
            writer.tcp(is_response, port, (100, false), bytes, missing);
            writer.tcp(is_response, port, (100 + len / 2, false), &framed(ANSWER), 0);
            writer.tcp(is_response, port, (100 + 2 * len, false), &framed(QUERY), 0);
        });
    }
    check(writer, "damaged-segments");
}

#[test]
fn made_up_messages_are_no_errors() {
    let mut writer = Writer::new();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..3000 {
        let len = usize::try_from(random() % 80).expect("small");
        let mut message: Vec<u8> = (0..len).map(|_| (random() >> 32) as u8).collect();
        // A header with one question and many answers; labels are short, so that names go on.
        for (at, byte) in [(4, 0), (5, 1), (6, 0xff)] {
            if let Some(place) = message.get_mut(at) {
                *place = byte;
            }
        }
        for byte in message.iter_mut().skip(12).step_by(3) {
            *byte = [*byte % 5, 0xc0, *byte % 16, 1][usize::from(*byte % 4)];
        }
        let port = 1024 + u16::try_from(random() % 3).expect("small");
        writer.udp(random() % 2 == 0, port, &message, 0);
    }
    check(writer, "made-up-messages");
}

/// Names that lead to themselves, forward, in a circle, or are longer than names may be.
#[test]
fn names_without_end_are_not_understood() {
    let header = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0";
    let behind = b"\0\x01\0\x01";
    let long = [&[63_u8][..], &[b'a'; 63]].concat().repeat(4);
    let names: [&[u8]; 9] = [
        b"\xc0\x0c",
        b"\xc0\x0d\0",
        b"\xc0\x0e\xc0\x0c",
        b"\x01a\xc0\x0c",
        b"\xff\xff",
        b"\x40aa\0",
        b"\x80\0",
        b"\x05ab",
        &[&long[..], b"\0"].concat(),
    ];
    let mut writer = Writer::new();
    for name in names {
        writer.udp(false, 1024, &[&header[..], name, behind].concat(), 0);
    }
    // One segment for each byte, of a message that is as long as messages can be.
    writer.tcp(false, 2000, (0, true), &[], 0);
    for seq in 1..2000 {
        writer.tcp(false, 2000, (seq, false), b"\xff", 0);
    }
    let stdout = check(writer, "names");
    assert!(stdout.contains(&format!("\n{} messages not understood", names.len())), "{stdout}");
}

/// The first answer was not captured, so nobody knows whether there was one; the second came.
#[test]
fn a_lost_answer_is_no_missing_answer() {
    let mut writer = Writer::new();
    let (query, answer) = (framed(QUERY), framed(ANSWER));
    let (query_len, answer_len) =
        (u32::try_from(query.len()).unwrap(), u32::try_from(answer.len()).unwrap());
    writer.tcp(false, 2000, (0, true), &[], 0);
    writer.tcp(true, 2000, (0, true), &[], 0);
    writer.tcp(false, 2000, (1, false), &query, 0);
    writer.tcp(false, 2000, (1 + query_len, false), &framed(&[b"\0\x09", &QUERY[2..]].concat()), 0);
    writer.tcp(
        true,
        2000,
        (1 + answer_len, false),
        &framed(&[b"\0\x09", &ANSWER[2..]].concat()),
        0,
    );
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lost-answer.pcap");
    writer.save(&path);
    let output = run("dns.lua", &path, &[], &["json=1"]);
    output.assert_clean("lost-answer");
    let queries = output.lines("query");
    assert_eq!(queries.len(), 1, "{queries:?}");
    let server = &output.lines("server")[0];
    for (name, count) in
        [("queries", 2), ("answered", 1), ("lost", 1), ("open", 0), ("unanswered", 0)]
    {
        assert_eq!(server[name], count, "{name}: {server}");
    }
}

/// Long messages, whole and unfinished, of many connections: what waits is bounded, and what comes later is read.
#[test]
fn long_messages_make_room() {
    let mut writer = Writer::new();
    let whole = [&[0xea, 0x60][..], QUERY, &vec![0; 60_000 - QUERY.len()]].concat();
    for port in 0..400 {
        writer.tcp(false, 2000 + port, (0, true), &[], 0);
        writer.tcp(false, 2000 + port, (1, false), &whole, 59_000);
        writer.tcp(false, 2000 + port, (60_003, false), &whole[..50_000], 49_000);
    }
    writer.tcp(false, 9000, (0, true), &[], 0);
    writer.tcp(true, 9000, (0, true), &[], 0);
    let query = framed(QUERY);
    writer.tcp(false, 9000, (1, false), &query[..9], 0);
    writer.tcp(false, 9000, (10, false), &query[9..], 0);
    writer.tcp(true, 9000, (1, false), &framed(ANSWER), 0);
    let stdout = check(writer, "long-messages");
    assert!(stdout.contains("| LaSt.test A | NOERROR 2: 192.0.2.77 | tcp\n"), "{stdout}");
}
