//! Connections that begin with an HTTP/1.1 request and are upgraded (RFC 7540 §3.2): that request is the
//! first stream.

use super::{
    Http2Decoder,
    hpack::{Headers, Name},
    side::Block,
};
use crate::protocol::{Scratch, Step};

/// A longer head is not waited for, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// The longest method, in bytes.
const MAX_METHOD: usize = 16;

/// What the first bytes of a side are that does not begin with HTTP/2.
enum Head<'a> {
    /// A head, without the empty line, and its length with it.
    Whole(&'a [u8], usize),
    More,
    No,
}

impl Http2Decoder {
    /// The request that asks for the upgrade, if it is one.
    pub(super) fn upgrade_request<'s>(
        &mut self,
        input: &[u8],
        scratch: &'s mut Scratch,
    ) -> Option<Step<'s>> {
        if self.highest != 0 || !begins_with_method(input) {
            return None;
        }
        let (head, len) = match head(input) {
            Head::Whole(head, len) => (head, len),
            Head::More => return Some(Step::NeedMore { at_least: input.len().saturating_add(1) }),
            Head::No => return None,
        };
        let headers = upgrade_headers(head, scratch.take_bytes())?;
        let block = Block { stream: 1, is_promise: false, end_stream: true };
        let message = self.open(&block, headers, scratch);
        Some(Step::Consumed { len, message: Some(message) })
    }

    /// The response that grants it; the stream's own comes in frames.
    pub(super) fn upgrade_response(&self, input: &[u8]) -> Option<Step<'static>> {
        const GRANTED: &[u8] = b"HTTP/1.1 101 ";
        if !input.starts_with(GRANTED) {
            let may_be = GRANTED.starts_with(input);
            return may_be.then_some(Step::NeedMore { at_least: GRANTED.len() });
        }
        match head(input) {
            Head::Whole(_, len) => Some(Step::Discard { len }),
            Head::More => Some(Step::NeedMore { at_least: input.len().saturating_add(1) }),
            Head::No => None,
        }
    }
}

fn head(input: &[u8]) -> Head<'_> {
    const END: &[u8] = b"\r\n\r\n";
    match memchr::memmem::find(input, END) {
        Some(len) => {
            let head = input.get(..len).unwrap_or_default();
            Head::Whole(head, len.saturating_add(END.len()))
        }
        None if input.len() < MAX_HEAD => Head::More,
        None => Head::No,
    }
}

/// Whether a method stands here, as far as is visible.
fn begins_with_method(input: &[u8]) -> bool {
    let word = input.get(..MAX_METHOD.min(input.len())).unwrap_or_default();
    let len = word.iter().position(|byte| *byte == b' ');
    let is_method =
        |word: &[u8]| word.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'-');
    match len {
        Some(len) => len > 0 && is_method(word.get(..len).unwrap_or_default()),
        None => input.len() < MAX_METHOD && is_method(word),
    }
}

/// What is of interest in a head that asks for an upgrade; `None` when it does not, or has content, which
/// would have to be counted.
fn upgrade_headers(head: &[u8], memory: Vec<u8>) -> Option<Headers> {
    let mut headers = Headers::new(memory);
    let mut lines = head.split(|byte| *byte == b'\n');
    let mut words = lines.next()?.trim_ascii_end().split(|byte| *byte == b' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if version != b"HTTP/1.1" || words.next().is_some() {
        return None;
    }
    headers.add(Name::Method, method);
    headers.add(Name::Path, target);
    let mut asks = false;
    for line in lines {
        let (name, value) = line.split_at_checked(memchr::memchr(b':', line)?)?;
        let value = value.get(1..)?.trim_ascii();
        if name.eq_ignore_ascii_case(b"host") {
            headers.add(Name::Authority, value);
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            asks |= value.split(|byte| *byte == b',').any(|it| it.trim_ascii() == b"h2c");
        } else if name.eq_ignore_ascii_case(b"transfer-encoding")
            || (name.eq_ignore_ascii_case(b"content-length") && value != b"0")
        {
            return None;
        }
    }
    asks.then_some(headers)
}
