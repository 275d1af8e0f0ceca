//! Tests of the decoder as a whole, through a driver that does what the stream layer does.

mod calls;
mod exchanges;
mod frames;
mod gaps;
mod midstream;
mod probes;
mod properties;
mod upgrades;

use super::{
    PROTOCOL,
    frame::{PREFACE, flag, kind},
    grpc,
    hpack::tests::{Encoder, How},
};
use crate::protocol::{
    Correlation, DecodeOptions, Direction, Part, Protocol, Status,
    driver::{Driver, Seen},
};

use Direction::{Request, Response};

/// A frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A DATA frame with the last flag set or not.
fn data(stream: u32, payload: &[u8], end: bool) -> Vec<u8> {
    frame(kind::DATA, u8::from(end), stream, payload)
}

/// A connection's two encoders, for frames with header blocks.
#[derive(Default)]
struct Talk {
    client: Encoder,
    server: Encoder,
}

const GET: &[(&str, &str)] =
    &[(":method", "GET"), (":scheme", "http"), (":authority", "example.com"), (":path", "/a?x=1")];

const OK: &[(&str, &str)] = &[(":status", "200"), ("content-type", "text/plain")];

const CALL: &[(&str, &str)] = &[
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/pkg.Service/Method"),
    (":authority", "example.com"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
];

impl Talk {
    /// A HEADERS frame; every field is added to the table.
    fn headers(
        &mut self,
        direction: Direction,
        stream: u32,
        fields: &[(&str, &str)],
        end: bool,
    ) -> Vec<u8> {
        let block = self.block(direction, fields);
        frame(kind::HEADERS, flag::END_HEADERS | u8::from(end), stream, &block)
    }

    fn block(&mut self, direction: Direction, fields: &[(&str, &str)]) -> Vec<u8> {
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| (*name, *value, How::Number)).collect();
        match direction {
            Request => self.client.encode(&fields),
            Response => self.server.encode(&fields),
        }
    }
}

/// With what both sides begin.
fn opening() -> [(Direction, Vec<u8>); 2] {
    let settings = frame(kind::SETTINGS, 0, 0, &[]);
    [(Request, [PREFACE, &settings].concat()), (Response, settings)]
}

/// Feeds what either side says in pieces of a size.
fn play(
    protocol: &'static Protocol,
    script: &[(Direction, Vec<u8>)],
    size: usize,
    options: &DecodeOptions,
) -> Driver {
    let mut driver = Driver::new(protocol, options.clone());
    for (direction, bytes) in opening().iter().chain(script) {
        for piece in bytes.chunks(size) {
            driver.feed(*direction, piece);
        }
    }
    driver
}

/// The same in pieces of any size, which makes no difference.
fn play_all(
    protocol: &'static Protocol,
    script: &[(Direction, Vec<u8>)],
    options: &DecodeOptions,
) -> Driver {
    let whole = play(protocol, script, usize::MAX, options);
    for size in [1, 2, 3, 5, 7, 9, 10, 13, 64] {
        let cut = play(protocol, script, size, options);
        assert_eq!(cut.seen, whole.seen, "in pieces of {size}");
        assert_eq!(cut.broken, whole.broken, "in pieces of {size}");
    }
    whole
}

fn check(script: &[(Direction, Vec<u8>)], expect: &[&str]) {
    check_protocol(&PROTOCOL, script, expect);
}

fn check_protocol(protocol: &'static Protocol, script: &[(Direction, Vec<u8>)], expect: &[&str]) {
    let driver = play_all(protocol, script, &DecodeOptions::default());
    assert_eq!(driver.broken, None);
    assert_eq!(driver.lines(), expect);
    assert!(driver.pending.iter().all(Vec::is_empty));
}

/// Why these bytes of a client or server are not accepted.
fn broken(direction: Direction, bytes: &[u8]) -> Option<&'static str> {
    play_all(&PROTOCOL, &[(direction, bytes.to_vec())], &DecodeOptions::default()).broken
}
