//! Reads Kafka's types from the beginning of a message, of which the end may be missing.
//!
//! Types and their encodings are in the protocol guide (kafka.apache.org/protocol, "Protocol Primitive
//! Types"); compact lengths and tagged fields in KIP-482.

/// Bytes that are being read from the front. `None` everywhere means that what is there does not reach so
/// far or, where [`Reader::is_broken`] says so, that it cannot be what it is read as.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    flexible: bool,
    broken: bool,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`; with compact lengths and tagged fields where `flexible` says so.
    pub(super) fn new(bytes: &'a [u8], flexible: bool) -> Self {
        Self { rest: bytes, flexible, broken: false }
    }

    /// The same bytes, to be read on with compact lengths and tagged fields or without.
    pub(super) fn flexible(self, flexible: bool) -> Self {
        Self { flexible, ..self }
    }

    /// Whether something was read that cannot be what it was read as.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// How many bytes were not read yet.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    #[cold]
    fn broken<T>(&mut self) -> Option<T> {
        self.broken = true;
        None
    }

    #[inline]
    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    #[inline]
    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }

    #[inline]
    pub(super) fn i8(&mut self) -> Option<i8> {
        self.chunk().map(i8::from_be_bytes)
    }

    #[inline]
    pub(super) fn i16(&mut self) -> Option<i16> {
        self.chunk().map(i16::from_be_bytes)
    }

    #[inline]
    pub(super) fn i32(&mut self) -> Option<i32> {
        self.chunk().map(i32::from_be_bytes)
    }

    #[inline]
    pub(super) fn u32(&mut self) -> Option<u32> {
        self.chunk().map(u32::from_be_bytes)
    }

    #[inline]
    pub(super) fn i64(&mut self) -> Option<i64> {
        self.chunk().map(i64::from_be_bytes)
    }

    #[inline]
    pub(super) fn uuid(&mut self) -> Option<[u8; 16]> {
        self.chunk()
    }

    /// An unsigned number in groups of seven bits, the lowest first.
    #[inline]
    fn uvarint(&mut self) -> Option<u32> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.chunk()?;
            if shift == 28 && byte > 0x0f {
                return self.broken();
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        self.broken()
    }

    /// A length or count: one more than it is, and 0 for null.
    #[inline]
    fn compact(&mut self) -> Option<Option<usize>> {
        let more = self.uvarint()?;
        let count = more.checked_sub(1).and_then(|count| i32::try_from(count).ok());
        match (more, count) {
            (0, _) => Some(None),
            (_, Some(count)) => Some(usize::try_from(count).ok()),
            (_, None) => self.broken(),
        }
    }

    /// A length or count, and -1 for null.
    #[inline]
    fn plain(&mut self, count: i32) -> Option<Option<usize>> {
        match usize::try_from(count) {
            Ok(count) => Some(Some(count)),
            Err(_) if count == -1 => Some(None),
            Err(_) => self.broken(),
        }
    }

    /// A string that may be null.
    #[inline]
    pub(super) fn nullable(&mut self) -> Option<Option<&'a [u8]>> {
        let len = if self.flexible {
            self.compact()?
        } else {
            let len = self.i16()?;
            self.plain(i32::from(len))?
        };
        match len {
            Some(len) => self.bytes(len).map(Some),
            None => Some(None),
        }
    }

    /// A string. Where null is not allowed it is taken for an empty one.
    #[inline]
    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        Some(self.nullable()?.unwrap_or_default())
    }

    /// How many elements follow of an array that may be null.
    #[inline]
    pub(super) fn nullable_array(&mut self) -> Option<Option<usize>> {
        if self.flexible {
            return self.compact();
        }
        let count = self.i32()?;
        self.plain(count)
    }

    /// How many elements follow of an array.
    #[inline]
    pub(super) fn array(&mut self) -> Option<usize> {
        Some(self.nullable_array()?.unwrap_or(0))
    }

    /// Goes over bytes or records, which may be null.
    #[inline]
    pub(super) fn skip_bytes(&mut self) -> Option<()> {
        let len = self.nullable_array()?.unwrap_or(0);
        self.bytes(len).map(drop)
    }

    /// Goes over an array whose elements are all `size` bytes long.
    #[inline]
    pub(super) fn skip_array_of(&mut self, size: usize) -> Option<()> {
        let count = self.array()?;
        self.bytes(count.checked_mul(size)?).map(drop)
    }

    /// Goes over the tagged fields with which structures end in flexible versions.
    #[inline]
    pub(super) fn tags(&mut self) -> Option<()> {
        if !self.flexible {
            return Some(());
        }
        match self.rest.split_first() {
            Some((0, rest)) => {
                self.rest = rest;
                Some(())
            }
            _ => self.skip_tags(),
        }
    }

    fn skip_tags(&mut self) -> Option<()> {
        for _ in 0..self.uvarint()? {
            self.uvarint()?;
            let size = self.uvarint()?;
            self.bytes(usize::try_from(size).ok()?)?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_is_not_there_and_not_broken() {
        for (bytes, flexible) in [(&b"\x00\x03ab"[..], false), (b"\x04ab", true), (b"\x84", true)] {
            let mut reader = Reader::new(bytes, flexible);
            assert_eq!(reader.nullable(), None);
            assert!(!reader.is_broken());
        }
    }

    #[test]
    fn strings_are_read_in_both_forms() {
        for (bytes, flexible) in [(&b"\x00\x03abc\xff\xff"[..], false), (b"\x04abc\x00", true)] {
            let mut reader = Reader::new(bytes, flexible);
            assert_eq!(reader.nullable(), Some(Some(&b"abc"[..])));
            assert_eq!(reader.nullable(), Some(None));
            assert_eq!(reader.left(), 0);
        }
    }

    #[test]
    fn lengths_that_cannot_be_are_broken() {
        for bytes in
            [&b"\xff\xff\xff\xff\x1f"[..], b"\xff\xff\xff\xff\x0f", b"\x80\x80\x80\x80\x80"]
        {
            let mut reader = Reader::new(bytes, true);
            assert_eq!(reader.nullable(), None);
            assert!(reader.is_broken());
        }
        let mut reader = Reader::new(b"\xff\xfe", false);
        assert_eq!(reader.nullable(), None);
        assert!(reader.is_broken());
    }

    #[test]
    fn tagged_fields_are_gone_over() {
        let mut reader = Reader::new(b"\x02\x00\x01a\x83\x01\x02bc\x00\x07", true);
        assert_eq!(reader.tags(), Some(()));
        assert_eq!(reader.tags(), Some(()));
        assert_eq!(reader.i8(), Some(7));
        let mut reader = Reader::new(b"\x07", false);
        assert_eq!(reader.tags(), Some(()));
        assert_eq!(reader.left(), 1);
    }
}
