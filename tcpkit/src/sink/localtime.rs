//! Times of day, formatted once a second: lines of one second share all but the fraction.

use jiff::{Timestamp, tz::TimeZone};

use super::decimal::push_padded;

/// Formats times in one zone and one form.
pub(crate) struct TimeFormat {
    zone: TimeZone,
    form: &'static str,
    second: Option<u64>,
    text: Vec<u8>,
}

impl TimeFormat {
    /// Times in the machine's zone, such as `2020-03-08 19:23:06`.
    pub(crate) fn local() -> Self {
        Self::new(TimeZone::system(), "%Y-%m-%d %H:%M:%S")
    }

    /// Times in UTC as RFC 3339 writes them up to the second, such as `2020-03-08T19:23:06`.
    pub(crate) fn utc() -> Self {
        Self::new(TimeZone::UTC, "%Y-%m-%dT%H:%M:%S")
    }

    /// Times of day in the machine's zone, such as `19:23:06`.
    pub(crate) fn local_time_of_day() -> Self {
        Self::new(TimeZone::system(), "%H:%M:%S")
    }

    fn new(zone: TimeZone, form: &'static str) -> Self {
        Self { zone, form, second: None, text: Vec::new() }
    }

    /// Appends the time with `digits` (6 or 9) decimals of the second.
    pub(crate) fn push(&mut self, buffer: &mut Vec<u8>, unix_ns: u64, digits: usize) {
        let second = unix_ns / 1_000_000_000;
        if self.second != Some(second) {
            self.second = Some(second);
            self.text.clear();
            let timestamp = i64::try_from(second).ok().and_then(|s| Timestamp::from_second(s).ok());
            if let Some(timestamp) = timestamp {
                let time = timestamp.to_zoned(self.zone.clone());
                self.text.extend_from_slice(time.strftime(self.form).to_string().as_bytes());
            }
        }
        buffer.extend_from_slice(&self.text);
        buffer.push(b'.');
        let fraction = unix_ns % 1_000_000_000;
        if digits == 6 {
            push_padded(buffer, fraction / 1000, 6);
        } else {
            push_padded(buffer, fraction, 9);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_follow_the_second() {
        let mut format = TimeFormat::utc();
        let mut check = |unix_ns, digits, expect: &str| {
            let mut buffer = Vec::new();
            format.push(&mut buffer, unix_ns, digits);
            assert_eq!(String::from_utf8(buffer).expect("text"), expect);
        };
        check(1_583_695_386_258_761_999, 6, "2020-03-08T19:23:06.258761");
        check(1_583_695_386_000_000_001, 9, "2020-03-08T19:23:06.000000001");
        check(1_583_695_387_000_000_000, 9, "2020-03-08T19:23:07.000000000");
        check(0, 6, "1970-01-01T00:00:00.000000");
    }

    #[test]
    fn the_zone_shifts_the_hour() {
        let zone = TimeZone::fixed(jiff::tz::offset(8));
        let mut format = TimeFormat::new(zone, "%Y-%m-%d %H:%M:%S");
        let mut buffer = Vec::new();
        format.push(&mut buffer, 1_583_666_586_258_761_000, 6);
        assert_eq!(buffer, b"2020-03-08 19:23:06.258761");
    }
}
