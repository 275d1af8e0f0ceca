//! What first bytes look like, and where in a connection a frame begins.

use super::frame::{FrameHeader, HEADER_LEN, PREFACE, USUAL_PAYLOAD, flag, kind};
use crate::protocol::{Direction, Probe};

/// Settings that a server sends first; more are not waited for.
const MAX_SETTINGS: u32 = 32 * 6;

/// What the first bytes that one side sent look like: a client begins with its preface, a server with
/// its settings (RFC 9113 §3.4).
pub(super) fn probe(bytes: &[u8]) -> Probe {
    if let Some(byte) = bytes.first()
        && *byte == b'P'
    {
        return if bytes.starts_with(PREFACE) {
            Probe::Request
        } else if PREFACE.starts_with(bytes) {
            Probe::Unsure
        } else {
            Probe::No
        };
    }
    // SETTINGS, not ACK, on stream 0.
    const EXPECTED: [u8; HEADER_LEN] = [0, 0, 0, kind::SETTINGS, 0, 0, 0, 0, 0];
    for (at, (byte, expected)) in bytes.iter().zip(EXPECTED).enumerate() {
        let is_as_expected = match at {
            1 | 2 => true,
            _ => *byte == expected,
        };
        if !is_as_expected {
            return Probe::No;
        }
    }
    let len = match bytes {
        [_, high, low, ..] => u32::from_be_bytes([0, 0, *high, *low]),
        [_, high] if *high == 0 => return Probe::Unsure,
        [_, _] => return Probe::No,
        _ => return Probe::Unsure,
    };
    if !len.is_multiple_of(6) || len > MAX_SETTINGS {
        return Probe::No;
    }
    if bytes.len() < HEADER_LEN { Probe::Unsure } else { Probe::Response }
}

/// Whether a packet that carries `input` certainly begins with a frame.
///
/// The header must be one that somebody would send, and lead to a second such header or to the
/// packet's exact end. In bytes without meaning one header is right by chance once in 2^22 times: a
/// length of at most 16 KiB (2^-10), one of ten types (2^-4), flags that the type has (2^-4 or less),
/// the bit that nobody sets (2^-1), and a stream of the right parity, or stream 0 where the type wants
/// that, and the length that the type has (2^-1 to 2^-50). Two of them, or one whose length hits the
/// packet's end, make 2^-36 or less. Text never passes, since no type is printable, nor do zeros, since
/// DATA has a stream.
pub(super) fn begins_with_frame(direction: Direction, input: &[u8], max_payload: u32) -> bool {
    let max_payload = max_payload.max(USUAL_PAYLOAD);
    let mut rest = input;
    let mut count = 0_u32;
    // A header block is not interrupted.
    let mut open_block = None;
    while let Some(header) = FrameHeader::parse(rest) {
        if !header.is_plausible(direction, max_payload) {
            return false;
        }
        let continues = header.kind == kind::CONTINUATION;
        if open_block != continues.then_some(header.stream) {
            return false;
        }
        let is_block = continues || matches!(header.kind, kind::HEADERS | kind::PUSH_PROMISE);
        open_block = (is_block && !header.has(flag::END_HEADERS)).then_some(header.stream);
        count = count.saturating_add(1);
        match rest.get(header.total()..) {
            Some(behind) => rest = behind,
            None => return count > 1,
        }
    }
    count > 1 || (count == 1 && rest.is_empty())
}
