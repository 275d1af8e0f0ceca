//! How many instructions the agent takes for a packet, and whether they became more.
//!
//! Times are noisy on shared machines; counts are not. Callgrind counts over a short file and over a
//! long one of the same traffic, so that start and end cancel out.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value, json};

use crate::{
    options::{Contestant, Options},
    recording::{self, Shape},
};

/// How many requests are in the two files.
const SHORT: usize = 5_000;
const LONG: usize = 20_000;

/// How much more than expected is a failure, in percent: runs of one binary differ by one percent at
/// most, since hash tables have random seeds.
const MARGIN: f64 = 5.0;

/// The same, when another compiler built the agent.
const MARGIN_OF_ANOTHER_COMPILER: f64 = 20.0;

const HOW_TO_BLESS: &str = "if that is meant, type `cargo xtask instructions --bless` and say why in \
                            the commit";

/// The traffic, by name, and how many requests a client sends at once.
const TRAFFIC: [(&str, usize); 2] = [("unpipelined", 1), ("pipelined 16", 16)];

/// What is asked of the agent, by name.
const WAYS: [(&str, &str); 2] = [("-t 1000", "-p redis -t 1000 -r"), ("printed", "-p redis -r")];

/// Counts, and compares with what is expected or makes it so.
pub(crate) fn check(options: &Options) -> Result<()> {
    let path = options.expected.as_ref().context("--expected is missing")?;
    let rustc = options.rustc.as_deref().context("--rustc is missing")?;
    let agent = options.agents.first().context("--agent is missing")?;
    let counted = count_all(options, agent)?;
    if options.bless {
        let counts: Map<String, Value> = counted
            .iter()
            .map(|(name, count)| (name.clone(), json!(count.round() as u64)))
            .collect();
        let text = serde_json::to_string_pretty(&json!({
            "rustc": rustc,
            "instructions_a_packet": counts,
        }))?;
        return fs::write(path, text + "\n").with_context(|| format!("{}", path.display()));
    }
    let text = fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    let expected: Value = serde_json::from_str(&text)?;
    let is_same = expected["rustc"] == rustc;
    let margin = if is_same { MARGIN } else { MARGIN_OF_ANOTHER_COMPILER };
    if !is_same {
        println!(
            "The expected counts are of rustc {}, this agent is of {rustc}: up to {margin} % more \
             pass.",
            expected["rustc"]
        );
    }
    let mut too_many = 0;
    for (name, count) in &counted {
        let expected = &expected["instructions_a_packet"][name];
        let expected = expected.as_f64().with_context(|| format!("{}: {name}", path.display()))?;
        let verdict = Verdict::of(*count, expected, margin);
        too_many += u32::from(verdict == Verdict::TooMany);
        let more = (count / expected - 1.0) * 100.0;
        println!("{count:>8.0} instructions a packet, {more:+.1} %, {name}: {}", verdict.text());
    }
    ensure!(too_many == 0, "{too_many} counts are more than {margin} % above: {HOW_TO_BLESS}");
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    AsExpected,
    Fewer,
    TooMany,
}

impl Verdict {
    fn of(count: f64, expected: f64, margin: f64) -> Self {
        let part = margin / 100.0;
        if count > expected * (1.0 + part) {
            Self::TooMany
        } else if count < expected * (1.0 - part) {
            Self::Fewer
        } else {
            Self::AsExpected
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::AsExpected => "as expected",
            Self::Fewer => "fewer: `cargo xtask instructions --bless` keeps it so",
            Self::TooMany => "TOO MANY",
        }
    }
}

fn count_all(options: &Options, agent: &Contestant) -> Result<Vec<(String, f64)>> {
    let (short, long) = (options.file("short.pcap"), options.file("long.pcap"));
    let mut counted = Vec::new();
    for (traffic, pipeline) in TRAFFIC {
        let write = |path: &Path, requests| {
            let shape = Shape { requests, pipeline, value_bytes: 3 };
            recording::write(path, shape, u64::MAX).with_context(|| format!("{}", path.display()))
        };
        let packets = write(&long, LONG)?.packets - write(&short, SHORT)?.packets;
        for (way, arguments) in WAYS {
            let more =
                count(agent, arguments, &long)?.saturating_sub(count(agent, arguments, &short)?);
            counted.push((format!("{traffic}, {way}"), more as f64 / packets as f64));
        }
    }
    Ok(counted)
}

/// The instructions of one run over a file.
fn count(agent: &Contestant, arguments: &str, file: &Path) -> Result<u64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(agent.path());
    command.args(arguments.split_whitespace()).arg(file).env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let output = command.stderr(Stdio::piped()).output().context("valgrind cannot be started")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("the agent under valgrind: {}: {said}", output.status);
    }
    collected(&said).with_context(|| format!("valgrind does not say what it counted: {said}"))
}

/// `==123== Collected : 456`
fn collected(said: &str) -> Option<u64> {
    said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_margin_is_too_many() {
        assert_eq!(Verdict::of(104.0, 100.0, 5.0), Verdict::AsExpected);
        assert_eq!(Verdict::of(106.0, 100.0, 5.0), Verdict::TooMany);
        assert_eq!(Verdict::of(94.0, 100.0, 5.0), Verdict::Fewer);
    }

    #[test]
    fn valgrind_says_what_it_counted() {
        assert_eq!(collected("==1== Events    : Ir\n==1== Collected : 12345\n"), Some(12_345));
        assert_eq!(collected("==1== Events    : Ir\n"), None);
    }
}
