//! The agent beside a Kafka broker: what librdkafka counts of its requests, long polls, groups.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tcpkit_tests::{
    agent::Agent,
    line::{Line, compare_views},
    netns::Netns,
    process::{Server, Stepwise, python},
    servers,
};

const KAFKA: &str = "-p kafka --format json -i veth0 tcp port 9092";

/// How long a fetch waits where nothing is there, in ms.
const WAIT_MS: i64 = 80;

/// librdkafka's clients, by steps.
struct Clients(Stepwise);

impl Clients {
    fn start(netns: &Netns, brokers: &str) -> Self {
        Self(Stepwise::start(netns, python("clients/kafka_client.py").arg(brokers)))
    }

    fn step(&mut self, what: Value) -> Value {
        self.0.tell(&what.to_string());
        serde_json::from_str(&self.0.line()).unwrap()
    }
}

fn start() -> (Netns, Netns, Server) {
    let (near, far) = Netns::pair();
    let server = servers::kafka(&far, 9092);
    (near, far, server)
}

/// How often a client asked for each operation.
fn by_operation<'a>(lines: &'a [Line], client_id: &str) -> BTreeMap<&'a str, u64> {
    let mut counts = BTreeMap::new();
    for line in lines.iter().filter(|line| line.text("client_id") == client_id) {
        *counts.entry(&*line.operation).or_default() += 1;
    }
    counts
}

#[test]
fn requests_are_those_that_the_clients_counted() {
    let (near, far, _server) = start();
    let agents = [Agent::start_with(&near, KAFKA), Agent::start_with(&far, KAFKA)];
    let mut clients = Clients::start(&near, "10.9.0.2:9092");
    assert_eq!(clients.step(json!(["topics", ["orders", "events"], 1])), json!([]));
    assert_eq!(
        clients.step(json!(["produce", "orders", 20, "all"])),
        json!((0..20).collect::<Vec<_>>())
    );
    assert_eq!(clients.step(json!(["produce", "events", 5, "all"])), json!([0, 1, 2, 3, 4]));
    let taken = clients.step(json!(["consume", "orders", 20, WAIT_MS]));
    assert_eq!(taken.as_array().unwrap().len(), 20);
    let counted = clients.step(json!(["counted"]));
    clients.0.finish();
    let [at_client, at_server] = agents.map(Agent::stop);
    compare_views(&at_client.lines(), &at_server.lines());
    for finished in [at_client, at_server] {
        finished.ledger().check_no_loss();
        let lines = finished.lines();
        assert!(lines.iter().all(|line| line.quality == "exact"), "{lines:?}");
        assert!(
            lines.iter().all(|line| line.status == "ok" && line.response.is_empty()),
            "{lines:?}"
        );
        for client in ["producer", "consumer"] {
            let printed = by_operation(&lines, client);
            for api in ["Produce", "Fetch", "ListOffsets", "GetTelemetrySubscriptions"] {
                let expect = counted[client].get(api).map_or(0, |it| it.as_u64().unwrap());
                let printed = printed.get(api).copied().unwrap_or(0);
                assert_eq!(printed, expect, "{client} {api}: {counted}");
            }
            // It forgets what it asked the broker before it knew which one that is.
            let sent = counted[client]["sent"].as_u64().unwrap();
            assert!(printed.values().sum::<u64>() > sent, "{printed:?} {counted}");
        }
        check_produced(&lines);
        check_fetched(&lines);
        let admin = by_operation(&lines, "admin");
        assert_eq!(admin["CreateTopics"], 1, "{admin:?}");
        let numbers: BTreeSet<_> =
            lines.iter().map(|it| (it.client, it.number("correlation_id"))).collect();
        assert_eq!(numbers.len(), lines.len(), "each request is there once");
    }
}

fn check_produced(lines: &[Line]) {
    let mut produced = BTreeMap::new();
    for line in lines.iter().filter(|line| line.operation == "Produce") {
        *produced.entry((&*line.request, line.text("topics"))).or_insert(0) += 1;
        assert_eq!((line.number("acks"), line.text("client_id")), (-1, "producer"));
    }
    let expect = BTreeMap::from([
        (("Produce orders[0] acks=all", "orders"), 20),
        (("Produce events[0] acks=all", "events"), 5),
    ]);
    assert_eq!(produced, expect);
}

/// The last fetches find nothing and wait for as long as they are willing to.
fn check_fetched(lines: &[Line]) {
    let fetches: Vec<_> = lines.iter().filter(|line| line.operation == "Fetch").collect();
    assert!(fetches.len() > 1, "{fetches:?}");
    for line in &fetches {
        assert!(line.request.ends_with(&format!("[0] max_wait={WAIT_MS}ms")), "{line:?}");
        assert_eq!(line.number("max_wait_ms"), WAIT_MS);
    }
    let wait_us = WAIT_MS as f64 * 1000.0;
    let last = fetches.last().unwrap();
    // The broker counts in ms.
    assert!(last.latency_us >= wait_us - 1000.0, "{last:?}");
    assert!(last.parts_us[1] >= wait_us - 1000.0, "the broker's time is the wait: {last:?}");
}

#[test]
fn a_groups_life_is_shown() {
    let (near, _far, _server) = start();
    let agent = Agent::start_with(&near, KAFKA);
    let mut clients = Clients::start(&near, "10.9.0.2:9092");
    clients.step(json!(["topics", ["orders"], 1]));
    clients.step(json!(["produce", "orders", 3, "1"]));
    let taken = clients.step(json!(["join", "readers", ["orders"], 3, WAIT_MS]));
    assert_eq!(taken, json!(["orders 0", "orders 1", "orders 2"]));
    clients.0.finish();
    let finished = agent.stop();
    finished.ledger().check_no_loss();
    let lines = finished.lines();
    let shown: BTreeSet<_> = lines
        .iter()
        .filter(|line| line.text("client_id") == "member")
        .map(|line| (&*line.request, &*line.response, &*line.status))
        .collect();
    for expect in [
        ("FindCoordinator group=readers", "", "ok"),
        ("JoinGroup group=readers", "MEMBER_ID_REQUIRED", "error"),
        ("JoinGroup group=readers", "", "ok"),
        ("SyncGroup group=readers", "", "ok"),
        ("Heartbeat group=readers", "", "ok"),
        ("OffsetFetch group=readers orders[0]", "", "ok"),
        ("OffsetCommit group=readers orders[0]", "", "ok"),
        ("LeaveGroup group=readers", "", "ok"),
    ] {
        assert!(shown.contains(&expect), "{expect:?}: {shown:?}");
    }
    assert!(lines.iter().any(|line| line.request == "Produce orders[0] acks=1"));
    // The broker waits three seconds for further members.
    let joined = lines.iter().find(|it| it.operation == "JoinGroup" && it.status == "ok").unwrap();
    assert!(joined.latency_us >= 2_900_000.0, "{joined:?}");
}

#[test]
fn a_connection_that_was_open_before_is_joined_at_once() {
    let (near, _far, _server) = start();
    let mut clients = Clients::start(&near, "10.9.0.2:9092");
    clients.step(json!(["topics", ["orders"], 1]));
    clients.step(json!(["produce", "orders", 2, "all"]));
    // So that nothing is under way.
    clients.step(json!(["counted"]));
    let agent = Agent::start_with(&near, KAFKA);
    clients.step(json!(["produce", "orders", 1, "all"]));
    agent.wait_for_lines(1);
    clients.step(json!(["produce", "orders", 3, "all"]));
    agent.wait_for_lines(4);
    let finished = agent.stop();
    finished.ledger().check_no_loss();
    let lines = finished.lines();
    assert_eq!(lines.len(), 4, "{lines:?}");
    for line in &lines {
        assert_eq!(line.outcome(), ("Produce orders[0] acks=all", "", "ok"));
        assert_eq!((&*line.quality, line.server.port()), ("midstream", 9092));
    }
}

/// Three brokers inside a process, on ports of their own choice.
#[test]
fn several_brokers_are_found_by_what_they_speak() {
    let netns = Netns::new();
    let mut mock = python("fixtures/record/kafka_client.py");
    let mut cluster = Stepwise::start(&netns, mock.args(["none", "three_brokers"]));
    let brokers = cluster.line();
    let agent = Agent::start_with(&netns, "-p auto --format json -i lo tcp");
    let mut clients = Clients::start(&netns, &brokers);
    clients.step(json!(["produce", "orders", 10, "all"]));
    let taken = clients.step(json!(["consume", "orders", 10, WAIT_MS]));
    assert_eq!(taken.as_array().unwrap().len(), 10);
    let counted = clients.step(json!(["counted"]));
    clients.0.finish();
    let finished = agent.stop();
    let lines = finished.lines();
    assert!(lines.iter().all(|line| line.protocol == "kafka"), "{lines:?}");
    let produced = by_operation(&lines, "producer");
    assert_eq!((produced["Produce"], &counted["producer"]["Produce"]), (10, &json!(10)));
    let fetched = by_operation(&lines, "consumer")["Fetch"];
    assert_eq!(fetched, counted["consumer"]["Fetch"].as_u64().unwrap());
    let servers: BTreeSet<_> = lines.iter().map(|line| line.server.port()).collect();
    let known: BTreeSet<_> = brokers
        .split(',')
        .map(|it| it.rsplit(':').next().unwrap().parse::<u16>().unwrap())
        .collect();
    assert!(servers.is_subset(&known), "{servers:?} {brokers}");
}
