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

/// Adds the name of the error with which a stream was given up.
pub(super) fn error_field(fields: &mut FieldWriter, code: Option<u32>) {
    if code.is_some() {
        fields.text_with(field::RESET, MAX_FIELD, |text| push_error(text, code));
    }
}

/// Writes the name of an error, or its number where it has none.
pub(super) fn push_error(text: &mut Text, code: Option<u32>) {
    let Some(code) = code else { return text.push_str(UNKNOWN) };
    match frame::error_name(code) {
        Some(name) => text.push_str(name),
        None => text.push_number(i64::from(code)),
    }
}
