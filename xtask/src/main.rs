//! What people type to set up, build, run and test tcpkit: `cargo xtask <command>`.

mod agent;
mod bench;
mod ci;
mod demo;
mod fuzz;
mod host;
mod run;
mod setup;
mod test;
mod tidy;
/// How the build script finds what compiles eBPF.
#[path = "../../tcpkit/build/toolchain.rs"]
mod toolchain;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Sets up, builds, runs and tests tcpkit.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what is missing to build and test; `run`, `test` and `demo` do it by themselves.
    Setup(setup::SetupArgs),
    /// Build the agent and run it, as root where that is needed.
    Run(run::RunArgs),
    /// Show the agent at work between a client and a Redis server of its own.
    Demo(demo::DemoArgs),
    /// Run all tests.
    Test(test::TestArgs),
    /// Measure the agent beside its peers, as root: traffic, CPU, memory, loss.
    Bench(bench::BenchArgs),
    /// Count the agent's instructions for a packet, and compare with those expected.
    Instructions(bench::InstructionsArgs),
    /// Run one fuzz target until it finds something.
    Fuzz(fuzz::FuzzArgs),
    /// Check format, lints, documentation and the project's own rules.
    Ci(ci::CiArgs),
    /// Check the rules that no other tool knows.
    Tidy,
    /// The demo's client.
    #[command(hide = true)]
    DemoClient(demo::ClientArgs),
}

fn main() -> ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<()> {
    let workspace = Workspace::open()?;
    match command {
        Command::Setup(args) => setup::run(&workspace, &args),
        Command::Run(args) => run::run(&workspace, &args),
        Command::Demo(args) => demo::run(&workspace, &args),
        Command::Test(args) => test::run(&workspace, &args),
        Command::Bench(args) => bench::run(&workspace, &args),
        Command::Instructions(args) => bench::instructions(&workspace, &args),
        Command::Fuzz(args) => fuzz::run(&workspace, &args),
        Command::Ci(args) => ci::run(&workspace, &args),
        Command::Tidy => tidy::run(&workspace),
        Command::DemoClient(args) => demo::client(&args),
    }
}
