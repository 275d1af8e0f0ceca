//! `tcpkit.metric()`: numbers that a script makes known, by name and labels, as Prometheus names them.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use crate::exposition::LabelValue;

/// The most series that a script may make.
const MAX_SERIES: usize = 10_000;

/// The longest name or label, in bytes.
const MAX_NAME: usize = 128;

/// The most labels of a series, and the longest value of one, in bytes.
const MAX_LABELS: usize = 16;
const MAX_VALUE: usize = 256;

/// How the agent's own metrics begin.
const OWN: &str = "tcpkit_";

/// Labels and their values, sorted.
type Labels = Vec<(String, String)>;

/// Values that others may read. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Mutex<AllMetrics>>);

/// Values by name and labels.
#[derive(Debug, Default)]
pub(super) struct AllMetrics {
    by_name: BTreeMap<String, BTreeMap<Labels, f64>>,
    series: usize,
}

impl Metrics {
    /// Sets a value.
    ///
    /// # Errors
    /// A name that Prometheus's data model does not allow, or too many series.
    pub(super) fn set(&self, name: &str, mut labels: Labels, value: f64) -> Result<(), String> {
        check(name, "metric", ":")?;
        if labels.len() > MAX_LABELS {
            return Err(format!("tcpkit.metric: {MAX_LABELS} labels at most"));
        }
        for (label, value) in &labels {
            check(label, "label", "")?;
            if value.len() > MAX_VALUE {
                return Err(format!(
                    "tcpkit.metric: the value of the label {label} has more than {MAX_VALUE} bytes"
                ));
            }
        }
        labels.sort();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.series;
        match all.by_name.get_mut(name).and_then(|series| series.get_mut(&labels)) {
            Some(known) => *known = value,
            None if count >= MAX_SERIES => {
                return Err(format!(
                    "tcpkit.metric: there are {MAX_SERIES} series already; labels with many values, such \
                     as keys or addresses, make too many"
                ));
            }
            None => {
                all.series = count.saturating_add(1);
                all.by_name.entry(name.to_owned()).or_default().insert(labels, value);
            }
        }
        Ok(())
    }

    /// Takes all values.
    pub(super) fn take(&self) -> AllMetrics {
        self.replace(AllMetrics::default())
    }

    /// Goes on with other values, and gives those that there were.
    pub(super) fn replace(&self, with: AllMetrics) -> AllMetrics {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), with)
    }

    /// Writes all, as [`fmt::Display`] does, each name with what a server of metrics says about it.
    ///
    /// # Errors
    /// `out` takes no more.
    pub fn write_exposition(&self, out: &mut impl fmt::Write) -> fmt::Result {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, series) in &all.by_name {
            // Only the script knows what it is.
            writeln!(out, "# HELP {name} Set by the script.\n# TYPE {name} untyped")?;
            write_series(out, name, series)?;
        }
        Ok(())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).series == 0
    }
}

/// Whether a name is one by Prometheus's data model.
fn check(name: &str, what: &str, also: &str) -> Result<(), String> {
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_' || also.contains(c);
    let is_name = name.len() <= MAX_NAME
        && name.starts_with(is_letter)
        && name.chars().all(|c| is_letter(c) || c.is_ascii_digit())
        && !name.starts_with("__")
        && !(what == "metric" && name.starts_with(OWN));
    if is_name {
        return Ok(());
    }
    Err(format!(
        "tcpkit.metric: `{name}` is no name of a {what}: letters, digits and underscores, at most \
         {MAX_NAME}; names in {OWN} are the agent's own"
    ))
}

/// One series a line, as the text format of Prometheus has it (exposition format 0.0.4).
impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.by_name.iter().try_for_each(|(name, series)| write_series(f, name, series))
    }
}

fn write_series(
    out: &mut impl fmt::Write,
    name: &str,
    series: &BTreeMap<Labels, f64>,
) -> fmt::Result {
    for (labels, value) in series {
        out.write_str(name)?;
        for (at, (label, text)) in labels.iter().enumerate() {
            let open = if at == 0 { '{' } else { ',' };
            write!(out, "{open}{label}=\"{}\"", LabelValue(text))?;
        }
        let close = if labels.is_empty() { "" } else { "}" };
        match *value {
            f64::INFINITY => writeln!(out, "{close} +Inf")?,
            f64::NEG_INFINITY => writeln!(out, "{close} -Inf")?,
            value => writeln!(out, "{close} {value}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(label, text)| ((*label).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn series_are_told_apart_by_labels_in_any_order() {
        let metrics = Metrics::default();
        assert!(metrics.is_empty());
        metrics.set("b", labels(&[("y", "2"), ("x", "1")]), 1.0).expect("good");
        metrics.set("b", labels(&[("x", "1"), ("y", "2")]), 2.5).expect("good");
        metrics.set("b", labels(&[("x", "q\"\\\n")]), 3.0).expect("good");
        metrics.set("a:x_1", labels(&[]), f64::INFINITY).expect("good");
        assert_eq!(
            metrics.to_string(),
            "a:x_1 +Inf\nb{x=\"1\",y=\"2\"} 2.5\nb{x=\"q\\\"\\\\\\n\"} 3\n"
        );
        let mut out = String::new();
        metrics.write_exposition(&mut out).expect("a string takes everything");
        assert!(
            out.starts_with("# HELP a:x_1 Set by the script.\n# TYPE a:x_1 untyped\na:x_1 +Inf\n")
        );
    }

    #[test]
    fn names_and_numbers_have_bounds() {
        let metrics = Metrics::default();
        assert!(metrics.set("tcpkit_requests_total", labels(&[]), 1.0).is_err());
        for name in ["", "1a", "a-b", "a b", "é", "__a"] {
            assert!(metrics.set(name, labels(&[]), 1.0).is_err(), "{name}");
            assert!(metrics.set("a", labels(&[(name, "x")]), 1.0).is_err(), "{name}");
        }
        assert!(metrics.set("a", labels(&[("x:y", "x")]), 1.0).is_err());
        assert!(metrics.set("a", labels(&[("x", &"y".repeat(257))]), 1.0).is_err());
        assert!(metrics.set("a", labels(&[("x", "y"); 17]), 1.0).is_err());
        for at in 0..MAX_SERIES {
            metrics.set("a", labels(&[("x", &at.to_string())]), 1.0).expect("room");
        }
        assert!(metrics.set("a", labels(&[("x", "y")]), 1.0).is_err());
        metrics.set("a", labels(&[("x", "1")]), 2.0).expect("is there already");
    }
}
