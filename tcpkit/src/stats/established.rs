//! The JSON object that tcpkit's port has always answered with: by server, requests, responses, their
//! bytes, and how many took how long.

use std::fmt::Write as _;

use super::{BUCKETS, Collector};

/// The object, in one line with its end. Servers are in the order of their names, buckets in theirs, those
/// that are empty left out.
#[must_use]
pub fn json(collector: &Collector) -> String {
    let mut text = String::from("{");
    for (at, (name, counts)) in collector.servers().into_iter().enumerate() {
        let comma = if at > 0 { ", " } else { "" };
        // Writing to a string cannot fail, and an end's name needs no escapes.
        let _ = write!(
            text,
            "{comma}\"{name}\": {{\"requests\": {}, \"request_bytes\": {}, \"responses\": {}, \
             \"response_bytes\": {}, \"latency\": [",
            counts.requests, counts.request_bytes, counts.responses, counts.response_bytes
        );
        let filled = BUCKETS.iter().zip(counts.latencies.buckets()).filter(|(_, n)| **n > 0);
        for (at, ((_, bucket), count)) in filled.enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            let _ = write!(text, "{comma}{{\"{bucket}\": {count}}}");
        }
        text.push_str("]}");
    }
    text.push_str("}\n");
    text
}
