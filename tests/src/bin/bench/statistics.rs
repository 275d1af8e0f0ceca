//! What is said of repeated measurements: the median, the least and the greatest.

/// A figure's samples in short.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// Half of the samples are not above it, half not below.
    pub(crate) median: f64,
    /// The least.
    pub(crate) min: f64,
    /// The greatest.
    pub(crate) max: f64,
}

impl Spread {
    /// `None` without samples, or when one of them is not a number.
    pub(crate) fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            (sorted[middle - 1] + sorted[middle]) / 2.0
        };
        [min, max].iter().all(|sample| sample.is_finite()).then_some(Self { median, min, max })
    }
}

/// The median of what is known to be there.
pub(crate) fn median(samples: &[f64]) -> f64 {
    Spread::of(samples).expect("at least one sample, and all of them numbers").median
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(samples: &[f64], expect: Option<(f64, f64, f64)>) {
        let spread = Spread::of(samples).map(|it| (it.median, it.min, it.max));
        assert_eq!(spread, expect, "{samples:?}");
    }

    #[test]
    fn the_median_stands_in_the_middle() {
        check(&[3.0], Some((3.0, 3.0, 3.0)));
        check(&[3.0, 1.0], Some((2.0, 1.0, 3.0)));
        check(&[9.0, 1.0, 2.0], Some((2.0, 1.0, 9.0)));
        check(&[4.0, 1.0, 2.0, 10.0], Some((3.0, 1.0, 10.0)));
        check(&[-1.0, -3.0, 0.0], Some((-1.0, -3.0, 0.0)));
    }

    #[test]
    fn what_is_not_there_has_none() {
        check(&[], None);
        check(&[1.0, f64::NAN], None);
        check(&[1.0, f64::INFINITY], None);
    }
}
