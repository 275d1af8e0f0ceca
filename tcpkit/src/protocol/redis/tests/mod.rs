//! Tests of the decoder as a whole, through a driver that does what the stream layer does.

mod gaps;
mod links;
mod probes;
mod properties;
mod replies;
mod requests;
mod secrets;
mod transcripts;

use super::PROTOCOL;
use crate::protocol::{
    Correlation, DecodeOptions, Direction, Status,
    driver::{self, Driver, Seen, decode_cut},
};

use Direction::{Request, Response};

/// Feeds a decoder of this protocol.
fn new_driver(options: DecodeOptions) -> Driver {
    Driver::new(&PROTOCOL, options)
}

/// See [`driver::decode_all`].
fn decode_all(direction: Direction, bytes: &[u8], options: DecodeOptions) -> Driver {
    driver::decode_all(&PROTOCOL, direction, bytes, &options)
}

/// A command as clients frame it.
fn multibulk(arguments: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// The same of words without white space.
fn command(words: &str) -> Vec<u8> {
    let arguments: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
    multibulk(&arguments)
}

fn check(direction: Direction, bytes: &[u8], expect: &[&str]) {
    let driver = decode_all(direction, bytes, DecodeOptions::default());
    assert_eq!(driver.broken, None, "{:?}", bytes.escape_ascii().to_string());
    assert_eq!(driver.lines(), expect, "{:?}", bytes.escape_ascii().to_string());
    assert!(driver.pending.iter().all(Vec::is_empty));
}

fn check_invalid(direction: Direction, bytes: &[u8]) {
    let driver = decode_all(direction, bytes, DecodeOptions::default());
    assert!(driver.broken.is_some(), "{:?}", bytes.escape_ascii().to_string());
}
