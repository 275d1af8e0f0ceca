//! Counts are what clients did, and what real servers say of themselves.

use std::{
    collections::BTreeMap,
    io::Write,
    process::{Command, Stdio},
};

use serde_json::Value;
use tcpkit_tests::{
    agent::Agent,
    netns::{Netns, eventually},
    peer::Peer,
    redis::{Client, RedisServer, encode_words},
    servers,
    statistics::{self, BUCKETS, metric},
};

const REDIS: &str = "10.9.0.2:6379";
const MEMCACHED: &str = "10.9.0.2:11211";
const TURNS: u64 = 50;

/// What a client sent and got, in bytes, and how often.
#[derive(Default)]
struct Did {
    count: u64,
    sent: u64,
    received: u64,
}

impl Did {
    fn add(&mut self, count: u64, sent: usize, received: usize) {
        self.count += count;
        self.sent += sent as u64;
        self.received += received as u64;
    }
}

fn use_redis(near: &Netns) -> Did {
    let mut did = Did::default();
    let mut clients: Vec<_> = (0..8).map(|_| Client::connect(near, REDIS)).collect();
    for turn in 0..TURNS {
        for (number, client) in clients.iter_mut().enumerate() {
            let words = [
                format!("set {number}-{turn} v"),
                format!("get {number}-{turn}"),
                "lpush x".into(),
            ];
            // In one segment.
            let sent: Vec<u8> = words.iter().flat_map(|it| encode_words(it)).collect();
            client.send(&sent);
            let received = (0..3).map(|_| client.receive().len()).sum();
            did.add(3, sent.len(), received);
        }
    }
    did
}

fn use_memcached(near: &Netns) -> Did {
    let mut did = Did::default();
    let mut peer = Peer::connect(near, MEMCACHED);
    for turn in 0..TURNS {
        for (request, end) in [
            (format!("set {turn} 0 0 5\r\nvalue\r\n"), "STORED\r\n"),
            (format!("get {turn} none\r\n"), "END\r\n"),
        ] {
            let received = peer.exchange(&request, end);
            did.add(1, request.len(), received.len());
        }
    }
    did
}

/// How often the server says that it did what.
fn command_stats(redis: &RedisServer) -> BTreeMap<String, u64> {
    let text = String::from_utf8(redis.unseen().exchange(&[b"INFO", b"commandstats"])).unwrap();
    let calls = |line: &str| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
    };
    text.lines().filter_map(calls).collect()
}

fn memcached_stats(far: &Netns) -> BTreeMap<String, u64> {
    let said = Peer::connect(far, "127.0.0.1:11211").exchange("stats\r\n", "END\r\n");
    let said = String::from_utf8(said).unwrap();
    let stat = |line: &str| {
        let (name, value) = line.strip_prefix("STAT ")?.split_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    said.lines().filter_map(stat).collect()
}

/// The established form, to the letter.
fn check_form(text: &str, servers: &[&str]) {
    assert!(text.ends_with("}\n") && text.matches('\n').count() == 1, "{text:?}");
    let value: Value = serde_json::from_str(text).unwrap();
    let object = value.as_object().unwrap();
    assert_eq!(object.keys().collect::<Vec<_>>(), servers);
    for server in object.values() {
        let server = server.as_object().unwrap();
        let keys: Vec<_> = server.keys().map(String::as_str).collect();
        assert_eq!(keys, ["requests", "request_bytes", "responses", "response_bytes", "latency"]);
        assert!(keys[..4].iter().all(|key| server[*key].is_u64()));
        let mut positions = Vec::new();
        for bucket in server["latency"].as_array().unwrap() {
            let bucket: Vec<_> = bucket.as_object().unwrap().iter().collect();
            let [(name, count)] = bucket[..] else { panic!("{bucket:?}") };
            assert!(count.as_u64().unwrap() > 0);
            positions.push(BUCKETS.iter().position(|it| it == name).unwrap());
        }
        assert!(!positions.is_empty() && positions.is_sorted_by(|a, b| a < b), "{positions:?}");
    }
}

fn check_counts(stats: &Value, server: &str, did: &Did) {
    let it = &stats[server];
    assert_eq!(it["requests"], did.count, "{stats}");
    assert_eq!(it["responses"], did.count, "{stats}");
    assert_eq!(it["request_bytes"], did.sent, "{stats}");
    assert_eq!(it["response_bytes"], did.received, "{stats}");
    let buckets = it["latency"].as_array().unwrap().iter();
    let sum: u64 = buckets
        .flat_map(|it| it.as_object().unwrap().values())
        .map(|it| it.as_u64().unwrap())
        .sum();
    assert_eq!(sum, did.count, "{stats}");
}

#[test]
fn counts_are_what_clients_did_and_what_servers_say() {
    for options in ["", "--workers 3", "--backend packet"] {
        let (near, far) = Netns::pair();
        let redis = RedisServer::start(&far);
        let _memcached = servers::memcached(&far, 11211);
        // What is too short to be printed is counted all the same.
        let agent =
            Agent::start_with(&near, &format!("-p redis,memcached -t 5000 {options} -i veth0 tcp"));
        let (by_redis, by_memcached) = (use_redis(&near), use_memcached(&near));
        let count = by_redis.count + by_memcached.count;
        eventually("all are counted", || {
            let stats = statistics::stats(&near);
            [REDIS, MEMCACHED].iter().filter_map(|it| stats[it]["requests"].as_u64()).sum::<u64>()
                == count
        });
        let stats = statistics::stats(&near);
        check_counts(&stats, REDIS, &by_redis);
        check_counts(&stats, MEMCACHED, &by_memcached);
        let text = statistics::say_nothing(&near);
        check_form(&text, &[MEMCACHED, REDIS]);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), stats);
        assert_eq!(statistics::close_at_once(&near), text);

        let metrics = statistics::get(&near, "/metrics");
        let of = |name: &str, server: &str, protocol: &str, operation: &str| {
            let (name, status) = name.split_once('/').unwrap_or((name, ""));
            let mut labels =
                format!("server=\"{server}\",protocol=\"{protocol}\",operation=\"{operation}\"");
            if !status.is_empty() {
                labels.push_str(&format!(",status=\"{status}\""));
            }
            metric(&metrics, &format!("tcpkit_{name}{{{labels}}}")).unwrap() as u64
        };
        let said = command_stats(&redis);
        for (operation, calls) in [("SET", said["set"]), ("GET", said["get"])] {
            assert_eq!(of("requests_total/ok", REDIS, "redis", operation), calls, "{operation}");
            assert_eq!(
                of("latency_seconds_count", REDIS, "redis", operation),
                calls,
                "{operation}"
            );
        }
        // It has too few words, and is refused without being called.
        let errors = of("requests_total/error", REDIS, "redis", "LPUSH");
        for status in ["ok", "unknown", "cancelled"] {
            assert_eq!(of(&format!("requests_total/{status}"), REDIS, "redis", "LPUSH"), 0);
        }
        assert_eq!(
            (errors, of("responses_total", REDIS, "redis", "LPUSH")),
            (by_redis.count / 3, errors)
        );
        let said = memcached_stats(&far);
        assert_eq!(of("requests_total/ok", MEMCACHED, "memcached", "SET"), said["cmd_set"]);
        // Each asks for two keys.
        assert_eq!(of("requests_total/ok", MEMCACHED, "memcached", "GET") * 2, said["cmd_get"]);
        let paired = metric(&metrics, "tcpkit_ledger_messages_paired_total").unwrap() as u64;
        assert_eq!(paired, count);
        let finished = agent.stop();
        finished.ledger().check_no_loss();
        assert_eq!(finished.ledger().total("printed"), 0);
    }
}

#[test]
fn more_operations_than_wanted_are_counted_as_other() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let agent = Agent::start(&near, "-i veth0 --max-series 8 tcp port 6379");
    let mut client = Client::connect(&near, REDIS);
    for number in 0..200 {
        client.say(&format!("nosuch{number} x"));
    }
    agent.wait_for_lines(200);
    let metrics = statistics::get(&near, "/metrics");
    let series: Vec<_> =
        metrics.lines().filter(|line| line.starts_with("tcpkit_requests_total{")).collect();
    assert!(series.len() <= 4 * 10, "{series:?}");
    let counts = series.iter().map(|it| it.rsplit(' ').next().unwrap().parse::<u64>().unwrap());
    assert_eq!(counts.sum::<u64>(), 200);
    assert_eq!(statistics::stats(&near)[REDIS]["requests"], 200);
    drop(agent.stop());
}

/// Prometheus's own tool reads it, whatever is in it.
#[test]
fn metrics_are_prometheus_text() {
    let (near, far) = Netns::pair();
    let _redis = RedisServer::start(&far);
    let folder = tcpkit_tests::folder::Folder::new();
    let script = folder.file("metric.lua");
    let text = "function init() tcpkit.metric('my_jobs', {queue='a\"b\\\\c'}, 2) end\nfunction finish() end\n";
    std::fs::write(&script, text).unwrap();
    let agent =
        Agent::start(&near, &format!("-i any -S {} --print tcp port 6379", script.display()));
    let mut client = Client::connect(&near, REDIS);
    for words in ["set a b", "nosuch\"quoted\\word x", "get a"] {
        client.say(words);
    }
    agent.wait_for_lines(3);
    let text = statistics::get(&near, "/metrics");
    assert_eq!(metric(&text, "tcpkit_build_info{version=\"0.1.0\"}"), Some(1.0));
    assert_eq!(metric(&text, "my_jobs{queue=\"a\\\"b\\\\c\"}"), Some(2.0), "{text}");
    assert_eq!(metric(&text, "tcpkit_ledger_messages_requests_total"), Some(3.0));
    assert!(
        text.contains(
            "tcpkit_ledger_interface_captured_total{interface=\"veth0\",direction=\"out\"}"
        )
    );
    let mut tool = Command::new("promtool");
    tool.args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut tool = tool.spawn().expect("`cargo xtask setup` installs promtool");
    tool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = tool.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    drop(agent.stop());
}
