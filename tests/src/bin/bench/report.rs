//! What was found: one table for people, and JSON with every sample.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::statistics::Spread;

/// What a figure's median should be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    fn is_met(self, median: f64) -> bool {
        match self {
            Self::AtLeast(goal) => median >= goal,
            Self::AtMost(goal) => median <= goal,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(goal) => format!("≥ {}", short(goal)),
            Self::AtMost(goal) => format!("≤ {}", short(goal)),
        }
    }
}

/// One line of the table.
#[derive(Debug)]
struct Figure {
    row: &'static str,
    what: String,
    unit: &'static str,
    samples: Vec<f64>,
    goal: Option<Goal>,
    notes: Vec<String>,
}

impl Figure {
    fn spread(&self) -> Option<Spread> {
        Spread::of(&self.samples)
    }

    fn json(&self) -> Value {
        let spread = self.spread();
        json!({
            "row": self.row,
            "what": self.what,
            "unit": self.unit,
            "median": spread.map(|it| it.median),
            "min": spread.map(|it| it.min),
            "max": spread.map(|it| it.max),
            "samples": self.samples,
            "goal": self.goal.map(Goal::text),
            "met": spread.zip(self.goal).map(|(spread, goal)| goal.is_met(spread.median)),
            "notes": self.notes,
        })
    }

    fn cells(&self) -> [String; 7] {
        let spread = self.spread();
        let cell = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), short);
        let goal = match (self.goal, spread) {
            (Some(goal), Some(spread)) => {
                let verdict = if goal.is_met(spread.median) { "met" } else { "missed" };
                format!("{} {verdict}", goal.text())
            }
            (Some(goal), None) => goal.text(),
            (None, _) => String::new(),
        };
        [
            self.what.clone(),
            cell(spread.map(|it| it.median)),
            cell(spread.map(|it| it.min)),
            cell(spread.map(|it| it.max)),
            self.unit.to_owned(),
            self.samples.len().to_string(),
            [goal, self.notes.join("; ")]
                .map(|it| it.replace('|', "/"))
                .join(" ")
                .trim()
                .to_owned(),
        ]
    }
}

/// All figures, in the order in which they came up.
#[derive(Debug, Default)]
pub(crate) struct Report {
    row: &'static str,
    figures: Vec<Figure>,
    failed: bool,
}

impl Report {
    /// From here on figures belong to this row.
    pub(crate) fn begin(&mut self, row: &'static str) {
        self.row = row;
        eprintln!("bench: {row}");
    }

    /// Says how far it is.
    pub(crate) fn progress(&self, text: &str) {
        eprintln!("bench: {}: {text}", self.row);
    }

    /// Gives a figure its place in the table, before it has samples.
    pub(crate) fn place(&mut self, what: &str, unit: &'static str) {
        self.figure(what, unit);
    }

    /// One more sample of a figure.
    pub(crate) fn sample(&mut self, what: &str, unit: &'static str, value: f64) {
        self.figure(what, unit).samples.push(value);
    }

    /// What the figure should be.
    pub(crate) fn goal(&mut self, what: &str, unit: &'static str, goal: Goal) {
        self.figure(what, unit).goal = Some(goal);
    }

    /// Something to know about a figure; said once.
    pub(crate) fn note(&mut self, what: &str, unit: &'static str, note: &str) {
        let notes = &mut self.figure(what, unit).notes;
        if !notes.iter().any(|it| it == note) {
            notes.push(note.to_owned());
        }
    }

    /// A row could not be measured, or not to its end.
    pub(crate) fn fail(&mut self, reason: &str) {
        self.failed = true;
        let reason = format!("NOT MEASURED: {}", reason.lines().next().unwrap_or_default());
        self.note("the row as a whole", "", &reason);
    }

    /// Whether a row failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    fn figure(&mut self, what: &str, unit: &'static str) -> &mut Figure {
        let is_it = |it: &Figure| it.row == self.row && it.what == what && it.unit == unit;
        let at = self.figures.iter().position(is_it).unwrap_or_else(|| {
            let samples = Vec::new();
            let what = what.to_owned();
            let new = Figure { row: self.row, what, unit, samples, goal: None, notes: Vec::new() };
            // Figures of one thing stand together.
            let is_beside = |it: &Figure| it.row == new.row && it.what == new.what;
            let last = self.figures.iter().rposition(is_beside);
            let at = last.map_or(self.figures.len(), |last| last + 1);
            self.figures.insert(at, new);
            at
        });
        &mut self.figures[at]
    }

    /// The table, in Markdown; a part for each row.
    pub(crate) fn table(&self) -> String {
        const HEAD: [&str; 7] = ["", "median", "min", "max", "unit", "n", "goal, notes"];
        let mut text = String::new();
        for part in self.figures.chunk_by(|one, next| one.row == next.row) {
            let mut lines = vec![HEAD.map(str::to_owned)];
            lines[0][0] = part[0].row.to_owned();
            lines.extend(part.iter().map(Figure::cells));
            let widths: [usize; 7] = std::array::from_fn(|column| {
                let len = |cells: &[String; 7]| cells[column].chars().count();
                // Notes may be long, and stand last.
                if column == 6 { 3 } else { lines.iter().map(len).max().unwrap_or(0).max(3) }
            });
            lines.insert(1, std::array::from_fn(|column| rule(column, widths[column])));
            for cells in lines {
                for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
                    let _ = match is_number(column) {
                        true => write!(text, "| {cell:>width$} "),
                        false => write!(text, "| {cell:<width$} "),
                    };
                }
                text.push_str("|\n");
            }
            text.push('\n');
        }
        text
    }

    /// Writes the figures and what is to be known about the run.
    pub(crate) fn write_json(&self, about: &Value, path: &Path) -> Result<()> {
        let figures: Vec<Value> = self.figures.iter().map(Figure::json).collect();
        let text = serde_json::to_string_pretty(&json!({ "about": about, "figures": figures }))?;
        fs::write(path, text + "\n").with_context(|| format!("{}", path.display()))
    }
}

fn is_number(column: usize) -> bool {
    matches!(column, 1..=3 | 5)
}

/// The line below the head, which says where a column's text is.
fn rule(column: usize, width: usize) -> String {
    if is_number(column) {
        format!("{}:", "-".repeat(width.saturating_sub(1)))
    } else {
        "-".repeat(width)
    }
}

/// A number with as many digits as its size deserves.
fn short(value: f64) -> String {
    let size = value.abs();
    if size >= 10_000.0 {
        with_separators(value)
    } else if size >= 100.0 || value == 0.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.3}")
    }
}

fn with_separators(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        let behind = digits.len() - at;
        if at > 0 && behind.is_multiple_of(3) && !text.ends_with('-') {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let check = |value: f64, expect: &str| assert_eq!(short(value), expect);
        check(0.0, "0");
        check(0.9712, "0.971");
        check(12.34, "12.3");
        check(123.4, "123");
        check(12_345.6, "12 346");
        check(1_234_567.0, "1 234 567");
        check(-123_456.0, "-123 456");
    }

    #[test]
    fn what_was_not_measured_has_no_number() {
        let mut report = Report::default();
        report.begin("loss");
        report.sample("a", "ns", 5.0);
        report.sample("a", "ns", 3.0);
        report.goal("a", "ns", Goal::AtMost(4.0));
        report.goal("b", "ns", Goal::AtLeast(1.0));
        report.note("b", "ns", "no such program");
        let table = report.table();
        let squeeze = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let lines: Vec<String> = table.lines().map(squeeze).collect();
        assert_eq!(lines[2], "| a | 4.000 | 3.000 | 5.000 | ns | 2 | ≤ 4.000 met |");
        assert_eq!(lines[3], "| b | – | – | – | ns | 0 | ≥ 1.000 no such program |");
        assert!(!report.has_failed());
        report.fail("why\nbacktrace");
        assert!(report.has_failed() && report.table().contains("NOT MEASURED: why"));
    }
}
