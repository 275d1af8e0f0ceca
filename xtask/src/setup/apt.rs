//! Debian's packages, and those of its relatives.

use std::{cell::Cell, fs};

use anyhow::Result;
use xshell::{Cmd, Shell, cmd};

use super::steps::Steps;
use crate::host;

const LISTS: &str = "/var/lib/apt/lists";

/// Packages that start a server on the machine, and its service. Tests start servers of their own, and
/// nobody wants one on port 80 for having typed `cargo xtask test`.
const SERVICES: &[(&str, &str)] = &[
    ("memcached", "memcached"),
    ("nghttp2-proxy", "nghttpx"),
    ("nginx", "nginx"),
    ("redis-server", "redis-server"),
];

/// Runs an installation so that it starts nothing; from the project's root.
const STARTING_NOTHING: &str = "xtask/src/setup/start_nothing.sh";

/// Says whether apt can install something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    Yes,
    No,
    /// The package lists were never fetched.
    Unknown,
}

/// apt, which refreshes its lists once before it installs anything.
pub(super) struct Apt<'a> {
    shell: &'a Shell,
    refreshed: Cell<bool>,
}

impl<'a> Apt<'a> {
    pub(super) fn find(shell: &'a Shell) -> Option<Self> {
        let is_there = ["apt-get", "apt-cache"].iter().all(|it| host::find_program(it).is_some());
        is_there.then(|| Self { shell, refreshed: Cell::new(false) })
    }

    /// Whether all of `packages` can be installed.
    pub(super) fn offers(&self, packages: &[&str]) -> Offer {
        let command = cmd!(self.shell, "env LC_ALL=C apt-cache policy {packages...}");
        let policy = command.quiet().ignore_stderr().read().unwrap_or_default();
        if candidates(&policy) == packages.len() {
            Offer::Yes
        } else if has_lists() {
            Offer::No
        } else {
            Offer::Unknown
        }
    }

    /// Fetches the package lists, once.
    pub(super) fn refresh(&self, steps: &Steps<'_>) {
        if self.refreshed.replace(true) {
            return;
        }
        let command = host::as_root(self.shell, &["apt-get", "update", "--quiet=2"]);
        if let Err(error) = steps.step("refresh apt's package lists", &command) {
            // The lists that are there may do.
            eprintln!("setup: {error}");
        }
    }

    /// Installs `packages`; asks nothing, removes nothing and starts nothing.
    pub(super) fn install(&self, steps: &Steps<'_>, packages: &[&str]) -> Result<()> {
        self.refresh(steps);
        let what = format!("install {}", packages.join(", "));
        steps.step(&what, &self.install_command(packages))?;
        let services = services(packages);
        if services.is_empty() || host::find_program("systemctl").is_none() {
            return Ok(());
        }
        let command =
            host::as_root(self.shell, &[&["systemctl", "disable", "--quiet"], &*services].concat());
        steps.step(&format!("let the next boot not start {}", services.join(", ")), &command)
    }

    fn install_command(&self, packages: &[&str]) -> Cmd<'a> {
        let has_services = !services(packages).is_empty();
        let quietly: &[&str] = if has_services { &["sh", STARTING_NOTHING] } else { &[] };
        let words = [
            "env",
            "DEBIAN_FRONTEND=noninteractive",
            "apt-get",
            "install",
            "--yes",
            "--quiet=2",
            "--no-remove",
            "--no-install-recommends",
            "--option=DPkg::Lock::Timeout=300",
        ];
        host::as_root(self.shell, &[quietly, &words, packages].concat())
    }
}

/// The services that `packages` bring.
fn services(packages: &[&str]) -> Vec<&'static str> {
    let brought = SERVICES.iter().filter(|(package, _)| packages.contains(package));
    brought.map(|(_, service)| *service).collect()
}

fn has_lists() -> bool {
    let entries = fs::read_dir(LISTS).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
}

/// How many packages of `apt-cache policy`'s answer can be installed.
fn candidates(policy: &str) -> usize {
    policy
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Candidate:"))
        .filter(|version| version.trim() != "(none)")
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_is_a_version_that_can_be_installed() {
        let policy = "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0\n  Version table:\n\
                      gone:\n  Installed: (none)\n  Candidate: (none)\n  Version table:\n";
        assert_eq!(candidates(policy), 1);
        assert_eq!(candidates(""), 0);
    }

    #[test]
    fn what_brings_a_service_is_installed_without_starting_it() {
        let shell = Shell::new().unwrap();
        let apt = Apt { shell: &shell, refreshed: Cell::new(true) };
        let command = |packages: &[&str]| apt.install_command(packages).to_string();
        assert!(!command(&["tcpdump"]).contains(STARTING_NOTHING));
        assert!(command(&["tcpdump", "nginx"]).contains(STARTING_NOTHING));
        assert_eq!(services(&["memcached", "tcpdump", "nginx"]), ["memcached", "nginx"]);
    }
}
