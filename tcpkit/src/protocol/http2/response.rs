//! What servers say: header blocks before and behind the content, and what becomes of them at the end.

use super::{
    Http2Decoder, View, data, grpc,
    hpack::{Headers, Name},
    request::UNKNOWN,
    show,
    show::field,
    side::Block,
    streams::{Grpc, Response, Stream},
};
use crate::protocol::{Correlation, Draft, Message, Part, Scratch, Status, url};

impl Http2Decoder {
    pub(super) fn on_response_block<'s>(
        &mut self,
        block: &Block,
        headers: Headers,
        scratch: &'s mut Scratch,
    ) -> Message<'s> {
        let message = self.on_response_headers(block, &headers, scratch);
        match message {
            Ok(message) => {
                scratch.give_bytes(headers.into_bytes());
                message
            }
            Err(part) => self.finish(block.stream, part, Some(headers), scratch),
        }
    }

    /// What a header block means; an error says with which part the response ends here.
    fn on_response_headers(
        &mut self,
        block: &Block,
        headers: &Headers,
        scratch: &mut Scratch,
    ) -> Result<Message<'static>, Part> {
        if block.is_promise {
            return Ok(data::pushed(false));
        }
        let (id, end_stream) = (block.stream, block.end_stream);
        if id.is_multiple_of(2) {
            return Ok(data::pushed(end_stream));
        }
        let Some(stream) = self.streams.get(id) else { return Ok(self.stray(id, end_stream)) };
        match stream.response {
            Response::Begun if end_stream => return Err(Part::Last),
            // What was taken for the final header block cannot have been it.
            Response::Begun => {
                stream.response = Response::Hidden;
                return Ok(self.unclear(id, end_stream));
            }
            Response::Done => return Ok(self.unclear(id, end_stream)),
            Response::Awaited | Response::Hidden => {}
        }
        let status = headers.get(Name::Status).and_then(status_code);
        let is_certain = match status {
            Some(100..200) if !end_stream => {
                return Ok(Message::bare(Correlation::OneWay, Part::Whole));
            }
            Some(_) => true,
            // It may be what comes behind the content.
            None if stream.response == Response::Hidden => false,
            None => end_stream || is_final(headers),
        };
        if !is_certain {
            return Ok(self.unclear(id, end_stream));
        }
        if stream.response == Response::Hidden {
            // This is its beginning after all.
            stream.bodies[1] = Some(0);
            stream.messages[1] = grpc::Messages::default();
        }
        stream.response = Response::Begun;
        stream.status = status.unwrap_or(0);
        note_content_type(stream, headers, scratch);
        if end_stream {
            return Err(Part::Whole);
        }
        Ok(Message::bare(stream.correlation(), Part::First))
    }

    /// A part of a response whose request is not known.
    pub(super) fn stray(&self, id: u32, end_stream: bool) -> Message<'static> {
        // That of a request that was given up, or forgotten, is not the response to anything.
        let was_known = self.streams.forgot_some || id <= self.highest && self.highest != u32::MAX;
        if !end_stream || was_known {
            return Message::bare(Correlation::OneWay, Part::Middle);
        }
        Message::bare(Correlation::Id(u64::from(id)), Part::Last)
    }

    /// A part of a response whose beginning was not seen: it is not shown.
    pub(super) fn unclear(&mut self, id: u32, end_stream: bool) -> Message<'static> {
        let mut message = Message::bare(Correlation::OneWay, Part::Middle);
        if let Some(stream) = self.streams.get(id)
            && stream.response != Response::Done
        {
            stream.response = if end_stream { Response::Done } else { Response::Hidden };
            if end_stream && stream.is_shown {
                message = Message::bare(stream.correlation(), Part::Void);
            }
        }
        self.streams.remove_if_over(id);
        message
    }

    /// A response is complete, with these headers in its last block.
    pub(super) fn finish<'s>(
        &mut self,
        id: u32,
        part: Part,
        headers: Option<Headers>,
        scratch: &'s mut Scratch,
    ) -> Message<'s> {
        let view = self.view;
        let Some(stream) = self.streams.get(id) else {
            return Message::bare(Correlation::OneWay, Part::Middle);
        };
        stream.response = Response::Done;
        if stream.grpc == Grpc::Unknown
            && headers.as_ref().is_some_and(|headers| headers.has(Name::GrpcStatus))
        {
            stream.grpc = Grpc::Yes;
        }
        // A call ends with its status, or with what may be it.
        let may_end_so = |headers: &Headers| headers.has(Name::GrpcStatus) || headers.hides_some();
        if view == View::Calls
            && stream.grpc == Grpc::Unknown
            && !headers.as_ref().is_some_and(may_end_so)
        {
            stream.grpc = Grpc::No;
        }
        let correlation = stream.correlation();
        let was_shown = stream.is_shown;
        // Now it is known that it was none.
        stream.is_shown &= view == View::All || stream.grpc != Grpc::No;
        let is_shown = stream.is_shown;
        let mut ended =
            Stream { draft: stream.draft.take(), bodies: stream.bodies, ..Stream::default() };
        (ended.id, ended.status, ended.grpc) = (id, stream.status, stream.grpc);
        (ended.messages, ended.request_done) = (stream.messages, stream.request_done);
        self.streams.remove_if_over(id);
        if !is_shown {
            if let Some(headers) = headers {
                scratch.give_bytes(headers.into_bytes());
            }
            return Message::bare(correlation, if was_shown { Part::Void } else { part });
        }
        let mut draft = ended.draft.take().unwrap_or_else(|| scratch.draft());
        let is_call = ended.grpc == Grpc::Yes || (view == View::Calls && ended.grpc != Grpc::No);
        let status = if is_call {
            show_call_status(&mut draft, ended.status, headers.as_ref(), part == Part::Whole)
        } else {
            show_status(&mut draft, ended.status)
        };
        fields(&mut draft, ended, view, scratch);
        if let Some(headers) = headers {
            scratch.give_bytes(headers.into_bytes());
        }
        let message = scratch.finish(draft, correlation, status);
        Message { part, ..message }
    }
}

/// Whether a header block whose status is not known is the final one: these do not stand in interim ones,
/// which have no content and hardly any headers (RFC 9110 §15.2), nor behind the content.
fn is_final(headers: &Headers) -> bool {
    [Name::ContentLength, Name::ContentType, Name::Date].iter().any(|name| headers.has(*name))
}

/// The number of three digits that `:status` says.
fn status_code(value: &[u8]) -> Option<u16> {
    let &[a, b, c] = value.first_chunk::<3>()?;
    if value.len() != 3 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |byte: u8| u16::from(byte.wrapping_sub(b'0'));
    Some(digit(a).wrapping_mul(100).wrapping_add(digit(b).wrapping_mul(10)).wrapping_add(digit(c)))
}

/// What the response says of its content.
fn note_content_type(stream: &mut Stream, headers: &Headers, scratch: &mut Scratch) {
    let content_type = headers.get(Name::ContentType);
    if stream.grpc == Grpc::Unknown {
        stream.grpc = match content_type {
            Some(content_type) if grpc::is_grpc(content_type) => Grpc::Yes,
            None if headers.hides_some() => Grpc::Unknown,
            Some(_) | None => Grpc::No,
        };
    }
    if let Some(content_type) = content_type
        && scratch.options().fields
        && stream.is_shown
    {
        let mut draft = scratch.draft();
        draft.fields.wire(field::CONTENT_TYPE, show::MAX_FIELD, content_type);
        stream.draft = Some(draft);
    }
}

fn show_status(draft: &mut Draft, status: u16) -> Status {
    if status == 0 {
        draft.text.push_str(UNKNOWN);
        return Status::Unknown;
    }
    draft.text.push_number(i64::from(status));
    draft.fields.int(field::STATUS, i64::from(status));
    if status >= 400 { Status::Error } else { Status::Ok }
}

/// What became of a call: its status stands behind the content, or in the only header block.
fn show_call_status(
    draft: &mut Draft,
    status: u16,
    headers: Option<&Headers>,
    is_only_block: bool,
) -> Status {
    if status != 0 {
        draft.fields.int(field::STATUS, i64::from(status));
    }
    if is_only_block {
        draft.fields.int(field::TRAILERS_ONLY, 1);
    }
    let code = headers.and_then(|headers| headers.get(Name::GrpcStatus)).map(grpc::status_code);
    let Some(code) = code else {
        if status >= 300 {
            // A proxy answered.
            draft.text.push_number(i64::from(status));
            return Status::Error;
        }
        if headers.is_none_or(|headers| !headers.hides_some()) {
            draft.text.push_str("no grpc-status");
            return Status::Error;
        }
        draft.text.push_str(UNKNOWN);
        return Status::Unknown;
    };
    let Some(code) = code else {
        draft.text.push_str("wrong grpc-status");
        return Status::Error;
    };
    let name = grpc::status_name(code);
    draft.fields.int(field::GRPC_STATUS, i64::from(code));
    if let Some(name) = name {
        draft.fields.text(field::GRPC_STATUS_NAME, name);
    }
    if code == 0 {
        return Status::Ok;
    }
    match name {
        Some(name) => draft.text.push_str(name),
        None => draft.text.push_number(i64::from(code)),
    }
    let said = headers.and_then(|headers| headers.get(Name::GrpcMessage));
    if said.is_none() && headers.is_some_and(Headers::hides_some) {
        draft.text.push_str(": ");
        draft.text.push_str(UNKNOWN);
    }
    if let Some(said) = said.filter(|said| !said.is_empty()) {
        let said: Vec<u8> = url::percent_decoded(said).take(show::MAX_FIELD).collect();
        draft.text.push_str(": ");
        draft.text.push_bytes(&said);
        draft.fields.wire(field::GRPC_MESSAGE, show::MAX_FIELD, &said);
    }
    Status::Error
}

/// What was counted.
pub(super) fn fields(draft: &mut Draft, mut stream: Stream, view: View, scratch: &mut Scratch) {
    let fields = &mut draft.fields;
    if let Some(old) = stream.draft.take() {
        scratch.discard(old);
    }
    if !fields.wanted() {
        return;
    }
    let [request, response] = stream.bodies;
    let int = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    if let (Some(request), true) = (request, stream.request_done) {
        fields.int(field::REQUEST_BODY, int(request));
    }
    if let Some(response) = response {
        fields.int(field::RESPONSE_BODY, int(response));
    }
    let is_call = stream.grpc == Grpc::Yes || (view == View::Calls && stream.grpc != Grpc::No);
    if !is_call {
        return;
    }
    let [request, response] = stream.messages;
    let request = request.count().filter(|_| stream.request_done);
    let response = response.count();
    if let Some(request) = request {
        fields.int(field::REQUEST_MESSAGES, i64::from(request));
    }
    if let Some(response) = response {
        fields.int(field::RESPONSE_MESSAGES, i64::from(response));
    }
    if let (Some(request), Some(response)) = (request, response) {
        fields.text(field::KIND, grpc::kind(request, response));
    }
}
