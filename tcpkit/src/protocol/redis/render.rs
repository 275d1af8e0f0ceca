//! One argument of a command as a person would type it into redis-cli.

use crate::protocol::text::Text;

/// Appends an argument of which `bytes` is the beginning, or the whole where `whole` says so.
///
/// It is put in double quotes where redis-cli would otherwise read something else (`sdssplitargs`
/// in sds.c): empty, with white space or quotes in it, or with bytes that only an escape can show.
#[inline]
pub(super) fn argument(text: &mut Text, bytes: &[u8], whole: bool) {
    if text.is_full() {
        return;
    }
    if is_plain(bytes) {
        push_ascii(text, bytes);
    } else if bytes.is_empty() && !whole {
        // Nothing of it was seen.
    } else if needs_quotes(bytes) {
        text.push_str("\"");
        for run in bytes.split_inclusive(|&byte| matches!(byte, b'"' | b'\\')) {
            match run.split_last() {
                Some((&b'"', before)) => {
                    push_run(text, before);
                    text.push_str("\\\"");
                }
                Some((&b'\\', before)) => {
                    push_run(text, before);
                    text.push_str("\\\\");
                }
                _ => push_run(text, run),
            }
        }
        if whole {
            text.push_str("\"");
        }
    } else {
        text.push_bytes(bytes);
    }
    if !whole {
        text.push_str("...");
    }
}

/// Appends bytes of the wire as they are, escaped where they would not print.
pub(super) fn raw(text: &mut Text, bytes: &[u8]) {
    push_run(text, bytes);
}

fn push_run(text: &mut Text, bytes: &[u8]) {
    if bytes.iter().fold(true, |plain, byte| plain & (0x20..0x7f).contains(byte)) {
        push_ascii(text, bytes);
    } else {
        text.push_bytes(bytes);
    }
}

/// Appends printable ASCII in as few pieces as the bound allows.
#[inline]
fn push_ascii(text: &mut Text, bytes: &[u8]) {
    let Ok(ascii) = std::str::from_utf8(bytes) else { return };
    // Beyond the bound, text is cut character by character: leave only a few to that.
    let fits = text.room().saturating_sub(3);
    match ascii.split_at_checked(fits) {
        Some((head, tail)) if tail.len() > 3 => {
            text.push_str(head);
            text.push_str(tail.get(..4).unwrap_or(tail));
        }
        _ => text.push_str(ascii),
    }
}

/// Whether the bytes show as themselves without quotes.
#[inline]
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    // No early exit, so that this becomes a few vector instructions.
    let plain = bytes.iter().fold(true, |plain, &byte| {
        plain & (0x21..0x7f).contains(&byte) & (byte != b'"') & (byte != b'\'')
    });
    plain & !bytes.is_empty()
}

#[cold]
fn needs_quotes(bytes: &[u8]) -> bool {
    if bytes.is_empty()
        || bytes.iter().any(|&byte| byte <= b' ' || matches!(byte, b'"' | b'\'' | 0x7f))
    {
        return true;
    }
    let unprintable = |text: &str| text.chars().any(|c| !c.is_ascii() && !c.is_alphanumeric());
    match std::str::from_utf8(bytes) {
        Ok(text) => unprintable(text),
        // A character that the prefix cuts in two is no reason for quotes.
        Err(error) if error.error_len().is_none() => bytes
            .get(..error.valid_up_to())
            .and_then(|valid| std::str::from_utf8(valid).ok())
            .is_none_or(unprintable),
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_within(max: usize, bytes: &[u8], whole: bool, expect: &str) {
        let mut text = Text::default();
        text.reset(max);
        argument(&mut text, bytes, whole);
        assert_eq!(text.as_str(), expect, "{bytes:?}");
        assert!(text.as_str().len() <= max);
    }

    fn check(bytes: &[u8], expect: &str) {
        check_within(128, bytes, true, expect);
    }

    #[test]
    fn plain_arguments_are_as_typed() {
        check(b"foo", "foo");
        check(b"user:{1}:*\\path", "user:{1}:*\\path");
        check("Schlüssel钥匙".as_bytes(), "Schlüssel钥匙");
    }

    #[test]
    fn what_redis_cli_would_read_otherwise_is_quoted() {
        check(b"", "\"\"");
        check(b"a b", "\"a b\"");
        check(b"say \"hi\\\"", "\"say \\\"hi\\\\\\\"\"");
        check(b"it's", "\"it's\"");
        check(b"a\r\nb", "\"a\\r\\nb\"");
        check(b"\x1b[2J", "\"\\x1b[2J\"");
        check(b"\xff", "\"\\xff\"");
        check("a\u{202e}b".as_bytes(), "\"a\\xe2\\x80\\xaeb\"");
    }

    #[test]
    fn long_arguments_are_cut_at_the_bound() {
        check_within(8, b"12345678", true, "12345678");
        check_within(8, b"123456789", true, "12345...");
        check_within(8, &[b'x'; 500], true, "xxxxx...");
        check_within(8, &[b' '; 500], true, "\"    ...");
        check_within(0, b"abc", true, "");
    }

    #[test]
    fn a_hidden_rest_shows() {
        check_within(128, b"abc", false, "abc...");
        check_within(128, b"a b", false, "\"a b...");
        check_within(128, b"", false, "...");
    }
}
