//! Finds what is missing and installs it, saying each step before it is done.

mod apt;
mod ebpf;
mod needs;
mod python;
mod steps;

use anyhow::{Result, bail};

pub(crate) use self::ebpf::clippy_driver;
use self::{needs::Missing, steps::Steps};
use crate::workspace::Workspace;

/// What is to be done once everything is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Purpose {
    /// Build and run the agent.
    Build,
    /// Run all tests.
    Test,
    /// Show the agent at work.
    #[value(skip)]
    Demo,
    /// Check format, lints and documentation.
    #[value(skip)]
    Check,
}

#[derive(Clone, Copy, clap::Args)]
pub(crate) struct Install {
    /// Install nothing: print the commands that would, and stop.
    #[arg(long)]
    no_install: bool,
}

#[derive(clap::Args)]
pub(crate) struct SetupArgs {
    #[command(flatten)]
    install: Install,
    /// Install only what this needs; by default both.
    #[arg(long = "for", value_enum)]
    purpose: Option<Purpose>,
}

pub(crate) fn run(workspace: &Workspace, args: &SetupArgs) -> Result<()> {
    // What tests need includes what building needs.
    ensure(workspace, args.purpose.unwrap_or(Purpose::Test), args.install)?;
    println!("setup: everything is there");
    Ok(())
}

/// Installs what `purpose` lacks.
pub(crate) fn ensure(workspace: &Workspace, purpose: Purpose, install: Install) -> Result<()> {
    let steps = Steps::new(workspace, install.no_install);
    let mut before = String::new();
    loop {
        let missing = Missing::look(workspace, purpose);
        let names = missing.to_string();
        if names.is_empty() {
            return Ok(());
        }
        // What a compiler lacks is seen only once there is one, so one round may not be all.
        if names == before {
            bail!("after all steps this is still missing: {names}: install it by hand, try again");
        }
        eprintln!("setup: missing: {names}");
        missing.install(&steps)?;
        if install.no_install {
            bail!("nothing was installed: type the commands above, or `cargo xtask setup`");
        }
        before = names;
    }
}
