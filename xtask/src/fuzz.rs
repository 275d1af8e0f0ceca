//! `cargo xtask fuzz`, and the short runs that belong to the tests.
//!
//! cargo-fuzz needs an unstable compiler flag. The workspace's own compiler is made to take it, so
//! that fuzzing builds the same code as everything else.
//!
//! Each file of targets is a binary. Some are run for each protocol of the registry: the binary is told
//! which by its environment, and makes its seeds of that protocol's golden captures.

use std::{ffi::OsStr, fs, path::Path};

use anyhow::{Context as _, Result, bail};
use xshell::cmd;

use crate::{
    setup::{self, Install, Purpose},
    tidy,
    workspace::{Workspace, run as run_command},
};

/// The fuzz crate, from the project's root; a workspace of its own.
pub(crate) const FUZZ_FOLDER: &str = "tests/fuzz";

/// How many inputs each target gets in a test run.
const TEST_RUNS: u32 = 20_000;

/// How many it gets where there is one for each protocol.
const TEST_RUNS_BY_PROTOCOL: u32 = 10_000;

/// Binaries that are run for each protocol, and what the targets' names begin with.
const BY_PROTOCOL: [(&str, &str); 2] = [("decoders", "decoder"), ("engine", "engine")];

/// Tells such a binary the protocol, and the folder for seeds.
const PROTOCOL_VARIABLE: &str = "TCPKIT_FUZZ_PROTOCOL";
const SEEDS_VARIABLE: &str = "TCPKIT_FUZZ_SEEDS";

/// Something to fuzz.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// What people type.
    name: String,
    binary: String,
    protocol: Option<String>,
}

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
    let names: Vec<&str> = known.iter().map(|target| target.name.as_str()).collect();
    let Some(name) = &args.target else {
        println!("{}", names.join("\n"));
        return Ok(());
    };
    let Some(target) = known.iter().find(|target| target.name == *name) else {
        bail!("there is no target {name}: the targets are {}", names.join(", "));
    };
    setup::ensure(workspace, Purpose::Test, args.install)?;
    // What was found interesting is kept for the next time.
    let corpus = workspace.root.join(FUZZ_FOLDER).join("corpus").join(name);
    fs::create_dir_all(&corpus).with_context(|| format!("{}", corpus.display()))?;
    run_target(
        workspace,
        target,
        &corpus,
        &args.options,
        &format!(
            "fuzzing {name} failed, see above: after a change, type `cargo xtask fuzz {name}`"
        ),
    )
}

/// Gives every target a fixed number of inputs, the same each time; returns how many targets.
pub(crate) fn run_all_shortly(workspace: &Workspace) -> Result<usize> {
    let targets = targets(&workspace.root)?;
    for target in &targets {
        let runs = if target.protocol.is_some() { TEST_RUNS_BY_PROTOCOL } else { TEST_RUNS };
        let options = ["-seed=1".to_owned(), "-verbosity=0".to_owned(), format!("-runs={runs}")];
        // A corpus from earlier runs would change what is tried.
        let corpus = workspace.shell.create_temp_dir()?;
        let name = &target.name;
        let failed = format!(
            "fuzz target {name} failed: to try more inputs, type `cargo xtask fuzz {name}`"
        );
        run_target(workspace, target, corpus.path(), &options, &failed)?;
    }
    Ok(targets.len())
}

fn run_target(
    workspace: &Workspace,
    target: &Target,
    corpus: &Path,
    options: &[String],
    failed: &str,
) -> Result<()> {
    let (shell, cargo, Target { name, binary, protocol }) =
        (&workspace.shell, &workspace.cargo, target);
    let made = shell.create_temp_dir()?;
    let command = cmd!(shell, "{cargo} fuzz run --fuzz-dir {FUZZ_FOLDER} {binary} {corpus}");
    let mut command = command.env("RUSTC_BOOTSTRAP", "1");
    if let Some(protocol) = protocol {
        command = command
            .env(PROTOCOL_VARIABLE, protocol)
            .env(SEEDS_VARIABLE, made.path())
            .arg(made.path());
    }
    let seeds = Path::new(FUZZ_FOLDER).join("seeds").join(name);
    let seeds = workspace.root.join(&seeds).is_dir().then_some(seeds);
    run_command(&command.args(seeds).arg("--").args(options), failed)
}

/// The fuzz targets, by name.
pub(crate) fn targets(root: &Path) -> Result<Vec<Target>> {
    let folder = root.join(FUZZ_FOLDER).join("fuzz_targets");
    let entries =
        fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut binaries = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new("rs")) {
            binaries.extend(path.file_stem().and_then(OsStr::to_str).map(str::to_owned));
        }
    }
    if binaries.is_empty() {
        bail!("there is no fuzz target in {}", folder.display());
    }
    Ok(expand(&binaries, &tidy::protocols(root)?))
}

/// One target a binary, or one for each protocol.
fn expand(binaries: &[String], protocols: &[String]) -> Vec<Target> {
    let mut targets = Vec::new();
    for binary in binaries {
        let binary = binary.clone();
        match BY_PROTOCOL.iter().find(|(by_protocol, _)| *by_protocol == binary) {
            Some((_, begin)) => targets.extend(protocols.iter().map(|protocol| Target {
                name: format!("{begin}-{protocol}"),
                binary: binary.clone(),
                protocol: Some(protocol.clone()),
            })),
            None => targets.push(Target { name: binary.clone(), binary, protocol: None }),
        }
    }
    targets.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_has_its_targets() {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let targets = expand(&owned(&["packet", "engine", "decoders"]), &owned(&["one", "two"]));
        let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        assert_eq!(names, ["decoder-one", "decoder-two", "engine-one", "engine-two", "packet"]);
        assert_eq!(targets[1].binary, "decoders");
        assert_eq!(targets[1].protocol.as_deref(), Some("two"));
        assert_eq!(targets[4].protocol, None);
    }
}
