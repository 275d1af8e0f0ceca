//! HTTP/2 without TLS (RFC 9113), and gRPC calls over it.
//!
//! Frames of many streams take turns on one connection; a stream carries one request and its response.
//! Each HEADERS and DATA frame is a part of one of them, so that their times are right however they are
//! interleaved. Every direction is read by itself: frames carry their lengths and streams their
//! numbers, and only header blocks refer to what was said before (`hpack`).

mod data;
mod frame;
pub mod grpc;
mod hpack;
mod probe;
mod request;
mod response;
mod show;
mod side;
mod streams;
#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests;
mod upgrade;

use self::{
    frame::{FrameHeader, HEADER_LEN, MAX_PAYLOAD, PREFACE, flag, kind},
    side::{At, Data, Frames, HiddenBlock, Rest, Side},
    streams::Streams,
};
use super::{
    Correlation, DecodeError, Decoder, Detection, Direction, Entry, Message, Part, Protocol,
    Scratch, Step,
};

/// HTTP/2 with prior knowledge, as proxies and gRPC speak it inside a network.
pub static PROTOCOL: Protocol = Protocol {
    name: "http2",
    summary: "HTTP/2 without TLS (h2c), gRPC among it",
    ports: &[8080],
    field_names: FIELD_NAMES,
    probe: probe::probe,
    entry: Entry::Number,
    detection: Detection::Auto,
    decoder: || Box::new(Http2Decoder::new(View::All)),
    datagrams: None,
};

/// The names of the fields that messages carry. Requests have
///
/// - `stream`: the stream's number;
/// - `method`, `scheme`, `host`, `path` (without the query) and `query` (secrets redacted), each of at most
///   256 bytes;
/// - `request_content_type`, `user_agent`;
/// - `authorization`: the scheme, and no more;
/// - `grpc_service`, `grpc_method`, `grpc_encoding`: of gRPC calls;
///
/// and responses have
///
/// - `status`: the status code;
/// - `content_type`;
/// - `request_body`, `response_body`: bytes of content without padding, where all were seen;
/// - `reset`: the error code with which either side gave the stream up;
/// - `grpc_request_messages`, `grpc_response_messages`: of gRPC calls how many messages either side sent,
///   where all were seen; `grpc_kind`: `unary`, `client_streaming`, `server_streaming` or `bidi_streaming`,
///   as these counts say: a stream with one message looks like no stream;
/// - `grpc_status`, `grpc_status_name`, `grpc_message`;
/// - `grpc_trailers_only`: 1 where the server sent one header block and nothing else.
///
/// What is not known, since it refers to what was said before anybody listened, is left out.
pub static FIELD_NAMES: &[&str] = &[
    "stream",
    "method",
    "scheme",
    "host",
    "path",
    "query",
    "request_content_type",
    "user_agent",
    "authorization",
    "status",
    "content_type",
    "request_body",
    "response_body",
    "reset",
    "grpc_service",
    "grpc_method",
    "grpc_encoding",
    "grpc_request_messages",
    "grpc_response_messages",
    "grpc_status",
    "grpc_status_name",
    "grpc_message",
    "grpc_trailers_only",
    "grpc_kind",
];

/// Which streams are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    All,
    /// gRPC calls, and what may be some.
    Calls,
}

/// The decoder of one connection.
#[derive(Debug)]
struct Http2Decoder {
    request: Side,
    response: Side,
    streams: Streams,
    /// The highest number of a stream that the client opened; `u32::MAX` while that is not known.
    highest: u32,
    view: View,
}

// A connection at rest is to cost little.
const _: () = assert!(size_of::<Http2Decoder>() <= 128);

impl Http2Decoder {
    fn new(view: View) -> Self {
        Self {
            request: Side::default(),
            response: Side::default(),
            streams: Streams::default(),
            highest: 0,
            view,
        }
    }

    fn side(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }

    fn peer(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::Request => &mut self.response,
            Direction::Response => &mut self.request,
        }
    }

    /// This direction cannot be read on.
    fn lose(&mut self, direction: Direction) {
        self.side(direction).lose();
        // What it said of the other's frames may be missing.
        self.peer(direction).max_payload = MAX_PAYLOAD;
        match direction {
            Direction::Request => {
                self.streams.lose_requests();
                self.highest = u32::MAX;
            }
            Direction::Response => self.streams.lose_responses(),
        }
    }

    #[cold]
    fn invalid(&mut self, direction: Direction, reason: &'static str) -> Step<'static> {
        self.lose(direction);
        Step::Invalid(DecodeError { protocol: PROTOCOL.name, reason })
    }

    /// The first bytes of a connection.
    fn start<'s>(
        &mut self,
        direction: Direction,
        input: &[u8],
        scratch: &'s mut Scratch,
    ) -> Step<'s> {
        match direction {
            Direction::Request => {
                if input.starts_with(PREFACE) {
                    self.request.at = At::Frame;
                    return Step::Discard { len: PREFACE.len() };
                }
                if PREFACE.starts_with(input) {
                    return Step::NeedMore { at_least: PREFACE.len() };
                }
                if let Some(step) = self.upgrade_request(input, scratch) {
                    return step;
                }
            }
            Direction::Response => {
                if let Some(step) = self.upgrade_response(input) {
                    return step;
                }
                let Some(header) = FrameHeader::parse(input) else {
                    return Step::NeedMore { at_least: HEADER_LEN };
                };
                let is_fine = header.check(direction, self.response.max_payload).is_ok();
                if is_fine && header.kind == kind::SETTINGS && !header.has(flag::ACK) {
                    return self.frame_without_message(direction, &header, input);
                }
            }
        }
        self.invalid(direction, "it does not begin like HTTP/2")
    }

    fn frame<'s>(
        &mut self,
        direction: Direction,
        input: &[u8],
        scratch: &'s mut Scratch,
    ) -> Step<'s> {
        let Some(header) = FrameHeader::parse(input) else {
            return Step::NeedMore { at_least: HEADER_LEN };
        };
        if let Err(reason) = header.check(direction, self.side(direction).max_payload) {
            return self.invalid(direction, reason);
        }
        match header.kind {
            kind::DATA => self.begin_data(direction, &header, input, scratch),
            kind::HEADERS | kind::PUSH_PROMISE => self.block(direction, &header, input, scratch),
            kind::RST_STREAM => {
                let code = input.get(HEADER_LEN..).and_then(<[u8]>::first_chunk::<4>);
                let Some(code) = code else { return Step::NeedMore { at_least: header.total() } };
                let code = u32::from_be_bytes(*code);
                let len = header.total();
                match self.on_reset(direction, header.stream, Some(code), scratch) {
                    Some(message) => Step::Consumed { len, message: Some(message) },
                    None => Step::Discard { len },
                }
            }
            kind::CONTINUATION => self.invalid(direction, "a continuation of nothing"),
            _ => self.frame_without_message(direction, &header, input),
        }
    }

    /// A frame that belongs to no request and no response.
    fn frame_without_message(
        &mut self,
        direction: Direction,
        header: &FrameHeader,
        input: &[u8],
    ) -> Step<'static> {
        let side = self.side(direction);
        let rest = Rest { left: header.len, was_cut: false };
        if header.kind == kind::SETTINGS && header.len > 0 {
            side.at = At::Settings(rest);
            return Step::Discard { len: HEADER_LEN };
        }
        let len = header.total().min(input.len());
        let left = u32::try_from(header.total().saturating_sub(len)).unwrap_or(0);
        side.at = if left == 0 { At::Frame } else { At::Rest(Rest { left, ..rest }) };
        Step::Discard { len }
    }

    /// More of a payload that says nothing.
    fn rest(&mut self, direction: Direction, rest: Rest, input: &[u8]) -> Step<'static> {
        let here = u32::try_from(input.len()).unwrap_or(u32::MAX).min(rest.left);
        if here == 0 && rest.left > 0 && !rest.was_cut {
            return Step::NeedMore { at_least: 1 };
        }
        let left = if rest.was_cut { rest.left } else { rest.left.saturating_sub(here) };
        self.side(direction).at =
            if left == 0 { At::Frame } else { At::Rest(Rest { left, was_cut: false }) };
        if rest.was_cut {
            return nothing(0);
        }
        Step::Discard { len: here as usize }
    }

    /// The next of one side's settings: what it says holds for the frames of the other.
    fn settings(&mut self, direction: Direction, rest: Rest, input: &[u8]) -> Step<'static> {
        let Some(&[id_high, id_low, a, b, c, d]) = input.first_chunk::<6>() else {
            return Step::NeedMore { at_least: 6 };
        };
        if u16::from_be_bytes([id_high, id_low]) == frame::SETTINGS_MAX_FRAME_SIZE {
            let peer = self.peer(direction);
            peer.max_payload =
                peer.max_payload.max(u32::from_be_bytes([a, b, c, d])).min(MAX_PAYLOAD);
        }
        let left = rest.left.saturating_sub(6);
        self.side(direction).at =
            if left == 0 { At::Frame } else { At::Settings(Rest { left, ..rest }) };
        Step::Discard { len: 6 }
    }

    /// A header block, from its first frame to its last.
    fn block<'s>(
        &mut self,
        direction: Direction,
        first: &FrameHeader,
        input: &[u8],
        scratch: &'s mut Scratch,
    ) -> Step<'s> {
        let max_payload = self.side(direction).max_payload;
        let len = match side::frames(input, max_payload) {
            Frames::Whole(len) => len,
            Frames::More(at_least) => return Step::NeedMore { at_least },
            Frames::TooLong => {
                let hidden = HiddenBlock::too_long(first);
                self.side(direction).at = At::Block(hidden);
                return self.hidden_block(direction, input, scratch);
            }
            Frames::Broken(reason) => return self.invalid(direction, reason),
        };
        let frames = input.get(..len).unwrap_or(input);
        let memory = scratch.take_bytes();
        match self.side(direction).decode_block(frames, memory) {
            Ok((block, headers)) => {
                let message = self.on_block(direction, &block, headers, scratch);
                Step::Consumed { len, message: Some(message) }
            }
            Err(reason) => self.invalid(direction, reason),
        }
    }

    /// More of a header block that is cut off or too long.
    fn hidden_block<'s>(
        &mut self,
        direction: Direction,
        input: &[u8],
        scratch: &'s mut Scratch,
    ) -> Step<'s> {
        let side = self.side(direction);
        let max_payload = side.max_payload;
        let At::Block(hidden) = &mut side.at else { return nothing(0) };
        if hidden.left > 0 {
            return Step::Skip { len: std::mem::take(&mut hidden.left) };
        }
        if !hidden.is_last {
            let Some(next) = FrameHeader::parse(input) else {
                return Step::NeedMore { at_least: HEADER_LEN };
            };
            let continues = next.kind == kind::CONTINUATION
                && next.stream == hidden.block.stream
                && next.len <= max_payload;
            if !continues {
                return self.invalid(direction, "a header block that is not continued");
            }
            hidden.left = u64::from(next.len);
            hidden.is_last = next.has(flag::END_HEADERS);
            return Step::Consumed { len: HEADER_LEN, message: None };
        }
        let At::Block(hidden) = std::mem::replace(&mut side.at, At::Frame) else {
            return nothing(0);
        };
        match side.decode_hidden(&hidden, scratch.take_bytes()) {
            Ok(headers) => {
                let message = self.on_block(direction, &hidden.block, headers, scratch);
                Step::Consumed { len: 0, message: Some(message) }
            }
            Err(reason) => self.invalid(direction, reason),
        }
    }

    /// A stream was given up, with an error code that was not seen.
    fn hidden_reset<'s>(
        &mut self,
        direction: Direction,
        stream: u32,
        left: u32,
        scratch: &'s mut Scratch,
    ) -> Step<'s> {
        if left > 0 {
            self.side(direction).at = At::Reset { stream, left: 0 };
            return Step::Skip { len: u64::from(left) };
        }
        self.side(direction).at = At::Frame;
        match self.on_reset(direction, stream, None, scratch) {
            Some(message) => Step::Consumed { len: 0, message: Some(message) },
            None => nothing(0),
        }
    }

    /// Bytes are missing behind the `before` that begins a frame; how many of them are known to be the
    /// frame's.
    fn gap_in_frame(&mut self, direction: Direction, before: &[u8], len: u64) -> Option<u64> {
        let header = FrameHeader::parse(before)?;
        let seen = u32::try_from(before.len().saturating_sub(HEADER_LEN)).ok()?;
        let left = header.len.saturating_sub(seen);
        let missing = len.min(u64::from(left));
        let still_left = left.saturating_sub(u32::try_from(missing).unwrap_or(left));
        match header.kind {
            // It was not looked at yet since its padding's length is missing.
            kind::DATA => {
                if let Some(stream) = self.streams.get(header.stream) {
                    stream.hide(direction);
                }
                self.side(direction).at = At::Data(Data {
                    stream: header.stream,
                    left: still_left,
                    padding: 0,
                    end_stream: header.has(flag::END_STREAM),
                    had_first: true,
                });
                Some(missing)
            }
            kind::RST_STREAM => {
                self.side(direction).at = At::Reset { stream: header.stream, left: still_left };
                Some(missing)
            }
            kind::HEADERS | kind::PUSH_PROMISE => {
                let mut hidden = HiddenBlock::cut(before)?;
                let missing = len.min(hidden.left);
                hidden.left = hidden.left.saturating_sub(missing);
                self.side(direction).at = At::Block(hidden);
                Some(missing)
            }
            _ => None,
        }
    }

    /// Bytes are missing in a payload that says nothing.
    fn gap_in_rest(&mut self, direction: Direction, rest: Rest, before: &[u8], len: u64) -> u64 {
        let seen = u32::try_from(before.len()).unwrap_or(u32::MAX);
        let left = rest.left.saturating_sub(seen);
        let missing = u32::try_from(len).unwrap_or(u32::MAX).min(left);
        let left = left.saturating_sub(missing);
        self.side(direction).at = At::Rest(Rest { left, was_cut: true });
        u64::from(missing)
    }

    fn absorb_gap(&mut self, direction: Direction, before: &[u8], len: u64) -> Option<u64> {
        let side = self.side(direction);
        match &side.at {
            At::Frame => self.gap_in_frame(direction, before, len),
            At::Rest(rest) => {
                let rest = *rest;
                Some(self.gap_in_rest(direction, rest, before, len))
            }
            At::Settings(rest) => {
                let rest = *rest;
                self.peer(direction).max_payload = MAX_PAYLOAD;
                Some(self.gap_in_rest(direction, rest, before, len))
            }
            At::Data(data) => {
                let data = *data;
                Some(self.gap_in_data(direction, data, len))
            }
            At::Start | At::Block(_) | At::Reset { .. } => None,
        }
    }
}

impl Decoder for Http2Decoder {
    fn decode<'s>(
        &mut self,
        direction: Direction,
        input: &[u8],
        scratch: &'s mut Scratch,
    ) -> Step<'s> {
        match &self.side(direction).at {
            At::Frame => self.frame(direction, input, scratch),
            At::Data(data) => {
                let data = *data;
                self.data(direction, data, input, 0, scratch)
            }
            At::Rest(rest) => {
                let rest = *rest;
                self.rest(direction, rest, input)
            }
            At::Settings(rest) => {
                let rest = *rest;
                self.settings(direction, rest, input)
            }
            At::Start => self.start(direction, input, scratch),
            At::Block(_) => self.hidden_block(direction, input, scratch),
            &At::Reset { stream, left } => self.hidden_reset(direction, stream, left, scratch),
        }
    }

    fn handle_gap(&mut self, direction: Direction, before: &[u8], len: u64) -> u64 {
        match self.absorb_gap(direction, before, len) {
            Some(missing) if missing > 0 => missing.saturating_add(before.len() as u64),
            _ => {
                self.lose(direction);
                0
            }
        }
    }

    fn resync(&mut self) {
        // Directions are found again one by one.
        self.lose(Direction::Request);
        self.lose(Direction::Response);
    }

    fn rejoin(&mut self, direction: Direction, input: &[u8]) -> bool {
        if direction == Direction::Request && input.starts_with(PREFACE) {
            self.streams = Streams::default();
            if matches!(self.response.at, At::Start) {
                self.lose(Direction::Response);
            }
            self.request = Side::default();
            self.request.max_payload = MAX_PAYLOAD;
            self.highest = 0;
            return true;
        }
        let max_payload = self.side(direction).plausible_payload();
        if !probe::begins_with_frame(direction, input, max_payload) {
            return false;
        }
        if !self.request.is_lost && !self.response.is_lost {
            // Nothing was read of this connection yet: it was going on already.
            self.resync();
        }
        self.side(direction).rejoin();
        match direction {
            Direction::Request => self.highest = u32::MAX,
            Direction::Response => self.streams.hide_responses(),
        }
        true
    }
}

/// `len` bytes that belong to no message, where the caller has begun one.
fn nothing(len: usize) -> Step<'static> {
    let message = Some(Message::bare(Correlation::OneWay, Part::Middle));
    Step::Consumed { len, message }
}
