//! `cargo xtask ci`: everything but the tests that a change has to pass.

use anyhow::{Context as _, Result, bail};
use xshell::cmd;

use crate::{
    fuzz,
    setup::{self, Install, Purpose},
    tidy,
    toolchain::{self, Host},
    workspace::{Workspace, run as run_command},
};

#[derive(clap::Args)]
pub(crate) struct CiArgs {
    #[command(flatten)]
    install: Install,
}

pub(crate) fn run(workspace: &Workspace, args: &CiArgs) -> Result<()> {
    setup::ensure(workspace, Purpose::Check, args.install)?;
    let (shell, cargo) = (&workspace.shell, &workspace.cargo);
    let manifest = format!("{}/Cargo.toml", fuzz::FUZZ_FOLDER);
    let has_fuzz = workspace.root.join(&manifest).is_file();

    run_command(
        &cmd!(shell, "{cargo} fmt --all --check"),
        "the format is off: type `cargo fmt --all`",
    )?;
    run_command(
        &cmd!(
            shell,
            "{cargo} clippy --workspace --exclude tcpkit-ebpf --all-targets -- --deny warnings"
        ),
        "clippy has something to say of user space, see above: after a change, type `cargo xtask ci`",
    )?;
    lint_ebpf(workspace)?;
    if has_fuzz {
        run_command(
            &cmd!(shell, "{cargo} fmt --manifest-path {manifest} --check"),
            &format!(
                "the fuzz targets' format is off: type `cargo fmt --manifest-path {manifest}`"
            ),
        )?;
        run_command(
            &cmd!(shell, "{cargo} clippy --manifest-path {manifest} -- --deny warnings"),
            "clippy has something to say of the fuzz targets, see above: after a change, type \
             `cargo xtask ci`",
        )?;
    }
    run_command(
        &cmd!(shell, "{cargo} doc --workspace --exclude tcpkit-ebpf --no-deps")
            .env("RUSTDOCFLAGS", "-D warnings"),
        "the documentation does not build, see above: after a change, type `cargo xtask ci`",
    )?;
    tidy::run(workspace)
}

/// clippy on the eBPF programs: for their own target, with the compiler that builds them.
fn lint_ebpf(workspace: &Workspace) -> Result<()> {
    let toolchain = toolchain::find()?;
    eprintln!("$ clippy on {} for {}", toolchain::EBPF_PACKAGE, Host::current().target());
    let mut command = toolchain.cargo("check", Host::current());
    // What `cargo clippy` does, but with the clippy of this compiler.
    let status = command
        .current_dir(&workspace.root)
        .arg("--release")
        .arg("--target-dir")
        .arg(workspace.target().join("ebpf-clippy"))
        .env("RUSTC_WORKSPACE_WRAPPER", setup::clippy_driver(&toolchain))
        .env("CLIPPY_ARGS", "--deny__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__")
        .status();
    if !status.context("clippy for eBPF cannot be started")?.success() {
        bail!(
            "clippy has something to say of the eBPF programs, see above: after a change, type `cargo xtask ci`"
        );
    }
    Ok(())
}
