//! Requests: a head, and a body that the server may answer before it is complete.

use super::{
    body::Body,
    describe::{self, field},
    framing::{Extent, Framing},
    head::{Line, Search, Stop},
    invalid,
    link::{Kind, Link},
    probe,
};
use crate::protocol::{
    Correlation, Direction, Draft, MAX_LOOKAHEAD, Message, Part, Probe, Scratch, Status, Step,
    cursor::Cursor,
};

/// The client's side of a connection.
#[derive(Debug, Default)]
pub(super) struct Requests {
    search: Search,
    body: Body,
}

/// What a head says.
struct Request {
    len: usize,
    kind: Kind,
    extent: Extent,
    asks_leave: bool,
    draft: Box<Draft>,
}

impl Requests {
    /// Goes on with the request in progress, or begins one.
    #[inline]
    pub(super) fn decode<'s>(
        &mut self,
        input: &[u8],
        link: &mut Link,
        scratch: &'s mut Scratch,
    ) -> Step<'s> {
        if self.body.is_begun() {
            return self.go_on(input, link);
        }
        match input {
            [] => return Step::NeedMore { at_least: 1 },
            // RFC 9112 §2.2: empty lines before a request are ignored.
            [b'\r' | b'\n', ..] => {
                let end = input.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
                return Step::Discard { len: end.unwrap_or(input.len()) };
            }
            _ if link.is_connecting() => {
                link.go_blind();
                return Step::Discard { len: input.len() };
            }
            _ if link.is_blind() => return invalid("requests were taken for a tunnel's bytes"),
            _ => {}
        }
        match self.begin(input, scratch) {
            Ok(request) => self.take(request, link, scratch),
            Err(Stop::Need(at_least)) => Step::NeedMore { at_least },
            Err(Stop::Broken(reason)) => invalid(reason),
        }
    }

    /// Reads a head.
    #[inline]
    fn begin(&mut self, input: &[u8], scratch: &mut Scratch) -> Result<Request, Stop> {
        self.search
            .find(Direction::Request, input, |head| {
                let Line::Request { method, target, version } = head.line else {
                    return Err("no request line");
                };
                let mut framing = Framing::default();
                let mut host: Option<&[u8]> = None;
                let mut expects = false;
                for header in head.headers {
                    match header.name.len() {
                        4 if describe::is(header, "host") => host = host.or(Some(header.value)),
                        6 if describe::is(header, "expect") => {
                            expects |= header.value.eq_ignore_ascii_case(b"100-continue");
                        }
                        14 if describe::is(header, "content-length") => {
                            framing.content_length(header.value);
                        }
                        17 if describe::is(header, "transfer-encoding") => {
                            framing.transfer_encoding(header.value);
                        }
                        _ => {}
                    }
                }
                let extent = framing.of_request(version)?;
                let mut draft = scratch.draft();
                let names = &scratch.options().secrets;
                let line = (method, target, version);
                describe::request(&mut draft, names, line, head, host.unwrap_or_default());
                if let Extent::Length(length) = extent {
                    draft
                        .fields
                        .int(field::REQUEST_BODY, i64::try_from(length).unwrap_or(i64::MAX));
                }
                if let Some(warning) = framing.warning() {
                    draft.fields.text(field::WARNING, warning);
                }
                let kind = match method {
                    "HEAD" => Kind::Head,
                    "CONNECT" => Kind::Connect,
                    _ => Kind::Ordinary,
                };
                // An expectation in HTTP/1.0 is ignored (RFC 9110 §10.1.1).
                Ok(Request {
                    len: head.len,
                    kind,
                    extent,
                    asks_leave: expects && version > 0,
                    draft,
                })
            })?
            .map_err(Stop::Broken)
    }

    /// A head is complete.
    #[inline]
    fn take<'s>(
        &mut self,
        request: Request,
        link: &mut Link,
        scratch: &'s mut Scratch,
    ) -> Step<'s> {
        let Request { len, kind, extent, asks_leave, draft } = request;
        let has_body = !matches!(extent, Extent::None | Extent::Length(0));
        if let Err(reason) = link.request(kind, asks_leave && has_body) {
            scratch.discard(draft);
            return invalid(reason);
        }
        let part = if has_body { Part::First } else { Part::Whole };
        if has_body {
            self.body = Body::new(extent);
        }
        let message = scratch.finish(draft, Correlation::Ordered, Status::Ok);
        Step::Consumed { len, message: Some(Message { part, ..message }) }
    }

    /// Goes on with a body.
    fn go_on(&mut self, input: &[u8], link: &mut Link) -> Step<'static> {
        if link.is_undecided() && input.is_empty() {
            return Step::NeedMore { at_least: 1 };
        }
        if link.is_refused() {
            // The body, which nobody wants any more, or the next request in its place?
            match probe::probe(input) {
                Probe::Unsure if input.len() < MAX_LOOKAHEAD => {
                    return Step::NeedMore { at_least: input.len().saturating_add(1) };
                }
                Probe::No | Probe::Unsure | Probe::Either => {}
                Probe::Request | Probe::Response => {
                    return invalid("a refused body looks like another request");
                }
            }
        }
        link.body_comes();
        let mut cursor = Cursor::new(input);
        match self.body.run(&mut cursor) {
            super::body::Pause::Done(_) => Step::Consumed {
                len: cursor.consumed(),
                message: Some(Message::bare(Correlation::Ordered, Part::Last)),
            },
            pause => pause.step(&cursor),
        }
    }

    /// See [`crate::protocol::Decoder::handle_gap`].
    pub(super) fn handle_gap(&mut self, len: u64, link: &mut Link) -> u64 {
        if link.is_refused() {
            return 0;
        }
        link.body_comes();
        self.body.absorb(len)
    }
}
