//! What clients say: header blocks that open streams, and streams that are given up.

use std::num::NonZero;

use super::{
    FIELD_NAMES, Http2Decoder, View,
    frame::CANCEL,
    grpc,
    hpack::{Headers, Name},
    response, show,
    show::field,
    side::Block,
    streams::{Grpc, Response, Stream},
};
use crate::protocol::{
    Correlation, Direction, Draft, Message, Part, Scratch, SecretNames, Status,
    url::{self, Target},
};

const _: () = assert!(FIELD_NAMES.len() == grpc::FIELD_NAMES.len());

impl Http2Decoder {
    /// A header block is complete.
    pub(super) fn on_block<'s>(
        &mut self,
        direction: Direction,
        block: &Block,
        headers: Headers,
        scratch: &'s mut Scratch,
    ) -> Message<'s> {
        match direction {
            Direction::Request => self.on_request_block(block, headers, scratch),
            Direction::Response => self.on_response_block(block, headers, scratch),
        }
    }

    fn on_request_block<'s>(
        &mut self,
        block: &Block,
        headers: Headers,
        scratch: &'s mut Scratch,
    ) -> Message<'s> {
        let id = block.stream;
        // A client opens streams in the order of their numbers (RFC 9113 §5.1.1).
        let is_request =
            if self.highest == u32::MAX { is_request(&headers) } else { id > self.highest };
        match self.streams.get(id) {
            // What is said behind the content.
            Some(stream) if !stream.request_done || !is_request => {
                let part = if block.end_stream { Part::Last } else { Part::Middle };
                stream.request_done |= block.end_stream;
                let correlation = stream.correlation();
                self.streams.remove_if_over(id);
                scratch.give_bytes(headers.into_bytes());
                Message::bare(correlation, part)
            }
            None if is_request => self.open(block, headers, scratch),
            Some(_) | None => {
                scratch.give_bytes(headers.into_bytes());
                Message::bare(Correlation::OneWay, Part::Middle)
            }
        }
    }

    /// The client opens a stream.
    pub(super) fn open<'s>(
        &mut self,
        block: &Block,
        headers: Headers,
        scratch: &'s mut Scratch,
    ) -> Message<'s> {
        let id = block.stream;
        self.highest = if self.highest == u32::MAX { id } else { self.highest.max(id) };
        let mut stream = Stream::new(id);
        stream.grpc = match headers.get(Name::ContentType) {
            Some(content_type) if grpc::is_grpc(content_type) => Grpc::Yes,
            // Calls are sent by POST.
            None if headers.hides_some()
                && headers.get(Name::Method).is_none_or(|it| it == b"POST") =>
            {
                Grpc::Unknown
            }
            Some(_) | None => Grpc::No,
        };
        stream.is_shown = self.view == View::All || stream.grpc != Grpc::No;
        stream.request_done = block.end_stream;
        if self.response.is_lost {
            stream.response = Response::Hidden;
        }
        let part = if block.end_stream { Part::Whole } else { Part::First };
        let correlation = stream.correlation();
        let is_call =
            stream.grpc == Grpc::Yes || (stream.grpc == Grpc::Unknown && self.view == View::Calls);
        let is_shown = stream.is_shown;
        self.streams.insert(stream);
        if !is_shown {
            scratch.give_bytes(headers.into_bytes());
            return Message::bare(correlation, part);
        }
        let mut draft = scratch.draft();
        let secrets = &scratch.options().secrets;
        match self.view {
            View::All => show_request(&mut draft, &headers, secrets),
            View::Calls => show_call(&mut draft, &headers, secrets),
        }
        if draft.fields.wanted() {
            request_fields(&mut draft, id, &headers, secrets, is_call);
        }
        let timeout = headers.get(Name::GrpcTimeout).filter(|_| is_call);
        let deadline_ns = timeout.and_then(grpc::timeout_ns).and_then(NonZero::new);
        scratch.give_bytes(headers.into_bytes());
        let message = scratch.finish(draft, correlation, Status::Ok);
        Message { part, deadline_ns, ..message }
    }

    /// Either side gives a stream up; `code` is `None` where it was not seen.
    pub(super) fn on_reset<'s>(
        &mut self,
        direction: Direction,
        id: u32,
        code: Option<u32>,
        scratch: &'s mut Scratch,
    ) -> Option<Message<'s>> {
        let stream = self.streams.remove(id)?;
        if !matches!(stream.response, Response::Awaited | Response::Begun) {
            let is_waited_for = stream.is_shown && stream.response == Response::Hidden;
            let void = Message::bare(stream.correlation(), Part::Void);
            return (is_waited_for && direction == Direction::Response).then_some(void);
        }
        let part = match (direction, stream.response) {
            // While the server is not heard nobody knows what it had said by then.
            (Direction::Request, _) if self.response.is_lost => return None,
            (Direction::Request, _) => Part::Cancel,
            (Direction::Response, Response::Begun) => Part::Last,
            (Direction::Response, _) => Part::Whole,
        };
        let correlation = stream.correlation();
        let mut draft = scratch.draft();
        if direction == Direction::Request && code == Some(CANCEL) {
            draft.text.push_str("cancelled");
        } else {
            draft.text.push_str("reset ");
            show::push_error(&mut draft.text, code);
        }
        response::fields(&mut draft, stream, self.view, scratch);
        show::error_field(&mut draft.fields, code);
        let message = scratch.finish(draft, correlation, Status::Error);
        Some(Message { part, ..message })
    }
}

/// Whether a header block is a request's, and not what comes behind its content: that has none of these
/// (RFC 9113 §8.1).
fn is_request(headers: &Headers) -> bool {
    [Name::Method, Name::Scheme, Name::Path, Name::Authority].iter().any(|name| headers.has(*name))
}

/// What stands for what is not known.
pub(super) const UNKNOWN: &str = "?";

/// `GET example.com/path?query`.
fn show_request(draft: &mut Draft, headers: &Headers, secrets: &SecretNames) {
    match headers.get(Name::Method) {
        Some(method) => {
            draft.operation.push_bytes(method);
            draft.text.push_bytes(method);
        }
        None => {
            draft.operation.push_str(UNKNOWN);
            draft.text.push_str(UNKNOWN);
        }
    }
    let authority = authority(headers);
    let path = headers.get(Name::Path);
    draft.text.push_str(" ");
    match authority {
        Some(authority) => url::push_authority(&mut draft.text, authority),
        // One mark is enough for both.
        None if headers.hides_some() && path.is_some() => draft.text.push_str(UNKNOWN),
        None => {}
    }
    match path {
        Some(path) => Target::new(path).push(&mut draft.text, secrets),
        None if headers.hides_some() => draft.text.push_str(UNKNOWN),
        None => {}
    }
}

/// `/pkg.Service/Method`.
fn show_call(draft: &mut Draft, headers: &Headers, secrets: &SecretNames) {
    let Some(path) = headers.get(Name::Path) else {
        draft.operation.push_str(UNKNOWN);
        draft.text.push_str(UNKNOWN);
        return;
    };
    let target = Target::new(path);
    let room = draft.operation.room();
    grpc::push_operation(&mut draft.operation, grpc::call(target.path), room);
    target.push_path(&mut draft.text, secrets);
}

fn authority(headers: &Headers) -> Option<&[u8]> {
    headers.get(Name::Authority).or_else(|| headers.get(Name::Host))
}

fn request_fields(
    draft: &mut Draft,
    id: u32,
    headers: &Headers,
    secrets: &SecretNames,
    is_call: bool,
) {
    let fields = &mut draft.fields;
    fields.int(field::STREAM, i64::from(id));
    let plain = [
        (field::METHOD, Name::Method),
        (field::SCHEME, Name::Scheme),
        (field::REQUEST_CONTENT_TYPE, Name::ContentType),
        (field::USER_AGENT, Name::UserAgent),
    ];
    for (name, header) in plain {
        if let Some(value) = headers.get(header) {
            fields.wire(name, show::MAX_FIELD, value);
        }
    }
    if let Some(authority) = authority(headers) {
        fields.text_with(field::HOST, show::MAX_FIELD, |text| url::push_authority(text, authority));
    }
    if let Some(target) = headers.get(Name::Path) {
        let target = Target::new(target);
        fields.text_with(field::PATH, show::MAX_FIELD, |text| target.push_path(text, secrets));
        if !target.query.is_empty() {
            fields
                .text_with(field::QUERY, show::MAX_FIELD, |text| target.push_query(text, secrets));
        }
        if is_call && let Some((service, method)) = grpc::split_path(grpc::call(target.path)) {
            fields.wire(field::SERVICE, show::MAX_FIELD, service);
            fields.wire(field::CALL, show::MAX_FIELD, method);
        }
    }
    if let Some(scheme) = headers.get(Name::Authorization) {
        fields.text_with(field::AUTHORIZATION, show::MAX_FIELD, |text| {
            text.push_bytes(scheme);
            text.push_str(if scheme.is_empty() { "" } else { " " });
            text.push_str(crate::protocol::secrets::REDACTED);
        });
    }
    if is_call && let Some(encoding) = headers.get(Name::GrpcEncoding) {
        fields.wire(field::ENCODING, show::MAX_FIELD, encoding);
    }
}
