//! `cargo xtask bench` and `cargo xtask instructions`: what the agent costs.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use xshell::cmd;

use crate::{
    agent, host,
    setup::{self, Install, Purpose},
    workspace::Workspace,
};

/// What the benchmark keeps of the environment through sudo.
const KEPT: [&str; 3] = ["PATH", "RUST_BACKTRACE", "TZ"];

/// The instructions that are expected, from the project's root.
const EXPECTED: &str = "tests/instructions.json";

#[derive(clap::Args)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    install: Install,
    /// What to measure: traffic, kernel, offline, loss, memory, growth, protocols, scripts; all of
    /// these, if nothing is named. And churn, by its name only: memory while connections come and go.
    rows: Vec<String>,
    /// Only try that everything works, in a minute.
    #[arg(long)]
    quick: bool,
    /// How long the row churn takes; ten minutes by default.
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// Another agent instead of this one; again, with names, to compare several: old=PATH.
    #[arg(long, value_name = "[NAME=]PATH")]
    agent: Vec<String>,
}

pub(crate) fn run(workspace: &Workspace, args: &BenchArgs) -> Result<()> {
    if !host::is_root() && host::find_program("sudo").is_none() {
        bail!("the benchmark needs root and there is no sudo: type the command again as root");
    }
    setup::ensure(workspace, Purpose::Test, args.install)?;
    let mut agents = args.agent.clone();
    if agents.is_empty() {
        agents.push(agent::build(workspace)?.display().to_string());
    }
    let bench = agent::build_bench(workspace)?;
    let mut command = as_root(&bench);
    command.args(&args.rows).arg("--into").arg(workspace.target().join("bench"));
    for agent in agents {
        command.args(["--agent", &agent]);
    }
    command.args(args.quick.then_some("--quick"));
    if let Some(seconds) = args.seconds {
        command.args(["--seconds", &seconds.to_string()]);
    }
    finish(command, "not everything was measured, see above")
}

/// Everything is built as the user; only the benchmark runs as root.
fn as_root(bench: &Path) -> Command {
    if host::is_root() {
        return Command::new(bench);
    }
    let mut command = Command::new("sudo");
    command.arg("env").args(host::kept_environment(&KEPT)).arg(bench);
    command
}

#[derive(clap::Args)]
pub(crate) struct InstructionsArgs {
    #[command(flatten)]
    install: Install,
    /// Expect from now on what is counted now.
    #[arg(long)]
    bless: bool,
    /// Another agent instead of this one.
    #[arg(long, value_name = "PATH")]
    agent: Option<PathBuf>,
}

pub(crate) fn instructions(workspace: &Workspace, args: &InstructionsArgs) -> Result<()> {
    setup::ensure(workspace, Purpose::Test, args.install)?;
    count_instructions(workspace, args.agent.clone(), args.bless)
}

/// Counts the agent's instructions and compares them with those that are expected.
pub(crate) fn count_instructions(
    workspace: &Workspace,
    agent: Option<PathBuf>,
    bless: bool,
) -> Result<()> {
    let agent = agent.map_or_else(|| agent::build(workspace), Ok)?;
    let bench = agent::build_bench(workspace)?;
    let mut command = Command::new(bench);
    command.arg("instructions").arg("--agent").arg(agent);
    command.arg("--into").arg(workspace.target().join("instructions"));
    command.arg("--expected").arg(workspace.root.join(EXPECTED));
    command.args(["--rustc", &rustc_version(workspace)?]);
    command.args(bless.then_some("--bless"));
    finish(command, "to count again, type `cargo xtask instructions`")
}

/// The version of the compiler that builds the agent.
fn rustc_version(workspace: &Workspace) -> Result<String> {
    let text = cmd!(workspace.shell, "rustc --version").quiet().read()?;
    let version = text.split_whitespace().nth(1);
    version.map(str::to_owned).with_context(|| format!("rustc says of its version: {text}"))
}

/// Runs a command that says itself what is wrong; `failed` says what that means.
fn finish(mut command: Command, failed: &str) -> Result<()> {
    let status = command.status().context("the benchmark cannot be started")?;
    if !status.success() {
        bail!("{failed}");
    }
    Ok(())
}
