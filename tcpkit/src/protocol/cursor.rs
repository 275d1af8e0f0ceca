//! A reader that only moves forward and never beyond its bytes.

/// Bytes that are being consumed from the front.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    total: usize,
}

impl<'a> Cursor<'a> {
    /// Stands at the first byte of `input`.
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self { rest: input, total: input.len() }
    }

    /// What lies ahead.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// How many bytes lie behind.
    #[inline]
    pub(super) fn consumed(&self) -> usize {
        self.total.saturating_sub(self.rest.len())
    }

    /// Goes `count` bytes on, or to the end.
    #[inline]
    pub(super) fn advance(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }

    /// Goes over the next `count` bytes, if that many are there.
    #[inline]
    pub(super) fn take(&mut self, count: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(count).ok()?)?;
        self.rest = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_behind() {
        let mut cursor = Cursor::new(b"abcdef");
        assert_eq!(cursor.take(2), Some(&b"ab"[..]));
        cursor.advance(1);
        assert_eq!((cursor.consumed(), cursor.rest()), (3, &b"def"[..]));
    }

    #[test]
    fn nothing_is_taken_beyond_the_end() {
        let mut cursor = Cursor::new(b"abc");
        assert_eq!(cursor.take(4), None);
        assert_eq!(cursor.take(u64::MAX), None);
        assert_eq!(cursor.consumed(), 0);
        cursor.advance(9);
        assert_eq!((cursor.consumed(), cursor.rest()), (3, &b""[..]));
    }
}
