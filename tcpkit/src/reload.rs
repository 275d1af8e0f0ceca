//! What changes while a run goes on, when somebody says so (SIGHUP).

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::{Notify, futures::Notified};

use crate::script::ScriptOptions;

/// What is from now on.
#[derive(Clone, Debug)]
pub struct Reload {
    /// How long transactions have to take to be printed, or handed to a script, in ns.
    pub threshold_ns: u64,
    /// How the script is run that is to take the place of the one that runs; `None` where there is none.
    pub script: Option<ScriptOptions>,
}

/// Tells all loops of the latest reload. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Reloads(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// How many there were.
    count: AtomicU64,
    /// The latest, and its number.
    latest: Mutex<(u64, Option<Reload>)>,
    /// Tells those who wait that a loop goes by the latest.
    applied: Notify,
}

impl Reloads {
    /// Tells of a further one, and gives its number, from 1 on.
    pub fn push(&self, reload: Reload) -> u64 {
        let mut latest = self.latest();
        latest.0 = latest.0.saturating_add(1);
        latest.1 = Some(reload);
        // For those who look whether it is worth taking the lock.
        self.0.count.store(latest.0, Ordering::Release);
        latest.0
    }

    /// Tells those who wait that a loop goes by what it was told.
    pub fn tell_applied(&self) {
        self.0.applied.notify_waiters();
    }

    /// Waits until a loop goes by what it was told.
    pub fn applied(&self) -> Notified<'_> {
        self.0.applied.notified()
    }

    /// The latest, unless it is among the `seen`, which are all then.
    #[inline]
    pub fn unseen(&self, seen: &mut u64) -> Option<Reload> {
        if *seen == self.0.count.load(Ordering::Acquire) {
            return None;
        }
        let latest = self.latest();
        *seen = latest.0;
        latest.1.clone()
    }

    fn latest(&self) -> MutexGuard<'_, (u64, Option<Reload>)> {
        self.0.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_of_the_latest_once() {
        let reloads = Reloads::default();
        let (mut one, mut other) = (0, 0);
        assert!(reloads.unseen(&mut one).is_none());
        for threshold_ns in [5, 7] {
            reloads.push(Reload { threshold_ns, script: None });
        }
        for seen in [&mut one, &mut other] {
            assert_eq!(reloads.unseen(seen).map(|it| it.threshold_ns), Some(7));
            assert!(reloads.unseen(seen).is_none());
        }
        reloads.push(Reload { threshold_ns: 9, script: None });
        assert_eq!(reloads.unseen(&mut other).map(|it| it.threshold_ns), Some(9));
    }
}
