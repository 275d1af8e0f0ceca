//! `cargo xtask fuzz`, and the short runs that belong to the tests.
//!
//! cargo-fuzz needs an unstable compiler flag. The workspace's own compiler is made to take it, so
//! that fuzzing builds the same code as everything else.

use std::{ffi::OsStr, fs, path::Path};

use anyhow::{Context as _, Result, bail};
use xshell::{Cmd, cmd};

use crate::{
    setup::{self, Install, Purpose},
    workspace::{Workspace, run as run_command},
};

/// The fuzz crate, from the project's root; a workspace of its own.
pub(crate) const FUZZ_FOLDER: &str = "tests/fuzz";

/// How many inputs each target gets in a test run.
const TEST_RUNS: u32 = 20_000;

#[derive(clap::Args)]
pub(crate) struct FuzzArgs {
    #[command(flatten)]
    install: Install,
    /// The target; without one, the targets are listed.
    target: Option<String>,
    /// libFuzzer's options, such as -max_total_time=60
    #[arg(last = true)]
    options: Vec<String>,
}

pub(crate) fn run(workspace: &Workspace, args: &FuzzArgs) -> Result<()> {
    let known = targets(&workspace.root)?;
    let Some(target) = &args.target else {
        println!("{}", known.join("\n"));
        return Ok(());
    };
    if !known.contains(target) {
        bail!("there is no target {target}: the targets are {}", known.join(", "));
    }
    setup::ensure(workspace, Purpose::Test, args.install)?;
    let (cargo, options) = (&workspace.cargo, &args.options);
    let command = cmd!(workspace.shell, "{cargo} fuzz run --fuzz-dir {FUZZ_FOLDER} {target}");
    run_command(
        &with_unstable(command).arg("--").args(options),
        &format!(
            "fuzzing {target} failed, see above: after a change, type `cargo xtask fuzz {target}`"
        ),
    )
}

/// Gives every target a fixed number of inputs, the same each time; returns how many targets.
pub(crate) fn run_all_shortly(workspace: &Workspace) -> Result<usize> {
    let targets = targets(&workspace.root)?;
    let (shell, cargo) = (&workspace.shell, &workspace.cargo);
    for target in &targets {
        // A corpus from earlier runs would change what is tried.
        let corpus = shell.create_temp_dir()?;
        let corpus = corpus.path();
        let command = cmd!(shell, "{cargo} fuzz run --fuzz-dir {FUZZ_FOLDER} {target} {corpus}");
        let seeds = Path::new(FUZZ_FOLDER).join("seeds").join(target);
        let seeds = workspace.root.join(&seeds).is_dir().then_some(seeds);
        let command = with_unstable(command)
            .args(seeds)
            .args(["--", "-seed=1", "-verbosity=0"])
            .arg(format!("-runs={TEST_RUNS}"));
        run_command(
            &command,
            &format!(
                "fuzz target {target} failed: to try more inputs, type `cargo xtask fuzz {target}`"
            ),
        )?;
    }
    Ok(targets.len())
}

fn with_unstable(command: Cmd<'_>) -> Cmd<'_> {
    command.env("RUSTC_BOOTSTRAP", "1")
}

/// The names of the fuzz targets.
pub(crate) fn targets(root: &Path) -> Result<Vec<String>> {
    let folder = root.join(FUZZ_FOLDER).join("fuzz_targets");
    let entries =
        fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut targets = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new("rs")) {
            targets.extend(path.file_stem().and_then(OsStr::to_str).map(str::to_owned));
        }
    }
    targets.sort_unstable();
    if targets.is_empty() {
        bail!("there is no fuzz target in {}", folder.display());
    }
    Ok(targets)
}
