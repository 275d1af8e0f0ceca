//! Whether the first bytes of one side of a connection are Kafka's.
//!
//! A request tells by its size, key, version and client's name. A response begins with its size and the
//! number of its request, which is small at a connection's beginning, and with a throttle time, a count or
//! an error code, all of which begin with small 16 bits. Other protocols begin so too: it is never more
//! than [`Probe::Either`], and whoever wants to be sure asks for the other side's bytes.

use super::{
    Head,
    header::{self, MIN_REQUEST, MIN_RESPONSE, USUAL_MAX_REQUEST},
    reader::Reader,
    rejoin::{self, Judgment},
};
use crate::protocol::Probe;

/// Numbers of requests from here on are not believed at a connection's beginning. Clients begin with 0, 1
/// or thereabouts.
const MAX_FIRST_ID: u32 = 1 << 20;

/// What the first bytes that one side sent look like.
pub(super) fn probe(bytes: &[u8]) -> Probe {
    match request(bytes) {
        Probe::No => response(bytes),
        other => other,
    }
}

fn request(bytes: &[u8]) -> Probe {
    let Some(size) = header::size(bytes) else {
        // The largest size begins with these bits.
        let high = u8::try_from(USUAL_MAX_REQUEST >> 24).unwrap_or(u8::MAX);
        let may_be = bytes.first().is_none_or(|first| *first <= high);
        return if may_be { Probe::Unsure } else { Probe::No };
    };
    if !(MIN_REQUEST..=USUAL_MAX_REQUEST).contains(&size) {
        return Probe::No;
    }
    let total = usize::try_from(size).unwrap_or(usize::MAX).saturating_add(header::SIZE);
    let head = Head::new(bytes, total);
    let mut fixed = Reader::new(head.bytes, false);
    let may_be = match (fixed.i16(), fixed.i16()) {
        (Some(key), Some(version)) => header::is_known(key, version),
        (Some(key), None) => header::is_known(key, 0),
        _ => head.bytes.first().is_none_or(|first| *first == 0),
    };
    if !may_be {
        return Probe::No;
    }
    match rejoin::judge(head) {
        Judgment::Request => Probe::Request,
        Judgment::Unsure if may_name_follow(head.bytes, total) => Probe::Unsure,
        Judgment::Unsure | Judgment::Other => Probe::No,
    }
}

/// Whether a client's name may stand behind the number, as far as is visible.
fn may_name_follow(message: &[u8], total: usize) -> bool {
    let Some(behind) = message.get(8..) else { return true };
    let mut reader = Reader::new(behind, false);
    let Some(len) = reader.i16() else { return true };
    let visible = behind.get(2..).unwrap_or_default();
    let Ok(len) = usize::try_from(len) else { return len == -1 };
    let visible = visible.get(..len).unwrap_or(visible);
    len <= total && len <= header::MAX_CLIENT && !visible.iter().any(u8::is_ascii_control)
}

fn response(bytes: &[u8]) -> Probe {
    let mut reader = Reader::new(bytes, false);
    let Some(size) = reader.i32() else {
        // As of a request: no longer than that.
        return Probe::No;
    };
    if !(MIN_RESPONSE.saturating_add(1)..=USUAL_MAX_REQUEST).contains(&size) {
        return Probe::No;
    }
    let Some(id) = reader.u32() else {
        let may_be = bytes.get(header::SIZE).is_none_or(|first| *first == 0);
        return if may_be { Probe::Unsure } else { Probe::No };
    };
    if id >= MAX_FIRST_ID {
        return Probe::No;
    }
    match reader.i16() {
        // A throttle time, a count, an error's code or, in flexible versions, no tagged field before them.
        Some(-1..=0xff) => Probe::Either,
        Some(_) => Probe::No,
        None if reader.left() == usize::try_from(size).unwrap_or(usize::MAX) => Probe::No,
        None => Probe::Unsure,
    }
}
