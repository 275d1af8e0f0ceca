//! What all workers counted, put together: totals, and the last minutes.

use std::collections::BTreeMap;

use super::{
    history::{History, Recent, STEP_S},
    recorder::{Counts, Key, Recorder, SeriesMap},
};
use crate::packet::Endpoint;

/// How far back one looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The last minute, to ten seconds.
    Minute,
    /// The last five minutes, to ten seconds.
    FiveMinutes,
}

impl Window {
    fn steps(self) -> u64 {
        match self {
            Self::Minute => 60 / STEP_S,
            Self::FiveMinutes => 300 / STEP_S,
        }
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
        self.history.since((second / STEP_S + 1).saturating_sub(window.steps()))
    }
}

/// Takes what workers counted.
pub struct Collector {
    recorders: Vec<Recorder>,
    spare: SeriesMap<Counts>,
    series: SeriesMap<Series>,
}

impl Collector {
    /// Takes from `recorders`, which hold at most about `max_series` series each.
    #[must_use]
    pub fn new(recorders: Vec<Recorder>, max_series: usize) -> Self {
        Self { recorders, spare: SeriesMap::new(max_series), series: SeriesMap::new(max_series) }
    }

    /// Takes what was counted until now, which is `second` of the run.
    pub fn collect(&mut self, second: u64) {
        let step = second / STEP_S;
        let Self { recorders, spare, series } = self;
        for recorder in recorders {
            recorder.swap(spare);
            for (key, counts) in spare.iter().filter(|(_, counts)| !counts.is_empty()) {
                let Some(it) = series.get(key.server, key.protocol, &key.operation) else {
                    continue;
                };
                it.totals.add(counts);
                it.history.add(step, counts);
            }
            spare.clear();
        }
        let oldest = step.saturating_sub(Window::FiveMinutes.steps());
        for (_, it) in series.iter_mut() {
            it.history.forget(oldest);
        }
    }

    /// All series, in no order.
    pub fn series(&self) -> impl Iterator<Item = (&Key, &Series)> {
        self.series.iter()
    }

    /// Totals by server, in the order of their names; `None` stands for servers that found no place.
    #[must_use]
    pub fn servers(&self) -> BTreeMap<String, (Option<Endpoint>, Counts)> {
        let mut servers: BTreeMap<String, (Option<Endpoint>, Counts)> = BTreeMap::new();
        for (key, it) in self.series() {
            let name = server_name(key.server.as_ref());
            let (_, counts) =
                servers.entry(name).or_insert_with(|| (key.server, Counts::default()));
            counts.add(&it.totals);
        }
        servers
    }
}

/// A server's end as text.
pub(super) fn server_name(server: Option<&Endpoint>) -> String {
    server.map_or_else(|| super::OTHER.to_owned(), ToString::to_string)
}
