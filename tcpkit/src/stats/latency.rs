//! How latencies are distributed: percentiles, and the buckets that tcpkit's users know.

use hdrhistogram::Histogram;

/// The upper bounds of the buckets, in ns, each with the name that the established JSON form has for it.
/// A latency on a bound belongs to the next bucket. The names are part of that form, to the letter.
pub const BUCKETS: [(u64, &str); 18] = [
    (100_000, "<0.1ms"),
    (200_000, "0.1ms~0.2ms"),
    (500_000, "0.2~0.5ms"),
    (1_000_000, "0.5ms~1ms"),
    (5_000_000, "1ms~5ms"),
    (10_000_000, "5ms~10ms"),
    (20_000_000, "10ms~20ms"),
    (50_000_000, "20ms~50ms"),
    (100_000_000, "50ms~100ms"),
    (200_000_000, "100ms~200ms"),
    (500_000_000, "200ms~500ms"),
    (1_000_000_000, "0.5s~1s"),
    (2_000_000_000, "1s~2s"),
    (3_000_000_000, "2s~3s"),
    (5_000_000_000, "3s~5s"),
    (10_000_000_000, "5s~10s"),
    (20_000_000_000, "10s~20s"),
    (u64::MAX, "+inf"),
];

/// What is told apart at all, in ns (it is rounded down to a power of two). So what is below a µs is less
/// exact than to 1 %.
const LOWEST_NS: u64 = 10;

/// Longer latencies count as this one, in ns: an hour.
const HIGHEST_NS: u64 = 3_600_000_000_000;

/// Significant digits: percentiles are exact to 1 %.
const DIGITS: u8 = 2;

/// A distribution of latencies.
#[derive(Clone, Debug)]
pub struct Latencies {
    buckets: [u64; BUCKETS.len()],
    /// Made with the first latency: it takes some 20 KB.
    histogram: Option<Histogram<u64>>,
    count: u64,
    sum_ns: u128,
    max_ns: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS.len()], histogram: None, count: 0, sum_ns: 0, max_ns: 0 }
    }
}

fn histogram() -> Option<Histogram<u64>> {
    // Two digits and these bounds are always possible.
    let mut made = Histogram::new_with_bounds(LOWEST_NS, LOWEST_NS * 1000, DIGITS).ok()?;
    made.auto(true);
    Some(made)
}

impl Latencies {
    /// Adds a latency, in ns.
    pub fn record(&mut self, ns: u64) {
        let at = BUCKETS.partition_point(|(bound, _)| *bound <= ns).min(BUCKETS.len() - 1);
        if let Some(bucket) = self.buckets.get_mut(at) {
            *bucket = bucket.saturating_add(1);
        }
        if self.histogram.is_none() {
            self.histogram = histogram();
        }
        if let Some(histogram) = &mut self.histogram {
            // It grows as far as the highest value.
            let _ = histogram.record(ns.min(HIGHEST_NS));
        }
        self.count = self.count.saturating_add(1);
        self.sum_ns = self.sum_ns.saturating_add(u128::from(ns));
        self.max_ns = self.max_ns.max(ns);
    }

    /// Adds those of another.
    pub fn add(&mut self, other: &Self) {
        for (bucket, count) in self.buckets.iter_mut().zip(other.buckets) {
            *bucket = bucket.saturating_add(count);
        }
        match (&mut self.histogram, &other.histogram) {
            (Some(own), Some(other)) => {
                let _ = own.add(other);
            }
            (own @ None, Some(other)) => *own = Some(other.clone()),
            (_, None) => {}
        }
        self.count = self.count.saturating_add(other.count);
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// Forgets all, and keeps the memory.
    pub fn clear(&mut self) {
        if let Some(histogram) = &mut self.histogram {
            histogram.reset();
        }
        *self = Self { histogram: self.histogram.take(), ..Self::default() };
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum, in ns.
    #[must_use]
    pub fn sum_ns(&self) -> u128 {
        self.sum_ns
    }

    /// The longest, in ns, exact.
    #[must_use]
    pub fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// How many fall into each of [`BUCKETS`].
    #[must_use]
    pub fn buckets(&self) -> &[u64; BUCKETS.len()] {
        &self.buckets
    }

    /// The latency, in ns, that `part` (0 to 1) of all do not exceed, exact to 1 %; `None` if there are
    /// none.
    #[must_use]
    pub fn quantile_ns(&self, part: f64) -> Option<u64> {
        let histogram = self.histogram.as_ref().filter(|_| self.count > 0)?;
        Some(histogram.value_at_quantile(part).min(self.max_ns))
    }

    /// Each group of latencies that are not told apart: the highest in ns, and how many there are.
    pub fn groups(&self) -> impl Iterator<Item = (u64, u64)> {
        let recorded = self.histogram.iter().flat_map(|histogram| histogram.iter_recorded());
        recorded.map(|it| (it.value_iterated_to(), it.count_since_last_iteration()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_found_at_their_bounds() {
        let mut latencies = Latencies::default();
        for (ns, name) in [
            (0, "<0.1ms"),
            (99_999, "<0.1ms"),
            (100_000, "0.1ms~0.2ms"),
            (200_000, "0.2~0.5ms"),
            (999_999, "0.5ms~1ms"),
            (1_000_000, "1ms~5ms"),
            (19_999_999_999, "10s~20s"),
            (20_000_000_000, "+inf"),
            (u64::MAX, "+inf"),
        ] {
            let before = *latencies.buckets();
            latencies.record(ns);
            let changed: Vec<_> = (0..BUCKETS.len())
                .filter(|&at| before[at] != latencies.buckets()[at])
                .map(|at| BUCKETS[at].1)
                .collect();
            assert_eq!(changed, [name], "{ns}");
        }
        assert_eq!(latencies.buckets().iter().sum::<u64>(), latencies.count());
    }

    #[test]
    fn quantiles_are_exact_to_a_hundredth() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.quantile_ns(0.5), None);
        let mut other = Latencies::default();
        for n in 1..=10_000_u64 {
            let it = if n % 2 == 0 { &mut latencies } else { &mut other };
            it.record(n * 1_000);
        }
        latencies.add(&other);
        for part in [0.001, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let (is, should) = (latencies.quantile_ns(part).expect("some"), part * 1e7);
            assert!((is as f64 - should).abs() <= should / 100.0, "{part}: {is}");
        }
        assert_eq!((latencies.max_ns(), latencies.count()), (10_000_000, 10_000));
        assert_eq!(latencies.groups().map(|(_, count)| count).sum::<u64>(), 10_000);
        latencies.clear();
        assert_eq!((latencies.quantile_ns(1.0), latencies.count()), (None, 0));
        latencies.record(HIGHEST_NS * 2);
        let capped = latencies.quantile_ns(0.5).expect("some") as f64;
        assert!((capped - HIGHEST_NS as f64).abs() <= HIGHEST_NS as f64 / 100.0, "{capped}");
    }
}
