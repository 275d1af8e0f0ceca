//! Keys and values as a person would type them.

use crate::protocol::{secrets::REDACTED, text::Text};

/// The longest key or error that the fields show, in bytes.
pub(super) const MAX_FIELD: usize = 128;

/// Appends words of the wire; what would not print is escaped.
#[inline]
pub(super) fn words(text: &mut Text, bytes: &[u8]) {
    if text.is_full() {
        return;
    }
    // Beyond the bound, text is cut character by character: leave only a few to that.
    let shown = bytes.get(..text.room().saturating_add(4)).unwrap_or(bytes);
    let plain = shown.iter().fold(true, |plain, byte| plain & (0x20..0x7f).contains(byte));
    match std::str::from_utf8(shown) {
        Ok(ascii) if plain => text.push_str(ascii),
        _ => text.push_bytes(shown),
    }
}

/// Appends a value of which `bytes` is the beginning, or the whole where `whole` says so. It is put in
/// double quotes where its bounds would not be plain otherwise.
#[inline]
pub(super) fn value(text: &mut Text, bytes: &[u8], whole: bool) {
    if text.is_full() {
        return;
    }
    let plain = bytes.iter().fold(true, |plain, byte| {
        plain & (0x21..0x7f).contains(byte) & !matches!(byte, b'"' | b'\'')
    });
    if bytes.is_empty() && !whole {
        // Nothing of it was seen.
    } else if plain && !bytes.is_empty() {
        words(text, bytes);
    } else {
        quoted(text, bytes, whole);
    }
    if !whole {
        text.push_str("...");
    }
}

#[cold]
fn quoted(text: &mut Text, bytes: &[u8], whole: bool) {
    text.push_str("\"");
    for run in bytes.split_inclusive(|&byte| matches!(byte, b'"' | b'\\')) {
        match run.split_last() {
            Some((&byte @ (b'"' | b'\\'), before)) => {
                words(text, before);
                text.push_str(if byte == b'"' { "\\\"" } else { "\\\\" });
            }
            _ => words(text, run),
        }
    }
    if whole {
        text.push_str("\"");
    }
}

/// The longest user's name and password that servers know, in bytes (`MAX_ENTRY_LEN` in authfile.h).
pub(super) const MAX_CREDENTIALS: u64 = 256;

/// Whether a value may be a user's name and password, which the text protocol has the client `set`
/// before anything else (doc/protocol.txt, "Authentication"): a word, a space, and more.
pub(super) fn may_be_credentials(bytes: &[u8], whole: bool) -> bool {
    // Either may have any byte but those that end a line of the server's file.
    let is_line = !bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n'));
    match bytes.iter().position(|&byte| byte == b' ') {
        Some(at) => at > 0 && is_line,
        None => !whole && is_line,
    }
}

/// Appends what stands for a secret.
pub(super) fn secret(text: &mut Text) {
    text.push_str(REDACTED);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(max: usize, bytes: &[u8], whole: bool, expect: &str) {
        let mut text = Text::default();
        text.reset(max);
        value(&mut text, bytes, whole);
        assert_eq!(text.as_str(), expect, "{bytes:?}");
    }

    #[test]
    fn values_show_where_they_begin_and_end() {
        check(128, b"hello", true, "hello");
        check(128, b"", true, "\"\"");
        check(128, b"a b", true, "\"a b\"");
        check(128, b"say \"hi\\", true, "\"say \\\"hi\\\\\"");
        check(128, b"\x1b[2J\xff", true, "\"\\x1b[2J\\xff\"");
        check(128, b"abc", false, "abc...");
        check(128, b"a b", false, "\"a b...");
        check(128, b"", false, "...");
        check(8, &[b'x'; 500], true, "xxxxx...");
        check(0, b"abc", true, "");
    }

    #[test]
    fn credentials_are_two_words() {
        for (value, whole, expect) in [
            (&b"bob hunter2"[..], true, true),
            (b"bob hunter 2", true, true),
            (b"bo", false, true),
            (b"bob", true, false),
            (b" bob", true, false),
            (b"a \x00", true, true),
            (b"a b\r\nc", true, false),
            (b"", true, false),
        ] {
            assert_eq!(may_be_credentials(value, whole), expect, "{value:?}");
        }
    }
}
