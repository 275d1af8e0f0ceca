//! `cargo xtask bench`: measures the agent beside its peers, one file a row.
//!
//! A figure is never invented: a measurement that fails panics, which ends its row, and the table says
//! why.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a measurement that fails panics, and its row says so"
)]

#[allow(dead_code, reason = "the golden tests need more of it")]
#[path = "../../../../tcpkit/tests/golden/capture.rs"]
mod captures;
mod churn;
mod connection;
mod crowd;
mod finished;
mod flood;
mod growth;
mod instructions;
mod kernel;
mod live;
mod loss;
mod memory;
mod offline;
mod options;
mod process;
mod programs;
mod protocols;
mod random;
mod recording;
mod report;
mod scripts;
mod statistics;
mod tcpdump;
mod traffic;

use std::{
    any::Any,
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    thread,
};

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};

use crate::{
    options::{Options, USAGE},
    report::Report,
};

/// Measures one row.
type Measure = fn(&Options, &mut Report);

const ROWS: [(&str, Measure); 9] = [
    ("traffic", traffic::measure),
    ("kernel", kernel::measure),
    ("offline", offline::measure),
    ("loss", loss::measure),
    ("memory", memory::measure),
    ("growth", growth::measure),
    ("protocols", protocols::measure),
    ("scripts", scripts::measure),
    ("churn", churn::measure),
];

/// Rows that take long, and are measured only when they are named.
const ONLY_NAMED: [&str; 1] = ["churn"];

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let options = Options::parse(env::args().skip(1))?;
    if options.rows == ["instructions"] {
        options.make_files()?;
        let checked = instructions::check(&options);
        options.remove_files()?;
        return checked.map(|()| ExitCode::SUCCESS);
    }
    for row in &options.rows {
        let is_row = ROWS.iter().any(|(name, _)| name == row);
        ensure!(is_row, "there is no row {row}\n{USAGE}");
    }
    if !nix::unistd::geteuid().is_root() {
        bail!("the benchmark makes network namespaces: it needs root");
    }
    // Whoever interrupts does not leave namespaces behind: the row ends, and removes what it made.
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        flag::register(signal, options.stop_flag())?;
    }
    options.make_files()?;
    let mut report = Report::default();
    for (name, measure) in ROWS {
        let is_asked_for = match options.rows.is_empty() {
            true => !ONLY_NAMED.contains(&name),
            false => options.rows.iter().any(|row| row == name),
        };
        if is_asked_for && !options.is_stopped() {
            report.begin(name);
            let measured = catch_unwind(AssertUnwindSafe(|| measure(&options, &mut report)));
            if let Err(panic) = measured {
                report.fail(&reason(panic.as_ref()));
            }
        }
    }
    let about = about(&options);
    let path = options.results();
    report.write_json(&about, &path)?;
    println!("{}\n\n{}", headline(&about), report.table());
    options.remove_files()?;
    eprintln!("bench: every sample is in {}", path.display());
    Ok(if report.has_failed() || options.is_stopped() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn reason(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("for an unknown reason").to_owned()
}

/// What has to be known to read the figures.
fn about(options: &Options) -> Value {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let agents: Vec<String> = options
        .agents
        .iter()
        .map(|agent| format!("{}: {}", agent.name(), agent.path().display()))
        .collect();
    json!({
        "quick": options.quick,
        "kernel": kernel.trim(),
        "cpu": model.map(|(_, model)| model),
        "cores": thread::available_parallelism().map_or(0, usize::from),
        "agents": agents,
    })
}

fn headline(about: &Value) -> String {
    let quick = if about["quick"] == true { "A SHORT TRY, no measurement. " } else { "" };
    let text = |key: &str| about[key].as_str().unwrap_or("an unknown one").to_owned();
    format!("{quick}Kernel {}, {} cores, {}.", text("kernel"), about["cores"], text("cpu"))
}
