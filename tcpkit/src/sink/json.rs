//! One JSON object a line, for programs.

use std::io;

use super::{
    Lines, Sink, SinkError, SinkKind,
    decimal::{push_endpoint, push_thousandths, push_u64},
    localtime::TimeFormat,
};
use crate::{
    protocol::{Status, fields::FieldValue},
    transaction::{Quality, Transaction},
};

/// What `--format json` makes.
pub const KIND: SinkKind = SinkKind {
    name: "json",
    summary: "one JSON object a line, UTC",
    shows_fields: true,
    make: |output, _| Box::new(JsonSink { lines: Lines::new(output), time: TimeFormat::utc() }),
};

struct JsonSink {
    lines: Lines,
    time: TimeFormat,
}

impl Sink for JsonSink {
    fn on_transaction(&mut self, transaction: &Transaction<'_>) -> Result<(), SinkError> {
        push_object(&mut self.lines.buffer, &mut self.time, transaction)?;
        self.lines.end_line()
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.lines.flush()
    }
}

/// Writes transactions as objects, for whoever keeps them.
pub(crate) struct JsonObject {
    buffer: Vec<u8>,
    time: TimeFormat,
}

impl Default for JsonObject {
    fn default() -> Self {
        Self { buffer: Vec::new(), time: TimeFormat::utc() }
    }
}

impl JsonObject {
    /// A transaction as an object, without an end of the line.
    pub(crate) fn write(&mut self, transaction: &Transaction<'_>) -> Result<&str, SinkError> {
        self.buffer.clear();
        push_object(&mut self.buffer, &mut self.time, transaction)?;
        std::str::from_utf8(&self.buffer)
            .map_err(|error| SinkError::Write(io::Error::new(io::ErrorKind::InvalidData, error)))
    }
}

#[inline]
fn push_object(
    buffer: &mut Vec<u8>,
    time: &mut TimeFormat,
    transaction: &Transaction<'_>,
) -> Result<(), SinkError> {
    buffer.extend_from_slice(b"{\"time\":\"");
    time.push(buffer, transaction.unix_ns, 9);
    buffer.extend_from_slice(b"Z\",\"client\":\"");
    push_endpoint(buffer, &transaction.client);
    buffer.extend_from_slice(b"\",\"server\":\"");
    push_endpoint(buffer, &transaction.server);
    buffer.extend_from_slice(b"\",\"protocol\":\"");
    buffer.extend_from_slice(transaction.protocol.as_bytes());
    buffer.extend_from_slice(b"\",\"operation\":");
    push_string(buffer, transaction.operation)?;
    buffer.extend_from_slice(b",\"request\":");
    push_string(buffer, transaction.request)?;
    if !transaction.response.is_empty() {
        buffer.extend_from_slice(b",\"response\":");
        push_string(buffer, transaction.response)?;
    }
    buffer.extend_from_slice(match transaction.status {
        Status::Ok => b",\"status\":\"ok\"",
        Status::Error => b",\"status\":\"error\"",
        Status::Unknown => b",\"status\":\"unknown\"",
    });
    if transaction.cancelled {
        buffer.extend_from_slice(b",\"cancelled\":true");
    }
    let timing = &transaction.timing;
    for (key, ns) in [
        (&b",\"latency_us\":"[..], timing.latency_ns()),
        (b",\"request_us\":", timing.request_ns),
        (b",\"wait_us\":", timing.wait_ns),
        (b",\"response_us\":", timing.response_ns),
    ] {
        buffer.extend_from_slice(key);
        push_thousandths(buffer, ns, 1000);
    }
    for (key, ns) in [
        (&b",\"first_us\":"[..], transaction.first_ns),
        (b",\"deadline_us\":", transaction.deadline_ns),
    ] {
        let Some(ns) = ns else { continue };
        buffer.extend_from_slice(key);
        push_thousandths(buffer, ns, 1000);
    }
    if transaction.deadline_ns.is_some() {
        buffer.extend_from_slice(match transaction.is_past_deadline() {
            true => b",\"past_deadline\":true",
            false => b",\"past_deadline\":false",
        });
    }
    buffer.extend_from_slice(b",\"request_bytes\":");
    push_u64(buffer, transaction.request_bytes);
    buffer.extend_from_slice(b",\"response_bytes\":");
    push_u64(buffer, transaction.response_bytes);
    buffer.extend_from_slice(match transaction.quality {
        Quality::Exact => b",\"quality\":\"exact\",\"fields\":{",
        Quality::Midstream => b",\"quality\":\"midstream\",\"fields\":{",
        Quality::Gap => b",\"quality\":\"gap\",\"fields\":{",
        Quality::Truncated => b",\"quality\":\"truncated\",\"fields\":{",
    });
    let mut first = true;
    for (name, value) in transaction.request_fields.chain(transaction.response_fields) {
        if !std::mem::take(&mut first) {
            buffer.push(b',');
        }
        push_string(buffer, name)?;
        buffer.push(b':');
        match value {
            FieldValue::Int(number) => {
                if number < 0 {
                    buffer.push(b'-');
                }
                push_u64(buffer, number.unsigned_abs());
            }
            FieldValue::Text(text) => push_string(buffer, text)?,
        }
    }
    buffer.extend_from_slice(b"}}");
    Ok(())
}

fn push_string(buffer: &mut Vec<u8>, text: &str) -> Result<(), SinkError> {
    serde_json::to_writer(buffer, text).map_err(|error| SinkError::Write(error.into()))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use serde_json::json;

    use super::*;
    use crate::{
        packet::Endpoint,
        protocol::Fields,
        sink::{Style, written::Written},
        transaction::{Timing, Transaction},
    };

    /// The transaction of the README's line.
    pub(crate) fn transaction() -> Transaction<'static> {
        let none = Fields::new(&[], &[]);
        Transaction {
            unix_ns: 1_583_695_386_258_761_123,
            client: Endpoint::v4([192, 168, 0, 1], 51137),
            server: Endpoint::v4([192, 168, 0, 2], 6379),
            protocol: "redis",
            operation: "SET",
            request: "set foo bared",
            response: "",
            status: Status::Ok,
            cancelled: false,
            first_ns: None,
            deadline_ns: None,
            timing: Timing { request_ns: 2_001, wait_ns: 1_100_000, response_ns: 344 },
            request_bytes: 34,
            response_bytes: 5,
            quality: Quality::Exact,
            request_fields: none,
            response_fields: none,
        }
    }

    /// What a sink writes for one transaction.
    pub(in crate::sink) fn print(
        make: fn(Box<dyn Write>, Style) -> Box<dyn Sink>,
        style: Style,
        transaction: &Transaction<'_>,
    ) -> String {
        let written = Written::default();
        let mut sink = make(Box::new(written.clone()), style);
        sink.on_transaction(transaction).expect("memory takes everything");
        sink.flush().expect("memory takes everything");
        written.text()
    }

    #[test]
    fn a_line_has_exactly_the_documented_keys() {
        let line = print(KIND.make, Style::default(), &transaction());
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(
            value,
            json!({
                "time": "2020-03-08T19:23:06.258761123Z",
                "client": "192.168.0.1:51137",
                "server": "192.168.0.2:6379",
                "protocol": "redis",
                "operation": "SET",
                "request": "set foo bared",
                "status": "ok",
                "latency_us": 1102.345,
                "request_us": 2.001,
                "wait_us": 1100.0,
                "response_us": 0.344,
                "request_bytes": 34,
                "response_bytes": 5,
                "quality": "exact",
                "fields": {},
            })
        );
        assert_eq!(line.matches('\n').count(), 1);
    }

    #[test]
    fn text_is_escaped_and_fields_are_listed() {
        let mut odd = transaction();
        odd.request = "set \"a\\b\" é";
        // Two packed fields: text at name 0, a number at name 1.
        let mut packed = vec![0, 1, 3, 0, b'f', b'o', b'o', 1, 0];
        packed.extend_from_slice(&(-7_i64).to_le_bytes());
        odd.request_fields = Fields::new(&["key", "reply_len"], &packed);
        let line = print(KIND.make, Style::default(), &odd);
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(value["request"], "set \"a\\b\" é");
        assert_eq!(value["fields"], json!({"key": "foo", "reply_len": -7}));
    }
}
