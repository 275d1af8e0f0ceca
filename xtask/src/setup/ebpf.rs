//! The ways to a compiler and a linker for eBPF.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

use super::{
    apt::{Apt, Offer},
    steps::Steps,
};
use crate::{
    host,
    toolchain::{self, EbpfToolchain, MissingTools},
};

/// The compiler that Debian keeps new for its browsers, with `core` for eBPF ready.
const DISTRIBUTION_COMPILER: [&str; 2] = ["rustc-web", "libstd-rust-web-dev-bpf"];
const DISTRIBUTION_CLIPPY: &str = "rust-web-clippy";
const DISTRIBUTION_RUSTC: &str = "/usr/bin/rustc";

/// The bpf-linker that is known to work, and the LLVM versions it can be built for.
const BPF_LINKER: &str = "0.13.0";
const BPF_LINKER_LLVM: std::ops::RangeInclusive<u32> = 21..=23;

/// The LLVM of the compiler, as long as that is not there to be asked.
const USUAL_LLVM: u32 = 22;

/// A way to get the compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// rustup's nightly, which compiles `core` itself.
    Rustup,
    /// The distribution's packages.
    Distribution,
}

/// Installs what is missing, by the first way that works.
pub(super) fn install(steps: &Steps<'_>, missing: &MissingTools) -> Result<()> {
    let found = if missing.compiler { install_compiler(steps)? } else { existing_way() };
    if missing.linker {
        install_linker(steps, found)?;
    }
    Ok(())
}

fn install_compiler(steps: &Steps<'_>) -> Result<Way> {
    let has_rustup = host::find_program("rustup").is_some();
    let offer = steps.apt.as_ref().map_or(Offer::No, |apt| offer(apt, steps));
    let ways = order(has_rustup, offer);
    if ways.is_empty() {
        bail!("no way to a compiler for eBPF is open here: install rustup, then try again");
    }
    for (way, is_last) in ways.iter().rev().enumerate().rev().map(|(left, way)| (*way, left == 0)) {
        let tried = match (way, &steps.apt) {
            (Way::Distribution, Some(apt)) => apt.install(steps, &DISTRIBUTION_COMPILER),
            _ => install_nightly(steps),
        };
        match tried {
            Ok(()) if steps.print_only() || !is_compiler_missing() => return Ok(way),
            Ok(()) => eprintln!("setup: that compiler cannot build for eBPF"),
            Err(error) if is_last => return Err(error),
            Err(error) => eprintln!("setup: {error}"),
        }
        if !is_last {
            eprintln!("setup: trying another way");
        }
    }
    bail!("no compiler for eBPF could be installed: see \"How it is built\" in README.md");
}

/// What apt says of the distribution's compiler, with lists fetched if they never were.
fn offer(apt: &Apt<'_>, steps: &Steps<'_>) -> Offer {
    match apt.offers(&DISTRIBUTION_COMPILER) {
        Offer::Unknown if !steps.print_only() => {
            apt.refresh(steps);
            apt.offers(&DISTRIBUTION_COMPILER)
        }
        offer => offer,
    }
}

/// The ways to try, best first.
fn order(has_rustup: bool, offer: Offer) -> Vec<Way> {
    let distribution = (offer != Offer::No).then_some(Way::Distribution);
    distribution.into_iter().chain(has_rustup.then_some(Way::Rustup)).collect()
}

/// Where the compiler that was found comes from.
fn existing_way() -> Way {
    let is_rustup = nightly_rustc().is_some_and(|rustc| has_source(&rustc));
    if is_rustup { Way::Rustup } else { Way::Distribution }
}

fn is_compiler_missing() -> bool {
    toolchain::find().is_err_and(|missing| missing.compiler)
}

fn install_nightly(steps: &Steps<'_>) -> Result<()> {
    let shell = steps.shell;
    let command =
        cmd!(shell, "rustup toolchain install nightly --profile minimal --component rust-src");
    steps.step("install Rust nightly with the sources of its library", &command)
}

fn install_linker(steps: &Steps<'_>, way: Way) -> Result<()> {
    let rustc = match way {
        Way::Rustup => nightly_rustc(),
        Way::Distribution => Some(PathBuf::from(DISTRIBUTION_RUSTC)),
    };
    let llvm = rustc.and_then(|rustc| llvm_version(steps.shell, &rustc)).unwrap_or(USUAL_LLVM);
    let (shell, cargo) = (steps.shell, steps.cargo);
    let library = format!("llvm-{llvm}-dev");
    if let Some(apt) = &steps.apt
        && BPF_LINKER_LLVM.contains(&llvm)
        && apt.offers(&[&library]) != Offer::No
    {
        // bpf-linker reads what the compiler wrote, so it needs the same LLVM.
        apt.install(steps, &[&library, "g++"])?;
        let prefix = format!("LLVM_PREFIX=/usr/lib/llvm-{llvm}");
        let feature = format!("llvm-{llvm}");
        let command = cmd!(
            shell,
            "env {prefix} {cargo} install bpf-linker --version {BPF_LINKER} --locked
                --no-default-features --features {feature}"
        );
        return steps.step("compile and install bpf-linker (a minute or two)", &command);
    }
    // Without a matching LLVM the project's own binary, which has it inside.
    if host::find_program("cargo-binstall").is_none() {
        let command = cmd!(shell, "{cargo} install cargo-binstall --locked");
        steps.step("compile and install cargo-binstall (some minutes)", &command)?;
    }
    let command = cmd!(shell, "{cargo} binstall --no-confirm bpf-linker@{BPF_LINKER}");
    steps.step("install bpf-linker's release", &command)
}

/// The clippy that belongs to the compiler for eBPF.
pub(crate) fn clippy_driver(toolchain: &EbpfToolchain) -> PathBuf {
    toolchain.rustc.with_file_name("clippy-driver")
}

pub(super) fn install_clippy(steps: &Steps<'_>, toolchain: &EbpfToolchain) -> Result<()> {
    if toolchain.rustc == Path::new(DISTRIBUTION_RUSTC)
        && let Some(apt) = &steps.apt
    {
        return apt.install(steps, &[DISTRIBUTION_CLIPPY]);
    }
    let shell = steps.shell;
    let command = cmd!(shell, "rustup component add clippy --toolchain nightly");
    steps.step("install clippy for Rust nightly", &command)
}

/// The compiler of rustup's nightly, if that is installed.
fn nightly_rustc() -> Option<PathBuf> {
    let shell = Shell::new().ok()?;
    let sysroot = cmd!(shell, "rustup run nightly rustc --print sysroot")
        .env("RUSTUP_AUTO_INSTALL", "0")
        .env_remove("RUSTUP_TOOLCHAIN")
        .quiet()
        .ignore_stderr()
        .read()
        .ok()?;
    Some(Path::new(&sysroot).join("bin/rustc"))
}

fn has_source(rustc: &Path) -> bool {
    let sysroot = rustc.parent().and_then(Path::parent);
    sysroot.is_some_and(|it| it.join("lib/rustlib/src/rust/library/core").is_dir())
}

fn llvm_version(shell: &Shell, rustc: &Path) -> Option<u32> {
    let version = cmd!(shell, "{rustc} --version --verbose").quiet().ignore_stderr().read().ok()?;
    parse_llvm_version(&version)
}

/// The major number of LLVM in what `rustc --version --verbose` prints.
fn parse_llvm_version(version: &str) -> Option<u32> {
    let number = version.lines().find_map(|line| line.strip_prefix("LLVM version:"))?;
    number.trim().split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distributions_compiler_comes_first() {
        use Way::{Distribution, Rustup};
        assert_eq!(order(true, Offer::Yes), [Distribution, Rustup]);
        assert_eq!(order(true, Offer::Unknown), [Distribution, Rustup]);
        assert_eq!(order(true, Offer::No), [Rustup]);
        assert_eq!(order(false, Offer::Yes), [Distribution]);
        assert_eq!(order(false, Offer::No), []);
    }

    #[test]
    fn the_compiler_says_its_llvm() {
        let version = "rustc 1.96.0\nbinary: rustc\nrelease: 1.96.0\nLLVM version: 22.1.2\n";
        assert_eq!(parse_llvm_version(version), Some(22));
        assert_eq!(parse_llvm_version("rustc 1.96.0\n"), None);
        assert_eq!(parse_llvm_version("LLVM version: new\n"), None);
    }
}
