//! A part of a frame: what was captured of it, and how long it is on the wire.

/// The bytes that should come next were not captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut;

/// A header and what follows it, up to the end that the header before it announces.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'a> {
    captured: &'a [u8],
    wire_len: u32,
}

impl<'a> Bytes<'a> {
    /// A part of which `captured` is at hand and that is `wire_len` bytes long on the wire.
    pub(super) fn new(captured: &'a [u8], wire_len: u32) -> Self {
        Self { captured, wire_len }
    }

    /// What was captured.
    pub(super) fn captured(&self) -> &'a [u8] {
        self.captured
    }

    /// How many bytes were captured.
    pub(super) fn captured_len(&self) -> u32 {
        u32::try_from(self.captured.len()).unwrap_or(u32::MAX)
    }

    /// The length on the wire, in bytes.
    pub(super) fn wire_len(&self) -> u32 {
        self.wire_len
    }

    /// The part that begins `len` bytes later.
    pub(super) fn skip(&self, len: u32) -> Self {
        let captured = usize::try_from(len).ok().and_then(|len| self.captured.get(len..));
        Self { captured: captured.unwrap_or(&[]), wire_len: self.wire_len.saturating_sub(len) }
    }

    /// The same part, which by its own header is `len` bytes long, whatever else there is.
    pub(super) fn announced(&self, len: u32) -> Self {
        let captured = usize::try_from(len).ok().and_then(|len| self.captured.get(..len));
        Self { captured: captured.unwrap_or(self.captured), wire_len: len }
    }

    /// `N` bytes from offset `at` on.
    pub(super) fn array<const N: usize>(&self, at: usize) -> Result<[u8; N], Cut> {
        self.captured.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(Cut)
    }

    /// The byte at offset `at`.
    pub(super) fn u8(&self, at: usize) -> Result<u8, Cut> {
        self.captured.get(at).copied().ok_or(Cut)
    }

    /// The 16 bits at offset `at`, in network order.
    pub(super) fn u16(&self, at: usize) -> Result<u16, Cut> {
        self.array(at).map(u16::from_be_bytes)
    }

    /// The 32 bits at offset `at`, in network order.
    pub(super) fn u32(&self, at: usize) -> Result<u32, Cut> {
        self.array(at).map(u32::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_follow_the_wire_and_bytes_what_was_captured() {
        let whole = Bytes::new(&[1, 2, 3, 4, 5, 6], 100);
        let rest = whole.skip(2);
        assert_eq!((rest.captured(), rest.wire_len()), (&[3, 4, 5, 6][..], 98));
        let part = rest.announced(3);
        assert_eq!((part.captured(), part.wire_len()), (&[3, 4, 5][..], 3));
        let more = rest.announced(1000);
        assert_eq!((more.captured_len(), more.wire_len()), (4, 1000));
        let none = whole.skip(7);
        assert_eq!((none.captured(), none.wire_len()), (&[][..], 93));
    }

    #[test]
    fn reading_behind_the_end_is_a_cut() {
        let bytes = Bytes::new(&[1, 2, 3, 4], 4);
        assert_eq!(bytes.u32(0), Ok(0x0102_0304));
        assert_eq!(bytes.u32(1), Err(Cut));
        assert_eq!(bytes.u16(2), Ok(0x0304));
        assert_eq!(bytes.u16(3), Err(Cut));
        assert_eq!(bytes.u8(4), Err(Cut));
        assert_eq!(bytes.array::<1>(usize::MAX), Err(Cut));
    }
}
