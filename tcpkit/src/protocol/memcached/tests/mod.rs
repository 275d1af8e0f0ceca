//! Tests of the decoder as a whole, through a driver that does what the stream layer does.

mod binary;
mod datagrams;
mod gaps;
mod meta;
mod packets;
mod probes;
mod properties;
mod quiet;
mod text;

use super::PROTOCOL;
use crate::protocol::{
    DecodeOptions, Direction,
    driver::{Driver, decode_cut},
};

use Direction::{Request, Response};

/// Bytes as tests write them: `|` stands for CRLF.
fn bytes(text: &str) -> Vec<u8> {
    text.replace('|', "\r\n").into_bytes()
}

/// Feeds a decoder of this protocol.
fn new_driver() -> Driver {
    Driver::new(&PROTOCOL, DecodeOptions::default())
}

/// Plays a dialogue in pieces of several sizes.
fn play(dialogue: &[(Direction, Vec<u8>)]) -> Driver {
    let run = |size: usize| {
        let mut driver = new_driver();
        for (direction, bytes) in dialogue {
            for piece in bytes.chunks(size) {
                driver.feed(*direction, piece);
            }
        }
        driver
    };
    let whole = run(usize::MAX);
    for size in [1, 2, 3, 7, 64, 1000] {
        let cut = run(size);
        assert_eq!(cut.lines(), whole.lines(), "in pieces of {size}");
        assert_eq!(cut.seen, whole.seen, "in pieces of {size}");
        assert_eq!(cut.broken, whole.broken, "in pieces of {size}");
    }
    whole
}

/// A dialogue of lines `> request` and `< response`.
fn dialogue(lines: &[&str]) -> Vec<(Direction, Vec<u8>)> {
    let line = |line: &&str| match line.split_at(2) {
        ("> ", text) => (Request, bytes(text)),
        ("< ", text) => (Response, bytes(text)),
        _ => panic!("no line of a dialogue: {line}"),
    };
    lines.iter().map(line).collect()
}

fn check(lines: &[&str], expect: &[&str]) {
    let driver = play(&dialogue(lines));
    assert_eq!(driver.broken, None, "{lines:?}: {:#?}", driver.lines());
    assert_eq!(driver.lines(), expect, "{lines:?}");
    assert!(driver.pending.iter().all(Vec::is_empty));
}

/// After what is expected nothing more is read.
fn check_ends(lines: &[&str], expect: &[&str]) {
    let driver = play(&dialogue(lines));
    assert!(driver.broken.is_some(), "{lines:?}");
    assert_eq!(driver.lines(), expect, "{lines:?}");
}

/// The fields of the only request and its response.
fn check_fields(request: &str, response: &str, expect: [&str; 2]) {
    let driver = play(&[(Request, bytes(request)), (Response, bytes(response))]);
    let fields: Vec<_> = driver.seen.iter().map(|seen| seen.fields.as_str()).collect();
    assert_eq!(fields, expect, "{request}");
}
