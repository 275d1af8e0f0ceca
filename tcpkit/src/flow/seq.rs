//! Sequence numbers, which wrap around (RFC 9293, 3.4).

/// A TCP sequence number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seq(pub u32);

impl Seq {
    /// The number `len` bytes further on.
    #[must_use]
    pub fn advance(self, len: u32) -> Self {
        Self(self.0.wrapping_add(len))
    }

    /// How far this number lies behind `earlier`: negative when it lies before it.
    #[must_use]
    pub fn since(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }

    /// Whether this number lies before `other`.
    #[must_use]
    pub fn is_before(self, other: Self) -> bool {
        self.since(other) < 0
    }

    /// How many bytes lie between this number and a later one; 0 when `later` is not later.
    #[must_use]
    pub fn bytes_to(self, later: Self) -> u32 {
        u32::try_from(later.since(self)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_survives_the_wrap() {
        let before = Seq(u32::MAX - 1);
        let after = before.advance(5);
        assert_eq!(after, Seq(3));
        assert!(before.is_before(after));
        assert!(!after.is_before(before));
        assert_eq!(before.bytes_to(after), 5);
        assert_eq!(after.bytes_to(before), 0);
        assert_eq!(after.since(before), 5);
    }
}
