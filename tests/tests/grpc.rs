//! The agent beside grpcio: calls of each kind, their messages, statuses, deadlines and ends.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tcpkit_tests::{
    agent::Agent,
    line::{Line, compare_views},
    netns::Netns,
    process::{Server, Stepwise, python},
    servers,
};

/// All is captured: one packet may bring several frames, and what is behind the snaplen has no beginning.
const GRPC: &str = "-p grpc --format json -s 0 -i veth0 tcp port 50051";

/// A client that makes calls on one connection.
struct Caller(Stepwise);

impl Caller {
    fn connect(netns: &Netns) -> Self {
        let mut command = python("clients/grpc_client.py");
        Self(Stepwise::start(netns, command.arg("10.9.0.2:50051")))
    }

    /// Makes a call, or several at the same time, and gives what the client saw.
    fn call(&mut self, what: &Value) -> Value {
        self.0.tell(&what.to_string());
        serde_json::from_str(&self.0.line()).unwrap()
    }
}

fn call(kind: &str, method: &str, requests: &[&str]) -> Value {
    json!({ "kind": kind, "method": method, "requests": requests, "pause": 0.01 })
}

fn unary(method: &str, request: &str) -> Value {
    call("unary_unary", method, &[request])
}

fn start() -> (Netns, Netns, Server) {
    let (near, far) = Netns::pair();
    let server = servers::grpc(&far, 50051);
    (near, far, server)
}

/// A call's line, and what the client saw of it.
fn check(line: &Line, seen: &Value) {
    assert_eq!(line.protocol, "grpc");
    let code = seen["code"].as_str().unwrap();
    let is_ok = code == "OK";
    assert_eq!(line.status, if is_ok { "ok" } else { "error" }, "{line:?} {seen}");
    let said = match (is_ok, seen["message"].as_str().unwrap()) {
        (true, _) => String::new(),
        (false, "") => code.to_owned(),
        (false, message) => format!("{code}: {message}"),
    };
    assert_eq!(line.response, said, "{seen}");
    assert_eq!(line.text("grpc_status_name"), code);
    assert_eq!(line.number("response_messages"), seen["responses"].as_i64().unwrap(), "{line:?}");
    assert!(line.latency_us <= seen["us"].as_f64().unwrap(), "{line:?} {seen}");
    let has_first = seen["responses"] != 0;
    assert_eq!(line.first_us.is_some(), has_first, "{line:?}");
}

#[test]
fn each_call_is_a_line() {
    let (near, far, _server) = start();
    let agents = [Agent::start_with(&near, GRPC), Agent::start_with(&far, GRPC)];
    let mut caller = Caller::connect(&near);
    let calls = [
        unary("Echo", "hello"),
        unary("Echo", ""),
        unary("Echo", &"long ".repeat(2000)),
        unary("Slow", "50 ms"),
        unary("Size", "60000"),
        unary("Fail", "5 not here"),
        unary("Fail", "14 "),
        unary("Fail", "3 100 % naïve"),
        unary("NoSuch", ""),
        call("unary_stream", "Count", &["slowly"]),
        call("unary_stream", "Burst", &["x"]),
        call("unary_stream", "Nothing", &["x"]),
        call("unary_stream", "Breaks", &["x"]),
        call("stream_unary", "Total", &["1", "22", "333", "4444", "55555"]),
        call("stream_stream", "Chat", &["hello", "how are you?", "bye"]),
    ];
    let seen: Vec<_> = calls.iter().map(|it| caller.call(it)).collect();
    // How often each method was called, says the server.
    let counted = caller.call(&unary("Counted", ""));
    let counted: BTreeMap<String, usize> =
        serde_json::from_str(counted["last"].as_str().unwrap()).unwrap();
    caller.0.finish();
    let [at_client, at_server] = agents.map(Agent::stop);
    compare_views(&at_client.lines(), &at_server.lines());
    for finished in [at_client, at_server] {
        finished.ledger().check_no_loss();
        let lines = finished.lines();
        let (last, lines) = lines.split_last().unwrap();
        assert_eq!(last.operation, "/record.Methods/Counted");
        assert_eq!(lines.len(), calls.len());
        for ((line, call), seen) in lines.iter().zip(&calls).zip(&seen) {
            let path = format!("/record.Methods/{}", call["method"].as_str().unwrap());
            assert_eq!((&line.operation, &line.request), (&path, &path));
            let sent = call["requests"].as_array().unwrap().len() as i64;
            assert_eq!(line.number("request_messages"), sent, "{line:?}");
            assert_eq!(line.quality, "exact", "{line:?}");
            check(line, seen);
        }
        let of = |method: &str| {
            let index = calls.iter().position(|it| it["method"] == method).unwrap();
            &lines[index]
        };
        assert!(of("Slow").parts_us[1] >= 50_000.0, "{:?}", of("Slow"));
        // The first after 30 ms, nine more every 10 ms.
        let count = of("Count");
        assert!(count.first_us.unwrap() >= 30_000.0, "{count:?}");
        assert!(count.latency_us >= 120_000.0, "{count:?}");
        // Five messages, 10 ms apart; the first may have been sent late.
        assert!(of("Total").parts_us[0] >= 15_000.0, "{:?}", of("Total"));
        let mut printed = BTreeMap::new();
        for line in lines.iter().chain([last]) {
            *printed.entry(line.text("method").to_owned()).or_default() += 1;
        }
        assert_eq!(printed, counted);
    }
}

#[test]
fn calls_at_the_same_time_keep_their_own_times() {
    let (near, far, _server) = start();
    let agents = [Agent::start_with(&near, GRPC), Agent::start_with(&far, GRPC)];
    let mut caller = Caller::connect(&near);
    // So that the connection is there.
    caller.call(&unary("Echo", "first"));
    let calls: Vec<_> = (0..20)
        .map(|number| match number % 4 {
            0 => unary("Slow", &"s".repeat(number)),
            1 => call("unary_stream", "Count", &["x"]),
            2 => call("stream_unary", "Total", &["1", "2"]),
            _ => unary("Echo", &"e".repeat(100 * number)),
        })
        .collect();
    let seen = caller.call(&json!(calls));
    assert!(seen.as_array().unwrap().iter().all(|it| it["code"] == "OK"), "{seen}");
    caller.0.finish();
    let [at_client, at_server] = agents.map(Agent::stop);
    for finished in [at_client, at_server] {
        finished.ledger().check_no_loss();
        let lines = finished.lines();
        assert_eq!(lines.len(), 21);
        let of = |method: &str| -> Vec<_> {
            lines.iter().filter(|line| line.text("method") == method).collect()
        };
        for (method, count, latency_us) in
            [("Slow", 5, 50_000.0), ("Count", 5, 120_000.0), ("Total", 5, 0.0), ("Echo", 6, 0.0)]
        {
            assert_eq!(of(method).len(), count, "{method}");
            assert!(of(method).iter().all(|it| it.latency_us >= latency_us), "{:?}", of(method));
        }
        assert!(of("Count").iter().all(|it| it.number("response_messages") == 10));
        assert!(of("Total").iter().all(|it| it.number("request_messages") == 2));
        assert!(lines.iter().all(|line| line.status == "ok" && line.quality == "exact"));
        let streams: std::collections::BTreeSet<_> =
            lines.iter().map(|line| line.number("stream")).collect();
        assert_eq!(streams.len(), 21, "each stream is there once");
    }
}

#[test]
fn deadlines_and_what_is_given_up() {
    let (near, far, _server) = start();
    let agents = [Agent::start_with(&near, GRPC), Agent::start_with(&far, GRPC)];
    let mut caller = Caller::connect(&near);
    let mut late = unary("Late", "");
    late["timeout"] = json!(0.3);
    let mut early = unary("Echo", "in time");
    early["timeout"] = json!(5);
    let mut given_up = call("unary_stream", "Count", &["x"]);
    given_up["cancel_after"] = json!(3);
    let mut never = unary("Fail", "4 the server was too slow");
    never["timeout"] = json!(5);
    let seen: Vec<_> =
        [&early, &late, &given_up, &never, &early].map(|it| caller.call(it)).into_iter().collect();
    let codes: Vec<_> = seen.iter().map(|it| it["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["OK", "DEADLINE_EXCEEDED", "CANCELLED", "DEADLINE_EXCEEDED", "OK"]);
    caller.0.finish();
    let [at_client, at_server] = agents.map(Agent::stop);
    for finished in [at_client, at_server] {
        finished.ledger().check_no_loss();
        let lines = finished.lines();
        let mut shown: Vec<_> = lines
            .iter()
            .map(|it| (it.text("method"), &*it.response, &*it.status, it.cancelled))
            .collect();
        // Both ends have the deadline. Whose clock is first says so.
        let late = shown.remove(1);
        let by_client = ("Late", "cancelled", "error", true);
        let by_server = ("Late", "DEADLINE_EXCEEDED: Deadline Exceeded", "error", false);
        assert!(late == by_client || late == by_server, "{late:?}");
        assert_eq!(
            shown,
            [
                ("Echo", "", "ok", false),
                ("Count", "cancelled", "error", true),
                ("Fail", "DEADLINE_EXCEEDED: the server was too slow", "error", false),
                ("Echo", "", "ok", false),
            ]
        );
        for at in [0, 3, 4] {
            let deadline_us = lines[at].deadline_us.unwrap();
            assert!((1_000_000.0..=5_100_000.0).contains(&deadline_us), "{:?}", lines[at]);
            assert_eq!(lines[at].past_deadline, Some(false), "{:?}", lines[at]);
        }
        let late = &lines[1];
        let deadline_us = late.deadline_us.unwrap();
        assert!((10_000.0..=310_000.0).contains(&deadline_us), "{late:?}");
        // grpcio writes down what is left of the time, and then has to send that.
        assert!(late.latency_us >= deadline_us / 2.0, "{late:?}");
        assert!(late.latency_us <= seen[1]["us"].as_f64().unwrap(), "{late:?} {seen:?}");
        let given_up = &lines[2];
        assert_eq!((given_up.deadline_us, given_up.past_deadline), (None, None));
        assert!(given_up.first_us.unwrap() >= 30_000.0, "{given_up:?}");
        assert!(given_up.number("response_messages") >= 3, "{given_up:?}");
        assert!(given_up.latency_us >= 50_000.0, "{given_up:?}");
        let cancelled = lines.iter().filter(|line| line.cancelled).count() as u64;
        assert_eq!(finished.ledger().part("requests", "cancelled"), cancelled);
    }
}

#[test]
fn a_connection_that_was_open_before_is_joined_at_once() {
    let (near, _far, _server) = start();
    let mut caller = Caller::connect(&near);
    (0..3).for_each(|_| drop(caller.call(&unary("Echo", "early"))));
    let agent = Agent::start_with(&near, GRPC);
    let seen = [
        unary("Echo", "now"),
        unary("Slow", "now"),
        unary("Fail", "5 not here"),
        call("unary_stream", "Count", &["x"]),
    ]
    .map(|it| caller.call(&it));
    agent.wait_for_lines(4);
    let finished = agent.stop();
    finished.ledger().check_no_loss();
    let lines = finished.lines();
    // What stands in the connection's tables since before is not known, that calls are OK among it; the
    // rest is.
    let shown: Vec<_> = lines.iter().map(|it| (&*it.request, &*it.status)).collect();
    let expect = [
        ("?", "unknown"),
        ("/record.Methods/Slow", "unknown"),
        ("/record.Methods/Fail", "error"),
        ("/record.Methods/Count", "unknown"),
    ];
    assert_eq!(shown, expect);
    assert_eq!(lines[2].response, "NOT_FOUND: not here");
    assert!(lines[1].latency_us >= 50_000.0, "{:?}", lines[1]);
    assert_eq!(lines[3].number("response_messages"), 10);
    for (line, seen) in lines.iter().zip(seen) {
        assert_eq!(line.quality, "midstream");
        assert!(line.latency_us <= seen["us"].as_f64().unwrap(), "{line:?} {seen}");
    }
}
