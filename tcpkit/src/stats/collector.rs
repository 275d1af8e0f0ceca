//! What all workers counted, put together: totals, and the last minutes.

use std::collections::{BTreeMap, HashMap};

use super::{
    history::{History, Recent, STEP_S},
    recorder::{Counts, Key, Recorders, SeriesMap},
};
use crate::packet::Endpoint;

/// How far back one looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The last minute, to ten seconds.
    Minute,
    /// The last five minutes, to ten seconds.
    FiveMinutes,
    /// Since the start.
    All,
}

impl Window {
    /// The first step of a window that ends at `second` of the run; `None` where it has no beginning but
    /// the run's.
    fn first_step(self, second: u64) -> Option<u64> {
        let steps = match self {
            Self::Minute => 60 / STEP_S,
            Self::FiveMinutes => 300 / STEP_S,
            Self::All => return None,
        };
        Some((second / STEP_S + 1).saturating_sub(steps))
    }

    /// The second of the run that it begins with when it ends at `second`.
    #[must_use]
    pub fn begin_s(self, second: u64) -> u64 {
        self.first_step(second).unwrap_or(0).saturating_mul(STEP_S)
    }
}

/// What is known of a server's protocol's operation.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Since the start.
    pub totals: Counts,
    history: History,
}

impl Series {
    /// What was counted within a window that ends at `second` of the run.
    #[must_use]
    pub fn recent(&self, window: Window, second: u64) -> Recent {
        match window.first_step(second) {
            Some(first) => self.history.since(first),
            None => Recent::of(&self.totals),
        }
    }

    /// What all took together within a window that ends at `second` of the run, in ns; `None` if there
    /// was no request.
    #[must_use]
    pub fn recent_sum_ns(&self, window: Window, second: u64) -> Option<u128> {
        match window.first_step(second) {
            Some(first) => self.history.sum_ns_since(first),
            None => (!self.totals.is_empty()).then(|| self.totals.latencies.sum_ns()),
        }
    }
}

/// What a server did since somebody asked last.
#[derive(Clone, Debug, Default)]
pub struct Latest {
    /// What was counted.
    pub counts: Counts,
    /// The protocols that it was seen to speak, in no order.
    pub protocols: Vec<&'static str>,
}

/// Takes what workers counted.
pub struct Collector {
    recorders: Recorders,
    spare: SeriesMap<Counts>,
    series: SeriesMap<Series>,
    /// By server, since somebody asked last.
    latest: HashMap<Option<Endpoint>, Latest>,
}

impl Collector {
    /// Takes from `recorders`.
    #[must_use]
    pub fn new(recorders: Recorders) -> Self {
        let max_series = recorders.max_series();
        let (spare, series) = (SeriesMap::new(max_series), SeriesMap::new(max_series));
        Self { recorders, spare, series, latest: HashMap::new() }
    }

    /// Takes what was counted until now, which is `second` of the run.
    pub fn collect(&mut self, second: u64) {
        let step = second / STEP_S;
        let Self { recorders, spare, series, latest } = self;
        for recorder in recorders.all() {
            recorder.swap(spare);
            for (key, counts) in spare.iter().filter(|(_, counts)| !counts.is_empty()) {
                let it = series.get(key.server, key.protocol, &key.operation);
                it.totals.add(counts);
                it.history.add(step, counts);
                let it = latest.entry(key.server).or_default();
                it.counts.add(counts);
                if !it.protocols.contains(&key.protocol) {
                    it.protocols.push(key.protocol);
                }
            }
            spare.clear();
        }
        let oldest = Window::FiveMinutes.first_step(second).unwrap_or(0);
        for (_, it) in series.iter_mut() {
            it.history.forget(oldest);
        }
    }

    /// What each server did since this was called last. Those that did nothing are not there.
    pub fn take_latest(&mut self) -> HashMap<Option<Endpoint>, Latest> {
        std::mem::take(&mut self.latest)
    }

    /// All series, in no order.
    pub fn series(&self) -> impl Iterator<Item = (&Key, &Series)> {
        self.series.iter()
    }

    /// Totals by server, in the order of their names.
    #[must_use]
    pub fn servers(&self) -> BTreeMap<String, Counts> {
        let mut servers: BTreeMap<String, Counts> = BTreeMap::new();
        for (key, it) in self.series() {
            servers.entry(server_name(key.server.as_ref())).or_default().add(&it.totals);
        }
        servers
    }
}

/// A server's end as text.
#[must_use]
pub fn server_name(server: Option<&Endpoint>) -> String {
    server.map_or_else(|| super::OTHER.to_owned(), ToString::to_string)
}
