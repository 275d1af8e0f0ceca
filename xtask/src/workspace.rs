//! The project's root folder, and a shell that stands in it.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use xshell::{Cmd, Shell};

/// The project that xtask belongs to.
pub(crate) struct Workspace {
    /// The folder of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Runs commands in `root`.
    pub(crate) shell: Shell,
    /// The cargo that runs xtask.
    pub(crate) cargo: String,
}

impl Workspace {
    pub(crate) fn open() -> Result<Self> {
        // `cargo run` says where the package is now; the folder may have moved since it was built.
        let package = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = package.parent().map(Path::to_owned).context("xtask has no parent folder")?;
        let shell = Shell::new().context("the current folder cannot be used")?;
        shell.change_dir(&root);
        let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        Ok(Self { root, shell, cargo })
    }

    /// The folder of everything that is built.
    pub(crate) fn target(&self) -> PathBuf {
        self.root.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
    }
}

/// Runs a command that says itself what is wrong; `failed` says what that means and what to type.
pub(crate) fn run(command: &Cmd<'_>, failed: &str) -> Result<()> {
    if command.run().is_err() {
        bail!("{failed}");
    }
    Ok(())
}
