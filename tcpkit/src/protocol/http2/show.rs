//! Fields and numbers as text.

use super::{frame, request::UNKNOWN};
use crate::protocol::{fields::FieldWriter, text::Text};

/// The longest text of a field, in bytes.
pub(super) const MAX_FIELD: usize = 256;

/// Positions in [`super::FIELD_NAMES`].
pub(super) mod field {
    pub(in crate::protocol::http2) const STREAM: u8 = 0;
    pub(in crate::protocol::http2) const METHOD: u8 = 1;
    pub(in crate::protocol::http2) const SCHEME: u8 = 2;
    pub(in crate::protocol::http2) const HOST: u8 = 3;
    pub(in crate::protocol::http2) const PATH: u8 = 4;
    pub(in crate::protocol::http2) const QUERY: u8 = 5;
    pub(in crate::protocol::http2) const REQUEST_CONTENT_TYPE: u8 = 6;
    pub(in crate::protocol::http2) const USER_AGENT: u8 = 7;
    pub(in crate::protocol::http2) const AUTHORIZATION: u8 = 8;
    pub(in crate::protocol::http2) const STATUS: u8 = 9;
    pub(in crate::protocol::http2) const CONTENT_TYPE: u8 = 10;
    pub(in crate::protocol::http2) const REQUEST_BODY: u8 = 11;
    pub(in crate::protocol::http2) const RESPONSE_BODY: u8 = 12;
    pub(in crate::protocol::http2) const RESET: u8 = 13;
    pub(in crate::protocol::http2) const SERVICE: u8 = 14;
    pub(in crate::protocol::http2) const CALL: u8 = 15;
    pub(in crate::protocol::http2) const ENCODING: u8 = 16;
    pub(in crate::protocol::http2) const REQUEST_MESSAGES: u8 = 17;
    pub(in crate::protocol::http2) const RESPONSE_MESSAGES: u8 = 18;
    pub(in crate::protocol::http2) const GRPC_STATUS: u8 = 19;
    pub(in crate::protocol::http2) const GRPC_STATUS_NAME: u8 = 20;
    pub(in crate::protocol::http2) const GRPC_MESSAGE: u8 = 21;
    pub(in crate::protocol::http2) const TRAILERS_ONLY: u8 = 22;
    pub(in crate::protocol::http2) const KIND: u8 = 23;
}

/// Adds bytes of the wire as text.
pub(super) fn bytes(fields: &mut FieldWriter, name: u8, value: &[u8]) {
    if !fields.wanted() {
        return;
    }
    let is_plain = value.len() <= MAX_FIELD && value.iter().all(|byte| (0x20..0x7f).contains(byte));
    match std::str::from_utf8(value) {
        Ok(value) if is_plain => fields.text(name, value),
        _ => with(fields, name, |text| text.push_bytes(value)),
    }
}

/// Adds the text that `push` writes.
pub(super) fn with(fields: &mut FieldWriter, name: u8, push: impl FnOnce(&mut Text)) {
    if fields.wanted() {
        let mut text = Text::default();
        text.reset(MAX_FIELD);
        push(&mut text);
        fields.text(name, text.as_str());
    }
}

/// Adds the name of the error with which a stream was given up.
pub(super) fn error_field(fields: &mut FieldWriter, code: Option<u32>) {
    if code.is_some() {
        with(fields, field::RESET, |text| push_error(text, code));
    }
}

/// Writes the name of an error, or its number where it has none.
pub(super) fn push_error(text: &mut Text, code: Option<u32>) {
    let Some(code) = code else { return text.push_str(UNKNOWN) };
    match frame::error_name(code) {
        Some(name) => text.push_str(name),
        None => push_number(text, code),
    }
}

/// Writes a number.
pub(super) fn push_number(text: &mut Text, number: u32) {
    let mut digits = [0_u8; 10];
    let mut rest = number;
    let mut begin = digits.len();
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0'.wrapping_add(u8::try_from(rest % 10).unwrap_or(0));
        rest /= 10;
        begin = at;
        if rest == 0 {
            break;
        }
    }
    text.push_bytes(digits.get(begin..).unwrap_or_default());
}
