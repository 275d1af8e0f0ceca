//! One line a transaction, for people:
//! `2020-03-08 19:23:06.258761 192.168.0.1:51137 => 192.168.0.2:6379 | 1.102 ms | set foo bared`

use super::{
    Lines, Sink, SinkError, SinkKind, Style,
    decimal::{push_endpoint, push_thousandths},
    localtime::TimeFormat,
};
use crate::transaction::Transaction;

/// What `--format text` makes.
pub const KIND: SinkKind = SinkKind {
    name: "text",
    summary: "one line a request, local time",
    shows_fields: false,
    make: |output, style| {
        Box::new(TextSink { lines: Lines::new(output), time: TimeFormat::local(), style })
    },
};

struct TextSink {
    lines: Lines,
    time: TimeFormat,
    style: Style,
}

const NS_PER_MS: u64 = 1_000_000;

/// From this latency on the line's latency is yellow, and from the second on red.
const SLOW_NS: [u64; 2] = [10 * NS_PER_MS, 100 * NS_PER_MS];

impl Sink for TextSink {
    fn on_transaction(&mut self, transaction: &Transaction<'_>) -> Result<(), SinkError> {
        let buffer = &mut self.lines.buffer;
        let latency_ns = transaction.timing.latency_ns();
        self.time.push(buffer, transaction.unix_ns, 6);
        buffer.push(b' ');
        push_endpoint(buffer, &transaction.client);
        buffer.extend_from_slice(b" => ");
        push_endpoint(buffer, &transaction.server);
        buffer.extend_from_slice(b" | ");
        let colour = if self.style.colour { colour(latency_ns) } else { None };
        if let Some(colour) = colour {
            buffer.extend_from_slice(colour);
        }
        push_thousandths(buffer, latency_ns, NS_PER_MS);
        buffer.extend_from_slice(b" ms");
        if colour.is_some() {
            buffer.extend_from_slice(b"\x1b[0m");
        }
        buffer.extend_from_slice(b" | ");
        if self.style.protocol {
            buffer.extend_from_slice(transaction.protocol.as_bytes());
            buffer.extend_from_slice(b" | ");
        }
        buffer.extend_from_slice(transaction.request.as_bytes());
        if !transaction.response.is_empty() {
            buffer.extend_from_slice(b" | ");
            buffer.extend_from_slice(transaction.response.as_bytes());
        }
        if transaction.is_past_deadline() {
            buffer.extend_from_slice(b" (past its deadline of ");
            push_thousandths(buffer, transaction.deadline_ns.unwrap_or(0), NS_PER_MS);
            buffer.extend_from_slice(b" ms)");
        }
        self.lines.end_line()
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.lines.flush()
    }
}

fn colour(latency_ns: u64) -> Option<&'static [u8]> {
    let [slow, very_slow] = SLOW_NS;
    if latency_ns >= very_slow {
        Some(b"\x1b[31m")
    } else if latency_ns >= slow {
        Some(b"\x1b[33m")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::json::tests::{print, transaction};

    #[test]
    fn a_line_has_the_established_form() {
        let line = print(KIND.make, Style::default(), &transaction());
        let (time, rest) = line.split_at("2020-03-08 19:23:06".len());
        // The hour depends on where the test runs.
        assert_eq!(time.len(), 19);
        assert_eq!(
            rest,
            ".258761 192.168.0.1:51137 => 192.168.0.2:6379 | 1.102 ms | set foo bared\n"
        );
    }

    #[test]
    fn of_several_protocols_each_is_named() {
        let style = Style { protocol: true, ..Style::default() };
        let mut other = transaction();
        (other.protocol, other.request, other.response) = ("other", "a b", "404");
        other.deadline_ns = Some(1_000_000);
        let line = print(KIND.make, style, &other);
        assert!(
            line.ends_with(" ms | other | a b | 404 (past its deadline of 1.000 ms)\n"),
            "{line}"
        );
    }

    #[test]
    fn colour_says_how_slow() {
        let mut slow = transaction();
        for (wait_ns, code) in
            [(9_000_000, ""), (10_000_000, "\x1b[33m"), (100_000_000, "\x1b[31m")]
        {
            slow.timing.wait_ns = wait_ns;
            slow.timing.request_ns = 0;
            slow.timing.response_ns = 0;
            let line = print(KIND.make, Style { colour: true, ..Style::default() }, &slow);
            assert_eq!(line.contains('\x1b'), !code.is_empty(), "{line}");
            assert!(line.contains(code));
            assert!(!print(KIND.make, Style::default(), &slow).contains('\x1b'));
        }
    }
}
