//! What was counted, at one moment: a row for each endpoint, and for each of its operations.

use std::{collections::BTreeMap, time::Duration};

use super::text::shown;
use crate::stats::{Recent, Statistics, Window, server_name};

/// The percentiles that are shown.
pub(super) const PERCENTILES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];

/// What a line says of an endpoint, or of an operation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Row {
    /// Who answers.
    pub(super) server: String,
    /// Of an endpoint, all that it speaks.
    pub(super) protocol: String,
    /// Empty for an endpoint.
    pub(super) operation: String,
    pub(super) requests: u64,
    pub(super) errors: u64,
    /// Of requests and responses.
    pub(super) bytes: u64,
    /// What all took together.
    pub(super) sum_ns: u128,
    /// By [`PERCENTILES`].
    pub(super) quantiles_ns: [Option<u64>; PERCENTILES.len()],
    pub(super) max_ns: u64,
}

impl Row {
    fn new(server: &str, protocol: &str, operation: &str, recent: &Recent) -> Self {
        Self {
            server: server.to_owned(),
            protocol: protocol.to_owned(),
            operation: shown(operation),
            requests: recent.requests,
            errors: recent.errors,
            bytes: recent.bytes,
            sum_ns: recent.sum_ns,
            quantiles_ns: PERCENTILES.map(|part| recent.quantile_ns(part)),
            max_ns: recent.max_ns,
        }
    }

    /// Which operation it is of.
    pub(super) fn key(&self) -> Operation {
        let [server, protocol, operation] =
            [&self.server, &self.protocol, &self.operation].map(String::clone);
        Operation { server, protocol, operation }
    }

    /// What tells it from others, whatever it counts.
    pub(super) fn identity(&self) -> String {
        format!("{}\n{}\n{}", self.server, self.operation, self.protocol)
    }
}

/// An operation of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Operation {
    pub(super) server: String,
    pub(super) protocol: String,
    /// Empty where a protocol has none.
    pub(super) operation: String,
}

impl Operation {
    /// Whether these are its names.
    pub(super) fn is(&self, server: &str, protocol: &str, operation: &str) -> bool {
        self.server == server && self.protocol == protocol && self.operation == operation
    }
}

/// All rows, of those who did something in the window.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    /// When it was, since the start.
    pub(super) at: Duration,
    /// How long its window is.
    pub(super) time: Duration,
    /// All requests since the start.
    pub(super) total: u64,
    pub(super) endpoints: Vec<Row>,
    pub(super) operations: Vec<Row>,
}

impl Snapshot {
    /// When it is, since the start, and how many requests there were until now.
    pub(super) fn total(statistics: &Statistics) -> (Duration, u64) {
        let collector = statistics.collected();
        let total = |sum: u64, series: u64| sum.saturating_add(series);
        let total = collector.series().map(|(_, it)| it.totals.requests).fold(0, total);
        (statistics.elapsed(), total)
    }

    /// What is known now of a window.
    pub(super) fn take(statistics: &Statistics, window: Window) -> Self {
        let mut total = 0_u64;
        let mut parts = Vec::new();
        let collector = statistics.collected();
        let at = statistics.elapsed();
        for (key, series) in collector.series() {
            total = total.saturating_add(series.totals.requests);
            let recent = series.recent(window, at.as_secs());
            if recent.requests > 0 {
                parts.push((key.clone(), recent));
            }
        }
        // Others wait for it.
        drop(collector);
        let mut endpoints: BTreeMap<String, (Vec<&str>, Recent)> = BTreeMap::new();
        let mut operations = Vec::new();
        for (key, recent) in &parts {
            let server = server_name(key.server.as_ref());
            operations.push(Row::new(&server, key.protocol, &key.operation, recent));
            let (protocols, all) = endpoints.entry(server).or_default();
            all.include(recent);
            if !protocols.contains(&key.protocol) {
                protocols.push(key.protocol);
            }
        }
        let endpoints = endpoints.into_iter().map(|(server, (mut protocols, recent))| {
            protocols.sort_unstable();
            Row::new(&server, &protocols.join(","), "", &recent)
        });
        let time = at.saturating_sub(Duration::from_secs(window.begin_s(at.as_secs())));
        Self { at, time, total, endpoints: endpoints.collect(), operations }
    }
}
