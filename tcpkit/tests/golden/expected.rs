//! What `NAME.pcap` has to give, in `NAME.pcap.expected` beside it: one line of JSON a transaction, then
//! the counts.

use std::{env, fmt::Write as _, fs, path::PathBuf};

use super::{capture::Capture, replay::Outcome};

/// Set to write down what comes out instead of comparing:
/// `TCPKIT_BLESS=1 cargo test -p tcpkit --test golden`. Look at the difference before it is committed.
const BLESS: &str = "TCPKIT_BLESS";

/// How many lines that differ are shown.
const SHOWN: usize = 5;

/// The lines, and what became of all messages.
pub(crate) fn render(outcome: &Outcome, remaining: &[(usize, usize)]) -> String {
    let mut text = outcome.json.clone();
    let m = &outcome.ledger.messages;
    let line = |text: &mut String, what: &str, counts: &[(&str, u64)]| {
        let counts: Vec<String> = counts.iter().map(|(name, n)| format!("{name} {n}")).collect();
        writeln!(text, "# {what}: {}", counts.join(", ")).expect("memory takes everything");
    };
    line(
        &mut text,
        "requests",
        &[
            ("all", m.requests),
            ("answered", m.paired),
            ("one-way", m.requests_one_way),
            ("cancelled", m.requests_cancelled),
            ("unanswered", m.requests_unanswered),
            ("lost", m.requests_lost),
            ("open", m.requests_open),
        ],
    );
    line(
        &mut text,
        "responses",
        &[("all", m.responses), ("one-way", m.responses_one_way), ("orphans", m.orphans)],
    );
    line(&mut text, "bytes", &[("read", m.read_bytes), ("unread", m.unread_bytes)]);
    let remaining: Vec<String> =
        remaining.iter().map(|(snaplen, count)| format!("{snaplen}: {count}")).collect();
    writeln!(text, "# transactions that remain at a snaplen of {}", remaining.join(", "))
        .expect("memory takes everything");
    text
}

/// Compares with the file beside the capture; what differs is returned, as text for people.
pub(crate) fn compare(capture: &Capture, actual: &str) -> Result<(), String> {
    let path = capture.path.with_extension("pcap.expected");
    let expected = fs::read_to_string(&path).unwrap_or_default();
    if actual == expected {
        return Ok(());
    }
    if env::var_os(BLESS).is_some() {
        fs::write(&path, actual).map_err(|error| format!("{}: {error}", path.display()))?;
        return Ok(());
    }
    let written = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("{}.actual", capture.name().replace('/', "-")));
    fs::write(&written, actual).map_err(|error| format!("{}: {error}", written.display()))?;
    Err(format!(
        "{}: not what {} says; what came out is in {}; if it is right, set {BLESS}=1\n{}",
        capture.name(),
        path.display(),
        written.display(),
        difference(&expected, actual)
    ))
}

/// The first lines that differ.
fn difference(expected: &str, actual: &str) -> String {
    let mut text = String::new();
    let (mut old, mut new) = (expected.lines(), actual.lines());
    let mut number = 0;
    let mut shown = 0;
    loop {
        number += 1;
        let (old, new) = (old.next(), new.next());
        if old.is_none() && new.is_none() {
            return text;
        }
        if old == new {
            continue;
        }
        if shown == SHOWN {
            text.push_str("and more\n");
            return text;
        }
        shown += 1;
        for (sign, line) in [('-', old), ('+', new)] {
            if let Some(line) = line {
                writeln!(text, "{number:>5} {sign}{line}").expect("memory takes everything");
            }
        }
    }
}
