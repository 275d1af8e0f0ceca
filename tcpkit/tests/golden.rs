//! Golden captures of real servers, replayed: as they are, in other segments, and with everything done
//! to them that happens to packets.
//!
//! A protocol gets all of this with `tests/fixtures/<name>/*.pcap`. What a capture gives stands beside
//! it (`*.pcap.expected`, see `golden/expected.rs` for how it is renewed). What is done to packets is done
//! to each connection by itself. What is sampled: payloads longer than 320 bytes are split at chosen
//! positions (`golden/segments.rs`), and of what can be done to a connection as much is tried as
//! [`FRAMES`] allows, at even distances.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails ends"
)]

#[path = "golden/capture.rs"]
mod capture;
#[path = "golden/expected.rs"]
mod expected;
#[path = "golden/replay.rs"]
mod replay;
#[path = "golden/segments.rs"]
mod segments;

use std::{collections::BTreeMap, path::Path};

use tcpkit::{
    capture::Frame,
    packet::{Decoded, TcpFlags, decode},
    protocol::{PROTOCOLS, Protocol},
};

use self::{
    capture::{Capture, Packet, captures_of},
    replay::{Outcome, Seen, Whole, replay, replay_and_print, sorted},
};

/// A folder for each protocol, by its name.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures");

/// How many frames a test replays of one connection, at most: so that all tests together take some
/// seconds.
const FRAMES: usize = 60_000;

/// How many bytes of a packet's payload are captured.
const SNAPLENS: [usize; 4] = [64, 128, 256, 65_535];

/// Bytes of payload that are captured of a packet in [`short_messages_survive_the_snaplen`], and which
/// part of the packets may be longer.
const SHORT: usize = 256;
const FEW: usize = 20;

/// The pieces into which all payloads are cut.
const PIECES: [usize; 6] = [1, 2, 3, 7, 16, 100];

/// How many failures are shown.
const SHOWN: usize = 10;

/// What went wrong, and where.
#[derive(Default)]
struct Failures {
    shown: Vec<String>,
    count: usize,
    tried: usize,
}

impl Failures {
    fn add(&mut self, failure: impl FnOnce() -> String) {
        self.count += 1;
        if self.shown.len() < SHOWN {
            self.shown.push(failure());
        }
    }

    fn end(self) {
        let Self { shown, count, tried } = self;
        assert!(tried > 0, "nothing was tried");
        println!("{tried} replays");
        assert_eq!(count, 0, "{count} failures in {tried} replays:\n{}", shown.join("\n"));
    }
}

/// A connection of a capture, and what it gives as it is.
struct Connection<'a> {
    protocol: &'static Protocol,
    name: String,
    frames: Vec<Frame<'a>>,
    whole: Whole,
}

impl Connection<'_> {
    /// Numbers below `count`, at even distances, so few that replays of `frames` frames each keep to
    /// [`FRAMES`].
    fn sample(&self, count: usize, frames: usize) -> impl Iterator<Item = usize> + use<> {
        let step = (count * frames).div_ceil(FRAMES).max(1);
        (0..count).step_by(step)
    }

    /// Whether its first packet was captured. Where one joins in, and what is read then, depends on
    /// where packets begin and on which of them is taken for the first.
    fn begins(&self) -> bool {
        self.frames.first().is_some_and(|first| flags(first).contains(TcpFlags::SYN))
    }

    /// Replays what became of the frames: nothing may be printed that is not among the whole's.
    fn printed_is_true<'f>(
        &self,
        frames: impl IntoIterator<Item = Frame<'f>>,
        failures: &mut Failures,
        what: impl FnOnce() -> String,
    ) -> Outcome {
        let outcome = replay(self.protocol, frames);
        failures.tried += 1;
        let strangers = self.whole.strangers(&outcome.seen);
        if let Some(first) = strangers.first() {
            failures.add(|| {
                let near = self.nearest(first);
                let count = strangers.len();
                format!("{}: {}: {count} made up: {first:?}\n  {near}", self.name, what())
            });
        }
        outcome
    }

    /// The whole's transaction that a wrong one is most like.
    fn nearest(&self, wrong: &Seen) -> String {
        let same_start = |one: &&Seen| one.measured.start_ns == wrong.measured.start_ns;
        let all = self.whole.seen.iter();
        let near = all.clone().find(|one| same_start(one) && one.request == wrong.request);
        let near = near.or_else(|| all.clone().find(same_start));
        near.map_or("none starts then".to_owned(), |one| format!("instead of: {one:?}"))
    }

    /// Nothing changes, or where the beginning was not captured (datagrams have none), nothing is made up.
    fn changes_if_joined<'f>(
        &self,
        frames: impl IntoIterator<Item = Frame<'f>>,
        failures: &mut Failures,
        what: impl FnOnce() -> String,
    ) {
        if self.begins() {
            self.nothing_changes(frames, failures, what);
        } else {
            self.printed_is_true(frames, failures, what);
        }
    }

    /// The same, and all of the whole has to be there.
    fn nothing_changes<'f>(
        &self,
        frames: impl IntoIterator<Item = Frame<'f>>,
        failures: &mut Failures,
        what: impl FnOnce() -> String,
    ) {
        let outcome = replay(self.protocol, frames);
        failures.tried += 1;
        if outcome.seen == self.whole.seen {
            return;
        }
        let (seen, whole) = (sorted(outcome.seen), sorted(self.whole.seen.clone()));
        if seen == whole {
            return;
        }
        failures.add(|| {
            let made_up = seen.iter().find(|one| !whole.contains(one));
            let missing = whole.iter().find(|one| !seen.contains(one));
            format!(
                "{}: {}: {} instead of {} transactions\n  missing: {missing:?}\n  made up: {made_up:?}",
                self.name,
                what(),
                seen.len(),
                whole.len()
            )
        });
    }
}

/// All captures of all protocols.
fn captures() -> Vec<Capture> {
    let of = |protocol: &&'static Protocol| captures_of(protocol, Path::new(FIXTURES));
    let captures: Vec<_> = PROTOCOLS.iter().flat_map(of).collect();
    assert!(!captures.is_empty(), "no captures in {FIXTURES}");
    captures
}

/// Looks at every connection of every capture.
fn for_each_connection(check: impl Fn(&Connection<'_>, &mut Failures)) {
    let mut failures = Failures::default();
    for capture in captures() {
        for (number, frames) in capture.connections().into_iter().enumerate() {
            let protocol = capture.protocol;
            let whole = Whole::of(replay(protocol, frames.iter().copied()).seen);
            let name = format!("{}, connection {}", capture.name(), number + 1);
            check(&Connection { protocol, name, frames, whole }, &mut failures);
        }
    }
    failures.end();
}

fn flags(frame: &Frame<'_>) -> TcpFlags {
    match decode(frame) {
        Decoded::Tcp(segment) => segment.tcp.flags,
        _ => TcpFlags::default(),
    }
}

#[test]
fn every_protocol_has_captures() {
    let without: Vec<_> =
        PROTOCOLS.iter().filter(|it| captures_of(it, Path::new(FIXTURES)).is_empty()).collect();
    let missing = without.iter().map(|it| format!("tests/fixtures/{}/*.pcap", it.name));
    let missing: Vec<_> = missing.collect();
    assert_eq!(missing, [""; 0], "captures are missing");
}

#[test]
fn captures_give_what_is_expected() {
    let mut failures = Vec::new();
    for capture in captures() {
        let frames = capture.frames();
        let outcome = replay_and_print(capture.protocol, frames.iter().copied());
        let remaining = SNAPLENS.map(|snaplen| (snaplen, remaining(&capture, snaplen)));
        let text = expected::render(&outcome, &remaining);
        failures.extend(expected::compare(&capture, &text).err());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// How many transactions are left when payloads are cut.
fn remaining(capture: &Capture, snaplen: usize) -> usize {
    let frames = capture.frames();
    let cut = frames.iter().map(|frame| cut(frame, snaplen));
    replay(capture.protocol, cut).seen.len()
}

/// Cuts a frame's payload as the kernel's programs do: headers are always there.
fn cut<'a>(frame: &Frame<'a>, snaplen: usize) -> Frame<'a> {
    let beyond = match decode(frame) {
        Decoded::Tcp(segment) => segment.payload.bytes.len().saturating_sub(snaplen),
        Decoded::Udp(datagram) => datagram.payload.bytes.len().saturating_sub(snaplen),
        Decoded::Other(_) => 0,
    };
    // A frame may end with padding behind its payload, which goes first.
    match beyond {
        0 => *frame,
        _ => Frame { bytes: &frame.bytes[..frame.bytes.len() - beyond], ..*frame },
    }
}

#[test]
fn connections_do_not_depend_on_each_other() {
    for capture in captures() {
        let together = sorted(replay(capture.protocol, capture.frames()).seen);
        let alone = capture.connections().into_iter();
        let alone = alone.flat_map(|frames| replay(capture.protocol, frames).seen);
        assert_eq!(together, sorted(alone.collect()), "{}", capture.name());
    }
}

#[test]
fn segments_do_not_matter() {
    for_each_connection(|connection, failures| {
        let frames = &connection.frames;
        let replay_split = |split: &dyn Fn(&Frame<'_>) -> Vec<usize>| -> Vec<Packet> {
            frames.iter().flat_map(|frame| segments::split(frame, &split(frame))).collect()
        };
        for piece in PIECES {
            let packets = replay_split(&|frame| {
                (piece..segments::payload_len(frame)).step_by(piece).collect()
            });
            let packets = packets.iter().map(Packet::frame);
            connection.changes_if_joined(packets, failures, || format!("in pieces of {piece}"));
        }
        // All packets at their first position, all at their second, and so on.
        let positions: BTreeMap<usize, Vec<usize>> = frames
            .iter()
            .map(segments::payload_len)
            .map(|len| (len, segments::positions(len)))
            .collect();
        let most = positions.values().map(Vec::len).max().unwrap_or(0);
        for number in connection.sample(most, 2 * frames.len()) {
            let packets = replay_split(&|frame| {
                let positions = &positions[&segments::payload_len(frame)];
                positions.get(number).copied().into_iter().collect()
            });
            let packets = packets.iter().map(Packet::frame);
            connection.changes_if_joined(packets, failures, || {
                format!("all packets split at position {number}")
            });
        }
    });
}

/// Packets that follow each other in the wrong order, each with its own time. Nothing is missing, so
/// nothing may be missing from what is printed, as the second comes within the assembler's grace. Only
/// of a connection whose beginning was not captured the first bytes may be taken for older than that;
/// and behind a reset there is nothing.
#[test]
fn order_does_not_matter() {
    for_each_connection(|connection, failures| {
        let frames = &connection.frames;
        let begins = connection.begins();
        for first in connection.sample(frames.len().saturating_sub(1), frames.len()) {
            let mut swapped = frames.clone();
            swapped.swap(first, first + 1);
            let resets =
                [first, first + 1].iter().any(|&it| flags(&frames[it]).contains(TcpFlags::RST));
            let what = || format!("packets {} and {} swapped", first + 1, first + 2);
            if begins && !resets {
                connection.nothing_changes(swapped, failures, what);
            } else {
                connection.printed_is_true(swapped, failures, what);
            }
        }
    });
}

/// Each packet twice, at once and after the next one, with that one's time. A datagram that was sent twice
/// by the same way may be a client's second try: which of the two is answered cannot be known.
#[test]
fn copies_change_nothing() {
    for_each_connection(|connection, failures| {
        let frames = &connection.frames;
        for number in connection.sample(frames.len(), 2 * frames.len()) {
            for later in [0, 1, 2] {
                let place = (number + later).min(frames.len() - 1);
                let copy = Frame { time_ns: frames[place].time_ns, ..frames[number] };
                let mut frames = frames.clone();
                frames.insert(place + 1, copy);
                connection.changes_if_joined(frames, failures, || {
                    format!("packet {} once more after packet {}", number + 1, place + 1)
                });
            }
        }
    });
}

/// Each packet missing, and each run of up to five.
#[test]
fn lost_packets_make_nothing_up() {
    for_each_connection(|connection, failures| {
        let frames = &connection.frames;
        for len in 1..=5 {
            let places = (frames.len() + 1).saturating_sub(len);
            for first in connection.sample(places, 5 * frames.len()) {
                let left = frames[..first].iter().chain(&frames[first + len..]).copied();
                connection.printed_is_true(left, failures, || {
                    format!("packets {} to {} lost", first + 1, first + len)
                });
            }
        }
    });
}

#[test]
fn joining_late_makes_nothing_up() {
    for_each_connection(|connection, failures| {
        let frames = &connection.frames;
        for first in connection.sample(frames.len(), frames.len()) {
            let left = frames[first..].iter().copied();
            connection.printed_is_true(left, failures, || format!("joined at {}", first + 1));
        }
    });
}

#[test]
fn cut_packets_make_nothing_up() {
    for_each_connection(|connection, failures| {
        for snaplen in SNAPLENS {
            let frames = connection.frames.iter().map(|frame| cut(frame, snaplen));
            let outcome = connection
                .printed_is_true(frames, failures, || format!("at a snaplen of {snaplen}"));
            let (left, all) = (outcome.seen.len(), connection.whole.seen.len());
            let is_whole = |frame: &Frame<'_>| cut(frame, snaplen).bytes == frame.bytes;
            if connection.frames.iter().all(is_whole) && left != all {
                failures.add(|| {
                    format!("{}: {left} of {all} remain, and nothing was cut", connection.name)
                });
            }
        }
    });
}

/// Where few packets are longer than the default snaplen, few transactions may be lost by it. How many
/// remain of the others is written down beside each capture.
#[test]
fn short_messages_survive_the_snaplen() {
    let mut tried = 0;
    for capture in captures() {
        let frames = capture.frames();
        let is_long = |frame: &Frame<'_>| cut(frame, SHORT).bytes != frame.bytes;
        let long = frames.iter().filter(|frame| is_long(frame)).count();
        let with_payload = frames.iter().filter(|frame| segments::payload_len(frame) > 0).count();
        if long * FEW > with_payload {
            continue;
        }
        tried += 1;
        let all = replay(capture.protocol, frames.iter().copied()).seen.len();
        let left = remaining(&capture, SHORT);
        assert!(all - left <= (all / 10).max(1), "{}: {left} of {all} remain", capture.name());
    }
    assert!(tried > 0, "all captures have long packets");
}
