//! What real servers said: transcripts in `tests/fixtures/redis`.

use super::*;

/// A transcript and what it is expected to be read as.
struct Fixture {
    name: &'static str,
    transcript: &'static str,
    expected: &'static str,
}

macro_rules! fixtures {
    ($($name:literal)*) => {
        &[$(Fixture {
            name: $name,
            transcript: fixtures!(@file $name ".txt"),
            expected: fixtures!(@file $name ".expected"),
        }),*]
    };
    (@file $name:literal $extension:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/redis/", $name, $extension,
        ))
    };
}

const FIXTURES: &[Fixture] = fixtures![
    "monitor" "multi" "pubsub2" "pubsub3" "replication" "reply" "resp2" "resp3" "secrets"
];

/// One line of a transcript.
enum Line {
    /// A step begins: what was sent before has been answered.
    Step,
    Bytes(Direction, Vec<u8>),
}

fn parse(text: &str) -> Vec<Line> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| match line.split_at(1) {
            ("=", _) => Line::Step,
            (">", bytes) => Line::Bytes(Request, unescape(bytes.trim_start())),
            ("<", bytes) => Line::Bytes(Response, unescape(bytes.trim_start())),
            _ => panic!("no line of a transcript: {line}"),
        })
        .collect()
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match (byte, byte == b'\\') {
            (_, true) => match rest.next() {
                Some(b'r') => bytes.push(b'\r'),
                Some(b'n') => bytes.push(b'\n'),
                Some(b'\\') => bytes.push(b'\\'),
                Some(b'x') => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    let digits = std::str::from_utf8(&digits).unwrap();
                    bytes.push(u8::from_str_radix(digits, 16).unwrap());
                }
                other => panic!("escape {other:?}"),
            },
            (byte, false) => bytes.push(byte),
        }
    }
    bytes
}

/// Decodes a transcript in pieces of at most `size` bytes, and checks that after each step nothing
/// waits: as many responses were told to answer as there were requests to be answered.
fn replay(name: &str, lines: &[Line], size: usize) -> Vec<Seen> {
    let mut driver = new_driver(DecodeOptions::default());
    let mut step = 0;
    for line in lines {
        match line {
            Line::Bytes(direction, bytes) => {
                for piece in bytes.chunks(size) {
                    driver.feed(*direction, piece);
                }
            }
            Line::Step => {
                step += 1;
                let count = |direction| {
                    let ordered = driver.seen.iter().filter(|seen| {
                        seen.direction == direction && seen.correlation == Correlation::Ordered
                    });
                    ordered.count()
                };
                let lines = driver.lines();
                assert_eq!(driver.broken, None, "{name} step {step} {lines:#?}");
                assert_eq!(count(Request), count(Response), "{name} step {step} {lines:#?}");
            }
        }
    }
    assert!(step > 0);
    driver.seen
}

#[test]
fn every_request_of_a_transcript_has_its_response() {
    for Fixture { name, transcript, expected } in FIXTURES {
        let lines = parse(transcript);
        let whole = replay(name, &lines, usize::MAX);
        for size in [1, 2, 3, 10, 100] {
            assert_eq!(replay(name, &lines, size), whole, "{name} in pieces of {size}");
        }
        let got: String =
            whole.iter().map(|seen| format!("{} | {}\n", seen.line(), seen.fields)).collect();
        assert!(got == *expected, "{name}.expected differs; what came out is\n{got}");
    }
}

/// Wherever a transcript is entered after a resync, what follows is read without complaint.
#[test]
fn a_transcript_can_be_entered_between_steps() {
    for Fixture { name, transcript, .. } in FIXTURES {
        // A replica's has bytes that are no RESP, behind a line that must be seen.
        if *name == "replication" {
            continue;
        }
        let lines = parse(transcript);
        let steps = lines.iter().enumerate().filter(|(_, line)| matches!(line, Line::Step));
        for (start, _) in steps {
            let mut driver = new_driver(DecodeOptions::default());
            for line in &lines[start..] {
                if let Line::Bytes(direction, bytes) = line {
                    driver.feed(*direction, bytes);
                }
            }
            assert_eq!(driver.broken, None, "{name} from line {start}");
        }
    }
}
