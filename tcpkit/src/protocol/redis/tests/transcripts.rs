//! What real servers said: transcripts in `tests/fixtures/redis`.

use std::{fs, path::PathBuf};

use super::*;

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

fn fixtures() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/redis");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    assert!(files.len() >= 6, "fixtures are missing");
    files
}

/// Decodes a transcript in pieces of at most `size` bytes, and checks that after each step nothing
/// waits: as many responses were told to answer as there were requests to be answered.
fn replay(path: &PathBuf, lines: &[Line], size: usize) -> Vec<Seen> {
    let mut driver = Driver::new(DecodeOptions::default());
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
                assert_eq!(driver.broken, None, "{path:?} step {step} {lines:#?}");
                assert_eq!(count(Request), count(Response), "{path:?} step {step} {lines:#?}");
            }
        }
    }
    assert!(step > 0);
    driver.seen
}

#[test]
fn every_request_of_a_transcript_has_its_response() {
    for path in fixtures() {
        let lines = parse(&fs::read_to_string(&path).unwrap());
        let whole = replay(&path, &lines, usize::MAX);
        assert!(whole.len() > 2, "{path:?}");
        for size in [1, 2, 3, 10, 100] {
            assert_eq!(replay(&path, &lines, size), whole, "{path:?} in pieces of {size}");
        }
        let golden = path.with_extension("expected");
        let got: String =
            whole.iter().map(|seen| format!("{} | {}\n", seen.line(), seen.fields)).collect();
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        if got != expected {
            // Beside the golden file, to be looked at and moved over it.
            fs::write(path.with_extension("actual"), &got).unwrap();
            panic!("{golden:?} differs; what came out is in .actual beside it");
        }
    }
}
