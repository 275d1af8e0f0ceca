//! The unit that an interface of a pcapng file counts time in.

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// How to get nanoseconds from a count of the unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Units {
    /// So many of them each.
    Multiply(u64),
    /// So many units are one.
    Divide(u64),
    /// The unit is a second halved so often.
    Halved(u8),
}

impl Units {
    /// Microseconds, when nothing else is said.
    pub(super) const DEFAULT: Self = Self::Multiply(1_000);

    /// Reads the option `if_tsresol`: a negative power of 10, or of 2 with the highest bit set.
    pub(super) fn from_option(value: u8) -> Self {
        if value & 0x80 != 0 {
            return Self::Halved(value & 0x7f);
        }
        let power = |exponent: u8| 10_u64.checked_pow(exponent.into());
        let units = match 9_u8.checked_sub(value) {
            Some(more) => power(more).map(Self::Multiply),
            None => power(value.saturating_sub(9)).map(Self::Divide),
        };
        // No count of such units is as long as a nanosecond.
        units.unwrap_or(Self::Multiply(0))
    }

    /// A count of units in ns, rounded down; the latest time there is when it is too late for one.
    pub(super) fn to_ns(self, count: u64) -> u64 {
        match self {
            Self::Multiply(by) => count.saturating_mul(by),
            Self::Divide(by) => count.checked_div(by).unwrap_or(0),
            Self::Halved(times) => {
                let ns = u128::from(count).saturating_mul(SECOND.into());
                let ns = ns.checked_shr(times.into()).unwrap_or(0);
                u64::try_from(ns).unwrap_or(u64::MAX)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn resolutions_are_decimal_or_binary() {
        let check = |resolution, count, expect| {
            assert_eq!(Units::from_option(resolution).to_ns(count), expect, "{resolution:#x}");
        };
        check(0, 7, 7 * SECOND);
        check(3, 7, 7_000_000);
        check(6, 7, 7_000);
        check(9, 7, 7);
        check(12, 7_999, 7);
        check(28, u64::MAX, 1);
        check(29, u64::MAX, 0);
        check(127, u64::MAX, 0);
        check(0x80, 7, 7 * SECOND);
        check(0x81, 7, 3_500_000_000);
        check(0x80 | 20, 1 << 20, SECOND);
        check(0x80 | 30, 3, 2);
        check(0xff, u64::MAX, 0);
        check(0, u64::MAX, u64::MAX);
        assert_eq!(Units::from_option(6), Units::DEFAULT);
    }

    proptest! {
        #[test]
        fn time_never_runs_backwards(resolution: u8, count: u64, later: u64) {
            let units = Units::from_option(resolution);
            let (first, second) = (count.min(later), count.max(later));
            prop_assert!(units.to_ns(first) <= units.to_ns(second));
        }
    }
}
