//! The TCP header (RFC 9293, 3.1), read field by field.

use std::fmt;

/// The control bits, as on the wire (without NS).
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpFlags(u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment field counts.
    pub const ACK: Self = Self(0x10);

    /// Whether all bits of `flags` are set.
    #[must_use]
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Whether one of the bits of `flags` is set.
    #[must_use]
    pub const fn intersects(self, flags: Self) -> bool {
        self.0 & flags.0 != 0
    }

    /// The byte of the header.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }
}

impl From<u8> for TcpFlags {
    fn from(bits: u8) -> Self {
        Self(bits)
    }
}

impl std::ops::BitOr for TcpFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (flag, letter) in [
            (Self::SYN, 'S'),
            (Self::FIN, 'F'),
            (Self::RST, 'R'),
            (Self::PSH, 'P'),
            (Self::ACK, '.'),
        ] {
            if self.contains(flag) {
                write!(f, "{letter}")?;
            }
        }
        Ok(())
    }
}

/// What flows need of a TCP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpHeader {
    /// The sequence number of the first payload byte (of the SYN itself, if that bit is set).
    pub seq: u32,
    /// The next sequence number that the sender expects; counts only with [`TcpFlags::ACK`].
    pub ack: u32,
    /// The control bits.
    pub flags: TcpFlags,
    /// The window field, not scaled.
    pub window: u16,
}

/// The smallest TCP header, in bytes.
const MIN_LEN: usize = 20;

/// A header read from bytes that may end early.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parsed {
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
    pub(super) header: TcpHeader,
    /// The header's length with options, in bytes.
    pub(super) len: usize,
}

/// Reads the fixed part; the options may be cut. `None` for less than that or an impossible length.
#[inline(always)]
pub(super) fn parse(bytes: &[u8]) -> Option<Parsed> {
    let &[s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, offset, flags, w0, w1, _, _, _, _] =
        bytes.first_chunk::<MIN_LEN>()?;
    let len = usize::from(offset >> 4).saturating_mul(4);
    (len >= MIN_LEN).then_some(Parsed {
        source_port: u16::from_be_bytes([s0, s1]),
        destination_port: u16::from_be_bytes([d0, d1]),
        header: TcpHeader {
            seq: u32::from_be_bytes([q0, q1, q2, q3]),
            ack: u32::from_be_bytes([a0, a1, a2, a3]),
            flags: TcpFlags(flags),
            window: u16::from_be_bytes([w0, w1]),
        },
        len,
    })
}
