//! Numbers as decimal digits, without an allocation.

/// Room for the digits of a number.
#[derive(Debug, Default)]
pub(super) struct Digits([u8; 20]);

impl Digits {
    /// The digits of a number that may be below 0.
    pub(super) fn signed(&mut self, number: i64) -> &str {
        let begin = self.write(number.unsigned_abs());
        let sign = begin.checked_sub(1).filter(|_| number < 0);
        if let Some(place) = sign.and_then(|at| self.0.get_mut(at)) {
            *place = b'-';
        }
        self.from(sign.unwrap_or(begin))
    }

    /// The digits of a number.
    pub(super) fn unsigned(&mut self, number: u64) -> &str {
        let begin = self.write(number);
        self.from(begin)
    }

    /// Writes the digits at the end; returns where they begin.
    fn write(&mut self, mut number: u64) -> usize {
        let mut begin = self.0.len();
        for (at, place) in self.0.iter_mut().enumerate().rev() {
            *place = b'0'.wrapping_add(u8::try_from(number % 10).unwrap_or(0));
            begin = at;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        begin
    }

    fn from(&self, begin: usize) -> &str {
        self.0.get(begin..).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_digits_are_there() {
        for number in [0, 7, 10, 99, 100, u64::MAX / 10, u64::MAX] {
            assert_eq!(Digits::default().unsigned(number), number.to_string());
        }
        for number in [0, -1, 42, -10, i64::MIN, i64::MAX] {
            assert_eq!(Digits::default().signed(number), number.to_string());
        }
        let mut digits = Digits::default();
        assert_eq!(digits.signed(-123_456), "-123456");
        assert_eq!(digits.unsigned(7), "7");
    }
}
