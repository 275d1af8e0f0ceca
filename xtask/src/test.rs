//! `cargo xtask test`: all tests, or all that need no root.

use anyhow::{Result, bail};
use xshell::cmd;

use crate::{
    agent, bench, fuzz, host,
    setup::{self, Install, Purpose},
    workspace::{Workspace, run as run_command},
};

/// The package of end-to-end tests, the only one that needs root.
const END_TO_END: &str = "tcpkit-tests";

/// Names the agent's binary to the end-to-end tests.
const AGENT_VARIABLE: &str = "TCPKIT_BIN";

/// What else end-to-end tests keep of the environment.
const KEPT: [&str; 5] = ["CI", "PATH", "RUST_BACKTRACE", "RUST_LOG", "TZ"];

#[derive(clap::Args)]
pub(crate) struct TestArgs {
    #[command(flatten)]
    install: Install,
    /// Run only what needs no root, and say what was left out.
    #[arg(long)]
    unprivileged: bool,
    /// Arguments for `cargo test`, such as a part of the names of the tests to run.
    #[arg(last = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(workspace: &Workspace, args: &TestArgs) -> Result<()> {
    if !args.unprivileged && !host::is_root() && !host::sudo_is_open() {
        bail!(
            "the end-to-end tests need root: type `sudo --validate && cargo xtask test`, or \
             `cargo xtask test --unprivileged` for the tests that need none"
        );
    }
    setup::ensure(workspace, Purpose::Test, args.install)?;

    let (shell, cargo, arguments) = (&workspace.shell, &workspace.cargo, &args.arguments);
    say("unit, property and documentation tests");
    run_command(
        &cmd!(
            shell,
            "{cargo} test --no-fail-fast --workspace --exclude tcpkit-ebpf --exclude {END_TO_END} {arguments...}"
        ),
        "tests failed, see above: to run one again, type `cargo xtask test -- NAME`",
    )?;

    // Who picks tests by name does not mean the fuzz targets, and not the instructions.
    let runs_all = arguments.is_empty();
    if runs_all {
        say("fuzz targets, a fixed number of inputs each");
        let count = fuzz::run_all_shortly(workspace)?;
        say(&format!("{count} fuzz targets passed"));
        say("the agent's instructions for a packet");
        bench::count_instructions(workspace, None, false)?;
    }

    if args.unprivileged {
        compile_end_to_end(workspace)?;
    } else {
        say("end-to-end tests, as root");
        run_end_to_end(workspace, arguments)?;
    }
    if !runs_all {
        say("NOT run, because tests were picked: the fuzz targets, the instruction counts");
    }
    if args.unprivileged {
        say("NOT run, because they need root: the end-to-end tests (package tcpkit-tests)");
    }
    Ok(())
}

/// Without root it is at least known that they compile.
fn compile_end_to_end(workspace: &Workspace) -> Result<()> {
    let cargo = &workspace.cargo;
    run_command(
        &cmd!(workspace.shell, "{cargo} test --package {END_TO_END} --no-run"),
        "the end-to-end tests do not compile, see above",
    )
}

fn run_end_to_end(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let agent = agent::build(workspace)?;
    let (shell, cargo) = (&workspace.shell, &workspace.cargo);
    let mut command = cmd!(shell, "{cargo} test --no-fail-fast --package {END_TO_END}")
        .env(AGENT_VARIABLE, &agent);
    if !host::is_root() {
        // cargo builds as the user; only the finished tests run as root.
        let mut runner = vec!["sudo".to_owned(), "env".to_owned()];
        runner.push(format!("{AGENT_VARIABLE}={}", agent.display()));
        runner.extend(host::kept_environment(&KEPT));
        let runner = serde_json::to_string(&runner)?;
        command = command.args(["--config", &format!("target.'cfg(unix)'.runner={runner}")]);
    }
    run_command(
        &command.args(arguments),
        "end-to-end tests failed, see above: to run one again, type `cargo xtask test -- NAME`",
    )
}

fn say(what: &str) {
    eprintln!("\ntest: {what}");
}
