//! The ledger as the agent prints it: totals, each with its parts.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::collections::BTreeMap;

/// Parts that mean that packets, messages or times are missing from the output.
const LOSSES: [(&str, &[&str]); 6] = [
    ("packets matched", &["lost: ring full", "lost: not copied"]),
    ("packets captured", &["lost: not readable"]),
    ("packets received", &["out of window", "malformed"]),
    ("responses", &["unmatched"]),
    ("requests", &["forgotten", "unmatched", "overflowed"]),
    ("transactions", &["not measurable", "pairing not certain"]),
];

/// A printed ledger.
#[derive(Debug)]
pub struct Ledger {
    text: String,
    totals: BTreeMap<String, u64>,
    parts: BTreeMap<(String, String), u64>,
}

impl Ledger {
    /// Reads the last ledger of what the agent said.
    #[must_use]
    pub fn parse(stderr: &str) -> Self {
        let lines: Vec<&str> = stderr.lines().collect();
        let first = lines.iter().rposition(|line| line.contains(" packets seen: "));
        let first = first.unwrap_or_else(|| panic!("no ledger in: {stderr}"));
        let text = lines[first..].join("\n");
        let (mut totals, mut parts) = (BTreeMap::new(), BTreeMap::new());
        for line in text.lines().filter(|line| line.starts_with(' ')) {
            let (total, rest) = line.trim_start().split_once(' ').unwrap();
            let (what, list) = rest.split_once(": ").unwrap_or((rest, ""));
            totals.insert(what.to_owned(), total.parse().unwrap());
            for part in list.split(", ").filter(|part| !part.is_empty()) {
                let (count, name) = part.split_once(' ').unwrap();
                parts.insert((what.to_owned(), name.to_owned()), count.parse().unwrap());
            }
        }
        Self { text, totals, parts }
    }

    /// A total; panics when the line is not there.
    #[must_use]
    pub fn total(&self, what: &str) -> u64 {
        *self.totals.get(what).unwrap_or_else(|| panic!("no {what:?} in:\n{}", self.text))
    }

    /// A part; those that are 0 are not printed.
    #[must_use]
    pub fn part(&self, what: &str, name: &str) -> u64 {
        self.parts.get(&(what.to_owned(), name.to_owned())).copied().unwrap_or(0)
    }

    /// Each total has to be the sum of its parts, and what one stage hands over is what the next gets.
    pub fn check_sums(&self) {
        let mut sums = BTreeMap::<&str, u64>::new();
        for ((what, _), count) in &self.parts {
            *sums.entry(what).or_default() += count;
        }
        for (what, sum) in sums {
            // Its part counts bytes.
            if what != "packets truncated" {
                assert_eq!(self.total(what), sum, "{what} do not sum:\n{}", self.text);
            }
        }
        let all = [
            ("matched", self.part("packets seen", "matched the filter"), "packets matched"),
            ("captured", self.part("packets matched", "captured"), "packets captured"),
            ("received", self.part("packets captured", "received"), "packets received"),
            ("connections", self.total("connections"), "connections ended"),
            ("answered", self.part("requests", "answered"), "transactions"),
            ("matched responses", self.part("responses", "matched"), "transactions"),
        ];
        for (what, count, next) in all {
            assert_eq!(count, self.total(next), "{what} are not all {next}:\n{}", self.text);
        }
    }

    /// Nothing is missing from the output.
    pub fn check_no_loss(&self) {
        for (what, parts) in LOSSES {
            for part in parts {
                assert_eq!(self.part(what, part), 0, "{what}: {part}\n{}", self.text);
            }
        }
        for warning in ["LOST", "MISSING", "NOT SEEN", "NOT READ", "NOT DECODED"] {
            assert!(!self.text.contains(warning), "{}", self.text);
        }
    }

    /// The ledger as it was printed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}
