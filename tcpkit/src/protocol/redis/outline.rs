//! What the fields say of a reply: its type, its length, its error.

use super::{building::field, commands::lookup};
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

    /// The reply is an error that begins with `head`. What the server quotes is left out: it repeats
    /// arguments, passwords among them (`unknown command 'HELLO', with args beginning with: …`,
    /// `Error in ACL SETUSER modifier '…'`).
    pub(super) fn error(&mut self, head: &[u8]) {
        let Some(draft) = &mut self.0 else { return };
        // The draft's own text is not used by replies.
        let mut text = Text::default();
        text.reset(MAX_HEAD);
        for piece in without_quotes(head) {
            text.push_bytes(piece);
        }
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

/// An error's text in pieces, with three dots for what it quotes, unless that is the name of a known
/// command; nothing of what follows an unknown command's name.
fn without_quotes(text: &[u8]) -> Vec<&[u8]> {
    const ARGUMENTS: &[u8] = b", with args beginning with";
    let end = memchr::memmem::find(text, ARGUMENTS).unwrap_or(text.len());
    let mut rest = text.get(..end).unwrap_or(text);
    let mut pieces = Vec::new();
    while let Some((before, quote, quoted, behind)) = next_quotation(rest) {
        pieces.extend([before, quote]);
        let is_known = lookup(quoted).name.as_bytes().eq_ignore_ascii_case(quoted);
        pieces.push(if is_known { quoted } else { b"..." });
        if behind.is_none() {
            return pieces;
        }
        pieces.push(quote);
        rest = behind.unwrap_or_default();
    }
    pieces.push(rest);
    pieces
}

/// What stands before the first quotation, its mark, what is quoted, and what follows; `None` where
/// the text ends inside the quotation. A mark inside a word (`can't`) opens none.
#[expect(clippy::type_complexity, reason = "four parts of one text, taken apart at once")]
fn next_quotation(text: &[u8]) -> Option<(&[u8], &[u8], &[u8], Option<&[u8]>)> {
    let marks = memchr::memchr3_iter(b'\'', b'`', b'"', text);
    let opens = |&at: &usize| {
        at.checked_sub(1)
            .is_none_or(|before| text.get(before).is_none_or(|byte| !byte.is_ascii_alphanumeric()))
    };
    let open = { marks }.find(opens)?;
    let (before, rest) = text.split_at_checked(open)?;
    let (mark, rest) = rest.split_at_checked(1)?;
    match memchr::memchr(*mark.first()?, rest) {
        Some(close) => {
            let (quoted, behind) = rest.split_at_checked(close)?;
            Some((before, mark, quoted, Some(behind.get(1..).unwrap_or(&[]))))
        }
        None => Some((before, mark, rest, None)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_do_not_repeat_arguments() {
        let check = |text: &str, expect: &str| {
            let shown = without_quotes(text.as_bytes()).concat();
            assert_eq!(String::from_utf8(shown).expect("text"), expect);
        };
        check("ERR value is not an integer", "ERR value is not an integer");
        check(
            "ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `u`, `s3cret`, ",
            "ERR unknown command `HELLO`",
        );
        check(
            "ERR unknown command 's3cret', with args beginning with: ",
            "ERR unknown command '...'",
        );
        check(
            "ERR Error in ACL SETUSER modifier '<s3cret': x",
            "ERR Error in ACL SETUSER modifier '...': x",
        );
        check("ERR Syntax error in HELLO option 's3cr", "ERR Syntax error in HELLO option '...");
        check(
            "ERR wrong number of arguments for 'set' command",
            "ERR wrong number of arguments for 'set' command",
        );
        check("ERR Can't execute 'get': only", "ERR Can't execute 'get': only");
    }
}
