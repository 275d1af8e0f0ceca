//! Statistics: how many requests there were, and how long they took, by server and operation.
//!
//! Packets are read by threads that only count ([`Recorder`]); the [`Collector`] takes what they counted
//! once a second, or when somebody asks, and keeps totals and the last five minutes.

mod collector;
pub mod established;
mod history;
mod latency;
mod recorder;
pub mod summary;
#[cfg(test)]
mod tests;

pub use self::{
    collector::{Collector, Series, Window},
    latency::{BUCKETS, Latencies},
    recorder::{Counts, Key, OTHER, Recorder, SeriesMap},
};
use crate::{
    sink::{Sink, SinkError},
    transaction::Transaction,
};

/// Counts transactions.
pub struct StatsSink(pub Recorder);

impl Sink for StatsSink {
    fn on_transaction(&mut self, transaction: &Transaction<'_>) -> Result<(), SinkError> {
        self.0.record(transaction);
        Ok(())
    }
}
