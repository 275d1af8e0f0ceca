//! From transactions to what is shown of them.

use super::*;
use crate::{
    packet::Endpoint,
    protocol::{Fields, Status},
    transaction::{Quality, Timing},
};

fn transaction(port: u16, operation: &str, latency_ns: u64) -> Transaction<'_> {
    let none = Fields::new(&[], &[]);
    Transaction {
        unix_ns: 1,
        client: Endpoint::v4([10, 0, 0, 1], 40_000),
        server: Endpoint::v4([10, 0, 0, 2], port),
        protocol: "any",
        operation,
        request: "",
        response: "",
        status: if operation == "BAD" { Status::Error } else { Status::Ok },
        cancelled: operation == "GONE",
        first_ns: None,
        deadline_ns: None,
        timing: Timing { request_ns: 0, wait_ns: latency_ns, response_ns: 0 },
        request_bytes: 10,
        response_bytes: 5,
        quality: Quality::Exact,
        request_fields: none,
        response_fields: none,
    }
}

/// Two workers' counts.
fn collector() -> Collector {
    let recorders = vec![Recorder::new(100), Recorder::new(100)];
    let mut collector = Collector::new(recorders.clone(), 100);
    for (worker, port, operation, us) in [
        (0, 6379, "GET", 50),
        (0, 6379, "GET", 150),
        (1, 6379, "GET", 30_000),
        (1, 6379, "BAD", 700),
        (1, 6380, "GONE", 25_000_000),
    ] {
        recorders[worker].record(&transaction(port, operation, us * 1000));
    }
    collector.collect(0);
    collector
}

#[test]
fn the_established_form_is_kept_to_the_letter() {
    assert_eq!(established::json(&Collector::new(Vec::new(), 1)), "{}\n");
    assert_eq!(
        established::json(&collector()),
        "{\"10.0.0.2:6379\": {\"requests\": 4, \"request_bytes\": 40, \"responses\": 4, \
         \"response_bytes\": 20, \"latency\": [{\"<0.1ms\": 1}, {\"0.1ms~0.2ms\": 1}, \
         {\"0.5ms~1ms\": 1}, {\"20ms~50ms\": 1}]}, \"10.0.0.2:6380\": {\"requests\": 1, \
         \"request_bytes\": 10, \"responses\": 0, \"response_bytes\": 5, \"latency\": \
         [{\"+inf\": 1}]}}\n"
    );
}

#[test]
fn the_summary_has_a_line_for_each_operation() {
    assert_eq!(summary::table(&Collector::new(Vec::new(), 1)), "");
    let table = summary::table(&collector());
    let lines: Vec<Vec<&str>> =
        table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[1][..5], ["10.0.0.2:6379", "any", "GET", "3", "0"]);
    assert_eq!(lines[2][..5], ["10.0.0.2:6379", "any", "BAD", "1", "1"]);
    assert_eq!(lines[3][..5], ["10.0.0.2:6380", "any", "GONE", "1", "0"]);
    assert_eq!(lines[1][8..], ["30.000", "30", "15"]);
    let mut widths = table.lines().map(str::len);
    let width = widths.next();
    assert!(widths.all(|it| Some(it) == width), "{table}");
}

#[test]
fn windows_end_now() {
    let recorder = Recorder::new(100);
    let mut collector = Collector::new(vec![recorder.clone()], 100);
    for (second, us) in [(5, 100), (100, 200), (280, 300), (299, 400)] {
        recorder.record(&transaction(1, "A", us * 1000));
        collector.collect(second);
    }
    let requests = |collector: &Collector, window| {
        let (_, series) = collector.series().next().expect("a series");
        series.recent(window, 299).requests
    };
    assert_eq!(requests(&collector, Window::Minute), 2);
    assert_eq!(requests(&collector, Window::FiveMinutes), 4);
    collector.collect(1000);
    let (_, series) = collector.series().next().expect("a series");
    assert_eq!((series.recent(Window::FiveMinutes, 1000).requests, series.totals.requests), (0, 4));
}

#[test]
fn series_have_a_bound_and_the_rest_is_counted_together() {
    let recorder = Recorder::new(8);
    let mut collector = Collector::new(vec![recorder.clone()], 8);
    for round in 0..3 {
        for at in 0..100 {
            let operation = format!("OP{at}");
            recorder.record(&transaction(at % 50, &operation, 1));
        }
        collector.collect(round);
    }
    let series: Vec<_> = collector.series().collect();
    assert!(series.len() <= 8 + 2 + 1, "{}", series.len());
    let requests: u64 = series.iter().map(|(_, it)| it.totals.requests).sum();
    assert_eq!(requests, 300);
    let others = series.iter().filter(|(key, _)| &*key.operation == OTHER);
    assert!(others.map(|(_, it)| it.totals.requests).sum::<u64>() > 200);
}
