//! Responses: interim ones, whole ones, and the ones that end HTTP on their connection.

use super::{
    body::{Body, Pause},
    describe::{self, field},
    framing::{Extent, Framing},
    head::{Line, Search, Stop},
    invalid,
    link::{Kind, Link},
};
use crate::protocol::{
    Correlation, Direction, Draft, Message, Part, Scratch, Status, Step, cursor::Cursor,
};

/// The server's side of a connection.
#[derive(Debug, Default)]
pub(super) struct Responses {
    search: Search,
    body: Body,
    /// What the response in progress says; none at rest.
    draft: Option<Box<Draft>>,
    is_error: bool,
}

/// What a head says.
struct Response {
    len: usize,
    status: u16,
    extent: Extent,
    /// What is shown of it; nothing of an interim one.
    draft: Option<Box<Draft>>,
}

impl Responses {
    /// Goes on with the response in progress, or begins one.
    #[inline]
    pub(super) fn decode<'s>(
        &mut self,
        input: &[u8],
        link: &mut Link,
        scratch: &'s mut Scratch,
    ) -> Step<'s> {
        let mut cursor = Cursor::new(input);
        if !self.body.is_begun() {
            match input {
                [] => return Step::NeedMore { at_least: 1 },
                // Behind a body that is longer than it says by a line end, as old servers sent.
                [b'\r' | b'\n', ..] => {
                    let end = input.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
                    return Step::Discard { len: end.unwrap_or(input.len()) };
                }
                _ => {}
            }
            let response = match self.begin(input, link.turn(), scratch) {
                Ok(response) => response,
                Err(Stop::Need(at_least)) => return Step::NeedMore { at_least },
                Err(Stop::Broken(reason)) => return invalid(reason),
            };
            cursor.advance(response.len);
            let Some(draft) = response.draft else {
                if response.status == 100 {
                    link.leave_given();
                }
                let interim = Message::bare(Correlation::OneWay, Part::Whole);
                return Step::Consumed { len: response.len, message: Some(interim) };
            };
            self.body = Body::new(response.extent);
            self.draft = Some(draft);
            self.is_error = response.status >= 400;
            note(response.status, link);
        }
        match self.body.run(&mut cursor) {
            Pause::Done(size) => {
                Step::Consumed { len: cursor.consumed(), message: self.finish(size, scratch) }
            }
            pause => pause.step(&cursor),
        }
    }

    /// Reads the head of a response to a request of this kind.
    #[inline]
    fn begin(&mut self, input: &[u8], kind: Kind, scratch: &mut Scratch) -> Result<Response, Stop> {
        self.search
            .find(Direction::Response, input, |head| {
                let Line::Response { status, version } = head.line else {
                    return Err("no status line");
                };
                if status < 100 {
                    return Err("no status that exists");
                }
                if matches!(status, 100 | 102..=199) {
                    return Ok(Response {
                        len: head.len,
                        status,
                        extent: Extent::None,
                        draft: None,
                    });
                }
                let mut draft = scratch.draft();
                describe::response(&mut draft, status, head);
                // RFC 9112 §6.3.
                let has_no_body = matches!(status, 101 | 204 | 304)
                    || kind == Kind::Head
                    || kind == Kind::Connect && matches!(status, 200..=299);
                let extent =
                    if has_no_body { Ok(Extent::None) } else { extent(head.headers, version) };
                match extent {
                    Ok(extent) => {
                        Ok(Response { len: head.len, status, extent, draft: Some(draft) })
                    }
                    Err(reason) => {
                        scratch.discard(draft);
                        Err(reason)
                    }
                }
            })?
            .map_err(Stop::Broken)
    }

    /// The message of the response in progress, whose body holds so many bytes.
    fn finish<'s>(&mut self, size: u64, scratch: &'s mut Scratch) -> Option<Message<'s>> {
        let mut draft = self.draft.take()?;
        draft.fields.int(field::RESPONSE_BODY, i64::try_from(size).unwrap_or(i64::MAX));
        let status = if self.is_error { Status::Error } else { Status::Ok };
        Some(scratch.finish(draft, Correlation::Ordered, status))
    }

    /// See [`crate::protocol::Decoder::handle_gap`].
    pub(super) fn handle_gap(&mut self, len: u64) -> u64 {
        self.body.absorb(len)
    }

    /// See [`crate::protocol::Decoder::handle_end`].
    pub(super) fn handle_end<'s>(&mut self, scratch: &'s mut Scratch) -> Option<Message<'s>> {
        let size = self.body.end()?;
        self.finish(size, scratch)
    }
}

/// What the header fields say of the body's end.
#[inline]
fn extent(headers: &[httparse::Header<'_>], version: u8) -> Result<Extent, &'static str> {
    let mut framing = Framing::default();
    for header in headers {
        match header.name.len() {
            14 if describe::is(header, "content-length") => framing.content_length(header.value),
            17 if describe::is(header, "transfer-encoding") => {
                framing.transfer_encoding(header.value);
            }
            _ => {}
        }
    }
    framing.of_response(version)
}

/// Notes what a response does to its connection.
#[inline]
fn note(status: u16, link: &mut Link) {
    let kind = link.turn();
    link.answered();
    if status == 101 || kind == Kind::Connect && matches!(status, 200..=299) {
        link.leave_http();
    }
}
