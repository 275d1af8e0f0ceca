//! How far the wall clock is ahead of the kernel's monotonic clock, kept fresh.

use nix::time::{ClockId, clock_gettime};

/// How long an offset is believed, in ns. NTP slews by at most 0.5 ms in that time.
const MAX_AGE_NS: u64 = 1_000_000_000;

/// How many times the clocks are read for one offset.
const SAMPLES: usize = 5;

/// The offset between the two clocks.
#[derive(Debug)]
pub struct WallClock {
    offset_ns: i64,
    read_at_ns: u64,
}

impl WallClock {
    /// Reads the clocks for the first time.
    #[must_use]
    pub fn new() -> Self {
        let (offset_ns, read_at_ns) = measure();
        Self { offset_ns, read_at_ns }
    }

    /// What to add to a monotonic time to get ns since the Unix epoch.
    #[must_use]
    pub fn offset_ns(&self) -> i64 {
        self.offset_ns
    }

    /// Reads the clocks again if the offset is older than a second at `now_ns` (monotonic): the
    /// wall clock is set and slewed, and a suspended machine stops the other.
    pub fn refresh(&mut self, now_ns: u64) {
        if now_ns.saturating_sub(self.read_at_ns) >= MAX_AGE_NS {
            *self = Self::new();
        }
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

    #[test]
    fn monotonic_time_and_offset_make_wall_time() {
        let clock = WallClock::new();
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let ours = u128::from(monotonic_ns().checked_add_signed(clock.offset_ns()).unwrap());
        let after = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        assert!(before - 1_000_000 < ours && ours < after + 1_000_000);
    }

    #[test]
    fn an_offset_is_read_again_after_a_second() {
        let mut clock = WallClock { offset_ns: 7, read_at_ns: 1_000 };
        clock.refresh(1_000 + MAX_AGE_NS - 1);
        assert_eq!(clock.offset_ns(), 7);
        clock.refresh(1_000 + MAX_AGE_NS);
        assert_ne!(clock.offset_ns(), 7);
    }
}
