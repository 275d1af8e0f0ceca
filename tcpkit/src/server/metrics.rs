//! What was counted as Prometheus reads it (text format 0.0.4).

use std::fmt::{self, Write as _};

use crate::{
    exposition::LabelValue,
    ledger::{Ledger, Metric, MetricKind},
    script::Metrics,
    stats::{BUCKETS, Collector, Counts, Key, server_name},
};

/// A counter of each series: its name, what it is, and its value.
type Counter = (&'static str, &'static str, fn(&Counts) -> u64);

const COUNTERS: [Counter; 3] = [
    ("responses", "Responses.", |it| it.responses),
    ("request_bytes", "Payload bytes of requests.", |it| it.request_bytes),
    ("response_bytes", "Payload bytes of responses.", |it| it.response_bytes),
];

/// All of it. What a script made known has the script's names.
pub(super) fn text(collector: &Collector, ledger: &Ledger, script: Option<&Metrics>) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_all(&mut out, collector, ledger, script);
    out
}

fn write_all(
    out: &mut String,
    collector: &Collector,
    ledger: &Ledger,
    script: Option<&Metrics>,
) -> fmt::Result {
    head(out, "tcpkit_build_info", "The agent's version.", MetricKind::Gauge)?;
    writeln!(out, "tcpkit_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"))?;
    let mut series: Vec<_> =
        collector.series().map(|(key, series)| (labels(key), &series.totals)).collect();
    series.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    let name = "tcpkit_requests_total";
    head(out, name, "Requests by what became of them.", MetricKind::Counter)?;
    for (labels, counts) in &series {
        for (status, count) in counts.by_status() {
            writeln!(out, "{name}{{{labels},status=\"{status}\"}} {count}")?;
        }
    }
    for (name, help, value) in COUNTERS {
        let name = format!("tcpkit_{name}_total");
        head(out, &name, help, MetricKind::Counter)?;
        for (labels, counts) in &series {
            writeln!(out, "{name}{{{labels}}} {}", value(counts))?;
        }
    }
    latencies(out, &series)?;
    let mut last = "";
    let metrics = ledger.metrics();
    for Metric { name, help, kind, labels, value } in &metrics {
        if last != *name {
            head(out, name, help, *kind)?;
        }
        last = name;
        match labels.as_slice() {
            [] => writeln!(out, "{name} {value}")?,
            labels => {
                let labels: Vec<_> = labels
                    .iter()
                    .map(|(label, text)| format!("{label}=\"{}\"", LabelValue(text)))
                    .collect();
                writeln!(out, "{name}{{{}}} {value}", labels.join(","))?;
            }
        }
    }
    script.map_or(Ok(()), |script| script.write_exposition(out))
}

fn latencies(out: &mut String, series: &[(String, &Counts)]) -> fmt::Result {
    let name = "tcpkit_latency_seconds";
    writeln!(out, "# HELP {name} From a request's first byte to its response's last.")?;
    writeln!(out, "# TYPE {name} histogram")?;
    for (labels, counts) in series {
        let latencies = &counts.latencies;
        let mut sum: u64 = 0;
        for ((bound_ns, _), count) in BUCKETS.iter().zip(latencies.buckets()) {
            sum = sum.saturating_add(*count);
            match bound_ns {
                &u64::MAX => writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {sum}")?,
                ns => writeln!(out, "{name}_bucket{{{labels},le=\"{}\"}} {sum}", *ns as f64 / 1e9)?,
            }
        }
        writeln!(out, "{name}_sum{{{labels}}} {}", latencies.sum_ns() as f64 / 1e9)?;
        writeln!(out, "{name}_count{{{labels}}} {}", latencies.count())?;
    }
    Ok(())
}

fn head(out: &mut String, name: &str, help: &str, kind: MetricKind) -> fmt::Result {
    let kind = match kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
    };
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

fn labels(key: &Key) -> String {
    format!(
        "server=\"{}\",protocol=\"{}\",operation=\"{}\"",
        server_name(key.server.as_ref()),
        LabelValue(key.protocol),
        LabelValue(&key.operation)
    )
}
