//! Finds a compiler and a linker that can build the eBPF programs, in the order of how usual they are.
//!
//! Only the standard library is used: the build script and xtask both include this file.

#![allow(unreachable_pub, dead_code, reason = "every includer is a binary and uses its part")]

use std::{
    env,
    ffi::{OsStr, OsString},
    fmt, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Names a rustc to use before all others.
pub const RUSTC_VARIABLE: &str = "TCPKIT_EBPF_RUSTC";

/// The distribution's compiler; some distributions build `core` for eBPF.
const SYSTEM_RUSTC: &str = "/usr/bin/rustc";

/// The package with the eBPF programs, and the name of the object.
pub const EBPF_PACKAGE: &str = "tcpkit-ebpf";

/// The tools that build the eBPF object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EbpfToolchain {
    /// The compiler.
    pub rustc: PathBuf,
    /// The cargo that belongs to the compiler; `None` for the one that is running.
    pub cargo: Option<PathBuf>,
    /// Whether `core` has to be compiled first because it is there as source only.
    pub build_std: bool,
    /// bpf-linker.
    pub linker: PathBuf,
}

/// What is missing, and the command that installs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingTools {
    /// No compiler has a `core` for the eBPF target, ready or as source.
    pub compiler: bool,
    /// bpf-linker is neither in `PATH` nor among cargo's programs.
    pub linker: bool,
}

impl fmt::Display for MissingTools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match (self.compiler, self.linker) {
            (true, true) => "neither a Rust compiler for eBPF nor bpf-linker was found",
            (true, false) => "no Rust compiler for eBPF was found",
            _ => "bpf-linker was not found",
        };
        write!(f, "{what}: type `cargo xtask setup`")
    }
}

impl std::error::Error for MissingTools {}

/// The machine that the programs will run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host<'a> {
    /// The processor as Rust's `target_arch` names it.
    pub arch: &'a str,
    /// Whether it is big-endian.
    pub big_endian: bool,
}

impl Host<'static> {
    /// The machine this code runs on.
    #[must_use]
    pub fn current() -> Self {
        Self { arch: env::consts::ARCH, big_endian: cfg!(target_endian = "big") }
    }
}

impl Host<'_> {
    /// The eBPF target of the same byte order.
    #[must_use]
    pub fn target(&self) -> &'static str {
        if self.big_endian { "bpfeb-unknown-none" } else { "bpfel-unknown-none" }
    }
}

/// Looks for the tools: the compiler that [`RUSTC_VARIABLE`] names, rustup's nightly with
/// `rust-src`, the distribution's with a ready `core`, the distribution's with sources.
///
/// # Errors
/// Says what is missing and what to type.
pub fn find() -> Result<EbpfToolchain, MissingTools> {
    let target = Host::current().target();
    let compiler = named(target).or_else(nightly).or_else(|| distribution(target));
    match (compiler, find_linker()) {
        (Some(compiler), Some(linker)) => Ok(EbpfToolchain { linker, ..compiler }),
        (compiler, linker) => {
            Err(MissingTools { compiler: compiler.is_none(), linker: linker.is_none() })
        }
    }
}

impl EbpfToolchain {
    /// `cargo <subcommand>` on the eBPF package, to be run in the workspace's root. Of the
    /// surrounding build nothing is inherited: its compiler and flags are for another target.
    #[must_use]
    pub fn cargo(&self, subcommand: &str, host: Host<'_>) -> Command {
        let cargo = self.cargo.clone().map(PathBuf::into_os_string);
        let cargo = cargo.or_else(|| env::var_os("CARGO")).unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args([subcommand, "--package", EBPF_PACKAGE, "--target", host.target()]);
        if self.build_std {
            command.args(["-Z", "build-std=core"]);
        }
        for inherited in [
            "RUSTFLAGS",
            "RUSTC_WRAPPER",
            "RUSTC_WORKSPACE_WRAPPER",
            "CARGO_BUILD_TARGET",
            "CARGO_TARGET_DIR",
            "CARGO_MAKEFLAGS",
            "MAKEFLAGS",
            "RUSTUP_TOOLCHAIN",
            "RUSTC_LINKER",
            "CLIPPY_ARGS",
        ] {
            command.env_remove(inherited);
        }
        // A ready `core` comes from a stable compiler, and eBPF is an unstable target.
        command.env("RUSTC_BOOTSTRAP", "1");
        command.env("RUSTC", &self.rustc);
        command.env("CARGO_ENCODED_RUSTFLAGS", self.rustflags(host));
        command
    }

    fn rustflags(&self, host: Host<'_>) -> OsString {
        // aya-ebpf's bindings to the processor's registers depend on this name.
        let arch = if host.arch.starts_with("riscv64") { "riscv64" } else { host.arch };
        let mut linker = OsString::from("-Clinker=");
        linker.push(&self.linker);
        let flags = [
            OsString::from(format!("--cfg=bpf_target_arch=\"{arch}\"")),
            linker,
            // Kernel 5.8, the oldest that has the ring buffer, knows the third instruction set.
            "-Ctarget-cpu=v3".into(),
            "-Cdebuginfo=2".into(),
            "-Clink-arg=--btf".into(),
        ];
        flags.join(OsStr::new("\x1f"))
    }
}

fn named(target: &str) -> Option<EbpfToolchain> {
    let rustc = PathBuf::from(env::var_os(RUSTC_VARIABLE)?);
    with_core(&rustc, target).or_else(|| with_source(&rustc))
}

fn nightly() -> Option<EbpfToolchain> {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "rustc", "--print", "sysroot"]);
    with_source(&PathBuf::from(ask(command)?).join("bin/rustc"))
}

fn distribution(target: &str) -> Option<EbpfToolchain> {
    let rustc = Path::new(SYSTEM_RUSTC);
    with_core(rustc, target).or_else(|| with_source(rustc))
}

/// A compiler that has `core` for `target` ready.
fn with_core(rustc: &Path, target: &str) -> Option<EbpfToolchain> {
    let mut command = Command::new(rustc);
    command.args(["--print", "target-libdir", "--target", target]);
    let libraries = fs::read_dir(ask(command)?).ok()?;
    let ready = libraries
        .flatten()
        .any(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with("libcore-")));
    ready.then(|| toolchain(rustc, false))
}

/// A compiler that has the sources of `core`.
fn with_source(rustc: &Path) -> Option<EbpfToolchain> {
    let mut command = Command::new(rustc);
    command.args(["--print", "sysroot"]);
    let source = PathBuf::from(ask(command)?).join("lib/rustlib/src/rust/library/core");
    source.is_dir().then(|| toolchain(rustc, true))
}

fn toolchain(rustc: &Path, build_std: bool) -> EbpfToolchain {
    // Compiling `core` needs the cargo of the same release; a ready one takes any.
    let beside = rustc.with_file_name("cargo");
    let cargo = (build_std && beside.is_file()).then_some(beside);
    EbpfToolchain { rustc: rustc.to_owned(), cargo, build_std, linker: PathBuf::new() }
}

fn find_linker() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    env::split_paths(&path)
        .chain(cargo_home.map(|home| home.join("bin")))
        .map(|directory| directory.join("bpf-linker"))
        .find(|program| program.is_file())
}

/// The first line that a command prints, if it succeeds.
fn ask(mut command: Command) -> Option<String> {
    // rustup would download what it lacks, and inside cargo it would take the outer toolchain.
    command.env("RUSTUP_AUTO_INSTALL", "0").env_remove("RUSTUP_TOOLCHAIN");
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.lines().next().map(str::to_owned)).flatten()
}
