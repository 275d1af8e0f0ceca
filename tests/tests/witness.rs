//! tshark as a witness: in the golden captures the agent finds the same requests and responses, tells them
//! apart by the same numbers, and times them by the same packets.
//!
//! What tshark knows of a protocol, and where it is known to see something else, is data here; a
//! deviation that is not there any more fails, too.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

#[path = "witness/tshark.rs"]
mod tshark;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tcpkit::protocol::PROTOCOLS;
use tcpkit_tests::{agent::command, ledger::Ledger};

use self::tshark::{Exchange, Reader};

/// A folder for each protocol, by its name.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");

/// Where in the agent's lines an [`Exchange`] is.
struct Witness {
    protocol: &'static str,
    read: Reader,
    /// Captures that are read otherwise, and whether what is read then has labels.
    others: &'static [(&'static str, Reader, bool)],
    is_labelled: bool,
    /// Whether requests are timed by their first byte, and not by their last.
    by_start: bool,
    /// What tells exchanges apart: the field of this name, or the text on the response.
    label: Label,
}

enum Label {
    None,
    Response,
    Field(&'static str),
}

const WITNESSES: &[Witness] = &[
    Witness {
        protocol: "redis",
        read: tshark::redis,
        others: &[],
        is_labelled: true,
        by_start: false,
        label: Label::None,
    },
    Witness {
        protocol: "http",
        read: tshark::http,
        others: &[("slow", tshark::http_in_order, true)],
        is_labelled: true,
        by_start: false,
        label: Label::Response,
    },
    Witness {
        protocol: "http2",
        read: tshark::http2,
        others: &[],
        is_labelled: true,
        by_start: true,
        label: Label::Field("stream"),
    },
    Witness {
        protocol: "kafka",
        read: tshark::kafka,
        others: &[],
        is_labelled: true,
        by_start: false,
        label: Label::Field("correlation_id"),
    },
    Witness {
        protocol: "memcached",
        read: tshark::turns,
        others: &[
            ("binary", tshark::memcached_binary, true),
            ("binary-errors", tshark::memcached_binary, true),
            ("sasl", tshark::memcached_binary, true),
        ],
        is_labelled: false,
        by_start: false,
        label: Label::Field("opaque"),
    },
];

/// Protocols without a witness, and why.
const WITHOUT: &[(&str, &str)] = &[
    ("generic", "tshark knows no turns of anything"),
    ("grpc", "its streams are those of http2, which has one"),
];

/// Exchanges that only one of both sees: the agent, tshark, and why.
const DEVIATIONS: &[(&str, usize, usize, &str)] = &[
    (
        "redis/commands",
        6,
        6,
        "tshark 4.0 does not know RESP3: a map is a line to it, its values replies",
    ),
    ("redis/pubsub", 1, 0, "the same: it does not see the reply between pushes"),
    ("http/keepalive", 1, 0, "tshark does not see the request behind empty lines"),
    ("http/pipeline", 11, 0, "tshark names the request for the first response to a packet only"),
    (
        "http/slow",
        2,
        2,
        "a body that ends with the connection: by tshark's word with the FIN, by ours with its last byte",
    ),
    (
        "http/uploads",
        3,
        0,
        "tshark names no request for a response that comes before all of it, and \
      misses a chunked one",
    ),
    ("http2/frames", 1, 1, "by tshark's word a request begins with the packet that ends its head"),
    ("http2/nghttp", 2, 2, "the same"),
    ("kafka/produce", 0, 6, "this broker answers producers that wait for no answer (acks=0)"),
    ("kafka/old-versions", 0, 1, "the same"),
    ("memcached/binary", 0, 5, "answers to quiet commands, which the agent takes for one-way"),
    (
        "memcached/errors",
        1,
        1,
        "the rest of a refused value is a command, with an answer in the same turn; behind one of \
         which nobody knows where it ends the next is not certain",
    ),
];

/// Captures that tshark cannot say anything of, and why.
const NOT_COMPARED: &[(&str, &str)] = &[
    (
        "memcached/meta",
        "requests do not wait, so turns say nothing, and tshark knows no meta commands",
    ),
    ("memcached/pipelined", "requests do not wait, so turns say nothing"),
    ("memcached/udp", "the turns are those of connections"),
    ("http2/upgrade", "told that the port is HTTP/2's, tshark does not follow an upgrade to it"),
    ("kafka/mock", "its brokers have ports that no tshark knows, some above their clients'"),
    ("kafka/mock-old-versions", "the same"),
    ("kafka/sasl", "the same"),
];

#[test]
fn every_protocol_has_a_witness_or_a_reason() {
    for protocol in PROTOCOLS {
        let has = WITNESSES.iter().any(|it| it.protocol == protocol.name);
        let has_not = WITHOUT.iter().any(|it| it.0 == protocol.name);
        assert!(has != has_not, "{}", protocol.name);
    }
}

#[test]
fn tshark_sees_the_same() {
    let mut wrong = Vec::new();
    for witness in WITNESSES {
        let captures = captures(witness.protocol);
        assert!(!captures.is_empty(), "no captures of {}", witness.protocol);
        for capture in captures {
            wrong.extend(compare(witness, &capture));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn captures(protocol: &str) -> Vec<PathBuf> {
    let folder = fs::read_dir(Path::new(FIXTURES).join(protocol)).unwrap();
    let mut paths: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "pcap"));
    paths.sort();
    paths
}

/// What the agent and tshark do not agree on, beyond what is known.
fn compare(witness: &Witness, capture: &Path) -> Option<String> {
    let stem = capture.file_stem().unwrap().to_str().unwrap();
    let name = format!("{}/{stem}", witness.protocol);
    if NOT_COMPARED.iter().any(|it| it.0 == name) {
        return None;
    }
    let other = witness.others.iter().find(|it| it.0 == stem);
    let (read, is_labelled) = match other {
        Some((_, read, is_labelled)) => (*read, *is_labelled),
        None => (witness.read, witness.is_labelled),
    };
    let mut tsharks = read(capture);
    let mut agents = agents(witness, is_labelled, capture);
    tsharks.sort();
    agents.sort();
    let agent_only = without(&agents, &tsharks);
    let tshark_only = without(&tsharks, &agents);
    let known = DEVIATIONS.iter().find(|it| it.0 == name);
    let (agent_known, tshark_known, why) = known.map_or((0, 0, ""), |it| (it.1, it.2, it.3));
    if (agent_only.len(), tshark_only.len()) == (agent_known, tshark_known) {
        return None;
    }
    Some(format!(
        "{name}: {} of {} seen by the agent alone (known: {agent_known}), {} of {} by tshark alone \
         (known: {tshark_known}) {why}\n  agent: {:?}\n  tshark: {:?}",
        agent_only.len(),
        agents.len(),
        tshark_only.len(),
        tsharks.len(),
        &agent_only[..agent_only.len().min(4)],
        &tshark_only[..tshark_only.len().min(4)],
    ))
}

/// What is in `some` and not in `others`; what is there twice has to be there twice.
fn without<'a>(some: &'a [Exchange], others: &[Exchange]) -> Vec<&'a Exchange> {
    let mut others: Vec<&Exchange> = others.iter().collect();
    let mut left = Vec::new();
    for one in some {
        match others.iter().position(|other| *other == one) {
            Some(place) => {
                others.swap_remove(place);
            }
            None => left.push(one),
        }
    }
    left
}

/// What the agent prints.
fn agents(witness: &Witness, is_labelled: bool, capture: &Path) -> Vec<Exchange> {
    let mut command = command(&format!("-p {} --format json -r", witness.protocol));
    let output = command.arg(capture).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", capture.display());
    Ledger::parse(&said).check_sums();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .map(|line| {
            let ns = |key: &str| (line[key].as_f64().unwrap() * 1_000.0).round() as u64;
            let start_ns = unix_ns(line["time"].as_str().unwrap());
            let asked_ns = if witness.by_start { start_ns } else { start_ns + ns("request_us") };
            let label = match witness.label {
                Label::Field(field) if is_labelled => line["fields"][field].to_string(),
                Label::Response => line["response"].as_str().unwrap_or_default().to_owned(),
                Label::None | Label::Field(_) => String::new(),
            };
            Exchange {
                client: line["client"].as_str().unwrap().to_owned(),
                asked_ns,
                answered_ns: start_ns + ns("latency_us"),
                label,
            }
        })
        .collect()
}

/// `2026-11-26T11:16:29.263965000Z` in ns since the Unix epoch.
fn unix_ns(text: &str) -> u64 {
    let number = |from: usize, to: usize| text.get(from..to).unwrap().parse::<u64>().unwrap();
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    // Days of the civil calendar, with years that begin in March.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    let seconds = (days - 719_468) * 86_400 + number(11, 13) * 3_600 + number(14, 16) * 60;
    (seconds + number(17, 19)) * 1_000_000_000 + number(20, 29)
}

#[test]
fn times_are_read_as_they_are_meant() {
    assert_eq!(unix_ns("1970-01-01T00:00:00.000000001Z"), 1);
    assert_eq!(unix_ns("2000-02-29T23:59:59.000000000Z"), 951_868_799_000_000_000);
    assert_eq!(unix_ns("2020-03-08T19:23:06.258761123Z"), 1_583_695_386_258_761_123);
}
