//! What header fields say that somebody wants to read, and which of it nobody may.

use httparse::Header;

use super::head::Head;
use crate::protocol::{
    Draft, SecretNames,
    fields::FieldWriter,
    secrets::{self, REDACTED},
    text::Text,
    url::{Target, split_userinfo},
};

/// The longest text of a field, in bytes.
const MAX_FIELD: usize = 256;

/// Positions in [`super::FIELD_NAMES`].
pub(super) mod field {
    pub(crate) const METHOD: u8 = 0;
    pub(crate) const HOST: u8 = 1;
    pub(crate) const PATH: u8 = 2;
    pub(crate) const QUERY: u8 = 3;
    pub(crate) const VERSION: u8 = 4;
    pub(crate) const USER_AGENT: u8 = 5;
    pub(crate) const REQUEST_TYPE: u8 = 6;
    pub(crate) const UPGRADE: u8 = 7;
    pub(crate) const X_REQUEST_ID: u8 = 8;
    pub(crate) const TRACEPARENT: u8 = 9;
    pub(crate) const AUTHORIZATION: u8 = 10;
    pub(crate) const COOKIE: u8 = 11;
    pub(crate) const REQUEST_BODY: u8 = 12;
    pub(crate) const WARNING: u8 = 13;
    pub(crate) const STATUS: u8 = 14;
    pub(crate) const CONTENT_TYPE: u8 = 15;
    pub(crate) const SET_COOKIE: u8 = 16;
    pub(crate) const RESPONSE_BODY: u8 = 17;
}

/// Header fields of requests that are shown.
const OF_REQUESTS: &[(&str, u8)] = &[
    ("user-agent", field::USER_AGENT),
    ("content-type", field::REQUEST_TYPE),
    ("upgrade", field::UPGRADE),
    ("x-request-id", field::X_REQUEST_ID),
    ("traceparent", field::TRACEPARENT),
    ("authorization", field::AUTHORIZATION),
    ("cookie", field::COOKIE),
];

/// Header fields of responses that are shown.
const OF_RESPONSES: &[(&str, u8)] =
    &[("content-type", field::CONTENT_TYPE), ("set-cookie", field::SET_COOKIE)];

/// Whether a header field has this name, which is given in lower case.
#[inline]
pub(super) fn is(header: &Header<'_>, name: &str) -> bool {
    header.name.len() == name.len() && header.name.eq_ignore_ascii_case(name)
}

/// Writes down a request: `GET example.com/path?x=1`.
pub(super) fn request(
    draft: &mut Draft,
    secret_names: &SecretNames,
    (method, target, version): (&str, &str, u8),
    head: &Head<'_, '_>,
    host: &[u8],
) {
    // A method is a token, which is printable.
    draft.operation.push_str(method);
    draft.text.push_str(method);
    draft.text.push_str(" ");
    let target = Target::new(target.as_bytes());
    let (_, host) = split_userinfo(host);
    if target.path.first() == Some(&b'/') && target.authority.is_empty() {
        draft.text.push_bytes(host);
    }
    target.push(&mut draft.text, secret_names);
    if !draft.fields.wanted() {
        return;
    }
    let fields = &mut draft.fields;
    fields.text(field::METHOD, method.get(..MAX_FIELD).unwrap_or(method));
    let host = if target.authority.is_empty() { host } else { split_userinfo(target.authority).1 };
    if !host.is_empty() {
        fields.wire(field::HOST, MAX_FIELD, host);
    }
    if !target.path.is_empty() {
        fields.text_with(field::PATH, MAX_FIELD, |text| target.push_path(text, secret_names));
    }
    if target.query.len() > 1 {
        fields.text_with(field::QUERY, MAX_FIELD, |text| target.push_query(text, secret_names));
    }
    fields.text(field::VERSION, if version == 0 { "1.0" } else { "1.1" });
    shown(fields, head.headers, OF_REQUESTS);
}

/// Writes down a response's status and header fields.
pub(super) fn response(draft: &mut Draft, status: u16, head: &Head<'_, '_>) {
    push_status(&mut draft.text, status);
    if draft.fields.wanted() {
        draft.fields.int(field::STATUS, i64::from(status));
        shown(&mut draft.fields, head.headers, OF_RESPONSES);
    }
}

/// Appends the three digits of a status.
fn push_status(text: &mut Text, status: u16) {
    let mut digits = [0; 3];
    let mut rest = status;
    for digit in digits.iter_mut().rev() {
        *digit = b'0'.saturating_add(u8::try_from(rest.wrapping_rem(10)).unwrap_or(0));
        rest = rest.wrapping_div(10);
    }
    text.push_bytes(&digits);
}

/// Adds those of `names` that are among the header fields, the first of each.
fn shown(fields: &mut FieldWriter, headers: &[Header<'_>], names: &[(&str, u8)]) {
    let mut seen = 0_u32;
    for header in headers {
        let Some(&(name, at)) = names.iter().find(|(name, _)| is(header, name)) else { continue };
        let bit = 1_u32.checked_shl(u32::from(at)).unwrap_or(0);
        if seen & bit != 0 {
            continue;
        }
        seen |= bit;
        if secrets::is_secret_header(name.as_bytes()) {
            secret(fields, at, header.value);
        } else {
            fields.wire(at, MAX_FIELD, header.value);
        }
    }
}

/// Adds a secret's kind. Only `Authorization` says one: the scheme before the first space (RFC 9110
/// §11.4).
fn secret(fields: &mut FieldWriter, at: u8, value: &[u8]) {
    let scheme = if at == field::AUTHORIZATION { secrets::scheme(value) } else { &[] };
    if scheme.is_empty() {
        fields.text(at, REDACTED);
        return;
    }
    fields.text_with(at, MAX_FIELD, |text| {
        text.push_bytes(scheme);
        text.push_str(" ");
        text.push_str(REDACTED);
    });
}
