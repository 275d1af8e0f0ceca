//! What servers did, second by second, for the last five minutes.

use std::{cmp::Reverse, collections::HashMap, collections::VecDeque};

use serde_json::{Map, Value, json};

use crate::{
    packet::Endpoint,
    stats::{BUCKETS, Latest, server_name},
};

/// How many seconds are kept.
const SECONDS: usize = 300;

/// How many servers are told apart in a second: those with most requests. The rest is put together, as
/// it is where there are more series than wanted.
const MAX_SERVERS: usize = 100;

/// The percentiles that are told, by name.
pub(super) const PERCENTILES: [(&str, f64); 4] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)];

/// The names of a server's numbers in a second, in the order of [`ServerSecond::numbers`].
const NUMBERS: [&str; 8] = [
    "requests",
    "errors",
    "bytes",
    PERCENTILES[0].0,
    PERCENTILES[1].0,
    PERCENTILES[2].0,
    PERCENTILES[3].0,
    "max",
];

/// What a server did in a second.
#[derive(Debug)]
pub(super) struct ServerSecond {
    name: String,
    protocols: Vec<&'static str>,
    requests: u64,
    errors: u64,
    bytes: u64,
    /// [`PERCENTILES`] and the longest latency, in ns; `None` if there was none.
    latencies_ns: [Option<u64>; PERCENTILES.len() + 1],
    buckets: [u64; BUCKETS.len()],
}

impl ServerSecond {
    fn new(server: Option<&Endpoint>, latest: &Latest) -> Self {
        let counts = &latest.counts;
        let latencies = &counts.latencies;
        let [p50, p90, p99, p999] = PERCENTILES.map(|(_, part)| latencies.quantile_ns(part));
        let max = (latencies.count() > 0).then(|| latencies.max_ns());
        Self {
            name: server_name(server),
            protocols: latest.protocols.clone(),
            requests: counts.requests,
            errors: counts.errors,
            bytes: counts.request_bytes.saturating_add(counts.response_bytes),
            latencies_ns: [p50, p90, p99, p999, max],
            buckets: *latencies.buckets(),
        }
    }

    fn numbers(&self) -> [Value; NUMBERS.len()] {
        let [p50, p90, p99, p999, max] = self.latencies_ns.map(|ns| ns.map_or(Value::Null, micros));
        [self.requests.into(), self.errors.into(), self.bytes.into(), p50, p90, p99, p999, max]
    }

    fn json(&self) -> Value {
        let mut object = Map::new();
        object.insert("name".to_owned(), self.name.clone().into());
        object.insert("protocols".to_owned(), json!(self.protocols));
        for (name, number) in NUMBERS.into_iter().zip(self.numbers()) {
            object.insert(name.to_owned(), number);
        }
        object.insert("buckets".to_owned(), json!(self.buckets));
        object.into()
    }
}

/// ns as µs.
pub(super) fn micros(ns: u64) -> Value {
    (ns as f64 / 1e3).into()
}

/// A second.
#[derive(Debug)]
struct Second {
    unix: u64,
    servers: Vec<ServerSecond>,
}

/// The last seconds.
#[derive(Debug, Default)]
pub(super) struct History {
    seconds: VecDeque<Second>,
}

impl History {
    /// Adds what servers did until second `unix` (since the Unix epoch), and gives it as it is told.
    pub(super) fn add(
        &mut self,
        unix: u64,
        latest: HashMap<Option<Endpoint>, Latest>,
    ) -> Vec<Value> {
        let mut all: Vec<_> = latest.into_iter().collect();
        all.sort_by_key(|(server, it)| (Reverse(it.counts.requests), server_name(server.as_ref())));
        let rest = all.split_off(all.len().min(MAX_SERVERS));
        for (_, it) in rest {
            let at = match all.iter().position(|(server, _)| server.is_none()) {
                Some(at) => at,
                None => {
                    all.push((None, Latest::default()));
                    all.len().saturating_sub(1)
                }
            };
            let Some((_, others)) = all.get_mut(at) else { continue };
            others.counts.add(&it.counts);
            others.protocols.extend(it.protocols);
            others.protocols.sort_unstable();
            others.protocols.dedup();
        }
        let servers: Vec<_> =
            all.iter().map(|(server, it)| ServerSecond::new(server.as_ref(), it)).collect();
        let told = servers.iter().map(ServerSecond::json).collect();
        self.seconds.push_back(Second { unix, servers });
        while self.seconds.len() > SECONDS {
            self.seconds.pop_front();
        }
        told
    }

    /// All of it, in columns: times, and for each server its numbers at these times.
    pub(super) fn json(&self) -> Value {
        let mut servers: HashMap<&str, (Vec<&str>, Vec<Option<&ServerSecond>>)> = HashMap::new();
        for (at, second) in self.seconds.iter().enumerate() {
            for one in &second.servers {
                let (protocols, columns) = servers
                    .entry(&one.name)
                    .or_insert_with(|| (Vec::new(), vec![None; self.seconds.len()]));
                for protocol in &one.protocols {
                    if !protocols.contains(protocol) {
                        protocols.push(protocol);
                    }
                }
                if let Some(place) = columns.get_mut(at) {
                    *place = Some(one);
                }
            }
        }
        let servers: Vec<_> = servers
            .into_iter()
            .map(|(name, (protocols, seconds))| columns(name, &protocols, &seconds))
            .collect();
        let times: Vec<_> = self.seconds.iter().map(|second| second.unix).collect();
        json!({ "t": times, "servers": servers })
    }
}

fn columns(name: &str, protocols: &[&str], seconds: &[Option<&ServerSecond>]) -> Value {
    let mut object = Map::new();
    object.insert("name".to_owned(), name.into());
    object.insert("protocols".to_owned(), json!(protocols));
    let mut numbers: [Vec<Value>; NUMBERS.len()] = Default::default();
    for second in seconds {
        let nothing = [
            0.into(),
            0.into(),
            0.into(),
            const { Value::Null },
            Value::Null,
            Value::Null,
            Value::Null,
            Value::Null,
        ];
        let values = second.map_or(nothing, ServerSecond::numbers);
        numbers.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
    }
    for (name, column) in NUMBERS.into_iter().zip(numbers) {
        object.insert(name.to_owned(), column.into());
    }
    let buckets: Vec<_> = seconds.iter().map(|it| it.map(|it| &it.buckets)).collect();
    object.insert("buckets".to_owned(), json!(buckets));
    object.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latest(requests: u64, latencies_ns: &[u64]) -> Latest {
        let mut latest = Latest { protocols: vec!["any"], ..Latest::default() };
        latest.counts.requests = requests;
        latencies_ns.iter().for_each(|&ns| latest.counts.latencies.record(ns));
        latest
    }

    fn server(port: u16) -> Option<Endpoint> {
        Some(Endpoint::v4([10, 0, 0, 1], port))
    }

    #[test]
    fn seconds_are_told_at_once_and_later_in_columns() {
        let mut history = History::default();
        let told = history.add(100, HashMap::from([(server(1), latest(2, &[1_500, 40_000_000]))]));
        assert_eq!(told.len(), 1);
        assert_eq!(
            (&told[0]["name"], &told[0]["protocols"]),
            (&json!("10.0.0.1:1"), &json!(["any"]))
        );
        assert_eq!((&told[0]["requests"], &told[0]["max"]), (&json!(2), &json!(40_000.0)));
        assert_eq!((&told[0]["buckets"][0], &told[0]["buckets"][7]), (&json!(1), &json!(1)));
        assert!(history.add(101, HashMap::new()).is_empty());
        history.add(102, HashMap::from([(server(2), latest(1, &[]))]));
        let all = history.json();
        assert_eq!(all["t"], json!([100, 101, 102]));
        let servers = all["servers"].as_array().expect("servers");
        let one = servers.iter().find(|it| it["name"] == "10.0.0.1:1").expect("it was there");
        assert_eq!(one["requests"], json!([2, 0, 0]));
        assert_eq!(one["max"], json!([40_000.0, null, null]));
        assert_eq!(one["buckets"][0].as_array().map(Vec::len), Some(BUCKETS.len()));
        assert_eq!(one["buckets"][1], Value::Null);
    }

    #[test]
    fn there_is_a_bound_on_seconds_and_on_servers() {
        let mut history = History::default();
        let many = (0..MAX_SERVERS as u16 + 50).map(|it| (server(it), latest(2, &[1])));
        let told = history.add(0, many.chain([(None, latest(1, &[]))]).collect());
        assert_eq!(told.len(), MAX_SERVERS + 1);
        let other = told.iter().find(|it| it["name"] == "other").expect("the rest");
        assert_eq!(other["requests"], 101);
        assert_eq!(other["protocols"], json!(["any"]));
        for unix in 1..=SECONDS as u64 {
            history.add(unix, HashMap::new());
        }
        let all = history.json();
        assert_eq!(all["t"].as_array().map(Vec::len), Some(SECONDS));
        assert_eq!(all["servers"], json!([]));
    }
}
