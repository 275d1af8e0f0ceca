//! Runs the agent with a script on a capture file.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

pub(crate) const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures");
pub(crate) const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts");

/// What the agent said.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) is_success: bool,
}

impl Output {
    /// It ended well, and no call of the script failed.
    pub(crate) fn assert_clean(&self, what: &str) {
        assert!(self.is_success, "{what}: {}\n{}", self.stderr, self.stdout);
        assert!(!self.stderr.contains("SCRIPT:"), "{what}: {}", self.stderr);
    }

    /// The lines of JSON of one kind.
    pub(crate) fn lines(&self, kind: &str) -> Vec<serde_json::Value> {
        let all = self.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        all.filter(|line: &serde_json::Value| line["kind"] == kind).collect()
    }
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(FIXTURES).join(name)
}

/// Runs a shipped script, strictly.
pub(crate) fn run(script: &str, capture: &Path, arguments: &[&str], options: &[&str]) -> Output {
    run_words(&Path::new(SCRIPTS).join(script), capture, arguments, options)
}

/// Runs any script, strictly.
pub(crate) fn run_words(
    script: &Path,
    capture: &Path,
    arguments: &[&str],
    options: &[&str],
) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_tcpkit"))
        .env("TZ", "UTC")
        .arg("-r")
        .arg(capture)
        .arg("-S")
        .arg(script)
        .arg("--script-strict")
        .args(arguments)
        .arg("--")
        .args(options)
        .output()
        .expect("the agent runs");
    Output {
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        is_success: output.status.success(),
    }
}
