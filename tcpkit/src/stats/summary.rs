//! A table of all operations, for the end of a run.

use super::{Collector, Counts, collector::server_name};

/// The heads of the columns; names are aligned to the left, numbers to the right.
const HEADS: [&str; 11] = [
    "SERVER",
    "PROTOCOL",
    "OPERATION",
    "COUNT",
    "ERRORS",
    "P50 ms",
    "P90 ms",
    "P99 ms",
    "MAX ms",
    "IN bytes",
    "OUT bytes",
];
const NAMES: usize = 3;

/// The table with its end; empty if nothing was counted. Operations that took most of the time together
/// come first, within each server.
#[must_use]
pub fn table(collector: &Collector) -> String {
    let mut rows: Vec<(String, u128, [String; HEADS.len()])> = collector
        .series()
        .map(|(key, series)| {
            let server = server_name(key.server.as_ref());
            let row = row(server.clone(), key.protocol, &key.operation, &series.totals);
            (server, series.totals.latencies.sum_ns(), row)
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    rows.sort_by(|one, other| {
        one.0.cmp(&other.0).then(other.1.cmp(&one.1)).then(one.2.cmp(&other.2))
    });
    let rows: Vec<_> = rows.into_iter().map(|(_, _, row)| row).collect();
    let mut text = String::new();
    let heads = HEADS.map(str::to_owned);
    let widths: Vec<usize> = (0..HEADS.len())
        .map(|at| {
            let cells = rows.iter().chain([&heads]).filter_map(|row| row.get(at));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    for row in [&heads].into_iter().chain(&rows) {
        let mut line = String::new();
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if at > 0 {
                line.push_str("  ");
            }
            match at < NAMES {
                true => line.push_str(&format!("{cell:<width$}")),
                false => line.push_str(&format!("{cell:>width$}")),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn row(server: String, protocol: &str, operation: &str, counts: &Counts) -> [String; HEADS.len()] {
    let ms =
        |ns: Option<u64>| ns.map_or_else(|| "-".to_owned(), |ns| format!("{:.3}", ns as f64 / 1e6));
    let latencies = &counts.latencies;
    [
        server,
        protocol.to_owned(),
        operation.to_owned(),
        counts.requests.to_string(),
        counts.errors.to_string(),
        ms(latencies.quantile_ns(0.5)),
        ms(latencies.quantile_ns(0.9)),
        ms(latencies.quantile_ns(0.99)),
        ms((latencies.count() > 0).then(|| latencies.max_ns())),
        counts.request_bytes.to_string(),
        counts.response_bytes.to_string(),
    ]
}
