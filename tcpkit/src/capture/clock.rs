//! How far the wall clock is ahead of the kernel's monotonic clock, kept fresh.
//!
//! Both clocks are slewed alike (NTP), so the distance is the same until somebody sets the wall clock
//! or the machine was suspended.

use std::ops::RangeInclusive;

use nix::time::{ClockId, clock_gettime};

/// How long an offset is believed, in ns. Reading the clocks takes half a microsecond.
const MAX_AGE_NS: u64 = 10_000_000;

/// How long after a step packets may come that were captured before it, in ns.
const STEP_NS: u64 = 2_000_000_000;

/// How many times the clocks are read for one offset.
const SAMPLES: usize = 5;

/// Differences up to this are errors of measurement, in ns: times would jitter by them.
const NOISE_NS: u64 = 10_000;

/// The offset between the two clocks.
#[derive(Debug)]
pub struct WallClock {
    offset_ns: i64,
    /// What it was before a step that just happened; else the same.
    before_ns: i64,
    stepped_at_ns: u64,
    read_at_ns: u64,
}

impl WallClock {
    /// Reads the clocks for the first time.
    #[must_use]
    pub fn new() -> Self {
        let (offset_ns, read_at_ns) = measure();
        Self { offset_ns, before_ns: offset_ns, stepped_at_ns: 0, read_at_ns }
    }

    /// What to add to a monotonic time to get ns since the Unix epoch.
    #[must_use]
    pub fn offset_ns(&self) -> i64 {
        self.offset_ns
    }

    /// Reads the clocks again if the offset is older than 10 ms at `now_ns` (monotonic): the wall
    /// clock may have been set, and a suspended machine stops the other.
    pub fn refresh(&mut self, now_ns: u64) {
        if now_ns.saturating_sub(self.read_at_ns) >= MAX_AGE_NS {
            let (offset_ns, read_at_ns) = measure();
            self.take(offset_ns, read_at_ns);
        }
    }

    fn take(&mut self, offset_ns: i64, read_at_ns: u64) {
        self.read_at_ns = read_at_ns;
        if offset_ns.abs_diff(self.offset_ns) > NOISE_NS {
            self.before_ns = self.offset_ns;
            self.offset_ns = offset_ns;
            self.stepped_at_ns = read_at_ns;
        } else if read_at_ns.saturating_sub(self.stepped_at_ns) > STEP_NS {
            self.before_ns = self.offset_ns;
        }
    }

    /// The monotonic time of something that the wall clock says was at `wall_ns`, and that surely was
    /// within `range` (monotonic). When the wall clock was just set, a time outside the range was read
    /// before that; what fits on neither side of the step is moved to the range's nearer end.
    #[must_use]
    pub fn monotonic_of(&self, wall_ns: u64, range: &RangeInclusive<u64>) -> u64 {
        let by = |offset_ns: i64| wall_ns.saturating_add_signed(offset_ns.saturating_neg());
        let (now, before) = (by(self.offset_ns), by(self.before_ns));
        if !range.contains(&now) && range.contains(&before) {
            return before;
        }
        now.max(*range.start()).min(*range.end())
    }
}

impl Default for WallClock {
    fn default() -> Self {
        Self::new()
    }
}

/// Now in ns on `CLOCK_MONOTONIC`, the clock of the records.
#[must_use]
pub fn monotonic_ns() -> u64 {
    u64::try_from(read(ClockId::CLOCK_MONOTONIC)).unwrap_or(0)
}

/// The offset, and when it was read. Of several samples the tightest counts: the wall clock's
/// reading lies between two of the other, and whatever interrupts the three readings widens them.
fn measure() -> (i64, u64) {
    let sample = || {
        let before = read(ClockId::CLOCK_MONOTONIC);
        let wall = read(ClockId::CLOCK_REALTIME);
        let width = read(ClockId::CLOCK_MONOTONIC).saturating_sub(before);
        (width, wall.saturating_sub(before.saturating_add(width / 2)))
    };
    let best = (0..SAMPLES).map(|_| sample()).min_by_key(|&(width, _)| width);
    (best.map_or(0, |(_, offset)| offset), monotonic_ns())
}

fn read(clock: ClockId) -> i64 {
    // Both clocks exist on every Linux: the call cannot fail.
    clock_gettime(clock).map_or(0, |time| {
        time.tv_sec().saturating_mul(1_000_000_000).saturating_add(time.tv_nsec())
    })
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn at(offset_ns: i64, read_at_ns: u64) -> WallClock {
        WallClock { offset_ns, before_ns: offset_ns, stepped_at_ns: 0, read_at_ns }
    }

    #[test]
    fn monotonic_time_and_offset_make_wall_time() {
        let clock = WallClock::new();
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let ours = u128::from(monotonic_ns().checked_add_signed(clock.offset_ns()).unwrap());
        let after = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        assert!(before - 1_000_000 < ours && ours < after + 1_000_000);
    }

    #[test]
    fn an_offset_is_read_again_after_a_while() {
        let mut clock = at(7, 1_000);
        clock.refresh(1_000 + MAX_AGE_NS - 1);
        assert_eq!(clock.offset_ns(), 7);
        clock.refresh(1_000 + MAX_AGE_NS);
        assert_ne!(clock.offset_ns(), 7);
    }

    #[test]
    fn a_step_is_followed_and_noise_is_not() {
        let mut clock = at(SECOND, 0);
        clock.take(SECOND + 9_000, 1);
        assert_eq!(clock.offset_ns(), SECOND);
        clock.take(SECOND - 9_000, 2);
        assert_eq!(clock.offset_ns(), SECOND);
        for step in [-SECOND, 11_000, 3600 * SECOND] {
            clock.take(SECOND + step, 3);
            assert_eq!(clock.offset_ns(), SECOND + step);
            clock.take(SECOND, 4);
        }
    }

    #[test]
    fn wall_times_around_a_step_are_understood() {
        for step in [-3600 * SECOND, -SECOND / 2, SECOND / 2, 3600 * SECOND] {
            let (old, new) = (1_700_000_000 * SECOND, 1_700_000_000 * SECOND + step);
            let mut clock = at(old, 0);
            let now = 50 * SECOND as u64;
            clock.take(new, now);
            let range = now - 20_000_000..=now;
            for offset in [old, new] {
                let wall = (now - 5_000_000).checked_add_signed(offset).unwrap();
                assert_eq!(clock.monotonic_of(wall, &range), now - 5_000_000, "{step}");
            }
            // Nobody stays in doubt: a while later there was no step, and nothing leaves the range.
            clock.take(new, now + STEP_NS + 1);
            let wall = now.checked_add_signed(old).unwrap();
            let later = now + STEP_NS..=now + STEP_NS + 1;
            assert!(later.contains(&clock.monotonic_of(wall, &later)), "{step}");
        }
    }
}
