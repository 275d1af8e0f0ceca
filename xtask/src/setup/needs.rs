//! What building, testing, showing and checking need, and whether it is there.

use std::{fmt, fs, path::Path};

use anyhow::{Result, bail};
use xshell::cmd;

use super::{Purpose, ebpf, python, steps::Steps};
use crate::{
    host,
    toolchain::{self, EbpfToolchain, MissingTools},
    workspace::Workspace,
};

/// Libraries that the build links: a header of it, and Debian's package.
const LIBRARIES: &[(&str, &str)] = &[("pcap/pcap.h", "libpcap-dev")];

/// Where headers are looked for.
const INCLUDE_FOLDERS: [&str; 2] = ["/usr/include", "/usr/local/include"];

/// Fonts that the browser test's pages are drawn in: a file, and Debian's package. Without any, a browser
/// draws empty boxes.
const FONTS: &[(&str, &str)] = &[("DejaVuSans.ttf", "fonts-dejavu-core")];

/// Where fonts are looked for, in whatever folder below.
const FONT_FOLDERS: [&str; 2] = ["/usr/share/fonts", "/usr/local/share/fonts"];

/// A program, Debian's package of it, and what it is needed for.
struct Program {
    name: &'static str,
    package: &'static str,
    purposes: &'static [Purpose],
}

const PROGRAMS: &[Program] = &[
    Program { name: "ip", package: "iproute2", purposes: &[Purpose::Test, Purpose::Demo] },
    Program { name: "tc", package: "iproute2", purposes: &[Purpose::Test, Purpose::Demo] },
    Program {
        name: "redis-server",
        package: "redis-server",
        purposes: &[Purpose::Test, Purpose::Demo],
    },
    for_tests("redis-cli", "redis-tools"),
    for_tests("redis-benchmark", "redis-tools"),
    for_tests("tcpdump", "tcpdump"),
    for_tests("tshark", "tshark"),
    // Servers and clients of the other protocols, live and for recordings.
    for_tests("memcached", "memcached"),
    for_tests("nginx", "nginx"),
    for_tests("nghttp", "nghttp2-client"),
    for_tests("h2load", "nghttp2-client"),
    for_tests("nghttpd", "nghttp2-server"),
    for_tests("nghttpx", "nghttp2-proxy"),
    for_tests("curl", "curl"),
    for_tests("wrk", "wrk"),
    for_tests("unbound", "unbound"),
    // Checks the metrics.
    for_tests("promtool", "prometheus"),
    // Looks at the unit.
    for_tests("systemd-analyze", "systemd"),
    // Looks at the dashboard.
    for_tests("chromium", "chromium"),
    // Drops packets.
    for_tests("nft", "nftables"),
    // Makes packets as long as the wire's.
    for_tests("ethtool", "ethtool"),
    // Counts instructions.
    for_tests("valgrind", "valgrind"),
    // cargo-fuzz compiles libFuzzer's C++.
    for_tests("c++", "g++"),
];

const fn for_tests(name: &'static str, package: &'static str) -> Program {
    Program { name, package, purposes: &[Purpose::Test] }
}

const CARGO_FUZZ: &str = "0.13.2";

/// What is not there.
#[derive(Debug, Default)]
pub(super) struct Missing {
    /// What is missed, and Debian's package of it.
    packages: Vec<(&'static str, &'static str)>,
    ebpf: Option<MissingTools>,
    cargo_fuzz: bool,
    /// The environment with Python's packages.
    python: bool,
    /// Parts of rustup's toolchain.
    components: Vec<&'static str>,
    /// The eBPF toolchain that has no clippy.
    ebpf_clippy: Option<EbpfToolchain>,
}

impl Missing {
    /// Looks for everything that `purpose` needs.
    pub(super) fn look(workspace: &Workspace, purpose: Purpose) -> Self {
        let libraries = LIBRARIES.iter().filter(|(header, _)| !has_header(header)).copied();
        let programs = PROGRAMS
            .iter()
            .filter(|it| it.purposes.contains(&purpose))
            .filter(|it| host::find_program(it.name).is_none())
            .map(|it| (it.name, it.package));
        let fonts = FONTS.iter().filter(|_| purpose == Purpose::Test);
        let fonts = fonts.filter(|(file, _)| !has_font(file)).copied();
        let packages = libraries.chain(programs).chain(fonts).collect();
        let mut missing = Self { packages, ..Self::default() };
        missing.python = purpose == Purpose::Test && !python::is_complete(&workspace.root);
        if missing.python && python::maker().is_none() {
            missing.packages.push(("Python's venv", python::MAKER));
        }
        let found = toolchain::find();
        missing.cargo_fuzz = purpose == Purpose::Test && host::find_program("cargo-fuzz").is_none();
        if purpose == Purpose::Check {
            let has = |name: &str| {
                let cargo = &workspace.cargo;
                let command = cmd!(workspace.shell, "{cargo} {name} --version");
                command.quiet().ignore_stdout().ignore_stderr().run().is_ok()
            };
            let components = [("fmt", "rustfmt"), ("clippy", "clippy")];
            missing.components =
                components.iter().filter(|(name, _)| !has(name)).map(|it| it.1).collect();
            missing.ebpf_clippy =
                found.clone().ok().filter(|it| !ebpf::clippy_driver(it).is_file());
        }
        missing.ebpf = found.err();
        missing
    }

    /// Installs all of it.
    pub(super) fn install(&self, steps: &Steps<'_>) -> Result<()> {
        let mut packages: Vec<_> = self.packages.iter().map(|(_, package)| *package).collect();
        packages.sort_unstable();
        packages.dedup();
        match &steps.apt {
            _ if packages.is_empty() => {}
            Some(apt) => apt.install(steps, &packages)?,
            None if steps.print_only() => {
                println!("# with this system's package manager, install what Debian calls:");
                println!("# {}", packages.join(", "));
            }
            None => bail!(
                "there is no apt-get here: install what Debian calls {} with this system's package \
                 manager, then type the command again",
                packages.join(", ")
            ),
        }
        let (shell, cargo) = (steps.shell, steps.cargo);
        if !self.components.is_empty() {
            let components = &self.components;
            let command = cmd!(shell, "rustup component add {components...}");
            steps.step(&format!("install {}", components.join(", ")), &command)?;
        }
        if let Some(missing) = &self.ebpf {
            ebpf::install(steps, missing)?;
        }
        if let Some(toolchain) = &self.ebpf_clippy {
            ebpf::install_clippy(steps, toolchain)?;
        }
        if self.python {
            python::install(steps)?;
        }
        if self.cargo_fuzz {
            let command = cmd!(shell, "{cargo} install cargo-fuzz --version {CARGO_FUZZ} --locked");
            steps.step("compile and install cargo-fuzz (a minute or two)", &command)?;
        }
        Ok(())
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<_> = self.packages.iter().map(|(name, _)| *name).collect();
        if let Some(missing) = &self.ebpf {
            names.extend(missing.compiler.then_some("a Rust compiler for eBPF"));
            names.extend(missing.linker.then_some("bpf-linker"));
        }
        names.extend(self.cargo_fuzz.then_some("cargo-fuzz"));
        names.extend(self.python.then_some("Python's packages"));
        names.extend(&self.components);
        names.extend(self.ebpf_clippy.as_ref().map(|_| "clippy for eBPF"));
        f.write_str(&names.join(", "))
    }
}

fn has_header(header: &str) -> bool {
    INCLUDE_FOLDERS.iter().any(|folder| Path::new(folder).join(header).is_file())
}

fn has_font(file: &str) -> bool {
    FONT_FOLDERS.iter().any(|folder| holds(Path::new(folder), file))
}

/// Whether there is a file of this name in a folder or below it.
fn holds(folder: &Path, file: &str) -> bool {
    folder.join(file).is_file()
        || fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| {
            // A link to a folder above would never end.
            entry.file_type().is_ok_and(|it| it.is_dir()) && holds(&entry.path(), file)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_below() {
        let root = std::env::temp_dir().join(format!("tcpkit-xtask-fonts-{}", std::process::id()));
        assert!(!holds(&root, "A.ttf"), "there is no folder");
        fs::create_dir_all(root.join("truetype/a")).unwrap();
        assert!(!holds(&root, "A.ttf"));
        fs::write(root.join("truetype/a/A.ttf"), "").unwrap();
        assert!(holds(&root, "A.ttf") && !holds(&root, "a"));
        fs::remove_dir_all(&root).unwrap();
    }
}
