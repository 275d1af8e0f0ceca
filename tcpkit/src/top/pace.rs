//! How many requests there are in a second, lately.

use std::time::Duration;

/// Of a shorter time no rate is told.
const LEAST_TIME: Duration = Duration::from_millis(500);

/// A rate of a longer time would not be that of the last second.
const MOST_TIME: Duration = Duration::from_secs(2);

/// What was counted when, and the rate that follows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// When somebody looked, since the start, and how many requests there were until then.
    last: (Duration, u64),
    rate: Option<f64>,
}

impl Pace {
    /// Takes how many requests there were until now.
    pub(super) fn note(&mut self, at: Duration, total: u64) {
        let (before, total_before) = self.last;
        let time = at.saturating_sub(before);
        if time < LEAST_TIME {
            // The next rate is from then on.
            return;
        }
        let requests = total.saturating_sub(total_before) as f64;
        self.rate = (time <= MOST_TIME).then(|| requests / time.as_secs_f64());
        self.last = (at, total);
    }

    /// Requests in a second; `None` where nobody looked in time.
    pub(super) fn rate(&self) -> Option<f64> {
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_last_second() {
        let mut pace = Pace::default();
        let mut rate_at = |ms, total| {
            pace.note(Duration::from_millis(ms), total);
            pace.rate()
        };
        assert_eq!(rate_at(100, 50), None);
        assert_eq!(rate_at(1000, 100), Some(100.0));
        // Too soon: it goes on from the second.
        assert_eq!(rate_at(1400, 10_000), Some(100.0));
        assert_eq!(rate_at(2000, 300), Some(200.0));
        // Nobody looked for a while.
        assert_eq!(rate_at(60_000, 90_000), None);
        assert_eq!(rate_at(61_000, 90_007), Some(7.0));
    }
}
