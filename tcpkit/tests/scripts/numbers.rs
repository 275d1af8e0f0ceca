//! What the scripts count, counted in another way: by tshark, from packets, and by what clients asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde_json::Value;
use tcpkit::packet::TcpFlags;

use super::{
    agent::{Output, fixture, run},
    frames::packets,
};

fn number(line: &Value, name: &str) -> f64 {
    line[name].as_f64().unwrap_or_else(|| panic!("{name} of {line}"))
}

/// Latencies in µs, each as often as it occurs.
fn times(all: impl IntoIterator<Item = f64>) -> Vec<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "microseconds of some seconds")]
    let mut us: Vec<i64> = all.into_iter().map(|ms| (ms * 1000.0).round() as i64).collect();
    us.sort_unstable();
    us
}

/// tshark takes the two queries that have one number for one; all else it times alike.
#[test]
fn dns_takes_as_long_as_tshark_says() {
    for (name, more) in [("dns-udp", 1), ("dns-tcp", 0)] {
        let text = fs::read_to_string(fixture(&format!("scripts/{name}.tshark"))).unwrap();
        let seconds = |line: &str| line.rsplit('\t').next().unwrap().parse::<f64>().unwrap();
        let expected = times(text.lines().map(|line| seconds(line) * 1000.0));
        let output = run("dns.lua", &fixture(&format!("scripts/{name}.pcap")), &[], &["json=1"]);
        let latencies =
            output.lines("query").into_iter().filter_map(|it| it["latency_ms"].as_f64());
        let mut actual = times(latencies);
        for one in &expected {
            let at = actual.iter().position(|it| it == one);
            actual
                .remove(at.unwrap_or_else(|| panic!("{name}: {one} us is missing in {actual:?}")));
        }
        assert_eq!(actual.len(), more, "{name}: {actual:?} us are unknown to tshark");
    }
}

/// The slow server says by itself how long it takes.
#[test]
fn dns_takes_as_long_as_the_server_waits() {
    let output = run("dns.lua", &fixture("scripts/dns-udp.pcap"), &[], &["json=1"]);
    for delay in [40.0, 60.0, 200.0] {
        let name = format!("delay-{delay}.slow.test");
        let queries = output.lines("query");
        let first = queries.iter().find(|it| it["name"] == name.as_str()).expect("it was asked");
        let latency = number(first, "latency_ms");
        assert!((delay..delay + 15.0).contains(&latency), "{first}");
    }
}

/// How often something was sent again, by the sender's port and the receiver's.
type Again = BTreeMap<(u16, u16), usize>;

/// Segments of a capture that are there more than once, by sequence number.
fn sent_again(capture: &str, counts: impl Fn(TcpFlags, usize) -> bool) -> Again {
    let mut seen = BTreeSet::new();
    let mut again = Again::new();
    for packet in packets(&fixture(capture)) {
        let Some((seq, flags)) = packet.tcp else { continue };
        if counts(flags, packet.payload.len())
            && !seen.insert((packet.source, packet.destination, seq))
        {
            *again.entry((packet.source.port(), packet.destination.port())).or_default() += 1;
        }
    }
    again
}

/// The same by a script's lines.
fn reported(output: &Output, client: &str, server: &str) -> Again {
    let port = |end: &Value| end.as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap();
    let mut again = Again::new();
    for line in output.lines("connection") {
        let (a, b): (u16, u16) = (port(&line["client"]), port(&line["server"]));
        for (ends, name) in [((a, b), client), ((b, a), server)] {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
            let count = number(&line, name) as usize;
            if count > 0 {
                again.insert(ends, count);
            }
        }
    }
    again
}

#[test]
fn retransmits_are_those_of_the_packets() {
    let capture = "scripts/retransmits.pcap";
    let output = run("retransmits.lua", &fixture(capture), &[], &["json=1"]);
    let expected = sent_again(capture, |_, len| len > 0);
    assert_eq!(expected.values().sum::<usize>(), 12, "as tshark says");
    assert_eq!(reported(&output, "client_again", "server_again"), expected);
}

#[test]
fn syns_are_those_of_the_packets() {
    let capture = "scripts/connects.pcap";
    let expected = sent_again(capture, |flags, _| flags.contains(TcpFlags::SYN));
    assert_eq!(expected.values().sum::<usize>(), 11, "as tshark says");
    let output = run("retransmits.lua", &fixture(capture), &[], &["json=1"]);
    assert_eq!(reported(&output, "syn", "synack"), expected);
    // A connection whose SYN-ACK came again was established before that was known.
    let output = run("tcp-connect.lua", &fixture(capture), &[], &["json=1"]);
    assert_eq!(reported(&output, "syn_retransmits", "synack_retransmits"), expected);
}

/// What the client of the capture asked.
#[test]
fn keys_are_counted_as_they_were_asked_for() {
    let arguments = ["-p", "redis"];
    let options = ["json=1", "top=3"];
    let output = run("redis-hotkeys.lua", &fixture("scripts/keys.pcap"), &arguments, &options);
    let counted: Vec<_> = output
        .lines("keys_by_requests")
        .iter()
        .map(|it| (it["key"].as_str().unwrap().to_owned(), number(it, "requests")))
        .collect();
    // 60 GET and a SET; 20 INCR and an LPUSH; 20 GET and a SET.
    let expected = [("user:7", 61.0), ("counter", 21.0), ("user:11", 21.0)];
    assert_eq!(counted, expected.map(|(key, count)| (key.to_owned(), count)));
}

#[test]
fn values_are_as_large_as_they_were_written() {
    let arguments = ["-p", "redis"];
    let options = ["json=1", "top=1"];
    let output = run("redis-bigkeys.lua", &fixture("scripts/keys.pcap"), &arguments, &options);
    let value = format!("$12000\r\n{}\r\n", "a".repeat(12_000));
    let request = format!("*3\r\n$3\r\nset\r\n$6\r\nblob:a\r\n{value}");
    for (kind, command, len) in
        [("largest_requests", "SET", request.len()), ("largest_responses", "GET", value.len())]
    {
        let line = &output.lines(kind)[0];
        assert_eq!(line["key"], "blob:a");
        assert_eq!(line["command"], command);
        assert_eq!(line["bytes"], len, "{line}");
    }
}
