//! What the fields say of a reply: its type, its length, its error.

use super::building::field;
use crate::protocol::{Correlation, Draft, Message, Scratch, Status, text::Text};

/// How much of a simple string or an error is looked at, in bytes.
pub(super) const MAX_HEAD: usize = 128;

/// The fields of a reply in progress; nothing where nobody reads fields.
#[derive(Debug, Default)]
pub(super) struct Outline(Option<Box<Draft>>);

impl Outline {
    /// The reply is of the type with this byte, and of this length if the type has one.
    pub(super) fn begin(&mut self, kind: u8, len: Option<i64>, scratch: &mut Scratch) {
        let draft = self.0.get_or_insert_with(|| scratch.draft());
        draft.fields.text(field::REPLY, type_name(kind));
        if let Some(len) = len {
            draft.fields.int(field::REPLY_LEN, len);
        }
    }

    /// The reply is an error that begins with `head`.
    pub(super) fn error(&mut self, head: &[u8]) {
        let Some(draft) = &mut self.0 else { return };
        // The draft's own text is not used by replies.
        let mut text = Text::default();
        text.reset(MAX_HEAD);
        text.push_bytes(head);
        draft.fields.text(field::ERROR, text.as_str());
    }

    /// Whether there is anything to keep.
    #[inline]
    pub(super) fn is_begun(&self) -> bool {
        self.0.is_some()
    }

    /// The message of the complete reply.
    #[inline]
    pub(super) fn finish(
        self,
        scratch: &mut Scratch,
        correlation: Correlation,
        status: Status,
    ) -> Message<'_> {
        match self.0 {
            Some(draft) => scratch.finish(draft, correlation, status),
            None => scratch.bare(correlation, status),
        }
    }
}

/// The beginning of the line at the beginning of `bytes`, without its type byte; nothing while
/// too little of it is there.
pub(super) fn head(bytes: &[u8]) -> Option<&[u8]> {
    let bytes = bytes.get(1..)?;
    let window = bytes.get(..MAX_HEAD).unwrap_or(bytes);
    match memchr::memchr2(b'\r', b'\n', window) {
        Some(end) => window.get(..end),
        None => (window.len() == MAX_HEAD).then_some(window),
    }
}

fn type_name(kind: u8) -> &'static str {
    match kind {
        b'+' => "simple",
        b'-' => "error",
        b':' => "integer",
        b'$' => "bulk",
        b'*' => "array",
        b'_' => "null",
        b'#' => "boolean",
        b',' => "double",
        b'(' => "big_number",
        b'!' => "bulk_error",
        b'=' => "verbatim",
        b'%' => "map",
        b'~' => "set",
        b'>' => "push",
        _ => "unknown",
    }
}
