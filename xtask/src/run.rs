//! `cargo xtask run`: builds the agent and becomes it.

use std::{os::unix::process::CommandExt as _, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{
    agent, host,
    setup::{self, Install, Purpose},
    workspace::Workspace,
};

/// What the agent's environment keeps through sudo.
const KEPT: [&str; 6] =
    ["RUST_LOG", "RUST_BACKTRACE", "TZ", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"];

/// Arguments with which the agent touches no interface.
const NEED_NO_ROOT: [&str; 4] = ["-h", "--help", "-V", "--version"];

#[derive(clap::Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    install: Install,
    /// The agent's arguments, such as: -i any tcp port 6379 -p redis
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(workspace: &Workspace, args: &RunArgs) -> Result<()> {
    setup::ensure(workspace, Purpose::Build, args.install)?;
    let agent = agent::build(workspace)?;
    let mut command = if host::is_root() || !needs_root(&args.arguments) {
        Command::new(&agent)
    } else if host::find_program("sudo").is_some() {
        let mut command = Command::new("sudo");
        let environment = host::kept_environment(&KEPT);
        if !environment.is_empty() {
            command.arg("env").args(environment);
        }
        command.arg(&agent);
        command
    } else {
        bail!("capturing needs root and there is no sudo: as root, type `{}`", agent.display());
    };
    // The agent takes this process's place, so that signals and its exit code are its own.
    Err(command.args(&args.arguments).exec())
        .with_context(|| format!("{} cannot be started", agent.display()))
}

fn needs_root(arguments: &[String]) -> bool {
    !arguments.iter().any(|argument| NEED_NO_ROOT.contains(&argument.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arguments: &str, expect: bool) {
        let arguments: Vec<_> = arguments.split_whitespace().map(str::to_owned).collect();
        assert_eq!(needs_root(&arguments), expect, "{arguments:?}");
    }

    #[test]
    fn capturing_needs_root_and_asking_does_not() {
        check("-i any tcp port 6379 -p redis", true);
        check("", true);
        check("--help", false);
        check("-V", false);
    }
}
