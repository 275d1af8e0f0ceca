//! What holds for all talk: whatever is paired is paired rightly, however it is cut.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::{packets::*, *};
use crate::protocol::Correlation;

/// A request, and what the server answers.
#[derive(Clone, Debug)]
struct Exchange {
    request: Vec<u8>,
    response: Option<Vec<u8>>,
    /// It is answered in any case.
    loud: bool,
}

fn exchange(request: &str, response: Option<&str>, loud: bool) -> Exchange {
    Exchange { request: bytes(request), response: response.map(bytes), loud }
}

/// A text command with its answer; keys and opaques are few, so that they repeat.
fn text() -> impl Strategy<Value = Exchange> {
    let value = "[a-zEND\\r\\n ]{0,40}";
    (0..13_u8, 0..3_u8, any::<bool>(), 0..4_u8, value).prop_map(
        |(kind, key, good, marks, value)| {
            let length = value.len();
            let opaque = if marks & 1 == 1 { format!(" O{key}") } else { String::new() };
            let wants_key = if marks & 2 == 2 { " k" } else { "" };
            let echo = format!(
                "{opaque}{}",
                if marks & 2 == 2 { format!(" kk{key}") } else { String::new() }
            );
            let pick = |yes: &str, no: &str| if good { yes.to_owned() } else { no.to_owned() };
            let (request, response, loud) = match kind {
                0 => (
                    format!("get k{key} other|"),
                    Some(pick(&format!("VALUE k{key} 0 {length}|{value}|END|"), "END|")),
                    true,
                ),
                1 => (
                    format!("set k{key} 0 0 {length}|{value}|"),
                    Some(pick("STORED|", "NOT_STORED|")),
                    true,
                ),
                2 => (format!("set k{key} 0 0 {length} noreply|{value}|"), None, false),
                3 => (
                    format!("mg k{key} v{opaque}{wants_key}|"),
                    Some(pick(&format!("VA {length}{echo}|{value}|"), &format!("EN{echo}|"))),
                    true,
                ),
                4 | 5 => (
                    format!("mg k{key} v q{opaque}{wants_key}|"),
                    good.then(|| format!("VA {length}{echo}|{value}|")),
                    false,
                ),
                6 => (
                    format!("ms k{key} {length} q{opaque}{wants_key}|{value}|"),
                    (!good).then(|| format!("NS{echo}|")),
                    false,
                ),
                7 | 8 => ("mn|".to_owned(), Some("MN|".to_owned()), true),
                9 => (format!("incr k{key} 5|"), Some(pick("17|", "NOT_FOUND|")), true),
                10 => (format!("delete k{key}|"), Some(pick("DELETED|", "NOT_FOUND|")), true),
                11 => ("nosuch|".to_owned(), Some("ERROR|".to_owned()), true),
                _ => (format!("md k{key} q|"), (!good).then(|| "NF|".to_owned()), false),
            };
            exchange(&request, response.as_deref(), loud)
        },
    )
}

/// A binary request with its answer.
fn binary() -> impl Strategy<Value = Exchange> {
    (0..7_u8, 0..3_u8, any::<bool>(), 0..3_u32, prop::collection::vec(any::<u8>(), 0..40)).prop_map(
        |(kind, key, good, opaque, value)| {
            let key = format!("k{key}");
            let (request, response, loud) = match kind {
                0 => {
                    let hit = hit(GET, opaque, "", &value);
                    let miss = response(GET, 1, opaque, b"Not found");
                    (request(GET, opaque, &key), Some(if good { hit } else { miss }), true)
                }
                1 => {
                    let status = if good { 0 } else { 2 };
                    (
                        store(SET, opaque, &key, &value),
                        Some(response(SET, status, opaque, b"")),
                        true,
                    )
                }
                2 => (
                    store(SETQ, opaque, &key, &value),
                    (!good).then(|| response(SETQ, 2, opaque, b"")),
                    false,
                ),
                3 => (
                    request(GETQ, opaque, &key),
                    good.then(|| hit(GETQ, opaque, "", &value)),
                    false,
                ),
                4 | 5 => (
                    request(GETKQ, opaque, &key),
                    good.then(|| hit(GETKQ, opaque, &key, &value)),
                    false,
                ),
                _ => (request(NOOP, opaque, ""), Some(response(NOOP, 0, opaque, b"")), true),
            };
            Exchange { request, response, loud }
        },
    )
}

/// Plays batches of exchanges and pairs as the matcher does; says how many requests that are answered in
/// any case were not paired.
fn play_batches(batches: &[Vec<Exchange>], size: usize) -> usize {
    let mut driver = new_driver();
    // The numbers of the exchanges that wait.
    let mut open = VecDeque::new();
    let (mut number, mut unpaired) = (0, 0);
    for batch in batches {
        let first = number;
        for exchange in batch {
            let before = driver.seen.len();
            exchange.request.chunks(size).for_each(|piece| driver.feed(Request, piece));
            if driver.broken.is_some() {
                return 0;
            }
            assert_eq!(driver.seen.len(), before + 1);
            let waits = driver.seen[before].correlation == Correlation::Ordered;
            assert!(waits || !exchange.loud);
            if waits {
                open.push_back(number);
            }
            number += 1;
        }
        for (number, exchange) in (first..).zip(batch) {
            let Some(response) = &exchange.response else { continue };
            let before = driver.seen.len();
            response.chunks(size).for_each(|piece| driver.feed(Response, piece));
            if driver.broken.is_some() {
                // It gave up rather than guess.
                return unpaired;
            }
            assert_eq!(driver.seen.len(), before + 1);
            let seen = &driver.seen[before];
            if seen.correlation == Correlation::Ordered {
                open.drain(..seen.passed_over as usize);
                assert_eq!(open.pop_front(), Some(number), "paired with another request");
            } else {
                unpaired += usize::from(exchange.loud);
            }
        }
        if batch.last().is_some_and(|last| last.loud) {
            assert!(open.is_empty(), "nothing waits behind what is answered");
        }
    }
    unpaired
}

proptest! {
    #[test]
    fn text_is_paired_rightly(
        batches in prop::collection::vec(prop::collection::vec(text(), 1..8), 1..8),
        size in 1..200_usize,
    ) {
        prop_assert_eq!(play_batches(&batches, size), 0);
    }

    #[test]
    fn packets_are_paired_rightly(
        batches in prop::collection::vec(prop::collection::vec(binary(), 1..8), 1..8),
        size in 1..200_usize,
    ) {
        prop_assert_eq!(play_batches(&batches, size), 0);
    }

    #[test]
    fn any_bytes_do_no_harm(
        pieces in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..300)), 0..20),
        size in 1..40_usize,
    ) {
        let mut driver = new_driver();
        for (direction, piece) in pieces {
            let direction = if direction { Request } else { Response };
            piece.chunks(size).for_each(|piece| driver.feed(direction, piece));
        }
        prop_assert!(driver.held < 64 * 1024);
    }

    #[test]
    fn probes_of_any_bytes_agree_with_their_prefixes(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        use crate::protocol::Probe;
        let whole = (PROTOCOL.probe)(&bytes);
        for end in 0..bytes.len() {
            let part = (PROTOCOL.probe)(&bytes[..end]);
            prop_assert!(part == Probe::Unsure || part == whole);
        }
    }
}

/// Where nothing is quiet, nothing is given up.
#[test]
fn loud_requests_are_all_paired() {
    let batch = vec![
        exchange("get a|", Some("END|"), true),
        exchange("set a 0 0 1|x|", Some("STORED|"), true),
        exchange("mg a v|", Some("VA 1|x|"), true),
    ];
    assert_eq!(play_batches(&[batch.clone(), batch], 3), 0);
    let driver = decode_cut(&PROTOCOL, Request, &bytes("get a|"), &[2], DecodeOptions::default());
    assert_eq!(driver.lines(), ["> GET | ordered | get a"]);
}
