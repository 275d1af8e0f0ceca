//! Numbers of a file in the byte order of the machine that wrote it.

/// The order of a number's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    pub(super) fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }
}

/// Reads a block's fields one behind the other; `None` where it ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    pub(super) order: ByteOrder,
    pub(super) rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn u16(&mut self) -> Option<u16> {
        let (&two, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(self.order.u16(two))
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        let (&four, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(self.order.u32(four))
    }

    pub(super) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(bytes)
    }

    /// The next option: its code and value. `None` at the end of options, or where they end without
    /// one.
    pub(super) fn option(&mut self) -> Option<(u16, &'a [u8])> {
        let code = self.u16()?;
        let len = usize::from(self.u16()?);
        if code == 0 {
            return None;
        }
        let value = self.bytes(len)?;
        // Values are filled up to a multiple of 4 bytes.
        let padding = len.wrapping_neg() & 3;
        self.rest = self.rest.get(padding..).unwrap_or(&[]);
        Some((code, value))
    }
}
