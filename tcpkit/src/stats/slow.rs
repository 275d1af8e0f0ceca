//! The latest transactions that were slow, as the objects that they are shown as.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::transaction::Transaction;

/// How many are kept.
pub(super) const MAX_COUNT: usize = 1000;

/// How much memory their texts may take, in bytes.
const MAX_BYTES: usize = 8 << 20;

/// A slow transaction.
#[derive(Clone, Debug)]
pub struct Slow {
    /// Its number, from 1 on, in the order in which they were complete.
    pub number: u64,
    /// How long it took, in ns.
    pub latency_ns: u64,
    /// The JSON object, as lines have it.
    pub object: Arc<str>,
}

#[derive(Debug, Default)]
struct Kept {
    latest: VecDeque<Slow>,
    bytes: usize,
    number: u64,
}

/// What is kept of all workers. Clones share it.
#[derive(Clone, Debug)]
pub struct SlowLog {
    least_ns: Arc<AtomicU64>,
    kept: Arc<Mutex<Kept>>,
}

impl SlowLog {
    /// Keeps transactions that took at least `least_ns`.
    #[must_use]
    pub fn new(least_ns: u64) -> Self {
        Self { least_ns: Arc::new(least_ns.into()), kept: Arc::default() }
    }

    /// How long a transaction has to take to be kept, in ns.
    #[must_use]
    pub fn least_ns(&self) -> u64 {
        self.least_ns.load(Ordering::Relaxed)
    }

    /// From now on keeps transactions that took at least `least_ns`.
    pub fn set_least_ns(&self, least_ns: u64) {
        self.least_ns.store(least_ns, Ordering::Relaxed);
    }

    /// Keeps a transaction; `object` is what it is shown as.
    pub(super) fn add(&self, transaction: &Transaction<'_>, object: &str) {
        // Before the lock is taken: others wait for it.
        let object: Arc<str> = object.into();
        let mut kept = self.lock();
        kept.number += 1;
        kept.bytes = kept.bytes.saturating_add(object.len());
        let (number, latency_ns) = (kept.number, transaction.timing.latency_ns());
        kept.latest.push_back(Slow { number, latency_ns, object });
        while kept.latest.len() > MAX_COUNT || kept.bytes > MAX_BYTES {
            let Some(oldest) = kept.latest.pop_front() else { break };
            kept.bytes = kept.bytes.saturating_sub(oldest.object.len());
        }
    }

    /// At most `count` that took at least `least_ns` and have a number above `after`; the newest first.
    #[must_use]
    pub fn latest(&self, least_ns: u64, after: u64, count: usize) -> Vec<Slow> {
        let kept = self.lock();
        let newest = kept.latest.iter().rev().take_while(|it| it.number > after);
        newest.filter(|it| it.latency_ns >= least_ns).take(count).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
