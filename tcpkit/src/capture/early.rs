//! Packets that were captured while only some of their interface's programs were attached: what they
//! belong to would look as if packets were lost.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

/// How long an interface counts as having come lately, in ns: its early packets were read long ago.
const LATELY_NS: u64 = 10_000_000_000;

/// Interfaces that came lately, told to all workers.
#[derive(Debug, Default)]
pub(super) struct Latecomers {
    /// How often it was changed.
    generation: AtomicU64,
    list: Mutex<Vec<Latecomer>>,
}

#[derive(Clone, Copy, Debug)]
struct Latecomer {
    ifindex: u32,
    /// From when on its packets are seen whole, in ns on the monotonic clock; `u64::MAX` until then.
    since_ns: u64,
}

impl Latecomers {
    /// Programs are about to be attached to an interface.
    pub(super) fn begin(&self, ifindex: u32) {
        self.set(ifindex, u64::MAX);
    }

    /// All are, since `since_ns`; or none could be.
    pub(super) fn end(&self, ifindex: u32, since_ns: u64) {
        self.set(ifindex, since_ns);
    }

    fn set(&self, ifindex: u32, since_ns: u64) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = |it: &Latecomer| match since_ns {
            u64::MAX => true,
            now_ns => it.since_ns.saturating_add(LATELY_NS) > now_ns,
        };
        list.retain(|it| it.ifindex != ifindex && recent(it));
        list.push(Latecomer { ifindex, since_ns });
        self.generation.fetch_add(1, Ordering::Release);
    }
}

/// What one worker knows of them.
#[derive(Debug)]
pub(super) struct Early {
    all: Arc<Latecomers>,
    generation: u64,
    list: Vec<Latecomer>,
}

impl Early {
    /// Nobody came lately so far.
    pub(super) fn new(all: &Arc<Latecomers>) -> Self {
        let generation = all.generation.load(Ordering::Acquire);
        Self { all: Arc::clone(all), generation, list: Vec::new() }
    }

    /// Whether a packet was captured too early.
    #[inline]
    pub(super) fn contains(&mut self, ifindex: u32, time_ns: u64) -> bool {
        let generation = self.all.generation.load(Ordering::Acquire);
        if generation != self.generation {
            self.learn(generation);
        }
        self.list.iter().any(|it| it.ifindex == ifindex && time_ns < it.since_ns)
    }

    #[cold]
    fn learn(&mut self, generation: u64) {
        self.generation = generation;
        self.list.clone_from(&self.all.list.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Everything up to now was read: of interfaces whose programs are all attached no early packet
    /// can come any more.
    pub(super) fn all_read(&mut self) {
        self.list.retain(|it| it.since_ns == u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_early_until_all_programs_are_there() {
        let all = Arc::new(Latecomers::default());
        let (mut one, mut other) = (Early::new(&all), Early::new(&all));
        assert!(!one.contains(7, 1));
        all.begin(7);
        assert!(one.contains(7, 1) && one.contains(7, 1000) && !one.contains(8, 1));
        one.all_read();
        assert!(one.contains(7, 50), "not all programs are there");
        all.end(7, 100);
        for early in [&mut one, &mut other] {
            assert!(early.contains(7, 99) && !early.contains(7, 100));
            early.all_read();
            assert!(!early.contains(7, 99));
        }
        all.begin(8);
        all.end(9, LATELY_NS + 101);
        assert!(!one.contains(7, 99), "that was long ago");
        assert!(one.contains(8, u64::MAX - 1) && one.contains(9, 1));
    }
}
