//! Statistics: how many requests there were, and how long they took, by server and operation.
//!
//! Packets are read by threads that only count ([`Recorder`]); the [`Collector`] takes what they counted
//! once a second, or when somebody asks, and keeps totals and the last five minutes.

mod collector;
pub mod established;
mod history;
mod latency;
mod packed;
mod recorder;
mod slow;
pub mod summary;
#[cfg(test)]
pub(crate) mod tests;

pub use self::{
    collector::{Collector, Latest, Series, Window, server_name},
    history::Recent,
    latency::{BUCKETS, Latencies},
    recorder::{Counts, Key, OTHER, Recorder, Recorders, SeriesMap},
    slow::{Slow, SlowLog},
};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    sink::{Sink, SinkError, json::JsonObject},
    transaction::Transaction,
};

/// What is counted in a run, by all of its workers.
pub struct Statistics {
    started: Instant,
    recorders: Recorders,
    collector: Mutex<Collector>,
    slow: Option<SlowLog>,
}

impl Statistics {
    /// Nothing was counted yet, and at most about `max_series` series will be. `slow` gets what is slow,
    /// where there is somebody to look at it.
    #[must_use]
    pub fn new(max_series: usize, slow: Option<SlowLog>) -> Self {
        let recorders = Recorders::new(max_series);
        let collector = Mutex::new(Collector::new(recorders.clone()));
        Self { started: Instant::now(), recorders, collector, slow }
    }

    /// What counts a further worker's transactions.
    #[must_use]
    pub fn sink(&self) -> StatsSink {
        StatsSink::new(self.recorders.add(), self.slow.clone())
    }

    /// Slow transactions, if they are kept.
    #[must_use]
    pub fn slow(&self) -> Option<&SlowLog> {
        self.slow.as_ref()
    }

    /// The second of the run that it is.
    #[must_use]
    pub fn second(&self) -> u64 {
        self.elapsed().as_secs()
    }

    /// How long the run goes on.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// All that was counted until now.
    pub fn collected(&self) -> MutexGuard<'_, Collector> {
        let mut collector = self.collector.lock().unwrap_or_else(PoisonError::into_inner);
        collector.collect(self.second());
        collector
    }
}

/// Counts transactions, and keeps those that were slow.
pub struct StatsSink {
    recorder: Recorder,
    slow: Option<SlowLog>,
    object: JsonObject,
}

impl StatsSink {
    /// Counts with `recorder`, and keeps slow ones in `slow`, where there is somebody to look at them.
    #[must_use]
    pub fn new(recorder: Recorder, slow: Option<SlowLog>) -> Self {
        Self { recorder, slow, object: JsonObject::default() }
    }
}

impl Sink for StatsSink {
    fn on_transaction(&mut self, transaction: &Transaction<'_>) -> Result<(), SinkError> {
        self.recorder.record(transaction);
        if let Some(slow) = &self.slow
            && transaction.timing.latency_ns() >= slow.least_ns()
        {
            slow.add(transaction, self.object.write(transaction)?);
        }
        Ok(())
    }
}
