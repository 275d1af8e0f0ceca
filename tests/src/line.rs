//! Lines of JSON as the agent prints them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::net::SocketAddr;

use serde_json::Value;

/// The keys of a line, in their order.
pub const KEYS: [&str; 15] = [
    "time",
    "client",
    "server",
    "protocol",
    "operation",
    "request",
    "status",
    "latency_us",
    "request_us",
    "wait_us",
    "response_us",
    "request_bytes",
    "response_bytes",
    "quality",
    "fields",
];

/// One transaction.
#[derive(Clone, Debug)]
pub struct Line {
    /// Who asked.
    pub client: SocketAddr,
    /// Who answered.
    pub server: SocketAddr,
    /// What was asked for, for grouping.
    pub operation: String,
    /// The request's text.
    pub request: String,
    /// `ok` or `error`.
    pub status: String,
    /// How long it took, in µs.
    pub latency_us: f64,
    /// … of it the request, the wait and the response.
    pub parts_us: [f64; 3],
    /// Payload of the request on the wire.
    pub request_bytes: u64,
    /// Payload of the response on the wire.
    pub response_bytes: u64,
    /// How much is known.
    pub quality: String,
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
        assert!(object.keys().eq(KEYS), "other keys: {text}");
        assert!(object["fields"].is_object(), "{text}");
        assert_eq!(object["protocol"], "redis", "{text}");
        let string = |key: &str| object[key].as_str().unwrap_or_else(|| panic!("{key}: {text}"));
        let float = |key: &str| object[key].as_f64().unwrap_or_else(|| panic!("{key}: {text}"));
        let bytes = |key: &str| object[key].as_u64().unwrap_or_else(|| panic!("{key}: {text}"));
        let line = Self {
            client: string("client").parse().unwrap(),
            server: string("server").parse().unwrap(),
            operation: string("operation").into(),
            request: string("request").into(),
            status: string("status").into(),
            latency_us: float("latency_us"),
            parts_us: ["request_us", "wait_us", "response_us"].map(float),
            request_bytes: bytes("request_bytes"),
            response_bytes: bytes("response_bytes"),
            quality: string("quality").into(),
        };
        let sum: f64 = line.parts_us.iter().sum();
        assert!((sum - line.latency_us).abs() < 0.0005, "parts do not sum: {text}");
        assert!(line.parts_us.iter().all(|&part| part >= 0.0), "{text}");
        assert!(line.latency_us > 0.0, "{text}");
        assert!(["ok", "error"].contains(&line.status.as_str()), "{text}");
        line
    }
}

/// How many of the lines have this operation.
#[must_use]
pub fn count(lines: &[Line], operation: &str) -> usize {
    lines.iter().filter(|line| line.operation == operation).count()
}
