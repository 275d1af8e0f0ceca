//! From transactions to what is shown of them.

use super::*;
use crate::{
    packet::Endpoint,
    protocol::{Fields, Status},
    transaction::{Quality, Timing},
};

pub(crate) fn transaction(port: u16, operation: &str, latency_ns: u64) -> Transaction<'_> {
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
    let all = Recorders::new(100);
    let recorders = [all.add(), all.add()];
    let mut collector = Collector::new(all);
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
    assert_eq!(established::json(&Collector::new(Recorders::new(1))), "{}\n");
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
    assert_eq!(summary::table(&Collector::new(Recorders::new(1))), "");
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
    let recorders = Recorders::new(100);
    let recorder = recorders.add();
    let mut collector = Collector::new(recorders);
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
    let all = series.recent(Window::All, 1000);
    assert_eq!((all.requests, all.bytes, all.sum_ns, all.max_ns), (4, 60, 1_000_000, 400_000));
    assert_eq!(series.recent_sum_ns(Window::All, 1000), Some(1_000_000));
    assert_eq!([5, 69, 299].map(|second| Window::Minute.begin_s(second)), [0, 10, 240]);
    assert_eq!([299, 310].map(|second| Window::FiveMinutes.begin_s(second)), [0, 20]);
    assert_eq!(Window::All.begin_s(1000), 0);
    let mut twice = all.clone();
    twice.include(&all);
    assert_eq!((twice.requests, twice.max_ns, twice.sum_ns), (8, 400_000, 2_000_000));
    assert_eq!(twice.quantile_ns(0.5), all.quantile_ns(0.5));
}

/// Compares with latencies that are all kept, and sorted.
#[test]
fn percentiles_are_exact_to_a_hundredth_in_each_window() {
    let recorders = Recorders::new(100);
    let recorder = recorders.add();
    let mut collector = Collector::new(recorders);
    let mut all = Vec::new();
    let mut state = 1_u64;
    const END: u64 = 599;
    for second in 0..=END {
        for _ in 0..20 {
            // From 1 µs to some 17 s, each order of magnitude as often; later ones are longer, so that windows differ.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let ns = (1_000.0 * ((state >> 40) as f64 / 1e6).exp()) as u64 * (1 + second / 100);
            recorder.record(&transaction(1, "A", ns));
            all.push((second, ns));
        }
        collector.collect(second);
    }
    let (_, series) = collector.series().next().expect("a series");
    for (window, from) in
        [(Window::Minute, END - 59), (Window::FiveMinutes, END - 299), (Window::All, 0)]
    {
        let kept = all.iter().filter(|(second, _)| *second >= from).map(|(_, ns)| *ns);
        let mut kept: Vec<u64> = kept.collect();
        kept.sort_unstable();
        let recent = series.recent(window, END);
        assert_eq!(recent.requests, kept.len() as u64, "{window:?}");
        assert_eq!(recent.max_ns, kept[kept.len() - 1]);
        assert_eq!(recent.sum_ns, kept.iter().map(|ns| u128::from(*ns)).sum());
        assert_eq!(Some(recent.sum_ns), series.recent_sum_ns(window, END));
        for part in [0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let at = (part * kept.len() as f64).ceil() as usize;
            let (is, should) = (recent.quantile_ns(part).expect("some"), kept[at.max(1) - 1]);
            assert!(is.abs_diff(should) as f64 <= should as f64 / 100.0, "{part}: {is}, {should}");
        }
    }
}

#[test]
fn series_have_a_bound_and_the_rest_is_counted_together() {
    let recorders = Recorders::new(8);
    let recorder = recorders.add();
    let mut collector = Collector::new(recorders);
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

#[test]
fn what_servers_did_is_told_once() {
    let recorders = Recorders::new(8);
    let mut collector = Collector::new(recorders.clone());
    let (one, two) = (recorders.add(), recorders.add());
    one.record(&transaction(1, "A", 1000));
    collector.collect(0);
    two.record(&transaction(1, "B", 3000));
    two.record(&transaction(2, "B", 1));
    collector.collect(0);
    let latest = collector.take_latest();
    let first = &latest[&Some(Endpoint::v4([10, 0, 0, 2], 1))];
    assert_eq!((first.counts.requests, first.counts.latencies.max_ns()), (2, 3000));
    assert_eq!((latest.len(), &*first.protocols), (2, &["any"][..]));
    collector.collect(1);
    assert!(collector.take_latest().is_empty());
}

#[test]
fn slow_ones_are_kept_the_newest_first_and_no_more_than_so_many() {
    let recorders = Recorders::new(8);
    let slow = SlowLog::new(1_000_000);
    let mut sink = StatsSink::new(recorders.add(), Some(slow.clone()));
    let operations: Vec<_> = (1..=slow::MAX_COUNT as u64 + 5).collect();
    for us in [999, 1000].iter().chain(&operations) {
        let us = if *us < 999 { us + 1000 } else { *us };
        sink.on_transaction(&transaction(1, "A", us * 1000)).expect("memory");
    }
    let all = slow.latest(0, 0, usize::MAX);
    assert_eq!(all.len(), slow::MAX_COUNT);
    assert!(all.windows(2).all(|pair| pair[0].number == pair[1].number + 1));
    assert!(all.iter().all(|it| it.latency_ns >= 1_000_000));
    let object: serde_json::Value = serde_json::from_str(&all[0].object).expect("an object");
    assert_eq!(object["latency_us"], 1005.0);
    assert_eq!(slow.latest(0, all[2].number, 10).len(), 2);
    assert_eq!(slow.latest(0, 0, 3).len(), 3);
    assert!(slow.latest(1_900_000, 0, usize::MAX).len() < 110);
}
