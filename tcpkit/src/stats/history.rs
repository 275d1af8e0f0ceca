//! The last five minutes of a series, in steps of ten seconds that take little memory.

use std::collections::VecDeque;

use super::{latency::Latencies, packed::Packed, recorder::Counts};

/// How long a step is, in s.
pub(super) const STEP_S: u64 = 10;

/// How many are kept.
const STEPS: usize = 30;

/// A step: how many latencies of each group there were.
#[derive(Clone, Debug, Default)]
struct Step {
    /// Its number: seconds of the run by [`STEP_S`].
    number: u64,
    requests: u64,
    errors: u64,
    bytes: u64,
    sum_ns: u128,
    max_ns: u64,
    /// Latencies in ns, in order, and how many; by groups that are not told apart. Empty once the step is
    /// over.
    groups: Vec<(u64, u64)>,
    /// The same once the step is over.
    packed: Packed,
}

/// What was counted within a time.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    /// Requests.
    pub requests: u64,
    /// Responses that say that something failed.
    pub errors: u64,
    /// Payload of requests and responses, in bytes.
    pub bytes: u64,
    /// What all of them took together, in ns.
    pub sum_ns: u128,
    /// The longest, in ns, exact; 0 if there was none.
    pub max_ns: u64,
    /// Latencies in ns, in order, and how many.
    groups: Vec<(u64, u64)>,
}

impl Recent {
    /// All of `counts`.
    pub(super) fn of(counts: &Counts) -> Self {
        let latencies = &counts.latencies;
        Self {
            requests: counts.requests,
            errors: counts.errors,
            bytes: counts.request_bytes.saturating_add(counts.response_bytes),
            sum_ns: latencies.sum_ns(),
            max_ns: latencies.max_ns(),
            groups: latencies.groups().collect(),
        }
    }

    /// The latency, in ns, that `part` (0 to 1) of all do not exceed, exact to 1 %.
    #[must_use]
    pub fn quantile_ns(&self, part: f64) -> Option<u64> {
        let count: u64 = self.groups.iter().map(|(_, count)| count).sum();
        let wanted = (part * count as f64).ceil().max(1.0);
        let mut seen = 0;
        self.groups
            .iter()
            .find(|(_, count)| {
                seen += count;
                seen as f64 >= wanted
            })
            .map(|(ns, _)| (*ns).min(self.max_ns))
    }

    /// Adds what was counted of something else within the same time.
    pub fn include(&mut self, other: &Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.bytes += other.bytes;
        self.sum_ns += other.sum_ns;
        self.max_ns = self.max_ns.max(other.max_ns);
        merge(&mut self.groups, other.groups.iter().copied());
    }

    fn add(&mut self, step: &Step) {
        self.requests += step.requests;
        self.errors += step.errors;
        self.bytes += step.bytes;
        self.sum_ns += step.sum_ns;
        self.max_ns = self.max_ns.max(step.max_ns);
        merge(&mut self.groups, step.groups.iter().copied());
        merge(&mut self.groups, step.packed.iter());
    }
}

/// Adds groups to groups; both are in order.
fn merge(groups: &mut Vec<(u64, u64)>, more: impl Iterator<Item = (u64, u64)>) {
    let mut more = more.peekable();
    if more.peek().is_none() {
        return;
    }
    let mut own = std::mem::take(groups).into_iter().peekable();
    while let Some(&(ns, count)) = match (own.peek(), more.peek()) {
        (Some(one), Some(other)) => Some(if one.0 <= other.0 { one } else { other }),
        (one, other) => one.or(other),
    } {
        let in_own = own.next_if(|it| it.0 == ns).is_some();
        let also = more.next_if(|it| it.0 == ns).map_or(0, |(_, count)| count);
        groups.push((ns, if in_own { count + also } else { also }));
    }
}

/// The last steps.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    steps: VecDeque<Step>,
}

impl History {
    /// Adds what was counted in step `number`, which is the latest or the one after.
    pub(super) fn add(&mut self, number: u64, counts: &Counts) {
        if self.steps.back().is_none_or(|last| last.number < number) {
            if let Some(last) = self.steps.back_mut() {
                // It is kept for minutes, and nothing is added any more.
                last.packed = Packed::new(&std::mem::take(&mut last.groups));
            }
            self.steps.push_back(Step { number, ..Step::default() });
        }
        while self.steps.len() > STEPS {
            self.steps.pop_front();
        }
        let Some(step) = self.steps.back_mut() else { return };
        step.requests += counts.requests;
        step.errors += counts.errors;
        step.bytes += counts.request_bytes.saturating_add(counts.response_bytes);
        step.sum_ns += counts.latencies.sum_ns();
        step.max_ns = step.max_ns.max(counts.latencies.max_ns());
        merge(&mut step.groups, Latencies::groups(&counts.latencies));
    }

    /// What was counted in the steps from number `first` on.
    pub(super) fn since(&self, first: u64) -> Recent {
        let mut recent = Recent::default();
        for step in self.steps.iter().filter(|step| step.number >= first) {
            recent.add(step);
        }
        recent
    }

    /// What the latencies in the steps from number `first` on are together, in ns; `None` if there was no
    /// request. Cheaper than all of it.
    pub(super) fn sum_ns_since(&self, first: u64) -> Option<u128> {
        let steps = || self.steps.iter().filter(|step| step.number >= first);
        steps().any(|step| step.requests > 0).then(|| steps().map(|step| step.sum_ns).sum())
    }

    /// Forgets the steps before number `first`.
    pub(super) fn forget(&mut self, first: u64) {
        while self.steps.front().is_some_and(|step| step.number < first) {
            self.steps.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(latencies_ns: &[u64]) -> Counts {
        let mut counts = Counts::default();
        for &ns in latencies_ns {
            counts.requests += 1;
            counts.latencies.record(ns);
        }
        counts
    }

    #[test]
    fn steps_are_put_together_and_forgotten() {
        let mut history = History::default();
        history.add(1, &counts(&[100, 5_000, 5_000]));
        history.add(1, &counts(&[70, 100, 1_000_000]));
        history.add(3, &counts(&[20_000]));
        let all = history.since(0);
        assert_eq!((all.sum_ns, all.max_ns), (1_030_270, 1_000_000));
        assert_eq!((history.sum_ns_since(2), history.since(2).max_ns), (Some(20_000), 20_000));
        assert_eq!(history.sum_ns_since(4), None);
        assert_eq!((all.requests, all.groups.iter().map(|it| it.1).sum::<u64>()), (7, 7));
        assert!(all.groups.is_sorted());
        assert!((92..=108).contains(&all.quantile_ns(0.42).expect("some")));
        assert!((990_000..=1_010_000).contains(&all.quantile_ns(1.0).expect("some")));
        assert_eq!(history.since(2).requests, 1);
        history.forget(2);
        assert_eq!(history.since(0).requests, 1);
        for number in 4..100 {
            history.add(number, &counts(&[1]));
        }
        assert_eq!(history.steps.len(), STEPS);
        assert_eq!(Recent::default().quantile_ns(0.5), None);
    }
}
