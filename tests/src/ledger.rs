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
    ("packets matched", &["lost: ring full", "lost: no ring for their CPU", "lost: not copied"]),
    ("packets captured", &["skipped: not understood"]),
    ("packets received", &["out of window", "malformed"]),
    ("responses", &["unmatched"]),
    ("requests", &["forgotten", "unmatched", "overflowed"]),
    ("transactions", &["not measurable", "pairing not certain"]),
];

/// How lines begin that say the same.
const WARNINGS: [&str; 7] =
    ["LOST", "SKIPPED", "NOT WRITTEN", "MISSING", "NOT SEEN", "NOT READ", "NOT DECODED"];

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
        // Not every source knows of what comes first.
        let first = ["seen", "matched", "received"].iter().find_map(|what| {
            let begins = format!(" packets {what}: ");
            lines.iter().rposition(|line| line.contains(&begins))
        });
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
            ("packets seen", "matched the filter", "packets matched"),
            ("packets matched", "captured", "packets captured"),
            ("packets captured", "received", "packets received"),
        ];
        for (what, part, next) in all {
            // Not every run has every stage.
            if self.totals.contains_key(what) && self.totals.contains_key(next) {
                assert_eq!(self.part(what, part), self.total(next), "{part}:\n{}", self.text);
            }
        }
        if let Some(transactions) = self.totals.get("transactions") {
            let answered = self.part("requests", "answered");
            assert_eq!(answered, self.part("responses", "matched"), "{}", self.text);
            let all = answered + self.part("requests", "cancelled");
            assert_eq!(*transactions, all, "{}", self.text);
        }
        if let Some(connections) = self.totals.get("connections") {
            assert_eq!(*connections, self.total("connections ended"), "{}", self.text);
        }
    }

    /// Totals whose names begin so, such as those of interfaces, by the rest of their names.
    #[must_use]
    pub fn totals(&self, prefix: &str) -> BTreeMap<&str, u64> {
        let rest = self
            .totals
            .iter()
            .filter_map(|(what, count)| what.strip_prefix(prefix).map(|rest| (rest, *count)));
        rest.collect()
    }

    /// What is missing from the output, and how much of it.
    #[must_use]
    pub fn losses(&self) -> Vec<String> {
        let mut losses = Vec::new();
        for (what, parts) in LOSSES {
            for name in parts {
                let count = self.part(what, name);
                if count > 0 {
                    losses.push(format!("{what}: {count} {name}"));
                }
            }
        }
        let warns = |line: &&str| WARNINGS.iter().any(|warning| line.contains(warning));
        losses.extend(self.text.lines().filter(warns).map(str::to_owned));
        losses
    }

    /// Packets that the filter selected and that did not reach the agent.
    #[must_use]
    pub fn lost_packets(&self) -> u64 {
        let all = self.parts.iter();
        let lost =
            all.filter(|((what, name), _)| what == "packets matched" && name.starts_with("lost: "));
        lost.map(|(_, count)| count).sum()
    }

    /// Nothing is missing from the output.
    pub fn check_no_loss(&self) {
        assert_eq!(self.losses(), [""; 0], "{}", self.text);
    }

    /// The ledger as it was printed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}
