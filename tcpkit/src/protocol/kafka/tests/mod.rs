//! Tests of the decoder as a whole, through a driver that does what the stream layer does.

mod gaps;
mod links;
mod oracle;
mod oracle_responses;
mod probes;
mod properties;
mod rejoins;
mod requests;
mod responses;
mod secrets;
mod wire;

use self::wire::{Wire, flexible_request, request, response, sized};
use super::PROTOCOL;
use crate::protocol::{
    DecodeOptions, Direction,
    driver::{self, Driver},
};

use Direction::{Request, Response};

fn new_driver() -> Driver {
    Driver::new(&PROTOCOL, DecodeOptions::default())
}

/// See [`driver::decode_all`].
fn decode_all(direction: Direction, bytes: &[u8]) -> Driver {
    driver::decode_all(&PROTOCOL, direction, bytes, &DecodeOptions::default())
}

/// What requests read as, in every segmentation.
fn check_requests(bytes: &[u8], expect: &[&str]) {
    let driver = decode_all(Request, bytes);
    assert_eq!(driver.broken, None);
    assert_eq!(driver.lines(), expect);
    assert!(driver.pending.iter().all(Vec::is_empty));
}

/// What a response to a call reads as, whole and cut anywhere.
fn check_response(key: i16, version: i16, body: &[u8], expect: &str) {
    let bytes = response(7, body);
    for cut in 0..bytes.len() {
        let mut driver = new_driver();
        driver.feed(Request, &request(key, version, 7, Some("c"), &[]));
        driver.feed(Response, &bytes[..cut]);
        driver.feed(Response, &bytes[cut..]);
        assert_eq!(driver.broken, None);
        let lines = driver.lines();
        assert_eq!(lines[1..], [expect], "{key} v{version} cut at {cut}");
    }
}
