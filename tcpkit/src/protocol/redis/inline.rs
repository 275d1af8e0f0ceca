//! Inline commands: a line of words, as people type them into telnet.

use super::{
    building::{Building, MAX_PREFIX},
    commands::MAX_NAME,
    secrets::MAX_WORD,
};

/// The longest inline command, in bytes (`PROTO_INLINE_MAX_SIZE` in server.h).
pub(super) const MAX_INLINE: u64 = 64 * 1024;

/// The longest unquoted value that is compared with anything, or shown as a key.
const MAX_VALUE: usize = 160;

const _: () = assert!(MAX_VALUE > MAX_NAME && MAX_VALUE > MAX_WORD);

/// Whether an inline command may begin with this byte. Redis takes any; here, what no command
/// begins with is a sign that bytes were taken for what they are not.
pub(super) fn may_begin(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'"' | b'\'' | b'_')
}

/// Whether the bytes can be part of an inline command.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |text, &byte| {
        text & ((byte >= b' ') & (byte != 0x7f) | (byte == b'\t') | (byte == b'\r'))
    })
}

/// How much of an inline command is looked at.
pub(super) fn prefix_len(building: &Building) -> usize {
    // White space and quotes take room that the text does not need.
    building.draft.text.room().saturating_mul(2).clamp(1024, MAX_PREFIX)
}

/// Adds the words of a line, of which `line` is the beginning or, where `whole` says so, all.
pub(super) fn arguments(
    building: &mut Building,
    line: &[u8],
    whole: bool,
) -> Result<(), &'static str> {
    let mut value = [0; MAX_VALUE];
    if whole {
        let count = Words(line).count_words();
        building.announce(count.saturating_sub(1));
    }
    let mut words = Words(line);
    while let Some(typed) = words.next_word() {
        let complete = whole || !words.0.is_empty();
        match unquote(typed, &mut value) {
            Some(len) => {
                let value = value.get(..len).unwrap_or_default();
                building.argument(value, complete, Some(typed));
            }
            // Too long to be a word that matters; the beginning is enough.
            None => building.argument(&value, false, Some(typed)),
        }
    }
    if !whole && building.counts_arguments() {
        return Err("an inline command that is too long to count its arguments");
    }
    Ok(())
}

/// Splits a line where Redis does (`sdssplitargs` in sds.c).
struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    fn next_word(&mut self) -> Option<&'a [u8]> {
        let start = self.0.iter().position(|byte| !is_space(*byte))?;
        let word = self.0.get(start..)?;
        let mut quote = None;
        let mut escaped = false;
        let end = word.iter().position(|&byte| {
            match quote {
                _ if escaped => escaped = false,
                Some(_) if byte == b'\\' => escaped = true,
                Some(open) if byte == open => quote = None,
                Some(_) => {}
                None if is_space(byte) => return true,
                None if matches!(byte, b'"' | b'\'') => quote = Some(byte),
                None => {}
            }
            false
        });
        let (word, rest) = word.split_at_checked(end.unwrap_or(word.len()))?;
        self.0 = rest;
        Some(word)
    }

    fn count_words(mut self) -> u32 {
        let mut count = 0_u32;
        while self.next_word().is_some() {
            count = count.saturating_add(1);
        }
        count
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c)
}

/// Writes what a word means without its quotes; how long that is, if it has room.
fn unquote(typed: &[u8], value: &mut [u8; MAX_VALUE]) -> Option<usize> {
    let mut len = 0_usize;
    let mut push = |byte: u8| -> Option<()> {
        *value.get_mut(len)? = byte;
        len = len.checked_add(1)?;
        Some(())
    };
    let mut quote = None;
    let mut rest = typed;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match (quote, *byte) {
            (Some(b'"'), b'\\') => match tail {
                [b'x', high, low, tail @ ..]
                    if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
                {
                    rest = tail;
                    push(nibble(*high) << 4 | nibble(*low))?;
                }
                [escape, tail @ ..] => {
                    rest = tail;
                    push(match escape {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        b'b' => 0x08,
                        b'a' => 0x07,
                        other => *other,
                    })?;
                }
                [] => {}
            },
            (Some(b'\''), b'\\') if tail.first() == Some(&b'\'') => {
                rest = tail.get(1..).unwrap_or_default();
                push(b'\'')?;
            }
            (Some(open), byte) if byte == open => quote = None,
            (None, open @ (b'"' | b'\'')) => quote = Some(open),
            (_, byte) => push(byte)?,
        }
    }
    Some(len)
}

fn nibble(digit: u8) -> u8 {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expect: &[&[u8]]) {
        let mut words = Words(line.as_bytes());
        let mut values = Vec::new();
        while let Some(word) = words.next_word() {
            let mut value = [0; MAX_VALUE];
            let len = unquote(word, &mut value).expect("room");
            values.push(value[..len].to_vec());
        }
        assert_eq!(values, expect, "{line:?}");
        let count = Words(line.as_bytes()).count_words();
        assert_eq!(usize::try_from(count).expect("few"), expect.len());
    }

    #[test]
    fn words_are_split_and_unquoted_as_redis_does() {
        check("", &[]);
        check("  \t\r", &[]);
        check("set foo  bar\r", &[b"set", b"foo", b"bar"]);
        check(r#"set "a b" 'c d'"#, &[b"set", b"a b", b"c d"]);
        check(r#""\x41UTH" "a\"b\\" 'it\'s' "\n""#, &[b"AUTH", b"a\"b\\", b"it's", b"\n"]);
        check(r#"auth "never closed pass"#, &[b"auth", b"never closed pass"]);
        check(r#"a "" b"#, &[b"a", b"", b"b"]);
    }

    #[test]
    fn long_words_have_no_value() {
        assert_eq!(unquote(&[b'x'; MAX_VALUE], &mut [0; MAX_VALUE]), Some(MAX_VALUE));
        assert_eq!(unquote(&[b'x'; MAX_VALUE + 1], &mut [0; MAX_VALUE]), None);
    }
}
