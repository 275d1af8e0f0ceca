//! HTTP/1.0 and HTTP/1.1: requests and responses in order, and bodies skipped by their framing.
//!
//! What a message is follows RFC 9110, how it is framed RFC 9112. A response's framing depends on
//! its request's method, and a response may end HTTP on its connection (`CONNECT`, `Upgrade`); both are
//! the business of `link`.

mod body;
mod describe;
mod framing;
mod head;
mod link;
mod probe;
mod request;
mod response;
#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests;

use self::{link::Link, request::Requests, response::Responses};
use super::{DecodeError, Decoder, Detection, Direction, Entry, Message, Protocol, Scratch, Step};

/// HTTP/1.x in clear text.
pub static PROTOCOL: Protocol = Protocol {
    name: "http",
    summary: "HTTP/1.0 and HTTP/1.1 in clear text",
    ports: &[80, 8080, 8000, 8008, 8081, 8888, 3128],
    field_names: FIELD_NAMES,
    probe: probe::probe,
    entry: Entry::Turn,
    detection: Detection::Auto,
    decoder: || Box::new(HttpDecoder::default()),
    datagrams: None,
};

/// The names of the fields that messages carry. Text takes at most 256 bytes. Requests have
///
/// - `method`: such as `GET`, as it was sent;
/// - `host`: whom the request is for: the target's authority or the `Host` field, without user and
///   password;
/// - `path`: the target without its query;
/// - `query`: what stands behind the `?`; secret parameters redacted;
/// - `version`: `1.0` or `1.1`;
/// - `user_agent`, `request_type` (its `Content-Type`), `upgrade`, `x_request_id`, `traceparent`: header
///   fields, as they were sent;
/// - `authorization`: the scheme, and that there was something behind it;
/// - `cookie`: only that there was one;
/// - `request_body`: bytes of the body, where its length was announced;
/// - `warning`: what is odd about the framing, which others on the way may take in another way;
///
/// and responses have
///
/// - `status`: the status code;
/// - `content_type`: a header field, as it was sent;
/// - `set_cookie`: only that there was one;
/// - `response_body`: bytes of the body, without the framing of chunks.
pub static FIELD_NAMES: &[&str] = &[
    "method",
    "host",
    "path",
    "query",
    "version",
    "user_agent",
    "request_type",
    "upgrade",
    "x_request_id",
    "traceparent",
    "authorization",
    "cookie",
    "request_body",
    "warning",
    "status",
    "content_type",
    "set_cookie",
    "response_body",
];

/// The decoder of one connection.
#[derive(Debug, Default)]
struct HttpDecoder {
    requests: Requests,
    responses: Responses,
    link: Link,
}

// A connection at rest is to cost little.
const _: () = assert!(size_of::<HttpDecoder>() <= 128);

impl Decoder for HttpDecoder {
    fn decode<'s>(
        &mut self,
        direction: Direction,
        input: &[u8],
        scratch: &'s mut Scratch,
    ) -> Step<'s> {
        if self.link.is_tunnel() {
            return match input.len() {
                0 => Step::NeedMore { at_least: 1 },
                len => Step::Discard { len },
            };
        }
        match direction {
            Direction::Request => self.requests.decode(input, &mut self.link, scratch),
            Direction::Response => self.responses.decode(input, &mut self.link, scratch),
        }
    }

    fn handle_gap(&mut self, direction: Direction, before: &[u8], len: u64) -> u64 {
        if self.link.is_tunnel() {
            return u64::try_from(before.len()).unwrap_or(u64::MAX).saturating_add(len);
        }
        // Where a decoder waits for more, it is in a head or in the framing of chunks: what else
        // that says, and where it ends, nobody knows.
        if !before.is_empty() {
            return 0;
        }
        match direction {
            Direction::Request => self.requests.handle_gap(len, &mut self.link),
            Direction::Response => self.responses.handle_gap(len),
        }
    }

    fn handle_end<'s>(
        &mut self,
        direction: Direction,
        scratch: &'s mut Scratch,
    ) -> Option<Message<'s>> {
        match direction {
            Direction::Request => None,
            Direction::Response => self.responses.handle_end(scratch),
        }
    }

    fn resync(&mut self) {
        *self = Self::default();
    }
}

#[cold]
fn invalid(reason: &'static str) -> Step<'static> {
    Step::Invalid(DecodeError { protocol: PROTOCOL.name, reason })
}
