//! Lines of JSON as the agent prints them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::net::SocketAddr;

use serde_json::{Map, Value};

/// The keys of a line, in their order.
pub const KEYS: [&str; 20] = [
    "time",
    "client",
    "server",
    "protocol",
    "operation",
    "request",
    "response",
    "status",
    "cancelled",
    "latency_us",
    "request_us",
    "wait_us",
    "response_us",
    "first_us",
    "deadline_us",
    "past_deadline",
    "request_bytes",
    "response_bytes",
    "quality",
    "fields",
];

/// Those that are there only where there is something to say.
const OPTIONAL: [&str; 5] = ["response", "cancelled", "first_us", "deadline_us", "past_deadline"];

/// One transaction.
#[derive(Clone, Debug)]
pub struct Line {
    /// Who asked.
    pub client: SocketAddr,
    /// Who answered.
    pub server: SocketAddr,
    /// In which protocol.
    pub protocol: String,
    /// What was asked for, for grouping.
    pub operation: String,
    /// The request's text.
    pub request: String,
    /// The response's word; empty where it has none.
    pub response: String,
    /// `ok`, `error` or `unknown`.
    pub status: String,
    /// The client gave it up.
    pub cancelled: bool,
    /// How long it took, in µs.
    pub latency_us: f64,
    /// … of it the request, the wait and the response.
    pub parts_us: [f64; 3],
    /// How long the first of the response's messages took, in µs, where there are several.
    pub first_us: Option<f64>,
    /// How long the client wanted to wait, in µs.
    pub deadline_us: Option<f64>,
    /// Whether it took longer than that.
    pub past_deadline: Option<bool>,
    /// Payload of the request on the wire.
    pub request_bytes: u64,
    /// Payload of the response on the wire.
    pub response_bytes: u64,
    /// How much is known.
    pub quality: String,
    /// The protocol's own details.
    pub fields: Map<String, Value>,
}

impl Line {
    /// Reads all whole lines. Each has to have exactly the documented keys and parts that sum.
    #[must_use]
    pub fn parse_all(bytes: &[u8]) -> Vec<Self> {
        let end = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        std::str::from_utf8(&bytes[..end]).unwrap().lines().map(Self::parse).collect()
    }

    fn parse(text: &str) -> Self {
        let value: Value = serde_json::from_str(text).unwrap_or_else(|it| panic!("{it}: {text}"));
        let object = value.as_object().unwrap_or_else(|| panic!("no object: {text}"));
        let expect =
            KEYS.iter().filter(|key| !OPTIONAL.contains(key) || object.contains_key(**key));
        assert!(object.keys().eq(expect), "other keys: {text}");
        let string = |key: &str| object[key].as_str().unwrap_or_else(|| panic!("{key}: {text}"));
        let float = |key: &str| object[key].as_f64().unwrap_or_else(|| panic!("{key}: {text}"));
        let bytes = |key: &str| object[key].as_u64().unwrap_or_else(|| panic!("{key}: {text}"));
        let is_there = |key: &&str| object.contains_key(*key);
        let bool = |key: &str| object[key].as_bool().unwrap_or_else(|| panic!("{key}: {text}"));
        let line = Self {
            client: string("client").parse().unwrap(),
            server: string("server").parse().unwrap(),
            protocol: string("protocol").into(),
            operation: string("operation").into(),
            request: string("request").into(),
            response: Some("response").filter(is_there).map_or("", string).into(),
            status: string("status").into(),
            cancelled: Some("cancelled").filter(is_there).is_some_and(bool),
            latency_us: float("latency_us"),
            parts_us: ["request_us", "wait_us", "response_us"].map(float),
            first_us: Some("first_us").filter(is_there).map(float),
            deadline_us: Some("deadline_us").filter(is_there).map(float),
            past_deadline: Some("past_deadline").filter(is_there).map(bool),
            request_bytes: bytes("request_bytes"),
            response_bytes: bytes("response_bytes"),
            quality: string("quality").into(),
            fields: object["fields"].as_object().unwrap_or_else(|| panic!("{text}")).clone(),
        };
        let sum: f64 = line.parts_us.iter().sum();
        assert!((sum - line.latency_us).abs() < 0.0005, "parts do not sum: {text}");
        assert!(line.parts_us.iter().all(|&part| part >= 0.0), "{text}");
        // A packet may carry a request and, behind it, that it is given up.
        assert!(line.latency_us > 0.0 || line.cancelled, "{text}");
        assert!(["ok", "error", "unknown"].contains(&line.status.as_str()), "{text}");
        assert!(line.first_us.is_none_or(|it| (0.0..=line.latency_us).contains(&it)), "{text}");
        if let Some(deadline_us) = line.deadline_us {
            assert_eq!(line.past_deadline, Some(line.latency_us > deadline_us), "{text}");
        }
        line
    }

    /// A field that is a number; panics when there is none.
    #[must_use]
    pub fn number(&self, field: &str) -> i64 {
        self.fields
            .get(field)
            .and_then(Value::as_i64)
            .unwrap_or_else(|| panic!("{field}: {self:?}"))
    }

    /// A field that is text; panics when there is none.
    #[must_use]
    pub fn text(&self, field: &str) -> &str {
        self.fields
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("{field}: {self:?}"))
    }

    /// What tells requests and their outcomes apart.
    #[must_use]
    pub fn outcome(&self) -> (&str, &str, &str) {
        (&self.request, &self.response, &self.status)
    }
}

/// The same requests, in whatever order, seen at the client's end of the cable and at the server's:
/// the same is said of each, and the client waited at least as long as the server took.
pub fn compare_views(at_client: &[Line], at_server: &[Line]) {
    assert_eq!(at_client.len(), at_server.len());
    let mut views = [at_client, at_server].map(|lines| lines.iter().collect::<Vec<_>>());
    for view in &mut views {
        // On one connection lines are in one order at both ends, but for what ends at the same time.
        view.sort_by_key(|line| (line.client, &line.request));
    }
    for (client, server) in views[0].iter().zip(&views[1]) {
        assert_eq!((client.client, client.outcome()), (server.client, server.outcome()));
        let bytes = |line: &Line| (line.request_bytes, line.response_bytes);
        assert_eq!(bytes(client), bytes(server), "{client:?}");
        // Who gives a request up says so in the same direction.
        let is_longer = client.latency_us >= server.latency_us || client.cancelled;
        assert!(is_longer, "{client:?} {server:?}");
    }
}

/// How many of the lines have this operation.
#[must_use]
pub fn count(lines: &[Line], operation: &str) -> usize {
    lines.iter().filter(|line| line.operation == operation).count()
}
