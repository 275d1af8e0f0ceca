//! Steps of the set-up: each is said, then done; or printed for somebody else to do.

use std::path::Path;

use anyhow::{Result, bail};
use xshell::{Cmd, Shell};

use super::apt::Apt;
use crate::workspace::Workspace;

/// Does the steps of a set-up, or prints them.
pub(super) struct Steps<'a> {
    /// Where commands run.
    pub(super) shell: &'a Shell,
    /// The cargo that installs programs.
    pub(super) cargo: &'a str,
    /// Debian's package manager, where there is one.
    pub(super) apt: Option<Apt<'a>>,
    print_only: bool,
}

impl<'a> Steps<'a> {
    pub(super) fn new(workspace: &'a Workspace, print_only: bool) -> Self {
        let shell = &workspace.shell;
        let cargo = if print_only { "cargo" } else { &workspace.cargo };
        Self { shell, cargo, apt: Apt::find(shell), print_only }
    }

    /// Whether steps are printed instead of done.
    pub(super) fn print_only(&self) -> bool {
        self.print_only
    }

    /// One step: `what` is done by `command`.
    pub(super) fn step(&self, what: &str, command: &Cmd<'_>) -> Result<()> {
        if self.print_only {
            println!("# {what}\n{command}");
            return Ok(());
        }
        eprintln!("setup: {what}");
        if command.run().is_err() {
            // The path of the cargo that runs is not what people type.
            let mut shown = command.to_string();
            if Path::new(self.cargo).is_absolute() {
                shown = shown.replace(self.cargo, "cargo");
            }
            bail!("this step failed: {what}: to see why and try again, type: {shown}");
        }
        Ok(())
    }
}
