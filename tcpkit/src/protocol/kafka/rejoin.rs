//! Whether a packet certainly begins with a message, after bytes were lost or before any were seen.
//!
//! For a request the size, the key, the version for that key, and the length and the characters of the
//! client's name have to make sense, and what follows has to read as that call's body. Of random bytes a
//! share of 2^-5 (size) · 2^-9.5 (key) · 2^-13 (version) · 2^-7 (length of the name) passes the header alone,
//! less than one in 10^10, before its characters and the body are looked at.
//!
//! For a response the number has to be one of a request under way, which of random bytes one in 2^32 is for
//! each of them. Numbers are small, and so are most of the integers in other messages: so it also has to
//! begin as a response to that call does, with a throttle time and error codes that there are, and the
//! message has to end with the packet, or be followed by another one under way, or go on beyond a packet
//! that is full. What is left: where a packet begins in the midst of a message, with two small integers, the
//! one its own length less four, the other under way.

use super::{
    Head, PREFIX,
    apis::{self, key},
    calls::read_body,
    header::{self, MIN_REQUEST, MIN_RESPONSE, Parsed, USUAL_MAX_REQUEST},
    open::Open,
    reader::Reader,
    requests::{self, Asked},
    saying::Saying,
};
use crate::protocol::scratch::Draft;

/// Whether a request begins here.
pub(super) fn request(input: &[u8]) -> bool {
    let Some(total) = extent(input, MIN_REQUEST, USUAL_MAX_REQUEST) else { return false };
    is_request(Head::new(input, total)) && is_followed(input, total, may_be_request)
}

/// Whether what stands behind a size is a request, as far as it is there.
pub(super) fn is_request(head: Head<'_>) -> bool {
    judge(head) == Judgment::Request
}

/// What bytes look like that stand behind a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgment {
    /// A request begins so.
    Request,
    /// A request may begin so; more has to be seen to believe it.
    Unsure,
    /// No request begins so.
    Other,
}

pub(super) fn judge(head: Head<'_>) -> Judgment {
    let (header, mut body) = match header::parse(head.bytes) {
        Parsed::Whole(header, body) => (header, body),
        Parsed::Named(_) | Parsed::Fixed(_) | Parsed::Short if !head.is_whole => {
            return Judgment::Unsure;
        }
        _ => return Judgment::Other,
    };
    if !header::is_known(header.key, header.version) || !header::is_client(header.client) {
        return Judgment::Other;
    }
    let is_all_there = head.is_whole || head.bytes.len().saturating_add(header::SIZE) >= PREFIX;
    let Some(api) = apis::lookup(header.key) else { return Judgment::Other };
    if header.version > api.highest {
        let is_believed = head.is_whole && !header.client.is_empty();
        return if is_believed { Judgment::Request } else { Judgment::Unsure };
    }
    let mut nowhere = Draft::default();
    let asked = requests::describe(&header, &mut body, &mut Saying::new(&mut nowhere));
    let is_odd = body.is_broken()
        || asked.is_cut && head.is_whole
        || header.key == key::PRODUCE && !is_produce(&asked, body, head);
    if is_odd {
        Judgment::Other
    } else if header.client.is_empty() && !is_all_there {
        // Zeros and small numbers look like that: the rest has to make sense, too.
        Judgment::Unsure
    } else {
        Judgment::Request
    }
}

/// The first of the calls has the key 0 and may have the version 0: zeros look like it. So it has to wait
/// for what there is to wait for, and to end where its message does.
fn is_produce(asked: &Asked, mut body: Reader<'_>, head: Head<'_>) -> bool {
    let ends = asked.is_cut || (head.is_whole && body.tags().is_some() && body.left() == 0);
    ends && asked.acks.is_none_or(|acks| (-1..=1).contains(&acks))
}

/// Whether a response to one of these begins here.
pub(super) fn response(input: &[u8], open: &Open) -> bool {
    let Some(total) = extent(input, MIN_RESPONSE, i32::MAX) else { return false };
    let head = Head::new(input, total);
    let mut reader = Reader::new(head.bytes, false);
    let Some(asked) = reader.u32().and_then(|id| open.get(id)) else { return false };
    let answered = read_body(&asked, reader);
    let begins = !(answered.strange || answered.is_cut && head.is_whole);
    // Whoever sends more than a packet fills it, but for records, which may be sent apart from what stands
    // before them.
    let is_long = input.len() >= FULL_PACKET || asked.key == key::FETCH;
    let is_told = is_long && !answered.is_unread && head.bytes.len() >= MIN_TOLD;
    begins
        && (total <= input.len() || is_told)
        && is_followed(input, total, |rest| may_be_response(rest, open))
}

/// So much of a response has to be there, behind its size, to be believed without its end.
const MIN_TOLD: usize = 14;

/// No network's full packets are shorter.
const FULL_PACKET: usize = 512;

/// The length of the message with its size, if that can be.
fn extent(input: &[u8], min: i32, max: i32) -> Option<usize> {
    let size = header::size(input).filter(|size| (min..=max).contains(size))?;
    Some(usize::try_from(size).ok()?.saturating_add(header::SIZE))
}

/// Whether what follows the message in the packet, if anything does, may be another one.
fn is_followed(input: &[u8], total: usize, may_be: impl Fn(&[u8]) -> bool) -> bool {
    match input.get(total..) {
        Some([]) | None => true,
        Some(rest) => may_be(rest),
    }
}

/// Whether a request may begin here, as far as is visible.
fn may_be_request(input: &[u8]) -> bool {
    let Some(size) = header::size(input) else { return input.len() < header::SIZE };
    if !(MIN_REQUEST..=USUAL_MAX_REQUEST).contains(&size) {
        return false;
    }
    match header::parse(input.get(header::SIZE..).unwrap_or_default()) {
        Parsed::Whole(header, _) | Parsed::Named(header) | Parsed::Fixed(header) => {
            header::is_known(header.key, header.version) && header::is_client(header.client)
        }
        Parsed::Short => true,
        Parsed::Broken => false,
    }
}

/// Whether a response to one of these begins here, by size and number.
fn may_be_response(input: &[u8], open: &Open) -> bool {
    let mut reader = Reader::new(input, false);
    match (reader.i32(), reader.u32()) {
        (Some(size), Some(id)) => size >= MIN_RESPONSE && open.contains(id),
        _ => false,
    }
}
