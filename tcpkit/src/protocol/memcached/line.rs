//! Lines of the text protocol: where they end, their words, and the numbers in them.

/// The longest line that is waited for, its end included, in bytes. A request with more is refused by
/// servers (2048 bytes without a line end), unless it is a `get` of many keys.
pub(super) const MAX_LINE: usize = 8 * 1024;

/// The longest key, in bytes (`KEY_MAX_LENGTH` in memcached.h).
pub(super) const MAX_KEY: usize = 250;

/// What stands at the beginning of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// A line: what is in front of its end, and its length with it.
    Whole(&'a [u8], usize),
    /// Its end is not in sight yet.
    Partial,
    /// It is too long.
    TooLong,
}

/// The line at the beginning of `bytes`. It ends with LF or CRLF.
#[inline]
pub(super) fn line(bytes: &[u8]) -> Line<'_> {
    let window = bytes.get(..MAX_LINE).unwrap_or(bytes);
    match memchr::memchr(b'\n', window) {
        Some(end) => {
            let line = window.get(..end).unwrap_or(window);
            Line::Whole(line.strip_suffix(b"\r").unwrap_or(line), end.saturating_add(1))
        }
        None if window.len() < MAX_LINE => Line::Partial,
        None => Line::TooLong,
    }
}

/// The words of a line, which spaces separate.
#[inline]
pub(super) fn words(line: &[u8]) -> Words<'_> {
    Words(line)
}

/// See [`words`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    /// What was not read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        while let [b' ', rest @ ..] = self.0 {
            self.0 = rest;
        }
        if self.0.is_empty() {
            return None;
        }
        let end = self.0.iter().position(|&byte| byte == b' ').unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at_checked(end)?;
        self.0 = rest;
        Some(word)
    }
}

/// A number without sign, if the word is one.
#[inline]
pub(super) fn number(word: &[u8]) -> Option<u64> {
    if word.is_empty() {
        return None;
    }
    let mut number = 0_u64;
    for byte in word {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(number)
}

/// A number with or without sign, if the word is one.
pub(super) fn signed(word: &[u8]) -> Option<i64> {
    match word {
        [b'-', digits @ ..] => i64::try_from(number(digits)?).ok()?.checked_neg(),
        digits => i64::try_from(number(digits)?).ok(),
    }
}

/// The length of a value, as servers take it (`INT_MAX - 2` at most).
#[inline]
pub(super) fn length(word: &[u8]) -> Option<u32> {
    u32::try_from(number(word)?).ok().filter(|&length| length <= 0x7fff_fffd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_and_without_cr() {
        assert_eq!(line(b"get a\r\nx"), Line::Whole(b"get a", 7));
        assert_eq!(line(b"get a\nx"), Line::Whole(b"get a", 6));
        assert_eq!(line(b"\n"), Line::Whole(b"", 1));
        assert_eq!(line(b"get a\r"), Line::Partial);
        let mut long = vec![b'a'; MAX_LINE];
        assert_eq!(line(&long), Line::TooLong);
        assert_eq!(line(&long[1..]), Line::Partial);
        long[MAX_LINE - 1] = b'\n';
        assert!(matches!(line(&long), Line::Whole(..)));
    }

    #[test]
    fn words_are_what_spaces_separate() {
        let all = |line: &'static [u8]| words(line).collect::<Vec<_>>();
        assert_eq!(all(b"  get  a b "), [&b"get"[..], b"a", b"b"]);
        assert!(all(b" ").is_empty() && all(b"").is_empty());
    }

    #[test]
    fn numbers_are_digits_and_nothing_else() {
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        for broken in ["", "-1", "+1", "1x", " 1", "18446744073709551616"] {
            assert_eq!(number(broken.as_bytes()), None, "{broken}");
        }
        assert_eq!(signed(b"-1"), Some(-1));
        assert_eq!(signed(b"--1"), None);
        assert_eq!(length(b"2147483645"), Some(2_147_483_645));
        assert_eq!(length(b"2147483646"), None);
    }
}
