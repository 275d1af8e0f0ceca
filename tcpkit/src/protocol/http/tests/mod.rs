//! Tests of the decoder as a whole, through a driver that does what the stream layer does.

mod connections;
mod gaps;
mod links;
mod probes;
mod properties;
mod requests;
mod responses;
mod smuggling;

use super::PROTOCOL;
use crate::protocol::{
    DecodeOptions, Direction, SecretNames,
    driver::{self, Driver, decode_cut},
};

use Direction::{Request, Response};

fn new_driver() -> Driver {
    Driver::new(&PROTOCOL, DecodeOptions::default())
}

/// See [`driver::decode_all`].
fn decode_all(direction: Direction, bytes: &[u8]) -> Driver {
    driver::decode_all(&PROTOCOL, direction, bytes, &DecodeOptions::default())
}

/// What bytes of one direction are, however they are cut. `bytes` may have lines without their CR.
fn check(direction: Direction, bytes: &str, expect: &[&str]) {
    let driver = decode_all(direction, crlf(bytes).as_bytes());
    assert_eq!(driver.broken, None, "{bytes:?}");
    assert_eq!(driver.lines(), expect, "{bytes:?}");
    assert!(driver.pending.iter().all(Vec::is_empty), "{bytes:?}");
}

fn check_invalid(direction: Direction, bytes: &str) {
    let driver = decode_all(direction, crlf(bytes).as_bytes());
    assert!(driver.broken.is_some(), "{bytes:?}");
    assert_eq!(driver.lines(), Vec::<String>::new(), "{bytes:?}");
}

/// The fields of the only message.
fn check_fields(direction: Direction, bytes: &str, expect: &str) {
    let driver = decode_all(direction, crlf(bytes).as_bytes());
    assert_eq!(driver.broken, None, "{bytes:?}");
    let fields: Vec<_> = driver.seen.iter().map(|seen| seen.fields.as_str()).collect();
    assert_eq!(fields.first().copied(), Some(expect), "{bytes:?}");
}

/// Line ends as HTTP has them. Literals are easier to read without.
fn crlf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\n', "\r\n")
}
