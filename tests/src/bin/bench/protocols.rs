//! Row 7: what a message costs, for each protocol of the registry: its golden captures, again and again
//! as new connections, read from a file.
//!
//! What reading the packets costs is measured with a filter that selects none of them, and taken off.
//! What is left is following the connections, decoding, pairing and, where lines are wanted, printing.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use tcpkit::{
    capture::Frame,
    packet::network,
    protocol::{PROTOCOLS, Protocol},
};
use tcpkit_tests::ledger::Ledger;

use crate::{
    captures::{Capture, captures_of},
    finished,
    options::{Contestant, Options},
    report::{Goal, Report},
};

/// The folder of the golden captures.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");

/// What a message may cost, in ns: decoded, paired and printed.
const GOAL_NS: f64 = 600.0;

/// The same where messages share a connection in pieces, or are read field by field.
const FRAMED: [&str; 3] = ["http2", "grpc", "kafka"];
const FRAMED_GOAL_NS: f64 = 1_000.0;

/// Selects nothing.
const NOTHING: &str = "port 1";

/// The time between two copies of the captures, in ns.
const PAUSE_NS: u64 = 1_000_000;

const UNIT: &str = "ns/message";

/// A protocol's file.
struct Repeated {
    protocol: &'static Protocol,
    path: PathBuf,
    /// Requests and responses.
    messages: u64,
}

pub(crate) fn measure(options: &Options, report: &mut Report) {
    let mut agents: Vec<&Contestant> = options.agents.iter().collect();
    let files: Vec<Repeated> = PROTOCOLS
        .iter()
        .map(|protocol| {
            options.check_stop();
            report.progress(&format!("the captures of {} are repeated", protocol.name));
            Repeated::write(options, protocol, agents[0])
        })
        .collect();
    for file in &files {
        for agent in &agents {
            for prints in [false, true] {
                let what = name(file, agent, prints);
                let is_framed = FRAMED.contains(&file.protocol.name);
                let goal = if is_framed { FRAMED_GOAL_NS } else { GOAL_NS };
                report.goal(&what, UNIT, Goal::AtMost(goal));
            }
        }
    }
    let rounds = options.choose(7, 2);
    for round in 0..rounds {
        report.progress(&format!("round {} of {rounds}", round + 1));
        for file in &files {
            for agent in &agents {
                options.check_stop();
                let (reading, _) =
                    run(options, agent, &file.path, file.protocol, "-t 1000", NOTHING);
                for prints in [false, true] {
                    let threshold = if prints { "" } else { "-t 1000" };
                    let (cpu, ledger) =
                        run(options, agent, &file.path, file.protocol, threshold, "");
                    assert_eq!(messages(&ledger), file.messages, "{}", ledger.text());
                    let cost = cpu.as_nanos() as f64 - reading.as_nanos() as f64;
                    let what = name(file, agent, prints);
                    report.sample(&what, UNIT, cost / file.messages as f64);
                }
                let what = format!("{} {}, packets only read", file.protocol.name, agent.name());
                report.sample(&what, UNIT, reading.as_nanos() as f64 / file.messages as f64);
            }
        }
        agents.rotate_left(1);
    }
}

fn name(file: &Repeated, agent: &Contestant, prints: bool) -> String {
    let how = if prints { "printed" } else { "-t 1000" };
    format!("{} {}, {how}", file.protocol.name, agent.name())
}

impl Repeated {
    /// Writes as many copies as give enough messages, by what the agent finds in one.
    fn write(options: &Options, protocol: &'static Protocol, agent: &Contestant) -> Self {
        let captures = captures_of(protocol, Path::new(FIXTURES));
        assert!(!captures.is_empty(), "no captures in {FIXTURES}/{}", protocol.name);
        let path = options.file(&format!("{}.pcap", protocol.name));
        write(&path, &captures, 1).unwrap();
        let (_, ledger) = run(options, agent, &path, protocol, "-t 1000", "");
        let once = messages(&ledger);
        assert!(once > 0, "no messages: {}", ledger.text());
        let copies = options.choose(200_000, 20_000_u64).div_ceil(once);
        write(&path, &captures, copies).unwrap();
        Self { protocol, path, messages: once * copies }
    }
}

fn messages(ledger: &Ledger) -> u64 {
    ledger.total("requests") + ledger.total("responses")
}

/// Runs the agent over a file; returns its CPU time and its ledger.
fn run(
    options: &Options,
    agent: &Contestant,
    file: &Path,
    protocol: &Protocol,
    threshold: &str,
    filter: &str,
) -> (Duration, Ledger) {
    let (printed, said) = (options.file("printed.txt"), options.file("said.txt"));
    let mut command = agent.command(&format!("-p {} {threshold} -r", protocol.name));
    command.arg(file).args(filter.split_whitespace());
    command.stdout(File::create(&printed).unwrap()).stderr(File::create(&said).unwrap());
    let finished = finished::run(&mut command);
    let said = fs::read_to_string(said).unwrap();
    assert!(finished.status.success(), "{}: {}: {said}", file.display(), finished.status);
    (finished.cpu, Ledger::parse(&said))
}

/// Writes the captures one behind the other, so many times: a pcap file of IP packets, timed in
/// nanoseconds. The connections of each copy have other addresses.
fn write(path: &Path, captures: &[Capture], copies: u64) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let header = [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 0x0004_0000, 101];
    out.write_all(&header.map(u32::to_le_bytes).concat())?;
    let mut begin_ns = captures[0].packets[0].time_ns;
    for copy in 0..copies {
        for capture in captures {
            let first_ns = capture.packets.iter().map(|it| it.time_ns).min().unwrap_or(0);
            let mut end_ns = begin_ns;
            for packet in &capture.packets {
                let time_ns = packet.time_ns - first_ns + begin_ns;
                end_ns = end_ns.max(time_ns);
                if let Some(bytes) = moved(&packet.frame(), copy as u16) {
                    let len = bytes.len() as u32;
                    let (second, rest) = (time_ns / 1_000_000_000, time_ns % 1_000_000_000);
                    let record = [second as u32, rest as u32, len, len];
                    out.write_all(&record.map(u32::to_le_bytes).concat())?;
                    out.write_all(&bytes)?;
                }
            }
            begin_ns = end_ns + PAUSE_NS;
        }
    }
    out.flush()
}

/// A frame's IP packet between two other hosts: the same for all packets of a copy, so that connections
/// stay connections. `None` for what is no IP.
fn moved(frame: &Frame<'_>, copy: u16) -> Option<Vec<u8>> {
    let mut bytes = frame.bytes[network(frame)?.offset..].to_vec();
    // The middle of both addresses.
    let places = match bytes.first()? >> 4 {
        4 => [13, 17],
        6 => [12, 28],
        _ => return None,
    };
    for place in places {
        let middle = bytes.get_mut(place..place + 2)?;
        let moved = u16::from_be_bytes([middle[0], middle[1]]) ^ copy;
        middle.copy_from_slice(&moved.to_be_bytes());
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_copy_has_other_ends_and_the_same_bytes() {
        let protocol = PROTOCOLS[0];
        let captures = captures_of(protocol, Path::new(FIXTURES));
        let frame = captures[0].packets[0].frame();
        let [same, other] = [0, 0x0102].map(|copy| moved(&frame, copy).unwrap());
        assert_eq!(same, frame.bytes[network(&frame).unwrap().offset..]);
        assert_eq!(same.len(), other.len());
        let differ = same.iter().zip(&other).filter(|(one, other)| one != other).count();
        assert_eq!(differ, 4);
    }
}
