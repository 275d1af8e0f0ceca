//! DATA frames: content that is counted and not looked at, but for the prefixes of gRPC's messages.

use super::{
    Http2Decoder, View,
    frame::{FrameHeader, HEADER_LEN, flag},
    side::{At, Data},
    streams::{Grpc, Response, Stream},
};
use crate::protocol::{Correlation, Direction, Message, Part, Scratch, Step};

impl Http2Decoder {
    pub(super) fn begin_data<'s>(
        &mut self,
        direction: Direction,
        header: &FrameHeader,
        input: &[u8],
        scratch: &'s mut Scratch,
    ) -> Step<'s> {
        let (mut ahead, mut padding) = (HEADER_LEN, 0);
        let mut left = header.len;
        if header.has(flag::PADDED) {
            let Some(len) = input.get(HEADER_LEN) else {
                return Step::NeedMore { at_least: HEADER_LEN.saturating_add(1) };
            };
            padding = u32::from(*len);
            ahead = ahead.saturating_add(1);
            if padding >= left {
                return self.invalid(direction, "more padding than payload");
            }
            left = left.saturating_sub(1);
        }
        let mut had_first = true;
        let view = self.view;
        if let Some(stream) = self.streams.get(header.stream) {
            stream.add_body(direction, left.saturating_sub(padding));
            if is_followed(stream, view) {
                had_first = direction == Direction::Request
                    || stream.messages_mut(direction).count() != Some(0);
            } else {
                stream.messages_mut(direction).hide();
            }
        }
        let end_stream = header.has(flag::END_STREAM);
        let data = Data { stream: header.stream, left, padding, end_stream, had_first };
        self.data(direction, data, input, ahead, scratch)
    }

    /// The payload of a DATA frame goes on at byte `ahead` of `input`; those before it belong to it.
    pub(super) fn data<'s>(
        &mut self,
        direction: Direction,
        mut data: Data,
        input: &[u8],
        ahead: usize,
        scratch: &'s mut Scratch,
    ) -> Step<'s> {
        let payload = input.get(ahead..).unwrap_or_default();
        let here = u32::try_from(payload.len()).unwrap_or(u32::MAX).min(data.left);
        let content = data.left.saturating_sub(data.padding);
        let mut unseen = data.left.saturating_sub(here);
        if let Some(stream) = self.streams.get(data.stream) {
            let messages = stream.messages_mut(direction);
            if !messages.is_hidden() {
                messages.walk(payload.get(..here.min(content) as usize).unwrap_or_default());
                let ahead = content.saturating_sub(here);
                if ahead > 0 && !messages.is_hidden() {
                    unseen = messages.unseen().min(ahead);
                    if unseen > 0 {
                        messages.pass(unseen);
                    }
                }
            }
        }
        data.left = data.left.saturating_sub(here).saturating_sub(unseen);
        let len = ahead.saturating_add(here as usize);
        if data.left == 0 && unseen == 0 {
            self.side(direction).at = At::Frame;
            let message = self.on_data(direction, &data, scratch);
            return Step::Consumed { len, message: Some(message) };
        }
        self.side(direction).at = At::Data(data);
        if unseen > 0 {
            return Step::Skip { len: (len as u64).saturating_add(u64::from(unseen)) };
        }
        if len > 0 {
            return Step::Consumed { len, message: None };
        }
        Step::NeedMore { at_least: 1 }
    }

    /// `len` bytes will not be seen; how many of them are the frame's.
    pub(super) fn gap_in_data(&mut self, direction: Direction, mut data: Data, len: u64) -> u64 {
        let missing = u32::try_from(len).unwrap_or(u32::MAX).min(data.left);
        let content = data.left.saturating_sub(data.padding).min(missing);
        if let Some(stream) = self.streams.get(data.stream) {
            let messages = stream.messages_mut(direction);
            if content > 0 && content <= messages.unseen() {
                messages.pass(content);
            } else if content > 0 {
                messages.hide();
            }
        }
        data.left = data.left.saturating_sub(missing);
        self.side(direction).at = At::Data(data);
        u64::from(missing)
    }

    /// A DATA frame is complete.
    fn on_data<'s>(
        &mut self,
        direction: Direction,
        data: &Data,
        scratch: &'s mut Scratch,
    ) -> Message<'s> {
        match direction {
            Direction::Request => self.on_request_data(data),
            Direction::Response => self.on_response_data(data, scratch),
        }
    }

    fn on_request_data(&mut self, data: &Data) -> Message<'static> {
        let Some(stream) = self.streams.get(data.stream) else {
            return Message::bare(Correlation::OneWay, Part::Middle);
        };
        let correlation = stream.correlation();
        if !data.end_stream {
            return Message::bare(correlation, Part::Middle);
        }
        stream.request_done = true;
        self.streams.remove_if_over(data.stream);
        Message::bare(correlation, Part::Last)
    }

    fn on_response_data<'s>(&mut self, data: &Data, scratch: &'s mut Scratch) -> Message<'s> {
        if data.stream.is_multiple_of(2) {
            return pushed(data.end_stream);
        }
        let Some(stream) = self.streams.get(data.stream) else {
            return self.stray(data.stream, data.end_stream);
        };
        if stream.response != Response::Begun {
            return self.unclear(data.stream, data.end_stream);
        }
        let completes_first = !data.had_first
            && stream.messages_mut(Direction::Response).count().is_some_and(|it| it > 0);
        let message = if data.end_stream {
            self.finish(data.stream, Part::Last, None, scratch)
        } else {
            Message::bare(stream.correlation(), Part::Middle)
        };
        Message { completes_first, ..message }
    }
}

/// Whether the messages on this stream are followed.
fn is_followed(stream: &Stream, view: View) -> bool {
    match stream.grpc {
        Grpc::Yes => true,
        Grpc::Unknown => view == View::Calls,
        Grpc::No => false,
    }
}

/// A part of a response that nobody asked for; it counts when it is complete.
pub(super) fn pushed(end_stream: bool) -> Message<'static> {
    let part = if end_stream { Part::Last } else { Part::Middle };
    Message::bare(Correlation::OneWay, part)
}
