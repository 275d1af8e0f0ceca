//! What operations took within a window, told with every tick and to whoever asks.

use std::cmp::Reverse;

use serde_json::{Map, Value};

use super::history::{PERCENTILES, micros};
use crate::stats::{Collector, Window, server_name};

/// How many are listed unless somebody says how many.
const DEFAULT_LIMIT: usize = 50;

/// How many are listed at most.
const MAX_LIMIT: usize = 1000;

/// Which of the operations are wanted.
#[derive(Debug, PartialEq)]
pub(super) struct Query {
    window: Window,
    limit: usize,
}

impl Default for Query {
    fn default() -> Self {
        Self { window: Window::Minute, limit: DEFAULT_LIMIT }
    }
}

impl Query {
    /// `None` where it makes no sense. What is not known is not looked at.
    pub(super) fn parse(query: &str) -> Option<Self> {
        let mut parsed = Self::default();
        for (name, value) in query.split('&').filter_map(|one| one.split_once('=')) {
            match (name, value) {
                ("window", "minute") => parsed.window = Window::Minute,
                ("window", "five-minutes") => parsed.window = Window::FiveMinutes,
                ("window", "all") => parsed.window = Window::All,
                ("window", _) => return None,
                ("limit", count) => parsed.limit = count.parse::<usize>().ok()?.min(MAX_LIMIT),
                _ => {}
            }
        }
        Some(parsed)
    }
}

/// The operations that took most time together in a window that ends at `second` of the run; the first took
/// most.
pub(super) fn list(collector: &Collector, second: u64, query: &Query) -> Vec<Value> {
    let window = query.window;
    let mut all: Vec<_> = collector
        .series()
        .filter_map(|(key, series)| Some((series.recent_sum_ns(window, second)?, key, series)))
        .collect();
    all.sort_unstable_by_key(|(sum_ns, ..)| Reverse(*sum_ns));
    all.truncate(query.limit);
    all.into_iter()
        .map(|(sum_ns, key, series)| {
            let recent = series.recent(window, second);
            let mut object = Map::new();
            let mut add = |name: &str, value: Value| object.insert(name.to_owned(), value);
            add("server", server_name(key.server.as_ref()).into());
            add("protocol", key.protocol.into());
            add("operation", (*key.operation).into());
            add("requests", recent.requests.into());
            add("errors", recent.errors.into());
            add("bytes", recent.bytes.into());
            add("total_us", (sum_ns as f64 / 1e3).into());
            for (name, part) in PERCENTILES {
                add(name, recent.quantile_ns(part).map_or(Value::Null, micros));
            }
            add("max", micros(recent.max_ns));
            object.into()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_name_a_window_and_a_number() {
        let query = |window, limit| Some(Query { window, limit });
        assert_eq!(Query::parse(""), query(Window::Minute, 50));
        assert_eq!(Query::parse("window=minute&x=y"), query(Window::Minute, 50));
        assert_eq!(Query::parse("limit=7&window=five-minutes"), query(Window::FiveMinutes, 7));
        assert_eq!(Query::parse("window=all&limit=99999"), query(Window::All, 1000));
        for bad in ["window=", "window=hour", "window=All", "limit=", "limit=-1", "limit=1.5"] {
            assert_eq!(Query::parse(bad), None, "{bad}");
        }
    }
}
