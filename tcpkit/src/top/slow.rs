//! Slow requests as lines: read once from the objects that they are kept as.

use std::{collections::VecDeque, sync::Arc};

use jiff::{Timestamp, tz::TimeZone};
use serde_json::Value;

use super::text::shown;
use crate::stats::{Slow, SlowLog};

/// A slow request.
#[derive(Clone, Debug)]
pub(super) struct SlowRow {
    /// Later ones have larger numbers.
    pub(super) number: u64,
    pub(super) latency_ns: u64,
    /// When it was sent: the local time of day.
    pub(super) time: String,
    pub(super) client: String,
    pub(super) server: String,
    pub(super) protocol: String,
    pub(super) operation: String,
    /// What was asked, and answered.
    pub(super) text: String,
    pub(super) is_error: bool,
    /// What a filter finds it by, in small letters.
    words: String,
    object: Arc<str>,
}

impl SlowRow {
    fn new(slow: &Slow, zone: &TimeZone) -> Self {
        let value: Value = serde_json::from_str(&slow.object).unwrap_or_default();
        let text = |key: &str| shown(value.get(key).and_then(Value::as_str).unwrap_or_default());
        let [request, response] = [text("request"), text("response")];
        let time = text("time").parse().map_or_else(
            |_| String::new(),
            |it: Timestamp| it.to_zoned(zone.clone()).strftime("%H:%M:%S%.3f").to_string(),
        );
        let row = Self {
            number: slow.number,
            latency_ns: slow.latency_ns,
            time,
            client: text("client"),
            server: text("server"),
            protocol: text("protocol"),
            operation: text("operation"),
            text: if response.is_empty() { request } else { format!("{request} | {response}") },
            is_error: text("status") == "error",
            words: String::new(),
            object: Arc::clone(&slow.object),
        };
        let words = [&row.operation, &row.text, &row.client, &row.server, &text("status")];
        Self { words: words.map(|it| it.to_lowercase()).join("\n"), ..row }
    }

    /// Whether all these words, in small letters, are in it.
    pub(super) fn has(&self, words: &[String]) -> bool {
        words.iter().all(|word| self.words.contains(word.as_str()))
    }

    /// All that is known of it: names and values, those of the protocol's fields last.
    pub(super) fn details(&self) -> Vec<(String, String)> {
        let mut details = Vec::new();
        let value: Value = serde_json::from_str(&self.object).unwrap_or_default();
        for (name, value) in value.as_object().into_iter().flatten() {
            match value {
                Value::Object(fields) => {
                    details.extend(fields.iter().map(|(name, it)| (shown(name), plain(it))));
                }
                value => details.push(match (name.strip_suffix("_us"), value.as_f64()) {
                    // Parts of the time are called as what they are the time of.
                    (Some(name), Some(us)) => {
                        let what = if name == "latency" { "" } else { " time" };
                        (format!("{name}{what}"), format!("{:.3} ms", us / 1000.0))
                    }
                    _ => (name.replace('_', " "), plain(value)),
                }),
            }
        }
        details
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => shown(text),
        other => other.to_string(),
    }
}

/// Those that are kept, the newest first.
#[derive(Debug)]
pub(super) struct SlowRows {
    rows: VecDeque<SlowRow>,
    zone: TimeZone,
    /// How long requests have to take to be among them by now, in ns.
    least_ns: u64,
}

impl Default for SlowRows {
    fn default() -> Self {
        Self { rows: VecDeque::new(), zone: TimeZone::system(), least_ns: 0 }
    }
}

impl SlowRows {
    /// Takes what is new, and forgets what is not kept any more.
    pub(super) fn renew(&mut self, log: &SlowLog) {
        self.least_ns = log.least_ns();
        let newest = self.rows.front().map_or(0, |row| row.number);
        let latest = log.latest(0, 0, usize::MAX);
        let oldest = latest.last().map_or(0, |slow| slow.number);
        self.rows.retain(|row| row.number >= oldest);
        for slow in latest.iter().rev().filter(|it| it.number > newest) {
            self.rows.push_front(SlowRow::new(slow, &self.zone));
        }
    }

    pub(super) fn least_ns(&self) -> u64 {
        self.least_ns
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &SlowRow> {
        self.rows.iter()
    }

    pub(super) fn by_number(&self, number: u64) -> Option<&SlowRow> {
        self.rows.iter().find(|row| row.number == number)
    }
}
